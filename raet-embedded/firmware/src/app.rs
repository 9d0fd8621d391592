//! What the node is for: it sends readings, takes commands, and answers each.
//!
//! A command is a JSON mapping. The node answers with `{"took":LENGTH,"sum":SUM}`, the sum being that of the
//! command's bytes, and looks in it for a word:
//!
//! | word | what it does |
//! |---|---|
//! | `"long"` | sends a message of [`LONG`] bytes, in segments |
//! | `"quiet"` | sends no readings for [`QUIET`] |
//! | `"reset"` | resets the chip, as a watchdog would |
//! | `"stop"` | ends QEMU, with status 0 |

use core::net::SocketAddr;

use cortex_m::peripheral::SCB;
use raet_core::crypto::Crypto;
use raet_core::event::{Event, Outcome, RemoteEvent};
use raet_core::limits::Limits;
use raet_core::storage::{Fixed, Storage};
use raet_core::time::{Duration, Instant};
use raet_core::wire::BodyKind;
use raet_core::{RemoteId, RoadStack, SendOptions};

use crate::semihosting::{self, Digits};
use crate::{say, stack};

/// Bytes of the longest message, both ways.
pub const LONG: usize = 4096;

/// The one line in which the node says its sizes: two remotes, four messages each way, and bytes for the bodies
/// of both: four of one packet each, or one long one.
pub type Sizes = Fixed<2, 4, { 2 * Limits::budget(LONG) }>;

/// Time between two readings.
const EVERY: Duration = Duration::from_millis(200);

/// How long no reading is sent when quiet was asked for: longer than a main estate waits for a sign of life.
const QUIET: Duration = Duration::from_secs(3);

/// How long the node goes on after it was told to stop or reset, so that its last answer is sent and confirmed.
const FAREWELL: Duration = Duration::from_millis(300);

/// What the board is to do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Go on.
    Run,
    /// Reset itself.
    Reset,
    /// End.
    Stop,
}

/// The application beside an engine.
pub struct App {
    main: RemoteId,
    allowed: bool,
    reading: u32,
    next_reading: Instant,
    /// Length and sum of a command that waits for room in the outbox to be answered.
    answer: Option<(u32, u32)>,
    long: bool,
    wish: Wish,
    end: Instant,
    delivered: u32,
    /// Messages that ended otherwise.
    other: u32,
}

impl App {
    /// Reaches for the main estate. `None`: it cannot be at that address.
    pub fn start<S: Storage, C: Crypto>(
        now: Instant,
        engine: &mut RoadStack<S, C>,
        main: SocketAddr,
    ) -> Option<Self> {
        Some(Self {
            main: engine.connect(now, main, 0).ok()?,
            allowed: false,
            reading: 0,
            next_reading: now,
            answer: None,
            long: false,
            wish: Wish::Run,
            end: Instant::NEVER,
            delivered: 0,
            other: 0,
        })
    }

    /// Hears what the engine has to tell, and says what there is to say.
    pub fn turn<S: Storage, C: Crypto>(
        &mut self,
        now: Instant,
        engine: &mut RoadStack<S, C>,
    ) -> Wish {
        while let Some(event) = engine.poll_event() {
            self.hear(&event);
        }
        // One command at a time: the next is taken when this one is answered.
        if self.answer.is_none() && !self.long {
            engine.poll_message(|message| self.obey(now, message.body));
        }
        self.answer(now, engine);
        self.long(now, engine);
        self.read(now, engine);
        if now < self.end { Wish::Run } else { self.wish }
    }

    /// What the board is to do, and when.
    pub fn wish(&self) -> (Wish, Instant) {
        (self.wish, self.end)
    }

    /// Makes a wish come true. Only [`Wish::Run`] returns.
    pub fn fulfil(&self, wish: Wish) {
        match wish {
            Wish::Run => {}
            Wish::Reset => {
                say!("reset");
                SCB::sys_reset();
            }
            Wish::Stop => {
                say!("delivered ", self.delivered, ", not ", self.other);
                say!("stack ", stack::high_water());
                semihosting::exit(0)
            }
        }
    }

    /// Takes note of an event.
    pub fn hear(&mut self, event: &Event) {
        match event {
            Event::Remote { what, .. } => {
                let text = match what {
                    RemoteEvent::Pending { .. } => "pending",
                    RemoteEvent::Joined => "joined",
                    RemoteEvent::JoinFailed(_) => "join failed",
                    RemoteEvent::Allowed => {
                        self.allowed = true;
                        "allowed"
                    }
                    RemoteEvent::AllowFailed(_) => "allow failed",
                    RemoteEvent::Came => "came",
                    RemoteEvent::Went => "went",
                    RemoteEvent::SameAs(known) => {
                        self.main = *known;
                        "known"
                    }
                    RemoteEvent::Reaped | RemoteEvent::Forgotten => "forgotten",
                };
                say!("event ", text);
            }
            Event::Message { outcome, .. } => match outcome {
                Outcome::Delivered => self.delivered += 1,
                Outcome::Failed(_) | Outcome::Unknown(_) => self.other += 1,
            },
            Event::KeysOffered { .. } => say!("event keys offered"),
        }
    }

