//! Every recorded scenario, with our engine in the place of each of its estates in turn: it is fed
//! the datagrams that the others sent to that estate, at their times, and must send packets of the
//! same kinds and end in the same state.
//!
//! Where ours differs on purpose, [`INTENDED`] names the difference and its reason; any other
//! difference fails, and so does a reason that nothing needs.

use std::collections::BTreeSet;
use std::path::Path;

use raet_core::limits::Limits;
use raet_core::storage::{Fixed, Heap, Storage};
use raet_tests::replay::{Cast, Host, Played, differences, play};
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

macro_rules! intended {
    ($($scenario:literal $estate:literal: $($what:literal),+ => $why:ident;)*) => {
        const INTENDED: &[Intended] = &[$($(Intended {
            scenario: $scenario,
            estate: $estate,
            what: $what,
            why: $why,
        },)+)*];
    };
}

intended! {
    // ---- join
    "*" "": "-join/response' again" => H9_JOINENT;
    "join-immutable" "main": "-join/reject'", "+join/response'" => H4_UNPROVEN;
    "join-lost-ack" "other": "-join/nack", "+join/ack again" => H7;
    "join-pending-both" "other": "+join/ack again" => H7;
    "join-pending*" "other": "-join/request again" => PATIENCE;
    "join-pending*" "main": "+join/pend' again" => H7;
    "join-pending*" "main": "+join/response' again" => ACCEPTED;
    "join-pending-timeout" "main": "-join/nack'" => UNDECIDED;
    "join-rejected-after-pending" "other": "-join/request again" => PATIENCE;
    "join-rejected-after-pending" "main": "-join/nack'", "+join/reject'",
        "+join/reject' again" => H14_TOLD;
    "join-rejected-by-joiner" "other": "+join/reject" => H14_TOLD;
    "join-rejected*" "other": "state with nobody" => H3;
    "join-not-main" "other": "state with nobody" => H3;
    "join-refused-second" "main": "-join/refuse'" => H14_RACE;
    "join-refused-second" "main": "+join/pend'" => H14_NEWER;
    "join-renew*" "main": "-join/renew'", "+join/response'", "state with other" => H10_REMADE;
    "join-renew" "main": "state without other", "body join/response'" => H10_REMADE;
    "join-renew-immutable" "other": "state main.joined true not false" => H3;
    "join-renew-cascade" "main": "+alive/unjoined'", "+alive/unjoined' again" => H10_UNJOINED;
    "join-renew-cascade" "other": "-alive/request", "-alive/request again", "+allow/hello",
        "+allow/hello again" => H10_RECOVERY;
    // ---- allow
    "allow-during-join" "main": "-allow/refuse'" => H14_RACE;
    "allow-during-join" "main": "-allow/unjoined'", "+allow/cookie'" => H4;
    "allow-lost-each" "main": "-allow/cookie' again" => H9_COOKIE;
    "allow-lost-each" "main": "+allow/ack' again" => MINIMUM;
    "allow-lost-each" "other": "+allow/initiate again" => MINIMUM;
    "allow-lost-final" "other": "-allow/nack", "+allow/ack again" => H7;
    "allow-timeouts" "main": "-allow/refuse'" => H14_RACE;
    // ---- alive
    "manage-cascade" "": "+alive/request" => SPREAD;
    // ---- message
    "message-lost-done" "main": "-message/nack'", "+message/done' again" => H5_DONE;
    "message-burst-lost" "main": "-message/nack'", "-message/nack' again",
        "+message/done' again" => H5_DONE;
    "message-resend-split" "main": "-message/nack'", "-message/nack' again",
        "+message/done' again" => H5_DONE;
    "message-stale-ack" "main": "-message/nack'", "+message/done' again" => H5_DONE;
    "message-lost-done" "other": "+alive/request", "+alive/request again" => H5_NACK;
    "message-unallowed" "other": "+alive/request", "+alive/request again" => H5_NACK;
    "message-lost-done" "other": "-message/message again", "+message/message again" => FURTHEST;
    "message-burst-lost" "other": "-message/message again" => WINDOW;
    "message-burst-lost" "other": "+message/message again" => FURTHEST;
    "message-burst-lost" "main": "-message/ack'" => UNASKED;
    "message-resend-split" "main": "-message/resend' again" => H9_RESEND;
    "message-lost-first-and-resend" "main": "-message/resend' again" => COPY;
    "message-max-one-packet" "other": "+message/message", "body message/message" => NAMED;
    "message-saved-over-allow" "other": "-message/nack" => NEWER_SESSION;
    "message-stale-ack" "other": "-message/nack" => DONE_ENDS;
    "message-stale-sid" "main": "-message/nack'" => H2_STALE;
    "message-unsigned-veritive" "main": "-allow/cookie'", "-allow/ack'",
        "state other.allowed false not true",
        "state other.alive None not Some(true)" => H2_UNSIGNED;
    "message-unsigned-veritive" "other": "+allow/hello again", "-allow/initiate", "-allow/ack",
        "-message/message", "-message/message again", "state main.allowed false not true",
        "state main.alive None not Some(true)" => H2_UNSIGNED;
}

