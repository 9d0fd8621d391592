//! The four transactions, both roles of each (road-transactions).

pub(crate) mod alive;
pub(crate) mod allow;
pub(crate) mod clock;
pub(crate) mod join;
pub(crate) mod messengent;
pub(crate) mod messenger;
