//! Counts the instructions of the engine's calls, and of the primitives inside of them: two estates in one
//! image, with nothing between them. To be run with `-icount shift=0`, where an instruction takes a nanosecond
//! of the core's timer.
#![no_std]
#![no_main]

use core::hint::black_box;
use core::net::SocketAddr;
use core::sync::atomic::{AtomicU32, Ordering};

use cortex_m::Peripherals;
use firmware::app::Sizes;
use firmware::clock::{Counter, HERTZ};
use firmware::{say, semihosting};
use raet_core::config::{Config, Trust};
use raet_core::crypto::{Crypto, NaclSuite, Purpose, Secrets, WeakKey};
use raet_core::event::{Event, Outcome, RemoteEvent};
use raet_core::storage::Storage;
use raet_core::time::{Duration, Instant};
use raet_core::wire::{MAX_PACKET, name};
use raet_core::{RoadStack, SendOptions};

/// Instructions in a tick of the timer.
const PER_TICK: u32 = 1_000_000_000 / HERTZ;

/// Bytes of a message.
const BODY: usize = 100;

/// Ticks spent in primitives so far.
static PRIMITIVES: AtomicU32 = AtomicU32::new(0);

/// A suite that counts what its primitives take.
struct Counted(NaclSuite, Counter);

impl Counted {
    fn count<R>(&self, primitive: impl FnOnce(&NaclSuite) -> R) -> R {
        let before = self.1.read();
        let result = primitive(&self.0);
        self.add(before);
        result
    }

    fn add(&self, before: u32) {
        let ticks = Counter::between(before, self.1.read());
        // Load and store: nothing interrupts.
        PRIMITIVES.store(
            PRIMITIVES.load(Ordering::Relaxed) + ticks,
            Ordering::Relaxed,
        );
    }
}

impl Crypto for Counted {
    type VerifyKey = <NaclSuite as Crypto>::VerifyKey;
    type SignKey = <NaclSuite as Crypto>::SignKey;
    type SecretKey = <NaclSuite as Crypto>::SecretKey;
    type BoxKey = <NaclSuite as Crypto>::BoxKey;

    fn verify_key(&self, bytes: &[u8; 32]) -> Result<Self::VerifyKey, WeakKey> {
        self.count(|suite| suite.verify_key(bytes))
    }

    fn is_weak_public(&self, public: &[u8; 32]) -> bool {
        self.count(|suite| suite.is_weak_public(public))
    }

    fn verify_key_bytes(key: &Self::VerifyKey) -> [u8; 32] {
        NaclSuite::verify_key_bytes(key)
    }

    fn sign_key(&self, seed: &[u8; 32]) -> Self::SignKey {
        self.count(|suite| suite.sign_key(seed))
    }

    fn sign_key_public(&self, key: &Self::SignKey) -> [u8; 32] {
        self.count(|suite| suite.sign_key_public(key))
    }

    fn secret_key(&self, bytes: &[u8; 32]) -> Self::SecretKey {
        self.count(|suite| suite.secret_key(bytes))
    }

    fn public_key(&self, key: &Self::SecretKey) -> [u8; 32] {
        self.count(|suite| suite.public_key(key))
    }

    fn box_key(
        &self,
        secret: &Self::SecretKey,
        public: &[u8; 32],
    ) -> Result<Self::BoxKey, WeakKey> {
        self.count(|suite| suite.box_key(secret, public))
    }

    fn sign(&self, key: &Self::SignKey, signed: &[u8]) -> [u8; 64] {
        self.count(|suite| suite.sign(key, signed))
    }

    fn verify(&self, key: &Self::VerifyKey, signed: &[u8], signature: &[u8; 64]) -> bool {
        self.count(|suite| suite.verify(key, signed, signature))
    }

    fn seal(&self, key: &Self::BoxKey, nonce: &[u8; 24], body: &mut [u8]) -> [u8; 16] {
        self.count(|suite| suite.seal(key, nonce, body))
    }

    fn open(&self, key: &Self::BoxKey, nonce: &[u8; 24], body: &mut [u8], tag: &[u8; 16]) -> bool {
        self.count(|suite| suite.open(key, nonce, body, tag))
    }

    fn digest(&self, parts: &[&[u8]]) -> [u8; 32] {
        self.count(|suite| suite.digest(parts))
    }

