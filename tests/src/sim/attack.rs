//! The seam for those who mean ill: what an attacker sees, and what it can do.

use std::net::SocketAddr;

use super::scene::Rng;
use crate::puppet::Puppet;
use crate::suite::Weak;

mod flood;
mod gang;
mod insider;
mod off_path;
mod on_path;

pub use gang::Gang;

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

/// What an attacker can do, and so what it must not be able to change.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Power {
    /// It sees nothing, sends from any address, and knows what is public.
    OffPath,
    /// It sees every datagram, and can stop, delay, change and repeat it.
    OnPath,
    /// The peer of this number: it has joined with keys of its own.
    Insider(u32),
}

impl Power {
    /// The name that it bears as an estate, if it is one.
    pub fn name(self) -> Option<String> {
        match self {
            Self::Insider(number) => Some(Puppet::<Weak>::name_of(number)),
            Self::OffPath | Self::OnPath => None,
        }
    }
}

/// Who sent a datagram.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// The host of this number.
    Host(usize),
    /// An attacker of this power.
    Attacker(Power),
}

impl Source {
    /// The host that sent it, if one did.
    pub fn host(self) -> Option<usize> {
        match self {
            Self::Host(n) => Some(n),
            Self::Attacker(_) => None,
        }
    }
}

/// A datagram on its way.
pub struct Datagram {
    /// When it left.
    pub(super) left: u64,
    pub(super) source: Source,
    /// The address that it bears as its sender's.
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) bytes: Vec<u8>,
}

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
    /// Whose turn it is.
    power: Power,
    /// What it has sent, and when that arrives.
    datagrams: Vec<(u64, Datagram)>,
    next: Option<u64>,
}

impl<'a> Attack<'a> {
    pub(super) fn new(now: u64, over: bool, rng: &'a mut Rng, addresses: &'a [SocketAddr]) -> Self {
        Self {
            now,
            over,
            rng,
            addresses,
            power: Power::OnPath,
            datagrams: Vec::new(),
            next: None,
        }
    }

    /// Sends a datagram that arrives after so many microseconds; it can claim to come from anywhere.
    pub fn inject(&mut self, after: u64, from: SocketAddr, to: SocketAddr, bytes: Vec<u8>) {
        if !self.over {
            let datagram = Datagram {
                left: self.now,
                source: Source::Attacker(self.power),
                from,
                to,
                bytes,
            };
            self.datagrams.push((self.now + after, datagram));
        }
    }

    /// Asks to act again after so many microseconds.
    pub fn again(&mut self, after: u64) {
        self.next = Some(self.now + after.max(1));
    }

    pub(super) fn done(self) -> (Vec<(u64, Datagram)>, Option<u64>) {
        (self.datagrams, self.next)
    }
}
