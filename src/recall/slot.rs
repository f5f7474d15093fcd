//! The places of checkpoints in the journal.

/// Where a checkpoint is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// One of the two that starts go on from.
    A,
    /// The other.
    B,
    /// What stands before it is archived.
    Base,
}

impl Slot {
    pub(super) const ALL: [Self; 3] = [Self::A, Self::B, Self::Base];

    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        if self == Self::A { Self::B } else { Self::A }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::A => "state.a",
            Self::B => "state.b",
            Self::Base => "state.base",
        }
    }

    pub(super) fn part(self, number: usize) -> String {
        format!("{}.{number}", self.name())
    }
}
