//! A copy of an engine, and what tells two engines apart: for tests that search all that can happen.
//!
//! A copied engine draws what its original draws, nonces too. So only a suite that can be copied has
//! engines that can, and [`NaclSuite`](crate::crypto::NaclSuite) cannot.

use core::hash::{Hash, Hasher};

use super::stack::RoadStack;
use crate::crypto::Crypto;
use crate::storage::{Bodies, Storage};

impl<S: Storage, C: Crypto + Clone> Clone for RoadStack<S, C>
where
    C::SignKey: Clone,
    C::SecretKey: Clone,
{
    /// An engine that goes on from the same state; whatever both are told, they do the same.
    ///
    /// # Panics
    ///
    /// When the allocator refuses.
    fn clone(&self) -> Self {
        Self {
            now: self.now,
            config: self.config.copy(),
            limits: self.limits,
            suite: self.suite.clone(),
            sign_key: self.sign_key.clone(),
            box_secret: self.box_secret.clone(),
            public: self.public,
            life: self.life,
            hash: self.hash.clone(),
            stats: self.stats.clone(),
            remotes: self.remotes.clone(),
            by_near: self.by_near.clone(),
            by_name: self.by_name.clone(),
            by_address: self.by_address.clone(),
            by_candidate: self.by_candidate.clone(),
            due_remotes: self.due_remotes.clone(),
            ready: self.ready.clone(),
            news: self.news.clone(),
            records: self.records.clone(),
            unproven: self.unproven.clone(),
            births: self.births,
            former_name: self.former_name.clone(),
            kept_remotes: self.kept_remotes,
            kept_roles: self.kept_roles,
            roles: self.roles.clone(),
            role_by_name: self.role_by_name.clone(),
            role_records: self.role_records.clone(),
            role_news: self.role_news.clone(),
            handshakes: self.handshakes.clone(),
            bodies: self.bodies.clone(),
            outbox: self.outbox.clone(),
            outbox_bytes: self.outbox_bytes,
            out_by_id: self.out_by_id.clone(),
            due_out: self.due_out.clone(),
            ended: self.ended.clone(),
            inbox: self.inbox.clone(),
            inbox_bytes: self.inbox_bytes,
            in_by_id: self.in_by_id.clone(),
            due_in: self.due_in.clone(),
            arrived: self.arrived.clone(),
            replies: self.replies.clone(),
            reply_queue: self.reply_queue.clone(),
            stranger_replies: self.stranger_replies,
            first_session: self.first_session,
            sessions_stored: self.sessions_stored,
            sessions_asked: self.sessions_asked,
            estate_unrecorded: self.estate_unrecorded,
            forgeries: self.forgeries.clone(),
            strangers: self.strangers.clone(),
        }
    }
}

impl<S: Storage, C: Crypto + Hash> Hash for RoadStack<S, C>
where
    C::VerifyKey: Hash,
    C::SecretKey: Hash,
    C::BoxKey: Hash,
{
    /// What decides the future of an engine: two of one configuration and equal hashes do the same,
    /// whatever both are told. Counters are left out, and where bodies lie. Moments go in as
    /// [`Instant`](crate::time::Instant)s: a hasher that wants them relative makes them so.
    fn hash<H: Hasher>(&self, state: &mut H) {
        // All fields by name: a new one is in it, or left out for a reason.
        let Self {
            now: _,    // every call brings a later one
            config: _, // the same for a life, as limits, suite and keys are
            limits: _,
            suite: _,
            sign_key: _,
            box_secret: _,
            public: _,
            life,
            hash: _,
            stats: _, // counters
            remotes,
            by_near: _, // they find what the tables hold
            by_name: _,
            by_address: _,
            by_candidate: _,
            due_remotes,
            ready,
            news,
            records,
            unproven,
            births,
            former_name,
            kept_remotes,
            kept_roles,
            roles,
            role_by_name: _,
            role_records,
            role_news,
            handshakes,
            bodies,
            outbox,
            outbox_bytes: _, // sums over the tables
            out_by_id: _,
            due_out,
            ended,
            inbox,
            inbox_bytes: _,
            in_by_id: _,
            due_in,
            arrived,
            replies,
            reply_queue,
            stranger_replies: _,
            first_session,
            sessions_stored,
            sessions_asked,
            estate_unrecorded,
            forgeries,
            strangers,
        } = self;
        (life, births).hash(state);
        (remotes, roles, handshakes).hash(state);
        (outbox, inbox, replies).hash(state);
        (due_remotes, due_out, due_in).hash(state);
        (ready, news, records, unproven).hash(state);
        (role_records, role_news).hash(state);
        (former_name, kept_remotes, kept_roles).hash(state);
        (ended, arrived, reply_queue).hash(state);
        (first_session, sessions_stored, sessions_asked).hash(state);
        estate_unrecorded.hash(state);
        let out = (0..outbox.slots()).filter_map(|slot| outbox.at(slot).map(|m| m.body));
        let into = (0..inbox.slots()).filter_map(|slot| inbox.at(slot).map(|m| m.body));
        out.chain(into).for_each(|id| bodies.get(id).hash(state));
        forgeries.hash(state);
        strangers.hash(state);
    }
}
