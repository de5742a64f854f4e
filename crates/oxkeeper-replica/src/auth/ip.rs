//! The ip scheme: addresses as text, with an optional number of leading bits (reference `IPAuthenticationProvider`).

use oxkeeper_types::Id;
use oxkeeper_types::address::host_text;
use std::net::IpAddr;

/// The id that every connection has from its start.
pub fn ip_id(peer: IpAddr) -> Id {
    Id::new("ip", host_text(peer))
}

/// Bytes of an address: the first `length` (4 or 16) count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Address {
    bytes: [u8; 16],
    length: usize,
}

impl Address {
    fn parse(text: &str) -> Option<Address> {
        if text.contains(':') { parse_v6(text).map(|bytes| Address { bytes, length: 16 }) } else { parse_v4(text) }
    }

    /// Keeps the first `bits` bits and clears the others.
    fn masked(mut self, bits: usize) -> Address {
        for (at, byte) in self.bytes.iter_mut().enumerate() {
            let kept = bits.saturating_sub(at * 8).min(8) as u32;
            *byte &= !(0xff_u32 >> kept) as u8;
        }
        self
    }
}

fn parse_v4(text: &str) -> Option<Address> {
    let mut bytes = [0; 16];
    let mut count = 0;
    for part in text.split('.') {
        if count == 4 {
            return None;
        }
        // As Java's parseInt: a sign and leading zeros are fine.
        bytes[count] = u8::try_from(part.parse::<i32>().ok()?).ok()?;
        count += 1;
    }
    (count == 4).then_some(Address { bytes, length: 4 })
}

/// Eight groups of at most four hex digits, or fewer with one `::`. No embedded IPv4, no zone.
fn parse_v6(text: &str) -> Option<[u8; 16]> {
    let mut halves = text.split("::");
    let (before, after, more) = (halves.next().unwrap_or_default(), halves.next(), halves.next());
    if more.is_some() {
        return None;
    }
    let groups = |half: &str| if half.is_empty() { 0 } else { half.split(':').count() };
    let mut bytes = [0; 16];
    match after {
        None => {
            if groups(before) != 8 {
                return None;
            }
            write_groups(before, &mut bytes)?;
        }
        Some(after) => {
            let count = groups(after);
            if groups(before) + count >= 8 {
                return None;
            }
            write_groups(before, &mut bytes)?;
            write_groups(after, &mut bytes[16 - 2 * count..])?;
        }
    }
    Some(bytes)
}

fn write_groups(half: &str, out: &mut [u8]) -> Option<()> {
    if half.is_empty() {
        return Some(());
    }
    for (at, group) in half.split(':').enumerate() {
        if group.is_empty() || group.len() > 4 {
            return None;
        }
        let value = i32::from_str_radix(group, 16).ok()?;
        out[2 * at..2 * at + 2].copy_from_slice(&(value as u16).to_be_bytes());
    }
    Some(())
}

/// `address` or `address/bits`.
fn parse_prefix(text: &str) -> Option<(Address, usize)> {
    let (address, bits) = match text.split_once('/') {
        None => (Address::parse(text)?, None),
        Some((address, bits)) => (Address::parse(address)?, Some(bits.parse::<i32>().ok()?)),
    };
    let most = address.length * 8;
    let bits = bits.map_or(Some(most), |bits| usize::try_from(bits).ok().filter(|bits| *bits <= most))?;
    Some((address, bits))
}

pub(super) fn is_valid(id: &str) -> bool {
    parse_prefix(id).is_some()
}

pub(super) fn matches(caller: &str, wanted: &str) -> bool {
    let Some((wanted, bits)) = parse_prefix(wanted) else { return false };
    let Some(caller) = Address::parse(caller) else { return false };
    caller.length == wanted.length && caller.masked(bits) == wanted.masked(bits)
}
