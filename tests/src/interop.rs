//! The oracle: RAET 0.6.8 in Python as a process, steered over its standard streams.
//!
//! Only talking to such a process lives here; what it is asked and what must come of it is the tests'
//! affair. `tests/interop/README.md` lists the commands and events. The virtual environment comes from
//! `cargo run -p raet-tests --bin interop-setup`.
//!
//! A test begins so, which skips it loudly where the environment is missing:
//!
//! ```no_run
//! use raet_tests::interop;
//! use serde_json::json;
//!
//! let Some(python) = interop::available() else { return };
//! let mut main = python.spawn("main");
//! let road = main.start_road(json!({"name": "main", "main": true, "auto": "always"}));
//! println!("listens at {}", road.address);
//! ```
//!
//! Whatever goes wrong here panics at the caller's line and shows the peer's last events and what it
//! wrote to its standard error.

use std::collections::VecDeque;
use std::env;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

/// How long a reply, or the end of a process, may take. Only against hanging: nothing is measured by it.
const PATIENCE: Duration = Duration::from_secs(30);

/// How much of a peer's standard error is kept, in bytes; the rest is read and dropped.
const STDERR_KEPT: usize = 64 * 1024;

/// How many events a failure shows, the newest ones.
const EVENTS_SHOWN: usize = 12;

/// The command that makes the virtual environment.
pub const SETUP: &str = "cargo run -p raet-tests --bin interop-setup";

/// The folder of the peer's files in this repository.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("interop")
}

/// The folder of the virtual environment. It stays here wherever cargo's own output goes, so that one
/// setup serves every target directory.
pub fn venv() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .with_file_name("target")
        .join("interop-venv")
}

/// The file that tells that the virtual environment is complete, and what it was made from.
pub fn stamp() -> PathBuf {
    venv().join("raet-pins.txt")
}

/// The environment's interpreter, or `None` where there is none, after having said so.
///
/// # Panics
///
/// Instead of returning `None`, if `RAET_REQUIRE_INTEROP` is `1`.
pub fn available() -> Option<Python> {
    let python = installed();
    if python.is_some() {
        return python;
    }
    let test = thread::current().name().unwrap_or("a test").to_owned();
    let missing = format!("{test} needs Python RAET 0.6.8; set it up with: {SETUP}");
    assert!(!required(), "{missing}");
    // Not `eprintln`, which the test harness swallows for tests that pass. A closed standard error
    // must not fail a test.
    let _ = writeln!(std::io::stderr(), "\nSKIPPED: {missing}");
    None
}

/// The environment's interpreter, or `None` where there is none: for who says so in an own way.
pub fn installed() -> Option<Python> {
    let interpreter = venv().join("bin/python");
    (stamp().is_file() && interpreter.is_file()).then_some(Python { interpreter })
}

/// Whether a test may not be skipped for want of the environment.
pub fn required() -> bool {
    env::var("RAET_REQUIRE_INTEROP").is_ok_and(|value| value == "1")
}

/// An interpreter that can import RAET 0.6.8.
#[derive(Clone, Debug)]
pub struct Python {
    interpreter: PathBuf,
}

impl Python {
    /// Where it is, for running something other than a peer.
    pub fn interpreter(&self) -> &Path {
        &self.interpreter
    }

    /// Starts a peer, which yet has no stack. Failures call it `label`.
    #[track_caller]
    pub fn spawn(&self, label: &str) -> Peer {
        Peer::spawn(self, label)
    }

