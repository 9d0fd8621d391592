//! What goes wrong with hosts, and the end of it.

use raet_core::keep::MemoryKeep;

use super::law::Law;
use super::plan::{Fault, Incident, S};
use super::simulation::{Happening, Simulation};

impl Simulation {
    /// Something goes wrong.
    pub(super) fn incident(&mut self, incident: Incident) {
        let (now, storm) = (self.now, self.plan.storm);
        let end = |span: u64| (now + span).min(storm);
        match incident {
            Incident::Crash(n, down, keepless) => {
                if self.hosts[n].engine.is_none() {
                    return;
                }
                let back = end(down);
                self.fault(Fault::Crash);
                if self.hosts[n].unstored > 0 {
                    self.fault(Fault::LostRecord);
                }
                self.hosts[n].crash();
                self.laws.died(n);
                if keepless {
                    self.fault(Fault::LostKeep);
                    self.hosts[n].keep = MemoryKeep::default();
                    // By the clock on the wall, as an estate does that may lose its keep.
                    let lives = self.hosts[n].life + 1;
                    let first = self.plan.hosts[n].first_session;
                    self.hosts[n].plan.first_session = first.wrapping_add(lives * 100_000).max(1);
                }
                self.note(n, || {
                    if keepless {
                        "dies, keep and all"
                    } else {
                        "dies"
                    }
                    .to_owned()
                });
                self.at(back, Happening::Start(n));
            }
            Incident::CrashAfter(outputs, n, down, keepless) => {
                let death = Incident::Crash(n, down, keepless);
                self.hosts[n].crash_after = Some((outputs, death));
            }
            Incident::Stall(n, span) => {
                let until = end(span);
                self.hosts[n].stalled_until = until;
                self.fault(Fault::Stall);
                self.note(n, || "stalls".to_owned());
                self.at(until, Happening::Over(n));
            }
            Incident::Block(n, span) => {
                let until = end(span);
                self.hosts[n].blocked_until = until;
                self.fault(Fault::Block);
                self.note(n, || "its socket is blocked".to_owned());
                self.at(until, Happening::Over(n));
            }
            Incident::Partition(from, to, span) => {
                let until = end(span);
                self.links[from][to].part(until);
            }
            Incident::Rebind(n) => self.rebind(n),
            Incident::TakeOver(n) => match self.book.take_over(n) {
                Some(address) => {
                    self.fault(Fault::TakeOver);
                    self.note(n, || format!("is at {address} now, where another one was"));
                }
                None => self.rebind(n),
            },
            Incident::Deaf(n, span) => {
                let until = end(span);
                self.hosts[n].deaf_until = until;
                self.fault(Fault::Deaf);
                self.note(n, || "takes no messages".to_owned());
                self.at(until, Happening::Over(n));
            }
        }
    }

    fn rebind(&mut self, n: usize) {
        let address = self.book.rebind(n);
        self.fault(Fault::Rebind);
        self.note(n, || format!("is at {address} now"));
    }

    /// An engine has given an output, and its host may die of it.
    pub(super) fn output(&mut self, n: usize) {
        match self.hosts[n].crash_after.take() {
            Some((0 | 1, death)) => {
                self.fault(Fault::CrashAmid);
                self.incident(death);
            }
            Some((more, death)) => self.hosts[n].crash_after = Some((more - 1, death)),
            None => {}
        }
    }

    /// Nothing goes wrong from here on.
    pub(super) fn heal(&mut self) -> Law {
        self.healed = true;
        for link in self.links.iter_mut().flatten() {
            link.heal();
        }
        for n in 0..self.hosts.len() {
            let host = &mut self.hosts[n];
            (host.stalled_until, host.blocked_until, host.deaf_until) = (0, 0, 0);
            host.crash_after = None;
            self.note(n, || "nothing goes wrong any more".to_owned());
            self.start(n)?;
            self.resume(n)?;
        }
        // Applications say a last word in the first two seconds.
        self.at(self.now + 3 * S, Happening::Look);
        Ok(())
    }
}
