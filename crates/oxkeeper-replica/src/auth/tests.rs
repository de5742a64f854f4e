//! Schemes, ids and ACL rules by behaviour.

use super::password::*;
use super::*;
use crate::options::{DigestAlgorithm, Options};
use oxkeeper_types::acl::open_acl;
use oxkeeper_types::address::host_text;
use oxkeeper_types::node::OwnerRules;
use oxkeeper_types::{Acl, ErrorCode, Millis, Perms, ServerId, SessionId};

fn options() -> Options {
    let mut options = Options::default();
    options.auth.sasl_enabled = true;
    options.auth.x509_enabled = true;
    options
}

fn peer() -> IpAddr {
    "10.1.2.3".parse().unwrap()
}

fn acl(scheme: &str, id: &str) -> Acl {
    Acl::new(Perms::ALL, Id::new(scheme, id))
}

fn try_auth(options: &Options, scheme: &str, auth: &[u8]) -> (AuthVerdict, Vec<Id>) {
    let mut ids = vec![];
    let verdict = authenticate(&options.auth, Some(scheme), Some(auth), peer(), &mut ids);
    (verdict, ids)
}

#[test]
fn digest_ids_are_user_and_hash() {
    // The first is the example of the administrator's guide; the others were computed with the JDK.
    assert_eq!(digest_id(DigestAlgorithm::Sha1, "super:test"), "super:D/InIHSb7yEEbrWz8b9l71RjZJU=");
    assert_eq!(digest_id(DigestAlgorithm::Sha256, "a:b"), "a:Z4OjHqv2jMwGYPk1wIJigr3SJB86gKny0Q1Zrqnrtdg=");
    assert_eq!(digest_id(DigestAlgorithm::Sha1, "a:b"), "a:3OptnM09ILoVSfbZtd3mB0IViII=");
    assert_eq!(digest_id(DigestAlgorithm::Md5, "a:b"), "a:2BYMmz3CDU6TGutPRSYhVQ==");
    assert_eq!(digest_id(DigestAlgorithm::Sha3_256, "a:b"), "a:ejvga8z66+WtMLJrmlP4mB2ikyi0ZnEdX7dJ2QqhVbg=");
    let sha512 = "a:mdoaJYs51sQ7xY1yh5/CxU2MLd6OyA+mb0neO06R7P3yavbdaDJ9XFm/4RaKEBLXUxeYO/0qTS5uXf3tYf0Smw==";
    assert_eq!(digest_id(DigestAlgorithm::Sha512, "a:b"), sha512);
    assert!(digest_id(DigestAlgorithm::Sha1, "nocolon").starts_with("nocolon:"));
}

#[test]
fn digest_auth_adds_an_id_once() {
    let options = options();
    let mut ids = vec![ip_id(peer())];
    for _ in 0..2 {
        let verdict = authenticate(&options.auth, Some("digest"), Some(b"u:p"), peer(), &mut ids);
        assert_eq!(verdict, AuthVerdict::Accepted);
    }
    assert_eq!(ids.len(), 2);
    assert_eq!(ids[1].scheme, "digest");
}

#[test]
fn the_super_digest_adds_super_too() {
    let mut options = options();
    options.auth.super_digest = Some("super:D/InIHSb7yEEbrWz8b9l71RjZJU=".into());
    let (verdict, ids) = try_auth(&options, "digest", b"super:test");
    assert_eq!(verdict, AuthVerdict::Accepted);
    assert_eq!(ids[0], Id::new("super", ""));
    assert_eq!(try_auth(&options, "digest", b"super:wrong").1.len(), 1);
}

