//! Messages of all sizes over all networks, between estates of all settings: not the full product, but
//! every pair of values meets.

use std::cell;
use std::collections::BTreeSet;
use std::rc::Rc;

use raet_core::config::Trust;
use raet_core::event::Outcome;
use raet_core::storage::{Fixed, Heap, Storage};
use raet_core::wire::{
    BodyKind, CoatKind, FootKind, Frame, HeadKind, MAX_PACKET, PacketKind, TransactionKind,
};
use raet_tests::live::{Way, kind_of};
use raet_tests::matrix::pairs;
use raet_tests::matrix::table::Counts;
use serde_json::{Value, json};

use crate::lab::{Cell, Lab};
use crate::pair::{Ours, Pair, TRUTHS};
use crate::setup::{Kinds, Setup, Side};

const GROUP: &str = "traffic";

/// An engine that holds its all inside itself.
type Small = Fixed<4, 16, { 5 << 20 }>;

/// How long the messages are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Size {
    /// A mapping without entries, which is a body without bytes.
    Empty,
    /// One byte; of 0.6.8, which sends mappings only, the shortest that is not empty.
    One,
    /// One packet, filled up to the last byte but one, to the last, and one byte more.
    Limit,
    /// Two segments.
    Two,
    /// Of a hundred segments 64 are lost: what one resend can ask for.
    Gaps64,
    /// One more than one resend can ask for.
    Gaps65,
    Megabyte,
}

/// What the network does, on the way to the peer and back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Weather {
    Calm,
    Loss,
    Doubling,
    Overtaking,
    /// All of it.
    Storm,
}

impl Weather {
    fn net(self) -> Value {
        let (drop, dup, reorder) = match self {
            Self::Calm => (0.0, 0.0, 0.0),
            Self::Loss => (0.08, 0.0, 0.0),
            Self::Doubling => (0.0, 0.2, 0.0),
            Self::Overtaking => (0.0, 0.0, 0.2),
            Self::Storm => (0.05, 0.1, 0.1),
        };
        json!({"cmd": "net", "seed": 7, "drop": drop, "dup": dup, "reorder": reorder})
    }

    fn loses(self) -> bool {
        matches!(self, Self::Loss | Self::Storm)
    }
}

const SIZES: [Size; 7] = [
    Size::Empty,
    Size::One,
    Size::Limit,
    Size::Two,
    Size::Gaps64,
    Size::Gaps65,
    Size::Megabyte,
];
const WEATHERS: [Weather; 5] = [
    Weather::Calm,
    Weather::Loss,
    Weather::Doubling,
    Weather::Overtaking,
    Weather::Storm,
];
/// Segments that go out at once; 0: all.
const BURSTS: [u16; 3] = [0, 1, 4];
const TRUSTS: [Trust; 3] = [Trust::Never, Trust::Once, Trust::Always];
const HEADS: [HeadKind; 2] = [HeadKind::Native, HeadKind::Json];
const BODIES: [BodyKind; 2] = [BodyKind::Json, BodyKind::Msgpack];
const COATS: [CoatKind; 2] = [CoatKind::Nacl, CoatKind::Nada];
const FEET: [FootKind; 2] = [FootKind::Nacl, FootKind::Nada];

/// Where each axis stands in a combination.
mod axis {
    pub(super) const SIZE: usize = 0;
    pub(super) const WEATHER: usize = 1;
    pub(super) const BURST: usize = 2;
    pub(super) const OUR_TRUST: usize = 3;
    pub(super) const THEIR_TRUST: usize = 4;
    pub(super) const MAIN: usize = 5;
    pub(super) const OUR_HEAD: usize = 6;
    pub(super) const THEIR_HEAD: usize = 7;
    pub(super) const OUR_BODY: usize = 8;
    pub(super) const THEIR_BODY: usize = 9;
    pub(super) const OUR_COAT: usize = 10;
    pub(super) const THEIR_COAT: usize = 11;
    pub(super) const OUR_FOOT: usize = 12;
    pub(super) const THEIR_FOOT: usize = 13;
    pub(super) const VERITIVE: usize = 14;
    pub(super) const STORAGE: usize = 15;
}

const AXES: [usize; 16] = [7, 5, 3, 3, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2];

/// Who demands signatures takes nothing unsigned, be it the answer to an unsigned message of its own; the
/// group `policy` shows it.
const FORBIDDEN: [(pairs::Value, pairs::Value); 2] = [
    ((axis::OUR_FOOT, 1), (axis::VERITIVE, 0)),
    ((axis::THEIR_FOOT, 1), (axis::VERITIVE, 0)),
];

