//! One fuzzer for all targets: `RAET_FUZZ_TARGET` names the one. See `run` beside this.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use raet_tests::fuzz::TARGETS;

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
