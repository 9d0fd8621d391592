//! A node on smoltcp, polled.
#![no_std]
#![no_main]

use core::mem::MaybeUninit;

use cortex_m::Peripherals;
use firmware::app::Sizes;
use firmware::nic::Nic;
use firmware::{clock, say, semihosting, setup};
use raet_embedded::clock::{Clock, Ticks};
use raet_embedded::node::Memory;
use raet_embedded::smoltcp::{Buffers, Driver};
use smoltcp::iface::{Config, Interface, SocketSet, SocketStorage};
use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr};

#[cortex_m_rt::entry]
fn main() -> ! {
    // `entry` makes of these what a function may have once: safe references for ever.
    static mut NIC: Nic = Nic::DOWN;
    // Not all zero when empty, so they would lie in flash too.
    static mut BUFFERS: MaybeUninit<Buffers<1>> = MaybeUninit::uninit();
    static mut SOCKETS: MaybeUninit<[SocketStorage<'static>; 1]> = MaybeUninit::uninit();
    static mut MEMORY: Memory<Sizes> = Memory::new();

    let Some(board) = Peripherals::take() else {
        semihosting::exit(1)
    };
    clock::start_millis(board.SYST);
    let mut clock = Ticks::new(1000, clock::millis);
    let (mut node, mut app) = setup::begin(MEMORY, &mut clock);

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
    let mut sockets = SocketSet::new(&mut SOCKETS.write([SocketStorage::EMPTY])[..]);
    let mut socket = empty(BUFFERS).socket();
    // Free: it is the only one.
    let _ = socket.bind(7530);
    let driver = Driver::new(sockets.add(socket));

    say!("up");
    loop {
        let due = driver.poll(&mut node, &mut clock, &mut interface, NIC, &mut sockets);
        let wish = app.turn(clock.now(), node.engine());
        app.fulfil(wish);
        if due > clock.now() {
            // Until the next millisecond.
            cortex_m::asm::wfi();
        }
    }
}

/// Empty buffers. A function of its own, so that what it needs is gone when the loop runs.
#[inline(never)]
fn empty(place: &'static mut MaybeUninit<Buffers<1>>) -> &'static mut Buffers<1> {
    place.write(Buffers::new())
}
