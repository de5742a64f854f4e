//! The list of members: lines of the configuration, the dynamic file, roles, ids, limits.

use super::*;

// The ensemble

#[test]
fn server_lines_make_an_ensemble() {
    let c = ensemble("clientPort=2185");
    let e = c.ensemble.as_ref().unwrap();
    assert_eq!((e.my_id, e.role, e.init_limit_ticks, e.sync_limit_ticks), (ServerId(1), Role::Participant, 10, 5));
    assert_eq!(
        (e.connect_to_learner_master_limit_ticks, e.members.voters().count(), e.members.observers().count()),
        (10, 3, 1)
    );
    // The address from the static file is known, but is no part of the text.
    let me = e.members.member(ServerId(1)).unwrap();
    assert_eq!((me.client.as_ref().unwrap().port(), me.client_from_static), (2185, true));
    assert_eq!(
        e.members.to_string(),
        "server.1=a:1:2:participant\nserver.2=b:1:2:participant\nserver.3=c:1:2:observer\nserver.4=d:1:2:participant\nversion=0"
    );
    assert_eq!((e.election.connect_timeout_ms, e.election.notification_ms_max, e.leader_serves), (5000, 60_000, true));
    assert!(c.warnings.is_empty());
}

#[test]
fn the_hook_for_the_end_of_an_epoch_is_obeyed_and_warned_of() {
    let members =
        "dataDir=/data\nclientPort=1\ninitLimit=1\nsyncLimit=1\nserver.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\n";
    let with = |line: &str| {
        let c = load_with(&format!("{members}{line}"), &[("/data/myid", "1")]).unwrap();
        (c.ensemble.as_ref().unwrap().counter_initial, warnings(&c))
    };
    let (counter, said) = with("testingonly.initialZxid=4294967000");
    assert_eq!((counter, said.len()), (4_294_967_000, 1), "{said:?}");
    assert!(said[0].starts_with("zoo.cfg:8: testingonly.initialZxid=4294967000 is for tests alone:"), "{said:?}");
    let wrong = with("testingonly.initialZxid=4294967295");
    assert_eq!((wrong.0, wrong.1.len()), (0, 1), "no transaction would be left");
    for line in ["", "testingonly.initialZxid=0"] {
        assert_eq!(with(line), (0, Vec::new()));
    }
}

#[test]
fn one_voter_is_a_server_on_its_own_unless_standalone_is_off() {
    let one = "server.1=a:1:2;2199\ninitLimit=1\nsyncLimit=1\ndataDir=/data\n";
    let c = load_with(one, &[]).unwrap();
    assert!(c.ensemble.is_none() && c.client.client_address.is_none());
    assert_eq!(
        warnings(&c)[0],
        "one server.N line only: the server runs on its own; standaloneEnabled=false makes it an ensemble of one"
    );
    let c = load_with(one, MYID).unwrap();
    assert_eq!((c.client.client_address.unwrap().port(), c.my_id), (2199, Some(ServerId(1))));
    let c = load_with(&format!("{one}standaloneEnabled=false"), MYID).unwrap();
    assert_eq!(c.ensemble.as_ref().unwrap().members.voters().count(), 1);
    assert_eq!(warnings(&c), ["no failure of a server is tolerated with fewer than three voters"]);
}

#[test]
fn voters_are_counted() {
    let files = MYID;
    assert_eq!(
        ensemble_refused("standaloneEnabled=false", files),
        "zoo.cfg: standaloneEnabled=false needs at least one server.N line of a participant"
    );
    let lonely = "zoo.cfg: observers need an ensemble to observe: add the server.N lines of the participants";
    assert_eq!(ensemble_refused("server.1=a:1:2:observer", files), lonely);
    assert_eq!(ensemble_refused("server.1=a:1:2\nserver.2=b:1:2:observer", files), lonely);
    let limits = "initLimit=1\nsyncLimit=1\nserver.1=a:1:2\nserver.2=b:1:2\n";
    let c = load_with(&base(limits), files).unwrap();
    assert_eq!(warnings(&c), ["no failure of a server is tolerated with fewer than three voters"]);
    let c = load_with(&base(&format!("{limits}server.3=c:1:2\nserver.4=d:1:2")), files).unwrap();
    assert_eq!(warnings(&c), ["4 voters tolerate no more failures than 3; an odd number of voters is better"]);
}

#[test]
fn limits_and_myid_are_required_in_an_ensemble() {
    let servers = "server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\n";
    assert_eq!(
        ensemble_refused(&format!("{servers}syncLimit=1"), MYID),
        "zoo.cfg: initLimit is not set; an ensemble needs it: ticks for a learner to connect and catch up"
    );
    assert_eq!(
        ensemble_refused(&format!("{servers}initLimit=1\nsyncLimit=0"), MYID),
        "zoo.cfg: syncLimit is not set; an ensemble needs it: ticks a learner may be silent"
    );
    let fine = format!("{servers}initLimit=1\nsyncLimit=1");
    assert_eq!(
        ensemble_refused(&fine, &[]),
        "/data/myid: cannot be read (there is no such file); in an ensemble it holds the number of this server, one of 1, 2, 3"
    );
    assert_eq!(
        ensemble_refused(&fine, &[("/data/myid", "7")]),
        "/data/myid: this server is 7, but the list of members has only 1, 2, 3; add server.7, or correct myid"
    );
    assert_eq!(
        ensemble_refused(&fine, &[("/data/myid", "one\n")]),
        "/data/myid:1: myid=one: expected the number of this server's server.N line"
    );
    assert_eq!(load_with(&base(&fine), &[("/data/myid", " 2 \nrest")]).unwrap().my_id, Some(ServerId(2)));
}

