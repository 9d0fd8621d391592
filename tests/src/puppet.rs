//! A peer moved by hand: it joins and allows as the protocol asks, with keys of its own, and signs whatever
//! it is told to. A few hundred bytes, so that a hundred thousand of them fit beside the engine that is
//! measured; and no rules, so that one can break them.

use std::net::SocketAddr;

use raet_core::crypto::{Crypto, PublicKeys, Secrets};
use raet_core::wire::handshake::{
    Cookie, CookieInner, HELLO_PLAIN, Hello, Initiate, InitiateInner,
};
use raet_core::wire::{
    BodyKind, CoatKind, Flags, FootKind, Frame, Head, JoinBody, PacketKind, TransactionKind,
    emit_head,
};

use crate::forge::{join_head, request, unsigned};

/// Session id of a puppet's first hello; what it begins in the session that follows bears the next one.
const HELLO_SESSION: u32 = 1;

/// A peer of one main estate.
pub struct Puppet<C: Crypto> {
    /// Where it is.
    pub address: SocketAddr,
    /// The uid that it gave the main estate.
    pub near: u32,
    /// The uid that the main estate gave it; 0 before it joined.
    pub far: u32,
    /// Transaction id of what it begins next.
    pub next_ti: u32,
    /// The key of its coats, once it was allowed.
    pub key: Option<C::BoxKey>,
    /// Messages of its own that ended with done.
    pub done: u64,
    /// Which one it is: name, keys and ids follow from it.
    number: u32,
    /// Session id of what it begins now.
    session: u32,
    sign: C::SignKey,
    keys: PublicKeys,
    secrets: Secrets,
    stage: Stage<C>,
}

/// How far its handshakes have come.
enum Stage<C: Crypto> {
    Stranger,
    Joining,
    Hello {
        short: C::SecretKey,
        hello: C::BoxKey,
        main: [u8; 32],
    },
    Initiate {
        session: C::BoxKey,
    },
    Allowed,
}

/// The 32 bytes of this number and use.
fn bytes(number: u32, what: u8) -> [u8; 32] {
    let mut bytes = [what; 32];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    bytes
}

fn secrets(number: u32) -> Secrets {
    Secrets::new(&bytes(number, 0x51), &bytes(number, 0x52))
}

impl<C: Crypto> Puppet<C> {
    /// The long-term keys of the puppet of this number.
    pub fn keys_of(suite: &C, number: u32) -> PublicKeys {
        secrets(number).public_keys(suite)
    }

    /// The puppet of this number, at this address, a stranger still.
    pub fn new(suite: &C, number: u32, address: SocketAddr) -> Self {
        let secrets = secrets(number);
        Self {
            number,
            address,
            near: number + 1,
            far: 0,
            session: HELLO_SESSION,
            next_ti: 1,
            key: None,
            done: 0,
            sign: suite.sign_key(secrets.sign_seed()),
            keys: secrets.public_keys(suite),
            secrets,
            stage: Stage::Stranger,
        }
    }

    /// The name of the puppet of this number, and its role's.
    pub fn name_of(number: u32) -> String {
        format!("puppet-{number}")
    }

    /// Its long-term keys.
    pub fn keys(&self) -> PublicKeys {
        self.keys
    }

    /// Whether its handshakes are done.
    pub fn allowed(&self) -> bool {
        matches!(self.stage, Stage::Allowed)
    }

    /// A transaction id that it has not used.
    pub fn take_ti(&mut self) -> u32 {
        let ti = self.next_ti;
        self.next_ti = self.next_ti.checked_add(1).unwrap_or(1);
        ti
    }

    /// Its vacuous join request.
    pub fn request(&mut self) -> Vec<u8> {
        self.stage = Stage::Joining;
        request(&Self::name_of(self.number), self.keys, self.near, self.near)
    }

