//! The one table of every key that an operator of the reference may set: where it may stand, what it may be, what it does.
//!
//! Owns names, places, types, defaults and ranges. Must not know how values are looked up (`reader`) or what they end up in
//! (`settings`). Split by the sections of the inventory; [`all`] joins them.

pub(crate) mod admin;
mod basic;
mod client;
mod ensemble;
mod security;

/// One key, or one family of keys whose name ends in `*`.
#[derive(Clone, Copy, Debug)]
pub struct OptionDef {
    /// As it stands in zoo.cfg. A trailing `*` means any ending.
    pub name: &'static str,
    pub place: Place,
    /// Further system properties that mean the same, looked at after the main one.
    pub also: &'static [&'static str],
    pub kind: Kind,
    /// What becomes of a number outside its range.
    pub outside: Outside,
    pub status: Status,
    /// One line for people.
    pub doc: &'static str,
}

/// Where a key may stand. Every key may stand in zoo.cfg, also those that the reference reads as a property only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// zoo.cfg alone.
    ZooCfg,
    /// zoo.cfg, or `-Dzookeeper.<name>`; the file wins.
    Generic,
    /// `-D<name>`; in the reference writing it in zoo.cfg has no effect.
    Property,
    /// A list of members: the dynamic file, or zoo.cfg.
    Members,
}

/// What the server does with a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// The server obeys it.
    Used,
    /// It means something, but the server does not obey it yet: one warning at the start names all that are set.
    NotYet,
    /// It tunes the reference's Java machine and has no meaning here: accepted in silence.
    JvmOnly,
    /// For client programs that share the file: accepted in silence.
    ClientOnly,
}

/// Type of the value, with its default.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Kind {
    /// A whole number from `min` to `max`. No default: depends on other keys, which `unset` explains.
    Int { unit: Unit, min: i64, max: i64, default: Option<i64>, unset: &'static str },
    /// A number with a fraction.
    Float { min: f64, max: f64, default: f64 },
    /// Hours, or a number with a unit (`ms`, `s`, `m`, `h`, `d`).
    Hours { default_ms: i64 },
    /// `true` or `false`.
    Bool { default: bool },
    /// On or off by one magic word; everything else means the default (`!on_word`).
    Word { word: &'static str, sets: bool },
    /// One of several words, in any case.
    Choice { allowed: &'static [&'static str], default: &'static str },
    /// Any text.
    Text { default: Option<&'static str> },
    /// Text that no message may show.
    Secret,
    /// A file or directory.
    Path { unset: &'static str },
    /// A host name or an address to listen at.
    Host { default: &'static str },
    /// Texts separated by commas.
    List { default: &'static str },
    /// The line of a member, group, weight or version; `oxkeeper_types::ensemble` reads it.
    Member,
}

/// What a number counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    Count,
    Port,
    Ms,
    Seconds,
    Minutes,
    Ticks,
    Bytes,
    Kib,
}

impl Unit {
    /// For messages: "a whole number" or "a whole number of milliseconds".
    pub fn of(self) -> &'static str {
        match self {
            Unit::Count => "",
            Unit::Port => " (a port)",
            Unit::Ms => " of milliseconds",
            Unit::Seconds => " of seconds",
            Unit::Minutes => " of minutes",
            Unit::Ticks => " of ticks",
            Unit::Bytes => " of bytes",
            Unit::Kib => " of KiB",
        }
    }
}

/// What becomes of a number outside its range.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outside {
    /// The server does not start.
    Refuse,
    /// A warning, and the default.
    Default,
    /// A warning, and the nearest allowed number.
    Clamp,
}

/// All rows, by section.
pub fn all() -> impl Iterator<Item = &'static OptionDef> {
    [basic::ROWS, client::ROWS, ensemble::ROWS, security::ROWS, admin::ROWS].into_iter().flatten()
}

/// The row of a key as it stands in zoo.cfg; an exact name beats a family.
pub fn find(key: &str) -> Option<&'static OptionDef> {
    all().find(|row| row.name == key).or_else(|| all().find(|row| row.covers(key)))
}

