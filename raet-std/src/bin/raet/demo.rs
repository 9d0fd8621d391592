//! `raet demo`: three estates in one process, and a link that loses a fifth of what it carries.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use clap::Args;
use raet_std::core::RemoteId;
use raet_std::core::config::{Presence, Trust};
use raet_std::core::event::{Outcome, RemoteEvent};
use raet_std::{Body, Event, Incoming, Message, Road, SendOptions, Shutdown};
use serde_json::json;

use crate::{FAILURE, Problem, SUCCESS};

/// All of it, on a slow machine too.
const LIMIT: Duration = Duration::from_secs(60);

/// Short messages each way between main and each of the others.
const SHORT: usize = 10;

/// Bytes of the long one.
const LONG: usize = 1_000_000;

/// Of a hundred datagrams on the bad link, so many are lost.
const LOSS: u64 = 20;

/// Show it all: three estates on loopback, a 1 MB message, and a link that loses 20 %
///
/// Prints what happens, then totals. Succeeds only if every message was delivered once and
/// intact.
#[derive(Args)]
#[command(after_help = "Exit codes: 0 all was delivered once and intact; 1 not so; 2 wrong usage.")]
pub(crate) struct Demo {
    /// Which datagrams the bad link loses
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl Demo {
    pub(crate) fn run(&self) -> Result<u8, Problem> {
        println!("Three estates in one process: main, which strangers may join, alpha, and beta");
        println!(
            "behind a link that loses {LOSS} of 100 datagrams each way (seed {}).\n",
            self.seed
        );
        let (news, happenings) = channel();
        let main = Actor::open("main", true, &news)?;
        let link = Link::open(main.road.local_addr(), self.seed).map_err(Problem::failure)?;
        let alpha = Actor::open("alpha", false, &news)?;
        let beta = Actor::open("beta", false, &news)?;
        drop(news);

        let mut stage = Stage {
            started: Instant::now(),
            actors: [main, alpha, beta],
            expected: BTreeMap::new(),
        };
        stage.open(&link)?;
        let in_time = stage.play(&happenings)?;
        let code = stage.close(&happenings, &link, in_time);
        link.close();
        Ok(code)
    }
}

/// An estate with a thread that hands on what it sees.
struct Actor {
    name: &'static str,
    road: Road,
    watcher: JoinHandle<()>,
    sent: usize,
    delivered: usize,
    taken: usize,
}

type News = (usize, Incoming);

impl Actor {
    fn open(name: &'static str, main: bool, news: &Sender<News>) -> Result<Self, Problem> {
        let road = Road::builder(name)
            .bind(([127, 0, 0, 1], 0))
            .main(main)
            .trust(Trust::Once)
            .largest_message(LONG)
            .configure(|config| {
                config.presence = Some(Presence::default());
                // Quicker than the protocol's defaults: nobody wants to watch a join wait.
                config.timers.joiner.redo_min = Duration::from_millis(200);
                config.timers.joiner.redo_max = Duration::from_millis(800);
            })
            .open()?;
        let (theirs, news) = (road.clone(), news.clone());
        let number = NAMES
            .iter()
            .position(|known| *known == name)
            .unwrap_or_default();
        let watcher = thread::spawn(move || {
            while let Ok(happening) = theirs.next_for(LIMIT) {
                if let Some(happening) = happening
                    && news.send((number, happening)).is_err()
                {
                    return;
                }
            }
        });
        Ok(Self {
            name,
            road,
            watcher,
            sent: 0,
            delivered: 0,
            taken: 0,
        })
    }
}

/// The estates by number.
const NAMES: [&str; 3] = ["main", "alpha", "beta"];
const MAIN: usize = 0;
const ALPHA: usize = 1;
const BETA: usize = 2;

/// The play: who has sent what to whom, and what of it has come.
struct Stage {
    started: Instant,
    actors: [Actor; 3],
    /// How often each message (sender, receiver, body) has come; it is to be once.
    expected: BTreeMap<(usize, usize, Vec<u8>), usize>,
}

impl Stage {
    fn tell(&self, who: usize, words: &str) {
        let time = self.started.elapsed().as_secs_f64();
        println!("{time:9.3}  {:<6} {words}", NAMES[who]);
    }

    /// Everybody listens, and the others join main.
    fn open(&self, link: &Link) -> Result<(), Problem> {
        let main = self.actors[MAIN].road.local_addr();
        for (who, actor) in self.actors.iter().enumerate() {
            self.tell(who, &format!("listens at {}", actor.road.local_addr()));
        }
        for (who, to) in [(ALPHA, main), (BETA, link.address)] {
            let by = if who == BETA {
                " over the bad link"
            } else {
                ""
            };
            self.tell(who, &format!("joins main at {to}{by}"));
            self.actors[who]
                .road
                .connect(to)
                .map_err(Problem::failure)?;
        }
        Ok(())
    }

