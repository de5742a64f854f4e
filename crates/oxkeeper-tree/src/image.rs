//! A point in time of the tree as snapshot bytes, while the tree goes on changing.
//!
//! Owns frozen images: [`Tree::freeze`] takes note of sessions, ACL lists and the extent of the slab; from then on the first
//! change of each node leaves its old state (the pre-image) behind. Nodes never move and are never renamed, so the slab
//! itself is the list of what to write: each slot is read from its pre-image, or live where it has none.
//! The layout is the reference's (`SerializeUtils.serializeSnapshot`): sessions, ACL lists, nodes, "/". Must not know files.

use crate::acl_cache::OPEN;
use crate::content::Content;
use crate::node::{AclIndex, NodeId};
use crate::tree::Tree;
use oxkeeper_proto::jute::Writer;
use oxkeeper_types::{AclList, Millis, SessionId, StatPersisted, Zxid};

/// A frozen image of one tree. Never used twice in the life of the tree.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ImageId(u64);

/// Whether an image has more bytes to give.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ImageProgress {
    More,
    Done,
}

/// Slots per table of pre-images, which is made when the first of them changes.
const TABLE: usize = 256;

/// What a slot held when the image was frozen.
enum Saved {
    /// Nothing: the node there now is younger than the image.
    Absent,
    Node(Box<PreImage>),
}

struct PreImage {
    parent: NodeId,
    content: Content,
    stat: StatPersisted,
    acl: AclIndex,
}

pub(crate) struct Image {
    id: ImageId,
    zxid: Zxid,
    digest: u64,
    sessions: Vec<(SessionId, Millis)>,
    acls: Vec<(AclIndex, AclList)>,
    /// Slots from here on were first used after the image was frozen.
    slots: u32,
    nodes: usize,
    saved: Vec<Option<Box<[Option<Saved>]>>>,
    saved_nodes: usize,
}

impl Image {
    fn saved(&self, slot: u32) -> Option<&Saved> {
        self.saved[slot as usize / TABLE].as_ref()?[slot as usize % TABLE].as_ref()
    }

    /// Keeps `state` for a slot that has nothing kept yet.
    fn save(&mut self, slot: u32, state: impl FnOnce() -> Saved) {
        if slot >= self.slots {
            return;
        }
        let table = self.saved[slot as usize / TABLE].get_or_insert_with(|| (0..TABLE).map(|_| None).collect());
        let entry = &mut table[slot as usize % TABLE];
        if entry.is_none() {
            *entry = Some(state());
            self.saved_nodes += 1;
        }
    }
}

/// How far an image was read. One image can be read by several cursors.
#[derive(Debug)]
pub struct ImageCursor {
    image: ImageId,
    at: Position,
    /// A bit per slot that was written. Parents are written before their children, also where their slot comes later.
    written: Vec<u64>,
    /// The path of the node whose children were written last.
    parent: NodeId,
    parent_path: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Position {
    /// The next session; the count goes before the first.
    Sessions(usize),
    Acls(usize),
    Slot(u32),
    Done,
}

/// A node as it was when the image was frozen.
struct Frozen<'a> {
    parent: NodeId,
    content: &'a Content,
    acl: AclIndex,
    stat: StatPersisted,
}

impl Tree {
    /// Freezes the state of now as an image, to be read by [`Tree::image_next`] and dropped by [`Tree::thaw`].
    pub fn freeze(&mut self) -> ImageId {
        self.images_made += 1;
        let id = ImageId(self.images_made);
        let slots = self.nodes.slots();
        self.images.push(Image {
            id,
            zxid: self.last_processed,
            digest: self.digest.value,
            sessions: self.sessions.iter().collect(),
            acls: self.acls.iter().map(|(index, list)| (index, list.clone())).collect(),
            slots,
            nodes: self.nodes.len(),
            saved: (0..(slots as usize).div_ceil(TABLE)).map(|_| None).collect(),
            saved_nodes: 0,
        });
        id
    }

