//! The RAET protocol engine: estates that join, prove their keys to each other and exchange
//! messages over UDP, each delivered once or its sender told the truth.
//!
//! The engine decides everything and touches nothing: no socket, clock, file, thread or (without the
//! feature `alloc`) allocator. A *driver* hands it datagrams and times and carries out what it says.
//! `raet-std` has drivers for operating systems; this is what one does:
//!
//! 1. Hand it what happened: [`handle_datagram`], [`handle_timeout`], and the host's commands
//!    ([`connect`], [`send`] …). Each takes `now`.
//! 2. Store what it wants kept and say so: [`poll_record`], [`handle_stored`].
//! 3. Tell the host what it says: [`poll_event`]; give it messages as it wants them:
//!    [`poll_message`]. The sender hears *done* when a message was taken.
//! 4. Send what it has to send, until there is nothing or the socket is full: [`poll_transmit`].
//! 5. Wait for a datagram, a command, or the moment that [`poll_timeout`] names.
//!
//! ```
//! use core::net::SocketAddr;
//! use raet_core::config::{Config, Trust};
//! use raet_core::crypto::{NaclSuite, Secrets};
//! use raet_core::event::{Event, Outcome};
//! use raet_core::storage::{Fixed, Storage};
//! use raet_core::time::{Duration, Instant};
//! use raet_core::{RoadStack, SendOptions, wire::name};
//!
//! // Two estates on storage of a fixed size: 4 remotes, 8 messages each way, 16 KiB for bodies.
//! type Sizes = Fixed<4, 8, 16384>;
//! let mut now = Instant::ZERO;
//! let estate = |text, n: u8, main| {
//!     // Fresh random bytes in real life: the secrets once, the seed at every start.
//!     let mut config = Config::new(name(text).unwrap(), Secrets::new(&[n; 32], &[n + 1; 32]));
//!     config.main = main;
//!     config.trust = Trust::Once;
//!     RoadStack::<Sizes, _>::new(now, config, Sizes::LIMITS, NaclSuite::new(&[n; 32]), None).unwrap()
//! };
//! let addresses: [SocketAddr; 2] =
//!     ["10.0.0.1:7530".parse().unwrap(), "10.0.0.2:7530".parse().unwrap()];
//! let mut estates = [estate("main", 10, true), estate("other", 20, false)];
//!
//! let main = estates[1].connect(now, addresses[0], 0).unwrap();
//! estates[1].send(now, main, SendOptions::default(), 5, |body| body.copy_from_slice(b"hello")).unwrap();
//!
//! // The driving loop; here the network is an array, and nothing is ever lost.
//! let (mut taken, mut outcome) = (None, None);
//! while outcome.is_none() {
//!     for n in 0..2 {
//!         estates[n].handle_timeout(now);
//!         while let Some(record) = estates[n].poll_record() {
//!             estates[n].handle_stored(now, &record); // a real keep writes it first
//!         }
//!         while let Some(event) = estates[n].poll_event() {
//!             if let Event::Message { outcome: end, .. } = event {
//!                 outcome = Some(end);
//!             }
//!         }
//!         if let Some(body) = estates[n].poll_message(|message| message.body.to_vec()) {
//!             taken = Some(body);
//!         }
//!         let mut packet = [0; 1500];
//!         while let Some(transmit) = estates[n].poll_transmit(now, &mut packet) {
//!             let to = addresses.iter().position(|a| *a == transmit.to).unwrap();
//!             estates[to].handle_datagram(now, addresses[n], &mut packet[..transmit.len]);
//!         }
//!     }
//!     let next = estates.iter().filter_map(|e| e.poll_timeout()).map(|t| t.at).min();
//!     now = next.unwrap_or(now + Duration::from_millis(1)).min(now + Duration::from_millis(1));
//! }
//! assert_eq!(taken.as_deref(), Some(&b"hello"[..]));
//! assert_eq!(outcome, Some(Outcome::Delivered));
//! ```
//!
//! # What it promises
//!
//! - No bytes from the network make it panic, fail, or grow beyond its [`Limits`]; what is dropped is
//!   counted by [`Reason`]. Errors are for callers alone.
//! - A message is delivered at most once in a session; between two engines of this kind also over
//!   sessions, as long as both live. Its sender is told [`Outcome`] exactly once, and it is true.
//! - The same seed, configuration and inputs give the same outputs, always. Polling more often, or in
//!   another order, changes neither the events nor the datagrams to each remote.
//! - The cost of a call does not grow with the number of remotes, except where its docs say so.
//! - It speaks with Python `raet` 0.6.8 as it is.
//!
//! # Rooms
//!
//! | module | what lives there |
//! |---|---|
//! | [`road`] | the engine and its transactions: start at its table of files |
//! | [`wire`] | bytes to packets and back: heads, bodies, handshake layouts, segments |
//! | [`crypto`] | keys, boxes, signatures, randomness, behind one trait |
//! | [`storage`] | tables and buffers, growing or fixed: the only place that knows capacities |
//! | [`keep`] | what must survive a restart, and the table that says whose keys are taken |
//! | [`config`], [`limits`] | what a host chooses |
//! | [`event`], [`error`], [`stats`] | what it is told |
//! | [`time`] | the engine's clock reading |
//! | [`protocol`] | the protocol in words, and what a host can rely on: no code |
//!
//! Rules of the protocol are cited beside the code that keeps them: by a page of [`protocol`] and its
//! heading, as *road-wire: Head*, or, where this implementation goes beyond Python's, by the number of
//! a rule in [`protocol::hardening`], H1 to H18.
//!
//! # Watching it
//!
//! [`handle_datagram`] returns what became of a datagram and [`poll_transmit`] the head of what goes
//! out, so a driver can trace every packet with the reason why one was dropped; [`stats`] counts
//! them. None of it ever holds a secret.
//!
//! [`handle_datagram`]: RoadStack::handle_datagram
//! [`handle_timeout`]: RoadStack::handle_timeout
//! [`handle_stored`]: RoadStack::handle_stored
//! [`connect`]: RoadStack::connect
//! [`send`]: RoadStack::send
//! [`poll_record`]: RoadStack::poll_record
//! [`poll_event`]: RoadStack::poll_event
//! [`poll_message`]: RoadStack::poll_message
//! [`poll_transmit`]: RoadStack::poll_transmit
//! [`poll_timeout`]: RoadStack::poll_timeout
//! [`Limits`]: limits::Limits
//! [`Reason`]: stats::Reason
//! [`Outcome`]: event::Outcome
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod config;
pub mod crypto;
pub mod error;
pub mod event;
pub mod keep;
pub mod limits;
pub mod protocol;
pub mod road;
pub mod stats;
pub mod storage;
pub mod time;
pub mod wire;

pub use road::{Message, MessageId, RemoteId, RoadStack, SendOptions, Transmit};