/// The row that reads a system property, given by its full name.
pub fn find_property(property: &str) -> Option<&'static OptionDef> {
    let reads = |row: &&OptionDef| row.properties().iter().any(|p| p == property);
    let family = |row: &&OptionDef| {
        row.place == Place::Generic && property.strip_prefix("zookeeper.").is_some_and(|k| row.covers(k))
    };
    all().find(reads).or_else(|| all().find(family))
}

impl OptionDef {
    /// The system properties it is read from, first choice first; none for a key of zoo.cfg alone.
    pub fn properties(&self) -> Vec<String> {
        let main = match self.place {
            Place::Generic => Some(format!("zookeeper.{}", self.name)),
            Place::Property => Some(self.name.to_string()),
            Place::ZooCfg | Place::Members => None,
        };
        main.into_iter().chain(self.also.iter().map(|name| name.to_string())).collect()
    }

    /// Whether it is a family that `key` belongs to.
    pub fn covers(&self, key: &str) -> bool {
        self.name.strip_suffix('*').is_some_and(|prefix| key.len() > prefix.len() && key.starts_with(prefix))
    }

    /// Whether messages must not show the value.
    pub fn is_secret(&self) -> bool {
        self.kind == Kind::Secret
    }

    /// What is allowed, for messages.
    pub fn allowed(&self) -> String {
        match self.kind {
            Kind::Int { unit, min, max, .. } => {
                let whole = format!("a whole number{}", unit.of());
                match (min, max) {
                    (min, max) if min == max => min.to_string(),
                    (i64::MIN | MIN_INT, i64::MAX | MAX_INT) => whole,
                    (i64::MIN | MIN_INT, max) => format!("{whole} up to {max}"),
                    (min, i64::MAX) => format!("{whole} from {min}"),
                    (min, max) => format!("{whole} from {min} to {max}"),
                }
            }
            Kind::Float { min: f64::MIN, max, .. } if max < f64::MAX => format!("a number of at most {max}"),
            Kind::Float { min, max, .. } if max < f64::MAX => format!("a number from {min} to {max}"),
            Kind::Float { .. } => "a number".to_string(),
            Kind::Hours { .. } => "a whole number of hours, or a number with one of ms, s, m, h, d".to_string(),
            Kind::Bool { .. } => "true or false".to_string(),
            Kind::Word { word, sets } => {
                format!("'{word}' to switch it {}; anything else leaves it {}", on(sets), on(!sets))
            }
            Kind::Choice { allowed, .. } => {
                let words: Vec<&str> = allowed.iter().map(|w| if w.is_empty() { "nothing" } else { w }).collect();
                format!("one of {}", words.join(", "))
            }
            Kind::Host { .. } => "a host name or an address".to_string(),
            Kind::Path { .. } => "a path".to_string(),
            Kind::List { .. } => "words separated by commas".to_string(),
            Kind::Text { .. } | Kind::Secret | Kind::Member => "text".to_string(),
        }
    }

    /// The default, for people and for documents.
    pub fn default_text(&self) -> String {
        match self.kind {
            Kind::Int { default: Some(default), .. } => default.to_string(),
            Kind::Int { default: None, unset, .. } | Kind::Path { unset } => unset.to_string(),
            Kind::Float { default, .. } => default.to_string(),
            Kind::Hours { default_ms } => (default_ms / 3_600_000).to_string(),
            Kind::Bool { default } => default.to_string(),
            Kind::Word { sets, .. } => on(!sets).to_string(),
            Kind::Choice { default, .. } | Kind::Host { default } | Kind::List { default } => default.to_string(),
            Kind::Text { default } => default.unwrap_or("unset").to_string(),
            Kind::Secret | Kind::Member => "unset".to_string(),
        }
    }

    pub(crate) const fn not_yet(mut self) -> OptionDef {
        self.status = Status::NotYet;
        self
    }
    pub(crate) const fn jvm(mut self) -> OptionDef {
        self.status = Status::JvmOnly;
        self
    }
    pub(crate) const fn client(mut self) -> OptionDef {
        self.status = Status::ClientOnly;
        self
    }
    pub(crate) const fn clamped(mut self) -> OptionDef {
        self.outside = Outside::Clamp;
        self
    }
    pub(crate) const fn also(mut self, names: &'static [&'static str]) -> OptionDef {
        self.also = names;
        self
    }
}

