//! Joins that do not just succeed: pending, rejected, refused, renewed, repeated, begun by both at once.

use std::time::Duration;

use raet_core::config::Trust;
use raet_core::event::{JoinFailure, Outcome, RemoteEvent};
use raet_core::keep::Status;
use raet_core::storage::Heap;
use raet_tests::interop::is;
use raet_tests::matrix::table::Counts;
use raet_tests::sim::name;
use serde_json::{Value, json};

use crate::lab::{Cell, Lab};
use crate::pair::Pair;
use crate::setup::{Setup, Side};

const GROUP: &str = "joins";

type Run = Box<dyn FnOnce(&Lab) -> Counts + Send>;

pub(crate) fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    let mut add = |name: String, expected: &str, run: Run| {
        cells.push(Cell::new(GROUP, name, expected, run));
    };
    for main in Side::BOTH {
        let who = main.word();
        for judge in Side::BOTH {
            let there = judge.word();
            add(
                format!("pending at {there}, accepted, then rejected, {who} main"),
                "no session before a person accepts; the next join after a rejection fails",
                Box::new(move |lab| pending(lab, main, judge)),
            );
            add(
                format!("pending at {there}, then rejected, {who} main"),
                "no session; the other side is told (0.6.8 as joiner says nothing)",
                Box::new(move |lab| pending_rejected(lab, main, judge)),
            );
        }
        add(
            format!("pending on both sides, {who} main"),
            "no session before both accept",
            Box::new(move |lab| pending_on_both(lab, main)),
        );
        for from in Side::BOTH {
            add(
                format!("joined again by {}, {who} main", from.word()),
                "both stay joined, messages go on",
                Box::new(move |lab| again(lab, main, from)),
            );
        }
    }
    for order in ["alpha", "zeta"] {
        add(
            format!("both join and allow at once as middle and {order}"),
            "one remote on each side, a session after each race",
            Box::new(move |lab| at_once(lab, order)),
        );
        add(
            format!("{order} makes a second remote of middle, whose join is not proven yet"),
            "0.6.8 rejects our answer to that; the first remote gets its session",
            Box::new(move |lab| second_remote(lab, order)),
        );
    }
    add(
        "Rust joins who is not main".to_owned(),
        "rejected",
        Box::new(rust_joins_no_main),
    );
    add(
        "Python joins who is not main".to_owned(),
        "rejected: it forgets us",
        Box::new(python_joins_no_main),
    );
    add(
        "Rust joins anew while its join is open at Python".to_owned(),
        "refused until the old join has timed out there, then in",
        Box::new(rust_is_refused),
    );
    add(
        "Python joins anew while its join is open at Rust".to_owned(),
        "not refused: the new join takes the old one's place (H14)",
        Box::new(python_is_not_refused),
    );
    for mutable in [true, false] {
        let road = if mutable { "mutable" } else { "immutable" };
        add(
            format!("Python main lost its remotes, ours is {road}"),
            if mutable {
                "renewed: a new vacuous join, a session"
            } else {
                "renewed, which ends the join and is told"
            },
            Box::new(move |lab| renewed_by_python(lab, mutable)),
        );
        add(
            format!("Rust main lost its remotes, Python is {road}"),
            "told unjoined, it joins; made anew under the id that it names (H10), no renew",
            Box::new(move |lab| rust_forgot(lab, mutable)),
        );
    }
    cells
}

/// A setup in which nobody but a person accepts, at one side.
fn never(main: Side, judge: Side) -> Setup {
    let mut setup = Setup::new(main);
    match judge {
        Side::Rust => setup.ours.trust = Trust::Never,
        Side::Python => setup = setup.peer("auto", "never"),
    }
    setup
}

/// Waits until keys are to be judged at `judge`, and both know.
fn wait_pending(pair: &mut Pair<'_, Heap>, judge: Side) {
    let here = judge == Side::Rust;
    pair.until("a pending join", |pair| {
        pair.happened(RemoteEvent::Pending { here })
    });
    if judge == Side::Python {
        let pended = |e: &Value| is("remote")(e) && e["acceptance"] == 0;
        pair.until("a pending join there", |pair| pair.peer.poll_for(pended));
    }
    nobody_is_in(pair);
}

