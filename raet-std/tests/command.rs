//! The command as a process: what it prints, what it returns.
#![cfg(feature = "cli")]

use std::io::{BufRead, BufReader, Lines, Write};
use std::net::UdpSocket;
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use serde_json::Value;

fn raet() -> Command {
    Command::new(env!("CARGO_BIN_EXE_raet"))
}

fn run(args: &[&str]) -> Output {
    raet()
        .args(args)
        .stdin(Stdio::null())
        .output()
        .expect("the command runs")
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("no signal")
}

/// The one line that a command says when it fails.
fn complaint(output: &Output) -> String {
    let text = String::from_utf8(output.stderr.clone()).expect("text");
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

fn events(stdout: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(stdout).expect("text");
    text.lines()
        .map(|line| serde_json::from_str(line).expect("a JSON object a line"))
        .collect()
}

fn of<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events
        .iter()
        .filter(|event| event["event"] == kind)
        .collect()
}

/// A listener with its first line read. Killed when dropped, should it still run.
struct Listener {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    addr: String,
}

impl Listener {
    fn start(args: &[&str]) -> Self {
        let mut child = raet()
            .args(["listen", "hub", "--bind", "127.0.0.1:0", "--main", "--json"])
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command runs");
        let stdout = child.stdout.take().expect("it is piped");
        let mut lines = BufReader::new(stdout).lines();
        let first: Value =
            serde_json::from_str(&lines.next().expect("a line").expect("text")).expect("JSON");
        assert_eq!(first["event"], "listening");
        let addr = first["addr"].as_str().expect("its address").to_owned();
        Self { child, lines, addr }
    }

    /// The next event of this kind.
    fn until(&mut self, kind: &str) -> Value {
        loop {
            let line = self.lines.next().expect("it still prints").expect("text");
            let event: Value = serde_json::from_str(&line).expect("JSON");
            if event["event"] == kind {
                return event;
            }
        }
    }

