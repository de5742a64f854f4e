//! Which check fails first, operation by operation.

use super::*;
use ErrorCode::{
    BadArguments, BadVersion, InvalidAcl, MarshallingError, NoAuth, NoChildrenForEphemerals, NoNode, NodeExists,
    NotEmpty, QuotaExceeded, ReconfigDisabled, SessionExpired, SessionMoved, Unimplemented,
};

/// The code of a request that is refused, against what the transaction says.
fn refusal(server: &mut Server, op: OpCode, write: impl FnOnce(&mut Writer)) -> ErrorCode {
    let digest = server.tree.digest();
    let prepared = server.run(op, write);
    let code = prepared.refused.unwrap_or_else(|| panic!("not refused: {prepared:?}"));
    assert_eq!(prepared.entry.txn, Txn::Error { code: code.number() });
    assert_eq!(prepared.entry.digest, None, "an error transaction carries no digest");
    assert_eq!(prepared.entry.header.zxid, server.zxid);
    assert_eq!(server.tree.digest(), digest);
    code
}

fn with_acl(path: &str, acl: Option<Vec<Acl>>, flags: i32) -> impl FnOnce(&mut Writer) {
    move |w| CreateRequest { path: path.into(), data: None, acl, flags }.write(w)
}

#[test]
fn create_checks_flag_then_ttl_then_session_then_path_then_acl_then_parent() {
    let mut s = Server::new();
    s.session_check = Err(SessionExpired);
    for flag in [-1, 7, 100] {
        assert_eq!(refusal(&mut s, OpCode::Create, with_acl("x", None, flag)), BadArguments, "{flag}");
    }
    s.options.owner_rules = OwnerRules::default();
    assert_eq!(refusal(&mut s, OpCode::CreateTtl, create_ttl("x", 5, 0)), Unimplemented);
    assert_eq!(refusal(&mut s, OpCode::Create, create_flag("x", 6)), Unimplemented);
    s.options.owner_rules.extended_types = true;
    for ttl in [0, -1, TTL_MS_MAX + 1] {
        assert_eq!(refusal(&mut s, OpCode::CreateTtl, create_ttl("x", 5, ttl)), BadArguments, "{ttl}");
    }
    assert_eq!(refusal(&mut s, OpCode::Create, create_flag("x", 5)), BadArguments, "create with a TTL flag");
    for ttl in [1, -1] {
        assert_eq!(refusal(&mut s, OpCode::CreateTtl, create_ttl("x", 0, ttl)), BadArguments, "createTTL without one");
    }
    assert_eq!(refusal(&mut s, OpCode::Create, with_acl("x", None, 0)), SessionExpired);
    s.session_check = Ok(());
    for path in ["x", "", "/a\0b"] {
        assert_eq!(refusal(&mut s, OpCode::Create, with_acl(path, None, 0)), BadArguments, "{path:?}");
    }
    assert_eq!(refusal(&mut s, OpCode::Create, with_acl("/no/x", None, 0)), InvalidAcl);
    assert_eq!(refusal(&mut s, OpCode::Create, with_acl("/no/x", Some(vec![]), 0)), InvalidAcl);
    assert_eq!(refusal(&mut s, OpCode::Create, create("/no/x/../y")), NoNode);
}

#[test]
fn create_checks_permission_then_path_then_existence_then_an_ephemeral_parent() {
    let mut s = Server::new();
    s.given("/a");
    s.given_ephemeral("/e");
    for path in ["/a", "/e"] {
        s.given_acl(path, Perms(Perms::ALL.0 & !Perms::CREATE.0));
        assert_eq!(refusal(&mut s, OpCode::Create, create(&format!("{path}/\u{1}"))), NoAuth);
        s.given_acl(path, Perms::ALL);
        assert_eq!(refusal(&mut s, OpCode::Create, create(&format!("{path}/\u{1}"))), BadArguments);
    }
    for path in ["/a/", "//a", "/a/.", "/a/..", "//"] {
        assert_eq!(refusal(&mut s, OpCode::Create, create(path)), BadArguments, "{path}");
    }
    for path in ["/", "/a", "/e", "/zookeeper/quota"] {
        assert_eq!(refusal(&mut s, OpCode::Create, create(path)), NodeExists, "{path}");
    }
    for flag in [0, 1, 2, 3] {
        assert_eq!(refusal(&mut s, OpCode::Create, create_flag("/e/x", flag)), NoChildrenForEphemerals);
    }
    s.given("/zookeeper/own");
}