fn nobody_is_in(pair: &mut Pair<'_, Heap>) {
    let near = pair.estate.stack.remotes().any(|r| r.joined || r.allowed);
    let far = pair.far();
    assert!(!near && far["joined"] != true && far["allowed"] != true);
}

/// A person at `judge` decides about the other side's keys.
fn decide(pair: &mut Pair<'_, Heap>, judge: Side, from: Status, to: Status) {
    match judge {
        Side::Rust => assert_eq!(pair.judge_ours(from, to), 1),
        Side::Python => {
            let word = match to {
                Status::Accepted => "accept",
                Status::Rejected => "reject",
                Status::Pending => "pend",
            };
            let uid = pair.far()["uid"].clone();
            pair.peer.command(json!({"cmd": word, "uid": uid}));
        }
    }
}

/// Waits until the join has ended for the judge's rejection, wherever that is told.
fn wait_rejected(pair: &mut Pair<'_, Heap>, judge: Side, main: Side) {
    match (judge, main) {
        // Its joinent ends a pended join with nack, and rejects the next one (road-transactions: Join).
        (Side::Python, Side::Python) => {
            pair.until("a rejection", |pair| {
                pair.join_failed(JoinFailure::Rejected)
            });
        }
        (Side::Rust, Side::Python) => {
            pair.until("a rejection here", |pair| {
                pair.join_failed(JoinFailure::RejectedHere)
            });
        }
        (_, Side::Rust) => {
            pair.until("a rejection there", |pair| {
                pair.peer.poll_for(is("remote_removed"))
            });
        }
    }
}

fn pending(lab: &Lab, main: Side, judge: Side) -> Counts {
    let mut pair = Pair::<Heap>::start(lab, never(main, judge));
    pair.accepting = false;
    pair.begin();
    wait_pending(&mut pair, judge);
    // Joins are asked for again meanwhile.
    pair.run(Duration::from_millis(300));
    nobody_is_in(&mut pair);
    decide(&mut pair, judge, Status::Pending, Status::Accepted);
    pair.up();
    pair.exchange(3000);

    decide(&mut pair, judge, Status::Accepted, Status::Rejected);
    pair.estate.events.clear();
    pair.peer.drain();
    let counts = pair.counts();
    // Only a join looks at it; that of the other side does.
    rejoin(&mut pair, main.other());
    wait_rejected(&mut pair, judge, main);

    counts
}

fn pending_rejected(lab: &Lab, main: Side, judge: Side) -> Counts {
    let mut pair = Pair::<Heap>::start(lab, never(main, judge));
    pair.accepting = false;
    pair.begin();
    wait_pending(&mut pair, judge);
    decide(&mut pair, judge, Status::Pending, Status::Rejected);
    wait_rejected(&mut pair, judge, main);

    nobody_is_in(&mut pair);
    pair.counts()
}

fn pending_on_both(lab: &Lab, main: Side) -> Counts {
    let mut setup = never(main, Side::Rust);
    setup = setup.peer("auto", "never");
    let mut pair = Pair::<Heap>::start(lab, setup);
    pair.accepting = false;
    pair.begin();
    wait_pending(&mut pair, main);
    decide(&mut pair, main, Status::Pending, Status::Accepted);
    // Only now does the response come that tells the joiner whose keys to judge.
    wait_pending_at_joiner(&mut pair, main.other());
    nobody_is_in(&mut pair);
    decide(&mut pair, main.other(), Status::Pending, Status::Accepted);
    pair.up();
    pair.exchange(3000);
    pair.settle()
}

fn wait_pending_at_joiner(pair: &mut Pair<'_, Heap>, joiner: Side) {
    match joiner {
        Side::Rust => pair.until("a role to judge", |pair| {
            let pended = |r: &raet_core::road::RoleInfo| r.status == Status::Pending;
            pair.estate.stack.roles().find(pended).map(|_| ())
        }),
        Side::Python => {
            let pended = |e: &Value| is("remote")(e) && e["acceptance"] == 0;
            pair.until("a role to judge there", |pair| {
                pair.peer.poll_for(pended).map(|_| ())
            });
        }
    }
}

