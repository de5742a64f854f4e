//! Programs: lists of steps that a seed decides. A program draws its configuration and its theme first, then a step at
//! a time. It avoids what is listed in [`crate::departures`]; must not know what servers answer.

use crate::departures;
use crate::malformed;
use crate::requests::{AclArg, Data, Part, Request};
use crate::rng::Rng;
use crate::servers::ServerConfig;
use crate::step::{Identity, Program, Step};
use crate::universe::{self, Theme};
use oxkeeper_types::acl::open_acl;
use oxkeeper_types::{OpCode, Zxid, path};

/// Connections of one program.
const SLOTS: usize = 4;

/// Bytes: a longer request might be too long for the server, which would close the connection.
const BURST_REQUEST_BYTES_MAX: usize = 500_000;

/// Kinds of requests, with how often each comes in an ordinary program.
const KINDS: &[(Kind, u32)] = &[
    (Kind::Create, 20),
    (Kind::Delete, 9),
    (Kind::SetData, 10),
    (Kind::SetAcl, 3),
    (Kind::Read, 20),
    (Kind::PathRead, 7),
    (Kind::Multi, 9),
    (Kind::MultiRead, 3),
    (Kind::WatchOps, 6),
    (Kind::AddWatch, 4),
    (Kind::SetWatches, 3),
    (Kind::Auth, 3),
    (Kind::Rare, 3),
    (Kind::Malformed, 4),
];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Create,
    Delete,
    SetData,
    SetAcl,
    Read,
    PathRead,
    Multi,
    MultiRead,
    WatchOps,
    AddWatch,
    SetWatches,
    Auth,
    Rare,
    Malformed,
}

/// The program of a seed.
pub fn generate(seed: u64, requests: usize) -> Program {
    let mut rng = Rng::new(seed);
    let config = ServerConfig {
        extended_types: rng.chance(60),
        enforce_quota: rng.chance(50),
        reconfig_enabled: rng.chance(30),
        ..ServerConfig::default()
    };
    let acl_percent = if rng.chance(50) { 0 } else { 5 + rng.below(40) as u32 };
    let mut weights: Vec<u32> = KINDS.iter().map(|(_, weight)| *weight).collect();
    for weight in &mut weights {
        // Some kinds come much more often in this program, some not at all.
        *weight *= [0, 1, 1, 1, 4][rng.below(5)];
    }
    weights[0] = weights[0].max(KINDS[0].1);
    if acl_percent > 0 {
        weights[KINDS.iter().position(|(k, _)| *k == Kind::SetWatches).expect("it is in the table")] = 0;
    }
    let theme = Theme {
        acl_percent,
        quota_percent: if rng.chance(30) { 12 } else { 0 },
        bad_path_percent: if rng.chance(30) { 12 } else { 2 },
        weights,
    };
    let mut generator = Generator { rng, theme, next_identity: 1, open: [None; SLOTS] };
    let mut steps = vec![generator.open_new(0), generator.open_new(1)];
    if generator.theme.quota_percent > 0 {
        steps.extend(generator.quota_nodes());
    }
    while steps.len() < requests {
        steps.push(generator.step());
    }
    Program { seed, config, steps }
}

/// The nodes of a quota on `/a`, as an ordinary program with quotas begins.
const QUOTA_NODES: [&str; 4] =
    ["/a", "/zookeeper/quota/a", "/zookeeper/quota/a/zookeeper_limits", "/zookeeper/quota/a/zookeeper_stats"];

/// The program of a seed with restarts in it, on the server's own files and on the other's, and the whole tree at last.
///
/// Once its quotas are set up it leaves them alone. Usage that a client has overwritten is put right only where a snapshot is
/// loaded, and the two servers take theirs at different moments: what stands there after a restart says nothing.
pub fn generate_with_restarts(seed: u64, requests: usize) -> Program {
    let mut program = generate(seed, requests);
    // Two connections, then perhaps the quota.
    let mut set_up = program.steps.drain(..2 + QUOTA_NODES.len()).collect::<Vec<_>>();
    program.steps.retain(|step| !rewrites_quota(step));
    set_up.append(&mut program.steps);
    program.steps = set_up;
    let mut rng = Rng::fork(seed, 1);
    for part in [1, 2, 3] {
        let at = program.steps.len() * part / 4 + rng.below(1 + requests / 20);
        program.steps.insert(at.min(program.steps.len()), Step::Restart { swap: rng.chance(50) });
    }
    program.steps.extend([Step::Dump, Step::Restart { swap: true }, Step::Dump]);
    program
}

