//! One main estate and very many others: what a join, a sign of life and a message cost it, and what an
//! idle remote weighs.
//!
//! Only the calls into the main estate's engine are measured: CPU time of this thread, and bytes by an
//! allocator that counts. The others are [`Puppet`]s, whose work is left out. Time is simulated; what is
//! measured decides nothing but the report.

use std::fmt;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use raet_core::config::{Config, Presence, Trust};
use raet_core::crypto::Secrets;
use raet_core::event::{Event, Outcome};
use raet_core::limits::Limits;
use raet_core::storage::{Heap, Storage};
use raet_core::time::Instant;
use raet_core::{RemoteId, RoadStack, SendOptions};
use rustix::time::ClockId;

use crate::bench::{Suite, cpu};
use crate::puppet::Puppet;
use crate::sim::engine::Meter;
use crate::sim::{Rng, name};

/// Strangers that are on their way at once, within the half of the handshakes that is theirs.
const WAVE: usize = 400;
/// Remotes that are asked, or messages that are sent, between two looks at the clock.
const BATCH: usize = 128;
/// Messages sent each way.
const MESSAGES: u64 = 20_000;
/// So many are measured at least, a small crowd several times over.
const SAMPLES: usize = 10_000;
/// Presence period while that is measured. Remotes are asked within its last eighth.
const PERIOD: Duration = Duration::from_secs(64);
/// Bytes of a message.
const BODY: [u8; 100] = [b'm'; 100];

/// What one crowd cost the main estate. CPU times are per operation: of a join the mean, since it may make
/// tables grow; of the rest, which repeats the same work, the median of all batches, so that what else the
/// machine did meanwhile counts little.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// Estates that joined.
    pub estates: usize,
    /// From a stranger's request to a session.
    pub join: Duration,
    /// Asking one remote for a sign of life, and taking its answer.
    pub presence: Duration,
    /// A message taken, delivered and answered.
    pub received: Duration,
    /// A message sent, and its outcome told.
    pub sent: Duration,
    /// Bytes of a joined and allowed remote at rest.
    pub bytes: usize,
}

impl Figures {
    /// The shortest presence period that one core can carry for these estates.
    pub fn shortest_period(&self) -> Duration {
        self.presence * u32::try_from(self.estates).unwrap_or(u32::MAX)
    }

    /// What grew most per operation since `few` estates, as a factor.
    pub fn growth(&self, few: &Self) -> f64 {
        let pairs = [
            (self.join, few.join),
            (self.presence, few.presence),
            (self.received, few.received),
            (self.sent, few.sent),
        ];
        let factor = |(many, few): (Duration, Duration)| many.as_secs_f64() / few.as_secs_f64();
        pairs.into_iter().map(factor).fold(0.0, f64::max)
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = |time: Duration| time.as_secs_f64() * 1e6;
        write!(
            f,
            "{:>9} | {:>8.1} | {:>8.1} | {:>8.1} | {:>8.1} | {:>6}",
            self.estates,
            micros(self.join),
            micros(self.presence),
            micros(self.received),
            micros(self.sent),
            self.bytes,
        )
    }
}

/// The heading of a table of [`Figures`], each followed by its growth since the first and by the shortest
/// presence period.
pub const HEADING: &str =
    "  estates |     join | presence | received |     sent |  bytes | times | period s";

/// Lets `estates` others join one main estate, answer its presence and exchange messages with it.
/// `meter` tells what the main estate allocates.
///
/// # Panics
///
/// If one of them does not get what it came for.
pub fn measure<C: Suite>(estates: usize, meter: Meter) -> Figures {
    let repeats = SAMPLES.div_ceil(estates).max(1);
    let messages = MESSAGES / repeats as u64;
    let mut joins = Duration::ZERO;
    let [mut presence, mut received, mut sent] = [(); 3].map(|()| Costs::default());
    let mut bytes = 0;
    for _ in 0..repeats {
        let mut crowd = Crowd::<C>::new(estates, meter);
        joins += crowd.storm();
        crowd.presence(&mut presence);
        bytes = crowd.weight();
        crowd.receive(messages, &mut received);
        crowd.send(messages, &mut sent);
    }
    Figures {
        estates,
        join: joins / (repeats * estates) as u32,
        presence: presence.median(),
        received: received.median(),
        sent: sent.median(),
        bytes,
    }
}

/// What an operation cost in each batch.
#[derive(Default)]
struct Costs(Vec<Duration>);

impl Costs {
    fn add(&mut self, spent: Duration, operations: usize) {
        self.0.push(spent / operations as u32);
    }

