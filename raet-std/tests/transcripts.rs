//! The command as its user sees it: each transcript under `cmd` is carried out, and must come out as it
//! stands there. `TRYCMD=overwrite` writes down what came instead.
#![cfg(all(unix, feature = "cli"))]

#[test]
fn transcripts() {
    trycmd::TestCases::new().case("tests/cmd/*.trycmd");
}