    /// Until everything has come and everybody knows; false when the time is over.
    fn play(&mut self, happenings: &Receiver<News>) -> Result<bool, Problem> {
        let end = self.started + LIMIT;
        let mut greeted = [false; 3];
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let Ok((who, happening)) = happenings.recv_timeout(left) else {
                return Ok(false);
            };
            match happening {
                Incoming::Message(message) => self.came(who, &message),
                Incoming::Event(Event::Ended { outcome, .. }) => self.ended(who, outcome),
                Incoming::Event(Event::Remote { remote, what, .. }) => {
                    let other = self.other(who, remote);
                    self.tell(who, &format!("{} {}", words(what), NAMES[other]));
                    if what == RemoteEvent::Allowed
                        && who == MAIN
                        && !std::mem::replace(&mut greeted[other], true)
                    {
                        self.exchange(remote, other)?;
                    }
                }
                Incoming::Event(_) => {}
            }
            let done = |actor: &Actor| actor.sent == actor.delivered;
            if greeted == [false, true, true]
                && self.actors.iter().all(done)
                && self.expected.values().all(|times| *times > 0)
            {
                return Ok(true);
            }
        }
    }

    /// Which estate a remote is: main's have names, the others know main only.
    fn other(&self, who: usize, remote: RemoteId) -> usize {
        if who != MAIN {
            return MAIN;
        }
        let info = self.actors[MAIN].road.remote(remote);
        let name = info
            .map(|info| info.name.as_str().to_owned())
            .unwrap_or_default();
        NAMES
            .iter()
            .position(|known| *known == name)
            .unwrap_or(ALPHA)
    }

    /// Main and another one send to each other.
    fn exchange(&mut self, remote: RemoteId, other: usize) -> Result<(), Problem> {
        let back = self.actors[other].road.find(NAMES[MAIN]);
        let back = back.ok_or_else(|| Problem::failure(format!("{} lost main", NAMES[other])))?;
        for number in 1..=SHORT {
            for (from, to, remote) in [(MAIN, other, remote), (other, MAIN, back)] {
                let body = json!({ "number": number, "text": format!("Hello {}, here is {}", NAMES[to], NAMES[from]) });
                self.send(
                    from,
                    to,
                    remote,
                    &Body::json(&body).map_err(Problem::failure)?,
                )?;
            }
        }
        self.tell(
            MAIN,
            &format!(
                "and {}: {SHORT} short messages each way are sent",
                NAMES[other]
            ),
        );
        if other == ALPHA {
            let bytes: Vec<u8> = (0..LONG).map(|i| (i * i / 251 % 256) as u8).collect();
            self.send(ALPHA, MAIN, back, &Body::raw(bytes))?;
            self.tell(
                ALPHA,
                &format!("sends main a message of {LONG} bytes, in segments"),
            );
        }
        Ok(())
    }

    fn send(
        &mut self,
        from: usize,
        to: usize,
        remote: RemoteId,
        body: &Body,
    ) -> Result<(), Problem> {
        let options = SendOptions {
            tell: true,
            ..SendOptions::default()
        };
        // Its end comes as an event.
        drop(
            self.actors[from]
                .road
                .send_with(remote, body, &options)
                .map_err(Problem::failure)?,
        );
        self.expected.insert((from, to, body.bytes().to_vec()), 0);
        self.actors[from].sent += 1;
        Ok(())
    }

    fn came(&mut self, who: usize, message: &Message) {
        self.actors[who].taken += 1;
        let from = NAMES
            .iter()
            .position(|known| *known == message.name)
            .unwrap_or(who);
        let times = self
            .expected
            .entry((from, who, message.bytes.clone()))
            .or_insert(usize::MAX / 2);
        *times += 1;
        let intact = *times < usize::MAX / 2;
        if !intact {
            self.tell(
                who,
                &format!("got a message from {} that nobody sent so", NAMES[from]),
            );
        } else if message.bytes.len() == LONG {
            self.tell(
                who,
                &format!("took the {LONG} bytes from {}: intact", NAMES[from]),
            );
        }
        let short =
            |key: &&(usize, usize, Vec<u8>)| key.0 == from && key.1 == who && key.2.len() < LONG;
        let came = self
            .expected
            .iter()
            .filter(|(key, times)| short(key) && **times > 0)
            .count();
        if message.bytes.len() < LONG && came == SHORT {
            self.tell(
                who,
                &format!("took all {SHORT} short messages from {}", NAMES[from]),
            );
        }
    }

    fn ended(&mut self, who: usize, outcome: Outcome) {
        if outcome == Outcome::Delivered {
            self.actors[who].delivered += 1;
        } else {
            self.tell(who, &format!("a message was not delivered: {outcome:?}"));
        }
    }

