//! Where Oxkeeper departs from the reference on purpose, row by row: what the reference does, what Oxkeeper does instead,
//! and a script that shows which of the two a server does. Random programs stay away from these requests ([`of`]); every
//! row must also stand in the COMPAT document. A difference that is not listed here is a bug.

use crate::player::Player;
use crate::requests::{AclArg, Data, Part, Request};
use crate::step::{Identity, Step};
use crate::universe::DIGEST_U1;
use oxkeeper_types::acl::open_acl;
use oxkeeper_types::{Acl, Id, OpCode, Perms, Zxid};
use std::net::SocketAddr;

/// A departure and how to tell it.
pub struct Departure {
    pub name: &'static str,
    /// Ids of the inventory.
    pub ids: &'static str,
    pub why: &'static str,
    pub script: fn() -> Vec<Step>,
    /// What the lines of the last step contain, in order.
    pub reference: Expected,
    pub ours: Expected,
}

/// Parts of lines: those that must be there, and those that must not.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    pub present: &'static [&'static str],
    pub absent: &'static [&'static str],
}

const REFUSED: Expected = Expected { present: &["err=-6", "c0 closed"], absent: &["err=0"] };

pub const ALL: &[Departure] = &[
    Departure {
        name: "malformed_write_takes_a_zxid_of_its_own",
        ids: "CW275 BG034",
        why: "the reference repeats the zxid of the last transaction, which blocks all commits in an ensemble",
        script: malformed_write,
        reference: Expected { present: &["reply xid=2 zxid=0x2 err=0"], absent: &[] },
        ours: Expected { present: &["reply xid=2 zxid=0x3 err=0"], absent: &[] },
    },
    Departure {
        name: "delete_container_is_refused_from_clients",
        ids: "CW083 BG035",
        why: "the reference deletes any childless node without asking its ACL",
        script: delete_container,
        reference: Expected { present: &["reply xid=2 zxid=0x3 err=0"], absent: &["closed"] },
        ours: REFUSED,
    },
    Departure {
        name: "create_session_is_refused_from_clients",
        ids: "CW052 CW094 BG035",
        why: "the reference answers with a bare connect response and gives the session a timeout beyond the maximum",
        script: create_session,
        // The bytes of its answer are no header: where the error would stand is the session's id, which may look like any.
        reference: Expected { present: &["c0 reply"], absent: &["c0 closed"] },
        ours: REFUSED,
    },
    Departure {
        name: "set_watches_replays_only_what_the_session_may_read",
        ids: "CW178 BG036",
        why: "the reference tells about changes of nodes that the client may not read",
        script: set_watches_leak,
        reference: Expected { present: &["c1 event NodeDataChanged \"/a\"", "c1 reply xid=-8"], absent: &[] },
        ours: Expected { present: &["c1 reply xid=-8"], absent: &["event"] },
    },
    Departure {
        name: "null_acl_in_multi_fails_that_part",
        ids: "CW149 CW187",
        why: "the reference treats the multi as undecodable; alone, the same create has always answered -114",
        script: null_acl_in_multi,
        reference: Expected { present: &["reply xid=1", "err=-5"], absent: &["err=0 {"] },
        ours: Expected { present: &["reply xid=1", "err=0 {-1 0 -114 -114}"], absent: &[] },
    },
    Departure {
        name: "wrong_password_leaves_the_live_connection_alone",
        ids: "CW030 CW031",
        why: "the reference closes the connection of the session before it looks at the password",
        script: wrong_password,
        reference: Expected { present: &["c1 connected", "session=0", "c0 closed"], absent: &["c0 pong"] },
        ours: Expected { present: &["c1 connected", "session=0", "c0 pong"], absent: &["c0 closed"] },
    },
    Departure {
        name: "create_ttl_without_a_ttl_mode_is_refused_whatever_the_ttl",
        ids: "CW122",
        why: "with a ttl below 0 the reference logs a transaction that it can not apply, and ends; it does not start again",
        script: ttl_without_mode,
        reference: Expected { present: &["c0 closed"], absent: &["c0 reply"] },
        ours: Expected { present: &["reply xid=1 zxid=0x2 err=-8", "c0 pong"], absent: &[] },
    },
    Departure {
        name: "create_container_in_a_pipeline_is_the_container_it_will_be",
        ids: "CW122 CW082",
        why: "createContainer always makes a container; until it is applied, the reference judges later requests by its flag",
        script: container_by_another_flag,
        // -108 there, or done, whichever of its threads is faster.
        reference: Expected { present: &["reply xid=1 zxid=0x2 err=0", "reply xid=2 zxid=0x3 err="], absent: &[] },
        ours: Expected { present: &["reply xid=1 zxid=0x2 err=0", "reply xid=2 zxid=0x3 err=0"], absent: &[] },
    },
    Departure {
        name: "a_null_id_in_an_acl_is_malformed_as_others_are",
        ids: "CW149",
        why: "the reference asks the scheme before it looks whether there is an id, and stumbles: -5",
        script: null_id_in_acl,
        reference: Expected { present: &["reply xid=1 zxid=0x2 err=-5"], absent: &["err=-114"] },
        ours: Expected { present: &["reply xid=1 zxid=0x2 err=-114"], absent: &["err=-5"] },
    },
];

