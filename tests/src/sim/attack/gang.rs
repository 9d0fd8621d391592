//! Who is there: attackers of different powers in one world, each with its own time to act.

use std::net::SocketAddr;

use raet_core::crypto::{Crypto, NaclSuite};

use super::flood::Flood;
use super::insider::Insider;
use super::off_path::OffPath;
use super::on_path::OnPath;
use super::{Attack, Attacker, Pass, Power};
use crate::sim::Rng;
use crate::sim::plan::{Menace, Plan};
use crate::suite::Weak;

/// Several attackers that share a world.
pub struct Gang {
    members: Vec<Member>,
}

struct Member {
    power: Power,
    attacker: Box<dyn Attacker>,
    /// When it acts next; `None`: never again.
    next: Option<u64>,
}

impl Gang {
    /// Those that a plan has; `None` if there are none.
    pub fn of(plan: &Plan) -> Option<Self> {
        let mut rng = Rng::new(plan.seed ^ 0xBAD);
        if plan.real {
            Self::with(plan, &mut rng, |rng| NaclSuite::new(&rng.seed()))
        } else {
            Self::with(plan, &mut rng, |rng| Weak::new(&rng.seed()))
        }
    }

    fn with<C: Crypto + 'static>(
        plan: &Plan,
        rng: &mut Rng,
        suite: impl Fn(&mut Rng) -> C,
    ) -> Option<Self> {
        let Menace {
            off_path,
            flood,
            on_path,
            insiders,
            ..
        } = plan.menace;
        let mut members = Vec::new();
        let mut add = |power, attacker: Box<dyn Attacker>| {
            members.push(Member {
                power,
                attacker,
                next: Some(0),
            });
        };
        if let Some(pace) = off_path {
            let attacker = OffPath::new(suite(rng), plan, pace);
            add(Power::OffPath, Box::new(attacker));
        }
        if flood {
            let attacker = Flood::new(suite(rng), rng, plan);
            add(Power::OffPath, Box::new(attacker));
        }
        if let Some(pace) = on_path {
            add(Power::OnPath, Box::new(OnPath::new(rng, pace)));
        }
        for number in 0..insiders {
            // One name and one address, at every estate that takes strangers.
            for host in plan.mains() {
                let attacker = Insider::new(suite(rng), rng, plan, number, host);
                add(Power::Insider(number), Box::new(attacker));
            }
        }
        (!members.is_empty()).then_some(Self { members })
    }

    /// Lets one member do something, in its own name.
    fn lead<R>(
        attack: &mut Attack<'_>,
        member: &mut Member,
        what: impl FnOnce(&mut dyn Attacker, &mut Attack<'_>) -> R,
    ) -> R {
        attack.power = member.power;
        let others = attack.next.take();
        let result = what(&mut *member.attacker, attack);
        if let Some(asked) = attack.next {
            member.next = Some(asked);
        }
        attack.next = others;
        result
    }

    /// The world knows one attacker: it is called when the first of them wants to act.
    fn wait(&self, attack: &mut Attack<'_>) {
        attack.next = self.members.iter().filter_map(|member| member.next).min();
    }
}

impl Attacker for Gang {
    fn sees(
        &mut self,
        attack: &mut Attack<'_>,
        from: SocketAddr,
        to: SocketAddr,
        bytes: &[u8],
    ) -> Pass {
        let mut pass = Pass::On;
        for member in &mut self.members {
            let one = Self::lead(attack, member, |a, attack| a.sees(attack, from, to, bytes));
            if one == Pass::Off {
                pass = one;
            }
        }
        pass
    }

    fn gets(&mut self, attack: &mut Attack<'_>, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        for member in &mut self.members {
            Self::lead(attack, member, |a, attack| a.gets(attack, from, to, bytes));
        }
    }

    fn acts(&mut self, attack: &mut Attack<'_>) {
        for member in &mut self.members {
            if member.next.is_some_and(|at| at <= attack.now) {
                member.next = None;
                Self::lead(attack, member, |a, attack| a.acts(attack));
            }
        }
        self.wait(attack);
    }
}
