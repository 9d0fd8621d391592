//! The UDP socket: batches in, runs of datagrams out, and which of our addresses was asked.
//!
//! What the system says about a datagram never ends anything here: a refused or unreachable peer is
//! one that does not answer, and the protocol's own timers say what follows.

use std::collections::HashMap;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr, SocketAddrV6, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use socket2::{Domain, Protocol, SockAddr, Type};

/// Asked of the system for both directions; it may grant less.
const SOCKET_BUFFER: usize = 4 << 20;

/// A datagram run that the kernel joined is no longer than this.
const LARGEST_RUN: usize = 65_535;

/// What a bound socket can do, and did. Shared by all threads; the socket itself is not in here, so
/// that it closes with its driver.
pub(crate) struct Socket {
    state: UdpSocketState,
    /// Addresses as this socket sees them: v4 ones are mapped on a socket of IPv6.
    v6: bool,
    /// Bound to no address in particular, so that answers must name the one that was asked.
    pub(crate) wildcard: bool,
    pub(crate) local: SocketAddr,
    pub(crate) counts: Counts,
    /// The system's buffer is full, as far as a test wants it to be.
    #[cfg(test)]
    pub(crate) jammed: std::sync::atomic::AtomicBool,
}

/// What the socket did, counted since it was opened.
#[derive(Default)]
pub(crate) struct Counts {
    received: AtomicU64,
    sent: AtomicU64,
    sends: AtomicU64,
    send_errors: AtomicU64,
    receive_errors: AtomicU64,
    blocked: AtomicU64,
}

/// What a road's socket has done since it was opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct SocketStats {
    /// Datagrams received.
    pub received: u64,
    /// Datagrams given to the system.
    pub sent: u64,
    /// Calls that gave it one or more of them.
    pub sends: u64,
    /// Datagrams that the system would not take (unreachable, refused, forbidden): lost as if the
    /// network had lost them.
    pub send_errors: u64,
    /// Errors that it gave where a datagram was asked for.
    pub receive_errors: u64,
    /// Times that its buffer was full and had to be waited for.
    pub blocked: u64,
}

impl Counts {
    pub(crate) fn read(&self) -> SocketStats {
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        SocketStats {
            received: get(&self.received),
            sent: get(&self.sent),
            sends: get(&self.sends),
            send_errors: get(&self.send_errors),
            receive_errors: get(&self.receive_errors),
            blocked: get(&self.blocked),
        }
    }
}

fn add(count: &AtomicU64, n: usize) {
    count.fetch_add(n as u64, Ordering::Relaxed);
}

impl Socket {
    /// Binds to `address`; an unspecified IPv6 one takes IPv4 too.
    pub(crate) fn bind(address: SocketAddr) -> io::Result<(Self, UdpSocket)> {
        let socket = socket2::Socket::new(
            Domain::for_address(address),
            Type::DGRAM,
            Some(Protocol::UDP),
        )?;
        if address.is_ipv6() {
            socket.set_only_v6(!address.ip().is_unspecified())?;
        }
        // A smaller buffer costs repeats, not messages.
        let _ = socket.set_recv_buffer_size(SOCKET_BUFFER);
        let _ = socket.set_send_buffer_size(SOCKET_BUFFER);
        socket.bind(&SockAddr::from(address))?;
        let udp = UdpSocket::from(socket);
        let state = UdpSocketState::new(UdpSockRef::from(&udp))?;
        let local = udp.local_addr()?;
        let socket = Self {
            state,
            v6: local.is_ipv6(),
            wildcard: local.ip().is_unspecified(),
            local,
            counts: Counts::default(),
            #[cfg(test)]
            jammed: false.into(),
        };
        Ok((socket, udp))
    }

    /// Whether a datagram can be sent to an address of this family.
    pub(crate) fn reaches(&self, to: SocketAddr) -> bool {
        match (self.v6, to.is_ipv6()) {
            (true, true) | (false, false) => true,
            (true, false) => self.wildcard,
            (false, true) => false,
        }
    }

