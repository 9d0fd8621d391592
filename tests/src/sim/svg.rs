//! What happened, drawn: a line down the page for each host and attacker, an arrow for each datagram.
//!
//! Time goes down, but only where something happens; what happens at one host at one moment stands in
//! rows under each other, so that no two arrows begin or end at one point.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use raet_core::stats::Verdict;
use raet_core::wire::{Flags, Head, PacketKind, TransactionKind};

use super::tape::{Line, Packet, Party, Tape, What, seconds};
use page::{Page, Point};

mod page;

/// Most datagrams on one page.
const MOST: usize = 120;

const STYLE: &str = "
text { font: 11px ui-sans-serif, system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif; fill: #1f2933 }
.title { font-size: 17px; font-weight: 600 } .sub { fill: #616e7c }
.name { font-size: 14px; font-weight: 600; text-anchor: middle; fill: #fff }
.time { text-anchor: end; fill: #7b8794; font-size: 10px; font-variant-numeric: tabular-nums }
.life { stroke: #cbd2d9; stroke-width: 2 } .gap { fill: #7b8794; font-style: italic }
.label { text-anchor: middle; font-size: 10.5px; paint-order: stroke; stroke: #fff; stroke-width: 3px }
.note { font-size: 10.5px; fill: #52606d } .bad { fill: #ba2525; font-weight: 600 }
polyline { stroke-width: 1.6; fill: none } .dropped { stroke-dasharray: 4 3; opacity: .65 }
";

/// One arrow: from whom to whom, when it left and came, and how it ended.
struct Arrow {
    from: Party,
    to: Party,
    left: u64,
    /// `None`: it never came.
    came: Option<u64>,
    head: Option<Head>,
    /// A label for each datagram that it stands for.
    labels: Vec<String>,
    end: End,
}

#[derive(PartialEq)]
enum End {
    Taken,
    Dropped(&'static str),
    Lost(&'static str),
}

/// What is written beside the lifeline of a host.
struct Note {
    at: u64,
    host: usize,
    text: String,
}

/// Draws what happened between these times, in microseconds; the first 120 datagrams of it.
pub fn draw(tape: &Tape, title: &str, from: u64, to: u64) -> String {
    let lines = || {
        let lines = tape.lines().iter();
        lines.filter(move |line| (from..to).contains(&line.at))
    };
    let mut arrows = merged(lines().filter_map(arrow));
    let cut = arrows.len() > MOST;
    arrows.truncate(MOST);
    let last = arrows.last().map_or(to, |a| a.came.unwrap_or(a.left));
    let end = if cut { last } else { to };
    let notes: Vec<_> = lines().filter(|l| l.at <= end).filter_map(note).collect();
    let attackers: BTreeSet<_> = (arrows.iter())
        .flat_map(|arrow| [arrow.from, arrow.to])
        .filter(|party| matches!(party, Party::Attacker(_)))
        .collect();
    let hosts = (0..tape.names().len()).map(Party::Host);
    let parties: Vec<_> = hosts.chain(attackers).collect();
    let (mut page, places) = Page::new(&parties, &arrows, &notes);
    let mut out = String::new();
    frame(&mut out, &page, title);
    for (n, party) in parties.iter().enumerate() {
        lifeline(&mut out, &page, n, *party, &tape.name(*party));
    }
    for (y, pause) in page.gaps() {
        let (width, pause) = (page.width(), seconds(*pause));
        let _ = write!(
            out,
            "<rect x=\"0\" y=\"{}\" width=\"{width}\" height=\"20\" fill=\"#f5f7fa\"/>\
             <text class=\"gap\" x=\"24\" y=\"{}\">{pause:.1} s pass</text>",
            y - 14.0,
            y
        );
    }
    for (at, y) in page.moments() {
        let moment = seconds(at);
        let _ = write!(
            out,
            "<text class=\"time\" x=\"74\" y=\"{}\">{moment:.4}</text>",
            y + 3.0
        );
    }
    for (arrow, ends) in arrows.iter().zip(&places.arrows) {
        stroke(&mut out, arrow, ends);
    }
    // What is beside the lines is written over them.
    for (note, lines) in notes.iter().zip(&places.notes) {
        write_note(&mut out, &mut page, note, lines);
    }
    for (arrow, ends) in arrows.iter().zip(&places.arrows) {
        write_label(&mut out, &mut page, arrow, ends);
    }
    if cut {
        let y = page.height() - 16.0;
        let _ = write!(
            out,
            "<text class=\"gap\" x=\"24\" y=\"{y}\">… and more: these are the first {MOST} \
             datagrams; --during shows others</text>"
        );
    }
    out.push_str("</svg>\n");
    out
}

/// An arrow is drawn for each copy that arrives, and for each datagram of which none does.
fn arrow(line: &Line) -> Option<Arrow> {
    match &line.what {
        What::Arrived {
            left,
            from,
            to,
            packet,
            verdict,
            ..
        } => Some(Arrow {
            from: *from,
            to: Party::Host(*to),
            left: *left,
            came: Some(line.at),
            head: packet.head,
            labels: vec![label(*packet)],
            end: match verdict {
                Some(Verdict::Taken | Verdict::Repeated) => End::Taken,
                Some(Verdict::Dropped(reason)) => End::Dropped(reason.as_str()),
                None => End::Dropped("not heard"),
            },
        }),
        What::Sent { from, to, head, .. } => {
            let loss = line.what.loss();
            // What reaches a host is drawn when it does.
            if loss.is_none() && matches!(to, Party::Host(_)) {
                return None;
            }
            let packet = Packet {
                head: *head,
                damaged: false,
            };
            Some(Arrow {
                from: Party::Host(*from),
                to: *to,
                left: line.at,
                came: loss.is_none().then_some(line.at),
                head: *head,
                labels: vec![label(packet)],
                end: loss.map_or(End::Taken, End::Lost),
            })
        }
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
            Some(before) => before.labels.extend(arrow.labels),
            None => arrows.push(arrow),
        }
    }
    arrows
}

fn note(line: &Line) -> Option<Note> {
    match &line.what {
        What::Told { host, text } | What::Note { host, text } => Some(Note {
            at: line.at,
            host: *host,
            text: text.clone(),
        }),
        _ => None,
    }
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

fn label(packet: Packet) -> String {
    let Some(head) = packet.head else {
        return "no packet".to_owned();
    };
    let kind = format!("{:?}", head.packet).to_lowercase();
    let mut text = match head.transaction {
        TransactionKind::Message => kind,
        other => format!("{other:?} {kind}").to_lowercase(),
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
    if packet.damaged {
        text.insert_str(0, "damaged ");
    }
    text
}

/// What is written along an arrow, from all that is to be said of it to the least.
fn wordings(arrow: &Arrow) -> Vec<String> {
    let why = match arrow.end {
        End::Taken => String::new(),
        End::Dropped(why) | End::Lost(why) => format!(" · {why}"),
    };
    let Some((first, rest)) = arrow.labels.split_first() else {
        return Vec::new();
    };
    let all = grouped(&arrow.labels).join(", ");
    let more = match rest.len() {
        0 => String::new(),
        n => format!(" +{n}"),
    };
    let mut wordings = vec![
        format!("{all}{why}"),
        format!("{first}{more}{why}"),
        format!("{first}{more}"),
    ];
    wordings.dedup();
    wordings
}

/// Segments of a message in a row, and the same over and over, are told together.
fn grouped(labels: &[String]) -> Vec<String> {
    /// What it is about, the segment, and the rest.
    fn parts(label: &str) -> Option<(&str, &str, &str)> {
        let (what, rest) = label.split_once(" [")?;
        let (segment, rest) = rest.split_once(" of ")?;
        Some((what, segment, rest))
    }
    let alike = |a: &String, b: &String| match (parts(a), parts(b)) {
        (Some((a, _, after_a)), Some((b, _, after_b))) => (a, after_a) == (b, after_b),
        _ => a == b,
    };
    let group = |group: &[String]| match group {
        [one] => one.clone(),
        all => match all.first().and_then(|first| parts(first)) {
            Some((what, _, rest)) => {
                let all = all.iter().filter_map(|label| parts(label));
                let segments: Vec<_> = all.map(|(_, segment, _)| segment).collect();
                format!("{what} [{} of {rest}", segments.join(" "))
            }
            None => format!("{} ×{}", all.first().map_or("", |l| l), all.len()),
        },
    };
    labels.chunk_by(alike).map(group).collect()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

fn frame(out: &mut String, page: &Page, title: &str) {
    let (width, height) = (page.width(), page.height());
    let _ = write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\"><style>{STYLE}</style>\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\
         <text class=\"title\" x=\"24\" y=\"32\">{}</text>",
        escaped(title)
    );
    let all = [
        ("#cb6e17", "join"),
        ("#7e3aa8", "allow"),
        ("#7b8794", "alive"),
        ("#1769c2", "message"),
        ("#0f8a4b", "done"),
    ];
    let mut x = 24;
    for (colour, word) in all {
        let _ = write!(
            out,
            "<line x1=\"{x}\" x2=\"{}\" y1=\"50\" y2=\"50\" stroke=\"{colour}\" stroke-width=\"3\"/>\
             <text class=\"sub\" x=\"{}\" y=\"54\">{word}</text>",
            x + 24,
            x + 30
        );
        x += 92;
    }
    let _ = write!(
        out,
        "<text class=\"sub\" x=\"{x}\" y=\"54\">dashed: dropped, with the reason · ✗: lost</text>"
    );
}

fn lifeline(out: &mut String, page: &Page, n: usize, party: Party, name: &str) {
    let (x, top) = (page.column(n), Page::TOP);
    let fill = match party {
        Party::Host(_) => "#323f4b",
        Party::Attacker(_) | Party::Nobody => "#8a1c1c",
    };
    let width = page::width(name).mul_add(1.35, 30.0).max(100.0);
    let _ = write!(
        out,
        "<line class=\"life\" x1=\"{x}\" x2=\"{x}\" y1=\"{top}\" y2=\"{}\"/>\
         <rect x=\"{:.1}\" y=\"{}\" width=\"{width:.1}\" height=\"26\" rx=\"6\" fill=\"{fill}\"/>\
         <text class=\"name\" x=\"{x}\" y=\"{}\">{}</text>",
        page.height() - 40.0,
        x - width / 2.0,
        top - 32.0,
        top - 14.0,
        escaped(name),
    );
}

/// The line of an arrow and its head.
fn stroke(out: &mut String, arrow: &Arrow, ends: &[Point]) {
    let colour = colour(arrow.head.as_ref());
    let class = match arrow.end {
        End::Taken => "",
        End::Dropped(_) | End::Lost(_) => " class=\"dropped\"",
    };
    let _ = write!(out, "<polyline{class} stroke=\"{colour}\" points=\"");
    for (x, y) in ends {
        let _ = write!(out, "{x:.1},{y:.1} ");
    }
    out.push_str("\"/>");
    if let [.., before, (x, y)] = ends {
        if matches!(arrow.end, End::Lost(_)) {
            let y = y + 4.0;
            let _ = write!(
                out,
                "<text class=\"bad\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">✗</text>"
            );
        } else {
            tip(out, colour, *before, (*x, *y));
        }
    }
}

fn write_label(out: &mut String, page: &mut Page, arrow: &Arrow, ends: &[Point]) {
    let Some(label) = page.place(ends, &wordings(arrow)) else {
        return;
    };
    let ((x, y), turn) = (label.at, label.turn.to_degrees());
    let _ = write!(
        out,
        "<text class=\"label\" x=\"{x:.1}\" y=\"{y:.1}\" transform=\"rotate({turn:.2} {x:.1} {y:.1})\">{}</text>",
        escaped(&label.text)
    );
}

fn write_note(out: &mut String, page: &mut Page, note: &Note, lines: &[(f64, String)]) {
    let x = page.column(note.host);
    let fill = if note.text.starts_with("dies") {
        "#ba2525"
    } else {
        "#52606d"
    };
    // Of the first host on the left, where no arrow is.
    let (side, anchor) = if note.host == 0 {
        (-9.0, "end")
    } else {
        (9.0, "start")
    };
    for (n, (y, text)) in lines.iter().enumerate() {
        if n == 0 {
            let _ = write!(
                out,
                "<circle cx=\"{x}\" cy=\"{y}\" r=\"3.5\" fill=\"{fill}\"/>"
            );
        }
        let _ = write!(
            out,
            "<text class=\"note label\" style=\"text-anchor:{anchor};fill:{fill}\" x=\"{}\" y=\"{}\">{}</text>",
            x + side,
            y + 4.0,
            escaped(text)
        );
        let middle = x + (page::width(text) / 2.0 + 9.0).copysign(side);
        page.take((middle, y + 4.0), 0.0, page::width(text));
    }
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
