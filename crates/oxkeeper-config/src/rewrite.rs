//! The texts that a change of members writes: the dynamic file, and the configuration file that points to it.
//!
//! Owns the texts (reference `QuorumPeerConfig.writeDynamicConfig` and `editStaticConfig`). Must not touch the files:
//! whoever does writes a new file, syncs it and renames it.

use std::collections::BTreeSet;

use oxkeeper_types::ensemble::Ensemble;

use crate::properties::{self, MalformedEscape};

/// The dynamic file's text: lines sorted, no newline at the end. With the version for `<zoo.cfg>.dynamic.next`, without it
/// for the active file, which has it in its name.
pub fn dynamic_file(members: &Ensemble, with_version: bool) -> String {
    let text = members.to_string();
    let mut lines: Vec<&str> = text.lines().filter(|line| with_version || !line.starts_with("version=")).collect();
    lines.sort_unstable();
    lines.join("\n")
}

/// The active dynamic file's name for a version: the name of the configuration file, `.dynamic.`, the version in hexadecimal.
pub fn dynamic_file_name(config_file: &str, members: &Ensemble) -> String {
    format!("{config_file}.dynamic.{:x}", members.version().0)
}

/// The configuration file's text with all that the dynamic file says taken out, and the pointer to it put at the end.
/// `erase_client_port`: this server's line has its client address now. Unlike the reference, which writes the keys back in
/// any order and loses comments, every other line stays as it is.
pub fn static_file(text: &str, dynamic_file: &str, erase_client_port: bool) -> Result<String, MalformedEscape> {
    // Twice the same key: both lines go, but `parse` shows the later one only.
    let mut dropped = BTreeSet::new();
    let mut rest = text.to_string();
    loop {
        let entries = properties::parse(&rest)?;
        let lines: Vec<usize> = entries
            .iter()
            .filter(|entry| moves(&entry.key, erase_client_port))
            .flat_map(|entry| entry.line..=entry.line_last)
            .collect();
        if lines.is_empty() {
            break;
        }
        rest = blank(&rest, &lines);
        dropped.extend(lines);
    }
    let kept = properties::natural_lines(text).into_iter().enumerate().filter(|(at, _)| !dropped.contains(&(at + 1)));
    let mut result: String = kept.map(|(_, line)| format!("{line}\n")).collect();
    while result.ends_with("\n\n") || result == "\n" {
        result.pop();
    }
    result.push_str("dynamicConfigFile=");
    result.push_str(&escaped(dynamic_file));
    result.push('\n');
    Ok(result)
}

fn moves(key: &str, erase_client_port: bool) -> bool {
    key.starts_with("server.")
        || key.starts_with("group")
        || key.starts_with("weight")
        || key == "version"
        || key.starts_with("dynamicConfigFile")
        || key.starts_with("peerType")
        || (erase_client_port && matches!(key, "clientPort" | "clientPortAddress"))
}

/// Empties lines, so that the others keep their numbers.
fn blank(text: &str, lines: &[usize]) -> String {
    let kept = properties::natural_lines(text)
        .into_iter()
        .enumerate()
        .map(|(at, line)| if lines.contains(&(at + 1)) { "" } else { line });
    kept.collect::<Vec<_>>().join("\n")
}

/// A path as the value of a properties file.
fn escaped(path: &str) -> String {
    path.replace('\\', "\\\\")
}

#[cfg(test)]
mod tests {
    use super::*;
    use oxkeeper_types::ensemble::MemberRules;

    #[test]
    fn the_dynamic_file_is_sorted_and_has_its_version_in_its_name() {
        let text = "server.2=b:1:2\nserver.10=c:1:2:observer;2181\nserver.1=a:1:2\nversion=100000004";
        let members = Ensemble::from_text(text, MemberRules::default()).unwrap();
        let lines = "server.10=c:1:2:observer;0.0.0.0:2181\nserver.1=a:1:2:participant\nserver.2=b:1:2:participant";
        assert_eq!(dynamic_file(&members, false), lines);
        assert_eq!(dynamic_file(&members, true), format!("{lines}\nversion=100000004"));
        assert_eq!(dynamic_file_name("conf/zoo.cfg", &members), "conf/zoo.cfg.dynamic.100000004");
    }

    #[test]
    fn the_static_file_keeps_everything_but_the_members() {
        let text = "# ours\ntickTime=2000\nserver.1=a:1:2\nserver.1=\\\n  a:1:3\n\nclientPort=2181\nclientPortListenBacklog=9\n\
                    weight.1=2\ngroup.1=1\npeerType=observer\ndynamicConfigFile=/old\n\n";
        assert_eq!(
            static_file(text, "/c/zoo.cfg.dynamic.1", true).unwrap(),
            "# ours\ntickTime=2000\n\nclientPortListenBacklog=9\ndynamicConfigFile=/c/zoo.cfg.dynamic.1\n"
        );
        assert_eq!(static_file("clientPort=1", "C:\\x", false).unwrap(), "clientPort=1\ndynamicConfigFile=C:\\\\x\n");
        assert_eq!(static_file("", "/x", false).unwrap(), "dynamicConfigFile=/x\n");
    }
}
