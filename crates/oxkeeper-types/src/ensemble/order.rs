//! The order in which the reference's hash maps give back server numbers.
//!
//! Owns only that order. It shows in `/zookeeper/config`: `HashMap<Long, …>` filled from `Properties`. Up to 15 the numbers
//! come out ascending; above that they wrap, and numbers that share a bucket keep the order in which the properties,
//! themselves a hash map of strings, gave them. Servers of both kinds in one ensemble must hold the same bytes.

/// `HashMap`'s first table; it doubles when more than three quarters full.
const TABLE_MIN: usize = 16;

/// `ids` in the order of a Java `HashMap<Long, …>` that was filled from properties named `prefix` + id, of which there
/// were `properties` with the others.
pub fn of_ids(ids: impl IntoIterator<Item = i64>, prefix: &str, properties: usize) -> Vec<i64> {
    let mut ids: Vec<i64> = ids.into_iter().collect();
    let slots = table_size(ids.len());
    // `ConcurrentHashMap`, which is inside `Properties`, grows one entry earlier than `HashMap`.
    let property_slots = table_size(properties + 1);
    // Stable sorts: first the order of the properties, then the buckets of the numbers.
    ids.sort_by_key(|id| bucket(string_hash(&format!("{prefix}{id}")), property_slots));
    ids.sort_by_key(|id| bucket((*id ^ ((*id as u64) >> 32) as i64) as u32, slots));
    ids
}

fn table_size(entries: usize) -> usize {
    let mut slots = TABLE_MIN;
    while entries > slots / 4 * 3 {
        slots *= 2;
    }
    slots
}

/// Both `HashMap` and `ConcurrentHashMap` fold the high half into the low half before they take the low bits.
fn bucket(hash: u32, slots: usize) -> usize {
    (hash ^ (hash >> 16)) as usize & (slots - 1)
}

/// `String.hashCode` of ASCII text.
fn string_hash(text: &str) -> u32 {
    text.bytes().fold(0u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(u32::from(byte)))
}
