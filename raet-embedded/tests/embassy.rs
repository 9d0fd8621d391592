//! Two estates as tasks on embassy-net, with an executor that polls a task only when it was woken:
//! a wake-up that is missing shows as a test that stands still. Time is embassy's mock.

#![cfg(feature = "embassy")]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use embassy_net::{Ipv4Cidr, Stack, StackResources, StaticConfigV4};
use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState, RxToken, TxToken};
use embassy_time::{Duration, MockDriver};
use raet_core::SendOptions;
use raet_core::config::{Config, Trust};
use raet_core::crypto::Secrets;
use raet_core::event::{Event, Outcome, RemoteEvent};
use raet_core::storage::Fixed;
use raet_core::wire::name;
use raet_embedded::clock::Clock;
use raet_embedded::embassy::{Buffers, EmbassyClock, Road};
use raet_embedded::entropy::Entropy;
use raet_embedded::keep::Nothing;
use raet_embedded::{Memory, Node};

type Sizes = Fixed<2, 4, 10240>;
type TheRoad = Road<'static, Sizes, Nothing>;

const PORT: u16 = 7530;

/// A place for a task, and whether it was woken.
struct Task {
    future: Pin<Box<dyn Future<Output = ()>>>,
    woken: Arc<Flag>,
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[derive(Default)]
struct Executor(Vec<Task>);

impl Executor {
    fn spawn(&mut self, future: impl Future<Output = ()> + 'static) {
        self.0.push(Task {
            future: Box::pin(future),
            woken: Arc::new(Flag(AtomicBool::new(true))),
        });
    }

    /// Runs all tasks until `done`, a millisecond passing whenever none is awake.
    fn run_until(&mut self, mut done: impl FnMut() -> bool) {
        for _ in 0..120_000 {
            let mut awake = true;
            let mut rounds = 0;
            while awake {
                awake = false;
                rounds += 1;
                assert!(rounds < 10_000, "tasks wake each other without end");
                self.0.retain_mut(|task| {
                    if !task.woken.0.swap(false, Ordering::SeqCst) {
                        return true;
                    }
                    awake = true;
                    let waker = Waker::from(task.woken.clone());
                    let mut context = Context::from_waker(&waker);
                    task.future.as_mut().poll(&mut context).is_pending()
                });
                if done() {
                    return;
                }
            }
            MockDriver::get().advance(Duration::from_millis(1));
        }
        panic!("two minutes have passed");
    }
}

/// What lies on the wire before one end, and who waits for it.
#[derive(Default)]
struct End {
    frames: VecDeque<Vec<u8>>,
    waker: Option<Waker>,
}

/// One end of a wire that loses a frame of so many; 0: none.
struct Port {
    ends: [Rc<RefCell<End>>; 2],
    address: [u8; 6],
    lose_each: usize,
    sent: usize,
}

impl Driver for Port {
    type RxToken<'a> = Received;
    type TxToken<'a> = Sent<'a>;

    fn receive(&mut self, context: &mut Context<'_>) -> Option<(Received, Sent<'_>)> {
        let frame = {
            let mut end = self.ends[0].borrow_mut();
            end.waker = Some(context.waker().clone());
            end.frames.pop_front()?
        };
        Some((Received(frame), Sent(self)))
    }

    fn transmit(&mut self, _: &mut Context<'_>) -> Option<Sent<'_>> {
        Some(Sent(self))
    }

    fn link_state(&mut self, _: &mut Context<'_>) -> LinkState {
        LinkState::Up
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = 1514;
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ethernet(self.address)
    }
}

struct Received(Vec<u8>);

impl RxToken for Received {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(mut self, take: F) -> R {
        take(&mut self.0)
    }
}

struct Sent<'a>(&'a mut Port);

impl TxToken for Sent<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, fill: F) -> R {
        let mut frame = vec![0; len];
        let result = fill(&mut frame);
        self.0.sent += 1;
        if !self.0.sent.is_multiple_of(self.0.lose_each) {
            let mut end = self.0.ends[1].borrow_mut();
            end.frames.push_back(frame);
            if let Some(waker) = end.waker.take() {
                waker.wake();
            }
        }
        result
    }
}

/// Different bytes each time.
struct Counted(u64);

impl Entropy for Counted {
    type Error = Infallible;

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for byte in bytes {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            *byte = (self.0 >> 56) as u8;
        }
        Ok(())
    }
}

/// Powers up a board: network, node and driver as tasks.
fn board(executor: &mut Executor, port: Port, n: u8) -> &'static TheRoad {
    let address = Ipv4Cidr::new(Ipv4Addr::new(10, 0, 0, n), 24);
    let net = embassy_net::Config::ipv4_static(StaticConfigV4 {
        address,
        gateway: None,
        dns_servers: heapless::Vec::new(),
    });
    let resources = Box::leak(Box::new(StackResources::<3>::new()));
    let (stack, mut runner) = embassy_net::new(port, net, resources, u64::from(n));
    executor.spawn(async move {
        runner.run().await;
    });
    let text = if n == 1 { "main" } else { "node" };
    let mut config = Config::new(name(text).unwrap(), Secrets::new(&[n; 32], &[n + 2; 32]));
    config.main = n == 1;
    config.trust = Trust::Once;
    let memory = Box::leak(Box::new(Memory::<Sizes>::new()));
    let now = EmbassyClock.now();
    let node = Node::start(memory, now, config, Nothing, Counted(u64::from(n))).unwrap();
    let road: &'static TheRoad = Box::leak(Box::new(Road::new(node)));
    executor.spawn(drive(road, stack));
    road
}

