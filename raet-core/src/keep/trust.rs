//! What a join with keys for a role gets: the table of road-transactions: Acceptance, in one place.

use super::Status;
use crate::config::Trust;

/// The answer to offered keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Standing {
    /// How the join goes on.
    pub status: Status,
    /// Whether the offered keys and this status become what is kept of the role.
    pub kept: bool,
}

/// Judges keys offered for a role: `held` is the role's kept status and whether its kept keys are
/// the offered ones, `None` where nothing is kept.
///
/// | kept | never | once | always |
/// |---|---|---|---|
/// | nothing | pending | accepted | accepted |
/// | pending, same keys | pending | accepted | accepted |
/// | pending, other keys | rejected | rejected | accepted, replaced |
/// | accepted, same keys | accepted | accepted | accepted |
/// | accepted, other keys | rejected | rejected | accepted, replaced |
/// | rejected | rejected | rejected | accepted, replaced |
pub const fn judge(trust: Trust, held: Option<(Status, bool)>) -> Standing {
    use Status::{Accepted, Pending, Rejected};
    match (trust, held) {
        (_, Some((Accepted, true))) => Standing {
            status: Accepted,
            kept: false,
        },
        (Trust::Always, _) | (Trust::Once, None | Some((Pending, true))) => Standing {
            status: Accepted,
            kept: true,
        },
        (Trust::Never, None | Some((Pending, true))) => Standing {
            status: Pending,
            kept: true,
        },
        (Trust::Never | Trust::Once, Some(_)) => Standing {
            status: Rejected,
            kept: false,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_acceptance_table_cell_by_cell() {
        use Status::{Accepted as A, Pending as P, Rejected as R};
        let rows = [
            (None, [P, A, A]),
            (Some((P, true)), [P, A, A]),
            (Some((P, false)), [R, R, A]),
            (Some((A, true)), [A, A, A]),
            (Some((A, false)), [R, R, A]),
            (Some((R, true)), [R, R, A]),
            (Some((R, false)), [R, R, A]),
        ];
        for (held, expected) in rows {
            for (trust, status) in [Trust::Never, Trust::Once, Trust::Always]
                .into_iter()
                .zip(expected)
            {
                let standing = judge(trust, held);
                assert_eq!(standing.status, status, "{trust:?} {held:?}");
                assert!(!standing.kept || status != R, "a rejection changes nothing");
            }
        }
    }
}
