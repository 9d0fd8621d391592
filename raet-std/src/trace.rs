//! Watching a road's datagrams, each with what became of it.

use std::fmt;
use std::net::SocketAddr;

use raet_core::stats::Verdict;
use raet_core::wire::{Frame, Head};

/// A datagram that came, or goes out ([`RoadBuilder::trace`](crate::RoadBuilder::trace)).
///
/// It holds what anyone on the path can see, and never a secret. Its `Display` is a line for people.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trace {
    /// It came, and was acted on or dropped.
    Came {
        /// Where from.
        from: SocketAddr,
        /// Its bytes.
        len: usize,
        /// Its head; `None`: it was no packet.
        head: Option<Head>,
        /// What became of it, and why if it was dropped.
        verdict: Verdict,
    },
    /// It goes out.
    Goes {
        /// Where to.
        to: SocketAddr,
        /// Its bytes.
        len: usize,
        /// Its head.
        head: Head,
    },
}

/// What a road hands each of them to.
pub(crate) type Tracer = Box<dyn Fn(Trace) + Send + Sync>;

/// Head and length of a datagram that is about to be opened in place.
pub(crate) fn look(datagram: &[u8]) -> (usize, Option<Head>) {
    let frame = Frame::parse(datagram).ok();
    (datagram.len(), frame.map(|frame| frame.head))
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Came {
                from,
                len,
                head,
                verdict,
            } => {
                write!(f, "< {from}  ")?;
                match head {
                    Some(head) => write_head(f, head)?,
                    None => f.write_str("no packet")?,
                }
                write!(f, "  {len} bytes  ")?;
                match verdict {
                    Verdict::Taken => f.write_str("taken"),
                    Verdict::Repeated => f.write_str("repeated"),
                    Verdict::Dropped(reason) => write!(f, "dropped: {}", reason.as_str()),
                }
            }
            Self::Goes { to, len, head } => {
                write!(f, "> {to}  ")?;
                write_head(f, head)?;
                write!(f, "  {len} bytes")
            }
        }
    }
}

fn write_head(f: &mut fmt::Formatter<'_>, head: &Head) -> fmt::Result {
    let words = format!("{:?} {:?}", head.transaction, head.packet).to_lowercase();
    write!(f, "{words} si {} ti {}", head.session, head.transaction_id)?;
    if head.segments > 1 {
        write!(f, " segment {}/{}", head.segment, head.segments)?;
    }
    Ok(())
}