/// The departure that a request would run into, if it is plain to see from the request alone. Writes that cannot be read
/// are no such: [`Player`] makes up for the zxid that the reference does not give them.
pub fn of(request: &Request) -> Option<&'static str> {
    let null_acl = |part: &Part| matches!(&part.request, Request::Create { acl, .. } | Request::CreateTtl { acl, .. } if acl.0.is_none());
    match request {
        Request::CreateTtl { flags, ttl_ms, .. } if !matches!(flags, 5 | 6) && *ttl_ms < 0 => Some(ALL[6].name),
        Request::Multi { parts, .. } if parts.iter().any(|part| of(&part.request).is_some()) => {
            parts.iter().find_map(|part| of(&part.request))
        }
        Request::Raw { op: 20, .. } => Some(ALL[1].name),
        Request::Raw { op: -10, .. } => Some(ALL[2].name),
        Request::Multi { op: OpCode::Multi, parts } if parts.iter().any(null_acl) => Some(ALL[4].name),
        // What follows it in a multi is judged by it as what follows in a pipeline is.
        Request::Multi { op: OpCode::Multi, parts } => {
            let earlier = &parts[..parts.len().saturating_sub(1)];
            earlier.iter().any(|part| is_odd_container(&part.request)).then_some(ALL[7].name)
        }
        _ => None,
    }
}

/// The same for a request that is sent before the one in front of it is answered.
pub fn when_pipelined(request: &Request) -> Option<&'static str> {
    match request {
        other if is_odd_container(other) => Some(ALL[7].name),
        other => of(other),
    }
}

/// A createContainer whose flag says something else.
fn is_odd_container(request: &Request) -> bool {
    matches!(request, Request::Create { op: OpCode::CreateContainer, flags, .. } if *flags != 4)
}

/// Plays the script of a departure and says what is not as expected.
pub fn check(departure: &Departure, address: SocketAddr, is_reference: bool) -> Result<(), String> {
    let mut player = Player::new(address, is_reference);
    player.play_departures = true;
    let mut transcript = Vec::new();
    let mut last = Vec::new();
    for step in (departure.script)() {
        last = player.play(&step);
        transcript.extend(last.iter().cloned());
    }
    let expected = if is_reference { departure.reference } else { departure.ours };
    let text = last.join("\n");
    let mut rest = text.as_str();
    for part in expected.present {
        let Some(at) = rest.find(part) else {
            return Err(format!("'{part}' is missing (or out of order) in:\n{}", transcript.join("\n")));
        };
        rest = &rest[at + part.len()..];
    }
    match expected.absent.iter().find(|part| text.contains(**part)) {
        Some(part) => Err(format!("'{part}' must not be in:\n{}", transcript.join("\n"))),
        None => Ok(()),
    }
}

