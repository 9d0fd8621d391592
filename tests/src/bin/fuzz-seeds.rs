//! Writes what a fuzzer of each target can start from: what the recordings say, cut as the target reads it,
//! and choices for the engine's estates.

use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use raet_core::wire::{Frame, PacketKind, TransactionKind};
use raet_tests::fuzz::TARGETS;
use raet_tests::sim::Rng;
use raet_tests::vectors;

/// Makes corpora for the fuzzers from the recorded sessions, a folder for each target.
#[derive(Parser)]
#[command(name = "fuzz-seeds")]
struct Arguments {
    /// Where the targets' folders are, or are to be.
    folder: PathBuf,
    /// How many courses of the engine's estates to draw.
    #[arg(long, default_value_t = 300)]
    courses: u64,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(what) => {
            eprintln!("fuzz-seeds: {what}; give a folder that can be written");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> std::io::Result<()> {
    for (target, _) in TARGETS {
        fs::create_dir_all(arguments.folder.join(target))?;
    }
    let put = |target: &str, bytes: &[u8]| put(&arguments.folder.join(target), bytes);
    for recording in vectors::road() {
        for datagram in recording.of_kind("datagram") {
            let bytes = vectors::bytes(&datagram["raw"]);
            put("packet", &bytes)?;
            let Ok(frame) = Frame::parse(&bytes) else {
                continue;
            };
            let body = bytes.get(frame.coat()).unwrap_or_default();
            let target = match (frame.head.transaction, frame.head.packet) {
                (TransactionKind::Join, _) => "join",
                (TransactionKind::Allow, _) => "handshake",
                (_, PacketKind::Resend) => "misseds",
                _ => continue,
            };
            if !body.is_empty() {
                put(target, body)?;
            }
        }
    }
    for course in 0..arguments.courses {
        let mut rng = Rng::new(course);
        // Short ones too: what they leave open, chance decides.
        let len = 8 << rng.below(6);
        let bytes: Vec<u8> = (0..len).map(|_| rng.bits() as u8).collect();
        put("engine", &bytes)?;
        put("keep", bytes.get(..16).unwrap_or(&bytes))?;
    }
    Ok(())
}

/// Under the name of a hash, so that the same bytes are there once.
fn put(folder: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    fs::write(folder.join(format!("{:016x}", hasher.finish())), bytes)
}
