//! The bounds of an engine. Each table, queue and buffer has one; what happens when it is full is
//! said beside it.

/// How much an engine may hold.
///
/// Under `Fixed` each number is bounded by the capacity that its type names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Remotes. Full: a stranger's join displaces the oldest remote that never proved its keys;
    /// where all have, it gets silence, and the host's own `connect` an error. Strangers at one
    /// address and port have four of these places between them.
    pub remotes: usize,
    /// Roles, those of which nothing but a judgement is known included. Full: as for remotes.
    pub roles: usize,
    /// Allows in progress. Full: a peer's hello gets silence, an own allow is tried again later. Peers
    /// that have proven nothing yet have half of them between them.
    pub handshakes: usize,
    /// Messages on their way out, with those whose outcome was not polled. Full: `send` says so.
    pub outbox: usize,
    /// Messages on their way in, with those that were not taken. Full: silence, the peer sends
    /// again.
    pub inbox: usize,
    /// How many of the inbox's places one remote may hold.
    pub remote_inbox: usize,
    /// Bytes of the largest message, both ways.
    pub message: usize,
    /// Bytes of all messages on their way out. Full: `send` says so.
    pub outbox_bytes: usize,
    /// Bytes of all messages on their way in, counted when declared. Full: silence.
    pub inbox_bytes: usize,
    /// How many of those one remote may hold.
    pub remote_inbox_bytes: usize,
    /// Short answers (done, nack, unjoined …) that wait for the socket. Full: the answer is left
    /// out, its peer asks again.
    pub replies: usize,
}

/// Bytes that a message takes beside its body: the coat's tag and nonce, and its map of segments.
pub const MESSAGE_OVERHEAD: usize = 40;

impl Limits {
    /// Bytes that a body of `len` takes in a byte budget, at most: with its coat and, if it is
    /// segmented, one bit a segment.
    pub const fn budget(len: usize) -> usize {
        let coat = len + MESSAGE_OVERHEAD;
        coat + coat / SMALLEST_SEGMENT / 8 + 1
    }

    /// The longest body that fits a byte budget.
    pub const fn largest(budget: usize) -> usize {
        let room = budget.saturating_sub(1);
        let coat = room - room.saturating_add(1) / (8 * SMALLEST_SEGMENT + 1);
        coat.saturating_sub(MESSAGE_OVERHEAD)
    }

    /// Whether the numbers agree with each other.
    ///
    /// # Errors
    ///
    /// Says which one contradicts another.
    pub const fn check(&self) -> Result<(), LimitsError> {
        if self.remotes == 0 || self.roles < self.remotes || self.handshakes == 0 {
            return Err(LimitsError::Remotes);
        }
        if self.outbox == 0 || self.inbox == 0 || self.remote_inbox == 0 || self.replies == 0 {
            return Err(LimitsError::Empty);
        }
        if self.remote_inbox > self.inbox || self.remote_inbox_bytes > self.inbox_bytes {
            return Err(LimitsError::Share);
        }
        let largest = Self::budget(self.message);
        if self.message > MAX_MESSAGE
            || self.outbox_bytes < largest
            || self.remote_inbox_bytes < largest
        {
            return Err(LimitsError::Message);
        }
        Ok(())
    }
}

/// The fewest bytes of coat that this engine puts in a segment, whatever its head: a packet less
/// the longest head and the foot.
pub const SMALLEST_SEGMENT: usize = 1024 - 255 - 64;

/// What 65,535 segments of the smallest size can carry (road-transactions: Message).
pub const MAX_MESSAGE: usize = 65_535 * SMALLEST_SEGMENT - MESSAGE_OVERHEAD;

/// Numbers that contradict each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LimitsError {
    /// No remotes, no handshakes, or fewer roles than remotes.
    Remotes,
    /// A table without any room.
    Empty,
    /// One remote's share is larger than what all share.
    Share,
    /// The largest message does not fit its budget, or the protocol.
    Message,
    /// More than the storage can ever hold.
    Capacity,
}

impl core::fmt::Display for LimitsError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Remotes => {
                "limits: at least one remote and one handshake, and as many roles as remotes"
            }
            Self::Empty => "limits: outbox, inbox and replies need room for at least one",
            Self::Share => "limits: one remote's share of the inbox is larger than the inbox",
            Self::Message => "limits: the largest message does not fit the byte budgets",
            Self::Capacity => "limits: more than this storage can hold",
        })
    }
}

impl core::error::Error for LimitsError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_body_of_a_budget_takes_all_of_it() {
        for len in 0..100_000 {
            assert_eq!(Limits::largest(Limits::budget(len)), len);
            assert!(Limits::budget(Limits::largest(len + 41)) <= len + 41);
        }
    }
}
