//! What a power cut leaves of a volume.

use std::collections::{BTreeMap, BTreeSet};

use rand::rngs::ChaCha12Rng;
use rand::{RngExt, SeedableRng};

use super::content::{Content, pages_of};
use super::tree::{Entry, Ino, What};
use super::volume::{Change, Turn, Volume, Write, bring, data};
use crate::host::forgetful::{Cut, Left};

/// What a disk writes as a whole.
const SECTOR: u64 = 512;

impl Volume {
    /// Cuts the power: what the volume shows is what its disk has now. What has come to the disk by it is told.
    pub fn cut(&mut self, how: Cut) -> (Left, Vec<Change>) {
        let log = std::mem::take(&mut self.log);
        let writes = std::mem::take(&mut self.writes);
        let mut tearing = Tearing {
            volume: self,
            chance: ChaCha12Rng::seed_from_u64(match how {
                Cut::Lose => 0,
                Cut::Tear { seed } => seed.into(),
            }),
            views: BTreeMap::new(),
            blocked: BTreeSet::new(),
            reached: BTreeMap::new(),
            left: Left::default(),
            changes: Vec::new(),
        };
        let survivors = match how {
            Cut::Lose => 0,
            Cut::Tear { .. } => tearing.chance.random_range(0..=log.len()),
        };
        let mut events: BTreeMap<Turn, Event> = BTreeMap::new();
        for (place, (turn, entry)) in log.into_iter().enumerate() {
            events.insert(turn, Event::Entry { entry, survives: place < survivors });
        }
        for (ino, waiting) in writes {
            events.extend(waiting.into_iter().map(|write| (write.turn, Event::Write(ino, write))));
        }
        for event in events.into_values() {
            match event {
                Event::Entry { entry, survives: true } => tearing.keep(entry),
                Event::Entry { entry, survives: false } => tearing.lose(&entry),
                Event::Write(ino, write) => {
                    let fate = match how {
                        Cut::Lose => Fate::Lost,
                        Cut::Tear { .. } => tearing.fate(&write),
                    };
                    tearing.write(ino, &write, fate);
                }
            }
        }
        let (left, changes) = tearing.end();
        let room = self.space().0 * super::content::PAGE as u64;
        *self = Self::new(self.durable.clone(), room);
        (left, changes)
    }
}

/// What was done and not synced.
enum Event {
    Entry { entry: Entry, survives: bool },
    Write(Ino, Write),
}

/// Which sectors of a write reach the disk.
#[derive(Clone, Copy)]
enum Fate {
    Lost,
    Kept,
    /// The first so many.
    Begun(u64),
    /// Each by itself.
    Scattered,
}

struct Tearing<'a> {
    volume: &'a mut Volume,
    chance: ChaCha12Rng,
    /// What memory held of each file when the event was, from which the disk gets whole sectors.
    views: BTreeMap<Ino, Content>,
    /// Files of which an entry is lost that their later bytes depend on.
    blocked: BTreeSet<Ino>,
    /// The pages that something has reached.
    reached: BTreeMap<Ino, BTreeSet<u64>>,
    left: Left,
    changes: Vec<Change>,
}

impl Tearing<'_> {
    fn keep(&mut self, entry: Entry) {
        self.left.entries_kept += 1;
        if let What::Resize { ino, length } = entry.what
            && let Some(view) = self.views.get_mut(&ino)
        {
            view.resize(length);
        }
        bring(&mut self.volume.durable, entry, &mut self.changes);
    }

    fn lose(&mut self, entry: &Entry) {
        self.left.entries_dropped += 1;
        self.blocked.extend(entry.what.carries());
    }

    fn fate(&mut self, write: &Write) -> Fate {
        match self.chance.random_range(0..4) {
            0 => Fate::Lost,
            1 => Fate::Kept,
            2 => Fate::Begun(self.chance.random_range(0..=sectors(write).count() as u64)),
            _ => Fate::Scattered,
        }
    }

    fn write(&mut self, ino: Ino, write: &Write, fate: Fate) {
        self.left.writes += 1;
        let all = sectors(write).count() as u64;
        let is_blocked = self.blocked.contains(&ino);
        let Some(disk) = self.volume.durable.content_mut(ino).ok().filter(|_| !is_blocked) else {
            self.left.dropped += all;
            return;
        };
        let view = self.views.entry(ino).or_insert_with(|| disk.clone());
        view.write(write.at, &write.bytes);
        let mut kept = 0;
        for (place, sector) in sectors(write).enumerate() {
            let reaches = match fate {
                Fate::Lost => false,
                Fate::Kept => true,
                Fate::Begun(first) => (place as u64) < first,
                Fate::Scattered => self.chance.random(),
            };
            if reaches {
                let at = sector * SECTOR;
                let bytes = view.read(at, SECTOR as usize);
                self.reached.entry(ino).or_default().extend(pages_of(at, bytes.len()));
                disk.write(at, &bytes);
                kept += 1;
            }
        }
        self.left.kept += kept;
        self.left.dropped += all - kept;
        self.left.torn += u64::from(kept > 0 && kept < all);
    }

    fn end(mut self) -> (Left, Vec<Change>) {
        for (ino, pages) in self.reached {
            if let Ok(content) = self.volume.durable.content(ino) {
                self.changes.push(data(ino, content, pages));
            }
        }
        (self.left, self.changes)
    }
}

/// The numbers of the sectors that a write is on.
fn sectors(write: &Write) -> impl Iterator<Item = u64> {
    write.at / SECTOR..(write.at + write.bytes.len() as u64).div_ceil(SECTOR)
}
