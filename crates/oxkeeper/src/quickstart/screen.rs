//! What `oxkeeper quickstart` shows: first what to do next, then one line for each server, kept up to date on a terminal; where
//! the output goes elsewhere, a line for each change. Must not ask servers anything.

use super::files::{Layout, Member};
use super::health::Health;
use std::io::{IsTerminal, Write};

/// A line on stdout. A reader that has gone away does not stop the servers.
macro_rules! say {
    ($($words:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($words)*);
    }};
}
pub(super) use say;

/// Moves the cursor up so many lines; clears a line.
fn up(lines: usize) -> String {
    format!("\x1b[{lines}A")
}
const CLEAR_LINE: &str = "\x1b[2K";

pub struct Screen {
    live: bool,
    /// Lines that are shown, to be written over.
    shown: usize,
    told: Vec<String>,
}

/// When all servers serve.
pub fn print_welcome(layout: &Layout, states: &[(Member, Health)]) {
    say!("");
    say!("  connect to   {}", layout.connect_string());
    match states.iter().find(|(_, health)| health.is_leading()) {
        Some((leader, _)) => say!("  leader       server {} (port {})", leader.id, leader.client_port),
        None => say!("  mode         standalone: one server on its own"),
    }
    say!("  files        {}/server*/ (zoo.cfg, data, server.log)", layout.dir.display());
    say!("");
    say!("  try next");
    say!("    zkCli.sh -server {}          any ZooKeeper client will do", layout.connect_string());
    say!("    echo mntr | nc 127.0.0.1 {}               what a server says of itself", layout.members[0].client_port);
    if layout.members.len() > 2 {
        say!("    kill -9 the leader's process                the others go on within a moment");
    }
    say!("");
    say!("  Ctrl-C stops all servers; started again, they go on with their data");
    say!("");
}

impl Screen {
    pub fn new() -> Screen {
        Screen { live: std::io::stdout().is_terminal(), shown: 0, told: Vec::new() }
    }

    pub fn show(&mut self, states: &[(Member, Health)]) {
        if self.live { self.write_over(states) } else { self.tell_changes(states) }
    }

    fn write_over(&mut self, states: &[(Member, Health)]) {
        let mut text = if self.shown > 0 { up(self.shown) } else { String::new() };
        for (member, health) in states {
            text.push_str(&format!("{CLEAR_LINE}  server {} :{}  {}\n", member.id, member.client_port, health.line()));
        }
        self.shown = states.len();
        // As in `say`.
        let _ = std::io::stdout().write_all(text.as_bytes());
        self.flush();
    }

    fn tell_changes(&mut self, states: &[(Member, Health)]) {
        self.told.resize(states.len(), String::new());
        for ((member, health), told) in states.iter().zip(&mut self.told) {
            let now = health.summary();
            if *told != now {
                say!("server {} :{}  {now}", member.id, member.client_port);
                *told = now;
            }
        }
        self.flush();
    }

    fn flush(&self) {
        // A reader that has gone away does not stop the servers.
        let _ = std::io::stdout().flush();
    }

    pub fn leave(&mut self) {
        if self.live {
            say!("");
        }
    }
}
