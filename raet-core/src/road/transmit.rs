//! From what is to be sent to a datagram. Queues hold intents; a packet is made, sealed and signed
//! when the socket takes it, so nothing is signed that is not sent and a blocked socket piles up
//! nothing. Remotes take turns, a packet each.

use core::net::SocketAddr;
use core::ops::Range;

use super::BodyId;
use super::remote::Remote;
use super::stack::RoadStack;
use crate::crypto::Crypto;
use crate::storage::{Bodies, Storage};
use crate::time::Instant;
use crate::wire::{CoatKind, FootKind, Head, MAX_PACKET, Misseds, SIGNATURE, emit_head};

/// A datagram to send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Transmit {
    /// Where it goes.
    pub to: SocketAddr,
    /// How many bytes of the buffer it has.
    pub len: usize,
    /// Its head, for tracing.
    pub head: Head,
}

impl<S: Storage, C: Crypto> RoadStack<S, C> {
    /// Makes the next datagram in `out`; `None`: there is nothing to send now.
    ///
    /// A driver polls until there is none, and keeps the one that its socket would not take until
    /// it does. A buffer of fewer than [`MAX_PACKET`] bytes gets nothing.
    pub fn poll_transmit(&mut self, now: Instant, out: &mut [u8]) -> Option<Transmit> {
        let now = self.clock(now);
        let out = out.get_mut(..MAX_PACKET)?;
        while self.has_replies() {
            if let Some(reply) = self.take_reply() {
                let made = self.write(&reply.head, reply.to, &Content::Empty, out);
                if made.is_some() {
                    return made;
                }
            }
        }
        while let Some(slot) = self.ready.head() {
            let made = self.make_next(now, slot, out);
            // To the end of the queue, if there is more to send.
            self.remotes.unlink(&mut self.ready, slot);
            self.settle(slot);
            if made.is_some() {
                return made;
            }
        }
        None
    }

    /// The next packet of one remote. Handshakes go first: without them nothing else can.
    fn make_next(&mut self, now: Instant, slot: u32, out: &mut [u8]) -> Option<Transmit> {
        let remote = self.remotes.at(slot)?;
        if remote.join.as_ref().is_some_and(|j| j.clock().send) {
            return self.send_join(now, slot, out);
        }
        if self.handshake(slot).is_some_and(|h| h.clock.send) {
            return self.send_allow(now, slot, out);
        }
        if remote.alive.as_ref().is_some_and(|a| a.clock.send) {
            return self.send_alive(now, slot, out);
        }
        if !remote.answers.is_empty() {
            return self.send_answer(now, slot, out);
        }
        if self.remotes.at(slot).is_some_and(|r| self.can_begin(r)) {
            self.begin_message(slot);
        }
        self.send_message(now, slot, out)
    }

    #[inline(never)] // its frame must not lie under the others' on a small stack
    fn send_join(&mut self, now: Instant, slot: u32, out: &mut [u8]) -> Option<Transmit> {
        let packet = self.make_join(now, slot)?;
        let mut body = [0; MAX_PACKET];
        let len = match &packet.body {
            Some(join) => join.emit(packet.head.body, &mut body).ok()?,
            None => 0,
        };
        self.write(
            &packet.head,
            packet.to,
            &Content::Plain(body.get(..len)?),
            out,
        )
    }

    #[inline(never)] // its frame must not lie under the others' on a small stack
    fn send_allow(&mut self, now: Instant, slot: u32, out: &mut [u8]) -> Option<Transmit> {
        let claim = self.is_claim(slot);
        let open = self.handshake_mut(slot)?;
        if claim {
            open.clock.sent_once();
        } else {
            open.clock.sent(now);
        }
        let (si, ti, packet) = (open.si, open.ti, open.packet());
        let (target, allower, known) = (open.target, open.is_allower(), open.signature);
        let mut head = self.allow_head(slot, target, packet);
        head.session = si;
        head.transaction_id = ti;
        if !allower {
            head.flags = crate::wire::Flags::CORRESPONDENT;
        }
        let to = self.remotes.at(slot)?.way(target).0;
        let body = self.handshake(slot)?.body.clone();
        let (made, signature) = self.write_signed(&head, to, &Content::Plain(&body), known, out)?;
        if let Some(open) = self.handshake_mut(slot) {
            open.signature = signature;
        }
        Some(made)
    }

