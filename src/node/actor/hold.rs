//! While a fault is in force: renew its proof, and watch whatever it depends on.

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::{Actor, Ended, Next, Phase, SEARCH, Wish};
use crate::api::{Desired, InjectionSpec};
use crate::fault::host::Look;
use crate::host::process::ProcessId;
use crate::node::blocking::blocking;
use crate::node::standing::{ENDED, Leftover, Standing};
use crate::node::watch::Watch;
use crate::node::{Channel, Locate};
use crate::undo::Record;

/// How often a proof is renewed.
pub(super) const PROOF: Duration = Duration::from_secs(1);

impl<C: Channel + 'static, L: Locate + 'static> Actor<C, L> {
    /// Renews the proof until somebody or something ends it.
    pub(super) async fn hold(&mut self, mut standing: Box<Standing>) -> Phase {
        let mut targets = Watch::new(&standing.record.target.undo().anchors());
        let mut guardian = Watch::new(&guardian_of(&standing.record));
        let mut next_look = Instant::now() + PROOF;
        loop {
            let left = standing.record.expires.left();
            if left.is_zero() {
                return self.last_look(standing, Next::Reverted).await;
            }
            let is_searching =
                standing.effect.needs_pod() || (self.follows() && standing.effect.strikes_again());
            tokio::select! {
                wish = self.wishes.recv() => match wish {
                    Some(Wish::Put(spec)) if spec.desired == Desired::Injected => {
                        standing = self.change(standing, spec).await;
                        continue;
                    }
                    Some(Wish::Put(spec)) => {
                        self.spec = Some(spec);
                        return self.last_look(standing, Next::Reverted).await;
                    }
                    Some(Wish::Gone) | None => return self.last_look(standing, Next::End).await,
                },
                // The wall clock may be set, and the machine may sleep: nothing is waited for longer than a proof.
                () = sleep(left.min(PROOF)) => continue,
                () = sleep_until(next_look) => {
                    if standing.has_ended() {
                        return self.target_ended(standing).await;
                    }
                    next_look = Instant::now() + PROOF;
                }
                () = targets.next_end() => {
                    if standing.record.target.is_gone() || self.follows() {
                        return self.target_ended(standing).await;
                    }
                }
                () = guardian.next_end() => {
                    standing = self.replace_guardian(standing).await;
                    guardian = Watch::new(&guardian_of(&standing.record));
                }
                () = sleep(SEARCH), if is_searching => {
                    let (found, is_news) = self.search(standing).await;
                    standing = found;
                    if !is_news {
                        continue;
                    }
                }
            }
            if guardian.len() < standing.record.guardians().count() {
                standing = self.replace_guardian(standing).await;
                guardian = Watch::new(&guardian_of(&standing.record));
            }
            if standing.has_ended() {
                return self.target_ended(standing).await;
            }
            standing = self.look(standing).await;
            // Its guardian may have seen the end of the target first, taken it back and ended.
            if standing.is_taken_back && standing.has_ended() {
                return self.target_ended(standing).await;
            }
            self.report().await;
            if standing.is_taken_back && !standing.record.expires.is_over() {
                let left = leftover(standing).await;
                return Phase::TakingBack(left, Next::Lost("somebody else has taken it back".to_owned()));
            }
        }
    }

    async fn look(&mut self, mut standing: Box<Standing>) -> Box<Standing> {
        let (standing, look) = blocking(move || {
            let look = standing.look();
            standing.is_lost = match look {
                Look::Holds(_) => false,
                Look::Fails(_) => true,
                Look::NotYet => standing.is_lost,
            };
            (standing, look)
        })
        .await;
        self.status.see(look);
        standing
    }

    /// The effect is proven up to its very end.
    async fn last_look(&mut self, standing: Box<Standing>, next: Next) -> Phase {
        let standing = self.look(standing).await;
        let next = match (next, &standing.effect) {
            (Next::Reverted, effect) if effect.needs_pod() => {
                Next::Failed("the pod did not come back with its volumes before the deadline".to_owned())
            }
            (next, _) => next,
        };
        Phase::TakingBack(leftover(standing).await, next)
    }

    /// Looks for the pod that is there now, as far as the fault depends on it; whether there is news.
    async fn search(&mut self, mut standing: Box<Standing>) -> (Box<Standing>, bool) {
        let Ok(Some(pod)) = self.locate().await else {
            return (standing, false);
        };
        let (standing, result) = blocking(move || {
            if standing.effect.needs_pod() {
                let is_news = !matches!(standing.effect.look(Some(&pod)), Look::NotYet);
                return (standing, Ok(is_news));
            }
            let result = standing.strike_next(&pod);
            (standing, result)
        })
        .await;
        match result {
            Ok(is_news) => (standing, is_news),
            Err(error) => {
                self.status.note(&error.to_string());
                (standing, true)
            }
        }
    }

    async fn change(&mut self, mut standing: Box<Standing>, spec: Box<InjectionSpec>) -> Box<Standing> {
        self.spec = Some(spec.clone());
        if standing.record.spec.fault == spec.fault && standing.record.spec.deadline == spec.deadline {
            // Orders repeat; so do statuses.
            self.report().await;
            return standing;
        }
        let (standing, result) = blocking(move || {
            let result = standing.change(*spec);
            (standing, result)
        })
        .await;
        if let Err(error) = result {
            self.status.note(&format!("the change was not made: {error}"));
        }
        let standing = self.look(standing).await;
        self.report().await;
        standing
    }

    async fn replace_guardian(&mut self, mut standing: Box<Standing>) -> Box<Standing> {
        if standing.record.expires.is_over() || standing.record.target.is_gone() {
            return standing;
        }
        let options = self.node.options.clone();
        let (standing, result) = blocking(move || {
            let result = standing.replace_guardians(&options);
            (standing, result)
        })
        .await;
        let now = jiff::Timestamp::now();
        self.status.note(&match result {
            Ok(()) => format!("its guardian ended unasked and was replaced at {now:.3}"),
            Err(error) => format!("its guardian ended unasked and cannot be replaced: {error}"),
        });
        standing
    }

    /// The pod or a container was re-created, or ended, perhaps of what was done to it.
    async fn target_ended(&mut self, mut standing: Box<Standing>) -> Phase {
        let (standing, told) = blocking(move || {
            // Where others go on, or nothing was done any more, it did not end of that.
            let is_proof = standing.record.target.is_gone() && !standing.is_lost;
            let told = is_proof.then(|| standing.effect.ended_of_it()).flatten();
            (standing, told)
        })
        .await;
        match &told {
            Some(told) => self.status.see(Look::Holds(told.clone())),
            None => self.status.lose(ENDED),
        }
        self.report().await;
        let next = if self.follows() { Next::Again } else { Next::Lost(ENDED.to_owned()) };
        self.ended_of_it = told.filter(|_| self.follows()).map(|told| Ended::new(&standing.record, told));
        Phase::TakingBack(leftover(standing).await, next)
    }
}

/// What is left of an effect that nobody looks at any more, which may have to be waited for.
async fn leftover(standing: Box<Standing>) -> Box<Leftover> {
    blocking(move || Box::new((*standing).into())).await
}

fn guardian_of(record: &Record) -> Vec<ProcessId> {
    record.guardians().map(|guardian| guardian.process).collect()
}