#[test]
fn unknown_schemes_fail() {
    let mut options = options();
    for scheme in ["world", "auth", "super", "ensemble", "sasl", "x509", "nope"] {
        assert_eq!(try_auth(&options, scheme, b"x").0, AuthVerdict::Failed, "{scheme}");
    }
    assert_eq!(authenticate(&options.auth, None, Some(b"x"), peer(), &mut vec![]), AuthVerdict::Failed);
    assert_eq!(authenticate(&options.auth, Some("digest"), None, peer(), &mut vec![]), AuthVerdict::Failed);
    assert_eq!(try_auth(&options, "ip", b"x"), (AuthVerdict::Accepted, vec![Id::new("ip", "10.1.2.3")]));
    options.auth.digest_enabled = false;
    assert_eq!(try_auth(&options, "digest", b"a:b").0, AuthVerdict::Failed);
}

#[test]
fn a_client_of_another_ensemble_is_closed_without_an_answer() {
    let mut options = options();
    assert_eq!(try_auth(&options, "ensemble", b"").0, AuthVerdict::Failed, "the scheme is not known");
    options.auth.ensemble_enabled = true;
    for name in [&b""[..], b"any"] {
        assert_eq!(try_auth(&options, "ensemble", name), (AuthVerdict::Accepted, vec![]), "it has no name of its own");
    }
    options.auth.ensemble_names = vec!["one".into(), "two".into()];
    assert_eq!(try_auth(&options, "ensemble", b"two"), (AuthVerdict::Accepted, vec![]));
    assert_eq!(try_auth(&options, "ensemble", b""), (AuthVerdict::Accepted, vec![]));
    assert_eq!(try_auth(&options, "ensemble", b"three"), (AuthVerdict::CloseWithoutReply, vec![]));
}

#[test]
fn certificates_and_sasl_names_become_ids() {
    let mut options = options();
    options.auth.x509_super_user = Some("CN=root".into());
    options.auth.sasl_super_users = vec!["admin".into()];
    let mut ids = vec![];
    add_x509_ids(&options.auth, "CN=a", &mut ids);
    add_sasl_ids(&options.auth, "bob", &mut ids);
    assert_eq!(ids, [Id::new("x509", "CN=a"), Id::new("sasl", "bob")]);
    assert_eq!(authenticate(&options.auth, Some("x509"), None, peer(), &mut ids), AuthVerdict::Accepted);
    let mut ids = vec![];
    add_x509_ids(&options.auth, "CN=root", &mut ids);
    assert_eq!(ids, [Id::new("super", "CN=root"), Id::new("x509", "CN=root")]);
    let mut ids = vec![];
    add_sasl_ids(&options.auth, "admin", &mut ids);
    assert_eq!(ids, [Id::new("sasl", "admin"), Id::new("super", "")]);
}

#[test]
fn enforced_schemes_must_be_met() {
    let mut options = options();
    assert!(meets_enforcement(&options.auth, &[]));
    options.auth.enforced_schemes = vec!["sasl".into(), "digest".into()];
    assert!(!meets_enforcement(&options.auth, &[ip_id(peer())]));
    assert!(meets_enforcement(&options.auth, &[Id::new("digest", "a:b")]));
}

#[test]
fn addresses_are_named_as_java_does() {
    let name = |text: &str| host_text(text.parse().unwrap());
    assert_eq!(name("127.0.0.1"), "127.0.0.1");
    assert_eq!(name("::1"), "0:0:0:0:0:0:0:1");
    assert_eq!(name("2001:db8::ff00:42"), "2001:db8:0:0:0:0:ff00:42");
    assert_eq!(name("::ffff:10.0.0.1"), "10.0.0.1");
}

#[test]
fn ip_ids_in_acls() {
    for id in ["1.2.3.4", "1.2.3.4/0", "1.2.3.4/32", "::1", "::", "1::/64", "2001:db8:0:0:0:0:0:1/128", "01.2.3.4"] {
        assert!(Scheme::Ip.is_valid(id), "{id}");
    }
    for id in [
        "",
        "1.2.3",
        "1.2.3.4.5",
        "1.2.3.256",
        "1.2.3.4/33",
        "1.2.3.4/-1",
        "1.2.3.4/",
        "a.b.c.d",
        "1.2.3.4/8/8",
        ":::",
        "1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:8:9",
        "1::2::3",
        "12345::",
        "g::",
        "::/129",
        "1:2:3:4::5:6:7:8",
        "1:",
    ] {
        assert!(!Scheme::Ip.is_valid(id), "{id}");
    }
}

