//! The README's example with Python is a program that is there, and it works.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use raet_core::config::{Config, Trust};
use raet_core::crypto::Secrets;
use raet_core::storage::{Heap, Storage};
use raet_tests::interop;
use raet_tests::live::Estate;

#[test]
fn the_example_of_the_readme_is_the_one_that_is_tried() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("README.md");
    let readme = fs::read_to_string(readme).expect("the README can be read");
    let program = fs::read_to_string(interop::folder().join("hello.py")).expect("it is there");
    let (_, rest) = readme.split_once("```python\n").expect("an example");
    let (example, _) = rest.split_once("```").expect("its end");
    assert!(example.lines().count() > 10);
    let mut lines = program.lines();
    for shown in example.lines() {
        assert!(lines.any(|line| line == shown), "not in hello.py: {shown}");
    }
}

#[test]
fn the_example_of_the_readme_delivers() {
    let Some(python) = interop::available() else {
        return;
    };
    let secrets = Secrets::new(&[0x61; 32], &[0x62; 32]);
    let mut config = Config::new("hub".try_into().expect("a short name"), secrets);
    config.main = true;
    config.trust = Trust::Once;
    let mut hub = Estate::<Heap>::new(config, Heap::LIMITS, [0x63; 32]);
    let mut program = Command::new(python.interpreter())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .arg(interop::folder().join("hello.py"))
        .args([
            hub.address().ip().to_string(),
            hub.address().port().to_string(),
        ])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the interpreter starts");
    // It gives up by itself.
    let bound = Instant::now() + Duration::from_secs(60);
    let status = loop {
        hub.step(Duration::from_millis(20));
        if let Some(status) = program.try_wait().expect("it is ours to wait for") {
            break status;
        }
        assert!(Instant::now() < bound, "hello.py does not end");
    };
    assert!(status.success(), "hello.py: {status}");
    let [message] = hub.messages.as_slice() else {
        panic!("not one message: {:?}", hub.messages);
    };
    assert_eq!(message.from, "snake");
    assert_eq!(message.body, br#"{"hello":"from Python"}"#);
}
