//! What the lock of a road protects: the engine, who waits for it, and what it has said.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Condvar};
use std::task::Waker;
use std::time::{Duration, Instant};

use raet_core::crypto::NaclSuite;
use raet_core::event::{Doubt, Outcome, RemoteEvent};
use raet_core::keep::{Place, Record};
use raet_core::storage::Heap;
use raet_core::{MessageId, RemoteId, RoadStack, time};

use crate::delivery::{Report, Ticket, Undelivered};
use crate::event::Event;
use crate::keep::writer::GATHER;
use crate::socket::Sources;
use crate::wait::Waiters;

pub(crate) type Stack = RoadStack<Heap, NaclSuite>;

/// Events about remotes that wait for the application; beyond them the oldest are left out and
/// counted.
const EVENTS: usize = 1024;

/// Ends of messages, yet to come or yet to be taken, that were to be told as events.
pub(crate) const TOLD: usize = 1024;

/// Records that wait for the keep; beyond them they wait in the engine.
const RECORDS: usize = 512;

/// What a road's life has come to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Open,
    /// Takes no more messages to send, waits for those on their way.
    Draining,
    /// Only answers, until then.
    Lingering(Instant),
    Closed,
}

/// What the lock protects.
pub(crate) struct State {
    pub(crate) stack: Stack,
    /// The time at which the lock was taken.
    pub(crate) now: time::Instant,
    pub(crate) phase: Phase,
    pub(crate) open: HashMap<u64, Open>,
    /// Handles of calls that a known remote has answered, and its own.
    pub(crate) same: HashMap<RemoteId, RemoteId>,
    pub(crate) last_number: u64,
    pub(crate) report: Report,
    pub(crate) events: VecDeque<Event>,
    pub(crate) missed: u64,
    /// Messages whose end is to be told as an event, until that is taken.
    pub(crate) told: usize,
    /// Records that wait for the keep, the newest of each place.
    pub(crate) records: BTreeMap<Place, Record>,
    /// When they are to be stored.
    pub(crate) keep_due: Option<Instant>,
    /// Tells the keep's thread of that.
    pub(crate) keep_work: Arc<Condvar>,
    /// How many records the keep's thread was given, and up to which of them all are stored.
    pub(crate) handed: u64,
    pub(crate) stored: u64,
    /// Tells who waits for that.
    pub(crate) keep_done: Arc<Condvar>,
    /// There is a keep, and a thread that writes it.
    pub(crate) writes: bool,
    /// The driver has ended.
    pub(crate) driven_out: bool,
    pub(crate) sources: Sources,
    /// Somebody sends: what is ready now goes out with it.
    pub(crate) flushing: bool,
    /// The system's buffer was full.
    pub(crate) blocked: bool,
    /// When the driver wakes by itself; `None` while it is awake.
    pub(crate) asleep: Option<Instant>,
    /// When it last meant to.
    pub(crate) planned: Option<Instant>,
    pub(crate) for_message: Waiters,
    pub(crate) for_event: Waiters,
    pub(crate) for_room: Waiters,
    pub(crate) for_end: Waiters,
    pub(crate) ready: Vec<Waker>,
}

/// A message on its way.
pub(crate) struct Open {
    pub(crate) ticket: Arc<Ticket>,
    pub(crate) id: MessageId,
    pub(crate) to: RemoteId,
    pub(crate) tell: bool,
}

impl State {
    pub(crate) fn new(stack: Stack, writes: bool) -> Self {
        Self {
            stack,
            now: time::Instant::ZERO,
            phase: Phase::Open,
            open: HashMap::new(),
            same: HashMap::new(),
            last_number: 0,
            report: Report::default(),
            events: VecDeque::new(),
            missed: 0,
            told: 0,
            records: BTreeMap::new(),
            keep_due: None,
            keep_work: Arc::default(),
            handed: 0,
            stored: 0,
            keep_done: Arc::default(),
            writes,
            driven_out: false,
            sources: Sources::default(),
            flushing: false,
            blocked: false,
            asleep: None,
            planned: None,
            for_message: Waiters::default(),
            for_event: Waiters::default(),
            for_room: Waiters::default(),
            for_end: Waiters::default(),
            ready: Vec::new(),
        }
    }

    /// Passes on what the engine has to say.
    pub(crate) fn settle(&mut self) {
        loop {
            while let Some(event) = self.stack.poll_event() {
                self.pass_on(event);
            }
            if self.writes {
                self.hand_over();
                break;
            }
            // Without a keep this life is all there is: what it knows counts as stored.
            let Some(record) = self.stack.poll_record() else {
                break;
            };
            self.stack.handle_stored(self.now, &record);
        }
        if !self.for_message.is_empty() && self.stack.messages_waiting() > 0 {
            self.for_message.release(&mut self.ready);
        }
    }

