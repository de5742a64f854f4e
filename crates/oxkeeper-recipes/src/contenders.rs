//! Who contends, and in which order: from the names of the children of one directory. Pure.
//!
//! Curator's names are `_c_<uuid>-lock-0000000007`, its older ones without the prefix; Go's have the uuid without dashes; kazoo's are
//! `<hex>__lock__0000000007`. The server puts the same kind of number, one sequence for the directory, at the end of each, so
//! the numbers alone say who came first.

/// Digits at the end of a sequential node's name.
const DIGITS: usize = 10;

/// A child that has a number.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Contender {
    pub name: String,
    pub sequence: i32,
}

/// The number that the server has put at the end of a name; `None` where there is none. Ten places with a sign: below zero once the
/// counter has passed 2,147,483,647. A dash in front of the digits is the sign only behind another separator.
pub fn sequence(name: &str) -> Option<i32> {
    let digits = name.bytes().rev().take_while(u8::is_ascii_digit).count();
    let before = &name[..name.len() - digits];
    if digits >= DIGITS - 1 && (before.ends_with("--") || before.ends_with("_-")) {
        return name[before.len() - 1..].parse().ok();
    }
    name[name.len() - digits.min(DIGITS)..].parse().ok().filter(|_| digits >= DIGITS)
}

/// All contenders among `children`, the first first. Others' children without a number are none of them. Numbers that passed the end
/// come behind those that did not, as far as less than half of all numbers lies between them.
pub fn in_order(children: Vec<String>) -> Vec<Contender> {
    let contender = |name: String| sequence(&name).map(|sequence| Contender { name, sequence });
    let mut contenders: Vec<Contender> = children.into_iter().filter_map(contender).collect();
    let base = contenders.first().map_or(0, |any| any.sequence);
    contenders.sort_by(|a, b| (a.sequence.wrapping_sub(base), &a.name).cmp(&(b.sequence.wrapping_sub(base), &b.name)));
    contenders
}

/// Who must go before the one at `at` is among the first `leases` of a line.
pub fn in_front(at: usize, leases: usize) -> Option<usize> {
    at.checked_sub(leases)
}

/// The prefix that tells a creator its own node again after a lost connection (Curator's `ProtectedUtils`).
pub fn protection(id: &str) -> String {
    format!("_c_{id}-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contenders_of_curator_kazoo_and_go_are_in_the_order_of_their_numbers() {
        let names = [
            "_c_53345f98-9423-4e0c-a7b5-9f819e3ec2e1-lock-0000000003",
            "0a0b0c0d0e0f0a0b0c0d0e0f0a0b0c0d__lock__0000000001",
            "_c_53345f9894234e0ca7b59f819e3ec2e2-lock-0000000002",
            "lock-0000000000",
            "leases",
            "config-17",
        ];
        let order: Vec<i32> = in_order(names.map(String::from).to_vec()).iter().map(|c| c.sequence).collect();
        assert_eq!(order, [0, 1, 2, 3]);
    }

    #[test]
    fn names_without_ten_digits_are_nobodys() {
        for name in ["", "lock-", "lock-123", "lock-999999999x", "9999999999", "x-123456789"] {
            assert_eq!(sequence(name), None, "{name}");
        }
        assert_eq!(sequence("n2147483647"), Some(i32::MAX));
    }

    #[test]
    fn the_line_goes_on_behind_the_largest_number() {
        for (name, number) in [
            ("_c_x-lock-2147483647", i32::MAX),
            ("_c_x-lock--2147483648", i32::MIN),
            ("_c_x-lock--000000001", -1),
            ("x__WRIT__-2147483647", i32::MIN + 1),
            ("_c_x-lock-1500000000", 1_500_000_000),
        ] {
            assert_eq!(sequence(name), Some(number), "{name}");
        }
        let names = ["l--2147483647", "l-2147483646", "l--2147483648", "l-2147483647"].map(String::from).to_vec();
        let order: Vec<i32> = in_order(names).iter().map(|c| c.sequence).collect();
        assert_eq!(order, [i32::MAX - 1, i32::MAX, i32::MIN, i32::MIN + 1]);
    }
}