pub(crate) fn cells() -> Vec<Cell> {
    let rows = pairs::cover(&AXES, &FORBIDDEN);
    let mut cells: Vec<Cell> = rows.into_iter().enumerate().map(cell).collect();
    for main in Side::BOTH {
        for count in [64, 65] {
            let name = format!("{count} gaps at once each way, {} main", main.word());
            let expected = match count {
                64 => "asked for in one resend or more",
                _ => "asked for in two resends or more",
            };
            cells.push(Cell::new(GROUP, name, expected, move |lab| {
                resends(lab, main, count)
            }));
        }
    }
    cells
}

fn cell((number, row): (usize, Vec<usize>)) -> Cell {
    let size = SIZES[row[axis::SIZE]];
    let weather = WEATHERS[row[axis::WEATHER]];
    let burst = BURSTS[row[axis::BURST]];
    let trusts = [axis::OUR_TRUST, axis::THEIR_TRUST].map(|axis| TRUSTS[row[axis]]);
    let main = Side::BOTH[row[axis::MAIN]];
    let veritive = row[axis::VERITIVE] == 0;
    let small = row[axis::STORAGE] == 1;
    let kinds = |head, body, coat, foot| Kinds {
        head: HEADS[row[head]],
        body: BODIES[row[body]],
        coat: COATS[row[coat]],
        foot: FEET[row[foot]],
    };
    let ours = kinds(
        axis::OUR_HEAD,
        axis::OUR_BODY,
        axis::OUR_COAT,
        axis::OUR_FOOT,
    );
    let theirs = kinds(
        axis::THEIR_HEAD,
        axis::THEIR_BODY,
        axis::THEIR_COAT,
        axis::THEIR_FOOT,
    );
    let name = format!(
        "{number:02} {size:?} {weather:?} burst {burst}, {} main, ours {} {:?}{}, theirs {} {:?}{}",
        main.word(),
        ours.words().join("-"),
        trusts[0],
        if small { " fixed" } else { "" },
        theirs.words().join("-"),
        trusts[1],
        if veritive { "" } else { " not veritive" },
    );
    let expected = if weather.loses() {
        "all taken once; its sender told delivered, or unknown where its done was lost"
    } else {
        "all taken once, its sender told delivered"
    };
    let run = move |lab: &Lab| {
        let mut setup = Setup::new(main)
            .kinds(ours, theirs)
            .peer("auto", word(trusts[1]))
            .peer("burst", burst)
            .peer("veritive", veritive);
        setup.ours.trust = trusts[0];
        // A burst of ours is what may be on its way unconfirmed: 2 at least.
        setup.ours.window = if burst == 0 { 256 } else { burst.max(2) };
        if small {
            traffic::<Small>(lab, setup, size, weather)
        } else {
            traffic::<Heap>(lab, setup, size, weather)
        }
    };
    Cell::new(GROUP, name, expected, run)
}

pub(crate) fn word(trust: Trust) -> &'static str {
    match trust {
        Trust::Never => "never",
        Trust::Once => "once",
        Trust::Always => "always",
    }
}

fn traffic<S: Storage>(lab: &Lab, setup: Setup, size: Size, weather: Weather) -> Counts {
    let mut pair = Pair::<S>::start(lab, setup);
    pair.peer.command(weather.net());
    pair.begin();
    pair.up();
    match size {
        Size::Empty => {
            let ours = Ours {
                kind: pair.bodies[0],
                bytes: Vec::new(),
                shown: json!({}),
            };
            both(&mut pair, weather, ours, json!({}));
        }
        Size::One => {
            let ours = Ours {
                kind: BodyKind::Raw,
                bytes: vec![0x41],
                shown: json!({"__bytes__": "41"}),
            };
            both(&mut pair, weather, ours, json!({"": 0}));
        }
        Size::Limit => limit(&mut pair, weather),
        Size::Two => mappings(&mut pair, weather, 1200),
        Size::Gaps64 => {
            gaps(&mut pair, weather, 64);
        }
        Size::Gaps65 => {
            gaps(&mut pair, weather, 65);
        }
        Size::Megabyte => mappings(&mut pair, weather, 1_000_000),
    }
    pair.settle()
}

fn both<S: Storage>(pair: &mut Pair<'_, S>, weather: Weather, ours: Ours, theirs: Value) {
    for outcome in pair.exchange_all(&[ours], &[theirs]) {
        let known = !weather.loses() && outcome == Outcome::Delivered;
        assert!(
            known || weather.loses() && TRUTHS.contains(&outcome),
            "{outcome:?}"
        );
    }
}