#[test]
fn a_server_on_its_own_takes_any_number_as_its_id() {
    assert!(load_with(&base(""), &[("/data/myid", "-1")]).unwrap().ensemble.is_none());
    let members = "server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\ninitLimit=1\nsyncLimit=1";
    assert_eq!(
        ensemble_refused(members, &[("/data/myid", "-1")]),
        "/data/myid: this server is -1, but the list of members has only 1, 2, 3; add server.-1, or correct myid"
    );
}

#[test]
fn large_ids_are_refused_with_extended_types() {
    let lines = "initLimit=1\nsyncLimit=1\nserver.255=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\n";
    let files: Files = &[("/data/myid", "255")];
    assert!(load_with(&base(lines), files).unwrap().warnings.is_empty());
    assert_eq!(
        ensemble_refused(&format!("{lines}extendedTypesEnabled=true"), files),
        "/data/myid: this server is 255, but extendedTypesEnabled allows 254 at most"
    );
    let lines = lines.replace("255", "300");
    assert_eq!(
        warnings(&load_with(&base(&lines), &[("/data/myid", "300")]).unwrap()),
        ["/data/myid: this server is 300; ids from 1 to 255 make sessions of different servers differ"]
    );
}

#[test]
fn errors_of_server_lines_name_the_line() {
    assert_eq!(
        refused("# members\nserver.1=a:1:2\nserver.2=b:1:x"),
        "zoo.cfg:3: server.2=b:1:x: 'x' is not a port; expected a number from 0 to 65535"
    );
    assert_eq!(
        refused("server.1=a:1:2|b:1:2"),
        "zoo.cfg:1: server.1=a:1:2|b:1:2: several addresses for one server; set multiAddress.enabled=true to allow that"
    );
    assert_eq!(
        refused("server.1=a:1:2\nserver.2=a:1:2\ngroup.1=1"),
        "zoo.cfg:2: server.2 is in no group: with group.N or weight.N lines, every voter stands in exactly one group.N line"
    );
    load("multiAddress.enabled=true\nserver.1=a:1:2|b:1:2");
    with_property("server.1=a:1:2|b:1:2", "zookeeper.multiAddress.enabled", "true");
}

#[test]
fn the_client_address_of_the_list_counts_and_must_agree() {
    let lines =
        "initLimit=1\nsyncLimit=1\nserver.1=a:1:2;127.0.0.1:2199\nserver.2=b:1:2\nserver.3=c:1:2\ndataDir=/data\n";
    let c = load_with(lines, MYID).unwrap();
    assert_eq!(c.client.client_address.unwrap().to_string(), "127.0.0.1:2199");
    let me = c.ensemble.unwrap().members.member(ServerId(1)).unwrap().to_string();
    assert_eq!(me, "a:1:2:participant;127.0.0.1:2199");
    let c = load_with(&format!("{lines}clientPort=2199"), MYID).unwrap();
    assert_eq!((c.client.client_address.unwrap().host(), c.warnings.len()), ("127.0.0.1", 0));
    assert_eq!(
        ensemble_refused(&format!("{lines}clientPort=2198"), MYID),
        "zoo.cfg: server.1 has the client address 127.0.0.1:2199, but zoo.cfg says 0.0.0.0:2198; leave it in one place"
    );
    assert_eq!(
        ensemble_refused(&format!("{lines}clientPort=2199\nclientPortAddress=10.0.0.1"), MYID),
        "zoo.cfg: server.1 has the client address 127.0.0.1:2199, but zoo.cfg says 10.0.0.1:2199; leave it in one place"
    );
    let c = load_with(&format!("{lines}clientPort=2199\nclientPortAddress=localhost"), MYID).unwrap();
    assert_eq!(
        warnings(&c),
        ["zoo.cfg: server.1 has the client address 127.0.0.1:2199; it is used instead of localhost:2199"]
    );
}

#[test]
fn the_role_of_the_list_beats_peer_type() {
    let c = load_with(&base(&format!("{THREE}peerType=participant")), &[("/data/myid", "3")]).unwrap();
    assert_eq!(c.ensemble.as_ref().unwrap().role, Role::Observer);
    assert_eq!(
        warnings(&c),
        ["zoo.cfg:7: peerType=participant, but by the list of members this server is a observer; the list counts"]
    );
    let c = load_with(&base(&format!("{THREE}peerType=Observer")), &[("/data/myid", "3")]).unwrap();
    assert!(c.warnings.is_empty());
}