fn open(slot: usize, identity: Identity) -> Step {
    Step::Open { slot, identity, timeout_ms: 150_000, read_only: Some(false), zxid_ahead: false }
}
fn request(slot: usize, request: Request) -> Step {
    Step::Request { slot, xid: None, request }
}
fn create(path: &str, acl: AclArg) -> Request {
    Request::Create { op: OpCode::Create, path: path.into(), data: Data::text("x"), acl, flags: 0 }
}
fn anyone() -> AclArg {
    AclArg(Some(open_acl()))
}

fn malformed_write() -> Vec<Step> {
    let malformed = Request::Raw { op: OpCode::Create.number(), body: Data(Some(vec![0, 0])) };
    vec![open(0, Identity::New(1)), request(0, malformed), request(0, create("/a", anyone()))]
}

fn delete_container() -> Vec<Step> {
    let body = Request::Path { op: OpCode::Sync, path: Some("/a".into()) }.body(oxkeeper_types::Zxid(0));
    let delete = Request::Raw { op: OpCode::DeleteContainer.number(), body: Data(Some(body)) };
    vec![open(0, Identity::New(1)), request(0, create("/a", anyone())), request(0, delete)]
}

fn create_session() -> Vec<Step> {
    let body = Data(Some(1_000_000_i32.to_be_bytes().to_vec()));
    let create_session = Request::Raw { op: OpCode::CreateSession.number(), body };
    vec![open(0, Identity::New(1)), request(0, create_session)]
}

fn set_watches_leak() -> Vec<Step> {
    let private = AclArg(Some(vec![Acl::new(Perms::ALL, Id::new("digest", DIGEST_U1))]));
    let lists = [vec!["/a".to_string()], vec![], vec![], vec![], vec![]];
    vec![
        open(0, Identity::New(1)),
        open(1, Identity::New(2)),
        request(0, create("/a", private)),
        Step::Request {
            slot: 1,
            xid: Some(-8),
            request: Request::SetWatches { op: OpCode::SetWatches, back: 1000, lists },
        },
    ]
}

fn null_acl_in_multi() -> Vec<Step> {
    let multi = Request::Multi { op: OpCode::Multi, parts: vec![Part::of(create("/a", AclArg(None)))] };
    vec![open(0, Identity::New(1)), request(0, multi)]
}

/// A create whose list has one entry, of scheme digest, with null for its id.
fn null_id_in_acl() -> Vec<Step> {
    let mut body = create("/a", anyone()).body(Zxid(0));
    // In the place of "world" and "anyone", and before the flags.
    body.truncate(body.len() - 4 - 4 - "anyone".len() - 4 - "world".len());
    body.extend([&6_i32.to_be_bytes()[..], b"digest", &(-1_i32).to_be_bytes(), &0_i32.to_be_bytes()].concat());
    vec![open(0, Identity::New(1)), request(0, Request::Raw { op: OpCode::Create.number(), body: Data(Some(body)) })]
}

fn ttl_without_mode() -> Vec<Step> {
    let create = Request::CreateTtl { path: "/a".into(), data: Data::text("x"), acl: anyone(), flags: 0, ttl_ms: -1 };
    vec![open(0, Identity::New(1)), request(0, create)]
}

fn container_by_another_flag() -> Vec<Step> {
    let (path, data) = ("/b".to_string(), Data::text("x"));
    let container = Request::Create { op: OpCode::CreateContainer, path, data, acl: anyone(), flags: 1 };
    vec![open(0, Identity::New(1)), Step::Burst { slot: 0, requests: vec![container, create("/b/c", anyone())] }]
}

fn wrong_password() -> Vec<Step> {
    vec![open(0, Identity::New(1)), open(1, Identity::Resume { of: 1, right_password: false })]
}
