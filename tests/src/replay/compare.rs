//! The differences between what a recorded estate did and what our engine did in its place, as
//! strings that a table of intended differences can name.
//!
//! | string | meaning |
//! |---|---|
//! | `-join/response'` | the recorded estate sent it, ours did not; `'` marks the correspondent's packets |
//! | `+join/response' again` | ours sent it, repeating an earlier one of the same transaction |
//! | `body join/request` | the same packet says something else |
//! | `state other.far 13 not 11` | what ours held in the end of that remote, and the recorded one |
//! | `state with other` | ours held a remote of that name under a near uid that was not recorded |
//! | `state without nobody` | ours lacked a remote that no join had named |
//! | `delivered 1 not 2` | messages that came to the application |
//! | `confirmed 1 not 0` | messages that ours knows to be delivered |

use std::collections::BTreeMap;
use std::net::SocketAddr;

use raet_core::event::Outcome;
use raet_core::wire::{BodyKind, Flags, Frame, JoinBody, PacketKind, TransactionKind};
use serde_json::Value;

use super::cast::{Cast, number};
use super::play::Played;

/// Says in what the play of the estate at `me` differs from its recording, sorted.
pub fn differences(cast: &Cast<'_>, me: SocketAddr, played: &Played) -> Vec<String> {
    let mut found = Vec::new();
    packets(cast, me, played, &mut found);
    state(cast, me, played, &mut found);
    messages(cast, me, played, &mut found);
    found.extend(
        played
            .lost_calls
            .iter()
            .map(|call| format!("call {call} without its remote")),
    );
    found.sort();
    found
}

/// A packet as far as it is compared: where in its transaction it stands.
struct Line<'a> {
    to: SocketAddr,
    /// The life of the sender, and of the receiver.
    lives: (usize, usize),
    raw: &'a [u8],
    frame: &'a Frame,
}

/// A transaction, told apart from the others of its estate.
#[derive(PartialEq, Eq, PartialOrd, Ord, Clone, Copy)]
enum Thread {
    /// The estate began it: with whom, its kind, and the how many-th of that kind.
    Own(SocketAddr, u8, usize),
    /// A peer began it: who, in which life, its kind and its ids.
    Peer(SocketAddr, usize, u8, u32, u32),
}

/// What tells apart the transactions that an estate began: its life, session and transaction id.
type Begun = (usize, u32, u32);

type Threads<'a> = BTreeMap<Thread, Vec<Line<'a>>>;

fn threads<'a>(lines: impl Iterator<Item = Line<'a>>) -> Threads<'a> {
    let mut own: BTreeMap<(SocketAddr, u8), Vec<Begun>> = BTreeMap::new();
    let mut threads = Threads::new();
    for line in lines {
        let head = &line.frame.head;
        let kind = head.transaction.to_wire();
        let thread = if head.flags.contains(Flags::CORRESPONDENT) {
            Thread::Peer(
                line.to,
                line.lives.1,
                kind,
                head.session,
                head.transaction_id,
            )
        } else {
            let begun = own.entry((line.to, kind)).or_default();
            let id = (line.lives.0, head.session, head.transaction_id);
            let index = begun
                .iter()
                .position(|known| *known == id)
                .unwrap_or_else(|| {
                    begun.push(id);
                    begun.len() - 1
                });
            Thread::Own(line.to, kind, index)
        };
        threads.entry(thread).or_default().push(line);
    }
    threads
}

fn packets(cast: &Cast<'_>, me: SocketAddr, played: &Played, found: &mut Vec<String>) {
    let recorded = cast.packets.iter().filter(|p| p.from == me).map(|p| Line {
        to: p.to,
        lives: (cast.life_at(me, p.at) - 1, cast.life_at(p.to, p.at)),
        raw: &p.raw,
        frame: &p.frame,
    });
    let recorded = threads(recorded);
    let ours = threads(played.sent.iter().map(|s| Line {
        to: s.to,
        lives: (s.life, cast.life_at(s.to, s.at)),
        raw: &s.raw,
        frame: &s.frame,
    }));
    let all: std::collections::BTreeSet<_> = recorded.keys().chain(ours.keys()).copied().collect();
    let none = Vec::new();
    for thread in all {
        let recorded = recorded.get(&thread).unwrap_or(&none);
        let ours = ours.get(&thread).unwrap_or(&none);
        compare(recorded, ours, found);
    }
}

