//! Finds the known key that a mistyped one most resembles.

use crate::options::{self, OptionDef, Place};

/// The known key nearest to `key`, if it is near enough to be meant.
pub(crate) fn nearest(key: &str) -> Option<String> {
    let bare = key.strip_prefix("zookeeper.").unwrap_or(key);
    if bare != key && options::find(bare).is_some() {
        return Some(bare.to_string());
    }
    let bare_lower = bare.to_lowercase();
    options::all()
        .flat_map(names_of)
        .map(|name| (distance(&bare_lower, &name.to_lowercase()), name))
        .min()
        .filter(|(distance, name)| *distance <= near_enough(bare.chars().count().min(name.chars().count())))
        .map(|(_, name)| name)
}

/// A family is offered with an N in place of its star.
fn names_of(row: &OptionDef) -> Option<String> {
    match row.name.strip_suffix('*') {
        Some(prefix) if row.place == Place::Members => Some(format!("{prefix}N")),
        Some(_) => None,
        None => Some(row.name.to_string()),
    }
}

/// A third of a short word, three letters at most.
fn near_enough(letters: usize) -> usize {
    (letters / 3).min(3)
}

/// Letters to insert, delete, replace or swap with their neighbour (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(100).collect(), b.chars().take(100).collect());
    let width = b.len() + 1;
    let mut table = vec![0; (a.len() + 1) * width];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            let cell = if i == 0 || j == 0 {
                i + j
            } else {
                let replaced = table[(i - 1) * width + j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let mut least = replaced.min(table[(i - 1) * width + j] + 1).min(table[i * width + j - 1] + 1);
                if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    least = least.min(table[(i - 2) * width + j - 2] + 1);
                }
                least
            };
            table[i * width + j] = cell;
        }
    }
    table[a.len() * width + b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_offered_only_when_it_is_near() {
        let check = |key: &str, expected: Option<&str>| assert_eq!(nearest(key).as_deref(), expected, "{key}");
        check("tickTme", Some("tickTime"));
        check("ticktime", Some("tickTime"));
        check("clinetPort", Some("clientPort"));
        check("4lw.command.whitelist", Some("4lw.commands.whitelist"));
        check("zookeeper.snapCount", Some("snapCount"));
        check("serverN", Some("server.N"));
        check("server1", Some("server.N"));
        check("completelyElse", None);
        check("x", None);
        check("", None);
    }

    #[test]
    fn distance_counts_single_mistakes() {
        assert_eq!(
            (distance("abc", "abc"), distance("abc", "acb"), distance("", "ab"), distance("abc", "xbcd")),
            (0, 1, 2, 2)
        );
    }
}
