//! The command `sim`: what it refuses, what it shows, and that looking changes nothing.

use std::process::{Command, Output};

use raet_tests::sim::run::{How, again};
use raet_tests::sim::tape::What;
use raet_tests::sim::{Options, Plan, Profile, Simulation, svg};

fn sim(arguments: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sim"));
    command.args(arguments.split(' '));
    match command.output() {
        Ok(output) => output,
        Err(why) => panic!("sim {arguments}: {why}"),
    }
}

#[test]
fn what_would_run_nothing_or_be_ignored_is_refused() {
    let refused = [
        ("--threads 0", "leave it out for all"),
        ("--minutes 0", "above 0"),
        ("--minutes nan", "above 0"),
        ("--minutes 1e30", "above 0"),
        ("--seeds 5..5", "FIRST..END"),
        ("--seed 1 --seeds 0..3", "cannot be used with"),
        ("--seed 1 --minutes 1", "cannot be used with"),
        ("--seed 1 --go-on", "cannot be used with"),
        ("--seed 1 --threads 2", "cannot be used with"),
        ("--seed 1 --steady --trace", "cannot be used with"),
        ("--seed 1 --trace --during 5..1", "FROM..TO"),
        ("--seed 1 --during 0..1", "--trace"),
        ("--profile scale --seed 1", "give --profile scale alone"),
    ];
    for (arguments, why) in refused {
        let output = sim(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "sim {arguments}: {said}");
        assert!(said.contains(why), "sim {arguments}: {said}");
    }
}

#[test]
fn the_commands_that_repeat_a_seed_are_taken() {
    let once = |restless, storage| How::Once { restless, storage };
    let heap = Some(raet_tests::sim::engine::Kind::Heap);
    for how in [How::AS_IS, once(Some(7), heap), How::Steady] {
        let command = again(Profile::Calm, 3, how);
        let arguments = command.split_once("-- ").map_or("", |(_, all)| all);
        let output = sim(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "sim {arguments}: {said}");
    }
}

#[test]
fn however_short_the_time_a_seed_is_run() {
    let output = sim("--minutes 0.00000001 --seeds 0..1000000 --threads 1");
    let summary = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{summary}");
    assert!(summary.starts_with("seeds        1\n"), "{summary}");
}

fn traced(seed: u64, profile: Profile, trace: bool) -> Simulation {
    let options = Options {
        trace,
        ..Options::default()
    };
    let mut world = Simulation::new(Plan::draw(seed, profile), options);
    if let Err(violation) = world.run() {
        panic!("{violation}");
    }
    world
}

#[test]
fn to_look_at_a_world_does_not_change_it() {
    for profile in [Profile::Calm, Profile::Swarm, Profile::Hostile] {
        for seed in 0..10 {
            let digest = |trace| traced(seed, profile, trace).report().digest;
            assert_eq!(digest(false), digest(true), "{} {seed}", profile.as_str());
        }
    }
}

#[test]
fn a_course_parts_from_another_where_they_differ_and_not_from_itself() {
    let world = |seed| traced(seed, Profile::Swarm, true);
    let (one, same, other) = (world(1), world(1), world(2));
    assert_eq!(one.tape().parting(same.tape()), None);
    let parting = one.tape().parting(other.tape());
    let [here, there] = parting.expect("two seeds are two courses");
    assert_ne!(here, there);
}

#[test]
fn traces_and_pictures_name_attackers_and_what_was_damaged() {
    let hostile = traced(7, Profile::Hostile, true);
    let tape = hostile.tape();
    let texts = |tape: &raet_tests::sim::tape::Tape| -> Vec<String> {
        tape.lines().iter().map(|line| tape.text(line)).collect()
    };
    let all = texts(tape).join("\n");
    assert!(all.contains("off path → ") && all.contains("insider puppet-0 → "));
    let picture = svg::draw(tape, "hostile", 0, 300_000);
    assert!(picture.contains(">off path</text>") && picture.contains(">insider puppet-0</text>"));

    let damaged = |swarm: &Simulation| {
        swarm.tape().lines().iter().any(
            |line| matches!(&line.what, What::Arrived { packet, .. } if packet.damaged && packet.head.is_some()),
        )
    };
    let mut swarms = (0..20).map(|seed| traced(seed, Profile::Swarm, true));
    let swarm = swarms
        .find(damaged)
        .expect("one of twenty worlds damages a packet");
    let all = texts(swarm.tape()).join("\n");
    assert!(all.contains(" damaged ") && !all.contains("RemoteId"));
}
