//! Two engines on two sockets of one machine, in one thread: all that it costs is CPU time.

use std::io::ErrorKind;
use std::net::UdpSocket;

use raet_core::RemoteId;
use raet_core::crypto::Crypto;
use raet_core::time::Instant;
use raet_core::wire::{MAX_DATAGRAM, MAX_PACKET};

use super::pair::Estate;

/// Two estates with a session between them, each with a socket.
pub struct Loopback<C: Crypto> {
    began: std::time::Instant,
    main: Seat<C>,
    other: Seat<C>,
    to_other: RemoteId,
    to_main: RemoteId,
}

struct Seat<C: Crypto> {
    estate: Estate<C>,
    socket: UdpSocket,
    /// A packet that the socket would not take yet.
    blocked: Option<(std::net::SocketAddr, usize)>,
    out: [u8; MAX_PACKET],
}

impl<C: Crypto> Loopback<C> {
    /// Two estates, joined and allowed; `suite` makes a suite from a seed.
    pub fn new(suite: impl Fn([u8; 32]) -> C) -> Self {
        let mut main = Seat::new(0, true, suite([1; 32]));
        let mut other = Seat::new(1, false, suite([2; 32]));
        let to_main = other
            .estate
            .stack
            .connect(Instant::ZERO, main.estate.address, 0)
            .expect("a first remote");
        let began = std::time::Instant::now();
        loop {
            let now = Instant::from_micros(began.elapsed().as_micros() as u64);
            main.turn(now);
            other.turn(now);
            if let Some(to_other) = main.estate.stack.find("estate1")
                && main.estate.allowed(to_other)
                && other.estate.allowed(to_main)
            {
                return Self {
                    began,
                    main,
                    other,
                    to_other,
                    to_main,
                };
            }
            assert!(began.elapsed().as_secs() < 10, "no session over loopback");
        }
    }

    /// A message each way, the second when the first was taken, until both outcomes were told.
    pub fn ping_pong(&mut self, body: &[u8]) {
        self.message(body);
        let delivered = self.main.estate.delivered;
        let now = self.now();
        self.main.estate.send(now, self.to_other, body);
        while self.main.estate.delivered == delivered {
            self.turn();
        }
    }

    /// A message from the one that joined, until its outcome was told.
    pub fn message(&mut self, body: &[u8]) {
        let delivered = self.other.estate.delivered;
        let now = self.now();
        self.other.estate.send(now, self.to_main, body);
        while self.other.estate.delivered == delivered {
            self.turn();
        }
    }

    fn now(&self) -> Instant {
        Instant::from_micros(self.began.elapsed().as_micros() as u64)
    }

    fn turn(&mut self) {
        let now = self.now();
        self.other.turn(now);
        self.main.turn(now);
    }
}

impl<C: Crypto> Seat<C> {
    fn new(number: u32, main: bool, suite: C) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        socket.set_nonblocking(true).expect("a socket's mode");
        let address = socket.local_addr().expect("a bound socket");
        Self {
            estate: Estate::new(Instant::ZERO, number, main, address, suite),
            socket,
            blocked: None,
            out: [0; MAX_PACKET],
        }
    }

    /// Takes in what has come, and sends what there is.
    fn turn(&mut self, now: Instant) {
        self.estate.stack.handle_timeout(now);
        let mut datagram = [0; MAX_DATAGRAM];
        loop {
            match self.socket.recv_from(&mut datagram) {
                Ok((len, from)) => {
                    self.estate
                        .stack
                        .handle_datagram(now, from, &mut datagram[..len]);
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) => panic!("recv_from: {e}"),
            }
        }
        self.estate.serve(now);
        loop {
            let next = self.blocked.take().or_else(|| {
                let made = self.estate.stack.poll_transmit(now, &mut self.out)?;
                Some((made.to, made.len))
            });
            let Some((to, len)) = next else { break };
            match self.socket.send_to(&self.out[..len], to) {
                Ok(_) => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    self.blocked = next;
                    break;
                }
                Err(e) => panic!("send_to: {e}"),
            }
        }
    }
}
