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

/// The width of a terminal that does not say.
const COLUMNS: usize = 80;

/// What there is to show of a server.
pub struct State {
    pub member: Member,
    pub process: u32,
    pub health: Health,
}

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
pub fn print_welcome(layout: &Layout, states: &[State]) {
    let leader = states.iter().find(|state| state.health.is_leading());
    say!("");
    say!("  connect to   {}", layout.connect_string());
    match leader {
        Some(State { member, process, .. }) => {
            say!("  leader       server {} (port {}, process {process})", member.id, member.client_port);
        }
        None => say!("  mode         standalone: one server on its own"),
    }
    say!("  files        {}/server*/ (zoo.cfg, data, server.log)", layout.dir.display());
    say!("");
    say!("  try next");
    say!("    zkCli.sh -server {}", layout.connect_string());
    say!("        any ZooKeeper client will do");
    say!("    echo mntr | nc 127.0.0.1 {}", layout.members[0].client_port);
    say!("        what a server says of itself");
    if let Some(State { process, .. }) = leader.filter(|_| layout.members.len() > 2) {
        say!("    kill -9 {process}");
        say!("        the leader is gone; the others elect a new one and go on");
    }
    say!("");
    say!(
        "  Ctrl-C stops {}; started again, {}",
        if states.len() > 1 { "all servers" } else { "the server" },
        again(states)
    );
    say!("");
}

fn again(states: &[State]) -> &'static str {
    if states.len() > 1 { "they go on with their data" } else { "it goes on with its data" }
}

/// How wide the terminal is now.
fn columns() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stdout());
    size.map(|size| usize::from(size.ws_col)).ok().filter(|columns| *columns > 0).unwrap_or(COLUMNS)
}

impl Screen {
    pub fn new() -> Screen {
        Screen { live: std::io::stdout().is_terminal(), shown: 0, told: Vec::new() }
    }

    pub fn show(&mut self, states: &[State]) {
        if self.live { self.write_over(states) } else { self.tell_changes(states) }
    }

    fn write_over(&mut self, states: &[State]) {
        let mut text = if self.shown > 0 { up(self.shown) } else { String::new() };
        let columns = columns();
        for State { member, health, .. } in states {
            // A line that is wrapped would be two, and the next turn would write over the wrong ones.
            let line = format!("  server {} :{}  {}", member.id, member.client_port, health.line());
            let line: String = line.chars().take(columns.saturating_sub(1)).collect();
            text.push_str(&format!("{CLEAR_LINE}{line}\n"));
        }
        self.shown = states.len();
        // As in `say`.
        let _ = std::io::stdout().write_all(text.as_bytes());
        self.flush();
    }

    fn tell_changes(&mut self, states: &[State]) {
        self.told.resize(states.len(), String::new());
        for (State { member, health, .. }, told) in states.iter().zip(&mut self.told) {
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
