//! The text form against what the reference 3.9.5 prints for the same lines (captured from its `QuorumMaj` and
//! `QuorumHierarchical`), and the errors of lines that are no members.

use super::*;

const MULTI: MemberRules = MemberRules { multi_address: true };

fn ensemble(text: &str) -> Result<Ensemble, EnsembleError> {
    Ensemble::from_text(text, MULTI)
}

/// Parses `lines`, expects `text`, and that parsing the text again changes nothing.
fn check(lines: &str, text: &str) {
    let first = ensemble(lines).unwrap();
    assert_eq!(first.to_string(), text);
    assert_eq!(ensemble(text).unwrap().to_string(), text);
}

fn refused(lines: &str) -> String {
    ensemble(lines).unwrap_err().to_string()
}

#[test]
fn the_role_is_always_said_and_addresses_are_spelled_as_java_does() {
    check(
        "server.1=127.0.0.1:2888:3888\nserver.2=zk2.example.com:2888:3888:observer;2181\n\
         server.3=[::1]:2888:3888:PARTICIPANT;[::1]:2181\nversion=100000002",
        "server.1=127.0.0.1:2888:3888:participant\nserver.2=zk2.example.com:2888:3888:observer;0.0.0.0:2181\n\
         server.3=[0:0:0:0:0:0:0:1]:2888:3888:participant;[0:0:0:0:0:0:0:1]:2181\nversion=100000002",
    );
    check(
        "server.1=[fe80::1:0:0:2]:1:2;0.0.0.0:5\nserver.2=[::ffff:10.1.2.3]:1:2\nserver.3=Host-Name_x:1:2;[::]:3",
        "server.1=[fe80:0:0:0:1:0:0:2]:1:2:participant;0.0.0.0:5\nserver.2=10.1.2.3:1:2:participant\n\
         server.3=Host-Name_x:1:2:participant;[0:0:0:0:0:0:0:0]:3\nversion=0",
    );
}

#[test]
fn large_ids_stand_in_the_order_of_the_references_hash_map() {
    check(
        "server.17=a:1:2\nserver.1=b:1:2\nserver.33=c:1:2;10.0.0.1:2181\nserver.16=d:1:2\n\
         server.2=zb:2:3|aa:4:5:observer",
        "server.16=d:1:2:participant\nserver.33=c:1:2:participant;10.0.0.1:2181\nserver.1=b:1:2:participant\n\
         server.17=a:1:2:participant\nserver.2=aa:4:5|zb:2:3:observer\nversion=0",
    );
    let ids = [100, 101, 102, 200, 201, 116, 132, 148, 216, 255, 3, 19, 35, 51];
    let lines: String = ids.iter().map(|id| format!("server.{id}=a:1:2\n")).collect();
    let order = [35, 3, 132, 100, 101, 102, 200, 201, 19, 51, 148, 116, 216, 255];
    let text: String = order.iter().map(|id| format!("server.{id}=a:1:2:participant\n")).collect();
    check(&lines, &(text + "version=0"));
}

#[test]
fn groups_and_weights_follow_the_members() {
    check(
        "server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\nserver.4=d:1:2\nserver.5=d:1:2:observer\n\
         group.1=1:2\ngroup.2=3:4\nweight.1=3\nweight.4=0",
        "server.1=a:1:2:participant\nserver.2=b:1:2:participant\nserver.3=c:1:2:participant\n\
         server.4=d:1:2:participant\nserver.5=d:1:2:observer\ngroup.1=1:2\ngroup.2=3:4\n\
         weight.1=3\nweight.2=1\nweight.3=1\nweight.4=0\nversion=0",
    );
}

