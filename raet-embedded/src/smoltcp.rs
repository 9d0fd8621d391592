//! A polled driver over a UDP socket of smoltcp.
//!
//! smoltcp hands a received datagram out as bytes that cannot be changed, and wants to know where
//! one goes before it gives the room to make it in. The engine opens packets in place and says
//! where one goes when it is made; so each passes through the node's one buffer.

use core::net::SocketAddr;

use ::smoltcp::iface::{Interface, PollIngressSingleResult, SocketHandle, SocketSet};
use ::smoltcp::phy::Device;
use ::smoltcp::socket::udp::{self, PacketMetadata};
use ::smoltcp::time::Instant as NetInstant;
use ::smoltcp::wire::IpEndpoint;
use raet_core::crypto::Crypto;
use raet_core::storage::Storage;
use raet_core::time::Instant;
use raet_core::wire::MAX_PACKET;

use crate::clock::Clock;
use crate::keep::Keep;
use crate::node::{Datagrams, Node};

/// Frames taken in, and datagrams made, by one poll; what is left is due at once.
const ROUNDS: usize = 16;

/// Drives a [`Node`] over one UDP socket.
#[derive(Clone, Copy, Debug)]
pub struct Driver {
    socket: SocketHandle,
}

impl Driver {
    /// A driver for a socket that is bound, and of [`Buffers`] or larger ones.
    pub fn new(socket: SocketHandle) -> Self {
        Self { socket }
    }

    /// Polls interface and node until neither has anything to do, or has done its share. Returns
    /// when to poll again: for either of them, and not later than a frame comes or the host has
    /// given the engine a command. A moment that has passed: at once.
    ///
    /// # Panics
    ///
    /// As smoltcp does, when the socket set does not hold this driver's UDP socket.
    pub fn poll<S: Storage, K: Keep, C: Crypto, D: Device + ?Sized>(
        &self,
        node: &mut Node<'_, S, K, C>,
        clock: &mut impl Clock,
        interface: &mut Interface,
        device: &mut D,
        sockets: &mut SocketSet<'_>,
    ) -> Instant {
        interface.poll_maintenance(net_time(clock.now()));
        for _ in 0..ROUNDS {
            let came = interface.poll_ingress_single(net_time(clock.now()), device, sockets);
            let due = node.turn(clock, &mut Socket(sockets.get_mut(self.socket)));
            interface.poll_egress(net_time(clock.now()), device, sockets);
            if came == PollIngressSingleResult::None && due != Instant::ZERO {
                let net = interface.poll_at(net_time(clock.now()), sockets);
                return due.min(net.map_or(Instant::NEVER, from_net_time));
            }
        }
        Instant::ZERO
    }
}

/// The buffers of a UDP socket: room for `IN` datagrams that came and for one that goes.
///
/// One in serves: the driver takes each datagram as it comes. More let frames wait here while a
/// packet is worked on, where the network chip has no room for them itself.
pub struct Buffers<const IN: usize> {
    meta_in: [PacketMetadata; IN],
    meta_out: [PacketMetadata; 1],
    bytes_in: [[u8; MAX_PACKET]; IN],
    bytes_out: [u8; MAX_PACKET],
}

impl<const IN: usize> Buffers<IN> {
    /// The bytes of RAM that they take.
    pub const RAM: usize = size_of::<Self>();

    /// Empty buffers.
    pub const fn new() -> Self {
        const {
            assert!(IN > 0, "room for one datagram that came, at least");
        }
        Self {
            meta_in: [PacketMetadata::EMPTY; IN],
            meta_out: [PacketMetadata::EMPTY],
            bytes_in: [[0; MAX_PACKET]; IN],
            bytes_out: [0; MAX_PACKET],
        }
    }

    /// A socket on these buffers, to be bound and put in a socket set.
    pub fn socket(&mut self) -> udp::Socket<'_> {
        udp::Socket::new(
            udp::PacketBuffer::new(&mut self.meta_in[..], self.bytes_in.as_flattened_mut()),
            udp::PacketBuffer::new(&mut self.meta_out[..], &mut self.bytes_out[..]),
        )
    }
}

impl<const IN: usize> Default for Buffers<IN> {
    fn default() -> Self {
        Self::new()
    }
}

/// smoltcp's socket as a node sees it.
struct Socket<'a, 'b>(&'a mut udp::Socket<'b>);

impl Datagrams for Socket<'_, '_> {
    fn receive(&mut self, into: &mut [u8]) -> Option<(SocketAddr, usize)> {
        loop {
            match self.0.recv_slice(into) {
                Ok((len, meta)) => return Some((meta.endpoint.into(), len)),
                Err(udp::RecvError::Truncated) => {}
                Err(udp::RecvError::Exhausted) => return None,
            }
        }
    }

    fn has_room(&mut self) -> bool {
        // One at a time: the interface takes it before the next is made.
        self.0.send_queue() == 0
    }

    fn send(&mut self, to: SocketAddr, datagram: &[u8]) {
        #[cfg(not(feature = "ipv6"))]
        let SocketAddr::V4(to) = to else { return };
        // An address that nothing can be sent to loses it.
        let _ = self.0.send_slice(datagram, IpEndpoint::from(to));
    }

    fn drop_unsent(&mut self) {
        // The one way to empty it. What came is dropped too, and comes again.
        let endpoint = self.0.endpoint();
        self.0.close();
        // It was bound to this very endpoint.
        let _ = self.0.bind(endpoint);
    }
}

fn net_time(at: Instant) -> NetInstant {
    NetInstant::from_micros(i64::try_from(at.as_micros()).unwrap_or(i64::MAX))
}

fn from_net_time(at: NetInstant) -> Instant {
    Instant::from_micros(u64::try_from(at.total_micros()).unwrap_or(0))
}