#[test]
fn sync_enabled_follows_the_property_first() {
    let mut inputs = inputs(&base(&format!("{THREE}syncEnabled=true")));
    inputs.jvmflags = "-Dzookeeper.observer.syncEnabled=false".to_string();
    let c = Config::load(&inputs, &mut reading(MYID)).unwrap();
    assert!(!c.ensemble.unwrap().sync_enabled);
    assert!(ensemble("").ensemble.unwrap().sync_enabled);
}

#[test]
fn settings_of_the_ensemble_are_checked_on_a_server_of_its_own_too() {
    assert_eq!(refused("quorumListenOnAllIPs=1"), "zoo.cfg:1: quorumListenOnAllIPs=1: expected true or false");
}

// The dynamic file

const DYNAMIC: &str = "server.1=a:1:2;2181\nserver.2=b:1:2;2181\nserver.3=c:1:2;2181\n";
const POINTER: &str = "dataDir=/data\ninitLimit=1\nsyncLimit=1\ndynamicConfigFile=/c/zoo.cfg.dynamic.10000000a\n";

#[test]
fn members_come_from_the_dynamic_file_and_the_version_from_its_name() {
    let files = [("/c/zoo.cfg.dynamic.10000000a", DYNAMIC), ("/data/myid", "2")];
    let c = load_with(POINTER, &files).unwrap();
    let e = c.ensemble.unwrap();
    assert_eq!((e.members.version(), e.my_id, e.last_seen), (Zxid(0x1_0000_000a), ServerId(2), None));
    assert_eq!(e.dynamic_config_file, Some(PathBuf::from("/c/zoo.cfg.dynamic.10000000a")));
    assert_eq!(c.client.client_address.unwrap().to_string(), "0.0.0.0:2181");
    let plain = POINTER.replace(".10000000a", "");
    let e = load_with(&plain, &[("/c/zoo.cfg.dynamic", DYNAMIC), ("/data/myid", "2")]).unwrap().ensemble.unwrap();
    assert_eq!(e.members.version(), Zxid(0));
}

#[test]
fn a_list_proposed_before_the_stop_is_read_where_reconfiguration_is_enabled() {
    let next = "server.1=a:1:2\nserver.2=b:1:2\nversion=10000000b";
    let files = [("/c/zoo.cfg.dynamic.10000000a", DYNAMIC), ("/data/myid", "2"), ("zoo.cfg.dynamic.next", next)];
    let enabled = format!("{POINTER}reconfigEnabled=true\n");
    let seen = load_with(&enabled, &files).unwrap().ensemble.unwrap().last_seen.unwrap();
    assert_eq!((seen.version(), seen.members().len()), (Zxid(0x1_0000_000b), 2));
    assert_eq!(load_with(POINTER, &files).unwrap().ensemble.unwrap().last_seen, None, "ZOOKEEPER-3829");
}

#[test]
fn what_does_not_belong_in_the_dynamic_file_is_refused() {
    let check = |dynamic: &str, expected: &str| {
        let files = [("/c/zoo.cfg.dynamic.10000000a", dynamic), ("/data/myid", "2")];
        assert_eq!(
            load_with(POINTER, &files).unwrap_err().to_string(),
            format!("/c/zoo.cfg.dynamic.10000000a:{expected}")
        );
    };
    check(
        "server.1=a:1:2\nversion=1",
        "2: version does not belong here: it is the hexadecimal number at the end of the file's name",
    );
    check("tickTime=1", "1: unknown key tickTime; only server.N, group.N and weight.N belong here");
    check(
        "server.1=a:1",
        "1: server.1=a:1: expected host:quorumPort:electionPort[:participant|:observer][;[clientAddress:]clientPort], an IPv6 address in brackets",
    );
    check("a=\\uxyzt", "1: \\u is not followed by four hexadecimal digits; write a backslash as \\\\");
    assert_eq!(
        load_with(POINTER, &[]).unwrap_err().to_string(),
        "/c/zoo.cfg.dynamic.10000000a: cannot be read (there is no such file); dynamicConfigFile names it; make the file, or \
         take the key out and list the members in the configuration file"
    );
    assert_eq!(
        load_with(&format!("{POINTER}server.1=a:1:2"), &[]).unwrap_err().to_string(),
        "zoo.cfg:5: server.1 stands beside dynamicConfigFile; with that, members, groups and weights belong in \
         /c/zoo.cfg.dynamic.10000000a"
    );
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let mut broken = |_: &Path| Err(io::Error::from(io::ErrorKind::PermissionDenied));
    assert_eq!(
        Config::load(&inputs(&base("")), &mut broken).unwrap_err().to_string(),
        "/data/myid: cannot be read (permission denied); it holds the number of this server"
    );
}

#[test]
fn usage_names_both_forms() {
    assert_eq!(usage("oxkeeper server"), "Usage: oxkeeper server configfile | port datadir [ticktime] [maxcnxns]");
}
