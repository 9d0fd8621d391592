//! What a seed means: which estates there are, what the network does to them, and what goes wrong
//! when. Every fault's presence and strength is drawn anew for each seed.

use std::time::Duration;

use raet_core::config::{Pace, Presence, Timers, Trust};
use raet_core::limits::Limits;
use raet_core::wire::{BodyKind, HeadKind};

use super::engine::Kind;
use super::scene::Rng;

/// Microseconds in a millisecond and a second of a simulated clock.
pub(super) const MS: u64 = 1_000;
pub(super) const S: u64 = 1_000_000;

/// How rough a simulated world is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Profile {
    /// Nothing goes wrong: messages over a fair network.
    Calm,
    /// Faults drawn anew for each seed.
    Swarm,
    /// Attackers drawn anew for each seed, in calm and in rough weather.
    Hostile,
}

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident => $text:literal,)*) => {
        /// What can go wrong without anybody's ill will.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum Fault { $($(#[$doc])* $name,)* }

        impl Fault {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// A word for people.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

faults! {
    /// A datagram is lost.
    Loss => "loss",
    /// Many are lost, one after another.
    Burst => "burst",
    /// A datagram arrives twice.
    Duplicate => "duplicate",
    /// It arrives late, behind later ones.
    Reorder => "reorder",
    /// Some of its bytes are others.
    Corrupt => "corrupt",
    /// It is cut off.
    Truncate => "truncate",
    /// A path takes no datagram of this size.
    Size => "size",
    /// Nothing passes from one estate to another, for a while.
    Partition => "partition",
    /// A host is known by another address from now on.
    Rebind => "rebind",
    /// A host does nothing for a while; its socket holds what comes, up to its room.
    Stall => "stall",
    /// A socket's room is used up.
    Overflow => "overflow",
    /// A socket sends nothing for a while.
    Block => "block",
    /// A host dies and comes back with what had been stored.
    Crash => "crash",
    /// A record was on its way to the keep when its host died.
    LostRecord => "lost record",
    /// A host dies and comes back without its keep.
    LostKeep => "lost keep",
    /// An application takes no messages for a while.
    Deaf => "deaf",
    /// A host's clock runs at another rate than the world's.
    Clock => "clock rate",
    /// A host's clock was read out of order: its time goes back a little.
    Back => "clock back",
}

/// One estate, and the host that it is on.
#[derive(Clone, Debug)]
pub struct HostPlan {
    /// Its name.
    pub name: &'static str,
    /// Whose keys it bears: number of the host that owns the role.
    pub role: usize,
    /// What holds its records.
    pub kind: Kind,
    /// How much.
    pub limits: Limits,
    /// Strangers may join it.
    pub main: bool,
    /// Whose keys it takes.
    pub trust: Trust,
    /// How it writes heads.
    pub head: HeadKind,
    /// How it writes bodies.
    pub body: BodyKind,
    /// Whether it asks for signs of life.
    pub presence: Option<Presence>,
    /// How long it waits.
    pub timers: Timers,
    /// Packets on their way to one remote.
    pub window: u16,
    /// Where its session ids begin.
    pub first_session: u32,
    /// By how much its clock is fast, in millionths.
    pub fast: i64,
    /// Whom its application connects to.
    pub connects: Vec<usize>,
    /// Mean time between two deeds of its application.
    pub pace: u64,
    /// Messages that its application takes at once.
    pub appetite: usize,
    /// Datagrams that its socket holds while nobody reads.
    pub socket: usize,
    /// Longest time that a record takes to be stored.
    pub store: u64,
    /// Longest message that its application sends.
    pub longest: usize,
}

/// What a path does to datagrams. Chances are in thousandths.
#[derive(Clone, Copy, Default, Debug)]
pub struct LinkPlan {
    /// Shortest time on the way.
    pub latency: u64,
    /// What may come on top.
    pub jitter: u64,
    /// Chance to be lost.
    pub loss: u64,
    /// Chance that a burst of losses begins with a datagram.
    pub burst: u64,
    /// Chance to arrive twice.
    pub duplicate: u64,
    /// Chance to be held back.
    pub reorder: u64,
    /// Chance to be altered.
    pub corrupt: u64,
    /// Chance to be cut off.
    pub truncate: u64,
    /// Longest datagram that passes.
    pub mtu: usize,
}

impl Profile {
    /// Its name, as the program `sim` takes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Calm => "calm",
            Self::Swarm => "swarm",
            Self::Hostile => "hostile",
        }
    }
}