    /// Takes what has come, without waiting. A batch at most.
    pub(crate) fn receive(&self, udp: UdpSockRef<'_>, batch: &mut Batch) -> io::Result<usize> {
        let mut buffers = batch.memory.chunks_mut(LARGEST_RUN);
        let mut slices: [IoSliceMut<'_>; BATCH_SIZE] =
            std::array::from_fn(|_| IoSliceMut::new(buffers.next().unwrap_or_default()));
        let received = self.state.recv(udp, &mut slices, &mut batch.meta);
        match &received {
            Ok(_) => batch.errors = 0,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => batch.errors = 0,
            Err(_) => {
                batch.errors = batch.errors.saturating_add(1);
                add(&self.counts.receive_errors, 1);
            }
        }
        batch.runs = *received.as_ref().unwrap_or(&0);
        received
    }

    /// How many datagrams of one size one call may send. Not as many as the system takes: the peer
    /// checks the first ones while the next are being signed.
    pub(crate) fn longest_run(&self) -> usize {
        self.state.max_gso_segments().min(16)
    }

    /// Gives a run of datagrams to the system, each but the last `size` bytes long.
    ///
    /// True when they are gone, delivered or lost; false when its buffer is full and they
    /// must be kept.
    pub(crate) fn send(&self, udp: &UdpSocket, run: &Run<'_>) -> bool {
        match self.try_send(udp, run) {
            Ok(()) => true,
            Err(e) if is_full(&e) => {
                add(&self.counts.blocked, 1);
                false
            }
            // A driver or network card that cannot cut runs: one by one. So too when the address
            // that was asked is no longer ours.
            Err(_) => {
                for datagram in run.bytes.chunks(run.size.max(1)) {
                    let one = Run {
                        to: run.to,
                        source: None,
                        bytes: datagram,
                        size: datagram.len(),
                    };
                    if self.try_send(udp, &one).is_err() {
                        add(&self.counts.send_errors, 1);
                    }
                }
                true
            }
        }
    }

    fn try_send(&self, udp: &UdpSocket, run: &Run<'_>) -> io::Result<()> {
        #[cfg(test)]
        if self.jammed.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let destination = if self.v6 { mapped(run.to) } else { run.to };
        self.state.try_send(
            UdpSockRef::from(udp),
            &Transmit {
                destination,
                ecn: None,
                contents: run.bytes,
                segment_size: (run.size < run.bytes.len()).then_some(run.size),
                src_ip: run.source,
            },
        )?;
        add(&self.counts.sends, 1);
        add(&self.counts.sent, run.bytes.len().div_ceil(run.size.max(1)));
        Ok(())
    }
}

/// The buffer of the socket, or of the device below it, is full.
fn is_full(error: &io::Error) -> bool {
    const NO_BUFFERS: i32 = if cfg!(target_os = "linux") { 105 } else { 55 };
    error.kind() == io::ErrorKind::WouldBlock
        || (cfg!(unix) && error.raw_os_error() == Some(NO_BUFFERS))
}

/// Datagrams to one address.
pub(crate) struct Run<'a> {
    pub(crate) to: SocketAddr,
    /// The address of ours to send from; `None` for what the system chooses.
    pub(crate) source: Option<IpAddr>,
    pub(crate) bytes: &'a [u8],
    /// Bytes of each datagram but the last, which may be shorter.
    pub(crate) size: usize,
}

/// Room for what one call receives.
pub(crate) struct Batch {
    memory: Vec<u8>,
    meta: [RecvMeta; BATCH_SIZE],
    runs: usize,
    /// Errors in a row.
    errors: u32,
}

/// Errors in a row that a socket may give before it is left alone for a while. Each tells of an
/// earlier datagram, so there may be several; a socket that is broken gives them for ever.
const ERRORS: u32 = 32;

/// How long it is left alone then.
const SOCKET_RETRY: Duration = Duration::from_millis(100);

impl Batch {
    pub(crate) fn new() -> Self {
        // Zeroed pages take no memory until a datagram needs them.
        Self {
            memory: vec![0; LARGEST_RUN * BATCH_SIZE],
            meta: [RecvMeta::default(); BATCH_SIZE],
            runs: 0,
            errors: 0,
        }
    }

    /// Whether the socket gives nothing but errors.
    pub(crate) fn is_failing(&self) -> bool {
        self.errors >= ERRORS
    }

    /// When to wake who would sleep until `until`: a failing socket is tried again.
    pub(crate) fn next_try(&self, until: Instant) -> Instant {
        if self.is_failing() {
            until.min(Instant::now() + SOCKET_RETRY)
        } else {
            until
        }
    }

