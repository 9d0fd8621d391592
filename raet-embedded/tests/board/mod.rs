//! Boards on a simulated Ethernet: everything below the application is the real thing but the chips.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "shared by several test binaries, each of which uses a part"
)]

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use raet_core::config::{Config, Trust};
use raet_core::crypto::Secrets;
use raet_core::event::{Event, Outcome, RemoteEvent};
use raet_core::storage::Fixed;
use raet_core::time::{Duration, Instant};
use raet_core::wire::{Frame, Head, name};
use raet_core::{RemoteId, RoadStack, SendOptions};
use raet_embedded::clock::Clock;
use raet_embedded::entropy::Entropy;
use raet_embedded::keep::Keep;
use raet_embedded::smoltcp::{Buffers, Driver};
use raet_embedded::{Memory, Node};
use smoltcp::iface::{Config as NetConfig, Interface, SocketSet, SocketStorage};
use smoltcp::phy::{self, Device, DeviceCapabilities, Medium};
use smoltcp::time::Instant as NetInstant;
use smoltcp::wire::{EthernetAddress, IpCidr};

/// Two remotes, four messages each way, 10 KiB for their bodies.
pub type Sizes = Fixed<2, 4, 10240>;

/// Frames from one end come out at the other a millisecond later, but for those that get lost.
#[derive(Clone)]
pub struct Wire(Rc<Cable>);

struct Cable {
    now: Cell<Instant>,
    random: Cell<u64>,
    /// Of each thousand frames, so many are lost.
    lost: Cell<u64>,
    ends: [RefCell<Frames>; 2],
    /// All frames that were sent, lost ones too, by the end that sent them.
    sent: RefCell<Vec<(usize, Vec<u8>)>>,
}

/// When each arrives.
type Frames = VecDeque<(Instant, Vec<u8>)>;

impl Wire {
    pub fn new(seed: u64, lost: u64) -> Self {
        Self(Rc::new(Cable {
            now: Cell::new(Instant::from_micros(1_000_000)),
            random: Cell::new(seed),
            lost: Cell::new(lost),
            ends: [RefCell::default(), RefCell::default()],
            sent: RefCell::default(),
        }))
    }

    pub fn now(&self) -> Instant {
        self.0.now.get()
    }

    /// From now on, so many of a thousand frames are lost.
    pub fn lose(&self, lost: u64) {
        self.0.lost.set(lost);
    }

    /// The heads of the packets that this end has sent in IPv4.
    pub fn heads(&self, end: usize) -> Vec<Head> {
        let sent = self.0.sent.borrow();
        let ours = sent.iter().filter(|(by, _)| *by == end);
        // Behind the heads of Ethernet, IP and UDP.
        ours.filter_map(|(_, frame)| Some(Frame::parse(frame.get(42..)?).ok()?.head))
            .collect()
    }

    fn bits(&self) -> u64 {
        let next = self.0.random.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
        self.0.random.set(next);
        let mixed = (next ^ (next >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed ^ (mixed >> 27)
    }

    /// When the next frame arrives anywhere.
    fn next_arrival(&self) -> Option<Instant> {
        let ends = self.0.ends.iter();
        ends.filter_map(|end| end.borrow().front().map(|frame| frame.0))
            .min()
    }
}

impl Clock for Wire {
    fn now(&mut self) -> Instant {
        self.0.now.get()
    }
}

/// A board's true random generator.
impl Entropy for Wire {
    type Error = Infallible;

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.bits().to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

/// One end of the wire, as a network chip.
pub struct Port {
    wire: Wire,
    end: usize,
}

impl Device for Port {
    type RxToken<'a> = Received;
    type TxToken<'a> = Sent;

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = 1514;
        capabilities
    }

    fn receive(&mut self, _: NetInstant) -> Option<(Received, Sent)> {
        let mut arriving = self.wire.0.ends[self.end].borrow_mut();
        if arriving.front()?.0 > self.wire.now() {
            return None;
        }
        let (_, frame) = arriving.pop_front()?;
        Some((Received(frame), Sent(self.wire.clone(), 1 - self.end)))
    }

    fn transmit(&mut self, _: NetInstant) -> Option<Sent> {
        Some(Sent(self.wire.clone(), 1 - self.end))
    }
}

pub struct Received(Vec<u8>);

impl phy::RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, take: F) -> R {
        take(&self.0)
    }
}

pub struct Sent(Wire, usize);

impl phy::TxToken for Sent {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, fill: F) -> R {
        let Self(wire, end) = self;
        let mut frame = vec![0; len];
        let result = fill(&mut frame);
        wire.0.sent.borrow_mut().push((1 - end, frame.clone()));
        if wire.bits() % 1000 >= wire.0.lost.get() {
            let arrives = wire.now() + Duration::from_millis(1);
            wire.0.ends[end].borrow_mut().push_back((arrives, frame));
        }
        result
    }
}

