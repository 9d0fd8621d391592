//! What a seed means: which estates there are, what the network does to them, and what goes wrong
//! when. Every fault's presence and strength is drawn anew for each seed.

use std::time::Duration;

use raet_core::config::{Pace, Presence, Timers, Trust};
use raet_core::limits::Limits;
use raet_core::wire::handshake::Initiate;
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

/// Things that are counted, each with a word for people.
macro_rules! counted {
    ($(#[$about:meta])* $of:ident: $($(#[$doc:meta])* $name:ident => $text:literal,)*) => {
        $(#[$about])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum $of { $($(#[$doc])* $name,)* }

        impl $of {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// A word for people.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

counted! {
    /// What can go wrong without anybody's ill will.
    Fault:
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
    /// A host is known by an address that was another's.
    TakeOver => "taken address",
    /// A host does nothing for a while; its socket holds what comes, up to its room.
    Stall => "stall",
    /// A socket's room is used up.
    Overflow => "overflow",
    /// A socket sends nothing for a while.
    Block => "block",
    /// A host dies and comes back with what had been stored.
    Crash => "crash",
    /// It dies while its driver carries out what its engine asks for: some of that is done, some is not.
    CrashAmid => "crash amid outputs",
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

counted! {
    /// What can be full.
    Full:
    /// The host calls somebody, and there is no place for one more remote.
    Connect => "no remote to call",
    /// A message is refused to the application: others are on their way.
    Outbox => "outbox",
    /// A message that arrives is dropped: others wait for the application.
    Inbox => "inbox",
    /// A peer's join is turned down.
    Remotes => "remotes or roles",
    /// A stranger has gone so that somebody else has its place.
    MadeRoom => "a remote made room",
    /// A peer's allow is turned down.
    Handshakes => "handshakes",
    /// An answer was left out: others wait for the socket.
    Replies => "replies",
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
    /// Its address is an IPv6 one.
    pub six: bool,
    /// Its socket is an IPv6 one, and shows IPv4 addresses in IPv6 clothes (H11).
    pub dual: bool,
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
    /// Messages that its application takes whenever it does something; `None`: all, as they come.
    pub appetite: Option<usize>,
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
    /// The same, after so many outputs of its engine.
    CrashAfter(u32, usize, u64, bool),
    /// A host does nothing for so long.
    Stall(usize, u64),
    /// A host's socket sends nothing for so long.
    Block(usize, u64),
    /// Nothing passes from one host to another for so long.
    Partition(usize, usize, u64),
    /// A host gets an address that nobody had.
    Rebind(usize),
    /// A host gets an address that another one left; one that nobody had if there is none.
    TakeOver(usize),
    /// An application takes nothing for so long.
    Deaf(usize, u64),
}

/// Who means ill.
#[derive(Clone, Copy, Default, Debug)]
pub struct Menace {
    /// Somebody off the path, and the mean time between two of its deeds.
    pub off_path: Option<u64>,
    /// Somebody off the path who sends more than is looked at.
    pub flood: bool,
    /// Somebody on every path, likewise.
    pub on_path: Option<u64>,
    /// How many peers join and keep to no rule.
    pub insiders: u32,
    /// Nothing else goes wrong: an attacker off the path alone must cost nobody anything.
    pub siege: bool,
}

impl Menace {
    /// Whether anybody does.
    pub(super) fn is_there(&self) -> bool {
        self.off_path.is_some() || self.on_path.is_some() || self.insiders > 0
    }

    fn draw(rng: &mut Rng, rough: bool) -> Self {
        let which = 1 + rng.below(7);
        let mut pace = |bit| (which & bit != 0).then(|| MS * (5 + rng.bits() % 200));
        let (off_path, on_path) = (pace(1), pace(2));
        Self {
            off_path,
            flood: off_path.is_some() && rng.percent(40),
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
    /// Longest latency that a path begins with.
    latency: u64,
}

/// A packet of a handshake is no longer: the longest head, an initiate, the foot.
const HANDSHAKE: usize = 255 + Initiate::LEN + 64;
/// The longest packet.
const PACKET: usize = 1024;
/// The longest message of a world of long ones.
const LONG: usize = 1 << 20;

impl Strength {
    fn draw(rng: &mut Rng, rough: bool) -> Self {
        /// How often of a hundred worlds a fault is there.
        const OFTEN: u64 = 50;
        const RARELY: u64 = 25;
        let mut some = |percent: u64, most: u64| {
            let there = rough && rng.percent(percent);
            if there { 1 + rng.bits() % most } else { 0 }
        };
        let link = LinkPlan {
            latency: 0,
            jitter: some(OFTEN, 100 * MS),
            loss: some(OFTEN, 300),
            burst: some(OFTEN, 30),
            duplicate: some(OFTEN, 200),
            reorder: some(OFTEN, 200),
            corrupt: some(OFTEN, 100),
            truncate: some(OFTEN, 50),
            // Two estates can meet, but what is long waits for better weather.
            mtu: match some(RARELY, (PACKET - HANDSHAKE) as u64) as usize {
                0 => usize::MAX,
                less => PACKET - less,
            },
        };
        let mut count = |percent, most| some(percent, most) as usize;
        Self {
            link,
            crash: count(OFTEN, 6),
            lost_keep: count(RARELY, 1) > 0,
            stall: count(OFTEN, 6),
            block: count(OFTEN, 6),
            partition: count(OFTEN, 8),
            rebind: count(OFTEN, 4),
            deaf: count(OFTEN, 6),
            clock: count(OFTEN, 1) > 0,
            back: count(OFTEN, 1) > 0,
            small: count(OFTEN, 1) > 0,
            slow_store: count(OFTEN, 1) > 0,
            latency: 50 * MS,
        }
    }

    /// Weather in which messages of a thousand packets arrive.
    fn mild(mut self) -> Self {
        let link = &mut self.link;
        for part in [
            &mut link.jitter,
            &mut link.loss,
            &mut link.burst,
            &mut link.duplicate,
            &mut link.reorder,
            &mut link.corrupt,
            &mut link.truncate,
        ] {
            *part /= 20;
        }
        link.mtu = usize::MAX;
        self.latency = 2 * MS;
        self
    }
}

impl Plan {
    /// Whether a host comes to be where another one was.
    pub(super) fn takes_over(&self) -> bool {
        let mut incidents = self.incidents.iter();
        incidents.any(|(_, what)| matches!(what, Incident::TakeOver(_)))
    }

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
        let mut strength = Strength::draw(&mut rng, rough);
        let long = seed % 32 == 7;
        if long {
            strength = strength.mild();
        }
        let count = 2 + rng.below(3).min(rng.below(4));
        let storm = S * (5 + rng.bits() % 30);
        // What cannot be found again on an immutable road is not asked of one.
        let lost = strength.crash > 0 || strength.rebind > 0;
        let mutable = lost || rng.percent(50);
        let timers = timers(&mut rng);
        let mut hosts: Vec<HostPlan> = (0..count)
            .map(|n| host(&mut rng, n, count, &strength, &timers))
            .collect();
        if long {
            hosts.iter_mut().for_each(HostPlan::lengthen);
        }
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
            .map(|_| (0..count).map(|_| link(&mut rng, &strength)).collect())
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

    /// The same with all estates on storage of one kind, within limits that every kind can have: so few
    /// messages at once, and so short, that a pool of bodies is never too fragmented for one.
    #[must_use]
    pub fn on(mut self, kind: Kind) -> Self {
        for host in &mut self.hosts {
            host.kind = kind;
            let few = host.limits;
            host.limits = Limits {
                outbox: few.outbox.min(8),
                inbox: few.inbox.min(8),
                remote_inbox: few.remote_inbox.min(8),
                message: few.message.min(2000),
                remotes: few.remotes,
                roles: few.roles,
                handshakes: few.handshakes,
                replies: few.replies,
                ..Kind::Roomy.limits()
            };
            host.longest = host.longest.min(2000);
        }
        self
    }

    /// The same without what depends on when, how often and in which order engines are polled: clocks that
    /// are read out of order, and deaths after so many outputs.
    #[must_use]
    pub fn steady(mut self) -> Self {
        self.back = false;
        for (_, incident) in &mut self.incidents {
            if let Incident::CrashAfter(_, n, down, keepless) = *incident {
                *incident = Incident::Crash(n, down, keepless);
            }
        }
        self
    }

    /// The estates that take strangers.
    pub(super) fn mains(&self) -> Vec<usize> {
        let hosts = 0..self.hosts.len();
        hosts.filter(|n| self.hosts[*n].main).collect()
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

fn host(rng: &mut Rng, n: usize, count: usize, strength: &Strength, timers: &Timers) -> HostPlan {
    let kind = match rng.below(4) {
        0 => Kind::Small,
        1 => Kind::Roomy,
        _ => Kind::Heap,
    };
    let main = n == 0 || rng.percent(20);
    let six = rng.percent(25);
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
        six,
        dual: six || rng.percent(15),
        main,
        trust: [Trust::Never, Trust::Once, Trust::Once, Trust::Always][rng.below(4)],
        head: [HeadKind::Native, HeadKind::Native, HeadKind::Json][rng.below(3)],
        body: [BodyKind::Json, BodyKind::Msgpack][rng.below(2)],
        presence: rng.percent(40).then(|| Presence {
            period: Duration::from_millis(500 + rng.bits() % 4000),
            interim: Duration::from_secs([0, 5, 3600][rng.below(3)]),
        }),
        timers: *timers,
        window: [2, 3, 8, 64, 64][rng.below(5)],
        // Near the end of the circle, too.
        first_session: [1, 1, 1000, u32::MAX - 3, u32::MAX - 300][rng.below(5)],
        fast: if strength.clock {
            (rng.bits() % 100_000).cast_signed() - 50_000
        } else {
            0
        },
        connects,
        pace: MS * (20 + rng.bits() % 500),
        appetite: [Some(1), Some(4), None][rng.below(3)],
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

impl HostPlan {
    /// It takes long messages, two at a time, and has all the room for them that it may need.
    fn lengthen(&mut self) {
        let room = Limits::budget(LONG);
        self.kind = Kind::Heap;
        self.window = 64;
        self.limits = Limits {
            message: LONG,
            outbox_bytes: 2 * room,
            inbox_bytes: 2 * room,
            remote_inbox_bytes: room,
            ..self.limits
        };
    }
}

fn link(rng: &mut Rng, strength: &Strength) -> LinkPlan {
    let most = &strength.link;
    // Half of the links have all of it, the others a part.
    let part = if rng.percent(50) {
        100
    } else {
        rng.bits() % 100
    };
    LinkPlan {
        latency: 50 + rng.bits() % strength.latency,
        jitter: most.jitter * part / 100,
        loss: most.loss * part / 100,
        burst: most.burst * part / 100,
        duplicate: most.duplicate * part / 100,
        reorder: most.reorder * part / 100,
        corrupt: most.corrupt * part / 100,
        truncate: most.truncate * part / 100,
        mtu: if rng.percent(50) {
            most.mtu
        } else {
            usize::MAX
        },
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
        let crash = if rng.percent(50) {
            Incident::CrashAfter(1 + rng.below(8) as u32, n, down, keepless)
        } else {
            Incident::Crash(n, down, keepless)
        };
        put(rng, crash);
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
    for _ in 0..strength.rebind {
        let n = rng.below(count);
        let incident = if rng.percent(50) {
            Incident::TakeOver(n)
        } else {
            Incident::Rebind(n)
        };
        put(rng, incident);
    }
    for _ in 0..strength.deaf {
        let incident = Incident::Deaf(rng.below(count), span(rng, 5 * S));
        put(rng, incident);
    }
    all.sort_by_key(|(at, _)| *at);
    all
}