#[test]
fn ip_entries_match_by_prefix() {
    let options = options();
    let matches = |caller, wanted| Scheme::Ip.matches(&options.auth, caller, wanted);
    assert!(matches("10.1.2.3", "10.1.2.3"));
    assert!(matches("10.1.2.3", "10.1.0.0/16"));
    assert!(matches("10.1.2.3", "10.1.99.99/16"));
    assert!(!matches("10.2.2.3", "10.1.0.0/16"));
    assert!(matches("10.1.2.3", "10.1.2.0/30"));
    assert!(!matches("10.1.2.4", "10.1.2.0/30"));
    assert!(matches("99.0.0.1", "0.0.0.0/0"));
    assert!(matches("2001:db8:0:0:0:0:0:9", "2001:db8::/32"));
    assert!(matches("0:0:0:0:0:0:0:1", "::1"));
    assert!(!matches("2001:db9:0:0:0:0:0:9", "2001:db8::/32"));
    assert!(!matches("10.1.2.3", "::/0"));
    assert!(!matches("nonsense", "0.0.0.0/0"));
}

#[test]
fn digest_ids_need_one_colon() {
    for (id, valid) in
        [("a:b", true), (":b", true), ("a:b:", true), ("a", false), ("a:", false), ("a:b:c", false), ("", false)]
    {
        assert_eq!(Scheme::Digest.is_valid(id), valid, "{id:?}");
    }
}

#[test]
fn sasl_ids_are_kerberos_names() {
    for id in ["bob", "bob/host", "bob@REALM", "bob/host@REALM", "a/b/c", "", "@R"] {
        assert!(Scheme::Sasl.is_valid(id), "{id:?}");
    }
    for id in ["a/b/c@R", "a@b@c", "a@b/c"] {
        assert!(!Scheme::Sasl.is_valid(id), "{id:?}");
    }
}

#[test]
fn x509_ids_are_distinguished_names() {
    // Each was put to Java's X500Principal.
    for id in [
        "",
        "CN=",
        "CN=a;O=b",
        "OID.1.2=x",
        "CN=a\\,b",
        "cn=a, ou=b; O=c+L=d",
        "CN=\"a,b\"",
        "CN=a=b",
        "C=toolong",
        "DC=é",
        "CN = a ",
        "CN=#130161",
    ] {
        assert!(Scheme::X509.is_valid(id), "{id:?}");
    }
    for id in [
        "CN=a,",
        "XX=a",
        "CN=\"a",
        "CN=a\\",
        "CN=#1",
        "CN=\"a\"b",
        "1=x",
        "CN=#1603",
        " ",
        "CN=a<b",
        "CN=a\\zb",
        "a",
        "CN=a+",
        ",CN=a",
    ] {
        assert!(!Scheme::X509.is_valid(id), "{id:?}");
    }
}

#[test]
fn any_sasl_user_can_be_let_in() {
    let mut options = options();
    let guarded = [Acl::new(Perms::READ, Id::new("sasl", "everyone"))];
    let caller = [Id::new("sasl", "bob")];
    assert!(!allowed(&options, Some(&guarded), Perms::READ, &caller));
    options.auth.let_any_sasl_user_do_x = Some("everyone".into());
    assert!(allowed(&options, Some(&guarded), Perms::READ, &caller));
    assert!(!allowed(&options, Some(&guarded), Perms::WRITE, &caller));
    assert!(!allowed(&options, Some(&guarded), Perms::READ, &[Id::new("digest", "a:b")]));
}

