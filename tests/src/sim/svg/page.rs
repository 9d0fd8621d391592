//! Where everything stands on the page.

use std::collections::{BTreeMap, HashMap};

use super::super::tape::Party;
use super::{Arrow, Note};

/// Pixels to the right, and down.
pub(super) type Point = (f64, f64);

/// Pixels between lifelines, and between what happens at a host at one moment.
const COLUMN: f64 = 400.0;
const ROW: f64 = 16.0;
/// What comes below each moment.
const BELOW: f64 = 5.0;
/// Microseconds without anything that are drawn as a gap, and pixels of one.
const PAUSE: u64 = 200_000;
const GAP: f64 = 34.0;
/// Left of the notes of the first host, and the least beside the last.
const TIMES: f64 = 84.0;
const BESIDE: f64 = 190.0;
/// How far an arrow goes that comes to nobody, or back to where it began.
const SHORT: f64 = 150.0;
const LOOP: f64 = 46.0;
/// Letters of a note in one line.
const LETTERS: usize = 58;
/// Words along a line that is steeper than this are written level.
const STEEP: f64 = 0.7;

/// Pixels that a text takes, about.
pub(super) fn width(text: &str) -> f64 {
    5.9 * float(text.chars().count())
}

fn float(count: usize) -> f64 {
    u32::try_from(count).map_or(0.0, f64::from)
}

/// Where each moment and lifeline is, and what room is taken.
pub(super) struct Page {
    columns: Vec<f64>,
    width: f64,
    /// Where each moment begins.
    rows: BTreeMap<u64, f64>,
    /// Where nothing happens, for how long.
    gaps: Vec<(f64, u64)>,
    height: f64,
    /// Points of what is written, by the row of the page.
    taken: HashMap<i64, Vec<Point>>,
}

/// Where arrows and notes go, in their order.
pub(super) struct Places {
    /// The corners of each.
    pub(super) arrows: Vec<Vec<Point>>,
    /// The lines of each, and how far down they are.
    pub(super) notes: Vec<Vec<(f64, String)>>,
}

/// Where a label is written.
pub(super) struct Label {
    pub(super) text: String,
    /// The middle of its foot.
    pub(super) at: Point,
    /// How it is turned, in radians.
    pub(super) turn: f64,
}

/// Rows that are in use, by moment and lifeline.
#[derive(Default)]
struct Slots(BTreeMap<(u64, usize), usize>);

impl Slots {
    /// So many rows at this moment and lifeline; the first of them.
    fn next(&mut self, at: u64, column: usize, count: usize) -> usize {
        let used = self.0.entry((at, column)).or_default();
        *used += count;
        *used - count
    }
}

impl Page {
    /// Where lifelines begin.
    pub(super) const TOP: f64 = 110.0;

    /// A page for all of these.
    pub(super) fn new(parties: &[Party], arrows: &[Arrow], notes: &[Note]) -> (Self, Places) {
        let of = |party| parties.iter().position(|p| *p == party);
        // At each host what comes is above what it does about it, and that is above what it sends.
        let mut slots = Slots::default();
        let came: Vec<_> = (arrows.iter())
            .map(|a| Some((a.came?, slots.next(a.came?, of(a.to)?, 1))))
            .collect();
        let texts: Vec<_> = notes.iter().map(|note| wrapped(&note.text)).collect();
        let noted: Vec<_> = (notes.iter().zip(&texts))
            .map(|(note, lines)| slots.next(note.at, note.host, lines.len()))
            .collect();
        let left: Vec<_> = (arrows.iter())
            .map(|a| slots.next(a.left, of(a.from).unwrap_or(0), 1))
            .collect();

        let longest = |host| {
            let of = notes
                .iter()
                .zip(&texts)
                .filter(|(note, _)| note.host == host);
            let lines = of.flat_map(|(_, lines)| lines);
            lines.map(|line| width(line)).fold(0.0, f64::max) + 20.0
        };
        let first = (TIMES + longest(0)).max(BESIDE);
        let count = parties.len();
        let page = Self::rows(&slots, first, count, longest(count.saturating_sub(1)));
        let y = |at: u64, slot: usize| {
            page.rows.get(&at).copied().unwrap_or(Self::TOP) + ROW * float(slot)
        };
        let ends = (arrows.iter().zip(came).zip(left)).map(|((arrow, came), left)| {
            let (x1, y1) = (
                page.column(of(arrow.from).unwrap_or(0)),
                y(arrow.left, left),
            );
            let x2 = of(arrow.to).map_or(x1 + SHORT, |n| page.column(n));
            match came {
                Some((at, slot)) if of(arrow.to) == of(arrow.from) => {
                    let y2 = y(at, slot);
                    vec![(x1, y1), (x1 + LOOP, y1), (x1 + LOOP, y2), (x1, y2)]
                }
                Some((at, slot)) => vec![(x1, y1), (x2, y(at, slot))],
                None if of(arrow.to) == of(arrow.from) => vec![(x1, y1), (x1 + LOOP, y1)],
                None => vec![(x1, y1), (x1 + (x2 - x1) * 0.62, y1 + ROW * 0.7)],
            }
        });
        let arrows = ends.collect();
        let notes = (notes.iter().zip(texts).zip(noted))
            .map(|((note, lines), slot)| {
                let lines = lines.into_iter().enumerate();
                lines
                    .map(|(n, line)| (y(note.at, slot + n), line))
                    .collect()
            })
            .collect();
        (page, Places { arrows, notes })
    }

