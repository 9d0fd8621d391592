//! A node without an operating system against a main estate with one: builds the firmware, runs it in QEMU, and
//! takes it through its life.
//!
//!     cargo run -p raet-tests --bin firmware -- [--board lm3s6965evb|mps2-an385] [--image node|embassy]
//!         [--target thumbv7m-none-eabi] [--main rust|python] [--loss PERCENT]
//!
//! Exit status 0: all went as it must. 1: it did not. 77: QEMU, a compiler for the board or Python RAET is
//! missing, which is an error where `RAET_REQUIRE_FIRMWARE=1`.

use std::collections::VecDeque;
use std::env;
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use raet_core::config::{Presence, Trust};
use raet_core::crypto::Secrets;
use raet_core::event::RemoteEvent;
use raet_core::keep::{MemoryKeep, Record};
use raet_std::keep::Kept;
use raet_std::{Body, Event, Incoming, Keep, Road, Shutdown};
use raet_tests::interop::{self, Peer, Python, is};
use raet_tests::live::lossy;
use serde_json::{Value, json};

const NODE: &str = "node7";

/// Bytes of the longest message, as the firmware has it.
const LONG: usize = 4096;

/// How long one step may take. Only against hanging: nothing is measured by it.
const PATIENCE: Duration = Duration::from_secs(40);

/// Messages that the node can have under way at once.
const IN_FLIGHT: u32 = 4;

/// How often a command is sent again that stays without its answer.
const AGAIN: Duration = Duration::from_secs(10);

/// What the command line asks for.
struct Options {
    board: String,
    image: String,
    target: String,
    python: bool,
    loss: u64,
}

fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => options,
        Err(why) => {
            eprintln!("firmware: {why}");
            return ExitCode::from(2);
        }
    };
    let (image, python) = match prepare(&options) {
        Ok(prepared) => prepared,
        Err(Missing::Broken(why)) => {
            eprintln!("firmware: {why}");
            return ExitCode::FAILURE;
        }
        Err(Missing::Tool(what)) => {
            eprintln!("SKIPPED: the firmware needs {what}");
            let required = env::var("RAET_REQUIRE_FIRMWARE").is_ok_and(|value| value == "1");
            return ExitCode::from(if required { 1 } else { 77 });
        }
    };
    let began = Instant::now();
    run(&options, &image, python.as_ref());
    println!("all went well, in {:.1} s", began.elapsed().as_secs_f64());
    ExitCode::SUCCESS
}

fn options() -> Result<Options, String> {
    let mut options = Options {
        board: String::new(),
        image: "node".to_owned(),
        target: "thumbv7m-none-eabi".to_owned(),
        python: false,
        loss: 0,
    };
    let mut words = env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().ok_or(format!("{word} wants a value"))?;
        match word.as_str() {
            "--board" => options.board = value,
            "--image" => options.image = value,
            "--target" => options.target = value,
            "--main" if value == "rust" => options.python = false,
            "--main" if value == "python" => options.python = true,
            "--loss" => options.loss = value.parse().map_err(|_| "--loss wants a number")?,
            _ => return Err(format!("{word} {value} is not understood")),
        }
    }
    if options.board.is_empty() {
        let board = match options.image.as_str() {
            "embassy" => "mps2-an385",
            _ => "lm3s6965evb",
        };
        board.clone_into(&mut options.board);
    }
    Ok(options)
}

