//! Every recorded scenario, with our engine in the place of each of its estates in turn: it is fed
//! the datagrams that the others sent to that estate, at their times, and must send packets of the
//! same kinds and end in the same state.
//!
//! Where ours differs on purpose, [`INTENDED`] names the difference and its reason; any other
//! difference fails, and so does a reason that nothing needs.

use std::collections::BTreeSet;

use raet_core::limits::Limits;
use raet_core::storage::{Fixed, Heap, Storage};
use raet_tests::replay::{Cast, Host, differences, play};
use raet_tests::vectors;

/// A difference that is meant to be.
struct Intended {
    /// Name of the scenario; a prefix if it ends with `*`.
    scenario: &'static str,
    /// The estate that ours takes the place of; empty for any.
    estate: &'static str,
    /// The difference, as `differences` tells it.
    what: &'static str,
    /// The rule of ours behind it.
    why: &'static str,
}

const fn row(
    scenario: &'static str,
    estate: &'static str,
    what: &'static str,
    why: &'static str,
) -> Intended {
    Intended { scenario, estate, what, why }
}

const INTENDED: &[Intended] = &[];

/// Places that ours cannot take, since the recorded host reached into its stack.
const NOT_PLAYED: &[(&str, &str, &str)] = &[
    ("allow-unjoined", "main", "its host unset joined"),
    ("alive-unjoined", "main", "its host unset joined"),
    ("alive-unallowed", "main", "its host unset allowed"),
    ("message-unallowed", "main", "its host unset allowed"),
    ("message-stale-sid", "other", "its host counted its session id down"),
    ("join-immutable", "other", "its host changed its application kind while it ran"),
];

/// What the recorded hosts did that their recordings do not show.
fn host(scenario: &str, estate: &str) -> Host {
    let mut host = Host::default();
    match (scenario, estate) {
        ("manage-cascade", _) => host.presence = Some(0.0),
        ("join-renew-cascade", "other") => host.presence = Some(1.0),
        ("join-renew-immutable", "main") => host.forgets = Some(0.5),
        ("join-rejected", "main") => host.rejects = Some("other"),
        ("join-rejected-by-joiner", "other") => host.rejects = Some("main"),
        _ => {}
    }
    host
}

const MESSAGE: usize = 70_000;
type Small = Fixed<4, 16, { 4 * Limits::budget(MESSAGE) }>;

fn limits() -> Limits {
    let bytes = 2 * Limits::budget(MESSAGE);
    Limits {
        remotes: 4,
        roles: 4,
        handshakes: 2,
        outbox: 16,
        inbox: 16,
        remote_inbox: 16,
        message: MESSAGE,
        outbox_bytes: bytes,
        inbox_bytes: bytes,
        remote_inbox_bytes: bytes,
        replies: 8,
    }
}

#[test]
fn on_the_heap() {
    play_all::<Heap>();
}

#[test]
fn in_fixed_storage() {
    // The engine holds all its buffers inside itself.
    let thread = std::thread::Builder::new().stack_size(64 << 20).spawn(play_all::<Small>);
    thread.expect("a thread").join().expect("no failure");
}

fn play_all<S: Storage>() {
    let (mut plays, mut packets, mut fed, mut readdressed) = (0, 0, 0, 0);
    let mut unlisted = Vec::new();
    let mut needed = BTreeSet::new();
    let recordings = vectors::road();
    for recording in recordings.iter().filter(|recording| !recording.is_hostile()) {
        let cast = Cast::new(recording);
        let scenario = recording.scenario["scenario"].as_str().expect("a name");
        for estate in cast.estates.clone() {
            let name = cast.name(estate);
            if NOT_PLAYED.iter().any(|(s, e, _)| (*s, *e) == (scenario, name)) {
                continue;
            }
            let played = play::<S>(&cast, estate, limits(), &host(scenario, name));
            plays += 1;
            packets += played.sent.len();
            fed += played.verdicts.len();
            readdressed += played.readdressed;
            let differences = differences(&cast, estate, &played);
            let unexplained: Vec<_> = differences
                .iter()
                .filter(|what| match listed(scenario, name, what) {
                    Some(index) => {
                        needed.insert(index);
                        false
                    }
                    None => true,
                })
                .collect();
            if !unexplained.is_empty() {
                let verdicts = &played.verdicts;
                unlisted.push(format!("{scenario}, {name}:\n  {unexplained:#?}\n  {verdicts:?}"));
            }
        }
    }
    println!("{plays} plays: {packets} packets sent, {fed} fed, {readdressed} of them with our ids");
    assert!(unlisted.is_empty(), "{} plays differ:\n{}", unlisted.len(), unlisted.join("\n"));
    for (index, row) in INTENDED.iter().enumerate() {
        assert!(needed.contains(&index), "nothing differs by {}: {}", row.scenario, row.what);
    }
}

/// Which row of the table a difference is meant by.
fn listed(scenario: &str, estate: &str, what: &str) -> Option<usize> {
    INTENDED.iter().position(|row| {
        let scenario_fits = match row.scenario.strip_suffix('*') {
            Some(prefix) => scenario.starts_with(prefix),
            None => row.scenario == scenario,
        };
        scenario_fits && (row.estate.is_empty() || row.estate == estate) && row.what == what
    })
}