async fn drive(road: &'static TheRoad, stack: Stack<'static>) {
    let buffers = Box::leak(Box::new(Buffers::<2>::new()));
    let mut socket = buffers.socket(stack);
    socket.bind(PORT).unwrap();
    road.drive(&mut socket).await;
}

/// Two boards whose wire loses a frame of so many.
fn boards(executor: &mut Executor, lose_each: usize) -> [&'static TheRoad; 2] {
    let ends = [Rc::<RefCell<End>>::default(), Rc::default()];
    [(0, 1), (1, 0)].map(|(near, far): (usize, usize)| {
        let port = Port {
            ends: [ends[near].clone(), ends[far].clone()],
            address: [2, 0, 0, 0, 0, near as u8],
            lose_each,
            sent: near,
        };
        board(executor, port, near as u8 + 1)
    })
}

fn options() -> SendOptions {
    SendOptions::default()
}

/// One test: the mock of the time is one for the process.
#[test]
fn tasks_share_a_road() {
    for lose_each in [0, 4] {
        exchange(lose_each);
    }
}

fn exchange(lose_each: usize) {
    let mut executor = Executor::default();
    let [main, node] = boards(&mut executor, lose_each);
    let long: Vec<u8> = (0..4096_u32).map(|n| (n * 7 % 251) as u8).collect();
    let done = Rc::new(RefCell::new(Vec::new()));

    // The node: it connects; three tasks deliver, more than its outbox holds; one takes the events.
    let address: SocketAddr = "10.0.0.1:7530".parse().unwrap();
    let to = node
        .with(|engine, now| engine.connect(now, address, 0))
        .unwrap();
    for n in 0..20_u8 {
        let (done, long) = (done.clone(), long.clone());
        executor.spawn(async move {
            let body = if n == 0 { &long[..] } else { &[n; 10] };
            let outcome = node.deliver(to, options(), body).await.unwrap();
            done.borrow_mut().push(outcome);
        });
    }
    let events = Rc::new(RefCell::new(Vec::new()));
    let seen = events.clone();
    executor.spawn(async move {
        loop {
            let event = node.event().await;
            seen.borrow_mut().push(event);
        }
    });

    // The main estate: it takes messages, and answers the long one by itself.
    let received = Rc::new(RefCell::new(Vec::new()));
    let taken = received.clone();
    executor.spawn(async move {
        loop {
            let (from, body) = main.receive(|m| (m.remote, m.body.to_vec())).await;
            if body.len() > 1000 {
                main.send(from, options(), &body).await.unwrap();
            }
            taken.borrow_mut().push(body);
        }
    });
    let back = Rc::new(RefCell::new(None));
    let came = back.clone();
    executor.spawn(async move {
        *came.borrow_mut() = Some(node.receive(|m| m.body.to_vec()).await);
    });

    executor.run_until(|| done.borrow().len() == 20 && back.borrow().is_some());
    assert_eq!(*done.borrow(), [Outcome::Delivered; 20]);
    assert_eq!(back.borrow().as_ref(), Some(&long));
    let mut expected: Vec<Vec<u8>> = (1..20).map(|n| vec![n; 10]).collect();
    expected.push(long);
    received.borrow_mut().sort();
    expected.sort();
    assert_eq!(*received.borrow(), expected);
    let events = events.borrow();
    let allowed = |e: &Event| {
        matches!(
            e,
            Event::Remote {
                what: RemoteEvent::Allowed,
                ..
            }
        )
    };
    assert!(events.iter().any(allowed), "{events:?}");
    assert!(!events.iter().any(|e| matches!(e, Event::Message { .. })));

    // A delivery that is dropped is cancelled, and leaves its room to others.
    let nowhere: SocketAddr = "10.0.0.9:7530".parse().unwrap();
    let lost = node
        .with(|engine, now| engine.connect(now, nowhere, 0))
        .unwrap();
    for _ in 0..20 {
        let mut delivery = Box::pin(node.deliver(lost, options(), &[0; 1000]));
        let mut context = Context::from_waker(Waker::noop());
        assert!(matches!(
            delivery.as_mut().poll(&mut context),
            Poll::Pending
        ));
    }
    let sent = done.clone();
    executor.spawn(async move {
        let outcome = node.deliver(to, options(), b"last").await.unwrap();
        sent.borrow_mut().push(outcome);
    });
    executor.run_until(|| done.borrow().len() == 21);
    assert_eq!(done.borrow().last(), Some(&Outcome::Delivered));
}