#[test]
fn delete_checks_session_then_special_paths_then_parent_then_permission_then_node_then_version_then_children() {
    let mut s = Server::new();
    s.given("/a");
    s.given("/a/b");
    s.session_check = Err(SessionMoved);
    assert_eq!(refusal(&mut s, OpCode::Delete, delete("/", -1)), SessionMoved);
    s.session_check = Ok(());
    for path in ["/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config", "x", "", "/a\0"] {
        assert_eq!(refusal(&mut s, OpCode::Delete, delete(path, -1)), BadArguments, "{path:?}");
    }
    assert_eq!(refusal(&mut s, OpCode::Delete, delete("/no/x", -1)), NoNode);
    s.given_acl("/a", Perms(Perms::ALL.0 & !Perms::DELETE.0));
    assert_eq!(refusal(&mut s, OpCode::Delete, delete("/a/none", -1)), NoAuth);
    s.given_acl("/a", Perms::ALL);
    for path in ["/a/none", "/a/", "//"] {
        assert_eq!(refusal(&mut s, OpCode::Delete, delete(path, -1)), NoNode, "{path}");
    }
    assert_eq!(refusal(&mut s, OpCode::Delete, delete("/a", 1)), BadVersion);
    assert_eq!(refusal(&mut s, OpCode::Delete, delete("/a", 0)), NotEmpty);
    assert_eq!(s.run(OpCode::Delete, delete("/a/b", 0)).refused, None);
    assert_eq!(s.run(OpCode::Delete, delete("/a", -1)).refused, None);
}

#[test]
fn set_data_checks_session_then_path_then_node_then_permission_then_version() {
    let mut s = Server::new();
    s.given("/a");
    s.session_check = Err(SessionExpired);
    assert_eq!(refusal(&mut s, OpCode::SetData, set_data("x", b"", -1)), SessionExpired);
    s.session_check = Ok(());
    for path in ["x", "", "/a/", "/a\0"] {
        assert_eq!(refusal(&mut s, OpCode::SetData, set_data(path, b"", -1)), BadArguments, "{path:?}");
    }
    assert_eq!(refusal(&mut s, OpCode::SetData, set_data("/none", b"", -1)), NoNode);
    assert_eq!(refusal(&mut s, OpCode::SetData, set_data("/zookeeper/config", b"", -1)), NoAuth);
    s.given_acl("/a", Perms(Perms::ALL.0 & !Perms::WRITE.0));
    assert_eq!(refusal(&mut s, OpCode::SetData, set_data("/a", b"", 5)), NoAuth);
    s.given_acl("/a", Perms::ALL);
    assert_eq!(refusal(&mut s, OpCode::SetData, set_data("/a", b"", 5)), BadVersion);
    assert_eq!(s.run(OpCode::SetData, set_data("/a", b"xy", 0)).refused, None);
    let stat = s.stat("/a");
    assert_eq!((stat.version, stat.mzxid, stat.data_length), (1, s.zxid, 2));
    assert_eq!(s.run(OpCode::SetData, set_data("/", b"root", -1)).refused, None);
}

#[test]
fn set_acl_checks_session_then_path_then_list_then_node_then_permission_then_version() {
    let mut s = Server::new();
    s.given("/a");
    s.session_check = Err(SessionExpired);
    assert_eq!(refusal(&mut s, OpCode::SetAcl, set_acl("x", None, -1)), SessionExpired);
    s.session_check = Ok(());
    assert_eq!(refusal(&mut s, OpCode::SetAcl, set_acl("x", None, -1)), BadArguments);
    assert_eq!(refusal(&mut s, OpCode::SetAcl, set_acl("/none", None, -1)), InvalidAcl);
    assert_eq!(refusal(&mut s, OpCode::SetAcl, set_acl("/none", Some(open_acl()), -1)), NoNode);
    assert_eq!(refusal(&mut s, OpCode::SetAcl, set_acl("/zookeeper/config", Some(open_acl()), 7)), NoAuth);
    assert_eq!(refusal(&mut s, OpCode::SetAcl, set_acl("/a", Some(open_acl()), 7)), BadVersion);
    assert_eq!(s.run(OpCode::SetAcl, set_acl("/a", Some(open_acl()), 0)).refused, None);
    assert_eq!((s.stat("/a").aversion, s.stat("/a").version), (1, 0));
}

