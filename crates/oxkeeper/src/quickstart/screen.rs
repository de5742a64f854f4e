//! What `oxkeeper quickstart` shows: first what to do next, then one line for each server, kept up to date on a terminal; where
//! the output goes elsewhere, a line for each change. Must not ask servers anything.

use super::files::{Layout, Member};
use super::health::Health;
use std::io::{IsTerminal, Write};

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
    println!();
    println!("  connect to   {}", layout.connect_string());
    match states.iter().find(|(_, health)| health.is_leading()) {
        Some((leader, _)) => println!("  leader       server {} (port {})", leader.id, leader.client_port),
        None => println!("  mode         standalone: one server on its own"),
    }
    println!("  files        {}/server*/ (zoo.cfg, data, server.log)", layout.dir.display());
    println!();
    println!("  try next");
    println!("    zkCli.sh -server {}          any ZooKeeper client will do", layout.connect_string());
    println!("    echo mntr | nc 127.0.0.1 {}               what a server says of itself", layout.members[0].client_port);
    if layout.members.len() > 2 {
        println!("    kill -9 the leader's process                the others go on within a moment");
    }
    println!();
    println!("  Ctrl-C stops all servers; started again, they go on with their data");
    println!();
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
        print!("{text}");
        self.flush();
    }

    fn tell_changes(&mut self, states: &[(Member, Health)]) {
        self.told.resize(states.len(), String::new());
        for ((member, health), told) in states.iter().zip(&mut self.told) {
            let now = health.summary();
            if *told != now {
                println!("server {} :{}  {now}", member.id, member.client_port);
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
            println!();
        }
    }
}
