//! No text, however odd, makes the reader panic.

use super::*;

/// Lines that come near real ones, so that the rules between keys are reached.
fn line() -> impl Strategy<Value = String> {
    let names: Vec<String> = options::all().map(|row| row.name.replace('*', "1")).collect();
    let values = prop::sample::select(vec![
        "true",
        "false",
        "yes",
        "no",
        "0",
        "-1",
        "3",
        "99999999999999999999",
        "0x7fffffff",
        "9223372036854775807",
        "a:1:2",
        "a:1:2;[::1]:3",
        "[::1]:1:2:observer|b:3:4",
        "[",
        "]:",
        ";",
        "|",
        "::",
        "1:2:3",
        "\\u",
        "\\",
        "*",
        "nan",
        "inf",
        "-1d",
        "1e999",
        "/data",
        "Default",
    ]);
    let value = prop_oneof![values.prop_map(str::to_string), "\\PC{0,12}"];
    (prop::sample::select(names), value).prop_map(|(name, value)| format!("{name}={value}"))
}

proptest! {
    #[test]
    fn any_text_is_answered_without_a_panic(text in "(?s).{0,200}", myid in "(?s).{0,6}", flags in "(?s).{0,60}") {
        let mut inputs = inputs(&text);
        inputs.jvmflags = flags;
        let _ = Config::load(&inputs, &mut |_| Ok(Some(myid.clone())));
        let _ = rewrite::static_file(&text, "/x", true);
    }

    #[test]
    fn any_lines_of_known_keys_are_answered_without_a_panic(
        lines in prop::collection::vec(line(), 0..12),
        flags in prop::collection::vec(line(), 0..6),
        myid in prop::sample::select(vec!["1", "2", "x", ""]),
    ) {
        let mut inputs = inputs(&base(&lines.join("\n")));
        inputs.server_jvmflags = flags.iter().map(|line| format!("-Dzookeeper.{line} -D{line}")).collect::<Vec<_>>().join(" ");
        let dynamic = "server.1=a:1:2\nserver.2=b:1:2";
        let mut read = |path: &Path| Ok(Some(if path.ends_with("myid") { myid } else { dynamic }.to_string()));
        if let Err(error) = Config::load(&inputs, &mut read) {
            prop_assert!(error.to_string().len() > 10);
        }
    }
}