const H2_UNSIGNED: &str = "H2: an unsigned allow proves nothing";
const H2_STALE: &str = "H2: a packet of an older session is a late copy or a replay, for its sender \
    has replaced what it began then";
const H3: &str = "H3: a reject or renew is reported and erases nothing; the host decides";
const H4: &str = "H4: what is held stays until an allow proves otherwise; a join that is open unjoins \
    nobody, and the recorded peer, refused, does not go on";
const H4_UNPROVEN: &str = "H4: who never proved itself binds nobody, not even where names and roles are \
    fixed: anyone could lock its owner out";
const H5_DONE: &str = "H5: a repeat of a finished message is answered with done";
const H5_NACK: &str = "H5: what a nack of 0.6.8 meant shows in whether the peer still has the \
    session, so it is asked for a sign of life, which its recording does not hold";
const H7: &str = "H7: a repeat draws its answer again";
const H9_JOINENT: &str = "H9: a joinent repeats its response only on a repeated request";
const H9_COOKIE: &str = "H9: who has proven nothing hears a cookie once for each hello";
const H9_RESEND: &str = "H9: one datagram draws one resend packet at most";
const H10_RECOVERY: &str = "H10: what does not answer is allowed, then joined again, with backoff";
const H10_REMADE: &str =
    "H10: a remote that was lost is made anew under the uid that its peer names";
const H10_UNJOINED: &str = "H10: who signs to a uid that nobody has is told unjoined";
const H14_NEWER: &str = "H14: the newer request takes the place of the one whose sender restarted";
const H14_RACE: &str = "H14: refuse settles races and nothing else";
const H14_TOLD: &str = "H14: what is rejected is told so";
const DONE_ENDS: &str = "whoever sent done waits for nothing, so a stale one needs no answer";
const FURTHEST: &str =
    "the furthest packet is repeated, not the last one, so that a lost tail shows";
const MINIMUM: &str =
    "the redo of each packet begins at the minimum, not at where the last one's was";
const NAMED: &str = "a message's head names it by an order index, so that it is delivered once over \
    all sessions; these bytes are missing in the packet";
const NEWER_SESSION: &str =
    "the new session ends what is open of the older one at the peer, unasked";
const UNDECIDED: &str = "a join waits as long as a person may take, if its peer asks again";
const ACCEPTED: &str = "an acceptance is told at once, and until it is heard";
const PATIENCE: &str = "a pend puts the redo off at once; the reference's running one ends first";
const SPREAD: &str =
    "presence asks up to an eighth of a period early, so that many do not ask at once";
const COPY: &str = "a copy of a segment without af draws no answer of its own; our clock sends one";
const UNASKED: &str = "an unasked ack waits for its doubled interval; the repeat came before";
const WINDOW: &str =
    "an ack of what was sent twice moves the window, and nothing is sent twice for it";