#[test]
fn a_list_grants_by_bit_scheme_and_id() {
    let bits = [Perms::READ, Perms::WRITE, Perms::CREATE, Perms::DELETE, Perms::ADMIN, Perms::ALL];
    assert_eq!(bits.map(|perms| perms.0), [1, 2, 4, 8, 16, 31]);
    let options = options();
    let guarded = [
        Acl::new(Perms::READ, Id::anyone()),
        Acl::new(Perms(Perms::WRITE.0 | Perms::ADMIN.0), Id::new("digest", "a:b")),
    ];
    let anonymous = [ip_id(peer())];
    assert!(allowed(&options, Some(&guarded), Perms::READ, &anonymous));
    assert!(!allowed(&options, Some(&guarded), Perms::WRITE, &anonymous));
    assert!(allowed(&options, Some(&guarded), Perms(Perms::READ.0 | Perms::ADMIN.0), &anonymous));
    assert!(allowed(&options, Some(&guarded), Perms::WRITE, &[Id::new("digest", "a:b")]));
    assert!(!allowed(&options, Some(&guarded), Perms::WRITE, &[Id::new("x509", "a:b")]));
    assert!(!allowed(&options, Some(&guarded), Perms::DELETE, &[Id::new("digest", "a:b")]));
    assert!(allowed(&options, Some(&guarded), Perms::DELETE, &[Id::new("super", "")]));
}

#[test]
fn no_list_and_skip_acl_let_everybody_pass() {
    let mut options = options();
    assert!(allowed(&options, None, Perms::ALL, &[]));
    assert!(allowed(&options, Some(&[]), Perms::ALL, &[]));
    assert!(!allowed(&options, Some(&[acl("digest", "a:b")]), Perms::ALL, &[]));
    options.skip_acl = true;
    assert!(allowed(&options, Some(&[acl("digest", "a:b")]), Perms::ALL, &[]));
}

#[test]
fn a_scheme_that_is_switched_off_grants_nothing() {
    let mut options = options();
    options.auth.digest_enabled = false;
    assert!(!allowed(&options, Some(&[acl("digest", "a:b")]), Perms::READ, &[Id::new("digest", "a:b")]));
}

#[test]
fn lists_are_fixed_up() {
    let options = options();
    let caller = [ip_id(peer()), Id::new("digest", "a:b"), Id::new("super", "")];
    let fix = |list: Vec<Acl>| fixup_acl(&options, &caller, Some(list));
    assert_eq!(fix(open_acl()), Ok(open_acl()));
    assert_eq!(fix(vec![acl("digest", "u:p"), acl("digest", "u:p")]), Ok(vec![acl("digest", "u:p")]));
    // ip and super are not proof of who somebody is.
    assert_eq!(fix(vec![acl("auth", "ignored")]), Ok(vec![acl("digest", "a:b")]));
    assert_eq!(fix(vec![acl("ip", "1.2.3.0/24"), acl("sasl", "x")]).map(|l| l.len()), Ok(2));
}

#[test]
fn bad_lists_are_refused() {
    let options = options();
    let caller = [ip_id(peer())];
    assert_eq!(fixup_acl(&options, &caller, None), Err(ErrorCode::InvalidAcl));
    assert_eq!(fixup_acl(&options, &caller, Some(vec![])), Err(ErrorCode::InvalidAcl));
    for (scheme, id) in
        [("world", "bob"), ("auth", ""), ("digest", "nocolon"), ("ip", "x"), ("super", ""), ("", ""), ("ensemble", "a")]
    {
        assert_eq!(
            fixup_acl(&options, &caller, Some(vec![acl(scheme, id)])),
            Err(ErrorCode::InvalidAcl),
            "{scheme}:{id}"
        );
    }
}

#[test]
fn password_hashes_are_masked() {
    let list = [acl("digest", "u:secret"), acl("sasl", "a:b"), acl("digest", "odd")];
    assert_eq!(masked_acl(&list), [acl("digest", "u:x"), acl("sasl", "a:b"), acl("digest", "odd")]);
}