    /// Drops an image and its pre-images.
    pub fn thaw(&mut self, id: ImageId) {
        let before = self.images.len();
        self.images.retain(|image| image.id != id);
        assert_eq!(self.images.len() + 1, before, "{id:?} is not frozen");
    }

    /// Whether the image is frozen here: it is not any more where the tree was replaced by another.
    pub fn has_image(&self, id: ImageId) -> bool {
        self.images.iter().any(|image| image.id == id)
    }

    /// This tree takes the place of `predecessor`: images of the two are never mixed up.
    pub fn succeed(&mut self, predecessor: &Tree) {
        assert!(self.images.is_empty(), "images of a tree that nobody serves");
        self.images_made = predecessor.images_made;
    }

    fn image(&self, id: ImageId) -> &Image {
        self.images.iter().find(|image| image.id == id).unwrap_or_else(|| panic!("{id:?} is not frozen"))
    }

    /// The last transaction that the image holds.
    pub fn image_zxid(&self, id: ImageId) -> Zxid {
        self.image(id).zxid
    }
    /// The digest of the tree at that point.
    pub fn image_digest(&self, id: ImageId) -> u64 {
        self.image(id).digest
    }
    /// How many nodes the image holds, the root counted once.
    pub fn image_nodes(&self, id: ImageId) -> usize {
        self.image(id).nodes
    }
    /// How many slots changed since the image was frozen: what it costs in memory.
    pub fn image_changed(&self, id: ImageId) -> usize {
        self.image(id).saved_nodes
    }
    /// A cursor at the image's first byte.
    pub fn image_cursor(&self, id: ImageId) -> ImageCursor {
        let written = vec![0; (self.image(id).slots as usize).div_ceil(64)];
        let (parent, parent_path) = (NodeId::ROOT, String::new());
        ImageCursor { image: id, at: Position::Sessions(0), written, parent, parent_path }
    }

    /// Keeps the state of a node that is about to change, or to go, for the images that have not kept it yet.
    #[inline]
    pub(crate) fn save_for_images(&mut self, id: NodeId) {
        if !self.images.is_empty() {
            self.save_for_images_slow(id);
        }
    }

    fn save_for_images_slow(&mut self, id: NodeId) {
        let stat = self.stat_persisted(id);
        let node = self.nodes.get(id.0);
        for image in &mut self.images {
            image.save(id.0, || {
                let (parent, content, acl) = (node.parent, node.content.clone(), node.acl);
                Saved::Node(Box::new(PreImage { parent, content, stat, acl }))
            });
        }
    }

    /// Takes note that a slot was empty when the images were frozen.
    #[inline]
    pub(crate) fn note_born_for_images(&mut self, id: NodeId) {
        for image in &mut self.images {
            image.save(id.0, || Saved::Absent);
        }
    }

    fn frozen<'a>(&'a self, image: &'a Image, slot: u32) -> Option<Frozen<'a>> {
        match image.saved(slot) {
            Some(Saved::Absent) => None,
            Some(Saved::Node(pre)) => {
                Some(Frozen { parent: pre.parent, content: &pre.content, acl: pre.acl, stat: pre.stat })
            }
            None => self.nodes.try_get(slot).map(|node| Frozen {
                parent: node.parent,
                content: &node.content,
                acl: node.acl,
                stat: self.stat_persisted(NodeId(slot)),
            }),
        }
    }

    /// Appends whole records of the image to `out` until at least `bytes_wanted` bytes were added or the end is reached.
    /// The tree may change between calls.
    pub fn image_next(&self, cursor: &mut ImageCursor, out: &mut Vec<u8>, bytes_wanted: usize) -> ImageProgress {
        let image = self.image(cursor.image);
        let end = out.len().saturating_add(bytes_wanted.max(1));
        let mut w = Writer::new(out);
        while w.out.len() < end {
            cursor.at = match cursor.at {
                Position::Sessions(n) => write_session(image, n, &mut w),
                Position::Acls(n) => write_acl(image, n, &mut w),
                Position::Slot(slot) if slot < image.slots => {
                    self.write_slot(image, cursor, slot, &mut w);
                    Position::Slot(slot + 1)
                }
                Position::Slot(_) => {
                    w.string("/");
                    Position::Done
                }
                Position::Done => break,
            }
        }
        if cursor.at == Position::Done { ImageProgress::Done } else { ImageProgress::More }
    }