    /// Processor time in microseconds that the reference takes for a message of 100 bytes, both
    /// sides, over loopback sockets.
    ///
    /// # Panics
    ///
    /// When the reference cannot be run.
    pub fn bench(&self, messages: u32) -> f64 {
        let output = Command::new(&self.interpreter)
            .arg(folder().join("bench_peer.py"))
            .arg(messages.to_string())
            .output()
            .expect("the interpreter of the environment runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "the reference failed: {said}");
        let result: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
        result["cpu_us"].as_f64().expect("a number")
    }
}

/// What a road tells when it has started.
#[derive(Clone, Debug)]
pub struct Road {
    /// Where its socket is bound.
    pub address: SocketAddr,
    /// The estate's name.
    pub name: String,
    /// Its Ed25519 verify key, 64 hex digits.
    pub verify_hex: String,
    /// Its X25519 public key, 64 hex digits.
    pub public_hex: String,
}

/// A running peer. It is stopped when dropped, and killed if it does not stop.
#[derive(Debug)]
pub struct Peer {
    label: String,
    child: Child,
    /// `None` once closed, which asks the process to stop.
    stdin: Option<ChildStdin>,
    lines: Receiver<Value>,
    /// Events that came and were not asked for yet, oldest first.
    waiting: VecDeque<Value>,
    stderr: Arc<Mutex<String>>,
    commands: u64,
    may_crash: bool,
}

impl Peer {
    /// Starts a peer, which yet has no stack. Failures call it `label`.
    #[track_caller]
    pub fn spawn(python: &Python, label: &str) -> Self {
        let mut command = Command::new(&python.interpreter);
        command.arg(folder().join("raet_peer.py"));
        Self::of(command, label)
    }

    /// As [`Peer::spawn`], but of any program that takes the same commands.
    #[track_caller]
    pub fn of(mut command: Command, label: &str) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{label}: {command:?}: {e}"));
        let (lines_in, lines) = channel();
        let stderr = Arc::new(Mutex::new(String::new()));
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(out), Some(err)) = pipes else {
            unreachable!("all three were asked for as pipes")
        };
        thread::spawn(move || read_events(out, &lines_in));
        let kept = Arc::clone(&stderr);
        thread::spawn(move || read_stderr(err, &kept));

