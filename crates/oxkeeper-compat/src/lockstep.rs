//! Plays a program on two servers, a step at a time, and stops at the first difference.

use crate::player::{NO_SERVER, Player};
use crate::servers::{Server, ServerConfig, ServerError, ServerKind};
use crate::step::{Program, Step};
use std::net::SocketAddr;

/// Where and how two servers differ.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mismatch {
    /// Index of the step.
    pub at: usize,
    pub left: Vec<String>,
    pub right: Vec<String>,
    /// What both did before, for the report: index of the step, and its lines.
    pub before: Vec<(usize, Vec<String>)>,
}

/// A running server and the program's side on it.
struct Side {
    kind: ServerKind,
    server: Server,
    player: Player,
    /// Whether the reference has ever written to these files.
    java_wrote: bool,
    /// The same, before the last start.
    java_wrote_before: bool,
}

/// Two servers that play the same program.
pub struct Pair {
    left: Side,
    right: Side,
}

/// Starts two fresh servers and plays the program on them.
pub fn run(program: &Program, left: &ServerKind, right: &ServerKind) -> Result<Option<Mismatch>, ServerError> {
    Pair::start(program, left, right)?.compare(program, |_, _| {})
}

impl Pair {
    pub fn start(program: &Program, left: &ServerKind, right: &ServerKind) -> Result<Pair, ServerError> {
        let start = |kind: &ServerKind| {
            let server = Server::start(kind, &program.config)?;
            let player = Player::new(server.address, kind.is_java());
            Ok::<Side, ServerError>(Side {
                kind: kind.clone(),
                server,
                player,
                java_wrote: kind.is_java(),
                java_wrote_before: false,
            })
        };
        let (left, right) = both(|| start(left), || start(right))?;
        Ok(Pair { left, right })
    }

    /// Plays the program on both in lockstep; `show` hears each step on which they agree.
    pub fn compare(
        &mut self,
        program: &Program,
        show: impl Fn(&Step, &[String]),
    ) -> Result<Option<Mismatch>, ServerError> {
        let mut before = Vec::new();
        for (at, step) in program.steps.iter().enumerate() {
            if let Step::Restart { swap } = step {
                self.restart(&program.config, *swap)?;
            }
            let (l, r) = (self.left.play(step), self.right.play(step));
            // A program that ends both servers shows nothing; on the reference it is a defect to stay away from.
            if l != r || l.iter().any(|line| line.contains(NO_SERVER)) {
                return Ok(Some(Mismatch { at, left: l, right: r, before }));
            }
            show(step, &l);
            before.push((at, l));
        }
        Ok(None)
    }

    /// Stops both servers as a crash would and starts them again, perhaps each on the other's files.
    fn restart(&mut self, config: &ServerConfig, swap: bool) -> Result<(), ServerError> {
        for side in [&mut self.left, &mut self.right] {
            side.server.stop();
            side.player.drop_connections();
        }
        if swap {
            self.left.server.swap_files(&mut self.right.server);
            self.left.player.swap_sessions(&mut self.right.player);
            std::mem::swap(&mut self.left.java_wrote, &mut self.right.java_wrote);
        }
        let restart = |side: &mut Side| {
            side.server.restart(&side.kind, config)?;
            side.player.address = side.server.address;
            side.java_wrote_before = side.java_wrote;
            side.java_wrote |= side.kind.is_java();
            Ok(())
        };
        both(|| restart(&mut self.left), || restart(&mut self.right)).map(|_| ())
    }

    pub fn addresses(&self) -> (SocketAddr, SocketAddr) {
        (self.left.server.address, self.right.server.address)
    }
    /// What the two servers wrote to their standard output.
    pub fn outputs(&self) -> [String; 2] {
        [self.left.server.output(), self.right.server.output()]
    }
}

impl Side {
    fn play(&mut self, step: &Step) -> Vec<String> {
        let mut lines = self.player.play(step);
        // The reference compares the digest in each transaction with its tree while it reads a log. Its own logs
        // tell nothing: it writes wrong digests for some creates (CW122).
        if matches!(step, Step::Restart { .. }) && self.kind.is_java() && !self.java_wrote_before {
            let output = self.server.output();
            lines.extend(output.lines().filter(|line| line.contains("igest mismatch")).map(|line| line.to_string()));
        }
        lines
    }
}

/// Does two slow things at a time.
fn both<T: Send, E: Send>(
    left: impl FnOnce() -> Result<T, E> + Send,
    right: impl FnOnce() -> Result<T, E> + Send,
) -> Result<(T, T), E> {
    std::thread::scope(|scope| {
        let left = scope.spawn(left);
        let right = right();
        Ok((left.join().expect("starting a server does not panic")?, right?))
    })
}
