//! Behaviour of the tree as a whole.

mod behaviour;