    /// The ack that ends its join.
    pub fn join_ack(&self) -> Vec<u8> {
        unsigned(&join_head(PacketKind::Ack, self.near, self.near), &[])
    }

    /// It is a stranger again, as after a restart without a keep: what it begins is above all before.
    pub fn forget(&mut self) {
        self.stage = Stage::Stranger;
        self.far = 0;
        self.key = None;
        self.session += 1;
    }

    /// A head of this kind as the main estate expects it, signed, in the session of now, of a
    /// transaction of its own.
    pub fn head(&self, packet: PacketKind, transaction: TransactionKind, ti: u32) -> Head {
        let mut head = Head::new(packet, transaction);
        head.body = BodyKind::Raw;
        head.foot = FootKind::Nacl;
        head.source = self.near;
        head.destination = self.far;
        head.session = self.session;
        head.transaction_id = ti;
        head
    }

    /// The packet of this head and coat, signed.
    pub fn signed(&self, suite: &C, head: &Head, coat: &[u8]) -> Vec<u8> {
        let mut out = vec![0; 256];
        let len = emit_head(head, coat.len(), &mut out).expect("a head fits");
        out.truncate(len);
        out.extend_from_slice(coat);
        let foot = out.len();
        out.resize(foot + 64, 0);
        let signature = suite.sign(&self.sign, &out);
        out[foot..].copy_from_slice(&signature);
        out
    }

    /// The coat of a body under the session's key; `number` must not come twice.
    pub fn coat(&self, suite: &C, number: u64, body: &[u8]) -> Vec<u8> {
        let key = self.key.as_ref().expect("it was allowed");
        let mut nonce = [0; 24];
        nonce[..4].copy_from_slice(&self.number.to_be_bytes());
        nonce[16..].copy_from_slice(&number.to_be_bytes());
        let mut coat = vec![0; 16];
        coat.extend_from_slice(body);
        let tag = suite.seal(key, &nonce, &mut coat[16..]);
        coat[..16].copy_from_slice(&tag);
        coat.extend_from_slice(&nonce);
        coat
    }

    /// A message of one packet, as an honest sender writes it.
    pub fn message(&mut self, suite: &C, body: &[u8]) -> Vec<u8> {
        let ti = self.take_ti();
        let mut head = self.head(PacketKind::Message, TransactionKind::Message, ti);
        head.coat = CoatKind::Nacl;
        head.flags = Flags::WAIT;
        let coat = self.coat(suite, u64::from(ti), body);
        self.signed(suite, &head, &coat)
    }

    /// A hello for a new session; `None` if the key that it was told is weak.
    fn hello(&mut self, suite: &C, main: [u8; 32]) -> Option<Vec<u8>> {
        let ti = self.take_ti();
        let short = suite.secret_key(&bytes(self.number ^ ti << 24, 0x53));
        let hello = suite.box_key(&short, &main).ok()?;
        let mut packet = Hello {
            short: suite.public_key(&short),
            boxed: [0; 80],
            nonce: [1; 24],
        };
        seal(
            suite,
            &hello,
            &packet.nonce,
            &HELLO_PLAIN,
            &mut packet.boxed,
        );
        let mut body = [0; Hello::LEN];
        packet.emit(&mut body).expect("its length");
        self.stage = Stage::Hello { short, hello, main };
        let head = self.head(PacketKind::Hello, TransactionKind::Allow, ti);
        Some(self.signed(suite, &head, &body))
    }

