//! The operator of the demonstration: what a person would order, by rules that are told beforehand.
#![deny(clippy::indexing_slicing)]

use std::collections::BTreeSet;

use vigie_core::{
    domain::{VersionId, lifecycle::State},
    lifecycle::roster::Roster,
};

/// Sessions between two trainings that are ordered.
pub(super) const EVERY: usize = 21;
/// Sessions for which everything stays silent after an emergency, until it is looked at.
pub(super) const SILENCE: usize = 10;
/// Days of the trades that the first training has; too few.
const FIRST_DAYS: u32 = 60;

/// An order, with its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Order {
    /// Train a version, on the trades of so many days, or on all.
    Train(Option<u32>, String),
    /// Validate a version again, on what it has not learnt from.
    Validate(VersionId, String),
    /// Lift what silences the models.
    Resume(String),
}

/// What the operator remembers.
#[derive(Debug, Clone, Default)]
pub(super) struct Operator {
    /// Session of the last training; none before the first.
    trained: Option<usize>,
    /// Trainings so far.
    trainings: usize,
    /// Since when everything is silent.
    silent_since: Option<usize>,
    /// Versions that were validated again.
    again: BTreeSet<VersionId>,
}

impl Operator {
    /// An emergency, or a lock.
    pub(super) fn silenced(&mut self, session: usize) {
        self.silent_since.get_or_insert(session);
    }

    /// The models may speak again.
    pub(super) fn resumed(&mut self) {
        self.silent_since = None;
    }

    /// A training has ended, whoever ordered it.
    pub(super) fn trained(&mut self, session: usize) {
        self.trainings += usize::from(self.trained != Some(session));
        self.trained = Some(session);
    }

    /// What is ordered at the beginning of `session`.
    pub(super) fn orders(&mut self, session: usize, roster: &Roster) -> Vec<Order> {
        if let Some(since) = self.silent_since {
            if session < since + SILENCE {
                return Vec::new();
            }
            let resume = Order::Resume("the operator has looked at it; no version is in service".to_owned());
            let next = in_state(roster, State::RolledBack).pop().map(|version| {
                if self.again.insert(version.clone()) {
                    Order::Validate(version, "it was taken down: does it still hold?".to_owned())
                } else {
                    Order::Train(None, format!("{version} was taken down twice"))
                }
            });
            return [resume].into_iter().chain(next).collect();
        }
        if is_on_its_way(roster) {
            return Vec::new();
        }
        let all = || vec![Order::Train(None, "no version is in service".to_owned())];
        match (self.trained, self.trainings) {
            (None, _) => vec![Order::Train(Some(FIRST_DAYS), "would the last two months do?".to_owned())],
            (Some(at), 1) if session > at => all(),
            (Some(at), _) if session >= at + EVERY => all(),
            _ => Vec::new(),
        }
    }
}

/// Whether a version is watched, tested or in production.
fn is_on_its_way(roster: &Roster) -> bool {
    let under_way = |state| matches!(state, State::Validated | State::Staging | State::AbTest | State::Production);
    roster.versions().any(|(_, standing)| under_way(standing.state))
}

/// The versions in a state.
pub(super) fn in_state(roster: &Roster, state: State) -> Vec<VersionId> {
    roster.versions().filter(|(_, standing)| standing.state == state).map(|(version, _)| version.clone()).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use vigie_core::domain::{EventKind, event::By, lifecycle::Transition};

    #[test]
    fn a_training_is_ordered_every_month_until_a_version_is_on_its_way() {
        let (mut operator, mut roster) = (Operator::default(), Roster::default());
        let ordered: Vec<usize> = (0..70)
            .filter(|session| {
                let ordered = !operator.orders(*session, &roster).is_empty();
                if ordered {
                    operator.trained(*session);
                }
                ordered
            })
            .collect();
        assert_eq!(ordered, [0, 1, 22, 43, 64]);
        let version: VersionId = "ES/1".parse().unwrap();
        roster.apply(&EventKind::Trained { version: version.clone(), evidence: BTreeMap::new() });
        assert!(!operator.orders(100, &roster).is_empty(), "one that is only trained leads nowhere");
        roster.apply(&EventKind::Moved {
            version,
            step: Transition::Validate,
            reason: String::new(),
            by: By::Uid(0),
            overridden: false,
            evidence: BTreeMap::new(),
        });
        assert_eq!(operator.orders(100, &roster), []);
    }

    #[test]
    fn after_an_emergency_silence_is_kept_for_a_while_then_a_version_is_trained_again() {
        let (mut operator, roster) = (Operator::default(), Roster::default());
        operator.silenced(50);
        operator.silenced(52);
        assert_eq!(operator.orders(59, &roster), []);
        let orders = operator.orders(60, &roster);
        assert!(matches!(orders.as_slice(), [Order::Resume(_)]), "there is nothing to validate: {orders:?}");
        let (mut gone, version): (_, VersionId) = (Roster::default(), "ES/1".parse().unwrap());
        gone.apply(&EventKind::Trained { version: version.clone(), evidence: BTreeMap::new() });
        for step in [Transition::Validate, Transition::Stage, Transition::StartTest, Transition::RollBackTest] {
            let (version, by) = (version.clone(), By::Uid(0));
            gone.apply(&EventKind::Moved {
                version,
                step,
                reason: String::new(),
                by,
                overridden: false,
                evidence: BTreeMap::new(),
            });
        }
        assert!(matches!(operator.orders(60, &gone).as_slice(), [Order::Resume(_), Order::Validate(..)]));
        assert!(
            matches!(operator.orders(60, &gone).as_slice(), [Order::Resume(_), Order::Train(..)]),
            "the second time"
        );
    }
}