#[test]
fn user_names_of_a_caller() {
    let options = options();
    let ids = [Id::new("ip", "1.2.3.4"), Id::new("super", ""), Id::new("digest", "u:h")];
    assert_eq!(user_names(&options.auth, &ids), [("ip", "1.2.3.4"), ("super", ""), ("digest", "u")]);
    assert_eq!(joined_user_names(&options.auth, &ids).as_deref(), Some("1.2.3.4,u"));
    assert_eq!(joined_user_names(&options.auth, &ids[1..2]), None);
}

#[test]
fn session_ids_start_with_the_server() {
    let first = first_session_id(Millis(1_700_000_000_000), ServerId(3), OwnerRules::default());
    assert_eq!((first.0 as u64) >> 56, 3);
    assert_eq!(first.0 & 0xff_ffff, ((1_700_000_000_000_i64 << 24) as u64 >> 8) as i64 & 0xff_ffff);
    assert_eq!(next_session_id(first), SessionId(first.0 + 1));
    // Server 128 at time 0 would get the owner of containers.
    assert_eq!(first_session_id(Millis(0), ServerId(128), OwnerRules::default()), SessionId(i64::MIN + 1));
    assert_eq!(next_session_id(SessionId(-1)), SessionId(1));
}

#[test]
fn ids_stay_above_those_of_the_same_server_and_within_its_range() {
    let of = |server: i64, time: i64| SessionId((server << 56) | time);
    let now = Millis(1_700_000_000_000);
    let ids = |known: &[SessionId]| {
        let known = known.iter().map(|id| (*id, Millis(1)));
        SessionIds::new(now, 0, ServerId(3), OwnerRules::default(), known)
    };
    let first = ids(&[]).take();
    let ahead = SessionId(first.0 + 5_000_000);
    let leaps =
        |from: SessionId, to: SessionId| (from.0 + 1..from.0 + (2 << 32)).contains(&to.0) && to.0 >> 32 > from.0 >> 32;
    let behind = ids(&[ahead, of(4, 0xff_ffff_ffff_ffff), SessionId(-1), of(3, 7)]).take();
    assert!(leaps(ahead, behind), "{behind}: what was handed out just behind {ahead} may have ended since");
    let later =
        SessionIds::new(now + Millis(1), 0, ServerId(3), OwnerRules::default(), [(ahead, Millis(1))].into_iter())
            .take();
    assert!(leaps(ahead, later) && later != behind, "{later} in another life, {behind} in this one");
    assert_eq!(ids(&[of(3, 0xff_ffff_ffff_ffff)]).take(), first, "the last id of the range has none above it");
    let mut passed = ids(&[]);
    passed.pass(first);
    let next = passed.take();
    assert!(leaps(first, next));
    assert_eq!(passed.take(), SessionId(next.0 + 1));
    // A server above 127 has negative ids.
    let mut high = SessionIds::new(now, 0, ServerId(200), OwnerRules::default(), std::iter::empty());
    let first = high.take();
    let known = SessionId(first.0 + 9);
    high.pass(known);
    assert!(leaps(known, high.take()));
}

#[test]
fn passwords_are_those_of_the_reference() {
    // new java.util.Random(id ^ 0xB3415C00L).nextBytes(new byte[16]), computed with a JDK.
    let password = |id| u128::from_be_bytes(session_password(SessionId(id)));
    assert_eq!(password(1), 0x054cc74a37327db215e702e20c73f005);
    assert_eq!(password(0x100_0000_0000_0001), 0x054cc74a37327db215e702e20c73f005, "only 48 bits count");
    assert_eq!(password(-5), 0xd47144b5e45e45c49c3b7fdcd66257ba);
    assert!(is_session_password(SessionId(7), &session_password(SessionId(7))));
    assert!(!is_session_password(SessionId(7), &session_password(SessionId(8))));
    assert!(!is_session_password(SessionId(7), &[]));
    assert!(!is_session_password(SessionId::NONE, &session_password(SessionId::NONE)));
}
