//! What the connections send: by name, from a small random generator of its own, so that runs repeat.

use crate::conn::Conn;
use std::time::Instant;

/// The steady workloads: each connection always has something to send next.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Kind {
    /// Reads and writes over a fixed set of keys; `reads_percent` of them getData, the rest setData.
    Mix {
        reads_percent: u64,
    },
    Create,
    /// Creates an ephemeral, then deletes it.
    Ephemeral,
    List,
}

pub struct Workload {
    kind: Kind,
    root: String,
    keys: Vec<String>,
    data: Vec<u8>,
    random: u64,
    run: u32,
}

impl Workload {
    pub fn new(kind: Kind, root: &str, keys: usize, size: usize) -> Workload {
        Workload {
            kind,
            root: root.to_owned(),
            keys: (0..keys).map(|k| format!("{root}/key{k}")).collect(),
            data: vec![b'v'; size],
            random: 0x2545_f491_4f6c_dd1d,
            run: std::process::id(),
        }
    }

    /// Creates what the workload works on: one call for each key, spread over the connections by the caller.
    pub fn prepare(&self, key: usize, conn: &mut Conn, now: Instant) {
        conn.create(&self.keys[key], &self.data, 0, now);
    }
    pub fn keys(&self) -> usize {
        self.keys.len()
    }

    /// Queues the next request of connection `index`.
    pub fn issue(&mut self, conn: &mut Conn, index: usize, due: Instant) {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        match self.kind {
            Kind::Mix { reads_percent } => {
                let key = &self.keys[(self.random >> 32) as usize % self.keys.len()];
                if (self.random >> 8) % 100 < reads_percent {
                    conn.get(key, due);
                } else {
                    conn.set(key, &self.data, due);
                }
            }
            Kind::Create => {
                conn.made += 1;
                let path = format!("{}/c{}-{index}-{}", self.root, self.run, conn.made);
                conn.create(&path, &self.data, 0, due);
            }
            Kind::Ephemeral => match conn.to_delete.take() {
                Some(path) => conn.delete(&path, due),
                None => {
                    conn.made += 1;
                    let path = format!("{}/e{}-{index}-{}", self.root, self.run, conn.made);
                    conn.create(&path, &self.data, 1, due);
                    conn.to_delete = Some(path);
                }
            },
            Kind::List => conn.list(&self.root, due),
        }
    }
}