fn mappings<S: Storage>(pair: &mut Pair<'_, S>, weather: Weather, pad: usize) {
    let (ours, theirs) = (pair.mapping(pad), pair.value(pad));
    both(pair, weather, ours, theirs);
}

/// The message packets that went one way: transaction, segment, segments, length.
type Seen = Rc<cell::RefCell<BTreeSet<(u32, u32, u32, usize)>>>;

fn watch<S: Storage>(pair: &mut Pair<'_, S>, way: Way) -> Seen {
    let seen = Seen::default();
    let notes = Rc::clone(&seen);
    pair.estate.lose = Box::new(move |going, datagram| {
        if let Some(head) = segment(datagram).filter(|_| going == way) {
            let id = head.transaction_id;
            notes
                .borrow_mut()
                .insert((id, head.segment, head.segments, datagram.len()));
        }
        false
    });
    seen
}

/// The head of a datagram that carries a message or a segment of one.
fn segment(datagram: &[u8]) -> Option<raet_core::wire::Head> {
    let head = Frame::parse(datagram).ok()?.head;
    let kind = (head.transaction, head.packet);
    (kind == (TransactionKind::Message, PacketKind::Message)).then_some(head)
}

/// A packet takes [`MAX_PACKET`] bytes, and one byte more makes two.
fn limit<S: Storage>(pair: &mut Pair<'_, S>, weather: Weather) {
    for way in [Way::Out, Way::In] {
        let mut send = |pad: usize| -> Vec<usize> {
            let seen = watch(pair, way);
            match way {
                Way::Out => {
                    let message = pair.mapping(pad);
                    let token = pair.tell(&message);
                    pair.told(&message);
                    let outcome = pair.outcome(token);
                    assert!(
                        weather.loses() || outcome == Outcome::Delivered,
                        "{outcome:?}"
                    );
                }
                Way::In => {
                    let value = pair.value(pad);
                    pair.ask(&value);
                    pair.asked(&value);
                }
            }
            let seen = seen.borrow();
            // The newest transaction: an older one may have been repeated.
            let last = seen.last().map(|(id, ..)| *id);
            let of_last = seen.iter().filter(|(id, ..)| Some(*id) == last);
            of_last.map(|(.., len)| *len).collect()
        };
        // The head grows by a digit when a number in it does, so what does not fit is tried again.
        let mut full = 700;
        let mut filled = false;
        for _ in 0..8 {
            match send(full)[..] {
                [MAX_PACKET] => {
                    filled = true;
                    break;
                }
                [len] => full += MAX_PACKET - len,
                _ => full -= 1,
            }
        }
        assert!(filled, "{way:?}: a packet of {MAX_PACKET} bytes");
        let less = send(full - 1);
        assert!(
            less == [MAX_PACKET - 1] || less == [MAX_PACKET],
            "{way:?} {less:?}"
        );
        let two = send(full + 1);
        assert_eq!(two.len(), 2, "{way:?} {two:?}");
        assert!(two.iter().all(|len| *len <= MAX_PACKET), "{way:?} {two:?}");
    }
    pair.estate.lose = Box::new(|_, _| false);
}

/// Of a hundred segments each way, the first copies of `count` in a row are lost. Returns how often each
/// side asked for segments again: the peer, ours.
fn gaps<S: Storage>(pair: &mut Pair<'_, S>, weather: Weather, count: u32) -> [u32; 2] {
    let asked = Rc::new(cell::Cell::new([0_u32; 2]));
    let notes = Rc::clone(&asked);
    let mut lost = BTreeSet::new();
    pair.estate.lose = Box::new(move |way, datagram| {
        if kind_of(datagram) == Some((TransactionKind::Message, PacketKind::Resend)) {
            let mut asked = notes.get();
            asked[usize::from(way == Way::Out)] += 1;
            notes.set(asked);
        }
        segment(datagram).is_some_and(|head| {
            let gap = (10..10 + count).contains(&head.segment);
            gap && lost.insert((way == Way::Out, head.segment))
        })
    });
    mappings(pair, weather, 90_000);
    pair.estate.lose = Box::new(|_, _| false);
    asked.get()
}

/// A resend names 64 segments at most.
fn resends(lab: &Lab, main: Side, count: u32) -> Counts {
    let mut setup = Setup::new(main);
    setup.ours.window = 256;
    let mut pair = Pair::<Heap>::start(lab, setup);
    pair.begin();
    pair.up();
    let asked = gaps(&mut pair, Weather::Calm, count);
    let least = count.div_ceil(64);
    assert!(asked.iter().all(|asked| *asked >= least), "{asked:?}");
    pair.settle()
}
