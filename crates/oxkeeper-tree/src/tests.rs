//! Behaviour of the tree as a whole: single behaviours, and random histories beside a dumb twin.

mod behaviour;
mod images;
mod model;
mod random;