    /// Writes the node in a slot, and before it those of its ancestors that are not written yet.
    fn write_slot(&self, image: &Image, cursor: &mut ImageCursor, slot: u32, w: &mut Writer<'_>) {
        let is_written = |cursor: &ImageCursor, slot: u32| cursor.written[slot as usize / 64] >> (slot % 64) & 1 == 1;
        if is_written(cursor, slot) {
            return;
        }
        let Some(frozen) = self.frozen(image, slot) else { return };
        if slot == NodeId::ROOT.0 || is_written(cursor, frozen.parent.0) {
            self.write_node(image, cursor, slot, &frozen, w);
            return;
        }
        let mut chain = vec![(slot, frozen)];
        loop {
            let parent = chain.last().expect("the chain starts with the node itself").1.parent.0;
            if is_written(cursor, parent) {
                break;
            }
            let frozen = self.frozen(image, parent);
            chain
                .push((parent, frozen.unwrap_or_else(|| panic!("slot {slot}: ancestor {parent} is not in the image"))));
        }
        for (slot, frozen) in chain.iter().rev() {
            self.write_node(image, cursor, *slot, frozen, w);
        }
    }

    fn write_node(&self, image: &Image, cursor: &mut ImageCursor, slot: u32, node: &Frozen<'_>, w: &mut Writer<'_>) {
        cursor.written[slot as usize / 64] |= 1 << (slot % 64);
        if slot == NodeId::ROOT.0 {
            w.string("");
        } else {
            if cursor.parent != node.parent {
                cursor.parent = node.parent;
                cursor.parent_path.clear();
                self.push_frozen_path(image, node.parent, &mut cursor.parent_path);
            }
            let parent_len = cursor.parent_path.len();
            cursor.parent_path.push('/');
            cursor.parent_path.push_str(node.content.name());
            w.string(&cursor.parent_path);
            cursor.parent_path.truncate(parent_len);
        }
        w.buffer(node.content.data());
        w.long(acl_number(node.acl));
        w.stat_persisted(&node.stat);
    }

    fn push_frozen_path(&self, image: &Image, id: NodeId, path: &mut String) {
        let mut names = Vec::new();
        let mut at = id;
        while at != NodeId::ROOT {
            let node = self.frozen(image, at.0).unwrap_or_else(|| panic!("ancestor {at:?} is not in the image"));
            names.push(node.content.name());
            at = node.parent;
        }
        for name in names.iter().rev() {
            path.push('/');
            path.push_str(name);
        }
    }
}

/// The id of an ACL list in files: -1 is the open one, which is never listed.
fn acl_number(index: AclIndex) -> i64 {
    if index == OPEN { -1 } else { index.0 as i64 }
}

fn write_session(image: &Image, n: usize, w: &mut Writer<'_>) -> Position {
    if n == 0 {
        w.count(image.sessions.len());
    }
    let Some((session, timeout)) = image.sessions.get(n) else { return Position::Acls(0) };
    w.long(session.0);
    w.int(timeout.0.clamp(i32::MIN as i64, i32::MAX as i64) as i32);
    Position::Sessions(n + 1)
}

fn write_acl(image: &Image, n: usize, w: &mut Writer<'_>) -> Position {
    if n == 0 {
        w.count(image.acls.len());
    }
    let Some((index, list)) = image.acls.get(n) else { return Position::Slot(0) };
    w.long(acl_number(*index));
    w.acl_list(list);
    Position::Acls(n + 1)
}