/// Whether a step creates, changes or deletes a node of a quota.
fn rewrites_quota(step: &Step) -> bool {
    step.requests().iter().any(|request| request.writes_below(path::QUOTA))
}

struct Generator {
    rng: Rng,
    theme: Theme,
    next_identity: u32,
    /// Which session each slot probably has: a guess, since answers are not known here.
    open: [Option<u32>; SLOTS],
}

impl Generator {
    fn open_new(&mut self, slot: usize) -> Step {
        let identity = self.next_identity;
        self.next_identity += 1;
        self.open[slot] = Some(identity);
        let timeout_ms = *self.rng.pick(&[0, -1, 5000, 120_000, 300_000, i32::MAX]);
        let read_only = *self.rng.pick(&[None, Some(false), Some(true)]);
        Step::Open { slot, identity: Identity::New(identity), timeout_ms, read_only, zxid_ahead: false }
    }

    /// The nodes of a quota on /a, which random creates alone seldom bring together, with its parents.
    fn quota_nodes(&mut self) -> Vec<Step> {
        let mut steps = Vec::new();
        for path in QUOTA_NODES {
            let data = self.theme.data(path, &mut self.rng);
            let acl = AclArg(Some(open_acl()));
            let request = Request::Create { op: OpCode::Create, path: path.to_string(), data, acl, flags: 0 };
            steps.push(Step::Request { slot: 0, xid: None, request });
        }
        steps
    }

    fn reopen(&mut self, slot: usize) -> Step {
        let of = 1 + self.rng.below(self.next_identity as usize - 1) as u32;
        let right_password = self.rng.chance(85);
        let zxid_ahead = self.rng.chance(5);
        if right_password && !zxid_ahead {
            for open in &mut self.open {
                if *open == Some(of) {
                    *open = None;
                }
            }
            self.open[slot] = Some(of);
        } else {
            self.open[slot] = None;
        }
        let identity = Identity::Resume { of, right_password };
        Step::Open { slot, identity, timeout_ms: 150_000, read_only: Some(false), zxid_ahead }
    }

    fn step(&mut self) -> Step {
        let slot = self.rng.below(SLOTS);
        if self.open[slot].is_none() {
            return if self.rng.chance(40) { self.reopen(slot) } else { self.open_new(slot) };
        }
        match self.rng.weighted(&[915, 55, 8, 8, 8, 6]) {
            0 => self.request_step(slot),
            1 => self.burst(slot),
            2 => {
                self.open[slot] = None;
                Step::Drop { slot }
            }
            3 => {
                self.open[slot] = None;
                Step::Request { slot, xid: None, request: Request::Bare { op: OpCode::CloseSession } }
            }
            4 => self.reopen(slot),
            _ => self.bad_frame(slot),
        }
    }

    fn request_step(&mut self, slot: usize) -> Step {
        let kind = KINDS[self.rng.weighted(&self.theme.weights.clone())].0;
        let request = match kind {
            Kind::Auth => {
                let (scheme, data, good) = universe::credentials(&mut self.rng);
                if !good {
                    self.open[slot] = None;
                }
                Request::Auth { scheme, data }
            }
            Kind::Malformed => {
                let request = self.malformed(slot);
                return Step::Request { slot, xid: None, request };
            }
            Kind::Rare => self.rare(slot),
            kind => self.plain(kind),
        };
        let xid = match &request {
            Request::Auth { .. } if self.rng.chance(90) => Some(-4),
            Request::SetWatches { .. } if self.rng.chance(90) => Some(-8),
            // Numbers that clients do not use; -1 and -2 stand for events and pings.
            _ if self.rng.chance(2) => Some(*self.rng.pick(&[0, -3, -5, i32::MAX, i32::MIN, 1])),
            _ => None,
        };
        Step::Request { slot, xid, request }
    }

