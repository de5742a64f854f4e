//! The two threads of a connection of the quorum port.
//!
//! The writer thread sends what the core could not send at once, and snapshots. The reader thread waits for the socket, and has
//! [`super::intake`] take what comes.

use super::intake::Intake;
use super::link::{Item, PeerLink, Side};
use super::shared::PeerShared;
use crate::core_queue::{CoreEvent, to_core};
use crate::lock::lock;
use oxkeeper_proto::quorum::SNAP_SIGNATURE;
use oxkeeper_replica::Input as ReplicaInput;
use oxkeeper_tree::{ImageId, ImageProgress};
use oxkeeper_zab::{Input, LinkId};
use std::io::{self, ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread::Builder;

/// A snapshot is copied out in pieces of this size, each under one hold of the shared side.
const PIECE_BYTES: usize = 256 << 10;

/// Takes a connected socket: registers the link, has `announce` tell the core of it, and starts its threads.
pub fn start(
    shared: &Arc<PeerShared>,
    id: LinkId,
    socket: TcpStream,
    address: SocketAddr,
    side: Side,
    announce: impl FnOnce(),
) -> io::Result<()> {
    let link = Arc::new(PeerLink::new(id, socket, address, side));
    let intake = Arc::new(Intake::new(shared, &link));
    lock(&shared.links).insert(id, link.clone());
    if side != Side::Leader {
        shared.core.open_inlet(id, intake.clone());
    }
    announce();
    let writer = {
        let (shared, link) = (shared.clone(), link.clone());
        Builder::new().name(format!("link-{}-out", id.0)).spawn(move || write_all(&shared, &link))
    };
    let reader = {
        let (shared, link) = (shared.clone(), link.clone());
        let read = move || finish(&shared, &link, &intake.read_all());
        Builder::new().name(format!("link-{}-in", id.0)).spawn(read)
    };
    if let Err(error) = writer.and(reader) {
        tracing::error!("no thread for the connection of {address}: {error}");
        link.shut_down();
        finish(shared, &link, "there is no thread for it");
    }
    Ok(())
}

// ---- the writer thread

fn write_all(shared: &PeerShared, link: &PeerLink) {
    while let Some(item) = link.next_item() {
        let (bytes, written) = match item {
            Item::Bytes(bytes) => (bytes.len(), (&link.socket).write_all(&bytes)),
            Item::Image { image, generation } => {
                let written = write_image(shared, link, image, generation);
                shared.core.put_one(CoreEvent::Input(ReplicaInput::ImageSent { image }));
                (0, written)
            }
        };
        if written.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock) {
            let pause = shared.options.snapshot_pause_max.as_millis();
            tracing::warn!("closing the connection of {}: for {pause} ms it has taken nothing", link.peer());
        }
        link.written(bytes, written.is_ok());
    }
    for item in link.unsent() {
        if let Item::Image { image, .. } = item {
            shared.core.put_one(CoreEvent::Input(ReplicaInput::ImageSent { image }));
        }
    }
}

/// The raw stream of a snapshot: sessions, ACLs, nodes, end mark; then the signature.
fn write_image(shared: &PeerShared, link: &PeerLink, image: ImageId, generation: u64) -> io::Result<()> {
    let server = &shared.server;
    let gone = || io::Error::other("the history that the snapshot is of was replaced");
    // A learner that takes nothing for so long is gone. Only this thread waits for the socket.
    let pause = shared.options.snapshot_pause_max;
    link.socket.set_write_timeout(Some(pause).filter(|pause| !pause.is_zero()))?;
    let mut cursor = {
        let state = server.handover.shared();
        if server.history.generation() != generation || !state.tree.has_image(image) {
            return Err(gone());
        }
        state.tree.image_cursor(image)
    };
    let (mut piece, mut progress, mut sent) = (Vec::with_capacity(2 * PIECE_BYTES), ImageProgress::More, 0);
    while progress != ImageProgress::Done {
        piece.clear();
        {
            let state = server.handover.shared();
            if server.history.generation() != generation || !state.tree.has_image(image) {
                return Err(gone());
            }
            progress = state.tree.image_next(&mut cursor, &mut piece, PIECE_BYTES);
        }
        (&link.socket).write_all(&piece)?;
        sent += piece.len();
        link.image_taken(piece.len());
    }
    let mut signature = (SNAP_SIGNATURE.len() as u32).to_be_bytes().to_vec();
    signature.extend_from_slice(SNAP_SIGNATURE.as_bytes());
    (&link.socket).write_all(&signature)?;
    tracing::info!("sent a snapshot of {sent} bytes to {}", link.peer());
    Ok(())
}

// ---- the reader thread

/// The end, told by the reader.
fn finish(shared: &PeerShared, link: &PeerLink, why: &str) {
    lock(&shared.links).remove(&link.id);
    shared.core.close_inlet(link.id);
    if link.end() {
        tracing::info!("the connection with {} has ended: {why}", link.peer());
        shared.core.put_one(to_core(Input::LinkClosed { link: link.id }));
    }
}
