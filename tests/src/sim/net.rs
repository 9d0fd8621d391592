//! The network: what becomes of a datagram between two hosts, and whose an address is.

use std::net::{IpAddr, SocketAddr};

use raet_core::wire::{Frame, TransactionKind};

use super::plan::{Fault, HostPlan, LinkPlan, MS};
use super::scene::Rng;

/// The path from one host to another.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) plan: LinkPlan,
    rng: Rng,
    in_burst: bool,
    parted_until: u64,
}

/// A copy of a datagram that arrives.
pub(super) struct Copy {
    pub(super) delay: u64,
    pub(super) bytes: Vec<u8>,
}

/// What becomes of a datagram.
#[derive(Default)]
pub(super) struct Fate {
    pub(super) copies: Vec<Copy>,
    pub(super) faults: Vec<Fault>,
}

impl Link {
    pub(super) fn new(plan: LinkPlan, seed: u64) -> Self {
        Self {
            plan,
            rng: Rng::new(seed),
            in_burst: false,
            parted_until: 0,
        }
    }

    /// Nothing passes until then.
    pub(super) fn part(&mut self, until: u64) {
        self.parted_until = self.parted_until.max(until);
    }

    /// Nothing goes wrong any more.
    pub(super) fn heal(&mut self) {
        self.parted_until = 0;
        self.in_burst = false;
        self.plan = LinkPlan {
            latency: self.plan.latency,
            mtu: usize::MAX,
            ..LinkPlan::default()
        };
    }

    fn chance(&mut self, thousandths: u64) -> bool {
        thousandths > 0 && self.rng.bits() % 1000 < thousandths
    }

    /// The fate of a datagram that leaves now.
    pub(super) fn fate(&mut self, now: u64, bytes: &[u8]) -> Fate {
        let plan = self.plan;
        let mut fate = Fate::default();
        if now < self.parted_until {
            fate.faults.push(Fault::Partition);
            return fate;
        }
        if bytes.len() > plan.mtu {
            fate.faults.push(Fault::Size);
            return fate;
        }
        // A burst goes on for five datagrams on average.
        self.in_burst = if self.in_burst {
            !self.chance(200)
        } else {
            self.chance(plan.burst)
        };
        if self.in_burst {
            fate.faults.push(Fault::Burst);
            return fate;
        }
        if self.chance(plan.loss) {
            fate.faults.push(Fault::Loss);
            return fate;
        }
        let mut copies = 1;
        if self.chance(plan.duplicate) {
            fate.faults.push(Fault::Duplicate);
            copies = 2;
        }
        for _ in 0..copies {
            let mut delay = plan.latency + self.rng.bits() % (plan.jitter + 1);
            let mut bytes = bytes.to_vec();
            if self.chance(plan.reorder) {
                fate.faults.push(Fault::Reorder);
                delay += self.rng.bits() % (500 * MS);
            }
            if self.chance(plan.corrupt) {
                fate.faults.push(Fault::Corrupt);
                self.corrupt(&mut bytes);
            }
            if self.chance(plan.truncate) {
                fate.faults.push(Fault::Truncate);
                bytes.truncate(self.rng.below(bytes.len()));
            }
            fate.copies.push(Copy { delay, bytes });
        }
        fate
    }

    /// Changes a few bytes. What a join says is protected by nothing (H3), so a change there is an
    /// attacker's, not the weather's: of a join only the start changes, by which it is known.
    fn corrupt(&mut self, bytes: &mut [u8]) {
        let join = Frame::parse(bytes).map(|f| f.head.transaction) == Ok(TransactionKind::Join);
        let end = if join { 7 } else { bytes.len() };
        for _ in 0..=self.rng.below(3) {
            let at = self.rng.below(end);
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << self.rng.below(8);
                if join {
                    *byte |= 0x80;
                }
            }
        }
    }
}

/// Whose an address is, and was.
#[derive(Debug)]
pub(super) struct Book {
    /// Who came to an address, one after another.
    moves: Vec<(SocketAddr, usize)>,
}

impl Book {
    /// Each host at its first address.
    pub(super) fn new(hosts: &[HostPlan]) -> Self {
        let hosts = hosts.iter().enumerate();
        Self {
            moves: hosts.map(|(n, h)| (home(n, h.six), n)).collect(),
        }
    }

    /// Where a host is at first.
    pub(super) fn first(&self, host: usize) -> SocketAddr {
        self.moves[host].0
    }

    /// Where a host is now.
    pub(super) fn address(&self, host: usize) -> SocketAddr {
        let mine = self.moves.iter().rev().find(|(_, n)| *n == host);
        mine.map_or_else(|| self.first(host), |(address, _)| *address)
    }

    /// The host that is at this address now.
    pub(super) fn at(&self, address: SocketAddr) -> Option<usize> {
        self.owner(address).filter(|n| self.address(*n) == address)
    }

    /// The host that is at this address, or was there last.
    pub(super) fn owner(&self, address: SocketAddr) -> Option<usize> {
        self.owners(address).next()
    }

    /// The hosts that are or were at this address, the latest first.
    pub(super) fn owners(&self, address: SocketAddr) -> impl Iterator<Item = usize> {
        let moves = self.moves.iter().rev();
        moves.filter(move |(a, _)| *a == address).map(|(_, n)| *n)
    }

    /// Every address that a host is or was at.
    pub(super) fn all(&self) -> impl Iterator<Item = (SocketAddr, usize)> {
        self.moves.iter().copied()
    }

    /// A host gets an address that nobody ever had.
    pub(super) fn rebind(&mut self, host: usize) -> SocketAddr {
        let moves = self.moves.len() as u16;
        let mut address = home(host, self.first(host).is_ipv6());
        address.set_port(7530 + moves);
        self.moves.push((address, host));
        address
    }

    /// A host gets the address that another one left last, if one did.
    pub(super) fn take_over(&mut self, host: usize) -> Option<SocketAddr> {
        let six = self.first(host).is_ipv6();
        let left = self.moves.iter().rev().find(|(address, n)| {
            *n != host && address.is_ipv6() == six && self.at(*address).is_none()
        });
        let address = left?.0;
        self.moves.push((address, host));
        Some(address)
    }
}

/// The first address of a host.
fn home(host: usize, six: bool) -> SocketAddr {
    if six {
        SocketAddr::from(([0xfd00, 0, 0, 0, 0, 0, 0, host as u16 + 1], 7530))
    } else {
        SocketAddr::from(([10, 0, host as u8, 1], 7530))
    }
}

/// An address as an IPv6 socket shows it.
pub(super) fn in_six(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) => SocketAddr::from((ip.to_ipv6_mapped(), address.port())),
        IpAddr::V6(_) => address,
    }
}
