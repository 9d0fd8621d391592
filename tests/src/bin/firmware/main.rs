//! A node without an operating system against a main estate with one: builds the firmware, runs it in QEMU, and
//! takes it through its life.
//!
//!     cargo run -p raet-tests --bin firmware -- [--board lm3s6965evb|mps2-an385] [--image node|embassy]
//!         [--target thumbv7m-none-eabi] [--main rust|python] [--loss PERCENT]
//!
//! Exit status 0: all went as it must. 1: it did not. 77: QEMU, a compiler for the board or Python RAET is
//! missing, which is an error where `RAET_REQUIRE_FIRMWARE=1`.

mod estate;
mod node;
mod relay;

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use estate::{Main, PythonMain, RustMain};
use node::Node;
use raet_tests::interop::{self, Python};
use serde_json::json;

/// The name of the node's estate.
const NODE: &str = "node7";

/// How long one step may take. Only against hanging: nothing is measured by it.
const PATIENCE: Duration = Duration::from_secs(40);

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
    let port = relay::between(main.address(), options.loss);
    let start = || Node::start(&options.board, image, port, &folder.path().join("flash"));

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