    /// Takes a command. The one before must have been [answered](Self::answer).
    pub fn obey(&mut self, now: Instant, command: &[u8]) {
        say!("command of ", command.len(), " bytes");
        let sum = command
            .iter()
            .fold(0_u32, |sum, byte| sum.wrapping_add(u32::from(*byte)));
        self.answer = Some((command.len() as u32, sum));
        let has = |word: &[u8]| command.windows(word.len()).any(|bytes| bytes == word);
        self.long |= has(b"\"long\"");
        if has(b"\"quiet\"") {
            self.next_reading = now + QUIET;
        }
        if has(b"\"reset\"") {
            self.wish = Wish::Reset;
        } else if has(b"\"stop\"") {
            self.wish = Wish::Stop;
        } else {
            return;
        }
        self.end = now + FAREWELL;
    }

    /// Answers the command that came last; false where there is no room now.
    pub fn answer<S: Storage, C: Crypto>(
        &mut self,
        now: Instant,
        engine: &mut RoadStack<S, C>,
    ) -> bool {
        if let Some((len, sum)) = self.answer
            && self.send(
                now,
                engine,
                &[&"{\"took\":", &len, &",\"sum\":", &sum, &"}"],
            )
        {
            self.answer = None;
        }
        self.answer.is_none()
    }

    /// Sends the long message if one was asked for; false where there is no room now.
    pub fn long<S: Storage, C: Crypto>(
        &mut self,
        now: Instant,
        engine: &mut RoadStack<S, C>,
    ) -> bool {
        if self.long
            && self.send(
                now,
                engine,
                &[
                    &"{\"long\":\"",
                    &Filling(LONG - "{\"long\":\"\"}".len()),
                    &"\"}",
                ],
            )
        {
            self.long = false;
        }
        !self.long
    }

    /// When the next reading is due.
    pub fn next_reading(&self) -> Instant {
        self.next_reading
    }

    /// Sends a reading if one is due.
    pub fn read<S: Storage, C: Crypto>(&mut self, now: Instant, engine: &mut RoadStack<S, C>) {
        if now < self.next_reading {
            return;
        }
        self.next_reading = now + EVERY;
        // One that finds no room is left out: the next is newer.
        let uptime = (now.as_micros() / 1_000_000) as u32;
        let parts: [&dyn Part; 5] = [
            &"{\"reading\":",
            &self.reading,
            &",\"uptime\":",
            &uptime,
            &"}",
        ];
        if self.allowed && self.wish == Wish::Run && self.send(now, engine, &parts) {
            self.reading += 1;
        }
    }

    /// Sends a JSON body made of parts; false where there is no room now.
    fn send<S: Storage, C: Crypto>(
        &self,
        now: Instant,
        engine: &mut RoadStack<S, C>,
        parts: &[&dyn Part],
    ) -> bool {
        let len = parts.iter().map(|part| part.len()).sum();
        let options = SendOptions {
            body: BodyKind::Json,
            ..SendOptions::default()
        };
        let sent = engine.send(now, self.main, options, len, |mut body| {
            for part in parts {
                let (here, rest) = body.split_at_mut_checked(part.len()).unwrap_or_default();
                part.put(here);
                body = rest;
            }
        });
        sent.is_ok()
    }
}

/// A piece of a body.
trait Part {
    fn len(&self) -> usize;
    fn put(&self, room: &mut [u8]);
}

impl Part for &str {
    fn len(&self) -> usize {
        str::len(self)
    }

    fn put(&self, room: &mut [u8]) {
        for (to, from) in room.iter_mut().zip(self.bytes()) {
            *to = from;
        }
    }
}

impl Part for u32 {
    fn len(&self) -> usize {
        Digits::default().of(*self).len()
    }

    fn put(&self, room: &mut [u8]) {
        Part::put(&Digits::default().of(*self), room);
    }
}

/// So many letters.
struct Filling(usize);

impl Part for Filling {
    fn len(&self) -> usize {
        self.0
    }

    fn put(&self, room: &mut [u8]) {
        for (to, letter) in room.iter_mut().zip((b'a'..=b'z').cycle()) {
            *to = letter;
        }
    }
}
