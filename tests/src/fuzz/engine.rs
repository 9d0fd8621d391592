//! Estates under random commands, weather and restarts, with peers that have real keys and sign whatever
//! comes out of the bytes of a test case, one of them a puppet that has a session of its own and seals
//! it, too; and with strangers that have none. No call
//! panics (debug assertions are on) or fails to return, no limit is passed, and when all is forgotten
//! all room is free again.

use std::net::SocketAddr;
use std::time::Duration;

use crate::forge::{keys, packet_of, unsigned};
use crate::puppet::Puppet;
use crate::sim::{Packet, Rng, World, address, config, dead, fair, main_config, name, rough};
use crate::suite::Weak;
use raet_core::config::{Presence, Trust};
use raet_core::event::Event;
use raet_core::keep::Status;
use raet_core::limits::Limits;
use raet_core::storage::{Fixed, Storage};
use raet_core::wire::{
    BodyKind, CoatKind, Flags, FootKind, Frame, Head, HeadKind, JoinBody, Misseds, PacketKind,
    TransactionKind,
};
use raet_core::{MessageId, RemoteId, SendOptions};

/// Room for little, so that limits are met.
pub type Small = Fixed<4, 6, 8192>;

const NAMES: [&str; 5] = ["main", "other", "third", "guest", "visitor"];

/// The bytes of a test case, as an endless source of choices: what is left of them, then chance.
struct Choices<'a> {
    bytes: std::slice::Iter<'a, u8>,
    rng: Rng,
}

impl Choices<'_> {
    fn byte(&mut self) -> u8 {
        match self.bytes.next() {
            Some(byte) => *byte,
            None => self.rng.bits() as u8,
        }
    }

    fn one_in(&mut self, many: u8) -> bool {
        self.byte().is_multiple_of(many)
    }

    fn below(&mut self, end: usize) -> usize {
        let (a, b) = (usize::from(self.byte()), usize::from(self.byte()));
        (a << 8 | b) % end.max(1)
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    fn word(&mut self) -> u32 {
        let bytes = [self.byte(), self.byte(), self.byte(), self.byte()];
        // Small numbers and the ends of the circle are the interesting ones.
        match self.byte() % 4 {
            0 => u32::from(bytes[0] % 8),
            1 => u32::from_le_bytes(bytes),
            2 => u32::MAX - u32::from(bytes[0] % 4),
            _ => u32::from(bytes[0]),
        }
    }

    fn blob(&mut self, most: usize) -> Vec<u8> {
        (0..self.below(most)).map(|_| self.byte()).collect()
    }
}

/// The body of a resend.
fn misseds(choices: &mut Choices<'_>) -> Vec<u8> {
    let count = choices.below(64);
    let numbers: Misseds = (0..count).map(|_| choices.word() as u16).collect();
    let mut out = [0; 1000];
    let len = numbers.emit(BodyKind::Json, &mut out).expect("it fits");
    out[..len].to_vec()
}

/// Which peer of main's the puppet is: after the estates, and where none of them is.
const PUPPET: usize = 3;
/// Answers that the puppet gives to answers before it rests.
const ROUNDS: usize = 20;

struct Fuzz<S: Storage> {
    world: World<S, Weak>,
    suite: Weak,
    puppet: Puppet<Weak>,
    /// The puppet says nothing of itself.
    mute: bool,
    /// Coats that it has sealed.
    sealed: u64,
    remotes: Vec<(usize, RemoteId)>,
    messages: Vec<(usize, MessageId)>,
    sent: [usize; 3],
    recorded: Vec<Packet>,
}

impl<S: Storage> Fuzz<S> {
    fn new(choices: &mut Choices<'_>) -> Self {
        let seed = choices.rng.bits();
        let mut world = World::new(seed, Weak::new);
        let limits = <Small as Storage>::LIMITS;
        let (trust, open) = (choices.byte(), choices.byte());
        for (n, text) in NAMES.iter().take(3).enumerate() {
            let (head, body) = (choices.byte(), choices.byte());
            world.add(limits, move || {
                let mut config = match n {
                    0 => main_config(text, 1),
                    _ => config(text, n as u8 + 1),
                };
                config.trust = [Trust::Once, Trust::Always, Trust::Never][usize::from(trust % 3)];
                config.accept_uncoated = open.is_multiple_of(2);
                config.accept_unsigned = open % 8 == 1;
                config.mutable = open % 3 > 0;
                config.window = 2 + u16::from(head % 16);
                config.head = if head.is_multiple_of(2) {
                    HeadKind::Native
                } else {
                    HeadKind::Json
                };
                config.body = if body.is_multiple_of(2) {
                    BodyKind::Json
                } else {
                    BodyKind::Msgpack
                };
                config.presence = (n == 1).then(Presence::default);
                config
            });
        }
        let suite = Weak::new(&[0; 32]);
        let mut fuzz = Self {
            world,
            puppet: Puppet::new(&suite, PUPPET as u32, address(PUPPET)),
            suite,
            mute: false,
            sealed: 0,
            remotes: Vec::new(),
            messages: Vec::new(),
            sent: [0; 3],
            recorded: Vec::new(),
        };
        for n in 1..3 {
            let remote = fuzz.world.connect(n, 0);
            fuzz.remotes.push((n, remote));
        }
        fuzz.world.run(Duration::from_secs(1));
        fuzz.puppet_joins();
        fuzz
    }

