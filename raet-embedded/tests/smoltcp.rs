//! Two estates, each over a network stack of its own: smoltcp with Ethernet, ARP and UDP, on a wire
//! that loses frames. Time is simulated.

#![cfg(feature = "smoltcp")]

mod board;

use std::net::SocketAddr;

use board::{Board, Wire, run, until};
use raet_core::event::{Outcome, RemoteEvent};
use raet_core::time::Duration;
use raet_embedded::keep::Nothing;

const V4: [&str; 2] = ["10.0.0.1:7530", "10.0.0.2:7530"];
#[cfg(feature = "ipv6")]
const V6: [&str; 2] = ["[fd00::1]:7530", "[fd00::2]:7531"];

fn addresses(text: [&str; 2]) -> [SocketAddr; 2] {
    text.map(|text| text.parse().unwrap())
}

/// They join, prove their keys and send each other messages, one of them in segments.
fn exchange(seed: u64, lost: u64, text: [&str; 2]) {
    let wire = Wire::new(seed, lost);
    let addresses = addresses(text);
    let mut boards = [0, 1].map(|end| Board::start(&wire, end, addresses, Nothing));
    let main = boards[1].connect(addresses[0]);
    until(&wire, &mut boards, |boards| {
        boards.iter().all(|b| b.happened(RemoteEvent::Allowed))
    });
    let node = boards[0].engine().find("node").unwrap();
    let long: Vec<u8> = (0..4096_u32).map(|n| (n * 7 % 251) as u8).collect();
    boards[0].send(node, b"command");
    boards[0].send(node, &long);
    boards[1].send(main, &long);
    let done = [Outcome::Delivered, Outcome::Delivered];
    until(&wire, &mut boards, |boards| {
        boards[0].outcomes() == done && boards[1].outcomes() == done[..1]
    });
    boards[1].messages.sort();
    assert_eq!(boards[1].messages, [long.clone(), b"command".to_vec()]);
    assert_eq!(boards[0].messages, [long]);
}

#[test]
fn a_node_joins_and_both_send() {
    exchange(1, 0, V4);
}

#[test]
#[cfg(feature = "ipv6")]
fn over_ipv6_too() {
    exchange(2, 0, V6);
}

#[test]
fn a_wire_that_loses_much_only_slows_them() {
    for seed in 0..10 {
        exchange(seed, 250, V4);
    }
}

/// smoltcp keeps a datagram whose neighbour does not answer, and all behind it.
#[test]
fn a_dead_neighbour_holds_up_nobody_for_long() {
    let wire = Wire::new(3, 0);
    let addresses = addresses(V4);
    let mut boards = [0, 1].map(|end| Board::start(&wire, end, addresses, Nothing));
    boards[1].connect("10.0.0.9:7530".parse().unwrap());
    run(&wire, &mut boards[..], Duration::from_millis(10));
    let began = wire.now();
    let main = boards[1].connect(addresses[0]);
    boards[1].send(main, b"reading");
    until(&wire, &mut boards, |boards| {
        !boards[1].outcomes().is_empty()
    });
    assert_eq!(boards[0].messages, [b"reading".to_vec()]);
    assert!(wire.now().since(began) < Duration::from_secs(20));
}

#[test]
fn an_idle_board_sleeps() {
    let wire = Wire::new(4, 0);
    let addresses = addresses(V4);
    let mut boards = [0, 1].map(|end| Board::start(&wire, end, addresses, Nothing));
    boards[1].connect(addresses[0]);
    until(&wire, &mut boards, |boards| {
        boards.iter().all(|b| b.happened(RemoteEvent::Allowed))
    });
    let before = boards[1].polls;
    run(&wire, &mut boards, Duration::from_mins(1));
    // A wake-up takes two polls, see `Board::poll`; a few frames come in answer to each.
    let polls = boards[1].polls - before;
    assert!(polls < 60, "{polls} polls in an idle minute");
}
