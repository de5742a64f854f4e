//! Compares what the four-letter words say on two servers: not the numbers, but the lines and keys that monitoring
//! scripts look for. Must not know how the answers come about.

use std::collections::BTreeSet;
use std::net::SocketAddr;

/// Words whose answers are compared, in the order of asking: those that reset counters last.
pub const WORDS: &[&str] = &[
    "conf", "cons", "srvr", "stat", "mntr", "dump", "wchs", "wchp", "wchc", "envi", "ruok", "isro", "dirs", "hash",
    "gtmk", "crst", "srst",
];

/// Keys of `mntr` and `envi` that only a Java server can have.
fn is_java_only(word: &str, key: &str) -> bool {
    match word {
        "mntr" => key.starts_with("zk_jvm_"),
        "envi" => key.starts_with("java."),
        _ => false,
    }
}

/// What one server lacks and has too much of, compared with the other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    pub word: &'static str,
    pub missing: Vec<String>,
    pub extra: Vec<String>,
}

/// Asks both servers every word. Shapes are compared as sets: how often a line comes, and its place, may differ.
pub fn compare(left: SocketAddr, right: SocketAddr) -> std::io::Result<Vec<Difference>> {
    let mut differences = Vec::new();
    for word in WORDS {
        let shapes_of = |address| {
            let answer = crate::servers::four_letter(address, word)?;
            Ok::<_, std::io::Error>(shape(word, &answer))
        };
        let (l, r) = (shapes_of(left)?, shapes_of(right)?);
        if l != r {
            differences.push(Difference {
                word,
                missing: l.difference(&r).cloned().collect(),
                extra: r.difference(&l).cloned().collect(),
            });
        }
    }
    Ok(differences)
}

/// The lines of an answer with everything left out that varies from run to run.
pub fn shape(word: &str, answer: &str) -> BTreeSet<String> {
    let mut shapes: BTreeSet<String> = answer.lines().filter_map(|line| line_shape(word, line)).collect();
    shapes.insert(format!("ends with a newline: {}", answer.ends_with('\n')));
    shapes
}

fn line_shape(word: &str, line: &str) -> Option<String> {
    let keyed = |separator: char| line.split_once(separator).filter(|(key, _)| !is_java_only(word, key));
    match word {
        "mntr" => {
            let (key, value) = keyed('\t')?;
            let form = match value.parse::<f64>() {
                Ok(_) if value.contains('.') => "decimal",
                Ok(_) => "number",
                Err(_) => "text",
            };
            Some(format!("{}\t{form}", without_namespace(key)))
        }
        "envi" if line.contains('=') => keyed('=').map(|(key, _)| format!("{key}=")),
        "conf" => match line.split_once('=') {
            Some((key, value)) if value.starts_with('/') => Some(format!("{key}=path")),
            Some((key @ ("clientPort" | "secureClientPort" | "dataDirSize" | "dataLogSize"), _)) => {
                Some(format!("{key}=number"))
            }
            _ => Some(line.to_string()),
        },
        "srvr" | "stat" if line.starts_with("Zookeeper version:") => Some("Zookeeper version:".to_string()),
        _ => Some(without_numbers(line)),
    }
}

/// Some metrics have a row for each first-level node that was used: `zk_avg_a_read_per_namespace`.
fn without_namespace(key: &str) -> String {
    let Some(at) = key.find("_read_per_namespace").or(key.find("_write_per_namespace")) else { return key.to_string() };
    let statistic_end = key.match_indices('_').nth(1).map_or(0, |(at, _)| at + 1);
    if statistic_end <= at { format!("{}*{}", &key[..statistic_end], &key[at..]) } else { key.to_string() }
}

/// Digits become `#`, hexadecimal numbers `0x#`; decimals too.
fn without_numbers(line: &str) -> String {
    let mut out = String::new();
    let bytes = line.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at..].starts_with(b"0x") {
            out.push_str("0x#");
            at += 2;
            at += bytes[at..].iter().take_while(|b| b.is_ascii_hexdigit()).count();
        } else if bytes[at].is_ascii_digit() {
            out.push('#');
            at += bytes[at..].iter().take_while(|b| b.is_ascii_digit()).count();
        } else {
            let c = line[at..].chars().next().expect("there is a byte left");
            out.push(c);
            at += c.len_utf8();
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_do_not_matter_but_words_do() {
        let a = "/127.0.0.1:40000[1](queued=0,recved=5,sent=6,sid=0x1000,lop=PING)\n";
        let b = "/127.0.0.1:5[1](queued=10,recved=7,sent=1,sid=0xabcdef,lop=PING)\n";
        assert_eq!(shape("cons", a), shape("cons", b));
        assert_ne!(shape("cons", a), shape("cons", &b.replace("lop=PING", "lop=NA")));
        assert_ne!(shape("cons", a), shape("cons", a.trim_end()));
    }

    #[test]
    fn metrics_are_compared_by_key_and_form() {
        assert_eq!(shape("mntr", "zk_a\t1\nzk_jvm_x\t3\n"), shape("mntr", "zk_a\t20\n"));
        assert_ne!(shape("mntr", "zk_a\t1\n"), shape("mntr", "zk_a\t1.5\n"));
    }
}