/// The differences between two runs of one transaction.
fn compare(recorded: &[Line<'_>], ours: &[Line<'_>], found: &mut Vec<String>) {
    let key = |line: &Line<'_>| (line.frame.head.packet, line.frame.head.segment);
    // The longest common subsequence, from the end.
    let mut common = vec![vec![0_usize; ours.len() + 1]; recorded.len() + 1];
    for (i, a) in recorded.iter().enumerate().rev() {
        for (j, b) in ours.iter().enumerate().rev() {
            common[i][j] = if key(a) == key(b) {
                common[i + 1][j + 1] + 1
            } else {
                common[i + 1][j].max(common[i][j + 1])
            };
        }
    }
    let again = |lines: &[Line<'_>], index: usize| {
        let line = &lines[index];
        lines[..index]
            .iter()
            .any(|earlier| key(earlier) == key(line))
    };
    let (mut i, mut j) = (0, 0);
    let mut told = |sign: &str, lines: &[Line<'_>], index: usize| {
        let repeats = if again(lines, index) { " again" } else { "" };
        found.push(format!("{sign}{}{repeats}", kind(lines[index].frame)));
    };
    let mut matched = Vec::new();
    while i < recorded.len() || j < ours.len() {
        let same = i < recorded.len() && j < ours.len() && key(&recorded[i]) == key(&ours[j]);
        if same {
            matched.push((i, j));
            (i, j) = (i + 1, j + 1);
        } else if j == ours.len() || i < recorded.len() && common[i + 1][j] >= common[i][j + 1] {
            told("-", recorded, i);
            i += 1;
        } else {
            told("+", ours, j);
            j += 1;
        }
    }
    for (i, j) in matched {
        if !again(recorded, i) && !same_body(&recorded[i], &ours[j]) {
            found.push(format!("body {}", kind(ours[j].frame)));
        }
    }
}

/// What kind of packet it is: `allow/cookie'`.
fn kind(frame: &Frame) -> String {
    let head = &frame.head;
    let mark = if head.flags.contains(Flags::CORRESPONDENT) {
        "'"
    } else {
        ""
    };
    format!("{:?}/{:?}{mark}", head.transaction, head.packet).to_lowercase()
}

/// Whether two packets of a kind say the same. Coats differ by their nonces, initiates by their
/// name field, so those are opened by the peer or not at all.
fn same_body(recorded: &Line<'_>, ours: &Line<'_>) -> bool {
    let head = &recorded.frame.head;
    let body = |line: &Line<'_>| line.raw[line.frame.coat()].to_vec();
    let (theirs, mine) = (body(recorded), body(ours));
    match (head.transaction, head.packet) {
        (TransactionKind::Join, PacketKind::Request | PacketKind::Response) => {
            let response = head.packet == PacketKind::Response;
            let parse =
                |line: &Line<'_>, body| JoinBody::parse(line.frame.head.body, body, response).ok();
            parse(recorded, &theirs).is_some_and(|body| parse(ours, &mine) == Some(body))
        }
        (TransactionKind::Allow, PacketKind::Initiate) => theirs.len() == mine.len(),
        // The scripted keys, cookies, nonces and ids make these the same to the byte.
        (TransactionKind::Allow, _) => theirs == mine,
        (TransactionKind::Message, PacketKind::Message) => {
            let ours = &ours.frame.head;
            // A segment of ours may be shorter: its head has an order index.
            let shape = (
                head.segments,
                head.coat_len,
                head.body,
                head.coat,
                head.foot,
            );
            shape
                == (
                    ours.segments,
                    ours.coat_len,
                    ours.body,
                    ours.coat,
                    ours.foot,
                )
                && (head.segments > 1 || theirs.len() == mine.len())
        }
        _ => true,
    }
}

/// A remote as far as it is compared.
fn held(remote: &Value) -> BTreeMap<&'static str, String> {
    let text = |field: &str| {
        let text = remote[field].as_str().unwrap_or_default();
        // What the reference calls a remote that no join has named.
        if text.starts_with("estate_") {
            String::new()
        } else {
            text.to_owned()
        }
    };
    BTreeMap::from([
        ("far", remote["fuid"].to_string()),
        ("name", text("name")),
        ("role", text("role")),
        ("main", (remote["main"] == true).to_string()),
        ("kind", remote["kind"].to_string()),
        (
            "acceptance",
            remote["acceptance"]
                .as_u64()
                .map_or("None".into(), |s| s.to_string()),
        ),
        ("joined", (remote["joined"] == true).to_string()),
        ("allowed", (remote["allowed"] == true).to_string()),
        ("alive", format!("{:?}", remote["alived"].as_bool())),
    ])
}