    /// Requests of a pipeline. Not auth and sasl: the reference answers those at once, ahead of what is queued. Nor
    /// what closes the connection, since answers that are still queued then may or may not arrive.
    fn burst(&mut self, slot: usize) -> Step {
        let n = 2 + self.rng.below(6);
        let mut requests = Vec::new();
        while requests.len() < n {
            let request = match KINDS[self.rng.weighted(&self.theme.weights.clone())].0 {
                Kind::Auth | Kind::Rare | Kind::SetWatches => self.plain(Kind::Create),
                // A body with too much in it is done all the same.
                Kind::Malformed if self.theme.quota_percent == 0 => self.spoiled(),
                Kind::Malformed => self.plain(Kind::Create),
                kind => self.plain(kind),
            };
            // Limits are looked up in what is applied: which of its threads is faster decides what the reference sees.
            if request.writes_below(path::QUOTA) {
                continue;
            }
            if request.body(Zxid(0)).len() < BURST_REQUEST_BYTES_MAX && departures::when_pipelined(&request).is_none() {
                requests.push(request);
            }
        }
        Step::Burst { slot, requests }
    }

    /// A well-formed request that is not a departure.
    fn plain(&mut self, kind: Kind) -> Request {
        loop {
            let request = self.any(kind);
            if departures::of(&request).is_none() {
                return request;
            }
        }
    }

    fn any(&mut self, kind: Kind) -> Request {
        let (theme, rng) = (&self.theme, &mut self.rng);
        match kind {
            Kind::Create => self.create(),
            Kind::Delete => Request::Delete { path: theme.path(rng), version: universe::version(rng) },
            Kind::SetData => self.set_data(),
            Kind::SetAcl => {
                Request::SetAcl { path: theme.path(rng), acl: theme.acl(rng), version: universe::version(rng) }
            }
            Kind::Read => {
                use OpCode::{Exists, GetChildren, GetChildren2, GetData};
                let op = *rng.pick(&[Exists, GetData, GetData, GetChildren, GetChildren2]);
                Request::Read { op, path: theme.path(rng), watch: rng.chance(45) }
            }
            Kind::PathRead => {
                let op =
                    *rng.pick(&[OpCode::GetAcl, OpCode::Sync, OpCode::GetEphemerals, OpCode::GetAllChildrenNumber]);
                let null = op == OpCode::GetEphemerals && rng.chance(10);
                Request::Path { op, path: if null { None } else { Some(theme.path(rng)) } }
            }
            Kind::Multi => self.multi(),
            Kind::MultiRead => self.multi_read(),
            Kind::WatchOps => {
                let op = *rng.pick(&[OpCode::CheckWatches, OpCode::RemoveWatches]);
                Request::Watches { op, path: theme.path(rng), kind: *rng.pick(&[1, 2, 3, 3, 4, 5, 0, 6, -1]) }
            }
            Kind::AddWatch => Request::AddWatch { path: theme.path(rng), mode: *rng.pick(&[0, 0, 1, 1, 0, 1, 2, -1]) },
            Kind::SetWatches => {
                let op = *rng.pick(&[OpCode::SetWatches, OpCode::SetWatches2]);
                let back = *rng.pick(&[0, 0, 1, 3, 10, 1000, -5]);
                Request::SetWatches { op, back, lists: std::array::from_fn(|_| universe::watch_list(rng)) }
            }
            Kind::Auth | Kind::Rare | Kind::Malformed => unreachable!("{kind:?} is not plain"),
        }
    }

