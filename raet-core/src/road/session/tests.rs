use super::*;

fn at(ms: u64) -> Instant {
    Instant::from_micros(ms * 1000)
}

fn begun(ti: u32) -> Window {
    let mut w = Window::new();
    w.heard(at(0), ti);
    w
}

#[test]
fn ids_count_in_a_circle() {
    assert!(at_or_after(1, 0xffff_fff0));
    assert!(!at_or_after(0xffff_fff0, 1));
    assert!(at_or_after(7, 7));
    assert_eq!(next_id(u32::MAX), 1);
}

#[test]
fn a_finished_id_stays_finished_for_the_session() {
    for start in [1, 0xffff_fffd] {
        let mut w = begun(start);
        for n in 0..5000u32 {
            let ti = start.wrapping_add(n);
            assert_eq!(w.look(ti), Look::New, "{n}");
            w.heard(at(u64::from(n)), ti);
            w.open(ti);
            assert_eq!(w.look(ti), Look::Open);
            w.finish(ti);
        }
        for n in 0..5000u32 {
            assert_eq!(w.look(start.wrapping_add(n)), Look::Done, "{n}");
        }
    }
}

#[test]
fn ids_before_the_first_are_taken_late() {
    let mut w = begun(1000);
    w.open(1000);
    w.finish(1000);
    assert_eq!(w.look(990), Look::New);
    w.open(990);
    w.finish(990);
    assert_eq!(w.look(990), Look::Done);
    assert_eq!(w.look(1000 - MARGIN - 1), Look::Below);
}

#[test]
fn a_gap_holds_the_window_until_it_was_silent_for_long() {
    let mut w = begun(10);
    w.open(10);
    w.finish(10);
    let reach = 11 + WINDOW - 1;
    assert_eq!(w.look(reach), Look::New);
    assert_eq!(w.look(reach + 1), Look::Ahead, "11 was never seen");
    let mut t = 0;
    let mut ti = 12;
    while t < 29_000 {
        t += 500;
        w.heard(at(t), ti);
        w.open(ti);
        w.finish(ti);
        ti += 1;
    }
    assert_eq!(w.look(reach + 1), Look::Ahead);
    while t < 61_000 {
        t += 500;
        w.heard(at(t), ti);
        w.open(ti);
        w.finish(ti);
        ti += 1;
    }
    assert_eq!(w.look(reach + 1), Look::New, "11 was given up");
    w.open(reach + 1);
    assert_eq!(w.look(11), Look::Below, "and is never called done");
    assert_eq!(w.look(10), Look::Below);
    assert_eq!(w.look(12), Look::Done);
}

#[test]
fn silence_of_the_peer_gives_nothing_up() {
    let mut w = begun(10);
    w.open(10);
    w.finish(10);
    w.heard(at(3_600_000), 12);
    w.heard(at(7_200_000), 13);
    assert_eq!(w.look(11 + WINDOW), Look::Ahead);
}

#[test]
fn an_open_message_is_never_passed() {
    let mut w = begun(10);
    w.open(10);
    for n in 0..200 {
        w.heard(at(n * 1000), 11 + n as u32);
        w.open(11 + n as u32);
        w.finish(11 + n as u32);
    }
    assert_eq!(w.look(10 + WINDOW), Look::Ahead);
    w.finish(10);
    assert_eq!(w.look(10 + WINDOW), Look::New);
}

#[test]
fn what_ended_otherwise_is_not_called_done_later() {
    let mut w = begun(10);
    w.open(10);
    w.end(10);
    assert_eq!(w.look(10), Look::Over);
    for ti in 11..2000 {
        w.open(ti);
        w.finish(ti);
    }
    assert_eq!(w.look(10), Look::Below);
    assert_eq!(w.look(11), Look::Done);
}

#[test]
fn names_outlive_sessions_but_not_lives() {
    let (a, b) = ([1; 16], [2; 16]);
    let mut names = Names::new();
    assert!(!names.has(&a, 1));
    names.add(&a, 1);
    assert!(names.has(&a, 1));
    assert!(!names.has(&a, 2));
    assert!(!names.has(&b, 1));
    names.add(&a, 5000);
    assert!(
        names.has(&a, 1),
        "long behind the sender's span: only a repeat can bear it"
    );
    assert!(!names.has(&a, 4999));
    names.add(&b, 3);
    assert!(!names.has(&b, 2));
    assert!(names.has(&b, 3));
}

#[test]
fn a_leap_passes_what_was_never_begun() {
    // What comes before the first id passes freely, however far.
    let mut w = begun(0x7000_0000);
    assert_eq!(w.look(0x7000_0000 + WINDOW * 3), Look::Ahead);
    // Once the peer was heard for long, so does what it left out.
    for n in 1..200 {
        w.heard(at(n * 1000), 0x7000_0000 + WINDOW * 3);
    }
    let far = 0x7000_0000 + WINDOW * 3 - 1;
    assert_eq!(w.look(far), Look::New);
    w.open(far);
    assert_eq!(w.look(far), Look::Open);
    w.finish(far);
    assert_eq!(w.look(far), Look::Done);
    let passed = far - WINDOW;
    assert_eq!(
        w.look(passed),
        Look::Below,
        "nobody knows what became of it"
    );
    // Nor does what is passed come back.
    w.finish(passed);
    assert_eq!(w.look(passed), Look::Below);
}

#[test]
fn a_name_from_before_the_window_adds_nothing() {
    let life = [1; 16];
    let mut names = Names::new();
    names.add(&life, 5000);
    let before = names.clone();
    names.add(&life, 5000 - u64::from(SPAN) - 1);
    assert_eq!((names.base, names.done), (before.base, before.done));
}
