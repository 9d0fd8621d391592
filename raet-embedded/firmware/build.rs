//! Gives the linker the memory of the chosen board.
use std::path::PathBuf;
use std::{env, fs};

fn main() {
    let board = match env::var_os("CARGO_FEATURE_LM3S6965EVB") {
        Some(_) => "memory/lm3s6965evb.x",
        None => "memory/mps2-an385.x",
    };
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    fs::copy(board, out.join("memory.x")).expect("the folder of the output can be written");
    // Asked for beside a vector table of one's own, which is in `src/vectors.rs`: no handlers have names.
    fs::write(out.join("device.x"), "").expect("the folder of the output can be written");
    println!("cargo:rustc-link-search={}", out.display());
    println!("cargo:rustc-link-arg-bins=-Tlink.x");
    println!("cargo:rustc-link-arg-bins=--nmagic");
    // Functions of the same code are one: 0.6 KB. Nothing here compares the addresses of different ones.
    println!("cargo:rustc-link-arg-bins=--icf=all");
    println!("cargo:rerun-if-changed=memory");
}
