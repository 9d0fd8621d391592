//! The engine against itself: estates on a simulated network, one test body for both storages.

mod amplification;
mod attack;
mod basics;
mod burst;
mod calls;
mod delivery;
mod edges;
mod forge;
mod nack;
mod names;
mod records;
mod trust;
mod world;

/// Runs one generic test body on both storages.
macro_rules! both {
    ($($(#[$meta:meta])* fn $name:ident<$s:ident>() $body:block)*) => {
        $($(#[$meta])* #[test] fn $name() {
            fn body<$s: crate::storage::Storage>() $body
            #[cfg(feature = "alloc")]
            body::<crate::storage::Heap>();
            body::<crate::storage::Fixed<8, 16, { 64 * 1024 }>>();
        })*
    };
}
pub(crate) use both;