/// Places that ours cannot take, since the recorded host reached into its stack.
const NOT_PLAYED: &[(&str, &str, &str)] = &[
    ("allow-unjoined", "main", "its host unset joined"),
    ("alive-unjoined", "main", "its host unset joined"),
    ("alive-unallowed", "main", "its host unset allowed"),
    ("message-unallowed", "main", "its host unset allowed"),
    (
        "message-stale-sid",
        "other",
        "its host counted its session id down",
    ),
    (
        "join-immutable",
        "other",
        "its host changed its application kind while it ran",
    ),
];

/// What the recorded hosts did that their recordings do not show.
fn host(scenario: &str, estate: &str) -> Host {
    let mut host = Host::default();
    match (scenario, estate) {
        ("manage-cascade", "main") => host.presence = Some(0.0),
        ("manage-cascade", _) => (host.presence, host.joins) = (Some(0.0), Some(1.5)),
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
    in_a_thread(play_all::<Small>);
}

#[test]
fn both_storages_send_the_same_bytes() {
    in_a_thread(|| {
        for recording in vectors::road().iter().filter(|r| !r.is_hostile()) {
            let cast = Cast::new(recording);
            for estate in cast.estates.clone() {
                let host = Host::default();
                let heap = play::<Heap>(&cast, estate, limits(), &host);
                let fixed = play::<Small>(&cast, estate, limits(), &host);
                let sent = |played: Played| -> Vec<_> {
                    let sent = played.sent.into_iter();
                    sent.map(|sent| (sent.at, sent.to, sent.raw)).collect()
                };
                let place = format!("{}, {}", recording.name, cast.name(estate));
                assert_eq!(heap.verdicts, fixed.verdicts, "{place}");
                assert!(sent(heap) == sent(fixed), "{place}");
            }
        }
    });
}

/// In a thread with room for an engine that holds all its buffers inside itself.
fn in_a_thread(test: fn()) {
    let thread = std::thread::Builder::new().stack_size(64 << 20).spawn(test);
    thread.expect("a thread").join().expect("no failure");
}

fn play_all<S: Storage>() {
    let (mut plays, mut packets, mut fed, mut readdressed) = (0, 0, 0, 0);
    let mut unlisted = Vec::new();
    let mut needed = BTreeSet::new();
    let recordings = vectors::road();
    let own_directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors");
    for recording in recordings
        .iter()
        .filter(|recording| !recording.is_hostile())
    {
        let cast = Cast::new(recording);
        let own = own_directory
            .join(format!("{}.jsonl", recording.name))
            .exists();
        let scenario = recording.scenario["scenario"].as_str().expect("a name");
        for estate in cast.estates.clone() {
            let name = cast.name(estate);
            if NOT_PLAYED
                .iter()
                .any(|(s, e, _)| (*s, *e) == (scenario, name))
            {
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
                .filter(|what| match listed(own, scenario, name, what) {
                    Some(index) => {
                        needed.insert(index);
                        false
                    }
                    None => true,
                })
                .collect();
            if !unexplained.is_empty() {
                let trace = played.trace();
                unlisted.push(format!("{scenario}, {name}: {unexplained:#?}\n{trace}"));
            }
        }
    }
    println!(
        "{plays} plays: {packets} packets sent, {fed} fed, {readdressed} of them with our ids"
    );
    assert!(
        unlisted.is_empty(),
        "{} plays differ:\n{}",
        unlisted.len(),
        unlisted.join("\n")
    );
    for (index, row) in INTENDED.iter().enumerate() {
        let Intended {
            scenario,
            estate,
            what,
            why,
        } = row;
        assert!(
            needed.contains(&index),
            "nothing differs: {scenario} {estate} {what} ({why})"
        );
    }
}

/// Which row of the table a difference is meant by. In a scenario that the repository has not, one that
/// is meant elsewhere is meant as well.
fn listed(own: bool, scenario: &str, estate: &str, what: &str) -> Option<usize> {
    INTENDED.iter().position(|row| {
        if !own {
            return row.what == what;
        }
        let scenario_fits = match row.scenario.strip_suffix('*') {
            Some(prefix) => scenario.starts_with(prefix),
            None => row.scenario == scenario,
        };
        scenario_fits && (row.estate.is_empty() || row.estate == estate) && row.what == what
    })
}
