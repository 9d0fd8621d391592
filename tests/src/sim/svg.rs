//! A sequence diagram of a tape, for people to look at.
//!
//! Down the page goes time, but not evenly: where nothing happens for long a gap is drawn and said, so
//! that a handshake of milliseconds and a wait of a minute fit on one page.

use std::collections::HashMap;
use std::fmt::Write;

use raet_core::stats::Verdict;
use raet_core::wire::{Flags, Head, PacketKind, TransactionKind};

use super::tape::{Line, Tape, What, seconds};

/// Pixels: between lifelines, beside the outer ones for what is noted there, and down the page for a
/// moment in which something happens.
const COLUMN: f64 = 320.0;
const MARGIN: f64 = 330.0;
const TOP: f64 = 110.0;
const ROW: f64 = 21.0;
/// Microseconds without anything that are drawn as a gap, and pixels of one.
const PAUSE: u64 = 200_000;
const GAP: f64 = 34.0;
/// Most datagrams on one page.
const MOST: usize = 400;

const STYLE: &str = "
text { font: 11px ui-sans-serif, system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif; fill: #1f2933 }
.title { font-size: 17px; font-weight: 600 } .sub { fill: #616e7c }
.name { font-size: 14px; font-weight: 600; text-anchor: middle; fill: #fff }
.time { text-anchor: end; fill: #7b8794; font-size: 10px; font-variant-numeric: tabular-nums }
.life { stroke: #cbd2d9; stroke-width: 2 } .gap { fill: #7b8794; font-style: italic }
.label { text-anchor: middle; font-size: 10.5px; paint-order: stroke; stroke: #fff; stroke-width: 3px }
.note { font-size: 10.5px; fill: #52606d } .bad { fill: #ba2525; font-weight: 600 }
line.arrow, path.arrow { stroke-width: 1.6; fill: none } .dropped { stroke-dasharray: 4 3; opacity: .65 }
";

/// One arrow: from whom to whom, when it left and came, and how it ended.
struct Arrow {
    from: Option<usize>,
    to: Option<usize>,
    left: u64,
    came: Option<u64>,
    head: Option<Head>,
    label: String,
    end: End,
}

#[derive(PartialEq)]
enum End {
    Taken,
    Dropped(&'static str),
    Lost(&'static str),
}

/// Draws what happened between these times, in microseconds; the first 400 datagrams of it.
pub fn draw(tape: &Tape, title: &str, from: u64, to: u64) -> String {
    let lines: Vec<_> = tape.lines().iter().collect();
    let within = |line: &&&Line| (from..=to).contains(&line.at);
    let arrows = merged(lines.iter().filter(within).filter_map(|l| arrow(l)));
    let cut = arrows.len() > MOST;
    let arrows = arrows.get(..MOST).unwrap_or(&arrows);
    let end = if cut {
        arrows.last().map_or(to, |a| a.came.unwrap_or(a.left))
    } else {
        to
    };
    let notes: Vec<_> = lines
        .iter()
        .filter(within)
        .filter(|l| l.at <= end)
        .filter_map(|l| note(l))
        .collect();
    let mut times: Vec<u64> = arrows
        .iter()
        .flat_map(|a| [Some(a.left), a.came])
        .flatten()
        .chain(notes.iter().map(|(at, ..)| *at))
        .collect();
    times.sort_unstable();
    times.dedup();
    let page = Page::new(&times);
    page.render(tape, title, arrows, &notes, cut)
}

/// An arrow is drawn for each copy that arrives, and for each datagram of which none does.
fn arrow(line: &Line) -> Option<Arrow> {
    match &line.what {
        What::Arrived {
            left,
            from,
            to,
            head,
            verdict,
            ..
        } => Some(Arrow {
            from: *from,
            to: Some(*to),
            left: *left,
            came: Some(line.at),
            head: *head,
            label: label(head.as_ref()),
            end: match verdict {
                Some(Verdict::Taken | Verdict::Repeated) => End::Taken,
                Some(Verdict::Dropped(reason)) => End::Dropped(reason.as_str()),
                None => End::Lost("not heard"),
            },
        }),
        What::Sent {
            from,
            to,
            head,
            faults,
            copies: 0,
            ..
        } => Some(Arrow {
            from: Some(*from),
            to: *to,
            left: line.at,
            came: None,
            head: *head,
            label: label(head.as_ref()),
            end: End::Lost(faults.first().map_or("nobody is there", |f| f.as_str())),
        }),
        _ => None,
    }
}

/// Datagrams that left and came together, and ended alike, are one arrow.
fn merged(all: impl Iterator<Item = Arrow>) -> Vec<Arrow> {
    let mut arrows: Vec<Arrow> = Vec::new();
    for arrow in all {
        let like = |a: &&mut Arrow| {
            (a.from, a.to, a.left, a.came) == (arrow.from, arrow.to, arrow.left, arrow.came)
                && a.end == arrow.end
        };
        match arrows.iter_mut().rev().take(64).find(like) {
            Some(before) if before.label.ends_with('…') => {}
            Some(before) if before.label.len() > 34 => before.label.push_str(", …"),
            Some(before) => {
                before.label.push_str(", ");
                before.label.push_str(&arrow.label);
            }
            None => arrows.push(arrow),
        }
    }
    arrows
}

/// What is written beside a lifeline: when, where, what.
fn note(line: &Line) -> Option<(u64, usize, String)> {
    match &line.what {
        What::Told { host, text } => Some((line.at, *host, short(text))),
        What::Note { host, text } if !text.starts_with("keeps") => {
            Some((line.at, *host, text.clone()))
        }
        _ => None,
    }
}

/// The end of an event's debug form says what it is about.
fn short(text: &str) -> String {
    let what = text
        .split("what: ")
        .nth(1)
        .or_else(|| text.split("outcome: ").nth(1));
    let what = what.and_then(|w| w.strip_suffix(" }"));
    what.unwrap_or(text).to_owned()
}

fn colour(head: Option<&Head>) -> &'static str {
    match head.map(|h| (h.transaction, h.packet)) {
        None => "#9aa5b1",
        Some((TransactionKind::Join, _)) => "#cb6e17",
        Some((TransactionKind::Allow, _)) => "#7e3aa8",
        Some((TransactionKind::Alive, _)) => "#7b8794",
        Some((_, PacketKind::Done)) => "#0f8a4b",
        Some(_) => "#1769c2",
    }
}

fn label(head: Option<&Head>) -> String {
    let Some(head) = head else {
        return "no packet".to_owned();
    };
    let packet = format!("{:?}", head.packet).to_lowercase();
    let mut text = match head.transaction {
        TransactionKind::Message => packet,
        other => format!("{other:?} {packet}").to_lowercase(),
    };
    if head.transaction == TransactionKind::Message {
        let _ = write!(text, " {}", head.transaction_id);
        if head.segments > 1 {
            let _ = write!(text, " [{} of {}]", head.segment + 1, head.segments);
        }
        if head.flags.contains(Flags::AGAIN) {
            text.push_str(" again");
        }
    }
    text
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// Where on the page each moment lies.
struct Page {
    rows: HashMap<u64, f64>,
    /// Where nothing happens, for how long.
    gaps: Vec<(f64, u64)>,
    height: f64,
}

impl Page {
    fn new(times: &[u64]) -> Self {
        let (mut rows, mut gaps) = (HashMap::new(), Vec::new());
        let (mut y, mut last) = (TOP, None);
        for at in times {
            let pause = last.map_or(0, |last| at - last);
            if pause > PAUSE {
                gaps.push((y + GAP / 2.0 + 4.0, pause));
                y += GAP;
            }
            y += ROW;
            rows.insert(*at, y);
            last = Some(*at);
        }
        Self {
            rows,
            gaps,
            height: y + 70.0,
        }
    }

    fn row(&self, at: u64) -> f64 {
        self.rows.get(&at).copied().unwrap_or(TOP)
    }

    fn render(
        &self,
        tape: &Tape,
        title: &str,
        arrows: &[Arrow],
        notes: &[(u64, usize, String)],
        cut: bool,
    ) -> String {
        let count = tape.names().len();
        let width = 2.0 * MARGIN + COLUMN * (float(count) - 1.0);
        let height = self.height;
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\"><style>{STYLE}</style>\
             <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\
             <text class=\"title\" x=\"24\" y=\"32\">{}</text>",
            escaped(title)
        );
        Self::legend(&mut out);
        for n in 0..count {
            let (x, name) = (column(n), tape.names()[n]);
            let _ = write!(
                out,
                "<line class=\"life\" x1=\"{x}\" x2=\"{x}\" y1=\"{TOP}\" y2=\"{}\"/>\
                 <rect x=\"{}\" y=\"{}\" width=\"100\" height=\"26\" rx=\"6\" fill=\"#323f4b\"/>\
                 <text class=\"name\" x=\"{x}\" y=\"{}\">{name}</text>",
                height - 40.0,
                x - 50.0,
                TOP - 32.0,
                TOP - 14.0,
            );
        }
        for (y, pause) in &self.gaps {
            let pause = seconds(*pause);
            let _ = write!(
                out,
                "<rect x=\"0\" y=\"{}\" width=\"{width}\" height=\"20\" fill=\"#f5f7fa\"/>\
                 <text class=\"gap\" x=\"24\" y=\"{}\">{pause:.1} s pass</text>",
                y - 6.0,
                y + 8.0
            );
        }
        self.moments(&mut out);
        for arrow in arrows {
            self.arrow(&mut out, arrow);
        }
        self.notes(&mut out, notes);
        if cut {
            let y = height - 16.0;
            let _ = write!(
                out,
                "<text class=\"gap\" x=\"24\" y=\"{y}\">… and more: this is the first of it</text>"
            );
        }
        out.push_str("</svg>\n");
        out
    }

    fn legend(out: &mut String) {
        let all = [
            ("#cb6e17", "join"),
            ("#7e3aa8", "allow"),
            ("#7b8794", "alive"),
            ("#1769c2", "message"),
            ("#0f8a4b", "done"),
        ];
        for (n, (colour, word)) in all.iter().enumerate() {
            let x = 24.0 + 92.0 * float(n);
            let _ = write!(
                out,
                "<line x1=\"{x}\" x2=\"{}\" y1=\"50\" y2=\"50\" stroke=\"{colour}\" stroke-width=\"3\"/>\
                 <text class=\"sub\" x=\"{}\" y=\"54\">{word}</text>",
                x + 24.0,
                x + 30.0
            );
        }
        out.push_str(
            "<text class=\"sub\" x=\"484\" y=\"54\">dashed: dropped, with the reason    ✗: lost</text>",
        );
    }

    /// The time at each row, where there is room for it.
    fn moments(&self, out: &mut String) {
        let mut rows: Vec<_> = self.rows.iter().collect();
        rows.sort_unstable_by_key(|(at, _)| **at);
        for (at, y) in rows {
            let moment = seconds(*at);
            let _ = write!(
                out,
                "<text class=\"time\" x=\"74\" y=\"{}\">{moment:.4}</text>",
                y + 3.0
            );
        }
    }

    fn arrow(&self, out: &mut String, arrow: &Arrow) {
        let colour = colour(arrow.head.as_ref());
        let y1 = self.row(arrow.left);
        let to = arrow.to.map(column);
        // Who is no estate stands at the right edge.
        let x1 = arrow
            .from
            .map_or_else(|| to.unwrap_or(MARGIN) + COLUMN / 2.0, column);
        let x2 = to.unwrap_or(x1 + COLUMN / 2.0);
        let (x2, y2) = match arrow.came {
            Some(came) => (x2, self.row(came)),
            None => (x1 + (x2 - x1) * 0.62, y1 + ROW * 0.5),
        };
        let dropped = if matches!(arrow.end, End::Taken) {
            ""
        } else {
            " dropped"
        };
        let _ = write!(
            out,
            "<line class=\"arrow{dropped}\" stroke=\"{colour}\" x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\"/>"
        );
        let why = match &arrow.end {
            End::Taken => {
                tip(out, colour, (x1, y1), (x2, y2));
                ""
            }
            End::Dropped(why) => {
                tip(out, colour, (x1, y1), (x2, y2));
                why
            }
            End::Lost(why) => {
                let _ = write!(
                    out,
                    "<text class=\"bad\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">✗</text>",
                    x2,
                    y2 + 4.0
                );
                why
            }
        };
        let text = if why.is_empty() {
            arrow.label.clone()
        } else {
            format!("{} · {why}", arrow.label)
        };
        // Near its start: arrows that go the other way have theirs at the other end.
        let (x, y) = (x1 + (x2 - x1) * 0.36, y1 + (y2 - y1) * 0.36 - 3.0);
        let turn = ((y2 - y1) / (x2 - x1)).atan().to_degrees();
        let _ = write!(
            out,
            "<text class=\"label\" x=\"{x:.1}\" y=\"{y:.1}\" transform=\"rotate({turn:.2} {x:.1} {y:.1})\">{}</text>",
            escaped(&text)
        );
    }

    /// Notes of one moment and host stand in one line.
    fn notes(&self, out: &mut String, notes: &[(u64, usize, String)]) {
        let mut at: HashMap<(u64, usize), usize> = HashMap::new();
        let mut joined: Vec<(u64, usize, String)> = Vec::new();
        for (time, host, text) in notes {
            match at.get(&(*time, *host)).and_then(|n| joined.get_mut(*n)) {
                Some((_, _, before)) => {
                    before.push_str(", ");
                    before.push_str(text);
                }
                None => {
                    at.insert((*time, *host), joined.len());
                    joined.push((*time, *host, text.clone()));
                }
            }
        }
        for (time, host, text) in &joined {
            let (x, y) = (column(*host), self.row(*time));
            let fill = if text.contains("dies") {
                "#ba2525"
            } else {
                "#52606d"
            };
            let text: String = text.chars().take(44).collect();
            // Of the first host on the left, where no arrow is.
            let (side, anchor) = if *host == 0 {
                (-9.0, "end")
            } else {
                (9.0, "start")
            };
            let _ = write!(
                out,
                "<circle cx=\"{x}\" cy=\"{y}\" r=\"3.5\" fill=\"{fill}\"/>\
                 <text class=\"note label\" style=\"text-anchor:{anchor};fill:{fill}\" x=\"{}\" y=\"{}\">{}</text>",
                x + side,
                y + 4.0,
                escaped(&text)
            );
        }
    }
}

fn float(count: usize) -> f64 {
    u32::try_from(count).map_or(0.0, f64::from)
}

fn column(host: usize) -> f64 {
    MARGIN + COLUMN * float(host)
}

/// The head of an arrow.
fn tip(out: &mut String, colour: &str, from: (f64, f64), to: (f64, f64)) {
    let angle = (to.1 - from.1).atan2(to.0 - from.0);
    let corner = |turn: f64| {
        let (x, y) = ((angle + turn).cos(), (angle + turn).sin());
        (to.0 - 9.0 * x, to.1 - 9.0 * y)
    };
    let ((ax, ay), (bx, by)) = (corner(0.38), corner(-0.38));
    let _ = write!(
        out,
        "<polygon points=\"{:.1},{:.1} {ax:.1},{ay:.1} {bx:.1},{by:.1}\" fill=\"{colour}\"/>",
        to.0, to.1
    );
}