#[test]
fn voters_and_observers_are_told_apart() {
    let e = ensemble("server.1=a:1:2\nserver.2=b:1:2:observer\nserver.3=c:1:2:participant\nversion=ff").unwrap();
    assert_eq!(e.voters().map(|m| m.id.0).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(e.observers().map(|m| m.id.0).collect::<Vec<_>>(), [2]);
    assert_eq!((e.version(), e.hierarchy()), (Zxid(255), None));
    assert_eq!(e.member(ServerId(1)).unwrap().address().election_port, 2);
}

#[test]
fn a_static_client_address_is_no_part_of_the_text() {
    let mut e = ensemble("server.1=a:1:2").unwrap();
    let member = e.member_mut(ServerId(1)).unwrap();
    member.client = Some(HostPort::any(2181));
    member.client_from_static = true;
    assert_eq!(e.to_string(), "server.1=a:1:2:participant\nversion=0");
}

#[test]
fn a_secure_client_part_is_kept() {
    check("server.1=a:1:2;2181;h:2281", "server.1=a:1:2:participant;0.0.0.0:2181;h:2281\nversion=0");
    check("server.1=a:1:2;;2281", "server.1=a:1:2:participant;;0.0.0.0:2281\nversion=0");
}

#[test]
fn lines_that_are_no_members_say_what_is_expected() {
    let shape = "expected host:quorumPort:electionPort[:participant|:observer][;[clientAddress:]clientPort], \
                 an IPv6 address in brackets";
    assert_eq!(refused("server.1=a:1"), format!("server.1=a:1: {shape}"));
    assert_eq!(refused("server.1="), format!("server.1=: {shape}"));
    assert_eq!(refused("server.1=a:1:2;1;2;3"), format!("server.1=a:1:2;1;2;3: {shape}"));
    assert_eq!(
        refused("server.1=a:1:2:boss"),
        "server.1=a:1:2:boss: 'boss' is not a role; expected participant or observer"
    );
    assert_eq!(refused("server.1=a:x:2"), "server.1=a:x:2: 'x' is not a port; expected a number from 0 to 65535");
    assert_eq!(
        refused("server.1=a:70000:2"),
        "server.1=a:70000:2: '70000' is not a port; expected a number from 0 to 65535"
    );
    assert_eq!(refused("server.1=a:5:5"), "server.1=a:5:5: the quorum port and the election port must differ");
    assert_eq!(
        refused("server.1=[::1:1:2"),
        "server.1=[::1:1:2: '[' opens an IPv6 address; expected ']:port' after it"
    );
    assert_eq!(refused("server.1=a b:1:2"), "server.1=a b:1:2: 'a b' is neither a host name nor an address");
    assert_eq!(
        refused("server.1=a:1:2:observer|b:1:2:participant"),
        "server.1=a:1:2:observer|b:1:2:participant: the addresses of one server have different roles; give all the same"
    );
    assert_eq!(refused("server.x=a:1:2"), "server.x: expected a whole number from 0 after the dot, as in server.N");
    assert_eq!(
        Ensemble::from_text("server.1=a:1:2|b:1:2", MemberRules::default()).unwrap_err().to_string(),
        "server.1=a:1:2|b:1:2: several addresses for one server; set multiAddress.enabled=true to allow that"
    );
}

#[test]
fn groups_that_do_not_fit_the_voters_are_refused() {
    assert_eq!(
        refused("server.1=a:1:2\nserver.2=b:1:2\ngroup.1=1"),
        "server.2 is in no group: with group.N or weight.N lines, every voter stands in exactly one group.N line"
    );
    assert_eq!(
        refused("server.1=a:1:2\ngroup.1=1\ngroup.2=1"),
        "server 1 is in more than one group; leave it in one group.N line"
    );
    assert_eq!(
        refused("server.1=a:1:2\nserver.5=a:1:2:observer\ngroup.1=1:5"),
        "a group names server 5, which is not a voter and has no weight; take it out of the group, \
         or add server.5 or weight.5"
    );
    assert_eq!(refused("group.1=1,2"), "group.1=1,2: expected server numbers separated by colons, as in 1:2:3");
    assert_eq!(refused("weight.1=-1"), "weight.1=-1: expected a whole number from 0");
    assert_eq!(refused("version=xyz"), "version=xyz: expected a hexadecimal number");
    assert_eq!(
        refused("clientPort=1"),
        "clientPort: only server.N, group.N, weight.N and version belong in a list of members"
    );
}