    fn draw(&self, purpose: Purpose) -> [u8; 32] {
        self.count(|suite| suite.draw(purpose))
    }

    fn draw_secret(&mut self, purpose: Purpose) -> Self::SecretKey {
        let before = self.1.read();
        let secret = self.0.draw_secret(purpose);
        self.add(before);
        secret
    }
}

/// What one estate's calls took, in ticks, since the last report.
struct Cost<'a> {
    counter: &'a Counter,
    all: u32,
    primitives: u32,
}

impl Cost<'_> {
    /// Counts a call.
    fn of<R>(&mut self, call: impl FnOnce() -> R) -> R {
        let primitives = PRIMITIVES.load(Ordering::Relaxed);
        let before = self.counter.read();
        let result = call();
        self.all += Counter::between(before, self.counter.read());
        self.primitives += PRIMITIVES.load(Ordering::Relaxed) - primitives;
        result
    }

    /// Says what was counted under this name, and begins anew.
    fn report(&mut self, what: &str) {
        let (all, primitives) = (self.all * PER_TICK, self.primitives * PER_TICK);
        let own = all - primitives;
        say!(what, " all ", all, " primitives ", primitives, " own ", own);
        if primitives > 0 {
            // In thousandths, of what all of it takes.
            say!(what, " share ", own / (all / 1000).max(1));
        }
        (self.all, self.primitives) = (0, 0);
    }
}

type Engine = RoadStack<Sizes, Counted>;

fn estate(own: &str, n: u8, main: bool) -> Engine {
    let Ok(own) = name(own) else {
        semihosting::exit(1)
    };
    let mut config = Config::new(own, Secrets::new(&[n; 32], &[n + 1; 32]));
    config.main = main;
    config.trust = Trust::Once;
    // The same seed each time, so that the counts are the same: these estates meet nobody else.
    let suite = Counted(NaclSuite::new(&[n + 2; 32]), Counter::running());
    match Engine::new(Instant::ZERO, config, Sizes::LIMITS, suite, None) {
        Ok(engine) => engine,
        Err(_) => {
            say!("the engine does not start");
            semihosting::exit(1)
        }
    }
}

/// Two estates, the time, and what the node's calls took.
struct Pair<'a> {
    node: Engine,
    main: Engine,
    now: Instant,
    cost: Cost<'a>,
    packet: [u8; MAX_PACKET],
}

impl Pair<'_> {
    fn addresses() -> [SocketAddr; 2] {
        [[10, 0, 0, 1], [10, 0, 0, 2]].map(|ip| SocketAddr::from((ip, 7530)))
    }

    /// One round of both driving loops. Gives what the node tells.
    fn round(&mut self) -> Option<Event> {
        let [node_at, main_at] = Self::addresses();
        let Self {
            node,
            main,
            cost,
            packet,
            ..
        } = self;
        let now = self.now;
        cost.of(|| node.handle_timeout(now));
        while let Some(record) = cost.of(|| node.poll_record()) {
            cost.of(|| node.handle_stored(now, &record));
        }
        cost.of(|| node.poll_message(|message| message.body.len()));
        while let Some(made) = cost.of(|| node.poll_transmit(now, packet)) {
            let datagram = packet.get_mut(..made.len).unwrap_or_default();
            main.handle_datagram(now, node_at, datagram);
        }
        main.handle_timeout(now);
        while let Some(record) = main.poll_record() {
            main.handle_stored(now, &record);
        }
        while main.poll_event().is_some() {}
        main.poll_message(|message| message.body.len());
        while let Some(made) = main.poll_transmit(now, packet) {
            let datagram = packet.get_mut(..made.len).unwrap_or_default();
            cost.of(|| node.handle_datagram(now, main_at, datagram));
        }
        self.now = now + Duration::from_millis(1);
        cost.of(|| node.poll_event())
    }

    fn until(&mut self, wanted: impl Fn(&Event) -> bool) {
        for _ in 0..1000 {
            if let Some(event) = self.round()
                && wanted(&event)
            {
                return;
            }
        }
        say!("nothing comes of it");
        semihosting::exit(1)
    }

    /// What is still on its way comes to rest.
    fn settle(&mut self) {
        for _ in 0..10 {
            self.round();
        }
    }
}

