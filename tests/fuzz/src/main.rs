//! One fuzzer for all targets: `RAET_FUZZ_TARGET` names the one. See `run` beside this.
//!
//! The targets' files are taken in rather than the crate they belong to: all that this one needs beside the
//! engine would be built, with the fuzzer's eyes in it, and take minutes.
#![no_main]
#![allow(dead_code, unused_imports, reason = "the files serve more than this")]

#[path = "../../src/forge.rs"]
mod forge;
#[path = "../../src/fuzz/mod.rs"]
mod fuzz;
#[path = "../../src/puppet.rs"]
mod puppet;
#[path = "../../src/sim/mod.rs"]
mod sim;
#[path = "../../src/suite.rs"]
mod suite;

use std::sync::OnceLock;

use fuzz::TARGETS;
use libfuzzer_sys::fuzz_target;

static TARGET: OnceLock<fn(&[u8])> = OnceLock::new();

fuzz_target!(|bytes: &[u8]| {
    let target = TARGET.get_or_init(|| {
        let named = std::env::var("RAET_FUZZ_TARGET").unwrap_or_default();
        let found = TARGETS.iter().find(|(name, _)| *name == named);
        let names = TARGETS.map(|(name, _)| name).join(", ");
        found
            .unwrap_or_else(|| panic!("RAET_FUZZ_TARGET must be one of: {names}"))
            .1
    });
    target(bytes);
});
