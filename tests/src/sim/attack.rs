//! The seam for those who mean ill: what an attacker sees, and what it can do.

use std::net::SocketAddr;

use super::scene::Rng;

/// What an attacker on the path does with a datagram.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pass {
    /// Lets it go on. Where it cannot stop it, it can do nothing else.
    On,
    /// Takes it off the path.
    Off,
}

/// Somebody who means ill. Each method is handed what it can do in the moment.
pub trait Attacker {
    /// A datagram leaves a host. Only who is on the path does something here.
    fn sees(
        &mut self,
        attack: &mut Attack<'_>,
        from: SocketAddr,
        to: SocketAddr,
        bytes: &[u8],
    ) -> Pass;

    /// A datagram arrives where no host of the world is: at an address of the attacker's own, if it
    /// sent something from there.
    fn gets(&mut self, attack: &mut Attack<'_>, from: SocketAddr, to: SocketAddr, bytes: &[u8]);

    /// Its own time has come: once at the start, then whenever it asked for it.
    fn acts(&mut self, attack: &mut Attack<'_>);
}

/// A datagram to come: when, from where, to where, and its bytes.
type Planned = (u64, SocketAddr, SocketAddr, Vec<u8>);

/// What an attacker can do now.
pub struct Attack<'a> {
    /// The time of the world, in microseconds.
    pub now: u64,
    /// Peace is demanded: attackers stop.
    pub over: bool,
    /// Its randomness.
    pub rng: &'a mut Rng,
    /// Where each host is.
    pub addresses: &'a [SocketAddr],
    datagrams: Vec<Planned>,
    next: Option<u64>,
}

impl<'a> Attack<'a> {
    pub(super) fn new(now: u64, over: bool, rng: &'a mut Rng, addresses: &'a [SocketAddr]) -> Self {
        Self {
            now,
            over,
            rng,
            addresses,
            datagrams: Vec::new(),
            next: None,
        }
    }

    /// Sends a datagram that arrives after so many microseconds; it can claim to come from anywhere.
    pub fn inject(&mut self, after: u64, from: SocketAddr, to: SocketAddr, bytes: Vec<u8>) {
        if !self.over {
            self.datagrams.push((self.now + after, from, to, bytes));
        }
    }

    /// Asks to act again after so many microseconds.
    pub fn again(&mut self, after: u64) {
        self.next = Some(self.now + after.max(1));
    }

    pub(super) fn done(self) -> (Vec<Planned>, Option<u64>) {
        (self.datagrams, self.next)
    }
}
