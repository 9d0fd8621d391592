//! A node on smoltcp, polled.
#![no_std]
#![no_main]

use cortex_m::Peripherals;
use cortex_m::peripheral::SCB;
use firmware::app::{App, Sizes, Wish};
use firmware::entropy::Host;
use firmware::nic::Nic;
use firmware::setup::{self, NodeKeep, Setup};
use firmware::{clock, say, semihosting, stack};
use raet_embedded::clock::{Clock, Ticks};
use raet_embedded::node::{Memory, Node};
use raet_embedded::smoltcp::{Buffers, Driver};
use smoltcp::iface::{Config, Interface, SocketSet, SocketStorage};
use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr};

type TheNode = Node<'static, Sizes, NodeKeep>;

#[cortex_m_rt::entry]
fn main() -> ! {
    // `entry` makes of these what a function may have once: safe references for ever.
    static mut NIC: Nic = Nic::DOWN;
    static mut BUFFERS: Buffers<1> = Buffers::new();
    static mut SOCKETS: [SocketStorage<'static>; 1] = [SocketStorage::EMPTY];
    static mut MEMORY: Memory<Sizes> = Memory::new();

    let Some(board) = Peripherals::take() else {
        semihosting::exit(1)
    };
    clock::start_millis(board.SYST);
    let mut clock = Ticks::new(1000, clock::millis);
    let (mut node, mut app) = begin(MEMORY, &mut clock);

    let Ok(mac) = NIC.up() else {
        say!("no network chip");
        semihosting::exit(4)
    };
    let now = smoltcp::time::Instant::ZERO;
    let mut interface = Interface::new(Config::new(EthernetAddress(mac).into()), NIC, now);
    interface.update_ip_addrs(|own| {
        let [a, b, c, d] = setup::OWN;
        // Room for one there is.
        let _ = own.push(IpCidr::new(IpAddress::v4(a, b, c, d), 24));
    });
    let mut sockets = SocketSet::new(&mut SOCKETS[..]);
    let mut socket = BUFFERS.socket();
    // Free: it is the only one.
    let _ = socket.bind(7530);
    let driver = Driver::new(sockets.add(socket));

    say!("up");
    loop {
        let due = driver.poll(&mut node, &mut clock, &mut interface, NIC, &mut sockets);
        match app.turn(clock.now(), node.engine()) {
            Wish::Run => {}
            Wish::Reset => {
                say!("reset");
                SCB::sys_reset();
            }
            Wish::Stop => {
                let (delivered, other) = app.tally();
                say!("delivered ", delivered, ", not ", other);
                say!("stack ", stack::high_water());
                semihosting::exit(0)
            }
        }
        if due > clock.now() {
            // Until the next millisecond.
            cortex_m::asm::wfi();
        }
    }
}

/// Starts the node from its flash. A function of its own, so that what it needs is gone when the loop runs.
#[inline(never)]
fn begin(memory: &'static mut Memory<Sizes>, clock: &mut impl Clock) -> (TheNode, App) {
    let Setup { main, config, keep } = setup::read();
    let Ok(mut node) = Node::start(memory, clock.now(), config, keep, Host) else {
        say!("the node does not start");
        semihosting::exit(5)
    };
    let Some(app) = App::start(clock.now(), node.engine(), main) else {
        say!("the main estate has no port");
        semihosting::exit(2)
    };
    (node, app)
}