    /// The puppet comes anew, as after a restart without a keep.
    fn puppet_joins(&mut self) {
        self.puppet.forget();
        let request = self.puppet.request();
        self.world.inject(0, self.puppet.address, &request);
        self.mute = false;
        self.remember();
    }

    /// Takes note of what was sent, and lets the puppet answer what main says to it.
    fn remember(&mut self) {
        for round in 0..ROUNDS {
            let mut answers = Vec::new();
            for (_, mut packet) in self.world.log.drain(..) {
                if self.recorded.len() < 500 {
                    self.recorded.push(packet.clone());
                }
                let told = packet.from == address(0) && packet.to == self.puppet.address;
                if told && !self.mute && round + 1 < ROUNDS {
                    answers.extend(self.puppet.handle(&self.suite, &mut packet.bytes));
                }
            }
            if answers.is_empty() {
                break;
            }
            for answer in answers {
                self.world.inject(0, self.puppet.address, &answer);
            }
        }
        for n in 0..3 {
            let known: Vec<_> = self.world.estates[n]
                .stack
                .remotes()
                .map(|r| (n, r.id))
                .collect();
            for one in known {
                if !self.remotes.contains(&one) {
                    self.remotes.push(one);
                }
            }
        }
        let excess = self.remotes.len().saturating_sub(30);
        self.remotes.drain(..excess);
    }

    /// The puppet says something in its session, signed and sealed as it must be.
    fn insider(&mut self, choices: &mut Choices<'_>) {
        if self.puppet.key.is_none() || choices.one_in(16) {
            self.puppet_joins();
            return;
        }
        self.mute = choices.one_in(4);
        let (kind, transaction) = match choices.byte() % 8 {
            0..=4 => (PacketKind::Message, TransactionKind::Message),
            5 => (PacketKind::Request, TransactionKind::Alive),
            _ => {
                let kind = PacketKind::from_wire((choices.byte() % 16).into());
                let transaction = choices.pick(&[
                    TransactionKind::Allow,
                    TransactionKind::Alive,
                    TransactionKind::Message,
                ]);
                (kind.expect("a kind"), transaction)
            }
        };
        let ti = match choices.byte() % 8 {
            0 => self.puppet.next_ti.wrapping_sub(choices.byte().into()),
            1 => self.puppet.next_ti.wrapping_add(choices.word()),
            _ => self.puppet.take_ti(),
        };
        let mut head = self.puppet.head(kind, transaction, ti);
        head.flags = Flags::from_wire(choices.byte() & 0x1c);
        head.order = choices.pick(&[0, 0, 1, 2, u32::MAX]);
        if choices.one_in(8) {
            head.session = head.session.wrapping_add(choices.word());
        }
        let body = choices.blob(900);
        let sealed = kind == PacketKind::Message && !choices.one_in(8);
        let coat = if sealed {
            head.coat = CoatKind::Nacl;
            // A message that comes again is sealed under its name of before.
            self.sealed += u64::from(!choices.one_in(8));
            self.puppet.coat(&self.suite, self.sealed, &body)
        } else {
            body
        };
        let count = if choices.one_in(2) {
            1
        } else {
            1 + choices.below(12)
        };
        let size = coat.len().div_ceil(count).max(1);
        let parts: Vec<&[u8]> = match coat.len() {
            0 => vec![&coat],
            _ => coat.chunks(size).collect(),
        };
        head.segments = parts.len() as u32;
        head.coat_len = if parts.len() > 1 {
            coat.len() as u32
        } else {
            0
        };
        let most = parts.len();
        for _ in 0..most + choices.below(3) {
            // Most of the time the next one; now and then another, which leaves a gap or comes twice.
            if choices.one_in(8) {
                head.segment = choices.below(most) as u32;
            }
            let Some(part) = parts.get(head.segment as usize) else {
                break;
            };
            let bytes = self.puppet.signed(&self.suite, &head, part);
            self.world.inject(0, self.puppet.address, &bytes);
            head.segment += 1;
        }
    }