    fn create(&mut self) -> Request {
        let (theme, rng) = (&self.theme, &mut self.rng);
        let flags = match rng.weighted(&[40, 18, 14, 10, 5, 4, 3, 2]) {
            7 => *rng.pick(&[7, 8, -1, 100]),
            flag => flag as i32,
        };
        let path =
            if matches!(flags, 2 | 3 | 6) && rng.chance(80) { theme.sequence_path(rng) } else { theme.path(rng) };
        let (data, acl) = (theme.data(&path, rng), theme.acl(rng));
        let ttl_op = matches!(flags, 5 | 6) && rng.chance(80) || rng.chance(2);
        if ttl_op {
            let mut ttl_ms = *rng.pick(&[3_600_000, 1_000_000, 0xff_ffff_ffff, 0x100_0000_0000, 0, -1, i64::MIN]);
            if !matches!(flags, 5 | 6) {
                // With a flag that takes no TTL and a negative one, the reference logs what it cannot apply, and ends.
                ttl_ms = ttl_ms.max(0);
            }
            return Request::CreateTtl { path, data, acl, flags, ttl_ms };
        }
        let op = match flags {
            4 if rng.chance(70) => OpCode::CreateContainer,
            _ => {
                *rng.pick(&[OpCode::Create, OpCode::Create, OpCode::Create2, OpCode::Create2, OpCode::CreateContainer])
            }
        };
        Request::Create { op, path, data, acl, flags }
    }

    fn set_data(&mut self) -> Request {
        let (theme, rng) = (&self.theme, &mut self.rng);
        let path = theme.path(rng);
        let data = theme.data(&path, rng);
        Request::SetData { path, data, version: universe::version(rng) }
    }

    fn multi(&mut self) -> Request {
        let n = self.rng.weighted(&[3, 15, 30, 25, 15, 10]);
        let mut parts: Vec<Part> = (0..n).map(|_| self.multi_part()).collect();
        if self.rng.chance(4) {
            // A part that has no place here fails the whole.
            let odd = self.odd_part();
            let at = self.rng.below(parts.len() + 1);
            parts.insert(at, odd);
        }
        Request::Multi { op: OpCode::Multi, parts }
    }

    fn multi_part(&mut self) -> Part {
        let request = loop {
            let request = match self.rng.weighted(&[40, 20, 20, 20]) {
                0 => self.create(),
                1 => {
                    Request::Delete { path: self.theme.path(&mut self.rng), version: universe::version(&mut self.rng) }
                }
                2 => self.set_data(),
                _ => Request::Check { path: self.theme.path(&mut self.rng), version: universe::version(&mut self.rng) },
            };
            // Bad flags fail the whole multi: seldom, or little else would be seen.
            match &request {
                Request::Create { flags, .. } if !(0..=4).contains(flags) && !self.rng.chance(10) => continue,
                _ => break request,
            }
        };
        Part::of(request)
    }

    fn odd_part(&mut self) -> Part {
        let path = self.theme.path(&mut self.rng);
        match self.rng.below(4) {
            0 => Part::of(Request::Read { op: OpCode::GetData, path, watch: false }),
            1 => Part::of(Request::Read { op: OpCode::Exists, path, watch: false }),
            2 => Part { number: 99, request: Request::Delete { path, version: -1 } },
            _ => Part { number: 0, request: Request::Bare { op: OpCode::Ping } },
        }
    }

    fn multi_read(&mut self) -> Request {
        let n = self.rng.below(5);
        let mut parts: Vec<Part> = (0..n)
            .map(|_| {
                let op = *self.rng.pick(&[OpCode::GetData, OpCode::GetChildren]);
                let (path, watch) = (self.theme.path(&mut self.rng), self.rng.chance(20));
                Part::of(Request::Read { op, path, watch })
            })
            .collect();
        if self.rng.chance(8) {
            parts.push(self.multi_part());
        }
        Request::Multi { op: OpCode::MultiRead, parts }
    }

    /// Requests that change little but have answers of their own.
    fn rare(&mut self, slot: usize) -> Request {
        let rng = &mut self.rng;
        match rng.below(7) {
            0 | 1 => Request::Bare { op: OpCode::WhoAmI },
            2 => {
                let token = rng.pick(&[Data::text("token"), Data(Some(Vec::new())), Data(None)]).clone();
                if token.0.is_none() {
                    // Where SASL is not configured, the reference answers any token but this one: it closes.
                    self.open[slot] = None;
                }
                Request::Sasl { token }
            }
            3 => Request::Reconfig {
                joining: Some("server.9=127.0.0.1:1:2;3".to_string()),
                leaving: None,
                members: None,
                version: *rng.pick(&[-1, 0, 5]),
            },
            4 => Request::Reconfig { joining: None, leaving: Some("1".into()), members: None, version: -1 },
            5 => Request::Path { op: OpCode::Sync, path: None },
            _ => Request::Path { op: OpCode::GetEphemerals, path: Some(rng.pick(&["", " ", "/", "/a"]).to_string()) },
        }
    }

