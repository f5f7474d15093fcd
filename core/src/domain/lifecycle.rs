//! The life of a model version: its states, and the only steps between them.
//!
//! A step is a [`Transition`]; a pair of states that has none cannot be written down.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a version stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Fitted, not yet validated.
    Trained,
    /// Passed validation.
    Validated,
    /// Scores every signal in shadow; its scores are recorded and never used.
    Staging,
    /// Compared with the baseline on its share of the signals.
    AbTest,
    /// Blended into every signal but the permanent holdback.
    Production,
    /// Failed validation.
    Rejected,
    /// Put away in good order; only a new validation brings it back.
    Archived,
    /// Taken out of service; only a new validation brings it back.
    RolledBack,
}

/// A step in the life of a version. Each names the states it leads from and to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transition {
    /// Trained -> Validated.
    Validate,
    /// Trained -> Rejected.
    Reject,
    /// RolledBack -> Trained: to be validated again.
    Revalidate,
    /// Validated -> Staging.
    Stage,
    /// Staging -> AbTest.
    StartTest,
    /// AbTest -> Production.
    Promote,
    /// Validated -> Archived.
    ArchiveValidated,
    /// Staging -> Archived.
    ArchiveStaging,
    /// AbTest -> Archived.
    ArchiveTest,
    /// Production -> Archived: replaced by a newer version.
    ArchiveProduction,
    /// Production -> RolledBack.
    RollBack,
    /// AbTest -> RolledBack: an emergency during the test.
    RollBackTest,
    /// Archived -> Trained: to be validated again.
    Reinstate,
}

impl State {
    /// Whether a model in this state may influence an answer.
    pub fn may_influence(self) -> bool {
        matches!(self, Self::AbTest | Self::Production)
    }

    /// The step forward that leads out of this state, if there is one.
    pub fn forward(self) -> Option<Transition> {
        match self {
            Self::Trained => Some(Transition::Validate),
            Self::Validated => Some(Transition::Stage),
            Self::Staging => Some(Transition::StartTest),
            Self::AbTest => Some(Transition::Promote),
            Self::Production | Self::Rejected | Self::Archived | Self::RolledBack => None,
        }
    }

    /// The step back to the beginning of its life for a version that is out of it, if there is one.
    pub fn back(self) -> Option<Transition> {
        match self {
            Self::Archived => Some(Transition::Reinstate),
            Self::RolledBack => Some(Transition::Revalidate),
            _ => None,
        }
    }

    /// The step that takes a version in this state out of the trader's way, if it is in it.
    pub fn out_of_service(self) -> Option<Transition> {
        match self {
            Self::Production => Some(Transition::RollBack),
            Self::AbTest => Some(Transition::RollBackTest),
            Self::Staging => Some(Transition::ArchiveStaging),
            _ => None,
        }
    }
}

impl Transition {
    /// The states it leads from and to.
    pub fn edge(self) -> (State, State) {
        match self {
            Self::Validate => (State::Trained, State::Validated),
            Self::Reject => (State::Trained, State::Rejected),
            Self::Revalidate => (State::RolledBack, State::Trained),
            Self::Stage => (State::Validated, State::Staging),
            Self::StartTest => (State::Staging, State::AbTest),
            Self::Promote => (State::AbTest, State::Production),
            Self::ArchiveValidated => (State::Validated, State::Archived),
            Self::ArchiveStaging => (State::Staging, State::Archived),
            Self::ArchiveTest => (State::AbTest, State::Archived),
            Self::ArchiveProduction => (State::Production, State::Archived),
            Self::RollBack => (State::Production, State::RolledBack),
            Self::RollBackTest => (State::AbTest, State::RolledBack),
            Self::Reinstate => (State::Archived, State::Trained),
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Trained => "trained",
            Self::Validated => "validated",
            Self::Staging => "staging",
            Self::AbTest => "ab_test",
            Self::Production => "production",
            Self::Rejected => "rejected",
            Self::Archived => "archived",
            Self::RolledBack => "rolled_back",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forward_and_out_of_service_start_where_they_say() {
        use State::*;
        for state in [Trained, Validated, Staging, AbTest, Production, Rejected, Archived, RolledBack] {
            for step in [state.forward(), state.out_of_service(), state.back()].into_iter().flatten() {
                assert_eq!(step.edge().0, state, "{step:?}");
            }
            assert_eq!(serde_json::to_value(state).unwrap(), state.to_string());
        }
    }
}
