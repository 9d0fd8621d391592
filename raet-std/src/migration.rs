//! For operators of Python RAET 0.6.8: a page, no code.

#![allow(
    clippy::doc_markdown,
    reason = "prose: protocols and products by their names"
)]
#![doc = include_str!("../docs/migration.md")]
