//! Records bytes of the reference.