#[test]
fn the_stored_list_is_the_fixed_up_one() {
    let mut s = Server::new();
    s.auth.push(Id::new("digest", "u:h"));
    let acl = Some(vec![Acl::new(Perms::READ, Id::new("auth", "")), Acl::new(Perms::READ, Id::new("auth", ""))]);
    let fixed = [Acl::new(Perms::READ, Id::new("digest", "u:h"))];
    assert_eq!(s.run(OpCode::Create, with_acl("/a", acl, 0)).refused, None);
    assert_eq!(s.tree.node("/a").unwrap().acl()[..], fixed[..]);
    s.auth.pop();
    assert_eq!(refusal(&mut s, OpCode::Create, create("/a/b")), NoAuth);
}

#[test]
fn kinds_of_create_by_operation_and_flag() {
    let mut s = Server::new();
    let owner = |s: &Server, path: &str| s.tree.node(path).unwrap().owner();
    s.run(OpCode::CreateContainer, create_flag("/c", CreateMode::Container.flag()));
    s.run(OpCode::CreateContainer, create_flag("/c0", 0));
    s.run(OpCode::Create2, create_flag("/plain", CreateMode::Container.flag()));
    s.run(OpCode::CreateTtl, create_ttl("/ttl", 5, TTL_MS_MAX));
    let numbered = s.run(OpCode::CreateTtl, create_ttl("/ttl-", 6, 1));
    s.run(OpCode::Create, create_flag("/e", 1));
    assert_eq!(owner(&s, "/c"), oxkeeper_types::Owner::Container);
    assert_eq!(s.tree.node("/c").unwrap().stat_persisted().ephemeral_owner, CONTAINER_OWNER);
    assert_eq!(owner(&s, "/c0"), oxkeeper_types::Owner::Container);
    assert_eq!(owner(&s, "/plain"), oxkeeper_types::Owner::None);
    assert_eq!(owner(&s, "/ttl"), oxkeeper_types::Owner::Ttl { ttl_ms: TTL_MS_MAX });
    assert_eq!(path_of(&numbered), "/ttl-0000000004");
    assert_eq!(owner(&s, "/e"), oxkeeper_types::Owner::Session(ALICE));
    let shown = ["/c", "/plain", "/ttl", "/e"].map(|path| s.stat(path).ephemeral_owner);
    assert_eq!(shown, [0, 0, 0, ALICE.0], "clients see the session of ephemerals only");
}

#[test]
fn delete_container_spares_what_is_not_the_reapers() {
    let mut s = Server::new();
    let path = |path: &'static str| move |w: &mut Writer| PathRequest { path: path.into() }.write(w);
    s.given("/p");
    s.given_ephemeral("/e");
    s.run(OpCode::CreateContainer, create_flag("/c", 4));
    s.run(OpCode::CreateTtl, create_ttl("/t", 5, 1));
    s.given("/c/x");
    // Neither the session nor the ACL are asked.
    s.session_check = Err(SessionExpired);
    s.auth.clear();
    assert_eq!(refusal(&mut s, OpCode::DeleteContainer, path("/")), BadArguments);
    assert_eq!(refusal(&mut s, OpCode::DeleteContainer, path("/none")), NoNode);
    assert_eq!(refusal(&mut s, OpCode::DeleteContainer, path("/c")), NotEmpty);
    assert_eq!(refusal(&mut s, OpCode::DeleteContainer, path("/p")), BadVersion);
    assert_eq!(refusal(&mut s, OpCode::DeleteContainer, path("/e")), BadVersion);
    assert_eq!(s.run(OpCode::DeleteContainer, path("/t")).refused, None);
    s.session_check = Ok(());
    s.run(OpCode::Delete, delete("/c/x", -1));
    assert_eq!(s.run(OpCode::DeleteContainer, path("/c")).refused, None);
    assert!(!s.tree.contains("/c") && !s.tree.contains("/t"));
}

#[test]
fn reconfig_of_a_standalone_server_is_refused() {
    let mut s = Server::new();
    let request = |w: &mut Writer| {
        ReconfigRequest { joining: None, leaving: None, new_members: None, config_version: -1 }.write(w)
    };
    s.session_check = Err(SessionExpired);
    assert_eq!(refusal(&mut s, OpCode::Reconfig, request), ReconfigDisabled);
    s.options.reconfig_enabled = true;
    assert_eq!(refusal(&mut s, OpCode::Reconfig, request), SessionExpired);
    s.session_check = Ok(());
    assert_eq!(refusal(&mut s, OpCode::Reconfig, request), Unimplemented);
}

