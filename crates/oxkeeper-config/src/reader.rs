//! Looks a row of the table up in the sources and turns the text into a typed value.
//!
//! Owns how values are read (`Integer.decode`, `Boolean.parseBoolean`) and what a bad one leads to: an error for keys of
//! zoo.cfg, a warning and the default for properties, which the reference ignores in silence. Must not know what values
//! are for.

use std::collections::BTreeSet;
use std::path::PathBuf;

use oxkeeper_types::ensemble::HostPort;

use crate::options::{self, Kind, OptionDef, Outside, Place, Status};
use crate::report::{ConfigError, Warning};
use crate::sources::{Found, Sources};

pub(crate) struct Reader {
    pub sources: Sources,
    pub warnings: Vec<Warning>,
    /// Names asked for, so that a test can compare them with the table.
    pub asked: BTreeSet<&'static str>,
}

type Result<T> = std::result::Result<T, ConfigError>;

impl Reader {
    pub fn new(sources: Sources) -> Reader {
        Reader { sources, warnings: Vec::new(), asked: BTreeSet::new() }
    }

    pub fn row(&mut self, name: &str) -> &'static OptionDef {
        let row = options::all().find(|row| row.name == name);
        let row = row.unwrap_or_else(|| panic!("{name} is read but stands in no row of the table"));
        self.asked.insert(row.name);
        row
    }

    pub fn warn(&mut self, found: &Found, text: String) {
        self.warnings.push(Warning { at: Some(found.at.clone()), text });
    }
    pub fn warn_all(&mut self, text: String) {
        self.warnings.push(Warning { at: None, text });
    }

    /// A number that has a default.
    pub fn int(&mut self, name: &str) -> Result<i64> {
        let row = self.row(name);
        let Kind::Int { default: Some(default), .. } = row.kind else { panic!("{name} is no number with a default") };
        Ok(self.int_opt(name)?.unwrap_or(default))
    }

    /// A number, `None` if it is not set.
    pub fn int_opt(&mut self, name: &str) -> Result<Option<i64>> {
        let row = self.row(name);
        let Kind::Int { min, max, default, .. } = row.kind else { panic!("{name} is no number") };
        let Some(found) = self.sources.find(row) else { return Ok(None) };
        let number = match row.place {
            Place::ZooCfg | Place::Members => found.value.parse::<i64>().ok(),
            Place::Generic | Place::Property => decode(&found.value),
        };
        match number {
            Some(number) if (min..=max).contains(&number) => Ok(Some(number)),
            Some(number) if row.outside == Outside::Clamp => {
                let nearest = number.clamp(min, max);
                let text = format!("{}={number} is not {}; {nearest} is used", found.key, row.allowed());
                self.warn(&found, text);
                Ok(Some(nearest))
            }
            _ => self.bad(row, &found).map(|()| default),
        }
    }

    pub fn float(&mut self, name: &str) -> Result<f64> {
        let row = self.row(name);
        let Kind::Float { min, max, default } = row.kind else { panic!("{name} is no fraction") };
        let Some(found) = self.sources.find(row) else { return Ok(default) };
        match found.value.parse::<f64>() {
            Ok(number) if (min..=max).contains(&number) => Ok(number),
            _ => self.bad(row, &found).map(|()| default),
        }
    }

    /// Milliseconds of a time that is in hours unless it says otherwise (3.10's `autopurge.purgeInterval`).
    pub fn hours_ms(&mut self, name: &str) -> Result<i64> {
        let row = self.row(name);
        let Kind::Hours { default_ms } = row.kind else { panic!("{name} is not in hours") };
        let Some(found) = self.sources.find(row) else { return Ok(default_ms) };
        match hours_ms(&found.value) {
            Some(ms) => Ok(ms),
            None => self.bad(row, &found).map(|()| default_ms),
        }
    }

    /// A switch. Keys of zoo.cfg insist on true or false; elsewhere only "true" is true, as in the reference.
    pub fn flag(&mut self, name: &str) -> Result<bool> {
        let row = self.row(name);
        let found = self.sources.find(row);
        self.flag_of(row, found)
    }

    pub fn flag_of(&mut self, row: &'static OptionDef, found: Option<Found>) -> Result<bool> {
        let default = match row.kind {
            Kind::Bool { default } => default,
            Kind::Word { sets, .. } => !sets,
            _ => panic!("{} is no switch", row.name),
        };
        let Some(found) = found else { return Ok(default) };
        if let Kind::Word { word, sets } = row.kind {
            if found.value == word {
                return Ok(sets);
            }
            if !["yes", "no", "true", "false"].contains(&found.value.as_str()) || says(&found.value) != default {
                let text = format!("{}={} changes nothing: expected {}", found.key, found.value, row.allowed());
                self.warn(&found, text);
            }
            return Ok(default);
        }
        match found.value.to_ascii_lowercase().as_str() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ if row.place == Place::ZooCfg => self.bad(row, &found).map(|()| default),
            _ => {
                let text = format!("{}={} counts as false: only 'true' is true", found.key, found.value);
                self.warn(&found, text);
                Ok(false)
            }
        }
    }

    /// One of the allowed words, as the table spells it.
    pub fn choice(&mut self, name: &str) -> Result<&'static str> {
        let row = self.row(name);
        let Kind::Choice { allowed, default } = row.kind else { panic!("{name} is no choice") };
        let Some(found) = self.sources.find(row) else { return Ok(default) };
        match allowed.iter().find(|word| word.eq_ignore_ascii_case(&found.value)) {
            Some(word) => Ok(word),
            None => self.bad(row, &found).map(|()| default),
        }
    }

    /// Any text that has a default.
    pub fn text(&mut self, name: &str) -> String {
        let row = self.row(name);
        let (Kind::Text { default: Some(default) } | Kind::Host { default }) = row.kind else {
            panic!("{name} is no text with a default")
        };
        self.sources.find(row).map_or_else(|| default.to_string(), |found| found.value)
    }

    /// Any text, `None` if it is not set.
    pub fn text_opt(&mut self, name: &str) -> Option<String> {
        let row = self.row(name);
        self.sources.find(row).map(|found| found.value)
    }

    /// A host to listen at, in the spelling of [`HostPort`], with `port`.
    pub fn listen(&mut self, host: &str, port: u16) -> Result<HostPort> {
        let row = self.row(host);
        let Kind::Host { default } = row.kind else { panic!("{host} is no host") };
        let Some(found) = self.sources.find(row) else {
            return Ok(HostPort::new(default, port).unwrap_or_else(|_| HostPort::any(port)));
        };
        match HostPort::new(&found.value, port) {
            Ok(listen) => Ok(listen),
            Err(_) => self.bad(row, &found).map(|()| HostPort::any(port)),
        }
    }

    /// A path, `None` if it is not set or empty.
    pub fn path(&mut self, name: &str) -> Option<PathBuf> {
        self.text_opt(name).filter(|path| !path.is_empty()).map(PathBuf::from)
    }

    /// Words separated by commas, without blanks around them and without empty ones.
    pub fn list(&mut self, name: &str) -> Vec<String> {
        let row = self.row(name);
        let Kind::List { default } = row.kind else { panic!("{name} is no list") };
        let text = self.sources.find(row).map_or_else(|| default.to_string(), |found| found.value);
        text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_string).collect()
    }

    /// An error or a warning about a value that its row does not allow.
    fn bad(&mut self, row: &'static OptionDef, found: &Found) -> Result<()> {
        let error = wrong(row, found, row.allowed());
        if row.outside == Outside::Refuse || row.place == Place::ZooCfg {
            return Err(error);
        }
        let shown = shown(row, found);
        let text = format!(
            "{}={shown}: expected {}; the default is used: {}",
            found.key,
            row.allowed(),
            match row.default_text() {
                none if none.is_empty() => "nothing".to_string(),
                default => default,
            }
        );
        self.warn(found, text);
        Ok(())
    }

    /// One warning for each key that nothing knows, one for all that are known but not obeyed yet.
    pub fn warn_of_keys(&mut self) {
        let mut not_yet = Vec::new();
        let mut warnings = Vec::new();
        for entry in &self.sources.entries {
            match options::find(&entry.key) {
                Some(row) if is_without_effect(row, &entry.value) => not_yet.push(entry.key.clone()),
                Some(_) => {}
                None => warnings.push(unknown(&self.sources.found(entry), &entry.key)),
            }
        }
        for name in self.sources.properties.keys() {
            let Some(found) = self.sources.property(name) else { continue };
            match options::find_property(name) {
                Some(row) if is_without_effect(row, &found.value) => not_yet.push(found.key),
                Some(_) => {}
                None if name.starts_with("zookeeper.") => warnings.push(unknown_property(name, &found)),
                None => {}
            }
        }
        self.warnings.extend(warnings);
        if !not_yet.is_empty() {
            not_yet.sort();
            self.warn_all(format!("not supported yet, and without effect: {}", not_yet.join(", ")));
        }
    }
}

