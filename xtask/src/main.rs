//! Project tasks. `cargo xtask tidy` checks the rules of the code base.
fn main() {}