/// Something that goes wrong at a certain time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Incident {
    /// A host dies, and comes back after so long, with or without its keep.
    Crash(usize, u64, bool),
    /// A host does nothing for so long.
    Stall(usize, u64),
    /// A host's socket sends nothing for so long.
    Block(usize, u64),
    /// Nothing passes from one host to another for so long.
    Partition(usize, usize, u64),
    /// A host gets another address.
    Rebind(usize),
    /// An application takes nothing for so long.
    Deaf(usize, u64),
}

/// Who means ill.
#[derive(Clone, Copy, Default, Debug)]
pub struct Menace {
    /// Somebody off the path, and the mean time between two of its deeds.
    pub off_path: Option<u64>,
    /// Somebody on every path, likewise.
    pub on_path: Option<u64>,
    /// How many peers join and keep to no rule.
    pub insiders: u32,
    /// Nothing else goes wrong: an attacker off the path alone must cost nobody anything.
    pub siege: bool,
}

impl Menace {
    fn draw(rng: &mut Rng, rough: bool) -> Self {
        let which = 1 + rng.below(7);
        let mut pace = |bit| (which & bit != 0).then(|| MS * (5 + rng.bits() % 200));
        let (off_path, on_path) = (pace(1), pace(2));
        Self {
            off_path,
            on_path,
            insiders: if which & 4 != 0 {
                1 + rng.below(3) as u32
            } else {
                0
            },
            siege: which == 1 && !rough,
        }
    }
}

/// A seed, spelt out.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// Curves rather than hashes.
    pub real: bool,
    /// The estates.
    pub hosts: Vec<HostPlan>,
    /// The path from each to each.
    pub links: Vec<Vec<LinkPlan>>,
    /// What goes wrong, and when.
    pub incidents: Vec<(u64, Incident)>,
    /// What estates know of each other may change. Who is forgotten comes back only then.
    pub mutable: bool,
    /// When it stops to go wrong.
    pub storm: u64,
    /// Within which time everything must be in order after that.
    pub grace: u64,
    /// Clocks are read out of order now and then.
    pub back: bool,
    /// Who means ill.
    pub menace: Menace,
}

const NAMES: [&str; 6] = ["main", "alpha", "bravo", "carol", "delta", "echo"];

/// Which faults a seed has, and how strong.
struct Strength {
    link: LinkPlan,
    /// How many incidents of each kind there are.
    crash: usize,
    lost_keep: bool,
    stall: usize,
    block: usize,
    partition: usize,
    rebind: usize,
    deaf: usize,
    clock: bool,
    back: bool,
    small: bool,
    slow_store: bool,
}

impl Strength {
    fn draw(rng: &mut Rng, rough: bool) -> Self {
        let mut some = |most: u64| match rng.below(2) {
            1 if rough => 1 + rng.bits() % most,
            _ => 0,
        };
        let link = LinkPlan {
            latency: 0,
            jitter: some(100 * MS),
            loss: some(300),
            burst: some(30),
            duplicate: some(200),
            reorder: some(200),
            corrupt: some(100),
            truncate: some(50),
            mtu: match some(5) {
                5 => 900,
                _ => 1500,
            },
        };
        let mut count = |most| usize::try_from(some(most)).unwrap_or(0);
        Self {
            link,
            crash: count(6),
            lost_keep: count(8) > 4,
            stall: count(6),
            block: count(6),
            partition: count(8),
            rebind: count(4),
            deaf: count(6),
            clock: count(2) > 0,
            back: count(2) > 0,
            small: count(2) > 0,
            slow_store: count(2) > 0,
        }
    }
}

