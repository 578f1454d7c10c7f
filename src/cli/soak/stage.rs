//! How far a fault has come when somebody is killed over it.

/// The stages, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// Nothing was asked for yet.
    Before,
    /// The fault was asked for.
    Injecting,
    /// It is in force and proven.
    Holding,
    /// Its revert was asked for.
    Reverting,
}

impl Stage {
    pub(super) const ALL: [Self; 4] = [Self::Before, Self::Injecting, Self::Holding, Self::Reverting];

    /// For a person, of whoever was killed then.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Before => "before the fault",
            Self::Injecting => "while injecting",
            Self::Holding => "in the fault",
            Self::Reverting => "while reverting",
        }
    }
}
