//! An estate that runs, and a person with a second terminal: `raet key` and `raet status` over the
//! control socket, a restart from the keep, an answer typed at a terminal.
#![cfg(all(unix, feature = "cli"))]

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::Value;
use snapbox::{assert_data_eq, str};
use tempfile::TempDir;

fn raet(folder: &TempDir, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_raet"));
    command
        .args(args)
        .current_dir(folder.path())
        .env_remove("RAET_KEEP")
        .stdin(Stdio::null());
    command
}

fn run(folder: &TempDir, args: &[&str]) -> Output {
    raet(folder, args).output().expect("the command runs")
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("no signal")
}

/// What a command printed that went well.
fn said(folder: &TempDir, args: &[&str]) -> String {
    let output = run(folder, args);
    assert_eq!(code(&output), 0, "{args:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// A keep of its own for a device, and its public part in a file: `sensor.pub`.
fn provision(folder: &TempDir) {
    let keep = ["--keep", "sensor", "--bind", "127.0.0.1:0"];
    said(folder, &[&["key", "gen", "sensor"], &keep[..]].concat());
    let export = ["key", "export", "--keep", "sensor", "--out", "sensor.pub"];
    said(folder, &export);
}

fn said_json(folder: &TempDir, args: &[&str]) -> Value {
    serde_json::from_str(&said(folder, args)).expect("JSON")
}

fn complaint(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("text")
}

/// A command that runs beside, and the events that it prints. Killed when dropped.
struct Beside {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    seen: Vec<String>,
}

impl Beside {
    fn start(folder: &TempDir, args: &[&str]) -> Self {
        let mut child = raet(folder, args)
            .arg("--json")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the command runs");
        let stdout = child.stdout.take().expect("it is piped");
        Self {
            child,
            lines: BufReader::new(stdout).lines(),
            seen: Vec::new(),
        }
    }

    /// Keys pending until a person decides.
    fn hub(folder: &TempDir, bind: &str) -> (Self, String) {
        let args = [
            "listen", "hub", "--bind", bind, "--main", "--auto", "never", "--keep", "hub",
        ];
        let mut hub = Self::start(folder, &args);
        let addr = hub.until("listening")["addr"]
            .as_str()
            .expect("text")
            .to_owned();
        (hub, addr)
    }

    fn next(&mut self) -> Option<Value> {
        let line = self.lines.next()?.expect("text");
        Some(serde_json::from_str(&line).expect("JSON"))
    }

    /// The next event of this kind.
    fn until(&mut self, kind: &str) -> Value {
        loop {
            let event = self.next().expect("it still prints");
            self.seen
                .push(event["event"].as_str().unwrap_or("").to_owned());
            if event["event"] == kind {
                return event;
            }
        }
    }

    /// Ends as an operator would end it; returns the exit code and what it still said.
    fn interrupt(mut self) -> (i32, Vec<Value>) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).expect("it runs");
        let rest = std::iter::from_fn(|| self.next()).collect();
        let status = self.child.wait().expect("it ends");
        (status.code().expect("it ends by itself"), rest)
    }

    /// Ends with no chance to say or store anything.
    fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder for temporary files")
}

fn sensor<'a>(addr: &'a str, message: &'a str) -> [&'a str; 9] {
    [
        "send",
        "sensor",
        "--to",
        addr,
        "--keep",
        "sensor",
        "--timeout",
        "60",
        message,
    ]
}