/// Whether the server does not obey a key, or not with this value.
fn is_without_effect(row: &OptionDef, value: &str) -> bool {
    let class = value.rsplit('.').next().unwrap_or_default();
    match row.name {
        "metricsProvider.className" => class != "DefaultMetricsProvider",
        "authProvider.*" => !BUILT_IN_PROVIDERS.contains(&class),
        "admin.enableServer" => value != "false",
        _ => row.status == Status::NotYet,
    }
}

/// Classes of the reference that stand for what needs neither TLS nor SASL.
const BUILT_IN_PROVIDERS: &[&str] =
    &["DigestAuthenticationProvider", "IPAuthenticationProvider", "EnsembleAuthenticationProvider"];

pub(crate) fn wrong(row: &OptionDef, found: &Found, allowed: String) -> ConfigError {
    ConfigError::Value { at: found.at.clone(), key: found.key.clone(), value: shown(row, found), allowed }
}

fn shown(row: &OptionDef, found: &Found) -> String {
    if row.is_secret() { "***".to_string() } else { found.value.clone() }
}

fn unknown(found: &Found, bare: &str) -> Warning {
    let hint = crate::nearest::nearest(bare).map(|name| format!("; is {name} meant?")).unwrap_or_default();
    Warning { at: Some(found.at.clone()), text: format!("unknown key {}{hint}", found.key) }
}

