//! What handles ask of the engine, each on the thread that asks.

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};
use std::task::Context;
use std::time::{Duration, Instant};

use raet_core::RemoteId;
use raet_core::config::Presence;
use raet_core::crypto::PublicKeys;
use raet_core::error::{Gone, IntroduceError, JudgeError};
use raet_core::keep::Status;

use super::Shared;
use crate::body::Body;
use crate::delivery::{Delivery, Ticket};
use crate::error::{ConnectError, SendError};
use crate::road::SendOptions;
use crate::state::{Open, Phase, State, TOLD};

impl Shared {
    pub(crate) fn connect(&self, to: SocketAddr, token: u64) -> Result<RemoteId, ConnectError> {
        use raet_core::error::ConnectError as Core;
        let to = crate::socket::unmapped(to);
        if !self.socket.reaches(to) {
            return Err(ConnectError::Family {
                to,
                bound: self.socket.local,
            });
        }
        self.command(|state| {
            if state.phase != Phase::Open {
                return Err(ConnectError::Closed);
            }
            state
                .stack
                .connect(state.now, to, token)
                .map_err(|error| match error {
                    Core::Full => ConnectError::Full,
                    Core::Address => ConnectError::Address(to),
                })
        })
    }

    /// Gives the message to the engine, or leaves word with `waiting` when there is no room.
    pub(crate) fn send(
        self: &Arc<Self>,
        to: RemoteId,
        body: &Body,
        options: &SendOptions,
        waiting: Option<&Context<'_>>,
    ) -> Result<Delivery, SendError> {
        use raet_core::error::SendError as Core;
        let (number, ticket) = self.command(|state| {
            if state.phase != Phase::Open {
                return Err(SendError::Closed);
            }
            if options.tell && state.told >= TOLD {
                if let Some(cx) = waiting {
                    state.for_room.add(cx);
                }
                return Err(SendError::Full);
            }
            let number = state.last_number + 1;
            let core = raet_core::road::SendOptions {
                body: body.kind(),
                token: number,
                deadline: options.deadline.map(|time| state.now + time),
                once: options.once,
            };
            let fill = |room: &mut [u8]| room.copy_from_slice(body.bytes());
            let id = state
                .stack
                .send(state.now, state.known(to), core, body.bytes().len(), fill)
                .map_err(|error| match error {
                    Core::Gone => SendError::Gone,
                    Core::TooLong => SendError::TooLong {
                        len: body.bytes().len(),
                        limit: state.stack.limits().message,
                    },
                    Core::NotMapping => SendError::NotMapping,
                    Core::Full => {
                        if let Some(cx) = waiting {
                            state.for_room.add(cx);
                        }
                        SendError::Full
                    }
                })?;
            state.last_number = number;
            let ticket = Arc::new(Ticket::default());
            let open = Open {
                ticket: Arc::clone(&ticket),
                id,
                to,
                tell: options.tell,
            };
            state.told += usize::from(open.tell);
            state.open.insert(number, open);
            Ok((number, ticket))
        })?;
        Ok(Delivery {
            number,
            ticket,
            shared: Arc::downgrade(self),
        })
    }

    pub(crate) fn forget(&self, remote: RemoteId) -> Result<(), Gone> {
        self.command(|state| state.stack.forget(state.now, state.known(remote)))
    }

    pub(crate) fn judge_role(
        &self,
        role: &str,
        status: Status,
        keys: Option<&PublicKeys>,
    ) -> Result<(), JudgeError> {
        self.command(|state| state.stack.judge_role(state.now, role, status, keys))
    }

    pub(crate) fn introduce_role(
        &self,
        role: &str,
        keys: &PublicKeys,
        status: Status,
    ) -> Result<(), IntroduceError> {
        self.command(|state| state.stack.introduce_role(state.now, role, keys, status))
    }

    /// Ends all dealings with the estates that have joined under a role.
    #[cfg(unix)]
    pub(crate) fn forget_bearers(&self, role: &str) {
        self.command(|state| {
            let joined = state.stack.remotes();
            let joined = joined.filter(|info| info.role == role && (info.joined || info.proven));
            for id in joined.map(|info| info.id).collect::<Vec<_>>() {
                // It was there under this very lock.
                let _ = state.stack.forget(state.now, id);
            }
        });
    }

    /// Has stored what waits for the keep, and waits for that, but no longer than this. Whether it is;
    /// always so without a keep.
    #[cfg(unix)]
    pub(crate) fn is_stored(&self, within: Duration) -> bool {
        let mut state = self.lock();
        let handed = state.handed;
        if state.writes && state.stored < handed {
            state.keep_due = Some(Instant::now());
            state.keep_work.notify_one();
        }
        let done = Arc::clone(&state.keep_done);
        let open = |state: &mut State| state.writes && state.stored < handed;
        let (mut state, _) = done
            .wait_timeout_while(state, within, open)
            .unwrap_or_else(PoisonError::into_inner);
        !open(&mut state)
    }

    pub(crate) fn forget_role(&self, role: &str) -> Result<(), JudgeError> {
        self.command(|state| state.stack.forget_role(state.now, role))
    }

    pub(crate) fn set_presence(&self, presence: Option<Presence>) {
        self.command(|state| state.stack.set_presence(state.now, presence));
    }

    pub(crate) fn cancel(&self, number: u64) {
        self.command(|state| {
            if let Some(open) = state.open.get(&number) {
                // Gone means that its end was told already.
                let _ = state.stack.cancel(state.now, open.id);
            }
        });
    }
}
