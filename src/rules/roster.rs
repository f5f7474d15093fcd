//! Which versions there are, where each stands, and what follows for what is served: a fold over the event log.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::domain::{
    EventKind, Symbol, VersionId,
    lifecycle::{State, Transition},
};

/// All versions ever registered and the state of each, and whether serving is locked.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Roster {
    versions: BTreeMap<VersionId, Standing>,
    lock: Option<String>,
}

/// Where a version stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// Its state.
    pub state: State,
    /// Whether a gate was ever passed over for it. That is never forgotten.
    pub overridden: bool,
}

/// What may be served for one symbol.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The version in production.
    pub production: Option<VersionId>,
    /// The version in an A/B test.
    pub test: Option<VersionId>,
    /// Versions that score in shadow.
    pub shadows: Vec<VersionId>,
}

/// Why an order was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The journal has no such version.
    #[error("there is no version {0}; `vigie models` lists those that exist")]
    Unknown(VersionId),
    /// Its state has no way to where it was sent.
    #[error("{version} is {state}: {why}")]
    NoWay {
        /// The version.
        version: VersionId,
        /// Where it stands.
        state: State,
        /// In words.
        why: &'static str,
    },
    /// A gate stands before the step, and it was not passed.
    #[error("{version} is {state} and the gate to {next} {gate}; --override passes it, and marks the version for ever")]
    Gate {
        /// The version.
        version: VersionId,
        /// Where it stands.
        state: State,
        /// Where it would go.
        next: State,
        /// What is known of the gate.
        gate: &'static str,
    },
    /// Another version is under test for the same symbol.
    #[error("{other} is under test for the same symbol; end its test first")]
    TestRunning {
        /// The version under test.
        other: VersionId,
    },
}

impl Roster {
    /// Takes in the next event of the log. Events that concern no version change nothing; a step forward that does not
    /// start where its version stands is passed over (the log is checked where it is written).
    pub fn apply(&mut self, event: &EventKind) {
        match event {
            EventKind::Trained { version, .. } => {
                self.versions.insert(version.clone(), Standing { state: State::Trained, overridden: false });
            }
            EventKind::Moved { version, step, overridden, .. } => {
                let Some(standing) = self.versions.get_mut(version) else { return };
                let (from, to) = step.edge();
                // a step out of service also holds for a version that a step forward, on its way at the time, had
                // brought further by then
                let withdrawn = matches!(to, State::RolledBack | State::Archived);
                if standing.state == from || (withdrawn && standing.state.out_of_service().is_some()) {
                    standing.state = to;
                    standing.overridden |= *overridden;
                }
            }
            EventKind::Locked { reason, .. } => self.lock = Some(reason.clone()),
            EventKind::Resumed { .. } => self.lock = None,
            _ => {}
        }
    }

    /// Why serving is locked, if it is.
    pub fn lock(&self) -> Option<&str> {
        self.lock.as_deref()
    }

    /// All versions, by name.
    pub fn versions(&self) -> impl Iterator<Item = (&VersionId, Standing)> {
        self.versions.iter().map(|(version, standing)| (version, *standing))
    }

    /// Where one version stands.
    pub fn standing(&self, version: &VersionId) -> Option<Standing> {
        self.versions.get(version).copied()
    }

    /// The number that the next version of `symbol` gets.
    pub fn next_number(&self, symbol: &Symbol) -> u32 {
        let taken = self.versions.keys().filter(|version| version.symbol == *symbol).map(|version| version.number);
        taken.max().unwrap_or(0).saturating_add(1)
    }

    /// What may be served, per symbol, when nothing is locked.
    pub fn plan(&self) -> BTreeMap<Symbol, Plan> {
        let mut plans: BTreeMap<Symbol, Plan> = BTreeMap::new();
        for (version, standing) in &self.versions {
            let plan = plans.entry(version.symbol.clone()).or_default();
            match standing.state {
                State::Production => plan.production = Some(version.clone()),
                State::AbTest => plan.test = Some(version.clone()),
                State::Staging => plan.shadows.push(version.clone()),
                _ => {}
            }
        }
        plans
    }

    /// The steps that bring `version` forward, to `target` or by one step without one. The version it replaces in
    /// production is archived. Every gate on the way needs `overridden` as long as no evidence is kept for it.
    ///
    /// # Errors
    /// [`Refusal`], and then nothing is to be done.
    pub fn promote(
        &self,
        version: &VersionId,
        target: Option<State>,
        overridden: bool,
    ) -> Result<Vec<(VersionId, Transition)>, Refusal> {
        let mut state = self.state_of(version)?;
        let mut steps = Vec::new();
        loop {
            let no_way = |why| Refusal::NoWay { version: version.clone(), state, why };
            let step = state.forward().ok_or_else(|| no_way("there is no step forward from there"))?;
            let next = step.edge().1;
            // a version is validated without an override only by its validation
            let validated = step == Transition::Stage && !self.standing(version).is_some_and(|s| s.overridden);
            if !overridden && !validated {
                return Err(Refusal::Gate { version: version.clone(), state, next, gate: "has not been run" });
            }
            let plan = self.plan().remove(&version.symbol).unwrap_or_default();
            if let (Transition::StartTest, Some(other)) = (step, plan.test) {
                return Err(Refusal::TestRunning { other });
            }
            if let (Transition::Promote, Some(replaced)) = (step, plan.production) {
                steps.push((replaced, Transition::ArchiveProduction));
            }
            steps.push((version.clone(), step));
            state = next;
            if target.is_none_or(|target| target == state) {
                return Ok(steps);
            }
        }
    }

