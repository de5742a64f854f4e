//! The typed groups of [`crate::Config`], each beside the function that fills it.

pub(crate) mod admin;
pub(crate) mod client;
pub(crate) mod ensemble;
pub(crate) mod security;
pub(crate) mod storage;

/// `None` for a number that means "no limit" or "off" by being 0 or less.
pub(crate) fn positive<T: TryFrom<i64>>(number: i64) -> Option<T> {
    if number > 0 { Some(checked(number)) } else { None }
}

/// A number whose row in the table allows only what fits.
pub(crate) fn checked<T: TryFrom<i64>>(number: i64) -> T {
    T::try_from(number).unwrap_or_else(|_| panic!("{number} passed its range in the table but does not fit its field"))
}

/// KiB to bytes.
pub(crate) fn kib(number: i64) -> u64 {
    checked::<u64>(number).saturating_mul(1024)
}
