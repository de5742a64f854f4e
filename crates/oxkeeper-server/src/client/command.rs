//! A four-letter word on a fresh connection, on its way to the thread that answers it.

use super::link::{Link, Notice};
use super::port::IoHandle;
use oxkeeper_proto::frame::FourLetterWord;
use std::sync::Arc;

pub struct Command {
    pub link: Arc<Link>,
    pub word: FourLetterWord,
    /// The eight bytes behind `stmk`.
    pub mask: Option<i64>,
}

impl Command {
    /// Sends the whole answer, and closes the connection behind it. `io`: the threads of the client port.
    pub fn answer(self, io: &[IoHandle], text: &str) {
        let newly = self.link.outbox.put(|waiting| {
            waiting.bytes.extend_from_slice(text.as_bytes());
            waiting.notices.push(Notice::Done);
        });
        if newly {
            io[self.link.thread].tell(&mut vec![self.link.conn]);
        }
    }
}