        let mut peer = Self {
            label: label.to_owned(),
            child,
            stdin: Some(stdin),
            lines,
            waiting: VecDeque::new(),
            stderr,
            commands: 0,
            may_crash: false,
        };
        peer.wait_for(is("hello"), PATIENCE);
        peer
    }

    /// The peer's process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Starts a road with the fields of `options`, which must have a `name`.
    #[track_caller]
    pub fn start_road(&mut self, options: Value) -> Road {
        let reply = self.start("road", options);
        let text = |field: &str| reply[field].as_str().unwrap_or_default().to_owned();
        let Some(address) = address(&reply["ha"]) else {
            self.fail(&format!("no address in {reply}"))
        };
        Road {
            address,
            name: text("name"),
            verify_hex: text("verhex"),
            public_hex: text("pubhex"),
        }
    }

    /// Starts a lane with the fields of `options`, which must have a `name`. Returns its socket's path.
    #[track_caller]
    pub fn start_lane(&mut self, options: Value) -> PathBuf {
        let reply = self.start("lane", options);
        match reply["ha"].as_str() {
            Some(path) => PathBuf::from(path),
            None => self.fail(&format!("no socket path in {reply}")),
        }
    }

    /// Carries out a command (an object with `cmd`) and returns its reply. What else comes meanwhile
    /// waits for [`Peer::wait_for`].
    #[track_caller]
    pub fn command(&mut self, command: Value) -> Value {
        match self.try_command(command) {
            Ok(reply) => reply,
            Err(refused) => self.fail(&refused),
        }
    }

    /// As [`Peer::command`], for commands that the peer may refuse.
    ///
    /// # Errors
    ///
    /// The command and the peer's reason, if it refuses.
    #[track_caller]
    pub fn try_command(&mut self, command: Value) -> Result<Value, String> {
        self.commands += 1;
        let id = self.commands;
        let mut fields = self.object(command);
        let name = fields.get("cmd").cloned().unwrap_or_default();
        fields.insert("id".into(), id.into());
        let line = Value::Object(fields).to_string();
        let written = match &mut self.stdin {
            Some(stdin) => writeln!(stdin, "{line}").and_then(|()| stdin.flush()),
            None => self.fail("is stopped"),
        };
        if let Err(e) = written {
            self.fail(&format!("does not listen: {e}"));
        }
        let reply = self.wait_for(|event| is("reply")(event) && event["id"] == id, PATIENCE);
        if reply["ok"] == true {
            Ok(reply)
        } else {
            Err(format!("refused {name}: {}", reply["error"]))
        }
    }

    /// Takes the first event, past or to come, that `wanted` accepts; others go on waiting. `bound` is
    /// there against hanging only.
    ///
    /// Unless it is wanted, a `crash` event fails: the reference threw.
    #[track_caller]
    pub fn wait_for(&mut self, wanted: impl Fn(&Value) -> bool, bound: Duration) -> Value {
        let end = Instant::now() + bound;
        if let Some(event) = self.take_waiting(&wanted) {
            return event;
        }
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            match self.lines.recv_timeout(left) {
                Ok(event) if wanted(&event) => return event,
                Ok(event) => self.set_aside(event),
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => self.fail("ended"),
            }
        }
        self.fail(&format!("nothing that was waited for came in {bound:?}"))
    }

    /// As [`Peer::wait_for`], but takes only what has come already: for a test that has a stack of its own
    /// to drive.
    #[track_caller]
    pub fn poll_for(&mut self, wanted: impl Fn(&Value) -> bool) -> Option<Value> {
        if let Some(event) = self.take_waiting(&wanted) {
            return Some(event);
        }
        loop {
            match self.lines.try_recv() {
                Ok(event) if wanted(&event) => return Some(event),
                Ok(event) => self.set_aside(event),
                Err(TryRecvError::Empty) => return None,
                Err(TryRecvError::Disconnected) => self.fail("ended"),
            }
        }
    }

    /// Takes every event that has come and was not asked for, oldest first.
    #[track_caller]
    pub fn drain(&mut self) -> Vec<Value> {
        // Nothing is accepted, so that all that came is set aside.
        let _ = self.poll_for(|_| false);
        self.waiting.drain(..).collect()
    }

    /// Ends the stack without a farewell. The process can start the next one; nothing of this one is
    /// waiting any more.
    #[track_caller]
    pub fn close(&mut self) {
        self.command(serde_json::json!({"cmd": "close"}));
        // Its events came before the reply.
        self.drain();
        self.may_crash = false;
    }

    /// Stops the process and waits for its end, which must be a good one.
    #[track_caller]
    pub fn stop(mut self) {
        self.command(serde_json::json!({"cmd": "stop"}));
        self.wait_for(is("stopped"), PATIENCE);
        self.stdin = None;
        match self.child.wait() {
            Ok(status) if status.success() => {}
            Ok(status) => self.fail(&format!("ended with {status}")),
            Err(e) => self.fail(&format!("cannot be waited for: {e}")),
        }
    }

    /// Kills the process, as a power cut would: no farewell, and a temporary keep stays behind. Returns
    /// the events that it had told and nobody asked for, oldest first.
    #[track_caller]
    pub fn kill(mut self) -> Vec<Value> {
        if let Err(e) = self.child.kill().and_then(|()| self.child.wait()) {
            self.fail(&format!("cannot be killed: {e}"));
        }
        while let Ok(event) = self.lines.recv_timeout(PATIENCE) {
            // Its last line may be cut.
            if !is("unreadable")(&event) {
                self.waiting.push_back(event);
            }
        }
        self.waiting.drain(..).collect()
    }

    /// Until its stack is closed, that the reference throws is no failure of the test.
    pub fn may_crash(&mut self) {
        self.may_crash = true;
    }

    /// How many events of this kind have come and were not asked for. They go on waiting.
    #[track_caller]
    pub fn count(&mut self, wanted: impl Fn(&Value) -> bool) -> u64 {
        // Nothing is accepted, so that all that came is set aside.
        let _ = self.poll_for(|_| false);
        self.waiting.iter().filter(|event| wanted(event)).count() as u64
    }

    #[track_caller]
    fn start(&mut self, kind: &str, options: Value) -> Value {
        let mut fields = self.object(options);
        fields.insert("cmd".into(), "start".into());
        fields.insert("kind".into(), kind.into());
        self.command(Value::Object(fields))
    }

    #[track_caller]
    fn object(&self, value: Value) -> Map<String, Value> {
        match value {
            Value::Object(fields) => fields,
            other => self.fail(&format!("a command is an object, not {other}")),
        }
    }

    fn take_waiting(&mut self, wanted: impl Fn(&Value) -> bool) -> Option<Value> {
        let at = self.waiting.iter().position(wanted)?;
        self.waiting.remove(at)
    }

    #[track_caller]
    fn set_aside(&mut self, event: Value) {
        let crashed = is("crash")(&event) && !self.may_crash || is("unreadable")(&event);
        self.waiting.push_back(event);
        if crashed {
            self.fail("crashed");
        }
    }

    #[track_caller]
    fn fail(&self, what: &str) -> ! {
        panic!("peer {}: {what}{}", self.label, self.story())
    }

    /// The newest events that nobody asked for, and the standard error.
    fn story(&self) -> String {
        let skipped = self.waiting.len().saturating_sub(EVENTS_SHOWN);
        let events = self.waiting.iter().skip(skipped);
        let events: Vec<String> = events.map(|event| format!("    {event}\n")).collect();
        let stderr = self.stderr.lock().unwrap_or_else(PoisonError::into_inner);
        format!(
            "\n  its last events not asked for:\n{}  its stderr:\n{}",
            events.concat(),
            stderr.trim_end()
        )
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if thread::panicking() {
            // For assertions of the test itself, which know nothing of the peer.
            eprintln!("peer {}:{}", self.label, self.story());
        }
        // End of input asks it to stop, which removes its temporary keep; end of output says it did.
        self.stdin = None;
        let end = Instant::now() + PATIENCE;
        let mut stopped = false;
        while !stopped && let Some(left) = end.checked_duration_since(Instant::now()) {
            stopped = self.lines.recv_timeout(left) == Err(RecvTimeoutError::Disconnected);
        }
        if !stopped {
            // Fails only if it has ended by itself.
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

/// Accepts the events called `ev`.
pub fn is(ev: &str) -> impl Fn(&Value) -> bool {
    move |event| event["ev"] == ev
}

/// Accepts the event of a remote that is joined, allowed and alive.
pub fn is_alive(event: &Value) -> bool {
    let up = |state: &str| event[state] == true;
    is("remote")(event) && up("joined") && up("allowed") && up("alived")
}

/// Reads an address as the peer writes it: `[host, port]`.
pub fn address(ha: &Value) -> Option<SocketAddr> {
    let host: IpAddr = ha.get(0)?.as_str()?.parse().ok()?;
    let port = u16::try_from(ha.get(1)?.as_u64()?).ok()?;
    Some(SocketAddr::new(host, port))
}

fn read_events(from: ChildStdout, to: &Sender<Value>) {
    for line in BufReader::new(from).lines() {
        let Ok(line) = line else { return };
        let event = serde_json::from_str(&line)
            .unwrap_or_else(|_| serde_json::json!({"ev": "unreadable", "line": line}));
        if to.send(event).is_err() {
            return;
        }
    }
}

fn read_stderr(mut from: ChildStderr, to: &Mutex<String>) {
    let mut chunk = [0; 4096];
    while let Ok(len @ 1..) = from.read(&mut chunk) {
        let mut kept = to.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < STDERR_KEPT {
            kept.push_str(&String::from_utf8_lossy(
                chunk.get(..len).unwrap_or_default(),
            ));
        }
    }
}