/// A node with its network stack, and what its application saw.
pub struct Board<K: Keep> {
    pub node: Node<'static, Sizes, K>,
    driver: Driver,
    interface: Interface,
    port: Port,
    sockets: SocketSet<'static>,
    wire: Wire,
    pub events: Vec<Event>,
    pub messages: Vec<Vec<u8>>,
    /// Whether its application takes messages.
    pub takes: bool,
    /// How often the driver was polled.
    pub polls: usize,
}

/// The estate at one end of the wire: `main` at 0, `node` at 1.
pub fn config(end: usize) -> Config {
    let n = end as u8 + 1;
    let text = ["main", "node"][end];
    let mut config = Config::new(name(text).unwrap(), Secrets::new(&[n; 32], &[n + 2; 32]));
    config.main = end == 0;
    config.trust = Trust::Once;
    config
}

impl<K: Keep> Board<K> {
    /// Powers up the board at this end, with the given addresses of both ends.
    pub fn start(wire: &Wire, end: usize, addresses: [SocketAddr; 2], keep: K) -> Self {
        let address = addresses[end];
        let mut port = Port {
            wire: wire.clone(),
            end,
        };
        // What came while it was off is lost.
        wire.0.ends[end].borrow_mut().clear();
        let hardware = EthernetAddress([2, 0, 0, 0, 0, end as u8]);
        let mut interface = Interface::new(
            NetConfig::new(hardware.into()),
            &mut port,
            NetInstant::from_millis(0),
        );
        let prefix = if address.is_ipv4() { 24 } else { 64 };
        interface.update_ip_addrs(|addresses| {
            let ip: IpAddr = address.ip();
            addresses.push(IpCidr::new(ip.into(), prefix)).unwrap();
        });
        let buffers: &'static mut Buffers<2> = Box::leak(Box::default());
        let mut socket = buffers.socket();
        socket.bind(address.port()).unwrap();
        let mut sockets =
            SocketSet::new(Box::leak(Box::new([SocketStorage::EMPTY])).as_mut_slice());
        let driver = Driver::new(sockets.add(socket));
        let memory = Box::leak(Box::new(Memory::new()));
        let node = Node::start(memory, wire.now(), config(end), keep, wire.clone());
        Self {
            node: node.unwrap_or_else(|error| panic!("{error}")),
            driver,
            interface,
            port,
            sockets,
            wire: wire.clone(),
            events: Vec::new(),
            messages: Vec::new(),
            takes: true,
            polls: 0,
        }
    }

    pub fn engine(&mut self) -> &mut RoadStack<Sizes, raet_core::crypto::NaclSuite> {
        self.node.engine()
    }

    pub fn connect(&mut self, to: SocketAddr) -> RemoteId {
        let now = self.wire.now();
        self.engine().connect(now, to, 0).unwrap()
    }

    pub fn send(&mut self, to: RemoteId, body: &[u8]) {
        let now = self.wire.now();
        let options = SendOptions::default();
        self.engine()
            .send(now, to, options, body.len(), |room| {
                room.copy_from_slice(body);
            })
            .unwrap();
    }

    /// Polls the driver and takes what the engine has to say; when to do it again.
    pub fn poll(&mut self) -> Instant {
        let mut wake = Instant::ZERO;
        // The second time for what the application did: a message that was taken is answered.
        for _ in 0..2 {
            self.polls += 1;
            wake = self.driver.poll(
                &mut self.node,
                &mut self.wire,
                &mut self.interface,
                &mut self.port,
                &mut self.sockets,
            );
            while let Some(event) = self.node.engine().poll_event() {
                self.events.push(event);
            }
            while self.takes
                && let Some(body) = self.node.engine().poll_message(|m| m.body.to_vec())
            {
                self.messages.push(body);
            }
        }
        wake
    }

    pub fn happened(&self, event: RemoteEvent) -> bool {
        let remote = |e: &Event| matches!(e, Event::Remote { what, .. } if *what == event);
        self.events.iter().any(remote)
    }

    pub fn outcomes(&self) -> Vec<Outcome> {
        let outcome = |event: &Event| match event {
            Event::Message { outcome, .. } => Some(*outcome),
            _ => None,
        };
        self.events.iter().filter_map(outcome).collect()
    }
}

/// Runs the boards until `done`, at most for two simulated minutes.
pub fn until<K: Keep>(
    wire: &Wire,
    boards: &mut [Board<K>],
    mut done: impl FnMut(&mut [Board<K>]) -> bool,
) {
    let end = wire.now() + Duration::from_mins(2);
    loop {
        let wakes = boards.iter_mut().map(Board::poll).min();
        if done(boards) {
            return;
        }
        let now = wire.now();
        assert!(now < end, "two minutes have passed");
        let next = wakes.into_iter().chain(wire.next_arrival()).min();
        // A microsecond at least, so that nothing runs on the spot for ever.
        let next = next.unwrap_or(end).max(now + Duration::from_micros(1));
        wire.0.now.set(next.min(end));
    }
}

/// Runs the boards for a while.
pub fn run<K: Keep>(wire: &Wire, boards: &mut [Board<K>], time: Duration) {
    let end = wire.now() + time;
    until(wire, boards, |_| wire.now() >= end);
}
