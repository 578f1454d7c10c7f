//! From a wish to a fault in force with its record and its guardian, in the order that survives a SIGKILL anywhere.
//!
//! Everything here blocks; the node calls it on threads meant for that.

use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

use super::{LocatedPod, Options};
use crate::api::{HostFault, InjectionSpec};
use crate::fault::host::{Effect, HostError, Look, Own, Prepared, prepare};
use crate::host::process::boot::{Era, uptime};
use crate::host::process::held::Held;
use crate::undo::guardian::{Armed, LaunchError, Started};
use crate::undo::{Claim, Claiming, Expiry, Record, Store, StoreError, UndoError, stop_here, undo};

/// Why a fault is lost whose target is gone.
pub(super) const ENDED: &str = "the processes that it held ended";

/// A fault in force.
pub(super) struct Standing {
    pub path: PathBuf,
    pub record: Record,
    pub effect: Box<dyn Effect>,
    /// Somebody else has taken it back: its record is gone.
    pub is_taken_back: bool,
    /// The newest look that could tell did not see it.
    pub is_lost: bool,
    /// Present where nothing but a process can end the fault.
    pub guardians: Vec<Armed>,
}

/// What is left to be taken back.
pub(super) struct Leftover {
    pub path: PathBuf,
    pub record: Record,
    pub held: Held,
    /// Kept until they have been ended, so that they are reaped.
    pub guardians: Vec<Armed>,
}