    fn send_alive(&mut self, now: Instant, slot: u32, out: &mut [u8]) -> Option<Transmit> {
        let head = self.alive_head(slot)?;
        let to = self.remotes.at(slot)?.path.address;
        let alive = self.remotes.at_mut(slot)?.alive.as_mut()?;
        if alive.sent == 0 {
            alive.left = now;
        }
        alive.sent = alive.sent.saturating_add(1);
        alive.clock.sent(now);
        self.write(&head, to, &Content::Empty, out)
    }

    #[inline(never)] // its frame must not lie under the others' on a small stack
    fn send_answer(&mut self, now: Instant, slot: u32, out: &mut [u8]) -> Option<Transmit> {
        let packet = self.make_answer(now, slot)?;
        let to = self.remotes.at(slot)?.path.address;
        let Some(misseds) = packet.misseds else {
            return self.write(&packet.head, to, &Content::Empty, out);
        };
        let mut body = [0; Misseds::MAX_LEN + 40];
        let len = misseds.emit(packet.head.body, body.get_mut(16..)?).ok()?;
        if packet.head.coat == CoatKind::Nada {
            return self.write(
                &packet.head,
                to,
                &Content::Plain(body.get(16..16 + len)?),
                out,
            );
        }
        let nonce = self.answer_nonce(slot)?;
        let key = &self.remotes.at(slot)?.session.as_ref()?.key;
        let (tag, rest) = body.split_first_chunk_mut::<16>()?;
        *tag = self.suite.seal(key, &nonce, rest.get_mut(..len)?);
        rest.get_mut(len..len + 24)?.copy_from_slice(&nonce);
        self.write(
            &packet.head,
            to,
            &Content::Plain(body.get(..len + 40)?),
            out,
        )
    }

    /// A nonce for what is sealed but is no message: its numbers have the highest bit set, so they
    /// never meet a message's.
    fn answer_nonce(&mut self, slot: u32) -> Option<[u8; 24]> {
        let remote: &mut Remote<C> = self.remotes.at_mut(slot)?;
        remote.next_answer += 1;
        let mut nonce = [0; 24];
        let (life, number) = nonce.split_at_mut(16);
        life.copy_from_slice(&remote.names_begin(&self.life));
        number.copy_from_slice(&(remote.next_answer | 1 << 63).to_be_bytes());
        Some(nonce)
    }

    #[inline(never)] // its frame must not lie under the others' on a small stack
    fn send_message(&mut self, now: Instant, slot: u32, out: &mut [u8]) -> Option<Transmit> {
        let (message, packet) = self.make_message(now, slot)?;
        let to = self.remotes.at(slot)?.path.address;
        let content = Content::Body(packet.body, packet.coat);
        let (made, signature) =
            self.write_signed(&packet.head, to, &content, packet.signature, out)?;
        if let (Some(signature), None) = (signature, packet.signature) {
            self.keep_signature(message, signature);
        }
        Some(made)
    }

    /// Writes a packet that is made anew each time.
    fn write(
        &mut self,
        head: &Head,
        to: SocketAddr,
        content: &Content<'_>,
        out: &mut [u8],
    ) -> Option<Transmit> {
        self.write_signed(head, to, content, None, out)
            .map(|(made, _)| made)
    }

    /// Writes head ‖ coat ‖ foot. A signature that was made for these very bytes is used again.
    fn write_signed(
        &mut self,
        head: &Head,
        to: SocketAddr,
        content: &Content<'_>,
        known: Option<[u8; SIGNATURE]>,
        out: &mut [u8],
    ) -> Option<(Transmit, Option<[u8; SIGNATURE]>)> {
        let coat = match content {
            Content::Empty => &[],
            Content::Plain(bytes) => *bytes,
            Content::Body(id, range) => self.bodies.get(*id).get(range.clone())?,
        };
        let written = emit_head(head, coat.len(), out).ok()?;
        let end = written + coat.len();
        out.get_mut(written..end)?.copy_from_slice(coat);
        let mut len = end;
        let mut signature = None;
        if head.foot == FootKind::Nacl {
            len = end + SIGNATURE;
            out.get_mut(end..len)?.fill(0);
            let made = match known {
                Some(known) => known,
                None => self.suite.sign(&self.sign_key, out.get(..len)?),
            };
            out.get_mut(end..len)?.copy_from_slice(&made);
            signature = Some(made);
        }
        self.stats.datagrams_out += 1;
        Some((
            Transmit {
                to,
                len,
                head: *head,
            },
            signature,
        ))
    }
}

/// What a packet carries between head and foot.
enum Content<'a> {
    Empty,
    Plain(&'a [u8]),
    Body(BodyId, Range<usize>),
}
