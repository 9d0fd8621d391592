//! A Rust estate as a process of its own, which can be killed: the road, the file keep and the threads that
//! a deployment has. It is steered as the Python peer is (`tests/interop/README.md`), so that a fleet has
//! one kind of member. Beside what that peer takes, `start` takes `patience`: seconds after which a
//! transaction is given up.

use std::io::BufRead as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use std::{env, io, thread};

use raet_core::config::{Presence, Trust};
use raet_std::keep::{FileKeep, KeepOptions};
use raet_std::{Body, Event, Incoming, Message, Road, SendOptions, Shutdown};
use raet_tests::interop;
use serde_json::{Map, Value, json};

use crate::setup;

/// Set for a process that is to be such an estate.
const MARK: &str = "RAET_MATRIX_ESTATE";

/// Whether this process is one.
pub(crate) fn is_one() -> bool {
    env::var_os(MARK).is_some()
}

/// The command that starts one.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env::current_exe().expect("a process knows its program"));
    command.env(MARK, "1");
    command
}

/// Carries out commands until told to stop, or until nobody is there any more.
pub(crate) fn run() {
    say(&json!({"ev": "hello", "pid": std::process::id()}));
    let mut road = None;
    for line in io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        let command: Value = serde_json::from_str(&line).unwrap_or_default();
        let (id, what) = (command["id"].clone(), &command["cmd"]);
        match carry_out(&mut road, &command) {
            Ok(mut reply) => {
                reply.insert("ok".to_owned(), true.into());
                answer(id, reply);
            }
            Err(why) => {
                let mut reply = Map::new();
                reply.insert("ok".to_owned(), false.into());
                reply.insert("error".to_owned(), why.into());
                answer(id, reply);
            }
        }
        if *what == "stop" {
            break;
        }
    }
    if let Some(road) = road {
        road.shutdown(&Shutdown::default());
    }
    say(&json!({"ev": "stopped"}));
}

fn say(event: &Value) {
    println!("{event}");
}

fn answer(id: Value, mut reply: Map<String, Value>) {
    reply.insert("ev".to_owned(), "reply".into());
    reply.insert("id".to_owned(), id);
    say(&Value::Object(reply));
}

fn carry_out(road: &mut Option<Road>, command: &Value) -> Result<Map<String, Value>, String> {
    let name = command["cmd"].as_str().unwrap_or_default();
    if name == "start" {
        let opened = start(command)?;
        let address = opened.local_addr();
        let watched = opened.clone();
        thread::spawn(move || watch(&watched));
        *road = Some(opened);
        let ha = json!([address.ip().to_string(), address.port()]);
        return Ok(object(json!({"ha": ha})));
    }
    if name == "stop" {
        return Ok(Map::new());
    }
    let road = road.as_ref().ok_or("not started")?;
    let reply = match name {
        "connect" => {
            let address = interop::address(&command["ha"]).ok_or("no address")?;
            road.connect(address).map_err(|e| e.to_string())?;
            json!({})
        }
        "transmit" => {
            let to = command["name"].as_str().unwrap_or_default();
            let to = road.find(to).ok_or("no such remote")?;
            let body = Body::json(&command["msg"]).map_err(|e| e.to_string())?;
            let tell = SendOptions {
                tell: true,
                ..SendOptions::default()
            };
            let sent = road
                .send_with(to, &body, &tell)
                .map_err(|e| e.to_string())?;
            json!({"number": sent.number()})
        }
        "remotes" => json!({"remotes": remotes(road)}),
        _ => return Err("unknown command".to_owned()),
    };
    Ok(object(reply))
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

fn start(command: &Value) -> Result<Road, String> {
    let address = interop::address(&command["ha"]).ok_or("no address")?;
    let trust = match command["auto"].as_str() {
        Some("once") => Trust::Once,
        Some("always") => Trust::Always,
        _ => Trust::Never,
    };
    let period = command["period"].as_f64().map(Duration::from_secs_f64);
    let mutable = command["mutable"] == true;
    let patience = command["patience"].as_f64();
    let patience = patience.map_or(setup::BOUND, Duration::from_secs_f64);
    let mut builder = Road::builder(command["name"].as_str().unwrap_or_default())
        .bind(address)
        .main(command["main"] == true)
        .trust(trust)
        .configure(move |config| {
            config.mutable = mutable;
            config.timers = setup::timers();
            setup::be_patient(&mut config.timers, patience);
            config.presence = period.map(|period| Presence {
                period,
                ..Presence::default()
            });
        });
    if let Some(folder) = command["dirpath"].as_str() {
        let keep = FileKeep::open(PathBuf::from(folder), KeepOptions::default());
        builder = builder.keep(keep.map_err(|e| e.to_string())?);
    }
    builder.open().map_err(|e| e.to_string())
}

/// Tells what comes, until the road ends.
fn watch(road: &Road) {
    loop {
        match road.next_for(Duration::from_secs(1)) {
            Ok(None) => {}
            Ok(Some(Incoming::Message(message))) => say(&shown(&message)),
            Ok(Some(Incoming::Event(Event::Ended {
                number, outcome, ..
            }))) => say(&json!({
                "ev": "outcome", "number": number, "outcome": format!("{outcome:?}"),
            })),
            Ok(Some(Incoming::Event(Event::Remote { remote, what, .. }))) => {
                let name = road.remote(remote).map(|r| r.name.as_str().to_owned());
                say(&json!({"ev": "happened", "name": name, "what": format!("{what:?}")}));
            }
            Ok(Some(Incoming::Event(other))) => {
                say(&json!({"ev": "happened", "what": format!("{other:?}")}));
            }
            Err(_) => return,
        }
    }
}

fn shown(message: &Message) -> Value {
    let body: Value = message.decode().unwrap_or_else(|e| e.to_string().into());
    json!({"ev": "msg", "from": message.name, "body": body})
}

fn remotes(road: &Road) -> Vec<Value> {
    let known = road.remotes();
    let known = known.iter().map(|r| {
        json!({
            "name": r.name.as_str(), "joined": r.joined, "allowed": r.allowed,
            "alived": r.alive,
        })
    });
    known.collect()
}