#[test]
fn a_person_lets_a_peer_in_and_turns_it_out() {
    let folder = folder();
    let (mut hub, addr) = Beside::hub(&folder, "127.0.0.1:0");
    let mut sender = Beside::start(&folder, &sensor(&addr, r#"{"n":1}"#));
    let pending = hub.until("pending");
    let listed = said(&folder, &["key", "list", "--keep", "hub"]);
    assert_data_eq!(
        &listed,
        str![[r"
ROLE    STATUS   FINGERPRINT                              NAMES   FIRST SEEN  LAST SEEN
sensor  pending  [..]-[..]-[..]-[..]-[..]-[..]-[..]-[..]  sensor  [..]s ago      [..]s ago

"]]
    );
    // What the hub shows is what the sensor shows.
    let finger = pending["keys"].as_str().expect("text").to_owned();
    assert!(listed.contains(&finger));
    assert_eq!(
        said(&folder, &["key", "finger", "--keep", "sensor"]),
        format!("{finger}  sensor\n")
    );
    assert_data_eq!(
        said(&folder, &["status", "--keep", "hub"]),
        str![[r"
hub at 127.0.0.1:[..], up [..]s (keys [..]-[..])
messages: 0 taken, 0 delivered, 0 waiting; datagrams dropped: 0
REMOTE  ROLE    STATE    SINCE  RTT  QUEUED  IN FLIGHT  ADDRESS
sensor  sensor  pending  -        -       0          0  127.0.0.1:[..]

"]]
    );

    // A script that names other keys than those shown accepts nothing (hardening: H17).
    let other = "1111-2222-3333-4444-5555-6666-7777-8888";
    let refused = run(
        &folder,
        &[
            "key", "accept", "sensor", "--finger", other, "--keep", "hub",
        ],
    );
    assert_eq!(code(&refused), 1);
    let roles = said_json(&folder, &["key", "list", "--keep", "hub", "--json"]);
    assert_eq!(roles[0]["status"], "pending");

    let accepted = said(
        &folder,
        &[
            "key", "accept", "sensor", "--finger", &finger, "--keep", "hub",
        ],
    );
    assert_eq!(accepted, format!("accepted sensor ({finger})\n"));
    assert_eq!(hub.until("message")["body"]["n"], 1);
    sender.until("delivered");
    assert_eq!(sender.child.wait().expect("it ends").code(), Some(0));

    // One that stays.
    let mut stays = raet(
        &folder,
        &[
            "send", "sensor", "--to", &addr, "--keep", "sensor", "--json",
        ],
    );
    let mut stays = stays
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the command runs");
    hub.until("allowed");
    let report = said_json(&folder, &["status", "--keep", "hub", "--json"]);
    let remote = &report["remotes"][0];
    assert_eq!(report["name"], "hub");
    assert_eq!(report["addr"], addr);
    assert_eq!(report["messages_in"], 1);
    assert_eq!(
        (&remote["name"], &remote["state"]),
        (&"sensor".into(), &"up".into())
    );
    assert!(remote["since"].as_u64() > Some(1_700_000_000));
    // The sender's side has a socket of its own.
    let other_side = said_json(&folder, &["status", "--keep", "sensor", "--json"]);
    assert_eq!(other_side["remotes"][0]["name"], "hub");

    let rejected = said(
        &folder,
        &["key", "reject", "sensor", "--keep", "hub", "--yes"],
    );
    assert_eq!(rejected, format!("rejected sensor ({finger})\n"));
    hub.until("forgotten");
    let report = said_json(&folder, &["status", "--keep", "hub", "--json"]);
    let up = |remote: &Value| remote["state"] == "up";
    let remotes = report["remotes"].as_array().expect("a list");
    assert!(!remotes.iter().any(up), "{report}");
    let _ = stays.kill();
    let _ = stays.wait();
    let late = run(&folder, &sensor(&addr, r#"{"n":2}"#));
    assert_eq!(code(&late), 1);
    assert!(
        complaint(&late).contains("rejects sensor"),
        "{}",
        complaint(&late)
    );

    assert_eq!(
        said(&folder, &["key", "delete", "*", "--yes", "--keep", "hub"]),
        "deleted sensor\n"
    );
    let (code, _) = hub.interrupt();
    assert_eq!(code, 0);
}

#[test]
fn a_device_is_accepted_before_it_is_switched_on() {
    let folder = folder();
    let (mut hub, addr) = Beside::hub(&folder, "127.0.0.1:0");
    provision(&folder);
    let finger = said_json(&folder, &["key", "finger", "--keep", "sensor", "--json"]);
    let finger = finger[0]["finger"].as_str().expect("text");
    said(
        &folder,
        &[
            "key",
            "import",
            "sensor.pub",
            "--accept",
            "--finger",
            finger,
            "--keep",
            "hub",
        ],
    );
    assert_eq!(code(&run(&folder, &sensor(&addr, r#"{"n":1}"#))), 0);
    assert_eq!(hub.until("message")["body"]["n"], 1);
    assert!(!hub.seen.contains(&"pending".to_owned()), "{:?}", hub.seen);
}

/// A keep that was killed, not shut down: no new join is needed, and what was decided holds.
#[test]
fn a_restart_needs_no_new_join() {
    let folder = folder();
    let (mut hub, addr) = Beside::hub(&folder, "127.0.0.1:0");
    let mut sender = Beside::start(&folder, &sensor(&addr, r#"{"n":1}"#));
    hub.until("pending");
    said(
        &folder,
        &["key", "accept", "sensor", "--yes", "--keep", "hub"],
    );
    hub.until("message");
    sender.until("delivered");
    assert_eq!(sender.child.wait().expect("it ends").code(), Some(0));
    // A crash within a tenth of a second of the first join would have to be joined anew.
    let log = folder.path().join("hub/beyond.log");
    while !std::fs::read_to_string(&log).is_ok_and(|log| log.contains("\"proven\":\"")) {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    hub.kill();

    // It left its socket behind.
    let dead = run(&folder, &["status", "--keep", "hub"]);
    assert_eq!(code(&dead), 1);
    assert!(complaint(&dead).contains("running"), "{}", complaint(&dead));
    let roles = said_json(&folder, &["key", "list", "--keep", "hub", "--json"]);
    assert_eq!(
        (&roles[0]["status"], &roles[0]["judged"]),
        (&"accepted".into(), &true.into())
    );

    let (mut hub, again) = Beside::hub(&folder, &addr);
    assert_eq!(again, addr);
    let mut sender = Beside::start(&folder, &sensor(&addr, r#"{"n":2}"#));
    assert_eq!(hub.until("message")["body"]["n"], 2);
    sender.until("delivered");
    for seen in [&hub.seen, &sender.seen] {
        assert!(seen.contains(&"allowed".to_owned()), "{seen:?}");
        assert!(!seen.contains(&"joined".to_owned()), "{seen:?}");
    }
}

#[test]
fn what_was_not_confirmed_is_told_at_the_end() {
    let folder = folder();
    let (mut hub, addr) = Beside::hub(&folder, "127.0.0.1:0");
    provision(&folder);
    said(
        &folder,
        &[
            "key",
            "import",
            "sensor.pub",
            "--accept",
            "--yes",
            "--keep",
            "hub",
        ],
    );
    let mut sender = Beside::start(
        &folder,
        &["send", "sensor", "--to", &addr, "--keep", "sensor"],
    );
    let mut stdin = sender.child.stdin.take().expect("it is piped");
    stdin.write_all(b"{\"n\":1}\n").expect("it reads");
    sender.until("delivered");
    hub.until("message");
    hub.kill();
    stdin
        .write_all(b"{\"n\":2}\n{\"n\":3}\n")
        .expect("it reads");
    // They are on their way: the sender's own status says so.
    loop {
        let report = said_json(&folder, &["status", "--keep", "sensor", "--json"]);
        let remote = &report["remotes"][0];
        let open =
            remote["queued"].as_u64().unwrap_or(0) + remote["in_flight"].as_u64().unwrap_or(0);
        if open == 2 {
            break;
        }
    }
    let (code, rest) = sender.interrupt();
    assert_eq!(code, 1);
    let told = |number: u64| {
        let ended = |event: &&Value| {
            ["failed", "unknown"]
                .iter()
                .any(|kind| event["event"] == *kind)
        };
        let of = rest.iter().filter(ended);
        of.filter(|event| event["number"] == number).count()
    };
    assert_eq!((told(1), told(2), told(3)), (0, 1, 1), "{rest:?}");
}

#[test]
fn an_estate_without_a_keep_is_asked_at_its_socket() {
    let folder = folder();
    let mut hub = Beside::start(
        &folder,
        &[
            "listen",
            "hub",
            "--bind",
            "127.0.0.1:0",
            "--main",
            "--control",
            "hub.sock",
        ],
    );
    hub.until("listening");
    let status = said(&folder, &["status", "--control", "hub.sock"]);
    assert!(status.ends_with("no remotes\n"), "{status}");
    let none = run(&folder, &["key", "list", "--control", "hub.sock"]);
    assert_eq!((code(&none), none.stdout.len()), (0, 0));
    let taken = run(
        &folder,
        &[
            "listen",
            "other",
            "--bind",
            "127.0.0.1:0",
            "--control",
            "hub.sock",
        ],
    );
    assert_eq!(code(&taken), 1);
    assert!(
        complaint(&taken).contains("another estate"),
        "{}",
        complaint(&taken)
    );

    let mut watch = raet(
        &folder,
        &[
            "status",
            "--control",
            "hub.sock",
            "--watch",
            "0.01",
            "--json",
        ],
    )
    .stdout(Stdio::piped())
    .spawn()
    .expect("the command runs");
    let mut lines = BufReader::new(watch.stdout.take().expect("it is piped")).lines();
    for _ in 0..3 {
        let line = lines.next().expect("another line").expect("text");
        let report: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(report["name"], "hub");
    }
    kill_process(Pid::from_child(&watch), Signal::TERM).expect("it runs");
    lines.for_each(drop);
    assert_eq!(watch.wait().expect("it ends").code(), Some(0));

    assert_eq!(hub.interrupt().0, 0);
    let gone = run(&folder, &["status", "--control", "hub.sock"]);
    assert_eq!(code(&gone), 1);
}

#[test]
fn a_keep_serves_one_estate_at_a_time() {
    let folder = folder();
    let (_hub, _) = Beside::hub(&folder, "127.0.0.1:0");
    let second = run(
        &folder,
        &["listen", "hub", "--keep", "hub", "--timeout", "1"],
    );
    assert_eq!(code(&second), 1);
    assert!(
        complaint(&second).contains("in use"),
        "{}",
        complaint(&second)
    );
    // What only its owner can do waits for its end, and is not done in part.
    for args in [
        &[
            "key",
            "export",
            "--secret",
            "--out",
            "hub.secret",
            "--keep",
            "hub",
        ][..],
        &["key", "gen", "hub", "--keep", "hub"],
    ] {
        let refused = run(&folder, args);
        assert_eq!(code(&refused), 1, "{args:?}");
        assert_eq!(complaint(&refused).lines().count(), 1, "{refused:?}");
    }
    assert!(!folder.path().join("hub.secret").exists());
}

/// A mistyped folder: it keeps its mode, and nothing is made in it.
#[test]
fn a_folder_of_other_things_is_left_as_it_is() {
    use std::os::unix::fs::PermissionsExt;
    let folder = folder();
    let other = folder.path().join("other");
    std::fs::create_dir_all(other.join("local")).expect("room");
    std::fs::write(other.join("file"), "not ours").expect("room");
    std::fs::set_permissions(&other, PermissionsExt::from_mode(0o755)).expect("ours");
    for args in [
        &["key", "list", "--keep", "other"][..],
        &["key", "gen", "hub", "--keep", "other"],
        &["listen", "hub", "--keep", "other", "--bind", "127.0.0.1:0"],
    ] {
        let refused = run(&folder, args);
        assert_eq!(code(&refused), 1, "{args:?}");
        assert_eq!(
            complaint(&refused),
            "raet: other holds other files and no keep: give the folder of the keep itself, or an empty one\n"
        );
    }
    let mode = std::fs::metadata(&other)
        .expect("there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o755);
    assert_eq!(std::fs::read_dir(&other).expect("there").count(), 2);
}

/// What is no file at all, such as a folder or a pipe, is set aside like any other that is none of ours.
#[test]
fn what_is_no_file_is_set_aside() {
    let folder = folder();
    provision(&folder);
    let remotes = folder.path().join("sensor/remote");
    std::fs::create_dir(remotes.join("estate.a.json")).expect("room");
    let made = Command::new("mkfifo")
        .arg(remotes.join("estate.b.json"))
        .status();
    assert!(made.expect("every Unix has it").success());
    std::fs::write(remotes.join("notes.tmp"), "somebody's").expect("room");
    let listed = run(&folder, &["key", "list", "--keep", "sensor"]);
    assert_eq!(code(&listed), 0, "{listed:?}");
    for name in ["a", "b"] {
        let said = format!(
            "raet: sensor/remote/estate.{name}.json cannot be read (it is no file): it is set aside as sensor/remote/estate.{name}.json.damaged-1, the rest is used"
        );
        assert!(complaint(&listed).contains(&said), "{listed:?}");
    }
    assert!(remotes.join("notes.tmp").exists());
    let again = run(&folder, &["key", "finger", "--keep", "sensor"]);
    assert_eq!((code(&again), complaint(&again).as_str()), (0, ""));
}

/// Root looks after the keep of a service: that can still read all of it.
#[test]
fn what_root_writes_belongs_to_whom_the_keep_does() {
    use std::os::unix::fs::{MetadataExt, chown};
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: what root writes in another user's keep, since this is not root");
        return;
    }
    let folder = folder();
    provision(&folder);
    let hub = folder.path().join("hub");
    std::fs::create_dir(&hub).expect("room");
    chown(&hub, Some(4321), Some(1234)).expect("root may");
    said(&folder, &["key", "gen", "hub", "--keep", "hub"]);
    let import = ["key", "import", "sensor.pub", "--accept", "--yes"];
    said(&folder, &[&import[..], &["--keep", "hub"]].concat());
    let mut folders = vec![hub];
    let mut files = 0;
    while let Some(path) = folders.pop() {
        let found = std::fs::symlink_metadata(&path).expect("there");
        assert_eq!((found.uid(), found.gid()), (4321, 1234), "{path:?}");
        files += 1;
        if found.is_dir() {
            let entries = std::fs::read_dir(&path).expect("a folder");
            folders.extend(entries.map(|entry| entry.expect("read").path()));
        }
    }
    assert!(files > 9, "{files}");
}

/// Strangers choose their names: one that is no pattern can be judged all the same, and one that writes
/// backwards on a terminal is shown as what it is.
#[test]
fn a_name_that_is_no_pattern_is_judged_like_any_other() {
    let folder = folder();
    provision(&folder);
    for name in ["[", "a\u{202e}b"] {
        let keep = ["--keep", "device", "--bind", "127.0.0.1:0"];
        said(&folder, &[&["key", "gen", name], &keep[..]].concat());
        let public = ["key", "export", "--keep", "device", "--out", "device.pub"];
        said(&folder, &public);
        said(
            &folder,
            &["key", "import", "device.pub", "--keep", "sensor"],
        );
        let judge = ["key", "accept", name, "--yes", "--keep", "sensor"];
        let done = said(&folder, &judge);
        assert!(done.starts_with("accepted "), "{done}");
        assert!(!done.contains('\u{202e}'), "{done:?}");
        let listen = ["listen", name, "--keep", "device", "--timeout", "0.1"];
        let listening = said(&folder, &listen);
        let shown = name.escape_default().to_string();
        assert!(listening.contains(&format!("as {shown} (")), "{listening}");
        std::fs::remove_file(folder.path().join("device.pub")).expect("there");
        std::fs::remove_dir_all(folder.path().join("device")).expect("there");
    }
}

/// The keep says where the estate is, so another port is no way out.
#[test]
fn an_address_that_another_has_is_told_with_whose_it_is() {
    let folder = folder();
    let other = std::net::UdpSocket::bind("127.0.0.1:0").expect("loopback");
    let addr = other.local_addr().expect("bound").to_string();
    let keep = ["--keep", "hub", "--bind", &addr];
    said(&folder, &[&["key", "gen", "hub"], &keep[..]].concat());
    let refused = run(&folder, &["listen", "hub", "--keep", "hub"]);
    assert_eq!(code(&refused), 1);
    let expected = format!(
        "raet: {addr}, which is the address of the estate in hub, is in use by another program: stop that one\n"
    );
    assert_eq!(complaint(&refused), expected);
}

/// A terminal with somebody at it, who has typed `answer`.
fn terminal(answer: &str) -> (File, File) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&ours).expect("it is ours");
    unlockpt(&ours).expect("it is ours");
    let path = ptsname(&ours, Vec::new()).expect("it has a name");
    let path = Path::new(path.to_str().expect("text"));
    let theirs = OpenOptions::new().read(true).write(true).open(path);
    let mut ours = File::from(ours);
    writeln!(ours, "{answer}").expect("room for an answer");
    (ours, theirs.expect("it opens"))
}

#[test]
fn a_person_is_asked_at_a_terminal() {
    let folder = folder();
    provision(&folder);
    said(&folder, &["key", "gen", "hub", "--keep", "hub"]);
    said(&folder, &["key", "import", "sensor.pub", "--keep", "hub"]);
    let accept = |answer: &str| {
        let (_ours, theirs) = terminal(answer);
        let args = ["key", "accept", "sensor", "--keep", "hub"];
        raet(&folder, &args)
            .stdin(theirs)
            .output()
            .expect("it runs")
    };
    for no in ["n", "", "nonsense"] {
        let refused = accept(no);
        assert_eq!(code(&refused), 1, "{no}");
        assert_data_eq!(
            complaint(&refused),
            str![[r"
[..]-[..]-[..]-[..]-[..]-[..]-[..]-[..]  sensor
raet: accept these keys? Compare them with what the peers show. [y/N] raet: nothing is changed

"]]
        );
    }
    let roles = said_json(&folder, &["key", "list", "--keep", "hub", "--json"]);
    assert_eq!(roles[0]["status"], "pending");
    let accepted = accept("y");
    assert_eq!(code(&accepted), 0, "{accepted:?}");
    let roles = said_json(&folder, &["key", "list", "--keep", "hub", "--json"]);
    assert_eq!(roles[0]["status"], "accepted");
}