    /// The step that takes `version` out of service.
    ///
    /// # Errors
    /// [`Refusal`] when it does not exist or is not in service.
    pub fn roll_back(&self, version: &VersionId) -> Result<Transition, Refusal> {
        let state = self.state_of(version)?;
        let why = "it is not in service, so there is nothing to roll back";
        state.out_of_service().ok_or_else(|| Refusal::NoWay { version: version.clone(), state, why })
    }

    fn state_of(&self, version: &VersionId) -> Result<State, Refusal> {
        self.standing(version).map(|standing| standing.state).ok_or_else(|| Refusal::Unknown(version.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::By;

    fn id(text: &str) -> VersionId {
        text.parse().unwrap()
    }

    fn trained(versions: &[&str]) -> Roster {
        let mut roster = Roster::default();
        for version in versions {
            roster.apply(&EventKind::Trained { version: id(version), evidence: BTreeMap::new() });
        }
        roster
    }

    fn take(roster: &mut Roster, steps: Vec<(VersionId, Transition)>) {
        for (version, step) in steps {
            let (reason, by) = (String::new(), By::Uid(0));
            roster.apply(&EventKind::Moved { version, step, reason, by, overridden: true, evidence: BTreeMap::new() });
        }
    }

    fn promote(roster: &mut Roster, version: &str, target: State) {
        let steps = roster.promote(&id(version), Some(target), true).unwrap();
        take(roster, steps);
    }

    #[test]
    fn no_gate_is_passed_without_saying_so() {
        let roster = trained(&["ES/1"]);
        assert!(matches!(roster.promote(&id("ES/1"), None, false), Err(Refusal::Gate { next: State::Validated, .. })));
        assert_eq!(roster.promote(&id("ES/1"), None, true).unwrap(), [(id("ES/1"), Transition::Validate)]);
        assert!(matches!(roster.promote(&id("ES/2"), None, true), Err(Refusal::Unknown(_))));
    }

    #[test]
    fn what_its_validation_passed_goes_to_staging_and_what_was_pushed_past_it_does_not() {
        let validate = |overridden| EventKind::Moved {
            version: id("ES/1"),
            step: Transition::Validate,
            reason: String::new(),
            by: By::Daemon("trainer".into()),
            overridden,
            evidence: BTreeMap::new(),
        };
        let mut roster = trained(&["ES/1"]);
        roster.apply(&validate(false));
        assert_eq!(roster.promote(&id("ES/1"), None, false).unwrap(), [(id("ES/1"), Transition::Stage)]);
        let further = roster.promote(&id("ES/1"), Some(State::AbTest), false);
        assert!(matches!(further, Err(Refusal::Gate { next: State::AbTest, .. })), "{further:?}");
        let mut roster = trained(&["ES/1"]);
        roster.apply(&validate(true));
        assert!(matches!(roster.promote(&id("ES/1"), None, false), Err(Refusal::Gate { next: State::Staging, .. })));
    }

    #[test]
    fn a_new_version_in_production_archives_the_old_one() {
        let mut roster = trained(&["ES/1", "ES/2", "NQ/1"]);
        promote(&mut roster, "ES/1", State::Production);
        promote(&mut roster, "NQ/1", State::Staging);
        promote(&mut roster, "ES/2", State::AbTest);
        let plan = roster.plan();
        assert_eq!(
            plan.values().next().unwrap(),
            &Plan { production: Some(id("ES/1")), test: Some(id("ES/2")), shadows: vec![] }
        );
        promote(&mut roster, "ES/2", State::Production);
        assert_eq!(roster.standing(&id("ES/1")).unwrap().state, State::Archived);
        assert!(roster.standing(&id("ES/2")).unwrap().overridden);
        assert_eq!(roster.next_number(&id("ES/1").symbol), 3);
    }

    #[test]
    fn only_one_version_of_a_symbol_is_under_test() {
        let mut roster = trained(&["ES/1", "ES/2"]);
        promote(&mut roster, "ES/1", State::AbTest);
        let refused = roster.promote(&id("ES/2"), Some(State::AbTest), true);
        assert_eq!(refused, Err(Refusal::TestRunning { other: id("ES/1") }));
    }

    #[test]
    fn what_was_rolled_back_has_no_way_forward() {
        let mut roster = trained(&["ES/1"]);
        promote(&mut roster, "ES/1", State::Production);
        let step = roster.roll_back(&id("ES/1")).unwrap();
        take(&mut roster, vec![(id("ES/1"), step)]);
        assert_eq!(roster.standing(&id("ES/1")).unwrap().state, State::RolledBack);
        assert!(matches!(roster.promote(&id("ES/1"), None, true), Err(Refusal::NoWay { .. })));
        assert!(matches!(roster.roll_back(&id("ES/1")), Err(Refusal::NoWay { .. })));
    }

    #[test]
    fn a_step_out_of_service_holds_wherever_the_version_stands_by_then() {
        for withdrawal in [Transition::RollBackTest, Transition::ArchiveStaging] {
            let mut roster = trained(&["ES/1"]);
            promote(&mut roster, "ES/1", State::Production);
            take(&mut roster, vec![(id("ES/1"), withdrawal)]);
            assert_eq!(roster.plan().remove(&id("ES/1").symbol).unwrap().production, None, "{withdrawal:?}");
            // and the step forward that comes after it is passed over
            let mut roster = trained(&["ES/1"]);
            promote(&mut roster, "ES/1", withdrawal.edge().0);
            take(&mut roster, vec![(id("ES/1"), withdrawal), (id("ES/1"), Transition::Promote)]);
            assert_eq!(roster.standing(&id("ES/1")).unwrap().state, withdrawal.edge().1);
        }
    }
}
