//! From a wish to a fault in force with its record and its guardian, in the order that survives a SIGKILL anywhere.
//!
//! Everything here blocks; the node calls it on threads meant for that.

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use super::{LocatedPod, Options};
use crate::api::{HostFault, InjectionSpec};
use crate::fault::host::{Effect, HostError, Look, prepare};
use crate::host::process::boot::{Era, uptime};
use crate::host::process::held::Held;
use crate::undo::guardian::{Armed, LaunchError, Started};
use crate::undo::{Expiry, Record, Store, StoreError, UndoError, stop_here, undo};

/// A fault in force.
pub(super) struct Standing {
    pub path: PathBuf,
    pub record: Record,
    pub effect: Box<dyn Effect>,
    /// Present where nothing but a process can end the fault.
    pub guardian: Option<Armed>,
}

/// What is left to be taken back.
pub(super) struct Leftover {
    pub path: PathBuf,
    pub record: Record,
    pub held: Held,
    /// Kept until it has been ended, so that it is reaped.
    pub guardian: Option<Armed>,
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

/// Prepares, writes the record, starts the guardian, acts, and looks.
pub(super) fn inject(
    options: &Options,
    (era, began): (Era, Duration),
    spec: InjectionSpec,
    pod: &LocatedPod,
) -> Result<(Standing, Look), Attempt> {
    let generation = uptime().as_nanos() as u64;
    let expires = Expiry::new(&spec.deadline, began);
    if expires.is_over() {
        return Err(StandingError::TooLate.into());
    }
    let path = Store::open(&options.undo_dir)?.path(&spec.name, generation);
    let program = options.guardian.program().map_err(LaunchError::Start)?;
    let prepared = prepare(&spec, pod, &format!("{generation:x}"), &program)?;
    let target = prepared.target();
    let started = if target.undo().needs_guardian() {
        Some(options.guardian.start(&path, &prepared.descriptors())?)
    } else {
        None
    };
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
        guardian: started.as_ref().map(|started| started.identity.clone()),
        spec,
    };
    if let Err(error) = Store::write(&path, &record) {
        if let Some(started) = started {
            started.dismiss();
        }
        // It may be there all the same, when only its folder could not be synced.
        return Err(give_up(error.into(), Leftover { path, record, held: Held::default(), guardian: None }));
    }
    stop_here("record-written");
    let guardian = match started.map(Started::arm).transpose() {
        Ok(guardian) => guardian,
        Err(error) => {
            return Err(give_up(
                error.into(),
                Leftover { path, record, held: Held::default(), guardian: None },
            ));
        }
    };
    stop_here("guardian-armed");
    let effect = match prepared.inject(&record.spec, record.expires.left()) {
        Ok(effect) => effect,
        Err(error) => {
            return Err(give_up(error.into(), Leftover { path, record, held: Held::default(), guardian }));
        }
    };
    stop_here("acted");
    let mut standing = Standing { path, record, effect, guardian };
    let look = standing.effect.look(Some(pod));
    stop_here("verified");
    match look {
        Look::Fails(observed) => Err(give_up(StandingError::NoEffect(observed), standing.into())),
        look @ (Look::Holds(_) | Look::NotYet) => Ok((standing, look)),
    }
}

/// Takes back what a failed attempt may have done; what cannot be taken back now is handed on.
fn give_up(why: StandingError, left: Leftover) -> Attempt {
    match left.take_back() {
        Ok(()) => Attempt { why, left: None },
        Err((left, error)) => Attempt { why, left: Some((left, error)) },
    }
}

impl From<Standing> for Leftover {
    fn from(Standing { path, record, effect, guardian }: Standing) -> Self {
        Self { path, record, held: effect.into_held(), guardian }
    }
}

impl Leftover {
    /// One attempt to take it back; what is left is given back with the reason.
    pub(super) fn take_back(self) -> Result<(), (Box<Self>, UndoError)> {
        match undo(&self.path, &self.record, &self.held) {
            Ok(()) => {
                // It has been ended and can be reaped.
                drop(self.guardian);
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
        let held = record.guardian.as_ref().map_or_else(Held::default, crate::undo::Guardian::held);
        let mut effect = match record.target.undo().adopt(&record.spec.fault, held) {
            Ok(effect) => effect,
            Err(error) => {
                return Err((
                    Box::new(Leftover { path, record, held: Held::default(), guardian: None }),
                    error.into(),
                ));
            }
        };
        let guardian = match &record.guardian {
            Some(identity) => match Armed::adopt(identity) {
                Ok(guardian) => guardian,
                Err(error) => {
                    let error = StandingError::Guardian(LaunchError::Arm(error));
                    let held = effect.into_held();
                    return Err((Box::new(Leftover { path, record, held, guardian: None }), error));
                }
            },
            None => None,
        };
        if record.spec.deadline != spec.deadline {
            record.expires = Expiry::new(&spec.deadline, record.began);
        }
        let before = std::mem::replace(&mut record.spec, spec).fault;
        let needs_guardian = record.guardian.is_some() && guardian.is_none();
        // What was in force may be older than the record that was to change it, so that it is made anew in any case.
        let changed = change(effect.as_mut(), &before, &record);
        let mut standing = Self { path, record, effect, guardian };
        let ready = changed.and_then(|()| {
            if needs_guardian {
                standing.replace_guardian(options)
            } else {
                Ok(Store::write(&standing.path, &standing.record)?)
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

    /// Starts another guardian in place of one that died.
    pub(super) fn replace_guardian(&mut self, options: &Options) -> Result<(), StandingError> {
        let started = options.guardian.start(&self.path, &self.effect.descriptors())?;
        let record = Record { guardian: Some(started.identity.clone()), ..self.record.clone() };
        if let Err(error) = Store::write(&self.path, &record) {
            started.dismiss();
            return Err(error.into());
        }
        self.record = record;
        self.guardian = Some(started.arm()?);
        Ok(())
    }

    /// Makes it what `spec` says now: other peers, another deadline.
    pub(super) fn change(&mut self, spec: InjectionSpec) -> Result<(), StandingError> {
        let mut record = Record { spec, ..self.record.clone() };
        if record.spec.deadline != self.record.spec.deadline {
            record.expires = Expiry::new(&record.spec.deadline, record.began);
        }
        Store::write(&self.path, &record)?;
        match change(self.effect.as_mut(), &self.record.spec.fault, &record) {
            Ok(()) => {
                self.record = record;
                Ok(())
            }
            Err(error) => {
                Store::write(&self.path, &self.record)?;
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
        Store::write(&self.path, &record)?;
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