    /// Requests that can not be read or do not exist.
    fn malformed(&mut self, slot: usize) -> Request {
        let path = self.theme.path(&mut self.rng);
        if self.rng.chance(15) {
            self.open[slot] = None;
            return match self.rng.below(3) {
                0 => Request::Check { path, version: -1 },
                1 => {
                    Request::Raw { op: *self.rng.pick(&[-2, 0, 10, 23, 50, 99, 108, 1000, i32::MAX]), body: Data(None) }
                }
                _ => Request::Raw { op: -1, body: Data(None) },
            };
        }
        if self.rng.chance(10) {
            // Neither can be answered: the connection is closed.
            self.open[slot] = None;
            let op = *self.rng.pick(&[OpCode::Auth, OpCode::Sasl]);
            let body = [&b""[..], &[0, 0], &[0xff, 0xff, 0xff, 0xfe], &[0x7f, 0xff, 0xff, 0xff, b'/']];
            return Request::Raw { op: op.number(), body: Data(Some(self.rng.pick(&body).to_vec())) };
        }
        self.spoiled()
    }

    /// A request of any operation with something wrong in its body, and an answer all the same.
    fn spoiled(&mut self) -> Request {
        use OpCode::*;
        let op = *self.rng.pick(&[
            Create,
            Create2,
            CreateContainer,
            CreateTtl,
            Delete,
            SetData,
            SetAcl,
            Reconfig,
            Multi,
            Exists,
            GetData,
            GetAcl,
            GetChildren,
            GetChildren2,
            GetEphemerals,
            GetAllChildrenNumber,
            CheckWatches,
            RemoveWatches,
            AddWatch,
            MultiRead,
            Sync,
            SetWatches,
            SetWatches2,
        ]);
        let proper = self.proper(op).body(Zxid(0));
        Request::Raw { op: op.number(), body: malformed::body(op, proper, &mut self.rng) }
    }

    /// A request of this operation as a client would send it.
    fn proper(&mut self, op: OpCode) -> Request {
        let (theme, rng) = (&self.theme, &mut self.rng);
        let (path, acl) = (theme.path(rng), || AclArg(Some(open_acl())));
        let data = if path.starts_with(path::QUOTA) { theme.data(&path, rng) } else { Data::text("x") };
        match op {
            OpCode::Create | OpCode::Create2 => {
                Request::Create { op, path, data, acl: acl(), flags: *rng.pick(&[0, 0, 1, 2, 5, 77]) }
            }
            OpCode::CreateContainer => Request::Create { op, path, data, acl: acl(), flags: 4 },
            OpCode::CreateTtl => {
                let flags = *rng.pick(&[5, 5, 6, 0, 77]);
                Request::CreateTtl { path, data, acl: acl(), flags, ttl_ms: *rng.pick(&[3_600_000, 0]) }
            }
            OpCode::Delete => Request::Delete { path, version: -1 },
            OpCode::SetData => Request::SetData { path, data, version: -1 },
            OpCode::SetAcl => Request::SetAcl { path, acl: acl(), version: -1 },
            OpCode::Reconfig => {
                Request::Reconfig { joining: None, leaving: Some("1".into()), members: None, version: -1 }
            }
            OpCode::Multi => {
                let set = Request::SetData { path: path.clone(), data: data.clone(), version: -1 };
                let create = Request::Create { op: OpCode::Create, path, data, acl: acl(), flags: 0 };
                Request::Multi { op, parts: vec![Part::of(create), Part::of(set)] }
            }
            OpCode::MultiRead => {
                let get = Request::Read { op: OpCode::GetData, path, watch: false };
                Request::Multi { op, parts: vec![Part::of(get.clone()), Part::of(get)] }
            }
            OpCode::CheckWatches | OpCode::RemoveWatches => Request::Watches { op, path, kind: 3 },
            OpCode::AddWatch => Request::AddWatch { path, mode: 0 },
            OpCode::SetWatches | OpCode::SetWatches2 => Request::SetWatches { op, back: 0, lists: Default::default() },
            OpCode::GetAcl | OpCode::GetEphemerals | OpCode::GetAllChildrenNumber | OpCode::Sync => {
                Request::Path { op, path: Some(path) }
            }
            _ => Request::Read { op, path, watch: rng.chance(50) },
        }
    }