/// Begins a join with a remote that is known.
fn rejoin(pair: &mut Pair<'_, Heap>, from: Side) {
    match from {
        Side::Rust => {
            let (now, id) = (pair.estate.now(), pair.id());
            pair.estate.stack.join(now, id).expect("it is there");
        }
        Side::Python => {
            let uid = pair.far()["uid"].clone();
            let join = json!({"cmd": "join", "uid": uid, "cascade": true, "timeout": 0});
            pair.peer.command(join);
        }
    }
}

fn again(lab: &Lab, main: Side, from: Side) -> Counts {
    let mut pair = Pair::<Heap>::start(lab, Setup::new(main));
    pair.begin();
    pair.up();
    pair.exchange(10);
    pair.estate.events.clear();
    let before = pair.counts();
    rejoin(&mut pair, from);
    pair.until("a second join", |pair| {
        (pair.counts().joins > before.joins).then_some(())
    });
    pair.up_again();
    pair.exchange(3000);
    assert_eq!(pair.estate.stack.remotes().count(), 1);
    pair.settle()
}

/// Both are main and begin at once; the lesser name goes on: once the peer's, once ours.
fn at_once(lab: &Lab, order: &str) -> Counts {
    let mut setup = Setup::new(Side::Rust)
        .peer("name", order)
        .peer("main", true);
    setup.ours.name = name("middle");
    setup.ours.role = setup.ours.name.clone();
    let mut pair = Pair::<Heap>::start(lab, setup);
    let address = pair.road.address;
    // Both have begun before either hears of it: ours sends nothing before it is stepped.
    pair.estate.connect(address);
    pair.begin();
    pair.up();
    assert_eq!(
        pair.estate.stack.remotes().count(),
        1,
        "one remote, not two"
    );
    for _ in 0..3 {
        pair.peer.drain();
        let before = pair.counts();
        // By its uid: 0.6.8 loses the name of a remote whose join it gave up in a race.
        let uid = pair.far()["uid"].clone();
        let (now, id) = (pair.estate.now(), pair.id());
        pair.estate.stack.allow(now, id).expect("it is there");
        let allow = json!({"cmd": "allow", "uid": uid, "cascade": true});
        pair.peer.command(allow);
        pair.until("the race's end", |pair| {
            (pair.counts().allows > before.allows).then_some(())
        });
        pair.up_again();
        let message = pair.mapping(3000);
        let value = pair.value(3000);
        let outcomes = pair.exchange_all(&[message], &[value]);
        assert_eq!(outcomes, [Outcome::Delivered]);
    }
    assert_eq!(
        pair.estate.stack.remotes().count(),
        1,
        "one remote, not two"
    );
    pair.settle()
}

/// A 0.6.8 host that adds an estate by its address, and knows it already by name.
fn second_remote(lab: &Lab, order: &str) -> Counts {
    let mut setup = Setup::new(Side::Rust)
        .peer("name", order)
        .peer("main", true);
    setup.ours.name = name("middle");
    setup.ours.role = setup.ours.name.clone();
    let mut pair = Pair::<Heap>::start(lab, setup);
    let address = pair.road.address;
    pair.estate.connect(address);
    pair.until("a join", |pair| pair.happened(RemoteEvent::Joined));
    pair.begin();
    pair.until("a session with the first", |pair| {
        let near = pair.remote().is_some_and(|r| r.allowed);
        (near && pair.far()["allowed"] == true).then_some(())
    });
    pair.exchange(3000);
    pair.settle()
}

fn rust_joins_no_main(lab: &Lab) -> Counts {
    let setup = Setup::new(Side::Python).peer("main", false);
    let mut pair = Pair::<Heap>::start(lab, setup);
    pair.begin();
    pair.until("a rejection", |pair| {
        pair.join_failed(JoinFailure::Rejected)
    });
    nobody_is_in(&mut pair);
    pair.counts()
}

