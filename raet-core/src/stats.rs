//! Counters. They saturate; reading them costs nothing and changes nothing.

use crate::wire::WireError;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident => $text:literal,)*) => {
        /// Why a datagram was dropped, in the order of the checks (H15).
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[repr(u8)]
        pub enum Reason { $($(#[$doc])* $name,)* }

        impl Reason {
            /// All reasons, in the order of the checks.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// A few words for people.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

reasons! {
    /// Not a packet: see the wire counters.
    Wire => "not a packet",
    /// A broadcast.
    Broadcast => "broadcast",
    /// Source, destination or session id is zero, or not zero in a join.
    Ids => "ids do not fit its kind",
    /// No remote has this destination id, or, where there is none, this join open.
    Stranger => "from no remote",
    /// It does not come from where the remote is or claims to be.
    Address => "from another address",
    /// It is not signed.
    Unsigned => "not signed",
    /// Of an older session.
    StaleSession => "of an older session",
    /// Of a newer session than any handshake has made.
    UnknownSession => "of an unknown session",
    /// Its transaction is over, or never was.
    NoTransaction => "of no open transaction",
    /// Its transaction id is ahead of the replay window; it is taken when older ones have ended.
    Ahead => "ahead of the replay window",
    /// A packet that was acted on before.
    Replayed => "repeated",
    /// A kind that its transaction does not expect now.
    Unexpected => "not expected now",
    /// Too many signatures failed from unproven addresses lately.
    Limited => "limited: too many bad signatures lately",
    /// The signature is wrong.
    Forged => "bad signature",
    /// Its body cannot be read.
    Body => "bad body",
    /// Its coat does not open.
    Coat => "bad coat",
    /// It is not encrypted.
    Uncoated => "not encrypted",
    /// Its segment numbers or lengths contradict each other or its first packet.
    Segment => "segments that do not fit",
    /// No session is up; one is being made.
    NoSession => "no session yet",
    /// A limit is reached; the peer will send again.
    Full => "no room now",
    /// A weak key.
    WeakKey => "weak key",
    /// It claims to be this very estate.
    Impostor => "claims to be this estate",
}

/// What became of a datagram.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It was acted on.
    Taken,
    /// It repeats what was acted on: its answer goes out again, nothing changes.
    Repeated,
    /// It was dropped.
    Dropped(Reason),
}

/// Everything the engine counts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stats {
    /// Datagrams that came.
    pub datagrams_in: u64,
    /// Datagrams that were made.
    pub datagrams_out: u64,
    /// Messages that the host has taken.
    pub messages_in: u64,
    /// Messages delivered to a peer.
    pub messages_out: u64,
    /// Packets made again because no answer came or a gap was reported.
    pub repeats_out: u64,
    /// Answers left out because their queue was full.
    pub replies_left_out: u64,
    pub(crate) dropped: [u64; Reason::ALL.len()],
    pub(crate) malformed: [u64; WireError::ALL.len()],
}

impl Stats {
    pub(crate) const fn new() -> Self {
        Self {
            datagrams_in: 0,
            datagrams_out: 0,
            messages_in: 0,
            messages_out: 0,
            repeats_out: 0,
            replies_left_out: 0,
            dropped: [0; Reason::ALL.len()],
            malformed: [0; WireError::ALL.len()],
        }
    }

    /// Datagrams dropped for this reason.
    pub fn dropped(&self, reason: Reason) -> u64 {
        self.dropped.get(reason as usize).copied().unwrap_or(0)
    }

    /// Datagrams dropped for any reason.
    pub fn dropped_in_all(&self) -> u64 {
        self.dropped.iter().sum()
    }

    /// Datagrams that were not packets, by what was wrong with them.
    pub fn malformed(&self, error: WireError) -> u64 {
        self.malformed.get(error as usize).copied().unwrap_or(0)
    }

    #[inline(never)] // called from many places, and longer than a call
    pub(crate) fn drop(&mut self, reason: Reason) -> Verdict {
        if let Some(count) = self.dropped.get_mut(reason as usize) {
            *count += 1;
        }
        Verdict::Dropped(reason)
    }

    pub(crate) fn drop_malformed(&mut self, error: WireError) -> Verdict {
        if let Some(count) = self.malformed.get_mut(error as usize) {
            *count += 1;
        }
        self.drop(Reason::Wire)
    }
}