impl Plan {
    /// What `seed` means.
    pub fn draw(seed: u64, profile: Profile) -> Self {
        let mut rng = Rng::new(seed ^ 0x5EED);
        let rough = match profile {
            Profile::Calm => false,
            Profile::Swarm => true,
            Profile::Hostile => rng.percent(50),
        };
        let menace = match profile {
            Profile::Hostile => Menace::draw(&mut rng, rough),
            Profile::Calm | Profile::Swarm => Menace::default(),
        };
        let strength = Strength::draw(&mut rng, rough);
        let count = 2 + rng.below(3).min(rng.below(4));
        let storm = S * (5 + rng.bits() % 30);
        // What cannot be found again on an immutable road is not asked of one.
        let lost = strength.crash > 0 || strength.rebind > 0;
        let mutable = lost || rng.percent(50);
        let timers = timers(&mut rng);
        let mut hosts: Vec<HostPlan> = (0..count)
            .map(|n| host(&mut rng, n, count, &strength, timers))
            .collect();
        let shortest = hosts.iter().map(|h| h.limits.message).min().unwrap_or(0);
        let known: Vec<_> = hosts.iter().map(|h| (h.main, h.role)).collect();
        for host in &mut hosts {
            host.longest = shortest;
            // Only a main estate takes strangers, and nobody takes who bears its own keys (H16).
            let role = host.role;
            host.connects
                .retain(|to| known[*to].0 && known[*to].1 != role);
            host.connects.dedup();
        }
        let links = (0..count)
            .map(|_| (0..count).map(|_| link(&mut rng, &strength.link)).collect())
            .collect();
        let incidents = incidents(&mut rng, &strength, &hosts, storm);
        let retry = timers.retry.redo_max.as_micros() as u64;
        Self {
            seed,
            real: seed % 16 == 15,
            hosts,
            links,
            incidents,
            mutable,
            storm,
            grace: 3 * retry + 120 * S,
            back: strength.back,
            menace,
        }
    }

    /// The same with all estates on storage of one kind, within limits that every kind can have and a
    /// pool of bodies is never too fragmented for.
    #[must_use]
    pub fn on(mut self, kind: Kind) -> Self {
        for host in &mut self.hosts {
            host.kind = kind;
            let limits = &mut host.limits;
            limits.message = limits.message.min(4000);
            let most = Limits::budget(limits.message) * 3;
            limits.outbox_bytes = limits.outbox_bytes.min(most);
            limits.inbox_bytes = limits.inbox_bytes.min(most);
            limits.remote_inbox_bytes = limits.remote_inbox_bytes.min(limits.inbox_bytes);
            host.longest = host.longest.min(4000);
        }
        self
    }

    /// The estates that nobody connects to: only these can change their address, for they alone
    /// know whom to tell.
    pub fn callers(hosts: &[HostPlan]) -> Vec<usize> {
        let called = |n: &usize| hosts.iter().any(|h| h.connects.contains(n));
        (0..hosts.len()).filter(|n| !called(n)).collect()
    }
}

fn timers(rng: &mut Rng) -> Timers {
    let mut timers = Timers::default();
    timers.retry.redo_max = Duration::from_secs(2 + rng.bits() % 59);
    if rng.percent(50) {
        return timers;
    }
    let by = 1 + rng.bits() as u32 % 4;
    let shrink = |pace: &mut Pace| {
        pace.timeout /= by;
        pace.redo_min /= by;
        pace.redo_max /= by;
    };
    shrink(&mut timers.joiner);
    shrink(&mut timers.joinent);
    shrink(&mut timers.allower);
    shrink(&mut timers.allowent);
    shrink(&mut timers.aliver);
    timers
}

fn host(rng: &mut Rng, n: usize, count: usize, strength: &Strength, timers: Timers) -> HostPlan {
    let kind = match rng.below(4) {
        0 => Kind::Small,
        1 => Kind::Roomy,
        _ => Kind::Heap,
    };
    let main = n == 0 || rng.percent(20);
    let mut connects = if n > 0 { vec![0] } else { Vec::new() };
    // Every main but the first one may call others, too: both begin at once.
    if n > 1 && rng.percent(30) {
        connects.push(rng.below(n));
    }
    if n == 0 && rng.percent(20) {
        connects.push(1);
    }
    HostPlan {
        name: NAMES[n],
        role: if n > 1 && rng.percent(10) { n - 1 } else { n },
        kind,
        limits: limits(rng, kind, count, strength.small),
        main,
        trust: [Trust::Never, Trust::Once, Trust::Once, Trust::Always][rng.below(4)],
        head: [HeadKind::Native, HeadKind::Native, HeadKind::Json][rng.below(3)],
        body: [BodyKind::Json, BodyKind::Msgpack][rng.below(2)],
        presence: rng.percent(40).then(|| Presence {
            period: Duration::from_millis(500 + rng.bits() % 4000),
            interim: Duration::from_secs([0, 5, 3600][rng.below(3)]),
        }),
        timers,
        window: [2, 3, 8, 64, 64][rng.below(5)],
        // Near the end of the circle, too.
        first_session: [1, 1, 1000, u32::MAX - 3, u32::MAX - 300][rng.below(5)],
        fast: if strength.clock {
            (rng.bits() % 100_000) as i64 - 50_000
        } else {
            0
        },
        connects,
        pace: MS * (20 + rng.bits() % 500),
        appetite: [1, 4, 1000][rng.below(3)],
        socket: [1, 8, 256][rng.below(3)],
        store: if strength.slow_store {
            rng.bits() % (2 * S)
        } else {
            rng.bits() % (5 * MS)
        },
        longest: 0,
    }
}

