//! What requests are made of: small pools of paths, data, versions and ACLs, so that requests meet each other. Valid and
//! invalid values. Must not know which requests there are.

use crate::requests::{AclArg, Data};
use crate::rng::Rng;
use oxkeeper_types::acl::open_acl;
use oxkeeper_types::{Acl, Id, Perms};

/// What a program is about; drawn once per program, so that programs differ in kind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Theme {
    /// Percent of creates and setACLs that restrict access. With any, setWatches stays away (see `departures`).
    pub acl_percent: u32,
    /// Percent of paths below /zookeeper/quota.
    pub quota_percent: u32,
    /// Percent of paths that no node can have.
    pub bad_path_percent: u32,
    /// Weights of the kinds of requests, in the order of `program::KINDS`.
    pub weights: Vec<u32>,
}

const NAMES: &[&str] = &["a", "b", "c"];

/// Valid paths that are odd in some way.
const ODD_PATHS: &[&str] = &["/\u{e9}", "/a/\u{4e2d}\u{6587}", "/a b", "/..x", "/a/...", "/-", "/a/.h", "/\u{a0}"];

const BAD_PATHS: &[&str] = &[
    "",
    "a",
    "a/b",
    "/a/",
    "//",
    "//a",
    "/a//b",
    "/.",
    "/..",
    "/a/.",
    "/a/../b",
    "/./a",
    "/a/..",
    "/a\0",
    "/a\u{1}b",
    "/\u{7f}",
    "/\u{9f}",
    "/\u{e000}",
    "/\u{f8ff}",
    "/\u{fff0}",
    "/\u{fffd}",
    "/\u{1f600}",
    "/a/b/",
    "/b/\u{0}",
    " /a",
];

const SYSTEM_PATHS: &[&str] =
    &["/", "/zookeeper", "/zookeeper/config", "/zookeeper/quota", "/zookeeper/a", "/zookeeper/quota/a"];

/// Nodes that have meaning to the server, and with what they may be filled.
const QUOTA_PATHS: &[&str] = &[
    "/zookeeper/quota/a",
    "/zookeeper/quota/a/zookeeper_limits",
    "/zookeeper/quota/a/zookeeper_stats",
    "/zookeeper/quota/a/b",
    "/zookeeper/quota/a/b/zookeeper_limits",
    "/zookeeper/quota/a/b/zookeeper_stats",
    "/zookeeper/quota/c",
    "/zookeeper/quota/c/zookeeper_limits",
    "/zookeeper/quota/c/zookeeper_stats",
];
const QUOTA_TEXTS: &[&str] = &[
    "count=3,bytes=-1",
    "count=-1,bytes=10",
    "count=2,bytes=5=;byteHardLimit=40;countHardLimit=4",
    "count=-1,bytes=-1=;byteHardLimit=20;countHardLimit=-1",
    "count=-1,bytes=-1=;byteHardLimit=-1;countHardLimit=2",
    "count=0,bytes=0",
    "count=1,bytes=1=;byteHardLimit=1;countHardLimit=1",
];

/// Limits that are none. Usage is never such a text: the reference ends its request thread on it, with the next write.
const SPOILED_LIMITS: &[Option<&str>] = &[
    None,
    Some(""),
    Some("nonsense"),
    Some("count=x,bytes=1"),
    Some("count="),
    Some(",count=1"),
    Some("="),
    Some("count==1;;bytes=1"),
    Some("count=1,bytes=1=;other=2"),
];

impl Theme {
    /// A path for a create, or for anything else.
    pub fn path(&self, rng: &mut Rng) -> String {
        if rng.chance(self.bad_path_percent) {
            return rng.pick(BAD_PATHS).to_string();
        }
        if rng.chance(self.quota_percent) {
            return rng.pick(QUOTA_PATHS).to_string();
        }
        match rng.weighted(&[78, 5, 6, 9]) {
            0 => plain_path(rng),
            1 => rng.pick(ODD_PATHS).to_string(),
            2 => rng.pick(SYSTEM_PATHS).to_string(),
            // What sequential creates left.
            _ => format!("{}{:010}", sequence_prefix(rng), rng.below(6)),
        }
    }

    /// A path that a sequential create gives: the number is still to come.
    pub fn sequence_path(&self, rng: &mut Rng) -> String {
        if rng.chance(self.bad_path_percent) { self.path(rng) } else { sequence_prefix(rng) }
    }

    pub fn data(&self, path: &str, rng: &mut Rng) -> Data {
        if path.ends_with("/zookeeper_limits") && rng.chance(20) {
            return rng.pick(SPOILED_LIMITS).map_or(Data(None), Data::text);
        }
        if path.starts_with("/zookeeper/quota/") {
            return Data::text(rng.pick::<&str>(QUOTA_TEXTS));
        }
        match rng.weighted(&[10, 10, 60, 15, 4, 1]) {
            0 => Data(None),
            1 => Data(Some(Vec::new())),
            2 => Data(Some(vec![b'x'; rng.below(12)])),
            3 => Data(Some((0..rng.below(60)).map(|i| (i * 37) as u8).collect())),
            4 => Data(Some(vec![b'y'; 1000 + rng.below(100_000)])),
            // About the most that a frame may hold; beyond it the connection is closed.
            _ => Data(Some(vec![b'z'; 1_048_500 + rng.below(100)])),
        }
    }