    fn median(mut self) -> Duration {
        let middle = self.0.len() / 2;
        *self.0.select_nth_unstable(middle).1
    }
}

/// What the main estate is asked to do while it is measured.
enum Ask<'a> {
    Take(&'a mut [(SocketAddr, Vec<u8>)]),
    Tick,
    Send(&'a [RemoteId]),
}

struct Crowd<C: Suite> {
    now: Instant,
    main: RoadStack<Heap, C>,
    suite: C,
    puppets: Vec<Puppet<C>>,
    rng: Rng,
    meter: Meter,
    /// What the main estate has allocated less what it has freed, and that after the first wave.
    bytes: i64,
    first_bytes: i64,
    /// What it has sent since it was last carried over, in one buffer.
    out: Vec<(SocketAddr, Range<usize>)>,
    buffer: Vec<u8>,
    delivered: u64,
    taken: u64,
}

impl<C: Suite> Crowd<C> {
    fn new(estates: usize, meter: Meter) -> Self {
        let now = Instant::from_micros(1_000_000);
        let mut config = Config::new(name("main"), Secrets::new(&[1; 32], &[2; 32]));
        config.main = true;
        config.trust = Trust::Once;
        let limits = Limits {
            remotes: estates,
            roles: estates,
            ..Heap::LIMITS
        };
        let main = RoadStack::new(now, config, limits, C::from_seed([3; 32]), []);
        let suite = C::from_seed([4; 32]);
        let mut crowd = Self {
            now,
            main: main.expect("sound limits"),
            bytes: 0,
            first_bytes: 0,
            puppets: (0..estates)
                .map(|n| Puppet::new(&suite, n as u32, address_of(n)))
                .collect(),
            suite,
            rng: Rng::new(estates as u64),
            meter,
            out: Vec::with_capacity(4 * WAVE),
            buffer: vec![0; 4 * WAVE * 1024],
            delivered: 0,
            taken: 0,
        };
        crowd.do_one(Ask::Tick);
        crowd
    }

    /// Everyone joins, a wave after the other.
    fn storm(&mut self) -> Duration {
        let mut spent = Duration::ZERO;
        for first in (0..self.puppets.len()).step_by(WAVE) {
            let wave = first..(first + WAVE).min(self.puppets.len());
            let mut packets: Vec<_> = self.puppets[wave.clone()]
                .iter_mut()
                .map(|puppet| (puppet.address, puppet.request()))
                .collect();
            for _ in 0..10 {
                self.pass();
                spent += self.do_one(Ask::Take(&mut packets));
                packets = self.carry();
            }
            assert!(
                self.puppets[wave].iter().all(Puppet::allowed),
                "nothing is lost, so everyone gets in"
            );
            if first == 0 {
                self.first_bytes = self.bytes;
            }
        }
        assert_eq!(
            self.main
                .remotes()
                .filter(|r| r.joined && r.allowed)
                .count(),
            self.puppets.len()
        );
        spent
    }

    /// Every remote is asked once for a sign of life.
    fn presence(&mut self, costs: &mut Costs) {
        let presence = Presence {
            period: PERIOD,
            interim: Duration::ZERO,
        };
        self.main.set_presence(self.now, Some(presence));
        let mut left = self.puppets.len();
        let step = PERIOD / 8 * BATCH as u32 / self.puppets.len() as u32;
        let end = self.now + PERIOD + PERIOD / 2;
        while left > 0 {
            // Nothing happens until the first one is due.
            let due = self.main.poll_timeout().expect("presence has deadlines");
            self.now = due.at + step.max(Duration::from_millis(1));
            assert!(self.now < end, "each is asked once in a period");
            let mut spent = self.do_one(Ask::Tick);
            let mut answers = self.carry();
            let asked = answers.len();
            left -= asked.min(left);
            spent += self.do_one(Ask::Take(&mut answers));
            self.carry();
            if asked > 0 {
                costs.add(spent, asked);
            }
        }
    }

    /// So many messages from estates drawn at random.
    fn receive(&mut self, messages: u64, costs: &mut Costs) {
        let (taken, done) = (self.taken, self.done());
        while self.taken - taken < messages {
            self.pass();
            let count = (messages - (self.taken - taken)).min(BATCH as u64);
            let mut packets: Vec<_> = (0..count)
                .map(|_| {
                    let n = self.rng.below(self.puppets.len());
                    let puppet = &mut self.puppets[n];
                    (puppet.address, puppet.message(&self.suite, &BODY))
                })
                .collect();
            let spent = self.do_one(Ask::Take(&mut packets));
            costs.add(spent, packets.len());
            self.carry();
        }
        assert_eq!(self.done() - done, messages, "each is told done");
    }

    fn done(&self) -> u64 {
        self.puppets.iter().map(|puppet| puppet.done).sum()
    }

    /// So many messages to estates drawn at random.
    fn send(&mut self, messages: u64, costs: &mut Costs) {
        let remotes: Vec<RemoteId> = (0..self.puppets.len())
            .map(|n| {
                let found = self.main.find(&Puppet::<C>::name_of(n as u32));
                found.expect("it has joined")
            })
            .collect();
        let delivered = self.delivered;
        while self.delivered - delivered < messages {
            self.pass();
            let count = (messages - (self.delivered - delivered)).min(BATCH as u64);
            let to: Vec<_> = (0..count)
                .map(|_| remotes[self.rng.below(remotes.len())])
                .collect();
            let mut spent = self.do_one(Ask::Send(&to));
            let mut answers = self.carry();
            spent += self.do_one(Ask::Take(&mut answers));
            costs.add(spent, to.len());
            self.carry();
        }
    }

    /// Bytes a remote, those that came first and the tables that all share left out.
    fn weight(&self) -> usize {
        let more = self.puppets.len() - WAVE.min(self.puppets.len());
        let bytes = usize::try_from(self.bytes - self.first_bytes).unwrap_or(0);
        bytes / more.max(1)
    }

    fn pass(&mut self) {
        self.now = self.now + Duration::from_millis(1);
    }

    /// One thing asked of the main estate, and all that it has to say then; what that cost it.
    fn do_one(&mut self, mut ask: Ask<'_>) -> Duration {
        let mut spent = Duration::ZERO;
        let meter = self.meter;
        let grown = meter(&mut || {
            let began = cpu(ClockId::ThreadCPUTime);
            self.ask(&mut ask);
            self.listen();
            spent = cpu(ClockId::ThreadCPUTime).saturating_sub(began);
        });
        self.bytes += grown.held;
        spent
    }

    fn ask(&mut self, ask: &mut Ask<'_>) {
        let (now, main) = (self.now, &mut self.main);
        match ask {
            Ask::Take(packets) => {
                for (from, bytes) in packets.iter_mut() {
                    main.handle_datagram(now, *from, bytes);
                }
            }
            Ask::Tick => {
                while main.poll_timeout().is_some_and(|timeout| timeout.at <= now) {
                    main.handle_timeout(now);
                }
            }
            Ask::Send(to) => {
                for remote in *to {
                    main.send(now, *remote, SendOptions::default(), BODY.len(), |room| {
                        room.copy_from_slice(&BODY);
                    })
                    .expect("room in the outbox");
                }
            }
        }
    }

    /// Takes everything that the main estate has to say.
    fn listen(&mut self) {
        let (now, main) = (self.now, &mut self.main);
        while let Some(record) = main.poll_record() {
            main.handle_stored(now, &record);
        }
        while let Some(len) = main.poll_message(|message| message.body.len()) {
            assert_eq!(len, BODY.len());
            self.taken += 1;
        }
        while let Some(event) = main.poll_event() {
            if let Event::Message { outcome, .. } = event {
                assert_eq!(outcome, Outcome::Delivered);
                self.delivered += 1;
            }
        }
        let mut end = self.out.last().map_or(0, |(_, range)| range.end);
        while let Some(made) = main.poll_transmit(now, &mut self.buffer[end..]) {
            self.out.push((made.to, end..end + made.len));
            end += made.len;
        }
    }

    /// Hands what the main estate has sent to the puppets; gives what they answer.
    fn carry(&mut self) -> Vec<(SocketAddr, Vec<u8>)> {
        let mut answers = Vec::new();
        for (to, range) in self.out.drain(..) {
            let puppet = &mut self.puppets[index_of(to)];
            for answer in puppet.handle(&self.suite, &mut self.buffer[range]) {
                answers.push((puppet.address, answer));
            }
        }
        answers
    }
}

/// Puppet `n` is at 10.0.0.0 + n.
fn address_of(n: usize) -> SocketAddr {
    SocketAddr::from(((0x0a00_0000 + n as u32).to_be_bytes(), 7530))
}

fn index_of(address: SocketAddr) -> usize {
    match address {
        SocketAddr::V4(v4) => (u32::from(*v4.ip()) - 0x0a00_0000) as usize,
        SocketAddr::V6(_) => unreachable!("puppets live on IPv4"),
    }
}