    /// A head with whatever fields, but ids that lead somewhere.
    fn head(&mut self, choices: &mut Choices<'_>) -> Option<(usize, usize, Head)> {
        // From the estate that holds this remote, to the one that the remote is.
        let (from, remote) = choices.pick(&self.remotes);
        let held = self.world.estates[from].stack.remote(remote)?;
        let to = self
            .world
            .estates
            .iter()
            .position(|e| e.address == held.address)?;
        let begun = |h: &Head| h.session != 0 && !h.flags.contains(Flags::CORRESPONDENT);
        let newest = self.recorded.iter().rev().filter_map(Packet::head);
        let newest = newest.filter(|h| h.source == held.near).find(begun);
        let (session, ti) = newest.map_or((1, 1), |h| (h.session, h.transaction_id));
        // Half of the time something that could be meant, else anything.
        let (kind, transaction) = match choices.byte() % 8 {
            0 | 1 => (PacketKind::Message, TransactionKind::Message),
            2 => (PacketKind::Request, TransactionKind::Alive),
            3 => (PacketKind::Hello, TransactionKind::Allow),
            _ => (
                PacketKind::from_wire((choices.byte() % 16).into())?,
                TransactionKind::from_wire((choices.byte() % 5).into())?,
            ),
        };
        let mut head = Head::new(kind, transaction);
        head.kind = if choices.one_in(2) {
            HeadKind::Native
        } else {
            HeadKind::Json
        };
        head.flags = Flags::from_wire(choices.byte() & 0x1c);
        if choices.one_in(8) {
            head.flags = head.flags.with(Flags::CORRESPONDENT, true);
        }
        head.body = BodyKind::from_wire((choices.byte() % 4).into())?;
        head.coat = if choices.one_in(2) {
            CoatKind::Nada
        } else {
            CoatKind::Nacl
        };
        head.foot = if choices.one_in(8) {
            FootKind::Nada
        } else {
            FootKind::Nacl
        };
        if kind == PacketKind::Hello {
            head.coat = CoatKind::Nada;
        }
        head.source = held.near;
        head.destination = held.far;
        head.session = session.wrapping_add(choices.pick(&[0, 0, 0, 1, 1, 2, u32::MAX, 1 << 31]));
        head.transaction_id =
            ti.wrapping_add(choices.pick(&[0, 0, 1, 2, 3, 200, 600, u32::MAX, 1 << 31]));
        head.order = choices.word();
        if choices.one_in(4) {
            (head.segment, head.segments, head.coat_len) =
                (choices.word(), choices.word(), choices.word());
        }
        if head.transaction == TransactionKind::Join {
            (head.session, head.foot, head.coat) = (0, FootKind::Nada, CoatKind::Nada);
        }
        Some((from, to, head))
    }

    /// What a peer says to something that was really sent to it, signed by it.
    fn answer(&mut self, choices: &mut Choices<'_>) {
        let newest = self.recorded.len().min(20);
        if newest == 0 {
            return;
        }
        let asked = &self.recorded[self.recorded.len() - 1 - choices.below(newest)];
        let (from, to) = (asked.to, asked.from);
        let (Some(asked), Some(signer)) = (asked.head(), (0..3).find(|n| address(*n) == from))
        else {
            return;
        };
        let kind = PacketKind::from_wire((choices.byte() % 16).into()).expect("a kind");
        let answered = asked.flags.contains(Flags::CORRESPONDENT);
        let mut answer = Head {
            packet: kind,
            flags: Flags::NONE.with(Flags::CORRESPONDENT, !answered),
            source: asked.destination,
            destination: asked.source,
            coat_len: 0,
            segments: 1,
            segment: choices.pick(&[0, 0, 1, 2, u32::MAX]),
            order: choices.pick(&[0, 0, 0, 1, 2, 3]),
            ..asked
        };
        let mut body = Vec::new();
        if kind == PacketKind::Resend {
            answer.coat = CoatKind::Nada;
            body = misseds(choices);
            answer.body = BodyKind::Json;
        } else if choices.one_in(4) {
            body = choices.blob(400);
        }
        let bytes = packet_of(signer as u8 + 1, &answer, &body);
        let packet = Packet { from, to, bytes };
        self.world.deliver(&packet);
    }