    fn bad_frame(&mut self, slot: usize) -> Step {
        self.open[slot] = None;
        let bytes = match self.rng.below(4) {
            0 => vec![0, 0, 0, 0],
            1 => vec![0, 0, 0, 3, 1, 2, 3],
            2 => vec![0xff, 0xff, 0xff, 0xff],
            _ => vec![0, 0x10, 0, 0],
        };
        Step::Bytes { slot, bytes }
    }
}

/// Programs that wait for the reaper: containers and TTL nodes that are to go, one after the other, since each takes a
/// zxid.
pub fn reaper_program(seed: u64) -> Program {
    let mut rng = Rng::new(seed);
    let config = ServerConfig { reaper_interval_ms: Some(300), ..ServerConfig::default() };
    let theme = Theme { acl_percent: 0, quota_percent: 0, bad_path_percent: 0, weights: vec![1] };
    let mut generator = Generator { rng: rng.clone(), theme, next_identity: 1, open: [None; SLOTS] };
    let mut steps = vec![generator.open_new(0), generator.open_new(1)];
    let request = |request| Step::Request { slot: 0, xid: None, request };
    let open = || AclArg(Some(open_acl()));
    for i in 0..6 {
        let path = format!("/n{i}");
        if rng.chance(50) {
            steps.push(Step::Request { slot: 1, xid: None, request: Request::AddWatch { path: "/".into(), mode: 1 } });
        }
        if rng.chance(50) {
            let (data, flags) = (Data::text("x"), 4);
            steps.push(request(Request::Create {
                op: OpCode::CreateContainer,
                path: path.clone(),
                data,
                acl: open(),
                flags,
            }));
            let child = format!("{path}/c");
            let data = Data(None);
            steps.push(request(Request::Create {
                op: OpCode::Create,
                path: child.clone(),
                data,
                acl: open(),
                flags: 0,
            }));
            steps.push(request(Request::Delete { path: child, version: -1 }));
        } else {
            let (data, flags, ttl_ms) = (Data::text("x"), 5, 1 + rng.below(200) as i64);
            steps.push(request(Request::CreateTtl { path: path.clone(), data, acl: open(), flags, ttl_ms }));
        }
        steps.push(Step::AwaitGone { slot: 0, path });
        steps.push(request(Request::Read { op: OpCode::GetChildren2, path: "/".into(), watch: false }));
    }
    Program { seed, config, steps }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_gives_the_same_program() {
        assert_eq!(generate(7, 300), generate(7, 300));
        assert_ne!(generate(7, 300).steps, generate(8, 300).steps);
        assert_eq!(generate(7, 300).steps.len(), 300);
    }

    #[test]
    fn programs_with_restarts_leave_quotas_alone_once_they_are_set_up() {
        let mut with_quotas = 0;
        for seed in 0..200 {
            let steps = generate_with_restarts(seed, 300).steps;
            let writes: Vec<usize> = (0..steps.len()).filter(|at| rewrites_quota(&steps[*at])).collect();
            assert!(writes.iter().all(|at| *at < 6), "seed {seed}: {writes:?}");
            with_quotas += usize::from(writes == [3, 4, 5]);
        }
        assert!(with_quotas > 20, "{with_quotas} of 200 programs have quotas");
    }

    #[test]
    fn programs_stay_away_from_departures() {
        for seed in 0..200 {
            let program = generate(seed, 300);
            for step in &program.steps {
                for request in step.requests() {
                    assert_eq!(departures::of(request), None, "seed {seed}: {request:?}");
                }
            }
        }
    }
}
