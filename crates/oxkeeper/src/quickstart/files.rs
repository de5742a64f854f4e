//! The files of a quickstart ensemble: for each server a directory with its zoo.cfg, its myid, its data and its log.
//!
//! What is there is left as it is: people may change a configuration and start again. Must not start anything.

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};

/// Ports between servers stand beside the one for clients.
const QUORUM_PORT_OFFSET: u16 = 700;
const ELECTION_PORT_OFFSET: u16 = 1700;
/// Lines of its log that are shown of a server that did not start.
const LAST_WORDS: usize = 12;

/// One server's place.
#[derive(Clone, Debug)]
pub struct Member {
    pub id: u16,
    pub client_port: u16,
    pub quorum_port: u16,
    pub election_port: u16,
    pub config: PathBuf,
    pub data: PathBuf,
    pub log: PathBuf,
}

/// Where everything is.
#[derive(Debug)]
pub struct Layout {
    pub dir: PathBuf,
    pub members: Vec<Member>,
}

impl Layout {
    pub fn new(dir: &Path, servers: u16, base_port: u16) -> Result<Layout, String> {
        let dir = std::path::absolute(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        let members = (1..=servers).map(|id| {
            let (client_port, server) = (base_port + id - 1, dir.join(format!("server{id}")));
            Member {
                id,
                client_port,
                quorum_port: client_port + QUORUM_PORT_OFFSET,
                election_port: client_port + ELECTION_PORT_OFFSET,
                config: server.join("zoo.cfg"),
                data: server.join("data"),
                log: server.join("server.log"),
            }
        });
        Ok(Layout { members: members.collect(), dir })
    }

    pub fn connect_string(&self) -> String {
        self.members.iter().map(|member| format!("127.0.0.1:{}", member.client_port)).collect::<Vec<_>>().join(",")
    }

    /// Says which port is taken, and what to do about it.
    pub fn check_ports(&self) -> Result<(), String> {
        for member in &self.members {
            let between = [(member.quorum_port, "quorum"), (member.election_port, "election")];
            let between = between.into_iter().filter(|_| self.members.len() > 1);
            for (port, what) in std::iter::once((member.client_port, "client")).chain(between) {
                if let Err(error) = TcpListener::bind(("127.0.0.1", port)) {
                    let id = member.id;
                    return Err(match error.kind() {
                        ErrorKind::AddrInUse => format!(
                            "port {port} is in use, which would be the {what} port of server {id}. Stop what uses it (perhaps \
                             another quickstart), or choose other ports with --base-port"
                        ),
                        _ => format!("port {port}, the {what} port of server {id}, cannot be used: {error}"),
                    });
                }
            }
        }
        Ok(())
    }

    /// Writes zoo.cfg and myid where there is none. An ensemble of another size has other configurations: that is refused,
    /// since a server that is suddenly alone, or among others, may lose what it holds.
    pub fn write_missing(&self) -> Result<(), String> {
        for member in &self.members {
            let dir = member.config.parent().expect("a server has a directory");
            fs::create_dir_all(&member.data).map_err(|error| format!("{}: {error}", member.data.display()))?;
            let text = self.config(member);
            match fs::read_to_string(&member.config) {
                Err(error) if error.kind() == ErrorKind::NotFound => write(&member.config, &text)?,
                Err(error) => return Err(format!("{}: {error}", member.config.display())),
                Ok(old) if members_of(&old) != members_of(&text) || client_port_of(&old) != client_port_of(&text) => {
                    return Err(format!(
                        "{} was made with another number of servers or other ports. Start with those, or with another --dir, \
                         or remove {} if its data is not needed",
                        dir.display(),
                        self.dir.display()
                    ));
                }
                Ok(_) => {}
            }
            let my_id = member.data.join("myid");
            if !my_id.exists() {
                write(&my_id, &format!("{}\n", member.id))?;
            }
        }
        Ok(())
    }

    fn config(&self, member: &Member) -> String {
        let mut text = format!(
            "# Made by oxkeeper quickstart. Change it as you like; it is not written again.\n\
             tickTime=2000\ninitLimit=10\nsyncLimit=5\ndataDir={}\nclientPort={}\nclientPortAddress=127.0.0.1\n\
             4lw.commands.whitelist=*\n",
            member.data.display(),
            member.client_port
        );
        if self.members.len() > 1 {
            for Member { id, quorum_port, election_port, .. } in &self.members {
                text.push_str(&format!("server.{id}=127.0.0.1:{quorum_port}:{election_port}\n"));
            }
        }
        text
    }
}

impl Member {
    /// The end of its log.
    pub fn last_words(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LAST_WORDS)..].join("\n")
    }
}

fn members_of(config: &str) -> Vec<&str> {
    config.lines().filter(|line| line.starts_with("server.")).collect()
}
fn client_port_of(config: &str) -> Option<&str> {
    config.lines().find_map(|line| line.strip_prefix("clientPort="))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    let written =
        fs::File::create(path).and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()));
    written.map_err(|error: io::Error| format!("{}: {error}", path.display()))
}
