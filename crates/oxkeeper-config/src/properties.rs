//! The syntax of Java properties files, which zoo.cfg and the dynamic file are written in.
//!
//! Owns lines, comments, separators, continuations and escapes (`java.util.Properties.load`). Must not know any key.

/// One key with its value, and the line it began at, counted from 1.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    pub key: String,
    pub value: String,
    pub line: usize,
    /// The line it ended at; later than `line` if it was continued.
    pub line_last: usize,
}

/// `\u` without four hexadecimal digits after it; the only thing that is no properties file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MalformedEscape {
    /// Where the entry began.
    pub line: usize,
}

/// Reads `text`. Of two entries with the same key only the later one is kept, at its own place.
pub fn parse(text: &str) -> Result<Vec<Entry>, MalformedEscape> {
    let mut entries: Vec<Entry> = Vec::new();
    for (line, line_last, logical) in logical_lines(text) {
        let (key, value) = split(&logical);
        let key = unescape(key).ok_or(MalformedEscape { line })?;
        let value = unescape(value).ok_or(MalformedEscape { line })?;
        // The reference trims both (`QuorumPeerConfig.parseProperties`); a key that is the same only after that
        // would win or lose by chance there.
        let (key, value) = (key.trim().to_string(), value.trim().to_string());
        entries.push(Entry { key, value, line, line_last });
    }
    let mut seen = std::collections::BTreeSet::new();
    entries.reverse();
    entries.retain(|entry| seen.insert(entry.key.clone()));
    entries.reverse();
    Ok(entries)
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\u{c}')
}

/// Joins continued lines; drops blank lines and comments. A comment is never continued.
fn logical_lines(text: &str) -> Vec<(usize, usize, String)> {
    let mut lines = Vec::new();
    let mut open: Option<(usize, usize, String)> = None;
    for (at, natural) in natural_lines(text).into_iter().enumerate() {
        let natural = natural.trim_start_matches(is_blank);
        if open.is_none() && (natural.is_empty() || natural.starts_with(['#', '!'])) {
            continue;
        }
        let backslashes = natural.len() - natural.trim_end_matches('\\').len();
        let continued = backslashes % 2 == 1;
        let part = if continued { &natural[..natural.len() - 1] } else { natural };
        let (_, last, line) = open.get_or_insert_with(|| (at + 1, at + 1, String::new()));
        *last = at + 1;
        line.push_str(part);
        if !continued {
            lines.extend(open.take());
        }
    }
    lines.extend(open);
    lines.retain(|(_, _, line)| !line.is_empty());
    lines
}

/// Lines end with a line feed, a carriage return, or both.
pub(crate) fn natural_lines(text: &str) -> Vec<&str> {
    let mut lines = Vec::new();
    for line in text.split('\n') {
        let line = line.strip_suffix('\r').unwrap_or(line);
        lines.extend(line.split('\r'));
    }
    lines
}

/// The key ends at the first `=`, `:` or blank that no backslash precedes; blanks and one separator are skipped after it.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line
        .char_indices()
        .find(|(_, c)| {
            let ends = !escaped && (matches!(c, '=' | ':') || is_blank(*c));
            escaped = *c == '\\' && !escaped;
            ends
        })
        .map_or(line.len(), |(at, _)| at);
    let rest = line[end..].trim_start_matches(is_blank);
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (&line[..end], rest.trim_start_matches(is_blank))
}

/// Takes the backslashes away. `None` for a bad `\u`.
fn unescape(text: &str) -> Option<String> {
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut chars = text.chars();
    let push = |units: &mut Vec<u16>, c: char| units.extend_from_slice(c.encode_utf16(&mut [0; 2]));
    while let Some(c) = chars.next() {
        if c != '\\' {
            push(&mut units, c);
            continue;
        }
        match chars.next() {
            Some('u') => {
                let mut unit = 0;
                for _ in 0..4 {
                    unit = unit * 16 + chars.next()?.to_digit(16)?;
                }
                units.push(unit as u16);
            }
            Some('t') => push(&mut units, '\t'),
            Some('r') => push(&mut units, '\r'),
            Some('n') => push(&mut units, '\n'),
            Some('f') => push(&mut units, '\u{c}'),
            Some(other) => push(&mut units, other),
            None => {}
        }
    }
    Some(String::from_utf16_lossy(&units))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(&str, &str, usize)]) {
        let entries = parse(text).unwrap();
        let got: Vec<_> = entries.iter().map(|e| (e.key.as_str(), e.value.as_str(), e.line)).collect();
        assert_eq!(got, expected);
    }

    #[test]
    fn separators_are_equals_colon_and_blank() {
        check(
            "a=1\nb:2\nc 3\nd\t=\t4\ne : 5\nf==6\ng\n",
            &[("a", "1", 1), ("b", "2", 2), ("c", "3", 3), ("d", "4", 4), ("e", "5", 5), ("f", "=6", 6), ("g", "", 7)],
        );
        check("server.1=host:2888:3888;2181", &[("server.1", "host:2888:3888;2181", 1)]);
    }

    #[test]
    fn comments_and_blank_lines_are_skipped_and_lines_counted() {
        check(
            "# one\n! two\n\n   # three \\\n  a=1 # not a comment\r\n\rb=2",
            &[("a", "1 # not a comment", 5), ("b", "2", 7)],
        );
    }

    #[test]
    fn a_backslash_at_the_end_continues_the_line() {
        check("a=1,\\\n   2,\\\r\n  3\nb=x\\\\\nc=\\\n", &[("a", "1,2,3", 1), ("b", "x\\", 4), ("c", "", 5)]);
    }

    #[test]
    fn escapes_are_taken_away() {
        check(
            "a\\=b\\ c=\\tx\\u0041\\ud83d\\ude00\\q\\:\ndataDir=C:\\\\data",
            &[("a=b c", "xA\u{1f600}q:", 1), ("dataDir", "C:\\data", 2)],
        );
        assert_eq!(parse("x=1\ny=\\u12G4"), Err(MalformedEscape { line: 2 }));
        assert_eq!(parse("y=\\u12"), Err(MalformedEscape { line: 1 }));
    }

    #[test]
    fn the_later_of_two_entries_wins() {
        check("a=1\nb=2\na=3\n", &[("b", "2", 2), ("a", "3", 3)]);
    }
}