    /// Signed by a peer that is joined and may say so.
    fn hostile(&mut self, choices: &mut Choices<'_>) {
        let Some((from, to, mut head)) = self.head(choices) else {
            return;
        };
        let mut body = match choices.byte() % 4 {
            0 => Vec::new(),
            1 => {
                head.body = BodyKind::Json;
                misseds(choices)
            }
            2 => {
                // Something that can be a handshake, or was one.
                let kept = self.recorded.len();
                let packet = (kept > 0).then(|| &self.recorded[choices.below(kept)]);
                let coat = packet.map(|p| {
                    let frame = Frame::parse(&p.bytes).expect("ours are packets");
                    p.bytes[frame.coat()].to_vec()
                });
                coat.unwrap_or_default()
            }
            _ => choices.blob(900),
        };
        if head.segments > 1 && choices.one_in(2) {
            // A segment that fits what it says.
            let size = 1 + choices.below(400);
            head.segments = 2 + choices.below(12) as u32;
            head.segment = choices.below(head.segments as usize) as u32;
            head.coat_len = head.segments * size as u32;
            body = vec![choices.byte(); size];
        }
        let signer = from as u8 + 1;
        let bytes = packet_of(signer, &head, &body);
        self.world.inject(to, address(from), &bytes);
    }

    fn join(&mut self, choices: &mut Choices<'_>) {
        let to = choices.below(3);
        let keys = keys(choices.byte() % 8);
        let nears: Vec<u32> = self.world.estates[to]
            .stack
            .remotes()
            .map(|r| r.near)
            .collect();
        let mut head = Head::new(
            choices.pick(&[
                PacketKind::Request,
                PacketKind::Request,
                PacketKind::Ack,
                PacketKind::Pend,
                PacketKind::Reject,
                PacketKind::Response,
                PacketKind::Renew,
            ]),
            TransactionKind::Join,
        );
        head.body = BodyKind::Json;
        head.source = choices.pick(&[1, 2, 3]);
        head.transaction_id = choices.pick(&[1, 2, 3]);
        head.destination = match choices.byte() % 3 {
            0 if !nears.is_empty() => choices.pick(&nears),
            1 => choices.word(),
            _ => 0,
        };
        let body = JoinBody {
            name: name(choices.pick(&NAMES)),
            mode: choices.byte(),
            kind: choices.byte(),
            uid: std::num::NonZeroU32::new(choices.word()),
            verify: keys.verify,
            public: keys.public,
            role: name(choices.pick(&NAMES)),
        };
        let mut out = [0; 900];
        let len = body.emit(BodyKind::Json, &mut out).expect("it fits");
        let bytes = unsigned(&head, &out[..len]);
        let from = address(choices.below(6));
        self.world.inject(to, from, &bytes);
    }

    fn recording(&mut self, choices: &mut Choices<'_>) {
        if self.recorded.is_empty() {
            return;
        }
        let mut packet = self.recorded[choices.below(self.recorded.len())].clone();
        if choices.one_in(2) && !packet.bytes.is_empty() {
            let at = choices.below(packet.bytes.len());
            packet.bytes[at] ^= choices.byte();
        }
        if choices.one_in(8) {
            packet.from = address(choices.below(6));
        }
        self.world.deliver(&packet);
    }

    fn command(&mut self, choices: &mut Choices<'_>) {
        let now = self.world.now;
        let (n, remote) = choices.pick(&self.remotes);
        let size = choices.below(3000);
        let estate = &mut self.world.estates[n];
        match choices.byte() % 16 {
            0..=4 => {
                let options = SendOptions {
                    body: BodyKind::Raw,
                    token: self.sent[n] as u64,
                    deadline: (size.is_multiple_of(5))
                        .then(|| now + Duration::from_millis(size as u64)),
                    once: size.is_multiple_of(3),
                };
                let sent = estate
                    .stack
                    .send(now, remote, options, size, |room| room.fill(7));
                if let Ok(message) = sent {
                    self.sent[n] += 1;
                    self.messages.push((n, message));
                }
            }
            5 => {
                if let Some((n, message)) = self.messages.pop() {
                    let _ = self.world.estates[n].stack.cancel(now, message);
                }
            }
            6 => drop(estate.stack.join(now, remote).ok()),
            7 => drop(estate.stack.allow(now, remote).ok()),
            8 => drop(estate.stack.alive(now, remote).ok()),
            9 => drop(estate.stack.forget(now, remote).ok()),
            10 => drop(estate.stack.connect(now, address(choices.below(6)), 1).ok()),
            11 => {
                let status = choices.pick(&[Status::Accepted, Status::Pending, Status::Rejected]);
                let role = estate.stack.roles().nth(choices.below(4));
                if let Some(role) = role {
                    let keys = role.offered.filter(|_| size.is_multiple_of(2));
                    let _ = estate
                        .stack
                        .judge_role(now, &role.name, status, keys.as_ref());
                }
            }
            12 => {
                let presence = (size.is_multiple_of(2)).then(Presence::default);
                estate.stack.set_presence(now, presence);
            }
            13 => estate.deaf = !estate.deaf,
            14 if size.is_multiple_of(4) => {
                // What it had not been told of dies with it.
                self.messages.retain(|(of, _)| *of != n);
                self.sent[n] = told(&self.world, n);
                self.world.restart(n);
            }
            _ => {
                self.world.weather = match size % 3 {
                    0 => fair(),
                    1 => rough(30),
                    _ => dead(),
                };
            }
        }
    }