    /// Ends all, takes in what still comes, and counts.
    fn close(mut self, happenings: &Receiver<News>, link: &Link, in_time: bool) -> u8 {
        let how = Shutdown {
            deliver: Duration::ZERO,
            linger: Duration::from_millis(700),
        };
        let roads = self.actors.each_ref().map(|actor| actor.road.clone());
        let closers = roads.map(|road| thread::spawn(move || road.shutdown(&how).is_complete()));
        let complete = closers.map(|closer| closer.join().unwrap_or(false));
        while let Ok((who, happening)) = happenings.recv() {
            match happening {
                Incoming::Message(message) => self.came(who, &message),
                Incoming::Event(Event::Ended { outcome, .. }) => self.ended(who, outcome),
                Incoming::Event(_) => {}
            }
        }
        let time = self.started.elapsed().as_secs_f64();
        println!("\nTotals after {time:.1} s");
        println!("  estate   sent  delivered  received  datagrams out  of them repeats");
        for actor in &self.actors {
            let stats = actor.road.stats().engine;
            println!(
                "  {:<7}{:>6}{:>11}{:>10}{:>15}{:>17}",
                actor.name,
                actor.sent,
                actor.delivered,
                actor.taken,
                stats.datagrams_out,
                stats.repeats_out
            );
        }
        let (carried, lost) = link.totals();
        println!("  the bad link carried {carried} datagrams and lost {lost}");
        let once = self.expected.values().all(|times| *times == 1);
        let told = self
            .actors
            .iter()
            .all(|actor| actor.sent == actor.delivered);
        let [main, alpha, beta] = self.actors.map(|actor| actor.watcher.join().is_ok());
        if in_time && once && told && complete == [true; 3] && main && alpha && beta {
            println!(
                "\nAll {} messages were delivered once and intact.",
                self.expected.len()
            );
            return SUCCESS;
        }
        let missing = self.expected.values().filter(|times| **times != 1).count();
        println!(
            "\nFailed: {missing} of {} messages did not come once and intact.",
            self.expected.len()
        );
        FAILURE
    }
}

fn words(what: RemoteEvent) -> &'static str {
    match what {
        RemoteEvent::Pending { .. } => "waits until somebody accepts",
        RemoteEvent::Joined => "has joined with",
        RemoteEvent::JoinFailed(_) => "has not joined, and tries again, with",
        RemoteEvent::Allowed => "has a session, its keys proven, with",
        RemoteEvent::AllowFailed(_) => "has no session yet, and tries again, with",
        RemoteEvent::Came => "hears",
        RemoteEvent::Went => "no longer hears",
        RemoteEvent::Reaped => "no longer asks for",
        RemoteEvent::SameAs(_) => "has found again",
        RemoteEvent::Forgotten => "forgets",
    }
}

/// A relay between main and one other estate that loses datagrams.
struct Link {
    address: SocketAddr,
    state: Arc<LinkState>,
    relay: JoinHandle<()>,
}

#[derive(Default)]
struct LinkState {
    closed: AtomicBool,
    carried: AtomicU64,
    lost: AtomicU64,
}

impl Link {
    fn open(main: SocketAddr, seed: u64) -> io::Result<Self> {
        let socket = UdpSocket::bind(("127.0.0.1", 0))?;
        socket.set_read_timeout(Some(Duration::from_millis(20)))?;
        let address = socket.local_addr()?;
        let state = Arc::new(LinkState::default());
        let shared = Arc::clone(&state);
        let relay = thread::spawn(move || relay(&socket, main, seed, &shared));
        Ok(Self {
            address,
            state,
            relay,
        })
    }

    /// Datagrams that came to the link, and how many of them it lost.
    fn totals(&self) -> (u64, u64) {
        (
            self.state.carried.load(Ordering::Relaxed),
            self.state.lost.load(Ordering::Relaxed),
        )
    }

    fn close(self) {
        self.state.closed.store(true, Ordering::Relaxed);
        // It ends by itself; a relay that panicked has told so.
        let _ = self.relay.join();
    }
}

fn relay(socket: &UdpSocket, main: SocketAddr, seed: u64, state: &LinkState) {
    let mut dice = seed.max(1);
    let mut other = None;
    let mut buffer = [0; 2048];
    while !state.closed.load(Ordering::Relaxed) {
        // Whatever the socket says of one datagram, the next one is carried.
        let Ok((len, from)) = socket.recv_from(&mut buffer) else {
            continue;
        };
        let to = if from == main {
            other
        } else {
            other = Some(from);
            Some(main)
        };
        state.carried.fetch_add(1, Ordering::Relaxed);
        // Xorshift: enough for dice.
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        if dice % 100 < LOSS {
            state.lost.fetch_add(1, Ordering::Relaxed);
        } else if let (Some(to), Some(datagram)) = (to, buffer.get(..len)) {
            let _ = socket.send_to(datagram, to);
        }
    }
}