fn is(wanted: RemoteEvent) -> impl Fn(&Event) -> bool {
    move |event| matches!(event, Event::Remote { what, .. } if *what == wanted)
}

/// Whether the firmware's own memory functions do what they must, at all short lengths and alignments. Here, since it is
/// the image in which nothing else could be at fault.
fn memory_works() -> bool {
    const ROOM: usize = 32;
    let counted = || black_box(core::array::from_fn::<u8, ROOM, _>(|at| at as u8));
    let cases =
        (0..20).flat_map(|len| (0..8).flat_map(move |from| (0..8).map(move |to| (len, from, to))));
    for (len, from, to) in cases {
        // Of a byte within what was copied or filled, its number there.
        let within = |at: usize| at.checked_sub(to).filter(|n| *n < len);
        let is = |room: &[u8; ROOM], expected: &dyn Fn(usize) -> usize| {
            (0..ROOM).all(|at| usize::from(black_box(room[at])) == expected(at))
        };
        let (mut moved, mut copied, mut filled, mut cleared) =
            (counted(), counted(), counted(), counted());
        moved.copy_within(from..from + len, to);
        copied[to..to + len].copy_from_slice(&counted()[from..from + len]);
        filled[to..to + len].fill(black_box(0xa5));
        cleared[to..to + len].fill(0);
        let copy = |at: usize| within(at).map_or(at, |n| from + n);
        let right = is(&moved, &copy)
            && is(&copied, &copy)
            && is(&filled, &|at| within(at).map_or(at, |_| 0xa5))
            && is(&cleared, &|at| within(at).map_or(at, |_| 0))
            && moved[to..to + len] == counted()[from..from + len]
            && (0..len).all(|n| {
                let mut other = copied;
                other[to + n] ^= 0x80;
                black_box(&other[to..to + len]) != black_box(&copied[to..to + len])
            });
        if !right {
            return false;
        }
    }
    true
}

/// Whether 64 bits are divided as they must be: bits of any weight on either side.
fn division_works() -> bool {
    let weights = || (0..64).flat_map(|bit| [1 << bit, u64::MAX >> bit, 1_000_003 << bit]);
    weights().all(|of| {
        weights().filter(|by| *by != 0).all(|by| {
            // The compiler knows what division gives, and would leave the checks out.
            let (of, by) = (black_box(of), black_box(by));
            let (whole, rest) = (black_box(of / by), black_box(of % by));
            rest < by && whole.checked_mul(by).and_then(|n| n.checked_add(rest)) == Some(of)
        })
    })
}

#[cortex_m_rt::entry]
fn main() -> ! {
    if !memory_works() || !division_works() {
        say!("the firmware's own copies or divisions are wrong");
        semihosting::exit(1)
    }
    let Some(board) = Peripherals::take() else {
        semihosting::exit(1)
    };
    let counter = Counter::start(board.SYST);
    let mut pair = Pair {
        node: estate("node", 10, false),
        main: estate("main", 20, true),
        now: Instant::ZERO,
        cost: Cost {
            counter: &counter,
            all: 0,
            primitives: 0,
        },
        packet: [0; MAX_PACKET],
    };
    let [_, main_at] = Pair::addresses();
    let Ok(main) = pair.cost.of(|| pair.node.connect(pair.now, main_at, 0)) else {
        semihosting::exit(1)
    };
    pair.until(is(RemoteEvent::Joined));
    pair.cost.report("join");
    pair.until(is(RemoteEvent::Allowed));
    pair.settle();
    pair.cost.report("allow");

    let (node, now) = (&mut pair.node, pair.now);
    let sent = pair.cost.of(|| {
        node.send(now, main, SendOptions::default(), BODY, |body| {
            body.fill(b'x')
        })
    });
    if sent.is_err() {
        semihosting::exit(1)
    }
    pair.until(
        |event| matches!(event, Event::Message { outcome, .. } if *outcome == Outcome::Delivered),
    );
    pair.settle();
    pair.cost.report("sent");

    let Some(node) = pair.main.find("node") else {
        semihosting::exit(1)
    };
    let sent = pair
        .main
        .send(pair.now, node, SendOptions::default(), BODY, |body| {
            body.fill(b'x')
        });
    if sent.is_err() {
        semihosting::exit(1)
    }
    pair.settle();
    pair.cost.report("received");
    semihosting::exit(0)
}