    /// Takes in a packet of the main estate, whose signature it does not check, and gives the answers of
    /// an honest peer.
    pub fn handle(&mut self, suite: &C, data: &mut [u8]) -> Vec<Vec<u8>> {
        let Ok(frame) = Frame::parse(data) else {
            return Vec::new();
        };
        let head = frame.head;
        let body = &mut data[frame.coat()];
        match (head.transaction, head.packet) {
            (TransactionKind::Join, PacketKind::Response) => {
                let Ok(body) = JoinBody::parse(head.body, body, true) else {
                    return Vec::new();
                };
                if !matches!(self.stage, Stage::Joining) {
                    return Vec::new();
                }
                self.far = body.uid.map_or(0, u32::from);
                let ack = self.join_ack();
                [Some(ack), self.hello(suite, body.public)]
                    .into_iter()
                    .flatten()
                    .collect()
            }
            (TransactionKind::Allow, PacketKind::Cookie) => {
                self.initiate(suite, &head, body).into_iter().collect()
            }
            (TransactionKind::Allow, PacketKind::Ack) => {
                match std::mem::replace(&mut self.stage, Stage::Allowed) {
                    Stage::Initiate { session } => self.key = Some(session),
                    other => {
                        self.stage = other;
                        return Vec::new();
                    }
                }
                let ack = self.head(PacketKind::Ack, TransactionKind::Allow, head.transaction_id);
                self.session += 1;
                vec![self.signed(suite, &ack, &[])]
            }
            (TransactionKind::Alive, PacketKind::Request) => {
                vec![self.answer(suite, &head, PacketKind::Ack)]
            }
            (TransactionKind::Message, PacketKind::Message) => {
                vec![self.answer(suite, &head, PacketKind::Done)]
            }
            (TransactionKind::Message, PacketKind::Done) => {
                self.done += 1;
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    /// An answer without a body to a packet of the main estate.
    fn answer(&self, suite: &C, to: &Head, packet: PacketKind) -> Vec<u8> {
        let mut head = *to;
        head.packet = packet;
        head.source = self.near;
        head.destination = self.far;
        head.flags = Flags::CORRESPONDENT;
        head.order = 0;
        head.segment = 0;
        head.segments = 1;
        head.coat_len = 0;
        self.signed(suite, &head, &[])
    }

    fn initiate(&mut self, suite: &C, head: &Head, body: &[u8]) -> Option<Vec<u8>> {
        let Stage::Hello { short, hello, main } = &self.stage else {
            return None;
        };
        let cookie = Cookie::parse(body).ok()?;
        let mut inner = cookie.boxed;
        let (tag, sealed) = inner.split_first_chunk_mut::<16>()?;
        if !suite.open(hello, &cookie.nonce, sealed, tag) {
            return None;
        }
        let inner = CookieInner::parse(sealed).ok()?;
        let session = suite.box_key(short, &inner.short).ok()?;
        let long = suite.secret_key(self.secrets.box_secret());
        let long = suite.box_key(&long, main).ok()?;
        let own_short = suite.public_key(short);
        let mut proof = InitiateInner {
            public: self.keys.public,
            vouch: [0; 48],
            nonce: [2; 24],
            name: [b' '; 128],
        };
        seal(suite, &long, &proof.nonce, &own_short, &mut proof.vouch);
        let mut plain = [0; InitiateInner::LEN];
        proof.emit(&mut plain).ok()?;
        let mut packet = Initiate {
            short: own_short,
            cookie: inner.cookie,
            boxed: [0; 248],
            nonce: [3; 24],
        };
        seal(suite, &session, &packet.nonce, &plain, &mut packet.boxed);
        let mut out = [0; Initiate::LEN];
        packet.emit(&mut out).ok()?;
        self.stage = Stage::Initiate { session };
        let head = self.head(
            PacketKind::Initiate,
            TransactionKind::Allow,
            head.transaction_id,
        );
        Some(self.signed(suite, &head, &out))
    }
}

/// A box as an allow's layouts hold it: the tag, then the sealed bytes.
fn seal<C: Crypto>(suite: &C, key: &C::BoxKey, nonce: &[u8; 24], plain: &[u8], out: &mut [u8]) {
    let (tag, sealed) = out.split_first_chunk_mut::<16>().expect("room for a tag");
    sealed.copy_from_slice(plain);
    *tag = suite.seal(key, nonce, sealed);
}
