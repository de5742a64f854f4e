//! Bytes to typed values and back.
