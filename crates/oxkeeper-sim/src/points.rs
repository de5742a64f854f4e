//! Names: the points of a server's work at which it can be made to crash, and the words of the transcript.

use oxkeeper_proto::quorum::Packet;
use oxkeeper_replica::output::PeerOutput;
use oxkeeper_replica::{Control, Input};
use oxkeeper_types::ErrorCode;
use oxkeeper_types::persist::Persist;

/// The code of "there is no such node".
pub const NO_NODE: i32 = ErrorCode::NoNode.number();

type Pair = (&'static str, &'static str);

/// Makes the two names of each output, and the list of all.
macro_rules! points {
    ($($constant:ident = $what:literal;)*) => {
        $(const $constant: Pair = (concat!("before ", $what), concat!("after ", $what));)*
        /// Every point there is.
        pub const ALL: &[&str] = &[
            $($constant.0, $constant.1,)*
            "before the disk works", "after the disk has worked", "before an image is installed",
            "after an image was installed", "before an apply", "after an apply", "before a delivery",
        ];
    };
}

points! {
    APPEND = "an append";
    ROLL = "a log is rolled";
    TRUNCATE = "a log is cut";
    INSTALL = "an image is asked for";
    ACCEPTED_EPOCH = "acceptedEpoch";
    CURRENT_EPOCH = "currentEpoch";
    ESTABLISHED = "a session is established";
    CLOSE = "a client is closed";
    SERVE = "serving changes";
    SNAPSHOT = "a snapshot begins";
    NOTIFY = "a notification";
    DIAL = "the leader is dialled";
    CLOSE_LINK = "a link is closed";
    IMAGE = "an image is sent";
    HISTORY = "history is read";
    ROLE = "the role changes";
    REQUEST = "REQUEST";
    PROPOSAL = "PROPOSAL";
    ACK = "ACK";
    COMMIT = "COMMIT";
    PING = "PING";
    REVALIDATE = "REVALIDATE";
    SYNC = "SYNC";
    INFORM = "INFORM";
    NEWLEADER = "NEWLEADER";
    FOLLOWERINFO = "FOLLOWERINFO";
    UPTODATE = "UPTODATE";
    DIFF = "DIFF";
    TRUNC = "TRUNC";
    SNAP = "SNAP";
    LEADERINFO = "LEADERINFO";
    ACKEPOCH = "ACKEPOCH";
    ACTIVATE = "a configuration is activated";
}

pub fn of_persist(request: &Persist) -> Pair {
    match request {
        Persist::Append { .. } => APPEND,
        Persist::RollLog => ROLL,
        Persist::TruncateLog { .. } => TRUNCATE,
        Persist::InstallSnapshot { .. } => INSTALL,
        Persist::AcceptedEpoch(_) => ACCEPTED_EPOCH,
        Persist::CurrentEpoch(_) => CURRENT_EPOCH,
    }
}

pub fn of_control(control: &Control) -> Pair {
    match control {
        Control::Established { .. } => ESTABLISHED,
        Control::Close { .. } => CLOSE,
        Control::Serve { .. } => SERVE,
        Control::Snapshot { .. } => SNAPSHOT,
    }
}

pub fn of_peer(output: &PeerOutput) -> Pair {
    match output {
        PeerOutput::Notify { .. } => NOTIFY,
        PeerOutput::DialLeader { .. } => DIAL,
        PeerOutput::Send { packet, .. } => of_packet(packet),
        PeerOutput::CloseLink { .. } => CLOSE_LINK,
        PeerOutput::SendImage { .. } => IMAGE,
        PeerOutput::ReadHistory { .. } => HISTORY,
        PeerOutput::Role { .. } | PeerOutput::Tell(_) => ROLE,
    }
}

fn of_packet(packet: &Packet) -> Pair {
    match packet {
        Packet::Request { .. } => REQUEST,
        Packet::Proposal { .. } => PROPOSAL,
        Packet::Ack { .. } => ACK,
        Packet::Commit { .. } => COMMIT,
        Packet::Ping { .. } => PING,
        Packet::Revalidate(_) => REVALIDATE,
        Packet::Sync { .. } => SYNC,
        Packet::Inform { .. } => INFORM,
        Packet::NewLeader { .. } => NEWLEADER,
        Packet::FollowerInfo { .. } | Packet::ObserverInfo { .. } => FOLLOWERINFO,
        Packet::UpToDate { .. } => UPTODATE,
        Packet::Diff { .. } => DIFF,
        Packet::Trunc { .. } => TRUNC,
        Packet::Snap { .. } => SNAP,
        Packet::LeaderInfo { .. } => LEADERINFO,
        Packet::AckEpoch(_) => ACKEPOCH,
        Packet::CommitAndActivate { .. } | Packet::InformAndActivate { .. } => ACTIVATE,
    }
}

pub fn persist_text(request: &Persist) -> String {
    match request {
        Persist::Append { zxid, txn } => format!("append {zxid}, {} bytes", txn.len()),
        other => format!("{other:?}"),
    }
}

pub fn packet_text(packet: &Packet) -> String {
    match packet {
        Packet::Proposal { zxid, .. } => format!("PROPOSAL {zxid}"),
        Packet::Inform { zxid, .. } => format!("INFORM {zxid}"),
        Packet::NewLeader { epoch, .. } => format!("NEWLEADER {}", epoch.0),
        Packet::Request { request, .. } => format!("REQUEST op {} session {}", request.op, request.session),
        other => format!("{other:?}"),
    }
}

pub fn peer_text(output: &PeerOutput) -> String {
    match output {
        PeerOutput::Notify { to, notification } => format!("notify {} {notification:?}", to.0),
        PeerOutput::Send { link, packet } => format!("link {} {}", link.0, packet_text(packet)),
        other => format!("{other:?}"),
    }
}

pub fn input_text(input: &Input) -> String {
    use oxkeeper_zab::Input as Zab;
    match input {
        Input::Peer(Zab::Packet { link, packet }) => format!("link {} {}", link.0, packet_text(packet)),
        Input::Peer(Zab::HistoryRead { link, after, txns }) => {
            format!("history for link {} behind {after}: {:?}", link.0, txns.as_ref().map(Vec::len))
        }
        Input::Peer(other) => format!("{other:?}"),
        Input::Submit(request) => {
            format!("{} session {} xid {}", request.op.name(), request.session, request.xid.0)
        }
        Input::Connect { conn, request } => format!("connect {} session {}", conn.0, request.session),
        Input::StateReplaced { tree } => format!("state replaced, now at {}", tree.last_processed()),
        other => format!("{other:?}"),
    }
}
