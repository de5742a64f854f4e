//! Which requests become transactions, in which order, and when they count.

pub mod prep;