    /// Each datagram with its source and the address of ours that it was sent to.
    pub(crate) fn datagrams(
        &mut self,
        counts: &Counts,
    ) -> impl Iterator<Item = (SocketAddr, Option<IpAddr>, &mut [u8])> {
        let runs = std::mem::take(&mut self.runs);
        self.memory
            .chunks_mut(LARGEST_RUN)
            .zip(&self.meta)
            .take(runs)
            .flat_map(|(buffer, meta)| {
                let from = unmapped(meta.addr);
                let run = buffer.get_mut(..meta.len).unwrap_or(&mut []);
                run.chunks_mut(meta.stride.max(1))
                    .map(move |datagram| (from, meta.dst_ip, datagram))
            })
            .inspect(|_| add(&counts.received, 1))
    }
}

/// An IPv4 address as a socket of IPv6 wants it.
fn mapped(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) => SocketAddrV6::new(v4.ip().to_ipv6_mapped(), v4.port(), 0, 0).into(),
        v6 @ SocketAddr::V6(_) => v6,
    }
}

/// An address in its one form: v4-mapped ones as IPv4, no flow information (hardening: H11).
pub(crate) fn unmapped(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V6(v6) => match v6.ip().to_ipv4_mapped() {
            Some(v4) => SocketAddr::new(v4.into(), v6.port()),
            None => SocketAddrV6::new(*v6.ip(), v6.port(), 0, v6.scope_id()).into(),
        },
        v4 @ SocketAddr::V4(_) => v4,
    }
}

/// Which address of ours each peer wrote to last, so that answers leave from it.
///
/// Bounded: when one half is full the older half is forgotten; a forgotten peer gets the address
/// that the system chooses.
#[derive(Default)]
pub(crate) struct Sources {
    young: HashMap<SocketAddr, IpAddr>,
    old: HashMap<SocketAddr, IpAddr>,
}

impl Sources {
    const HALF: usize = 4096;

    pub(crate) fn remember(&mut self, peer: SocketAddr, ours: IpAddr) {
        if self.young.get(&peer) == Some(&ours) {
            return;
        }
        if self.young.len() >= Self::HALF {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(peer, ours);
    }

    pub(crate) fn of(&self, peer: &SocketAddr) -> Option<IpAddr> {
        self.young.get(peer).or_else(|| self.old.get(peer)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("a literal address")
    }

    #[test]
    fn mapping_is_undone() {
        let v4 = address("192.0.2.7:99");
        assert_eq!(mapped(v4), address("[::ffff:192.0.2.7]:99"));
        assert_eq!(unmapped(mapped(v4)), v4);
        assert_eq!(unmapped(mapped(address("[::1]:9"))), address("[::1]:9"));
    }

    #[test]
    fn sources_are_bounded_and_the_newest_stay() {
        let mut sources = Sources::default();
        let ours = IpAddr::from([10, 0, 0, 1]);
        let peer = |n: usize| SocketAddr::from(([10, 1, (n >> 8) as u8, n as u8], 7));
        for n in 0..3 * Sources::HALF {
            sources.remember(peer(n), ours);
        }
        assert!(sources.young.len() + sources.old.len() <= 2 * Sources::HALF);
        assert_eq!(sources.of(&peer(3 * Sources::HALF - 1)), Some(ours));
        assert_eq!(sources.of(&peer(0)), None);
    }

    #[test]
    fn a_run_arrives_as_the_datagrams_it_was_made_of() {
        let (a, from) = Socket::bind(address("127.0.0.1:0")).expect("loopback");
        let (b, at) = Socket::bind(address("[::]:0")).expect("loopback");
        let to = SocketAddr::new([127, 0, 0, 1].into(), b.local.port());
        let bytes: Vec<u8> = (0..250_u8).collect();
        assert!(a.send(
            &from,
            &Run {
                to,
                source: None,
                bytes: &bytes,
                size: 100
            }
        ));
        let mut batch = Batch::new();
        let mut got = Vec::new();
        while got.len() < 3 {
            match b.receive(UdpSockRef::from(&at), &mut batch) {
                Ok(_) => {
                    for (from, ours, datagram) in batch.datagrams(&b.counts) {
                        assert_eq!(from, a.local);
                        assert_eq!(ours.map(|ip| unmapped((ip, 0).into()).ip()), Some(to.ip()));
                        got.push(datagram.to_vec());
                    }
                }
                Err(e) => assert_eq!(e.kind(), io::ErrorKind::WouldBlock),
            }
        }
        assert_eq!(got.concat(), bytes);
        assert_eq!(got.iter().map(Vec::len).collect::<Vec<_>>(), [100, 100, 50]);
        assert_eq!(b.counts.read().received, 3);
    }
}