    pub fn acl(&self, rng: &mut Rng) -> AclArg {
        if rng.chance(2) {
            return bad_acl(rng);
        }
        if !rng.chance(self.acl_percent) {
            return AclArg(Some(open_acl()));
        }
        if rng.chance(15) {
            return bad_acl(rng);
        }
        let n = 1 + rng.weighted(&[70, 20, 10]);
        let mut list: Vec<Acl> = (0..n).map(|_| Acl::new(perms(rng), good_id(rng))).collect();
        if rng.chance(10) {
            list.push(list[0].clone());
        }
        AclArg(Some(list))
    }
}

fn plain_path(rng: &mut Rng) -> String {
    let depth = 1 + rng.weighted(&[45, 40, 15]);
    (0..depth).map(|_| format!("/{}", rng.pick(NAMES))).collect()
}

fn sequence_prefix(rng: &mut Rng) -> String {
    rng.pick(&["/a/s-", "/b/", "/s", "/a/b/q-", "/"]).to_string()
}

pub fn version(rng: &mut Rng) -> i32 {
    match rng.weighted(&[45, 45, 10]) {
        0 => -1,
        1 => rng.below(4) as i32,
        _ => *rng.pick(&[-2, 7, 1000, i32::MAX, i32::MIN]),
    }
}

fn perms(rng: &mut Rng) -> Perms {
    *rng.pick(&[
        Perms::ALL,
        Perms::ALL,
        Perms::READ,
        Perms(3),
        Perms(5),
        Perms(0x1e),
        Perms(0x0f),
        Perms::ADMIN,
        Perms(0),
        Perms(0x20),
        Perms(-1),
    ])
}

/// `u1:p1` and `u2:p2` under SHA-1.
pub const DIGEST_U1: &str = "u1:fpT/y03U+EjItKZOSLGvjnJlyng=";
pub const DIGEST_U2: &str = "u2:o9NxcCGDPOlcV7JVhmKHOf5ctVE=";

fn good_id(rng: &mut Rng) -> Id {
    match rng.below(9) {
        0 | 1 => Id::anyone(),
        2 => Id::new("digest", DIGEST_U1),
        3 => Id::new("digest", DIGEST_U2),
        4 => Id::new("auth", ""),
        5 => Id::new("auth", "anything"),
        6 => Id::new("ip", "127.0.0.1"),
        7 => Id::new("ip", *rng.pick(&["127.0.0.0/8", "127.0.0.1/32", "0.0.0.0/0", "127.0.0.1/0"])),
        _ => Id::new("ip", *rng.pick(&["10.0.0.1", "10.0.0.0/8", "::1", "fe80::/10", "2001:db8::1/128"])),
    }
}

fn bad_acl(rng: &mut Rng) -> AclArg {
    let one = |scheme: &str, id: &str| AclArg(Some(vec![Acl::new(Perms::ALL, Id::new(scheme, id))]));
    match rng.below(14) {
        0 => AclArg(None),
        1 => AclArg(Some(Vec::new())),
        2 => one("world", "someone"),
        3 => one("", ""),
        4 => one("nothing", "x"),
        5 => one("digest", "nocolon"),
        6 => one("digest", "a:b:c"),
        7 => one("ip", "not an address"),
        8 => one("ip", "127.0.0.1/33"),
        9 => one("ip", "1.2.3"),
        10 => one("ip", "127.0.0.1/-1"),
        11 => one("super", ""),
        12 => one("x509", "CN=x"),
        _ => one("sasl", "user"),
    }
}

/// Credentials: scheme, data, and whether the server takes them.
pub fn credentials(rng: &mut Rng) -> (Option<String>, Data, bool) {
    let some = |scheme: &str| Some(scheme.to_string());
    match rng.weighted(&[30, 25, 12, 8, 8, 3, 3, 3, 3]) {
        0 => (some("digest"), Data::text("u1:p1"), true),
        1 => (some("digest"), Data::text("u2:p2"), true),
        2 => (some("digest"), Data::text("super:secret"), true),
        3 => (some("digest"), Data::text("super:wrong"), true),
        4 => (some("ip"), Data(Some(Vec::new())), true),
        5 => (some("world"), Data::text("anyone"), false),
        6 => (some("nothing"), Data::text("x"), false),
        7 => (some("digest"), Data::text("nocolon"), false),
        _ => (some("auth"), Data(Some(Vec::new())), false),
    }
}

/// Paths for the lists of setWatches, which the reference takes as they are.
pub fn watch_list(rng: &mut Rng) -> Vec<String> {
    (0..rng.below(4))
        .map(|_| if rng.chance(10) { rng.pick(&["/", "/zookeeper", "/a b"]).to_string() } else { plain_path(rng) })
        .collect()
}