/// A key of zoo.cfg alone, given as a property, has no effect in the reference either.
fn unknown_property(name: &str, found: &Found) -> Warning {
    let bare = name.trim_start_matches("zookeeper.");
    let text = match options::find(bare) {
        Some(row) if row.place == Place::Property => {
            format!("{} has no effect: the name of the property is {}", found.key, row.name)
        }
        Some(_) => format!("{} has no effect: {bare} is read from the configuration file only", found.key),
        None => return unknown(found, bare),
    };
    Warning { at: Some(found.at.clone()), text }
}

fn says(word: &str) -> bool {
    matches!(word, "yes" | "true")
}

/// `java.lang.Integer.decode`: decimal, `0x` or `#` hexadecimal, a leading 0 octal.
fn decode(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let hexadecimal =
        digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")).or_else(|| digits.strip_prefix('#'));
    let (digits, radix) = match (hexadecimal, digits.strip_prefix('0')) {
        (Some(digits), _) => (digits, 16),
        (None, Some(octal)) if !octal.is_empty() => (octal, 8),
        _ => (digits, 10),
    };
    if digits.starts_with(['-', '+']) {
        return None;
    }
    let number = i128::from_str_radix(digits, radix).ok()?;
    i64::try_from(if negative { -number } else { number }).ok()
}

/// `12`, `12h`, `30m`, `1d`, `500ms`.
fn hours_ms(text: &str) -> Option<i64> {
    let at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let unit_ms: i64 = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "" | "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.trim().parse::<i64>().ok()?.checked_mul(unit_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_decoded_as_java_does() {
        for (text, number) in [
            ("10", Some(10)),
            ("-10", Some(-10)),
            ("+7", Some(7)),
            ("0x1F", Some(31)),
            ("-0X1f", Some(-31)),
            ("#ff", Some(255)),
            ("010", Some(8)),
            ("0", Some(0)),
            ("09", None),
            ("", None),
            ("-", None),
            ("0x", None),
            ("--1", None),
            ("1 ", None),
            ("9223372036854775807", Some(i64::MAX)),
            ("9223372036854775808", None),
            ("-9223372036854775808", Some(i64::MIN)),
        ] {
            assert_eq!(decode(text), number, "{text}");
        }
    }

    #[test]
    fn hours_may_carry_a_unit() {
        for (text, ms) in [
            ("1", Some(3_600_000)),
            ("2h", Some(7_200_000)),
            ("30m", Some(1_800_000)),
            ("1d", Some(86_400_000)),
            ("5 s", Some(5000)),
            ("500ms", Some(500)),
            ("0", Some(0)),
            ("-1", Some(-3_600_000)),
            ("1w", None),
            ("h", None),
            ("", None),
        ] {
            assert_eq!(hours_ms(text), ms, "{text}");
        }
    }
}