    fn finish(mut self) -> (i32, Vec<Value>) {
        let rest = self
            .lines
            .by_ref()
            .map(|line| serde_json::from_str(&line.expect("text")).expect("JSON"));
        let rest = rest.collect();
        (
            self.child
                .wait()
                .expect("it ends")
                .code()
                .expect("no signal"),
            rest,
        )
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn messages_arrive_and_both_commands_succeed() {
    let hub = Listener::start(&["--count", "3", "--timeout", "60"]);
    let sent = run(&[
        "send",
        "sensor",
        "--to",
        &hub.addr,
        "--json",
        "--timeout",
        "60",
        r#"{"n":1}"#,
        r#"{"n":2,"t":"é"}"#,
        "{}",
    ]);
    assert_eq!(code(&sent), 0, "{sent:?}");
    let told = events(&sent.stdout);
    assert_eq!(of(&told, "delivered").len(), 3);
    let order: Vec<_> = told
        .iter()
        .map(|event| event["event"].as_str().expect("a key"))
        .collect();
    let at = |kind| order.iter().position(|known| *known == kind);
    assert!(
        at("listening") < at("joining") && at("joining") < at("joined"),
        "{order:?}"
    );
    assert!(
        at("joined") < at("allowed") && at("allowed") < at("delivered"),
        "{order:?}"
    );

    let (code, seen) = hub.finish();
    assert_eq!(code, 0);
    let mut bodies: Vec<String> = of(&seen, "message")
        .iter()
        .map(|m| m["body"].to_string())
        .collect();
    bodies.sort();
    assert_eq!(bodies, [r#"{"n":1}"#, r#"{"n":2,"t":"é"}"#, "{}"]);
    assert!(
        of(&seen, "message")
            .iter()
            .all(|message| message["from"] == "sensor")
    );
}

#[test]
fn every_form_of_heads_and_bodies_is_understood() {
    let hub = Listener::start(&[
        "--count",
        "4",
        "--timeout",
        "60",
        "--head",
        "json",
        "--body",
        "msgpack",
    ]);
    for (n, (head, body)) in [
        ("native", "json"),
        ("native", "msgpack"),
        ("json", "json"),
        ("json", "msgpack"),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("sensor{n}");
        let sent = run(&[
            "send",
            &name,
            "--to",
            &hub.addr,
            "--head",
            head,
            "--body",
            body,
            "--timeout",
            "60",
            r#"{"a":[1,null,"x"]}"#,
        ]);
        assert_eq!(code(&sent), 0, "{sent:?}");
    }
    let (code, seen) = hub.finish();
    assert_eq!(code, 0);
    assert!(
        of(&seen, "message")
            .iter()
            .all(|m| m["body"] == serde_json::json!({ "a": [1, null, "x"] }))
    );
}

#[test]
fn lines_of_stdin_and_a_bad_one() {
    let mut hub = Listener::start(&[]);
    let mut sender = raet()
        .args([
            "send",
            "sensor",
            "--to",
            &hub.addr,
            "--json",
            "--timeout",
            "60",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command runs");
    let mut stdin = sender.stdin.take().expect("it is piped");
    stdin
        .write_all(b"{\"n\":1}\n\n{\"n\":2}\nnot json\n{\"n\":3}\n")
        .expect("it reads");
    drop(stdin);
    let sent = sender.wait_with_output().expect("it ends");
    // What was accepted before the bad line is delivered all the same.
    assert_eq!(code(&sent), 2, "{sent:?}");
    assert_eq!(of(&events(&sent.stdout), "delivered").len(), 2);
    let complaint = complaint(&sent);
    assert!(
        complaint.contains("line 4") && complaint.contains("JSON"),
        "{complaint}"
    );
    hub.until("message");
    hub.until("message");
}

#[test]
fn a_line_that_is_too_long() {
    let silent = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let addr = silent.local_addr().expect("bound").to_string();
    let mut sender = raet()
        .args(["send", "sensor", "--to", &addr, "--timeout", "60"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command runs");
    let mut stdin = sender.stdin.take().expect("it is piped");
    let line = format!("{{\"a\":\"{}\"}}\n", "x".repeat(47_000_000));
    stdin.write_all(line.as_bytes()).expect("it reads");
    drop(stdin);
    let sent = sender.wait_with_output().expect("it ends");
    assert_eq!(code(&sent), 2, "{sent:?}");
    let complaint = complaint(&sent);
    assert!(
        complaint.contains("line 1") && complaint.contains("longer"),
        "{complaint}"
    );
}

#[test]
fn a_file_arrives_as_it_is() {
    let hub = Listener::start(&["--count", "1", "--timeout", "60"]);
    let path = std::env::temp_dir().join(format!("raet-command-test-{}", std::process::id()));
    let text = "a line of text\n".repeat(10_000);
    std::fs::write(&path, &text).expect("a temporary file");
    let sent = run(&[
        "send",
        "sensor",
        "--to",
        &hub.addr,
        "--timeout",
        "60",
        "--file",
        path.to_str().expect("text"),
    ]);
    std::fs::remove_file(&path).expect("it is there");
    assert_eq!(code(&sent), 0, "{sent:?}");
    let (_, seen) = hub.finish();
    let messages = of(&seen, "message");
    assert_eq!(messages.len(), 1);
    assert_eq!(
        (messages[0]["kind"].as_str(), messages[0]["body"].as_str()),
        (Some("raw"), Some(text.as_str()))
    );
}

#[test]
fn a_person_accepts_by_typing() {
    let mut hub = Listener::start(&["--auto", "never", "--count", "1", "--timeout", "60"]);
    let addr = hub.addr.clone();
    let sender = std::thread::spawn(move || {
        run(&[
            "send",
            "sensor",
            "--to",
            &addr,
            "--timeout",
            "60",
            r#"{"n":1}"#,
        ])
    });
    let pending = hub.until("pending");
    assert_eq!(
        (pending["role"].as_str(), pending["here"].as_bool()),
        (Some("sensor"), Some(true))
    );
    let stdin = hub.child.stdin.as_mut().expect("it is piped");
    stdin.write_all(b"accept sensor\n").expect("it reads");
    assert_eq!(hub.until("message")["body"]["n"], 1);
    assert_eq!(code(&sender.join().expect("no panic")), 0);
    assert_eq!(hub.finish().0, 0);
}

/// Between what a person read and what was typed other keys may come (hardening: H17).
#[test]
fn what_is_typed_accepts_no_keys_but_the_ones_shown() {
    let mut hub = Listener::start(&["--auto", "never", "--timeout", "60"]);
    let addr = hub.addr.clone();
    let send = ["send", "sensor", "--to", &addr, "--timeout", "60", "{}"];
    let mut first = raet()
        .args(send)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the command runs");
    let shown = hub.until("pending")["keys"].clone();
    first.kill().expect("it runs");
    first.wait().expect("it ends");
    // Each run has other keys.
    assert_eq!(code(&run(&send)), 1);
    hub.until("keys_offered");
    let mut said = BufReader::new(hub.child.stderr.take().expect("it is piped"));
    let stdin = hub.child.stdin.as_mut().expect("it is piped");
    stdin.write_all(b"accept sensor\n").expect("it reads");
    let mut line = String::new();
    said.read_line(&mut line).expect("text");
    let shown = shown.as_str().expect("text");
    assert!(line.contains("nothing is accepted"), "{line}");
    assert!(line.contains(shown), "{line}");
}

#[test]
fn new_keys_are_rejected_and_that_is_said() {
    let mut hub = Listener::start(&[]);
    let first = run(&[
        "send",
        "sensor",
        "--to",
        &hub.addr,
        "--timeout",
        "60",
        r#"{"n":1}"#,
    ]);
    assert_eq!(code(&first), 0, "{first:?}");
    hub.until("message");
    let second = run(&[
        "send",
        "sensor",
        "--to",
        &hub.addr,
        "--timeout",
        "60",
        "--json",
        r#"{"n":2}"#,
    ]);
    assert_eq!(code(&second), 1, "{second:?}");
    let complaint = complaint(&second);
    assert!(
        complaint.contains("keys") && complaint.contains("rejects"),
        "{complaint}"
    );
    assert_eq!(of(&events(&second.stdout), "failed").len(), 1);
}

#[test]
fn a_peer_that_never_answers() {
    let silent = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let addr = silent.local_addr().expect("bound").to_string();
    let sent = run(&[
        "send",
        "sensor",
        "--to",
        &addr,
        "--json",
        "--timeout",
        "0.3",
        r#"{"n":1}"#,
    ]);
    assert_eq!(code(&sent), 1);
    assert!(
        complaint(&sent).contains("never answered"),
        "{}",
        complaint(&sent)
    );
    let told = events(&sent.stdout);
    assert_eq!(of(&told, "failed").len(), 1);
    assert_eq!(of(&told, "failed")[0]["reason"], "cancelled");
}

#[test]
fn a_listener_that_waits_in_vain() {
    let hub = Listener::start(&["--count", "1", "--timeout", "0.2"]);
    assert_eq!(hub.finish().0, 1);
    let hub = Listener::start(&["--timeout", "0.2"]);
    assert_eq!(hub.finish().0, 0);
}

#[test]
fn what_is_wrong_is_said_in_a_line() {
    let taken = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let taken = taken
        .local_addr()
        .map(|addr| (addr.to_string(), taken))
        .expect("bound");
    let addr = taken.0.as_str();
    let long = format!("{}{}{}", r#"{"a":""#, "x".repeat(50), "\"");
    let cases: &[(&[&str], i32, &str)] = &[
        (&["listen", "hub", "--bind", addr], 1, "in use"),
        (
            &["send", "sensor", "--to", "no-such-host.invalid:7530", "{}"],
            1,
            "not known",
        ),
        (&["send", "sensor", "--to", "127.0.0.1", "{}"], 2, "no port"),
        (
            &["send", "sensor", "--to", addr, "hello"],
            2,
            "not a JSON object",
        ),
        (
            &["send", "sensor", "--to", addr, "[1]"],
            2,
            "not a JSON object",
        ),
        (
            &["send", "sensor", "--to", addr, &long],
            2,
            "not a JSON object",
        ),
        (
            &[
                "send",
                "sensor",
                "--to",
                addr,
                "--file",
                "/nonexistent/file",
            ],
            2,
            "cannot be read",
        ),
        (&["send", "a b", "--to", addr, "{}"], 2, "name"),
        (
            &["send", "sensor", "--to", addr, "--bind", "[::1]:0", "{}"],
            2,
            "family",
        ),
    ];
    for (args, expected, words) in cases {
        let output = run(args);
        assert_eq!(code(&output), *expected, "{args:?}: {output:?}");
        let complaint = complaint(&output);
        assert!(complaint.contains(words), "{args:?}: {complaint}");
    }
}

#[test]
fn wrong_usage_is_told_by_its_code() {
    for args in [
        &["send"][..],
        &["listen"],
        &["nonsense"],
        &["listen", "hub", "--auto", "maybe"],
        &["send", "x", "--to", "127.0.0.1:1", "--timeout", "-1"],
    ] {
        assert_eq!(code(&run(args)), 2, "{args:?}");
    }
    let help = run(&["--help"]);
    assert_eq!(code(&help), 0);
    assert!(String::from_utf8_lossy(&help.stdout).contains("raet listen hub"));
}

#[test]
fn the_demo_delivers_all_of_it() {
    let output = run(&["demo"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(code(&output), 0, "{text}");
    assert!(
        text.contains("All 41 messages were delivered once and intact"),
        "{text}"
    );
}

#[test]
fn the_bench_reports_its_ratios() {
    let output = run(&["bench", "--json", "--messages", "50", "--long", "1"]);
    assert_eq!(code(&output), 0, "{output:?}");
    let result = &events(&output.stdout)[0];
    for path in [
        "/flood/ratio",
        "/flood/per_second",
        "/ping_pong/ratio",
        "/ping_pong/p99_us",
        "/long/mb_per_second",
    ] {
        assert!(
            result
                .pointer(path)
                .and_then(Value::as_f64)
                .is_some_and(|n| n > 0.0),
            "{path}: {result}"
        );
    }
}