/// Limits under which every estate of the world can be met; else as small as can be.
fn limits(rng: &mut Rng, kind: Kind, count: usize, small: bool) -> Limits {
    let most = kind.limits();
    let remotes = (2 * count).min(most.remotes);
    if !small {
        return most;
    }
    let message = [40, 900, 3000, 12_000][rng.below(4)];
    let outbox_bytes = Limits::budget(message) * (1 + rng.below(3));
    let inbox_bytes = Limits::budget(message) * (1 + rng.below(3));
    let inbox = 1 + rng.below(6);
    Limits {
        remotes,
        roles: remotes,
        handshakes: 1 + rng.below(remotes),
        outbox: 1 + rng.below(8),
        inbox,
        remote_inbox: 1 + rng.below(inbox),
        message,
        outbox_bytes: outbox_bytes.min(most.outbox_bytes),
        inbox_bytes: inbox_bytes.min(most.inbox_bytes),
        remote_inbox_bytes: Limits::budget(message),
        replies: 1 + rng.below(most.replies),
    }
}

fn link(rng: &mut Rng, most: &LinkPlan) -> LinkPlan {
    // Half of the links have all of it, the others a part.
    let part = if rng.percent(50) {
        100
    } else {
        rng.bits() % 100
    };
    LinkPlan {
        latency: 50 + rng.bits() % (50 * MS),
        jitter: most.jitter * part / 100,
        loss: most.loss * part / 100,
        burst: most.burst * part / 100,
        duplicate: most.duplicate * part / 100,
        reorder: most.reorder * part / 100,
        corrupt: most.corrupt * part / 100,
        truncate: most.truncate * part / 100,
        mtu: most.mtu,
    }
}

fn incidents(
    rng: &mut Rng,
    strength: &Strength,
    hosts: &[HostPlan],
    storm: u64,
) -> Vec<(u64, Incident)> {
    let mut all = Vec::new();
    let count = hosts.len();
    let mut put = |rng: &mut Rng, incident| all.push((rng.bits() % storm, incident));
    let span = |rng: &mut Rng, most: u64| 1 + rng.bits() % most;
    for _ in 0..strength.crash {
        let (n, down) = (rng.below(count), span(rng, 3 * S));
        let keepless = strength.lost_keep && rng.percent(30);
        put(rng, Incident::Crash(n, down, keepless));
    }
    for _ in 0..strength.stall {
        let incident = Incident::Stall(rng.below(count), span(rng, 4 * S));
        put(rng, incident);
    }
    for _ in 0..strength.block {
        let incident = Incident::Block(rng.below(count), span(rng, 2 * S));
        put(rng, incident);
    }
    for _ in 0..strength.partition {
        let (from, to) = (rng.below(count), rng.below(count));
        let incident = Incident::Partition(from, to, span(rng, 10 * S));
        put(rng, incident);
    }
    let callers = Plan::callers(hosts);
    for _ in 0..strength.rebind.min(callers.len() * 4) {
        let incident = Incident::Rebind(callers[rng.below(callers.len())]);
        put(rng, incident);
    }
    for _ in 0..strength.deaf {
        let incident = Incident::Deaf(rng.below(count), span(rng, 5 * S));
        put(rng, incident);
    }
    all.sort_by_key(|(at, _)| *at);
    all
}