/// Why nothing can be tried.
enum Missing {
    /// This machine lacks it.
    Tool(&'static str),
    Broken(String),
}

/// Builds the image, and looks whether all that it meets is there.
fn prepare(options: &Options) -> Result<(PathBuf, Option<Python>), Missing> {
    let found = Command::new("qemu-system-arm").arg("--version").output();
    if found.is_err() {
        return Err(Missing::Tool(
            "qemu-system-arm (Debian: the package of that name)",
        ));
    }
    let python = if options.python {
        Some(interop::available().ok_or(Missing::Tool("Python RAET 0.6.8"))?)
    } else {
        None
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("raet-embedded/firmware");
    let into = env::var_os("CARGO_TARGET_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("target"),
        PathBuf::from,
    );
    let into = into.join("firmware");
    let features = match options.image.as_str() {
        "embassy" => format!("{},embassy", options.board),
        _ => options.board.clone(),
    };
    let built = Command::new(folder.join("build"))
        .args(["--release", "--locked", "--bin", &options.image])
        .args(["--features", &features])
        .env("TARGET", &options.target)
        .env("CARGO_TARGET_DIR", &into)
        .status();
    match built.map(|status| status.code()) {
        Ok(Some(0)) => {}
        Ok(Some(77)) => return Err(Missing::Tool("a compiler for the board, see above")),
        _ => return Err(Missing::Broken("the image does not build".to_owned())),
    }
    let image = into
        .join(&options.target)
        .join("release")
        .join(&options.image);
    Ok((image, python))
}

/// The node's life. Panics where it goes wrong.
fn run(options: &Options, image: &Path, python: Option<&Python>) {
    let folder = tempfile::tempdir().expect("a folder of our own");
    let mut main = match python {
        Some(python) => Main::Python(Box::new(PythonMain::start(python, folder.path()))),
        None => Main::Rust(Box::new(RustMain::start())),
    };
    let port = relay(main.address(), options.loss);
    let start = || Node::start(options, image, port, &folder.path().join("flash"));

    step("a new node joins, proves its keys and sends readings");
    let mut node = start();
    main.reading_from(0);
    step("it obeys a command");
    main.obeyed(&json!({"do": "blink", "times": 3}));
    step("4 KiB there and 4 KiB back, in segments");
    main.long();
    step("it falls silent, and answers whether it is there");
    main.presence();
    step("the main estate restarts");
    main.restart();
    main.reading_from(1);
    main.obeyed(&json!({"do": "blink", "times": 4}));
    step("the node resets itself");
    main.send(&json!({"do": "reset"}));
    node.says("reset");
    main.reading_from(0);
    main.obeyed(&json!({"do": "blink", "times": 5}));
    step("its power is cut");
    drop(node);
    let node = start();
    main.reading_from(0);
    main.long();
    step("it is told to stop");
    main.send(&json!({"do": "stop"}));
    node.ends();
}

fn step(what: &str) {
    println!("--- {what}");
}

/// Passes datagrams between a node and its main estate, and loses some. Returns the port for the node.
fn relay(main: SocketAddr, loss: u64) -> u16 {
    let near = UdpSocket::bind("127.0.0.1:0").expect("loopback has a free port");
    let far = UdpSocket::bind("127.0.0.1:0").expect("loopback has a free port");
    let port = near
        .local_addr()
        .expect("a bound socket has an address")
        .port();
    // A node that was reset comes from another port of QEMU's.
    let node = Arc::new(Mutex::new(None));
    let pass = |from: &UdpSocket, to: &UdpSocket| {
        let clone = |socket: &UdpSocket| socket.try_clone().expect("a second handle");
        (clone(from), clone(to), Arc::clone(&node))
    };
    let out = pass(&near, &far);
    thread::spawn(move || {
        let (near, far, node) = out;
        let mut lose = lossy(5, loss);
        let mut datagram = [0; 2048];
        while let Ok((len, from)) = near.recv_from(&mut datagram) {
            *node.lock().unwrap_or_else(PoisonError::into_inner) = Some(from);
            let datagram = datagram.get(..len).unwrap_or_default();
            if !lose(raet_tests::live::Way::Out, datagram) {
                // A main estate that is down is no more than a lost datagram.
                let _ = far.send_to(datagram, main);
            }
        }
    });
    let back = pass(&far, &near);
    thread::spawn(move || {
        let (far, near, node) = back;
        let mut lose = lossy(6, loss);
        let mut datagram = [0; 2048];
        loop {
            // An error is the word that the main estate is down.
            let Ok((len, _)) = far.recv_from(&mut datagram) else {
                continue;
            };
            let datagram = datagram.get(..len).unwrap_or_default();
            let to = *node.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(to) = to.filter(|_| !lose(raet_tests::live::Way::In, datagram)) {
                // As above.
                let _ = near.send_to(datagram, to);
            }
        }
    });
    port
}

/// QEMU with the firmware in it. Killed when dropped.
struct Node {
    child: Child,
    lines: Receiver<String>,
}

impl Node {
    fn start(options: &Options, image: &Path, port: u16, flash: &Path) -> Self {
        let arguments = format!(
            "enable=on,target=native,chardev=console,arg={port},arg={NODE},arg={}",
            flash.display()
        );
        let mut child = Command::new("qemu-system-arm")
            .args(["-M", &options.board, "-display", "none", "-monitor", "none"])
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
    fn says(&mut self, wanted: &str) {
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
    fn ends(mut self) {
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

/// The main estate, of either kind.
enum Main {
    Rust(Box<RustMain>),
    Python(Box<PythonMain>),
}

impl Main {
    fn address(&self) -> SocketAddr {
        match self {
            Self::Rust(main) => main.road.local_addr(),
            Self::Python(main) => main.address,
        }
    }

    /// The next message of the node, if one comes soon.
    fn next(&mut self) -> Option<Value> {
        let message = match self {
            Self::Rust(main) => main.next(),
            Self::Python(main) => main.next(),
        };
        if let Some(message) = &message {
            let text = message.to_string();
            match text.get(..72) {
                Some(start) if text.len() > 80 => println!("    main: {start}..."),
                _ => println!("    main: {text}"),
            }
        }
        message
    }

    fn send(&mut self, body: &Value) {
        match self {
            Self::Rust(main) => main.send(body),
            Self::Python(main) => main.send(body),
        }
    }

    fn restart(&mut self) {
        match self {
            Self::Rust(main) => main.restart(),
            Self::Python(main) => main.restart(),
        }
    }

    #[track_caller]
    fn until<R>(
        &mut self,
        what: &str,
        mut wanted: impl FnMut(&mut Self, &Value) -> Option<R>,
    ) -> R {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if let Some(message) = self.next()
                && let Some(found) = wanted(self, &message)
            {
                return found;
            }
        }
        panic!("no {what} in {PATIENCE:?}");
    }

    /// Waits for three readings: the first of them `first`, or any if that is not 0.
    #[track_caller]
    fn reading_from(&mut self, first: u64) {
        let mut last = None;
        let mut left = 3;
        self.until("readings", |_, message| {
            let number = message["reading"].as_u64()?;
            if first == 0 && last.is_none() && number != 0 {
                return None; // of its earlier life
            }
            assert!(last < Some(number), "a reading came twice");
            last = Some(number);
            left -= 1;
            (left == 0).then_some(())
        });
    }

    /// Sends a command until it is answered.
    #[track_caller]
    fn obeyed(&mut self, command: &Value) {
        let text = command.to_string();
        let sum: u64 = text.bytes().map(u64::from).sum();
        let answer = json!({"took": text.len(), "sum": sum});
        self.send(command);
        let mut sent = Instant::now();
        self.until("answer", |main, message| {
            if *message == answer {
                return Some(());
            }
            if sent.elapsed() > AGAIN {
                sent = Instant::now();
                main.send(command);
            }
            None
        });
    }

    /// A message of the largest size there, and one back.
    #[track_caller]
    fn long(&mut self) {
        let without = json!({"do": "long", "pad": ""}).to_string().len();
        let pad = "x".repeat(LONG - without);
        self.obeyed(&json!({"do": "long", "pad": pad}));
        let letters = self.until("long message", |_, message| {
            message["long"].as_str().map(str::to_owned)
        });
        assert_eq!(letters.len() + json!({"long": ""}).to_string().len(), LONG);
        let right = letters.bytes().zip((b'a'..=b'z').cycle());
        assert!(right.into_iter().all(|(is, must)| is == must));
    }

    /// The node says nothing for a while, and is asked for a sign of life.
    #[track_caller]
    fn presence(&mut self) {
        self.obeyed(&json!({"do": "quiet"}));
        let mut before = self.asked();
        // What it had sent before may come yet: a lost packet is sent again.
        let mut late = IN_FLIGHT;
        let end = Instant::now() + PATIENCE;
        while self.signs() <= before {
            assert!(Instant::now() < end, "no sign of life in {PATIENCE:?}");
            if let Some(message) = self.next() {
                assert_ne!(late, 0, "it is not quiet, and says {message}");
                late -= 1;
                before = self.asked();
            }
        }
        println!("    main: it answers");
    }

    /// Asks the node for a sign of life. Returns how many there were.
    fn asked(&mut self) -> u64 {
        let before = self.signs();
        if let Self::Python(main) = self {
            // It asks of itself only after seconds; ours does so twice a second.
            main.peer.command(json!({"cmd": "alive", "name": NODE}));
        }
        before
    }

    /// What grows with each sign of life, as long as no message comes.
    fn signs(&mut self) -> u64 {
        match self {
            Self::Rust(main) => {
                let node = main.road.find(NODE).and_then(|id| main.road.remote(id));
                node.map_or(0, |node| node.heard.as_micros())
            }
            Self::Python(main) => {
                let stats = main.peer.command(json!({"cmd": "stats"}));
                stats["stats"]["alive_complete"].as_u64().unwrap_or(0)
            }
        }
    }
}

/// A main estate of this implementation, with a keep in memory.
struct RustMain {
    road: Road,
    address: SocketAddr,
    keep: SharedKeep,
}

impl RustMain {
    fn start() -> Self {
        let keep = SharedKeep::default();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let road = Self::open(any, keep.clone());
        Self {
            address: road.local_addr(),
            road,
            keep,
        }
    }

    fn open(address: SocketAddr, keep: SharedKeep) -> Road {
        Road::builder("main")
            .bind(address)
            .main(true)
            .trust(Trust::Once)
            .secrets(Secrets::new(&[0x51; 32], &[0x52; 32]))
            .keep(keep)
            .configure(|config| {
                config.presence = Some(Presence {
                    period: Duration::from_millis(500),
                    ..Presence::default()
                });
            })
            .open()
            .expect("a road on loopback")
    }

    fn next(&mut self) -> Option<Value> {
        let came = self.road.next_for(Duration::from_millis(50));
        match came.expect("the road is open") {
            Some(Incoming::Message(message)) => Some(message.decode().expect("a JSON body")),
            Some(Incoming::Event(Event::Remote { what, .. })) => {
                println!("    main: {what:?}");
                assert_ne!(what, RemoteEvent::Forgotten);
                None
            }
            _ => None,
        }
    }

    fn send(&mut self, body: &Value) {
        let node = self.road.find(NODE).expect("it has joined");
        let body = Body::json(body).expect("a mapping");
        // What the node does of it is what counts.
        drop(self.road.send(node, &body).expect("room for a message"));
    }

    fn restart(&mut self) {
        self.road.shutdown(&Shutdown::NOW);
        self.road = Self::open(self.address, self.keep.clone());
    }
}

/// A keep that outlives its road.
#[derive(Clone, Default)]
struct SharedKeep(Arc<Mutex<MemoryKeep>>);

impl Keep for SharedKeep {
    fn load(&mut self) -> std::io::Result<Kept> {
        let keep = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Kept {
            identity: None,
            records: keep.records().collect(),
        })
    }

    fn store(&mut self, records: &[Record]) -> std::io::Result<()> {
        let mut keep = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        records
            .iter()
            .cloned()
            .for_each(|record| keep.store(record));
        Ok(())
    }
}

/// Python RAET 0.6.8 as it is installed.
struct PythonMain {
    python: Python,
    peer: Peer,
    address: SocketAddr,
    options: Value,
    waiting: VecDeque<Value>,
}

impl PythonMain {
    fn start(python: &Python, folder: &Path) -> Self {
        let options = json!({
            "name": "main", "main": true, "auto": "once", "dirpath": folder.join("keep"),
            "max_seconds": 300,
        });
        let mut peer = python.spawn("main");
        let address = peer.start_road(options.clone()).address;
        Self {
            python: python.clone(),
            peer,
            address,
            options,
            waiting: VecDeque::new(),
        }
    }

    fn next(&mut self) -> Option<Value> {
        for event in self.peer.drain() {
            if is("msg")(&event) {
                self.waiting.push_back(event["body"].clone());
            } else if is("remote")(&event) {
                let state =
                    ["joined", "allowed", "alived"].map(|name| format!("{name} {}", event[name]));
                println!("    main: {}", state.join(", "));
            }
        }
        if self.waiting.is_empty() {
            thread::sleep(Duration::from_millis(50));
        }
        self.waiting.pop_front()
    }

    fn send(&mut self, body: &Value) {
        self.peer
            .command(json!({"cmd": "transmit", "msg": body, "name": NODE}));
    }

    fn restart(&mut self) {
        let next = self.python.spawn("main again");
        std::mem::replace(&mut self.peer, next).kill();
        let road = self.peer.start_road(self.options.clone());
        assert_eq!(road.address, self.address, "its keep knows its address");
    }
}