fn on(sets: bool) -> &'static str {
    if sets { "on" } else { "off" }
}

const MIN_INT: i64 = i32::MIN as i64;
const MAX_INT: i64 = i32::MAX as i64;

const fn row(place: Place, outside: Outside, name: &'static str, kind: Kind, doc: &'static str) -> OptionDef {
    OptionDef { name, place, also: &[], kind, outside, status: Status::Used, doc }
}
/// A key of zoo.cfg alone: a wrong value stops the start.
const fn z(name: &'static str, kind: Kind, doc: &'static str) -> OptionDef {
    row(Place::ZooCfg, Outside::Refuse, name, kind, doc)
}
/// A generic key: the reference takes the default in silence where the value cannot be read; we say so.
const fn g(name: &'static str, kind: Kind, doc: &'static str) -> OptionDef {
    row(Place::Generic, Outside::Default, name, kind, doc)
}
/// A system property.
const fn d(name: &'static str, kind: Kind, doc: &'static str) -> OptionDef {
    row(Place::Property, Outside::Default, name, kind, doc)
}
/// A line of the list of members.
const fn m(name: &'static str, doc: &'static str) -> OptionDef {
    row(Place::Members, Outside::Refuse, name, Kind::Member, doc)
}

/// A 32-bit number with a default.
const fn int(unit: Unit, min: i64, default: i64) -> Kind {
    Kind::Int { unit, min, max: MAX_INT, default: Some(default), unset: "" }
}
/// A 64-bit number with a default.
const fn long(unit: Unit, min: i64, default: i64) -> Kind {
    Kind::Int { unit, min, max: i64::MAX, default: Some(default), unset: "" }
}
/// A 32-bit number whose default depends on others.
const fn int_unset(unit: Unit, min: i64, unset: &'static str) -> Kind {
    Kind::Int { unit, min, max: MAX_INT, default: None, unset }
}
const fn port(default: i64) -> Kind {
    Kind::Int { unit: Unit::Port, min: 0, max: 65535, default: Some(default), unset: "" }
}
const fn port_unset() -> Kind {
    Kind::Int { unit: Unit::Port, min: 0, max: 65535, default: None, unset: "unset" }
}
const fn flag(default: bool) -> Kind {
    Kind::Bool { default }
}
const fn text(default: &'static str) -> Kind {
    Kind::Text { default: Some(default) }
}
const fn path() -> Kind {
    Kind::Path { unset: "unset" }
}
const TEXT: Kind = Kind::Text { default: None };

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_name_and_property_stands_once() {
        let mut seen = BTreeSet::new();
        for row in all() {
            assert!(seen.insert(row.name.to_string()), "{} stands twice", row.name);
            for property in row.properties() {
                assert!(seen.insert(format!("-D{property}")), "{property} is read by two rows");
            }
        }
        assert!(seen.len() > 300, "{} names", seen.len());
    }

    #[test]
    fn every_default_is_allowed_and_every_row_says_what_it_does() {
        for row in all() {
            if let Kind::Int { min, max, default: Some(default), .. } = row.kind {
                assert!((min..=max).contains(&default), "{}: default {default} outside {min}..={max}", row.name);
            }
            if let Kind::Choice { allowed, default } = row.kind {
                assert!(allowed.contains(&default), "{}: default {default}", row.name);
            }
            assert!(row.doc.len() > 8 && row.doc.ends_with('.'), "{}: '{}'", row.name, row.doc);
        }
    }

    #[test]
    fn an_exact_name_beats_a_family() {
        assert_eq!(find("superUser").unwrap().name, "superUser");
        assert_eq!(find("superUser.2").unwrap().name, "superUser.*");
        assert_eq!(find("server.1").unwrap().name, "server.*");
        assert!(find("server.").is_none() && find("serverr").is_none());
        assert_eq!(find_property("zookeeper.authProvider.x509").unwrap().name, "authProvider.*");
        assert_eq!(find_property("fsync.warningthresholdms").unwrap().name, "fsync.warningthresholdms");
        assert!(find_property("zookeeper.clientPort").is_none());
    }
}