/// The name of a remote, told by [`held`].
fn called<'a>(held: &'a BTreeMap<&str, String>) -> &'a str {
    match held["name"].as_str() {
        "" => "nobody",
        name => name,
    }
}

fn state(cast: &Cast<'_>, me: SocketAddr, played: &Played, found: &mut Vec<String>) {
    let states = cast
        .recording
        .of_kind("event")
        .filter(|event| event["event"] == "state");
    let state = states
        .filter(|state| cast.concerns(state, me))
        .last()
        .expect("a last state");
    let recorded: BTreeMap<u32, _> = state["remotes"]
        .as_array()
        .expect("remotes")
        .iter()
        .map(|remote| (number(&remote["uid"]), held(remote)))
        .collect();
    let ours: BTreeMap<u32, _> = played
        .remotes
        .iter()
        .map(|remote| {
            let role = played.roles.iter().find(|role| role.name == remote.role);
            let status = role.map(|role| role.status);
            let held = BTreeMap::from([
                ("far", remote.far.to_string()),
                ("name", remote.name.to_string()),
                ("role", remote.role.to_string()),
                ("main", remote.main.to_string()),
                ("kind", remote.kind.to_string()),
                (
                    "acceptance",
                    status.map_or("None".into(), |s| (s as u8).to_string()),
                ),
                ("joined", remote.joined.to_string()),
                ("allowed", remote.allowed.to_string()),
                ("alive", format!("{:?}", remote.alive)),
            ]);
            (remote.near, held)
        })
        .collect();
    for (near, recorded) in &recorded {
        let Some(ours) = ours.get(near) else {
            found.push(format!("state without {}", called(recorded)));
            continue;
        };
        for (field, value) in recorded {
            if ours[field] != *value {
                let called = called(recorded);
                found.push(format!(
                    "state {called}.{field} {} not {value}",
                    ours[field]
                ));
            }
        }
    }
    for (_, ours) in ours.iter().filter(|(near, _)| !recorded.contains_key(near)) {
        found.push(format!("state with {}", called(ours)));
    }
}

fn messages(cast: &Cast<'_>, me: SocketAddr, played: &Played, found: &mut Vec<String>) {
    let events = cast.recording.of_kind("event");
    let recorded: Vec<_> = events
        .filter(|event| event["event"] == "rx_msg" && cast.concerns(event, me))
        .map(|event| (event["frm"].as_str().unwrap_or_default(), &event["body"]))
        .collect();
    if recorded.len() != played.delivered.len() {
        found.push(format!(
            "delivered {} not {}",
            played.delivered.len(),
            recorded.len()
        ));
    }
    let mut mail: BTreeMap<SocketAddr, Vec<_>> = BTreeMap::new();
    for (number, ((from, kind, body), (recorded_from, value))) in
        played.delivered.iter().zip(&recorded).enumerate()
    {
        let sender = cast.whose(&Value::from(*recorded_from), 0);
        let mail = mail.entry(sender).or_insert_with(|| cast.mail(sender));
        // The bytes that were sent; where those are JSON, what they say as well.
        let sent = mail
            .iter()
            .position(|mail| mail.body == *body && mail.kind == *kind);
        let said = *kind != BodyKind::Json
            || body.is_empty() && value.as_object().is_some_and(serde_json::Map::is_empty)
            || serde_json::from_slice::<Value>(body).is_ok_and(|said| said == **value);
        match sent {
            Some(index) if from == recorded_from && said => drop(mail.remove(index)),
            _ => found.push(format!("delivered {number} is another message")),
        }
    }
    let states = cast
        .recording
        .of_kind("event")
        .filter(|e| e["event"] == "state");
    let last = states.filter(|state| cast.concerns(state, me)).last();
    let recorded = last
        .and_then(|state| state["stats"]["message_initiate_complete"].as_u64())
        .unwrap_or(0);
    let confirmed = played
        .outcomes
        .iter()
        .filter(|o| **o == Outcome::Delivered)
        .count() as u64;
    if confirmed != recorded {
        found.push(format!("confirmed {confirmed} not {recorded}"));
    }
}