#[test]
fn a_malformed_body_takes_a_zxid_of_its_own() {
    let mut s = Server::new();
    s.session_check = Err(SessionExpired);
    for op in OpCode::ALL.iter().copied().filter(|op| op.is_write() && *op != OpCode::CloseSession) {
        for body in [&b""[..], &[0, 0, 0], &[0xff; 4], &[0x7f, 0x7f, 0x7f, 0x7f, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9]] {
            // Four bytes are a timeout, whatever they are.
            if op == OpCode::CreateSession && body.len() >= 4 {
                continue;
            }
            let before = s.zxid;
            let prepared = s.prepare_body(op, Bytes::copy_from_slice(body));
            assert_eq!(prepared.refused, Some(MarshallingError), "{op:?} {body:?}");
            assert_eq!(prepared.entry.txn, Txn::Error { code: -5 });
            assert_eq!(prepared.entry.header.zxid, before.next().unwrap());
            s.apply_all();
        }
    }
}

fn texts(prepared: &Prepared) -> Vec<String> {
    prepared.quotas_exceeded.iter().map(ToString::to_string).collect()
}

#[test]
fn hard_quotas_refuse_and_soft_ones_are_told_of() {
    let mut s = Server::new();
    s.given("/q");
    s.given("/zookeeper/quota/q");
    let data = |path: &'static str, data: &'static [u8]| {
        move |w: &mut Writer| {
            CreateRequest { path: path.into(), data: Some(data), acl: Some(open_acl()), flags: 0 }.write(w)
        }
    };
    s.run(
        OpCode::Create,
        data("/zookeeper/quota/q/zookeeper_limits", b"count=1,bytes=5=;byteHardLimit=10;countHardLimit=3"),
    );
    s.run(OpCode::Create, data("/zookeeper/quota/q/zookeeper_stats", b"count=1,bytes=4"));
    // Without enforceQuota nobody asks.
    s.given("/q/1");
    s.run(OpCode::SetData, set_data("/q/1", b"123456", -1));
    s.options.enforce_quota = true;
    assert_eq!(refusal(&mut s, OpCode::Create, data("/q/2", b"1")), QuotaExceeded);
    let fits = s.run(OpCode::Create, data("/q/2", b""));
    assert_eq!((fits.refused, texts(&fits)), (None, vec![]), "a hard limit stands in for the soft one");
    let hard = s.run(OpCode::Create, data("/q/3", b""));
    assert_eq!(hard.refused, Some(QuotaExceeded));
    assert_eq!(texts(&hard), ["Quota exceeded: /q [current count=4, hardCountLimit=3]"]);
    // The quota is asked before the version, and only growth counts.
    assert_eq!(refusal(&mut s, OpCode::SetData, set_data("/q/1", b"1234567", 99)), QuotaExceeded);
    assert_eq!(refusal(&mut s, OpCode::SetData, set_data("/q/1", b"abcdef", 99)), BadVersion);
    s.run(OpCode::SetData, set_data("/zookeeper/quota/q/zookeeper_limits", b"count=1,bytes=5", -1));
    let soft = s.run(OpCode::Create, data("/q/3", b"x"));
    assert_eq!(soft.refused, None);
    assert_eq!(
        texts(&soft),
        [
            "Quota exceeded: /q [current count=4, softCountLimit=1]",
            "Quota exceeded: /q [current bytes=11, softByteLimit=5]"
        ]
    );
    assert_eq!(soft.quotas_exceeded[0].namespace, "q");
    assert_eq!(s.run(OpCode::Create, data("/elsewhere", b"x")).quotas_exceeded, []);
}

/// The body of a request whose path is null: what stands behind the path comes from a proper one.
fn null_path(write: impl FnOnce(&mut Writer)) -> impl FnOnce(&mut Writer) {
    move |w: &mut Writer| {
        let mut body = Vec::new();
        write(&mut Writer::new(&mut body));
        assert_eq!(body[..4], [0, 0, 0, 2], "the path stands first and has two bytes");
        w.int(-1);
        w.out.extend_from_slice(&body[6..]);
    }
}

