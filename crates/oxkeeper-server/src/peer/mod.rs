//! The other servers of an ensemble: the election port, the quorum port, and the names and addresses behind them.
//!
//! | what | module |
//! |---|---|
//! | one thread for both ports' listeners and all election connections | [`poll_thread`] |
//! | what all of them share | [`shared`] |
//! | who dials whom on the election port, one message per member | [`election_mesh`] |
//! | a connection of the quorum port, and how the core sends | [`link`] |
//! | its reader thread and its writer thread | [`link_threads`] |
//! | how what the peer sends comes in | [`intake`] |
//! | learners that connect, while it is not known who leads | [`learner_listener`] |
//! | the dial to the leader | [`learner_dial`] |
//! | a leader's snapshot on its way to the disk | [`snapshot_receiver`] |
//! | the log, read for a learner | [`history_reader`] |
//! | the list of members, kept beside the configuration file | [`members_file`] |
//!
//! [`outputs::Peers`] is the core's hand: it carries out what the replica asks for. Decides nothing about votes, epochs or history.

pub mod address;
pub mod election_link;
pub mod election_mesh;
pub mod history_reader;
pub mod intake;
pub mod learner_dial;
pub mod learner_listener;
pub mod link;
pub mod link_threads;
pub mod members_file;
pub mod options;
pub mod outputs;
pub mod poll_thread;
pub mod shared;
pub mod snapshot_receiver;

pub use options::PeerOptions;
