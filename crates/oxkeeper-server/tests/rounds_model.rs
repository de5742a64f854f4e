//! Model check of "reads see what had arrived": every interleaving of a core, of whoever puts a COMMIT into its queue, and of a
//! connection that reads.
//!
//! The production file is compiled a second time, against loom's locks. Besides the rule itself, each of its steps is shown to be
//! needed: without it the check fails.

#[allow(dead_code)]
mod sync {
    pub use loom::sync::atomic::{AtomicU64, Ordering};
    pub use loom::sync::{Mutex, MutexGuard};
}
#[allow(dead_code)]
#[path = "../src/rounds.rs"]
mod rounds;

use loom::sync::atomic::{AtomicBool, Ordering::SeqCst};
use loom::sync::{Arc, Condvar, Mutex, RwLock};
use loom::thread;
use rounds::Rounds;

const READER: usize = 7;

/// A server: the core's queue of COMMITs, the tree, and the reader's bell.
#[derive(Default)]
struct Server {
    queue: Mutex<usize>,
    wake: Condvar,
    rounds: Rounds<usize>,
    tree: RwLock<usize>,
    woken: Mutex<bool>,
    bell: Condvar,
}

impl Server {
    /// What a reader thread does with a COMMIT.
    fn arrives(&self, said: bool) {
        let mut queue = self.queue.lock().unwrap();
        *queue += 1;
        if said {
            self.rounds.commit_arrived();
        }
        self.wake.notify_one();
    }
    fn wait_for_events(&self) {
        let mut queue = self.queue.lock().unwrap();
        while *queue == 0 {
            queue = self.wake.wait(queue).unwrap();
        }
    }
    /// One round of the core. `own`: of a leader, for which a quorum has just acknowledged one; it `tells` others before it applies.
    fn round(&self, own: Option<bool>, tell: impl FnOnce()) {
        let taken = {
            let mut queue = self.queue.lock().unwrap();
            self.rounds.begin();
            std::mem::take(&mut *queue)
        };
        if own == Some(true) {
            self.rounds.committed_here();
        }
        tell();
        *self.tree.write().unwrap() += taken + usize::from(own.is_some());
        self.rounds.end(|who| {
            assert_eq!(who, READER);
            *self.woken.lock().unwrap() = true;
            self.bell.notify_one();
        });
    }
    /// What a connection does before it reads.
    fn read(&self) -> usize {
        match self.rounds.outstanding() {
            Some(round) => self.read_behind(round),
            None => *self.tree.read().unwrap(),
        }
    }
    fn read_behind(&self, round: u64) -> usize {
        if self.rounds.wait(round, READER) {
            let mut woken = self.woken.lock().unwrap();
            while !*woken {
                woken = self.bell.wait(woken).unwrap();
            }
            assert!(self.rounds.is_over(round));
        }
        *self.tree.read().unwrap()
    }
}

/// On a learner: the COMMIT is in the queue before the read begins; the core takes it, or goes round once before.
fn learner(said: bool) {
    loom::model(move || {
        let server = Arc::new(Server::default());
        let core = {
            let server = server.clone();
            thread::spawn(move || {
                server.round(None, || {});
                if *server.tree.read().unwrap() == 0 {
                    server.wait_for_events();
                    server.round(None, || {});
                }
            })
        };
        server.arrives(said);
        let seen = server.read();
        core.join().unwrap();
        assert_eq!(seen, 1, "read without what had arrived");
    });
}

#[test]
fn a_read_sees_a_commit_that_was_in_the_queue_before_it() {
    learner(true);
}

#[test]
#[should_panic(expected = "read without what had arrived")]
fn a_commit_that_is_not_counted_is_not_waited_for() {
    learner(false);
}

/// On a leader: the read begins when somebody has heard of the COMMIT elsewhere.
fn leader(said: bool) {
    loom::model(move || {
        let server = Arc::new(Server::default());
        let heard = Arc::new(AtomicBool::new(false));
        let core = {
            let (server, heard) = (server.clone(), heard.clone());
            thread::spawn(move || server.round(Some(said), || heard.store(true, SeqCst)))
        };
        let seen = heard.load(SeqCst).then(|| server.read());
        core.join().unwrap();
        assert!(seen.is_none_or(|seen| seen == 1), "read without what others have been told");
    });
}

#[test]
fn a_read_at_the_leader_sees_what_another_server_was_told() {
    leader(true);
}

#[test]
#[should_panic(expected = "read without what others have been told")]
fn a_leader_that_does_not_say_what_it_is_about_to_apply_is_behind_its_followers() {
    leader(false);
}

/// Others may write without end: what arrives later is not waited for.
#[test]
fn a_read_waits_for_one_round_and_no_more() {
    loom::model(|| {
        let server = Arc::new(Server::default());
        server.arrives(true);
        let round = server.rounds.outstanding().expect("it is not applied yet");
        let core = {
            let server = server.clone();
            thread::spawn(move || {
                server.round(None, || {});
                // No round takes this one.
                server.arrives(true);
            })
        };
        assert_eq!(server.read_behind(round), 1);
        core.join().unwrap();
        assert!(!server.rounds.is_over(round + 1));
    });
}
