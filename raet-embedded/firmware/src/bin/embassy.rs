//! The node on embassy: its road is driven by one task, and used by others of the same executor.
#![no_std]
#![no_main]

use core::cell::RefCell;
use core::mem::MaybeUninit;

use cortex_m::Peripherals;
use embassy_executor::{Executor, SpawnError, Spawner};
use embassy_net::{Ipv4Address, Ipv4Cidr, Runner, Stack, StackResources, StaticConfigV4};
use embassy_time::Timer;
use firmware::app::{App, Sizes, Wish};
use firmware::entropy::Host;
use firmware::nic::Nic;
use firmware::setup::{self, NodeKeep};
use firmware::{clock, say, semihosting};
use raet_core::time::Instant;
use raet_core::wire::DEFAULT_PORT;
use raet_embedded::clock::Clock;
use raet_embedded::embassy::{Buffers, EmbassyClock, Road};
use raet_embedded::entropy::Entropy;
use raet_embedded::node::Memory;

type TheRoad = Road<'static, Sizes, NodeKeep>;
type TheBuffers = Buffers<2>;

#[cortex_m_rt::entry]
fn main() -> ! {
    // `entry` makes of these what a function may have once: safe references for ever.
    static mut EXECUTOR: MaybeUninit<Executor> = MaybeUninit::uninit();
    static mut NIC: Nic = Nic::DOWN;
    static mut RESOURCES: MaybeUninit<StackResources<1>> = MaybeUninit::uninit();
    static mut BUFFERS: MaybeUninit<TheBuffers> = MaybeUninit::uninit();
    static mut MEMORY: Memory<Sizes> = Memory::new();
    static mut ROAD: MaybeUninit<TheRoad> = MaybeUninit::uninit();
    static mut APP: MaybeUninit<RefCell<App>> = MaybeUninit::uninit();

    let Some(board) = Peripherals::take() else {
        semihosting::exit(1)
    };
    clock::start_millis(board.SYST);
    let (node, app) = setup::begin(MEMORY, &mut EmbassyClock);
    let road = put(ROAD, || Road::new(node));
    let app = put(APP, || RefCell::new(app));

    if NIC.up().is_err() {
        say!("no network chip");
        semihosting::exit(4)
    }
    NIC.interrupt();
    let mut seed = [0; 8];
    if Host.fill(&mut seed).is_err() {
        say!("the host gives no randomness");
        semihosting::exit(3)
    }
    let [a, b, c, d] = setup::OWN;
    let config = embassy_net::Config::ipv4_static(StaticConfigV4 {
        address: Ipv4Cidr::new(Ipv4Address::new(a, b, c, d), 24),
        gateway: None,
        dns_servers: Default::default(),
    });
    let resources = put(RESOURCES, StackResources::new);
    let (stack, runner) = embassy_net::new(NIC, config, resources, u64::from_le_bytes(seed));
    let buffers = put(BUFFERS, Buffers::new);

    say!("up");
    put(EXECUTOR, Executor::new).run(|spawner| {
        if spawn(spawner, stack, runner, buffers, road, app).is_err() {
            say!("a task was started twice");
            semihosting::exit(6)
        }
    })
}

/// Makes something in its place. A function of its own, so that what it has on its stack is gone when the tasks run.
#[inline(never)]
fn put<T>(place: &'static mut MaybeUninit<T>, make: impl FnOnce() -> T) -> &'static mut T {
    place.write(make())
}

fn spawn(
    spawner: Spawner,
    stack: Stack<'static>,
    runner: Runner<'static, &'static mut Nic>,
    buffers: &'static mut TheBuffers,
    road: &'static TheRoad,
    app: &'static RefCell<App>,
) -> Result<(), SpawnError> {
    spawner.spawn(network(runner)?);
    spawner.spawn(drive(road, stack, buffers)?);
    spawner.spawn(events(road, app)?);
    spawner.spawn(commands(road, app)?);
    spawner.spawn(readings(road, app)?);
    Ok(())
}

#[embassy_executor::task]
async fn network(mut runner: Runner<'static, &'static mut Nic>) -> ! {
    runner.run().await
}

#[embassy_executor::task]
async fn drive(road: &'static TheRoad, stack: Stack<'static>, buffers: &'static mut TheBuffers) {
    let mut socket = buffers.socket(stack);
    // Free: it is the only one.
    let _ = socket.bind(DEFAULT_PORT);
    road.drive(&mut socket).await;
}

#[embassy_executor::task]
async fn events(road: &'static TheRoad, app: &'static RefCell<App>) {
    loop {
        let event = road.event().await;
        app.borrow_mut().hear(&event);
    }
}

/// Takes one command after the other, each when the one before is answered.
#[embassy_executor::task]
async fn commands(road: &'static TheRoad, app: &'static RefCell<App>) {
    loop {
        road.receive(|message| app.borrow_mut().obey(EmbassyClock.now(), message.body))
            .await;
        // Until there is room, each.
        road.until(|engine, now| app.borrow_mut().answer(now, engine).then_some(()))
            .await;
        road.until(|engine, now| app.borrow_mut().long(now, engine).then_some(()))
            .await;
        let (wish, when) = app.borrow().wish();
        if wish != Wish::Run {
            wait(when).await;
            app.borrow().fulfil(wish);
        }
    }
}

#[embassy_executor::task]
async fn readings(road: &'static TheRoad, app: &'static RefCell<App>) {
    loop {
        let due = app.borrow().next_reading();
        wait(due).await;
        // A command may have put it off: then there is none yet.
        road.with(|engine, now| app.borrow_mut().read(now, engine));
    }
}

async fn wait(until: Instant) {
    Timer::at(embassy_time::Instant::from_micros(until.as_micros())).await;
}