/// Why there is no fault in force.
#[derive(Debug, thiserror::Error)]
pub(super) enum StandingError {
    #[error(transparent)]
    Fault(Box<HostError>),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Guardian(#[from] LaunchError),
    #[error("the deadline has passed already")]
    TooLate,
    #[error("somebody else is just taking it back, or has done so")]
    TakenBack,
    #[error("the fault was made but shows no effect: {0}")]
    NoEffect(String),
}

impl From<HostError> for StandingError {
    fn from(error: HostError) -> Self {
        Self::Fault(Box::new(error))
    }
}

/// A failed attempt, with what it left behind, if anything.
pub(super) struct Attempt {
    pub why: StandingError,
    pub left: Option<(Box<Leftover>, UndoError)>,
}

impl<E: Into<StandingError>> From<E> for Attempt {
    fn from(why: E) -> Self {
        Self { why: why.into(), left: None }
    }
}

/// What an attempt is doing now, for a person.
pub(super) type Doing = watch::Sender<&'static str>;

/// Prepares, writes the record, starts the guardian, acts, and looks.
pub(super) fn inject(
    options: &Options,
    (era, began): (Era, Duration),
    spec: InjectionSpec,
    pod: &LocatedPod,
    doing: &Doing,
) -> Result<(Standing, Look), Attempt> {
    let generation = uptime().as_nanos() as u64;
    let expires = Expiry::new(&spec.deadline, began);
    if expires.is_over() {
        return Err(StandingError::TooLate.into());
    }
    let path = Store::open(&options.undo_dir)?.path(&spec.name, generation);
    let own = Own { undo_dir: &options.undo_dir, launch: &options.guardian };
    let prepared = prepare(&spec, pod, &format!("{generation:x}"), own)?;
    let target = prepared.target();
    doing.send_replace("starting its guardian");
    let started = start(options, &path, &prepared.descriptors(), target.undo().guardians())?;
    stop_here("guardian-started");
    let record = Record {
        schema: Record::SCHEMA,
        generation,
        written: Timestamp::now(),
        began,
        era,
        pod: pod.uid.clone(),
        expires,
        target,
        guardian: started.first().map(|started| started.identity.clone()),
        twin: started.get(1).map(|started| started.identity.clone()),
        spec,
    };
    doing.send_replace("writing its undo record to the node's disk");
    let claim = match Store::write(&path, &record) {
        Ok(claim) => claim,
        Err(error) => {
            started.into_iter().for_each(Started::dismiss);
            // It may be there all the same, when only its folder could not be synced.
            return Err(give_up(error.into(), Leftover::unguarded(path, record)));
        }
    };
    stop_here("record-written");
    doing.send_replace("arming its guardian");
    let guardians = match started.into_iter().map(Started::arm).collect::<Result<Vec<_>, _>>() {
        Ok(guardians) => guardians,
        Err(error) => {
            drop(claim);
            return Err(give_up(error.into(), Leftover::unguarded(path, record)));
        }
    };
    match act(prepared, &record, pod, claim, doing) {
        Ok((effect, look)) => {
            let standing = Standing { path, record, effect, is_taken_back: false, is_lost: false, guardians };
            match look {
                Look::Fails(observed) => Err(give_up(StandingError::NoEffect(observed), standing.into())),
                look @ (Look::Holds(_) | Look::NotYet) => Ok((standing, look)),
            }
        }
        Err(error) => Err(give_up(error, Leftover { path, record, held: Held::default(), guardians })),
    }
}

/// Makes the fault and looks at it once. The claim ends with it: until then no guardian lets go of the record.
fn act(
    prepared: Box<dyn Prepared>,
    record: &Record,
    pod: &LocatedPod,
    claim: Claim,
    doing: &Doing,
) -> Result<(Box<dyn Effect>, Look), StandingError> {
    let left = record.expires.left();
    if left.is_zero() {
        return Err(StandingError::TooLate);
    }
    stop_here("guardian-armed");
    doing.send_replace("making it");
    let mut effect = prepared.inject(&record.spec, left)?;
    stop_here("acted");
    doing.send_replace("looking for its effect");
    let look = effect.look(Some(pod));
    stop_here("verified");
    drop(claim);
    Ok((effect, look))
}

fn claim(path: &Path) -> Result<Claim, StandingError> {
    match Store::claim(path)? {
        Claiming::Ours(claim) => Ok(claim),
        Claiming::Busy | Claiming::Gone => Err(StandingError::TakenBack),
    }
}

/// Starts guardians that wait for their record. Where one cannot be started, those before it end for want of a record.
fn start(
    options: &Options,
    path: &Path,
    held: &[BorrowedFd<'_>],
    count: usize,
) -> Result<Vec<Started>, LaunchError> {
    (0..count).map(|_| options.guardian.start(path, held)).collect()
}

/// Takes back what a failed attempt may have done; what cannot be taken back now is handed on.
fn give_up(why: StandingError, left: Leftover) -> Attempt {
    match left.take_back() {
        Ok(()) => Attempt { why, left: None },
        Err((left, error)) => Attempt { why, left: Some((left, error)) },
    }
}

impl From<Standing> for Leftover {
    fn from(Standing { path, record, effect, is_taken_back: _, is_lost: _, guardians }: Standing) -> Self {
        Self { path, record, held: effect.into_held(), guardians }
    }
}

impl Leftover {
    /// One whose guardians are not this process's to reap, or of which there are none.
    pub(super) fn unguarded(path: PathBuf, record: Record) -> Self {
        Self { path, record, held: Held::default(), guardians: Vec::new() }
    }

    /// One attempt to take it back; what is left is given back with the reason.
    pub(super) fn take_back(self) -> Result<(), (Box<Self>, UndoError)> {
        match undo(&self.path, &self.record, &self.held) {
            Ok(()) => {
                // They have been ended and can be reaped.
                drop(self.guardians);
                Ok(())
            }
            Err(error) => Err((Box::new(self), error)),
        }
    }
}

impl Standing {
    /// Takes up what an earlier process began, as `spec` wants it now.
    pub(super) fn adopt(
        options: &Options,
        path: PathBuf,
        mut record: Record,
        spec: InjectionSpec,
    ) -> Result<(Self, Look), (Box<Leftover>, StandingError)> {
        let mut claim = match claim(&path) {
            Ok(claim) => claim,
            Err(error) => return Err((Box::new(Leftover::unguarded(path, record)), error)),
        };
        let mut effect = match record.target.undo().adopt(&record.spec.fault, record.held()) {
            Ok(effect) => effect,
            Err(error) => return Err((Box::new(Leftover::unguarded(path, record)), error.into())),
        };
        let adopted = record.guardians().map(Armed::adopt).collect::<Result<Vec<_>, _>>();
        let guardians: Vec<Armed> = match adopted {
            Ok(guardians) => guardians.into_iter().flatten().collect(),
            Err(error) => {
                let error = StandingError::Guardian(LaunchError::Arm(error));
                let left = Leftover { held: effect.into_held(), ..Leftover::unguarded(path, record) };
                return Err((Box::new(left), error));
            }
        };
        if record.spec.deadline != spec.deadline {
            record.expires = Expiry::new(&spec.deadline, record.began);
        }
        let before = std::mem::replace(&mut record.spec, spec).fault;
        let needs_guardian = guardians.len() < record.guardians().count();
        // What was in force may be older than the record that was to change it, so that it is made anew in any case.
        let changed = change(effect.as_mut(), &before, &record);
        let mut standing = Self { path, record, effect, is_taken_back: false, is_lost: false, guardians };
        let ready = changed.and_then(|()| {
            if needs_guardian {
                standing.renew_guardians(options, &mut claim)
            } else {
                Ok(claim.rewrite(&standing.record)?)
            }
        });
        match ready {
            Ok(()) => {
                let look = standing.effect.look(None);
                Ok((standing, look))
            }
            Err(error) => Err((Box::new(standing.into()), error)),
        }
    }

    /// Looks for the effect, while nobody else may take it back: some looks make it for a moment.
    pub(super) fn look(&mut self) -> Look {
        match Store::claim(&self.path) {
            Ok(Claiming::Ours(_claim)) => match self.effect.look(None) {
                // Its target may have ended only now, and with it what was looked for.
                Look::Fails(_) if self.has_ended() => self.look_at_ended(),
                look @ (Look::Holds(_) | Look::Fails(_) | Look::NotYet) => look,
            },
            // Whoever takes it back, its guardian perhaps, does so because its target has ended.
            Ok(claiming @ (Claiming::Busy | Claiming::Gone)) if self.has_ended() => {
                self.is_taken_back = matches!(claiming, Claiming::Gone);
                self.look_at_ended()
            }
            // Its guardian was faster than this node, as it should be: that says nothing about the time before.
            Ok(Claiming::Busy | Claiming::Gone) if self.record.expires.is_over() => Look::NotYet,
            Ok(Claiming::Busy) => Look::Fails("somebody else is just taking it back".into()),
            Ok(Claiming::Gone) => {
                self.is_taken_back = true;
                Look::Fails("somebody else has taken it back".into())
            }
            Err(error) => Look::Fails(error.to_string()),
        }
    }

    /// What is to be seen once the target has ended: where nothing was done any more, it did not end of that.
    fn look_at_ended(&mut self) -> Look {
        let told = if self.is_lost { None } else { self.effect.ended_of_it() };
        told.map_or(Look::Fails(ENDED.into()), Look::Holds)
    }

    /// Whether the target of an effect that lasts is gone; whom a kill has hit is gone from the beginning.
    pub(super) fn has_ended(&self) -> bool {
        !self.record.spec.fault.happens_once() && self.record.target.is_gone()
    }

    /// Starts other guardians in place of those that died.
    pub(super) fn replace_guardians(&mut self, options: &Options) -> Result<(), StandingError> {
        let mut claim = claim(&self.path)?;
        self.renew_guardians(options, &mut claim)
    }

    fn renew_guardians(&mut self, options: &Options, claim: &mut Claim) -> Result<(), StandingError> {
        self.guardians.retain(|guardian| !guardian.has_ended());
        let missing = self.record.target.undo().guardians().saturating_sub(self.guardians.len());
        let started = start(options, &self.path, &self.effect.descriptors(), missing)?;
        let living = self.guardians.iter().map(|guardian| &guardian.identity);
        let mut all = living.chain(started.iter().map(|started| &started.identity)).cloned();
        let record = Record { guardian: all.next(), twin: all.next(), ..self.record.clone() };
        drop(all);
        if let Err(error) = claim.rewrite(&record) {
            started.into_iter().for_each(Started::dismiss);
            return Err(error.into());
        }
        self.record = record;
        for started in started {
            self.guardians.push(started.arm()?);
        }
        Ok(())
    }

    /// Makes it what `spec` says now: other peers, another deadline.
    pub(super) fn change(&mut self, spec: InjectionSpec) -> Result<(), StandingError> {
        let mut claim = claim(&self.path)?;
        let mut record = Record { spec, ..self.record.clone() };
        if record.spec.deadline != self.record.spec.deadline {
            record.expires = Expiry::new(&record.spec.deadline, record.began);
        }
        claim.rewrite(&record)?;
        match change(self.effect.as_mut(), &self.record.spec.fault, &record) {
            Ok(()) => {
                self.record = record;
                Ok(())
            }
            Err(error) => {
                claim.rewrite(&self.record)?;
                Err(error)
            }
        }
    }

    /// Hits who came after those that were hit before; whether there was anybody.
    pub(super) fn strike_next(&mut self, pod: &LocatedPod) -> Result<bool, StandingError> {
        let Some(prepared) = self.effect.next(pod, self.record.spec.container.as_deref()) else {
            return Ok(false);
        };
        let record = Record { target: prepared.target(), pod: pod.uid.clone(), ..self.record.clone() };
        let mut claim = claim(&self.path)?;
        claim.rewrite(&record)?;
        self.record = record;
        self.effect = prepared.inject(&self.record.spec, self.record.expires.left())?;
        Ok(true)
    }
}

/// Makes an effect what its record wants now, which was `before`.
fn change(effect: &mut dyn Effect, before: &HostFault, record: &Record) -> Result<(), StandingError> {
    let wanted = &record.spec.fault;
    if std::mem::discriminant(before) != std::mem::discriminant(wanted) {
        return Err(HostError::AnotherFault.into());
    }
    Ok(effect.change(wanted, record.expires.left())?)
}

#[cfg(test)]
mod tests;
