//! The network between a node and its main estate.

use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use raet_tests::sim::Rng;

/// Passes datagrams between a node and its main estate, and loses some. Returns the port for the node.
pub(crate) fn between(main: SocketAddr, loss: u64) -> u16 {
    let near = UdpSocket::bind("127.0.0.1:0").expect("loopback has a free port");
    let far = UdpSocket::bind("127.0.0.1:0").expect("loopback has a free port");
    let port = near
        .local_addr()
        .expect("a bound socket has an address")
        .port();
    // A node that was reset comes from another port of QEMU's.
    let node = Arc::new(Mutex::new(None));
    let pass = |from: &UdpSocket, to: &UdpSocket| {
        let clone = |socket: &UdpSocket| socket.try_clone().expect("a second handle");
        (clone(from), clone(to), Arc::clone(&node))
    };
    let out = pass(&near, &far);
    thread::spawn(move || {
        let (near, far, node) = out;
        let mut rng = Rng::new(5);
        let mut datagram = [0; 2048];
        while let Ok((len, from)) = near.recv_from(&mut datagram) {
            *node.lock().unwrap_or_else(PoisonError::into_inner) = Some(from);
            let datagram = datagram.get(..len).unwrap_or_default();
            if !rng.percent(loss) {
                // A main estate that is down is no more than a lost datagram.
                let _ = far.send_to(datagram, main);
            }
        }
    });
    let back = pass(&far, &near);
    thread::spawn(move || {
        let (far, near, node) = back;
        let mut rng = Rng::new(6);
        let mut datagram = [0; 2048];
        loop {
            // An error is the word that the main estate is down.
            let Ok((len, _)) = far.recv_from(&mut datagram) else {
                continue;
            };
            let datagram = datagram.get(..len).unwrap_or_default();
            let to = *node.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(to) = to.filter(|_| !rng.percent(loss)) {
                // As above.
                let _ = near.send_to(datagram, to);
            }
        }
    });
    port
}
