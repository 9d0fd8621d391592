//! The asynchronous driver over real sockets of this machine.
#![cfg(feature = "tokio")]

use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use raet_std::core::config::Trust;
use raet_std::core::event::{Failure, Outcome};
use raet_std::tokio::Road;
use raet_std::{Body, Closed, RoadBuilder, SendError, SendOptions, Shutdown};
use tokio::time::timeout;

/// Against hanging only: nothing here takes that long.
const PATIENCE: Duration = Duration::from_secs(20);

fn estate(name: &str) -> RoadBuilder {
    raet_std::Road::builder(name)
        .bind((Ipv4Addr::LOCALHOST, 0))
        .trust(Trust::Once)
}

fn open(builder: RoadBuilder) -> Road {
    builder.open_tokio().expect("a free port of this machine")
}

async fn in_time<F: Future>(future: F) -> F::Output {
    timeout(PATIENCE, future).await.expect("it ends in time")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_go_both_ways() {
    let (main, other) = (open(estate("main").main(true)), open(estate("other")));
    let remote = other.connect(main.local_addr()).expect("room for one");
    let bodies = [Body::raw(*b"short"), Body::raw(vec![3; 200_000])];
    for body in &bodies {
        let delivery = other.send(remote, body).await.expect("taken");
        let message = in_time(main.receive()).await.expect("open");
        assert_eq!(message.bytes, body.bytes());
        assert_eq!(in_time(delivery).await, Outcome::Delivered);
        let back = main.send(message.from, body).await.expect("taken");
        assert_eq!(
            in_time(other.receive()).await.expect("open").bytes,
            body.bytes()
        );
        assert_eq!(in_time(back).await, Outcome::Delivered);
    }
    assert!(
        in_time(other.shutdown(&Shutdown::default()))
            .await
            .is_complete()
    );
    assert!(
        in_time(main.shutdown(&Shutdown::default()))
            .await
            .is_complete()
    );
}

#[tokio::test]
async fn one_thread_is_enough_and_dropped_futures_lose_nothing() {
    let (main, other) = (open(estate("main").main(true)), open(estate("other")));
    let remote = other.connect(main.local_addr()).expect("room for one");
    for n in 0..20_u8 {
        let delivery = other
            .send(remote, &Body::raw(vec![n]))
            .await
            .expect("taken");
        // The first tries may be cut off before it came.
        let message = in_time(async {
            loop {
                if let Ok(message) = timeout(Duration::from_micros(50), main.receive()).await {
                    break message.expect("open");
                }
            }
        });
        assert_eq!(message.await.bytes, [n]);
        assert_eq!(in_time(delivery).await, Outcome::Delivered);
    }
}

#[tokio::test]
async fn a_blocking_road_and_this_one_talk() {
    let main = estate("main").main(true).open().expect("a free port");
    let other = open(estate("other"));
    let remote = other.connect(main.local_addr()).expect("room for one");
    let delivery = other.send(remote, &Body::raw(*b"x")).await.expect("taken");
    let taker = std::thread::spawn(move || main.receive_for(PATIENCE));
    assert_eq!(in_time(delivery).await, Outcome::Delivered);
    let message = taker
        .join()
        .expect("no panic")
        .expect("open")
        .expect("it came");
    assert_eq!(message.bytes, b"x");
}

#[tokio::test]
async fn a_shutdown_reports_and_closes() {
    let silent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let other = open(estate("other"));
    let remote = other
        .connect(silent.local_addr().expect("bound"))
        .expect("room for one");
    let delivery = other.send(remote, &Body::raw(*b"x")).await.expect("taken");
    let waiting = tokio::spawn({
        let other = other.clone();
        async move { other.receive().await }
    });
    let how = Shutdown {
        deliver: Duration::from_millis(50),
        ..Shutdown::default()
    };
    let report = in_time(other.shutdown(&how)).await;
    assert_eq!(report.undelivered.len(), 1);
    assert_eq!(in_time(delivery).await, Outcome::Failed(Failure::Cancelled));
    assert_eq!(in_time(waiting).await.expect("no panic"), Err(Closed));
    let sent = other
        .send_with(remote, &Body::raw(*b"y"), &SendOptions::default())
        .await;
    assert_eq!(sent.map(|_| ()), Err(SendError::Closed));
}

/// The end of the runtime ends the road, and whoever waits on another thread is told.
#[test]
fn a_runtime_that_ends_leaves_nobody_waiting() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("the system has threads");
    let silent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let (road, delivery) = runtime.block_on(async {
        let road = open(estate("other"));
        let remote = road
            .connect(silent.local_addr().expect("bound"))
            .expect("room for one");
        let delivery = road.send(remote, &Body::raw(*b"x")).await.expect("taken");
        (road, delivery)
    });
    drop(runtime);
    assert_eq!(
        delivery.wait_for(PATIENCE),
        Some(Outcome::Failed(Failure::Cancelled))
    );
    drop(road);
}