fn python_joins_no_main(lab: &Lab) -> Counts {
    let mut setup = Setup::new(Side::Rust);
    setup.ours.main = false;
    let mut pair = Pair::<Heap>::start(lab, setup);
    pair.begin();
    pair.until("a rejection there", |pair| {
        pair.peer.poll_for(is("remote_removed"))
    });
    nobody_is_in(&mut pair);
    assert_eq!(pair.estate.stack.remotes().count(), 0);
    pair.counts()
}

fn rust_is_refused(lab: &Lab) -> Counts {
    // Long enough that a busy machine joins anew while it lasts.
    let setup = never(Side::Python, Side::Python).peer("joinent_timeout", 4.0);
    let own = || Setup::new(Side::Python).ours;
    let mut pair = Pair::<Heap>::start(lab, setup);
    pair.accepting = false;
    pair.begin();
    wait_pending(&mut pair, Side::Python);
    pair.estate = pair.estate.lose_keep(own(), [2; 32]);
    let address = pair.road.address;
    pair.estate.connect(address);
    pair.until("a refusal", |pair| pair.join_failed(JoinFailure::Refused));
    pair.accepting = true;
    pair.up();
    pair.exchange(10);
    pair.settle()
}

fn python_is_not_refused(lab: &Lab) -> Counts {
    let theirs = || {
        let keys = [("sigkey", "61".repeat(32)), ("prikey", "62".repeat(32))];
        keys.into_iter()
            .fold(Setup::new(Side::Rust), |setup, (field, key)| {
                setup.peer(field, key)
            })
    };
    let mut setup = theirs();
    setup.ours.trust = Trust::Never;
    let mut pair = Pair::<Heap>::start(lab, setup);
    pair.accepting = false;
    pair.begin();
    wait_pending(&mut pair, Side::Rust);
    pair.restart_peer(theirs().theirs);
    pair.begin();
    pair.until("an answer", |pair| {
        (pair.stat("joiner_rx_pend") > 0).then_some(())
    });
    pair.accepting = true;
    pair.up();
    pair.exchange(10);
    assert_eq!(pair.stat("joiner_transaction_failure"), 0, "never refused");
    assert_eq!(pair.estate.stack.remotes().count(), 1);
    pair.settle()
}

fn renewed_by_python(lab: &Lab, mutable: bool) -> Counts {
    let setup = || {
        let mut setup = Setup::new(Side::Python)
            .peer("sigkey", "61".repeat(32))
            .peer("prikey", "62".repeat(32));
        setup.ours.mutable = mutable;
        setup
    };
    let mut pair = Pair::<Heap>::start(lab, setup());
    pair.begin();
    pair.up();
    pair.exchange(10);
    pair.estate.events.clear();
    // The same estate at the same port, without any memory of others.
    pair.restart_peer(setup().theirs);
    rejoin(&mut pair, Side::Rust);
    if mutable {
        pair.until("a new join", |pair| pair.happened(RemoteEvent::Joined));
        pair.up_again();
        pair.exchange(3000);
        pair.settle()
    } else {
        pair.until("renewed", |pair| pair.join_failed(JoinFailure::Renewed));
        pair.counts()
    }
}

fn rust_forgot(lab: &Lab, mutable: bool) -> Counts {
    let setup = Setup::new(Side::Rust).peer("mutable", mutable);
    let mut pair = Pair::<Heap>::start(lab, setup);
    pair.begin();
    pair.up();
    pair.exchange(10);
    let mut own = Setup::new(Side::Rust).ours;
    // Without memory the clock keeps sessions above what the peer remembers.
    own.first_session = 1_000_000;
    pair.estate = pair.estate.lose_keep(own, [2; 32]);
    pair.peer.drain();
    let uid = pair.far()["uid"].clone();
    pair.peer
        .command(json!({"cmd": "alive", "uid": uid, "cascade": true}));
    pair.until("a new join", |pair| pair.happened(RemoteEvent::Joined));
    pair.up_again();
    pair.exchange(3000);
    let near = pair.remote().expect("joined").near;
    assert_eq!(
        pair.far()["fuid"],
        near,
        "the id that the peer had for itself"
    );
    pair.settle()
}
