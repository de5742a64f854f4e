//! Any op with any body, from a session that has an ephemeral, on a small tree: reads and writes alike are answered, and
//! the server's invariants (asserted inside) hold.
#![no_main]

#[path = "../../crates/oxkeeper-replica/tests/common/mod.rs"]
mod common;

use common::Server;
use libfuzzer_sys::fuzz_target;
use oxkeeper_proto::client::CreateRequest;
use oxkeeper_replica::Options;
use oxkeeper_replica::pipeline::route::{Route, route};
use oxkeeper_types::acl::open_acl;
use oxkeeper_types::node::OwnerRules;

fuzz_target!(|requests: Vec<(i32, Vec<u8>)>| {
    let mut server = Server::new(Options {
        enforce_quota: true,
        owner_rules: OwnerRules { extended_types: true, emulate_353_ttl: false },
        ..Options::default()
    });
    let mut conn = server.client();
    for (path, flags) in [("/a", 0), ("/a/b", 0), ("/a/e", 1)] {
        let request = CreateRequest { path: path.into(), data: None, acl: Some(open_acl()), flags };
        server.send(conn, 1, 1, |w| request.write(w));
    }
    for (op, body) in requests.into_iter().take(20) {
        let op = op % 110;
        if !matches!(route(op), Route::Read(_) | Route::Submit(_)) {
            continue;
        }
        server.got(conn);
        server.send(conn, 5, op, |w| w.out.extend_from_slice(&body));
        let got = server.got(conn);
        assert!(!got.is_empty(), "op {op} was not answered");
        if got.last() == Some(&common::Got::Closed) {
            conn = server.client();
        }
    }
});
