//! Measures a large tree: memory, and the time of the common operations. Run in release:
//! `cargo run --release -p oxkeeper-tree --example fill [nodes]`.

use bytes::Bytes;
use oxkeeper_proto::txn::{Txn, TxnEntry, TxnHeader};
use oxkeeper_tree::{ImageLoader, ImageProgress, Tree, TreeOptions, content_crc};
use oxkeeper_types::acl::open_acl;
use oxkeeper_types::{OpCode, SessionId, Zxid};
use std::time::{Duration, Instant};

const DIRECTORIES: usize = 100;

fn main() {
    let nodes = std::env::args().nth(1).map_or(1_000_000, |n| n.parse().expect("a number of nodes"));
    let before = rss_mb();
    let mut tree = Tree::new(TreeOptions::default());
    let mut writer = Writer { zxid: 0, changes: Vec::new() };
    fill(&mut tree, &mut writer, nodes);
    println!("{nodes} nodes of 100 B: RSS {:.1} MB ({before:.1} MB when empty)", rss_mb());
    reads(&tree, nodes);
    set_data(&mut tree, &mut writer, nodes);
    image(&mut tree, &mut writer, nodes);
}

struct Writer {
    zxid: i64,
    changes: Vec<oxkeeper_tree::Change>,
}

impl Writer {
    fn entry(&mut self, txn: Txn) -> TxnEntry {
        self.zxid += 1;
        let header = TxnHeader { session: SessionId(1), cxid: 1, zxid: Zxid(self.zxid), time: 1_700_000_000_000 };
        TxnEntry { header, txn, digest: None }
    }
    fn apply(&mut self, tree: &mut Tree, entry: &TxnEntry) {
        self.changes.clear();
        let applied = tree.apply(entry, &mut self.changes);
        assert!(!applied.is_refused(), "{applied:?}");
    }
    fn create(&mut self, path: String, data: &Bytes, parent_cversion: i32) -> TxnEntry {
        let (data, acl) = (Some(data.clone()), open_acl());
        self.entry(Txn::Create { op: OpCode::Create, path, data, acl, ephemeral: false, parent_cversion })
    }
    fn set_data(&mut self, path: String, data: &Bytes) -> TxnEntry {
        self.entry(Txn::SetData { op: OpCode::SetData, path, data: Some(data.clone()), version: 1 })
    }
}

fn path(n: usize) -> String {
    format!("/zkload/d{}/n{n}", n % DIRECTORIES)
}

fn rss_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells the memory of a process");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS is a line of it");
    let kib: f64 = line.split_whitespace().nth(1).expect("a number follows").parse().expect("a number");
    kib / 1024.0
}

/// Time on a processor so far: what a busy machine does not distort as much as the wall clock.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells the CPU time of a thread");
    let nanos: f64 = text.split_whitespace().next().expect("a number comes first").parse().expect("a number");
    nanos / 1e9
}

fn report(what: &str, count: usize, taken: Duration) {
    println!("{what}: {:.0} ns each, {:.3} s in all", taken.as_nanos() as f64 / count as f64, taken.as_secs_f64());
}

fn fill(tree: &mut Tree, writer: &mut Writer, nodes: usize) {
    let empty = Bytes::new();
    let root = writer.create("/zkload".to_owned(), &empty, 1);
    writer.apply(tree, &root);
    for n in 0..DIRECTORIES {
        let entry = writer.create(format!("/zkload/d{n}"), &empty, n as i32 + 1);
        writer.apply(tree, &entry);
    }
    let (data, mut taken, mut slowest) = (Bytes::from(vec![b'x'; 100]), Duration::ZERO, Duration::ZERO);
    for n in 0..nodes {
        let entry = writer.create(path(n), &data, (n / DIRECTORIES) as i32 + 1);
        let start = Instant::now();
        writer.apply(tree, &entry);
        let one = start.elapsed();
        taken += one;
        slowest = slowest.max(one);
    }
    report("create", nodes, taken);
    println!("slowest create: {} µs", slowest.as_micros());
}

fn reads(tree: &Tree, nodes: usize) {
    let paths: Vec<String> = (0..100_000).map(|n| path(n * 7919 % nodes)).collect();
    let start = Instant::now();
    let found = paths.iter().map(|p| tree.node(p).map_or(0, |n| n.data().map_or(0, <[u8]>::len))).sum::<usize>();
    assert_eq!(found, paths.len() * 100);
    report("lookup and data, random", paths.len(), start.elapsed());
    let start = Instant::now();
    let names: usize = (0..DIRECTORIES).map(|n| tree.node(&format!("/zkload/d{n}")).unwrap().children().count()).sum();
    assert_eq!(names, nodes);
    report("child in a listing", names, start.elapsed());
}

fn set_data(tree: &mut Tree, writer: &mut Writer, nodes: usize) {
    let count = 10_000.min(nodes);
    for round in ["grow to 1 KiB", "1 KiB in place"] {
        let data = Bytes::from(vec![round.len() as u8; 1024]);
        let entries: Vec<TxnEntry> = (0..count).map(|n| writer.set_data(path(n), &data)).collect();
        let start = Instant::now();
        entries.iter().for_each(|entry| writer.apply(tree, entry));
        report(&format!("setData, {round}"), count, start.elapsed());
    }
    let data = Bytes::from(vec![b'z'; 1024]);
    let entries: Vec<TxnEntry> = (0..count).map(|n| writer.set_data(path(n), &data)).collect();
    let hints: Vec<_> = (0..count).map(|n| [content_crc(&path(n), Some(&data))]).collect();
    let start = Instant::now();
    for (entry, hint) in entries.iter().zip(&hints) {
        writer.changes.clear();
        tree.apply_hinted(entry, hint, &mut writer.changes);
    }
    report("setData, 1 KiB in place, CRC known", count, start.elapsed());
}

fn image(tree: &mut Tree, writer: &mut Writer, nodes: usize) {
    let start = Instant::now();
    let id = tree.freeze();
    let mut cursor = tree.image_cursor(id);
    println!("freeze: {} µs", start.elapsed().as_micros());
    let data = Bytes::from(vec![b'y'; 100]);
    let entries: Vec<TxnEntry> = (0..100_000.min(nodes)).map(|n| writer.set_data(path(n), &data)).collect();
    let start = Instant::now();
    entries.iter().for_each(|entry| writer.apply(tree, entry));
    report("setData, 100 B, while frozen", entries.len(), start.elapsed());
    let start = Instant::now();
    let mut bytes = Vec::with_capacity(nodes * 220);
    while tree.image_next(&mut cursor, &mut bytes, 1 << 16) == ImageProgress::More {}
    report("image", nodes, start.elapsed());
    tree.thaw(id);
    for _ in 0..3 {
        let (start, cpu) = (Instant::now(), cpu_seconds());
        let mut loader = ImageLoader::new(TreeOptions::default());
        for piece in bytes.chunks(1 << 18) {
            loader.feed(piece).expect("our own image");
        }
        let loaded = loader.finish().expect("our own image").tree;
        report("load", nodes, start.elapsed());
        println!("load: {:.3} s of CPU", cpu_seconds() - cpu);
        assert_eq!(loaded.node_count(), tree.node_count());
    }
}