    fn step(&mut self, choices: &mut Choices<'_>) {
        match choices.byte() % 12 {
            0 | 1 => self.hostile(choices),
            10 | 11 => self.insider(choices),
            2 => self.answer(choices),
            3 => self.join(choices),
            4 => self.recording(choices),
            5 => {
                let (to, bytes) = (choices.below(3), choices.blob(1500));
                self.world.inject(to, address(choices.below(6)), &bytes);
            }
            6 | 7 => self.command(choices),
            8 => self
                .world
                .run(Duration::from_micros(choices.below(65_536) as u64 * 8)),
            _ => self
                .world
                .run(Duration::from_secs(choices.below(20) as u64)),
        }
        self.check();
        self.remember();
    }

    fn check(&self) {
        for estate in &self.world.estates {
            let limits = estate.stack.limits();
            let open: usize = estate.stack.remotes().map(|r| r.queued + r.open).sum();
            assert!(open <= limits.outbox);
            assert!(estate.stack.remotes().count() <= limits.remotes);
            assert!(estate.stack.roles().count() <= limits.roles);
        }
    }

    /// Everything is forgotten, and then all of it can be had again.
    fn end(&mut self) {
        self.world.weather = fair();
        self.world.run(Duration::from_secs(5));
        self.world.weather = dead();
        for n in 0..3 {
            let known: Vec<RemoteId> = self.world.estates[n]
                .stack
                .remotes()
                .map(|r| r.id)
                .collect();
            for remote in known {
                let forgotten = self.world.estates[n].stack.forget(self.world.now, remote);
                forgotten.expect("it was listed");
            }
            self.world.drive(n);
            assert_eq!(
                told(&self.world, n),
                self.sent[n],
                "each message has one outcome"
            );
            let estate = &mut self.world.estates[n];
            assert_eq!(estate.stack.poll_timeout(), None);
            assert_eq!(estate.stack.remotes().count(), 0);
            full(&mut estate.stack, self.world.now);
        }
    }
}

/// How many outcomes an estate was told.
fn told<S: Storage>(world: &World<S, Weak>, n: usize) -> usize {
    let events = world.estates[n].events.iter();
    events
        .filter(|event| matches!(event, Event::Message { .. }))
        .count()
}

/// An engine without remotes takes as many remotes and bytes as its limits say.
fn full<S: Storage>(stack: &mut raet_core::RoadStack<S, Weak>, now: raet_core::time::Instant) {
    let limits: Limits = *stack.limits();
    let mut last = None;
    for m in 0..limits.remotes {
        let to = SocketAddr::from(([192, 0, 2, 1], m as u16 + 1));
        last = Some(stack.add_remote(now, to, 0).expect("room for a remote"));
    }
    let to = last.expect("some room");
    let len = limits.outbox_bytes / limits.outbox - 80;
    for _ in 0..limits.outbox {
        let sent = stack.send(now, to, SendOptions::default(), len, |_| ());
        sent.expect("room for a message");
    }
}

/// Lets three estates meet what these bytes say, and then chance does, as `seed` draws it.
///
/// # Panics
///
/// If a rule is broken.
pub fn survive<S: Storage>(bytes: &[u8], seed: u64, steps: usize) {
    let mut choices = Choices {
        bytes: bytes.iter(),
        rng: Rng::new(seed),
    };
    let mut fuzz = Fuzz::<S>::new(&mut choices);
    fuzz.remember();
    for _ in 0..steps {
        if fuzz.remotes.is_empty() {
            break;
        }
        fuzz.step(&mut choices);
    }
    fuzz.end();
}
