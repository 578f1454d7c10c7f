//! Whether lines stand as they were written, none missing, doubled or out of order, by the numbers that they carry.

use super::part::Damage;
use crate::journal::entry::SCHEMA;

/// What has a number in a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Numbered {
    /// Operations alone, from 0.
    Operations,
    /// Every line, with its number in the file.
    Lines,
}

impl Numbered {
    /// By the journal's schema; nothing where this version does not know it.
    pub(super) fn of(schema: u64) -> Option<Self> {
        match u32::try_from(schema) {
            Ok(1) => Some(Self::Operations),
            Ok(SCHEMA) => Some(Self::Lines),
            Ok(_) | Err(_) => None,
        }
    }

    /// The first number after the header.
    pub(super) fn first(self) -> u64 {
        match self {
            Self::Operations => 0,
            Self::Lines => 2,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Operations => "operation",
            Self::Lines => "line",
        }
    }
}

/// The numbers of some lines in a row.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Numbers {
    /// Where the first one stands, and which it is.
    first: Option<(usize, u64)>,
    /// The one that has to be next; any, where nothing is known of what stands before.
    next: Option<u64>,
    /// The first one that is another one.
    odd: Option<Odd>,
}

#[derive(Debug, Clone, Copy)]
struct Odd {
    offset: usize,
    expected: u64,
    found: u64,
}

impl Numbers {
    /// Of lines that begin with this number, if it is known.
    pub(super) fn beginning_with(next: Option<u64>) -> Self {
        Self { next, ..Self::default() }
    }

    /// The next line, which begins at `offset`, has this number.
    pub(super) fn see(&mut self, offset: usize, found: u64) {
        let expected = self.next.unwrap_or(found);
        if found != expected {
            self.odd.get_or_insert(Odd { offset, expected, found });
        }
        self.first.get_or_insert((offset, found));
        self.next = Some(found.saturating_add(1));
    }

    /// These, and after them those of lines that begin `shift` bytes later.
    pub(super) fn followed_by(mut self, right: Self, shift: usize) -> Self {
        if let Some((offset, found)) = right.first {
            self.see(shift + offset, found);
        }
        let odd = right.odd.map(|odd| Odd { offset: shift + odd.offset, ..odd });
        Self { first: self.first, next: right.next.or(self.next), odd: self.odd.or(odd) }
    }

    /// The first line that is not the one that has to stand there.
    pub(super) fn damage(&self, numbered: Numbered) -> Option<Damage> {
        let Odd { offset, expected, found } = self.odd?;
        let word = numbered.word();
        Some((offset, format!("{word} {expected} was expected here, this one is {found}")))
    }
}