    fn rows(slots: &Slots, first: f64, count: usize, beside: f64) -> Self {
        let mut most: BTreeMap<u64, usize> = BTreeMap::new();
        for ((at, _), used) in &slots.0 {
            let most = most.entry(*at).or_default();
            *most = (*most).max(*used);
        }
        let (mut rows, mut gaps) = (BTreeMap::new(), Vec::new());
        let (mut y, mut last) = (Self::TOP + ROW, None);
        for (at, most) in &most {
            let pause = last.map_or(0, |last| at - last);
            if pause > PAUSE {
                gaps.push((y + GAP / 2.0 - 2.0, pause));
                y += GAP;
            }
            rows.insert(*at, y);
            y += ROW * float(*most) + BELOW;
            last = Some(*at);
        }
        let columns: Vec<_> = (0..count).map(|n| first + COLUMN * float(n)).collect();
        Self {
            width: columns.last().copied().unwrap_or(first) + beside.max(BESIDE),
            columns,
            rows,
            gaps,
            height: y + 60.0,
            taken: HashMap::new(),
        }
    }

    pub(super) fn column(&self, n: usize) -> f64 {
        self.columns.get(n).copied().unwrap_or(0.0)
    }

    pub(super) fn width(&self) -> f64 {
        self.width.ceil()
    }

    pub(super) fn height(&self) -> f64 {
        self.height.ceil()
    }

    pub(super) fn gaps(&self) -> &[(f64, u64)] {
        &self.gaps
    }

    pub(super) fn moments(&self) -> impl Iterator<Item = (u64, f64)> {
        self.rows.iter().map(|(at, y)| (*at, *y))
    }

    /// Somebody writes here, so wide.
    pub(super) fn take(&mut self, middle: Point, turn: f64, width: f64) {
        for (x, y) in points(middle, turn, width) {
            self.taken.entry(bucket(y)).or_default().push((x, y));
        }
    }

    /// Finds room along an arrow for the first of these wordings that has any: near the start if
    /// possible, for arrows that go the other way start elsewhere.
    pub(super) fn place(&mut self, ends: &[Point], wordings: &[String]) -> Option<Label> {
        let (start, end) = match ends {
            // Beside what comes back to where it began.
            [_, (x, y), _, _] => ((*x, y + ROW), (x + COLUMN, y + ROW)),
            [start, end] => (*start, *end),
            _ => return None,
        };
        let (dx, dy) = (end.0 - start.0, end.1 - start.1);
        let length = dx.hypot(dy);
        let slope = dy / dx;
        let turn = if slope.abs() > STEEP {
            0.0
        } else {
            slope.atan()
        };
        let at = |far: f64| {
            (
                start.0 + dx * far / length,
                start.1 + dy * far / length - 3.0,
            )
        };
        let mut fallback = None;
        for text in wordings {
            let wide = width(text);
            let mut far = wide / 2.0 + 10.0;
            while far + wide / 2.0 + 8.0 <= length.max(wide + 20.0) {
                if self.is_free(at(far), turn, wide) {
                    return Some(self.write(text, at(far), turn));
                }
                far += 8.0;
            }
            fallback = Some((text, at((wide / 2.0 + 10.0).min(length / 2.0))));
        }
        let (text, at) = fallback?;
        Some(self.write(text, at, turn))
    }

    fn write(&mut self, text: &str, at: Point, turn: f64) -> Label {
        self.take(at, turn, width(text));
        Label {
            text: text.to_owned(),
            at,
            turn,
        }
    }

    /// Whether nothing is written here, and no lifeline goes through.
    fn is_free(&self, middle: Point, turn: f64, width: f64) -> bool {
        let half = width / 2.0 * turn.cos() + 4.0;
        let crossed = self.columns.iter().any(|x| (x - middle.0).abs() < half);
        let near = |(x, y): Point| {
            let rows = bucket(y) - 1..=bucket(y) + 1;
            let mut others = rows.filter_map(|row| self.taken.get(&row)).flatten();
            others.any(|(ox, oy)| (ox - x).abs() < 9.0 && (oy - y).abs() < 10.0)
        };
        !crossed && !points(middle, turn, width).any(near)
    }
}

fn bucket(y: f64) -> i64 {
    (y / 10.0) as i64
}

/// Points along a text, so close that nothing fits between.
fn points(middle: Point, turn: f64, width: f64) -> impl Iterator<Item = Point> {
    let along = std::iter::successors(Some(-width / 2.0), |far| Some(far + 7.0));
    let along = along.take_while(move |far| *far < width / 2.0);
    let all = along.chain([width / 2.0]);
    all.map(move |far| (middle.0 + far * turn.cos(), middle.1 + far * turn.sin()))
}

/// The lines of a note.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.last_mut().filter(|line| {
            line.is_empty() || line.chars().count() + word.chars().count() < LETTERS
        });
        match last {
            Some(line) if line.is_empty() => word.clone_into(line),
            Some(line) => {
                line.push(' ');
                line.push_str(word);
            }
            None => lines.push(word.to_owned()),
        }
    }
    lines
}