    /// Gives the keep's thread what the engine wants stored.
    fn hand_over(&mut self) {
        while self.records.len() < RECORDS
            && let Some(record) = self.stack.poll_record()
        {
            self.store(record);
        }
    }

    /// Gives the keep's thread a record. Session ids are waited for, all else waits for more.
    pub(crate) fn store(&mut self, record: Record) {
        let urgent = matches!(record, Record::Estate(_));
        let wait = if urgent { Duration::ZERO } else { GATHER };
        let due = Instant::now() + wait;
        self.handed += 1;
        let replaced = self.records.insert(record.place(), record);
        if let Some(end) = replaced.filter(Record::is_end) {
            self.stack.handle_stored(self.now, &end); // nothing of it will be stored
        }
        if self.keep_due.is_none_or(|planned| due < planned) {
            self.keep_due = Some(due);
            self.keep_work.notify_one();
        }
    }

    fn pass_on(&mut self, event: raet_core::event::Event) {
        use raet_core::event::Event as Core;
        match event {
            Core::Message { token, outcome, .. } => self.ended(token, outcome),
            Core::Remote {
                remote,
                token,
                what,
            } => {
                match what {
                    RemoteEvent::SameAs(known) => {
                        self.same.insert(remote, known);
                    }
                    RemoteEvent::Forgotten => {
                        self.same.retain(|_, known| *known != remote);
                        // Whoever waits for room at this remote must know that it is gone.
                        self.for_room.release(&mut self.ready);
                    }
                    _ => {}
                }
                self.tell(Event::Remote {
                    remote,
                    token,
                    what,
                });
            }
            Core::KeysOffered { role, keys } => {
                self.tell(Event::KeysOffered {
                    role: role.as_str().to_owned(),
                    keys,
                });
            }
        }
    }

    pub(crate) fn next_event(&mut self) -> Option<Event> {
        if self.missed > 0 {
            return Some(Event::Missed(std::mem::take(&mut self.missed)));
        }
        let event = self.events.pop_front()?;
        if let Event::Ended { .. } = event {
            self.told -= 1;
            self.for_room.release(&mut self.ready);
        }
        Some(event)
    }

    pub(crate) fn tell(&mut self, event: Event) {
        // Ends of messages have a limit of their own, and none of them is left out.
        let ended = |event: &Event| matches!(event, Event::Ended { .. });
        if !ended(&event)
            && self.events.len() >= EVENTS + TOLD
            && let Some(oldest) = self.events.iter().position(|event| !ended(event))
        {
            self.events.remove(oldest);
            self.missed += 1;
        }
        self.events.push_back(event);
        self.for_event.release(&mut self.ready);
    }

    pub(crate) fn ended(&mut self, number: u64, outcome: Outcome) {
        let Some(open) = self.open.remove(&number) else {
            return;
        };
        self.ready.extend(open.ticket.settle(outcome));
        self.for_room.release(&mut self.ready);
        if self.open.is_empty() {
            self.for_end.release(&mut self.ready);
        }
        if open.tell {
            self.tell(Event::Ended {
                number,
                remote: open.to,
                outcome,
            });
        }
        let heard = self.phase == Phase::Open && (open.tell || Arc::strong_count(&open.ticket) > 1);
        if outcome != Outcome::Delivered && !heard {
            let known = self.stack.remote(self.known(open.to));
            self.report.add(Undelivered {
                number,
                remote: open.to,
                peer: known.map(|info| (info.name.as_str().to_owned(), info.address)),
                outcome,
            });
        }
    }

    /// The handle that the engine knows a remote by: a call may have been answered by somebody known.
    pub(crate) fn known(&self, remote: RemoteId) -> RemoteId {
        self.same.get(&remote).copied().unwrap_or(remote)
    }

    /// Ends what is still on its way: nobody knows how.
    pub(crate) fn give_up(&mut self) {
        for number in self.open.keys().copied().collect::<Vec<_>>() {
            self.ended(number, Outcome::Unknown(Doubt::Cancelled));
        }
    }

    pub(crate) fn release_all(&mut self) {
        for waiters in [
            &mut self.for_message,
            &mut self.for_event,
            &mut self.for_room,
            &mut self.for_end,
        ] {
            waiters.release(&mut self.ready);
        }
    }
}