#[test]
fn a_null_path_is_found_where_the_path_is_first_looked_at() {
    let mut s = Server::new();
    let acl = || Some(open_acl());
    for (op, body, expected) in [
        (OpCode::SetData, Box::new(set_data("/a", b"x", -1)) as Box<dyn FnOnce(&mut Writer)>, BadArguments),
        (OpCode::SetAcl, Box::new(set_acl("/a", acl(), -1)), BadArguments),
        (OpCode::Delete, Box::new(delete("/a", -1)), MarshallingError),
        (OpCode::Create, Box::new(with_acl("/a", acl(), 0)), MarshallingError),
        (OpCode::Create2, Box::new(with_acl("/a", None, 0)), MarshallingError),
        (OpCode::CreateContainer, Box::new(with_acl("/a", acl(), 77)), BadArguments),
        (OpCode::Create, Box::new(with_acl("/a", acl(), 5)), BadArguments),
        (OpCode::CreateTtl, Box::new(create_ttl("/a", 5, 100)), MarshallingError),
        (OpCode::CreateTtl, Box::new(create_ttl("/a", 0, 100)), BadArguments),
    ] {
        assert_eq!(refusal(&mut s, op, null_path(body)), expected, "{op:?}");
    }
    s.options.owner_rules.extended_types = false;
    assert_eq!(refusal(&mut s, OpCode::CreateTtl, null_path(create_ttl("/a", 5, 100))), Unimplemented);
    s.session_check = Err(SessionExpired);
    assert_eq!(refusal(&mut s, OpCode::SetData, null_path(set_data("/a", b"x", -1))), SessionExpired);
    assert_eq!(refusal(&mut s, OpCode::Delete, null_path(delete("/a", -1))), SessionExpired);
    // What is cut off behind the path cannot be read at all.
    let cut = |w: &mut Writer| {
        w.int(-1);
        w.buffer(Some(b"x"));
    };
    assert_eq!(refusal(&mut s, OpCode::SetData, cut), MarshallingError);
}

#[test]
fn a_limit_that_is_no_pairs_of_numbers_refuses_what_it_would_judge() {
    let mut s = Server::new();
    s.given("/q");
    s.given("/q/1");
    s.given("/zookeeper/quota/q");
    let node = |path: &'static str, data: Option<&'static [u8]>| {
        move |w: &mut Writer| CreateRequest { path: path.into(), data, acl: Some(open_acl()), flags: 0 }.write(w)
    };
    let limits = "/zookeeper/quota/q/zookeeper_limits";
    s.run(OpCode::Create, node(limits, None));
    // Without enforceQuota nobody asks.
    s.given("/q/2");
    s.options.enforce_quota = true;
    for text in [None, Some(&b"nonsense"[..]), Some(b"count=x"), Some(b"count="), Some(b",count=1"), Some(b"=")] {
        s.run(OpCode::SetData, move |w| SetDataRequest { path: limits.into(), data: text, version: -1 }.write(w));
        assert_eq!(refusal(&mut s, OpCode::Create, node("/q/3", None)), MarshallingError, "{text:?}");
        assert_eq!(refusal(&mut s, OpCode::SetData, set_data("/q/1", b"data", 99)), MarshallingError, "{text:?}");
        assert_eq!(s.run(OpCode::Delete, delete("/q/none", -1)).refused, Some(NoNode), "deletes are not judged");
        let create = CreateRequest { path: "/q/3".into(), data: None, acl: Some(open_acl()), flags: 0 };
        let multi = [MultiOp::Create { op: OpCode::Create, request: create }];
        assert_eq!(refusal(&mut s, OpCode::Multi, |w| write_multi(&multi, w)), MarshallingError, "a multi as a whole");
    }
    for text in [&b""[..], b",;", b"count==1", b"=3", b"bytes=-1=;other=2"] {
        s.run(OpCode::SetData, move |w| SetDataRequest { path: limits.into(), data: Some(text), version: -1 }.write(w));
        assert_eq!(refusal(&mut s, OpCode::SetData, set_data("/q/1", b"data", 99)), BadVersion, "{text:?}");
    }
}

#[test]
fn no_version_is_ever_the_one_that_stands_for_any() {
    assert_eq!(next_version(i32::MAX, -1), Ok(i32::MIN), "it runs over");
    assert_eq!(next_version(-3, -1), Ok(-2));
    assert_eq!(next_version(-2, -2), Ok(0));
    assert_eq!(next_version(0, 0), Ok(1));
    assert_eq!(next_version(-1, -1), Ok(0), "the node of the configuration starts there");
}
