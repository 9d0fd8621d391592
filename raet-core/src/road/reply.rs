//! Short answers that wait for the socket: acks, nacks and the like, all without a body.

use core::net::SocketAddr;

use super::REPLIES;
use super::stack::RoadStack;
use crate::crypto::Crypto;
use crate::storage::Storage;
use crate::wire::{Flags, Head, PacketKind};

/// An answer: a head and where it goes. The packet is made when the socket takes it.
#[derive(Clone, Hash)]
pub(crate) struct Reply {
    pub(crate) to: SocketAddr,
    pub(crate) head: Head,
    /// The remote's slot, for its share of the queue.
    remote: Option<u32>,
}

impl<S: Storage, C: Crypto> RoadStack<S, C> {
    /// Queues an answer. Where the queue, this remote's half of it, or the half that all strangers
    /// share is full the answer is left out: its peer asks again.
    pub(crate) fn reply(&mut self, remote: Option<u32>, to: SocketAddr, head: Head) {
        let share = u16::try_from(self.limits.replies.div_ceil(2)).unwrap_or(u16::MAX);
        let held = remote
            .and_then(|slot| self.remotes.at(slot))
            .map_or(0, |r| r.replies);
        let full = match remote {
            Some(_) => held >= share,
            None => self.stranger_replies >= self.limits.replies.div_ceil(2),
        };
        if full {
            self.stats.replies_left_out += 1;
            return;
        }
        match self.replies.insert(Reply { to, head, remote }) {
            Some(handle) => {
                self.replies.push_back(&mut self.reply_queue, handle.slot());
                match remote.and_then(|slot| self.remotes.at_mut(slot)) {
                    Some(remote) => remote.replies += 1,
                    None => self.stranger_replies += 1,
                }
            }
            None => self.stats.replies_left_out += 1,
        }
    }

    /// Answers a packet with one of the same transaction and kinds, its ids swapped
    /// (road-transactions: stale packets).
    pub(crate) fn answer(
        &mut self,
        remote: Option<u32>,
        to: SocketAddr,
        head: &Head,
        packet: PacketKind,
        reason: u32,
    ) {
        let correspondent = !head.flags.contains(Flags::CORRESPONDENT);
        let mut answer = *head;
        answer.kind = self.config.head;
        answer.packet = packet;
        answer.source = head.destination;
        answer.destination = head.source;
        answer.flags = Flags::NONE.with(Flags::CORRESPONDENT, correspondent);
        answer.order = reason;
        answer.segment = 0;
        answer.segments = 1;
        answer.coat_len = 0;
        self.reply(remote, to, answer);
    }

    pub(crate) fn take_reply(&mut self) -> Option<Reply> {
        let slot = self.replies.pop_front(&mut self.reply_queue)?;
        let handle = self.replies.handle_of(slot)?;
        let reply = self.replies.remove(handle)?;
        match reply.remote.and_then(|slot| self.remotes.at_mut(slot)) {
            Some(remote) => remote.replies = remote.replies.saturating_sub(1),
            None => self.stranger_replies = self.stranger_replies.saturating_sub(1),
        }
        Some(reply)
    }

    pub(crate) fn has_replies(&self) -> bool {
        self.reply_queue.head().is_some()
    }

    /// A remote goes: its answers too, so that none counts against the next one in its slot.
    pub(crate) fn drop_replies(&mut self, remote: u32) {
        let mut next = self.reply_queue.head();
        while let Some(slot) = next {
            next = self.replies.next::<REPLIES>(slot);
            if self
                .replies
                .at(slot)
                .is_some_and(|r| r.remote == Some(remote))
            {
                self.replies.unlink(&mut self.reply_queue, slot);
                self.replies.clear(slot);
            }
        }
    }
}
