//! A node: QEMU with the firmware in it.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::{NODE, PATIENCE};

/// QEMU with the firmware in it. Killed when dropped.
pub(crate) struct Node {
    child: Child,
    lines: Receiver<String>,
}

impl Node {
    /// Starts it on a board, with what its flash holds and the port at which it finds its main estate.
    pub(crate) fn start(board: &str, image: &Path, port: u16, flash: &Path) -> Self {
        let arguments = format!(
            "enable=on,target=native,chardev=console,arg={port},arg={NODE},arg={}",
            flash.display()
        );
        let mut child = Command::new("qemu-system-arm")
            .args(["-M", board, "-display", "none", "-monitor", "none"])
            .args(["-serial", "null", "-nic", "user,mac=52:54:00:12:34:56"])
            .args(["-chardev", "stdio,id=console,signal=off"])
            .args(["-semihosting-config", &arguments, "-kernel"])
            .arg(image)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("QEMU was there a moment ago");
        let out = child.stdout.take().expect("asked for as a pipe");
        let (lines_in, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                println!("    node: {line}");
                if lines_in.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    /// Waits until the node says this.
    pub(crate) fn says(&mut self, wanted: &str) {
        let end = Instant::now() + PATIENCE;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            match self.lines.recv_timeout(left) {
                Ok(line) if line == wanted => return,
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => panic!("the node ended"),
            }
        }
        panic!("the node did not say {wanted:?}");
    }

    /// Waits for its end, which must be a good one.
    pub(crate) fn ends(mut self) {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            match self.child.try_wait().expect("a child can be waited for") {
                Some(status) => {
                    assert!(status.success(), "the node ended with {status}");
                    // Its last lines.
                    while self.lines.recv().is_ok() {}
                    return;
                }
                None => thread::sleep(Duration::from_millis(20)),
            }
        }
        panic!("the node does not end");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Fails only if it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
