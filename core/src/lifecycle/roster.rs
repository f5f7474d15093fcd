//! Which versions there are, where each stands, and what follows for what is served: a fold over the event log.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{gates::Gate, silence::Silence};
use crate::{
    domain::{
        EventKind, Symbol, VersionId,
        lifecycle::{State, Transition},
    },
    guard::emergency::Latches,
};

/// All versions ever registered and the state of each, and whether serving is locked.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Roster {
    versions: BTreeMap<VersionId, VersionStanding>,
    /// Parts of the share that versions in service would have, where they are not the whole.
    shares: BTreeMap<VersionId, f64>,
    silence: Silence,
}

/// Where a version stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionStanding {
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
        gate: String,
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
                let trained = VersionStanding { state: State::Trained, overridden: false };
                self.versions.entry(version.clone()).or_insert(trained);
            }
            EventKind::Moved { version, step, overridden, .. } => {
                let Some(standing) = self.versions.get_mut(version) else { return };
                let (from, to) = step.edge();
                // a step out of service also holds for a version that a step on its way at the time had brought further
                // by then, or had put away: what was answered to be rolled back is
                let withdrawn = matches!(to, State::RolledBack | State::Archived);
                let put_away = to == State::RolledBack && standing.state == State::Archived;
                if standing.state == from || put_away || (withdrawn && standing.state.out_of_service().is_some()) {
                    // what a decline took from its test is not given back by its promotion
                    if *step != Transition::Promote {
                        self.shares.remove(version);
                    }
                    standing.state = to;
                    standing.overridden |= *overridden;
                }
            }
            EventKind::Shared { version, share, .. } => drop(self.shares.insert(version.clone(), *share)),
            _ => self.silence.apply(event),
        }
    }

    /// What keeps models silent.
    pub fn silence(&self) -> &Silence {
        &self.silence
    }

    /// Why serving is locked for all symbols, if it is: by an order, or by an emergency of the whole account.
    pub fn lock(&self) -> Option<String> {
        self.silence.lock()
    }

    /// Why no model of `symbol` may speak, if so.
    pub fn silenced(&self, symbol: &Symbol) -> Option<String> {
        self.silence.of(symbol)
    }

    /// The emergencies in force.
    pub fn latches(&self) -> &Latches {
        self.silence.latches()
    }

    /// Part of the share it would have that a version in service speaks to.
    pub fn share(&self, version: &VersionId) -> f64 {
        self.shares.get(version).copied().unwrap_or(1.0)
    }

    /// The versions that may speak, if nothing silences them.
    pub fn speaking(&self) -> impl Iterator<Item = (&VersionId, State)> {
        let speaking = self.versions.iter().filter(|(_, standing)| standing.state.may_influence());
        speaking.map(|(version, standing)| (version, standing.state))
    }

    /// All versions, by name.
    pub fn versions(&self) -> impl Iterator<Item = (&VersionId, VersionStanding)> {
        self.versions.iter().map(|(version, standing)| (version, *standing))
    }

    /// Where one version stands.
    pub fn standing(&self, version: &VersionId) -> Option<VersionStanding> {
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
    /// production is archived. Every gate on the way must be among `gates` and passed, or `overridden`.
    ///
    /// # Errors
    /// [`Refusal`], and then nothing is to be done.
    pub fn promote(
        &self,
        version: &VersionId,
        target: Option<State>,
        overridden: bool,
        gates: &[Gate],
    ) -> Result<Vec<(VersionId, Transition)>, Refusal> {
        let mut state = self.state_of(version)?;
        let from = state;
        let no_way = |why| Refusal::NoWay { version: version.clone(), state: from, why };
        if target == Some(from) {
            return Err(no_way("it is there already"));
        }
        let mut steps = Vec::new();
        loop {
            let step = state.forward().ok_or_else(|| no_way("no step leads from there to that state"))?;
            let next = step.edge().1;
            // a version is validated without an override only by its validation
            let validated = step == Transition::Stage && !self.standing(version).is_some_and(|s| s.overridden);
            let gate = gates.iter().find(|gate| gate.next == next);
            if !overridden && !validated && gate.is_none_or(|gate| !gate.passed) {
                let gate = gate.map_or_else(|| "has not been run".to_owned(), Gate::to_string);
                return Err(Refusal::Gate { version: version.clone(), state, next, gate });
            }
            steps.extend(self.step(version, step)?);
            state = next;
            if target.is_none_or(|target| target == state) {
                return Ok(steps);
            }
        }
    }

    /// The step `step` of `version`, and what goes with it.
    ///
    /// # Errors
    /// [`Refusal`] when the version does not stand where the step begins, or another is in its way.
    pub fn advance(&self, version: &VersionId, step: Transition) -> Result<Vec<(VersionId, Transition)>, Refusal> {
        let state = self.state_of(version)?;
        if state != step.edge().0 {
            let why = "this step does not start from that state";
            return Err(Refusal::NoWay { version: version.clone(), state, why });
        }
        self.step(version, step)
    }

    fn step(&self, version: &VersionId, step: Transition) -> Result<Vec<(VersionId, Transition)>, Refusal> {
        let plan = self.plan().remove(&version.symbol).unwrap_or_default();
        match (step, plan.test, plan.production) {
            (Transition::StartTest, Some(other), _) => Err(Refusal::TestRunning { other }),
            (Transition::Promote, _, Some(replaced)) => {
                Ok(vec![(replaced, Transition::ArchiveProduction), (version.clone(), step)])
            }
            _ => Ok(vec![(version.clone(), step)]),
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
    use crate::{domain::event::By, lifecycle::gates::Check};

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
        let steps = roster.promote(&id(version), Some(target), true, &[]).unwrap();
        take(roster, steps);
    }

    #[test]
    fn no_gate_is_passed_without_saying_so() {
        let roster = trained(&["ES/1"]);
        assert!(matches!(
            roster.promote(&id("ES/1"), None, false, &[]),
            Err(Refusal::Gate { next: State::Validated, .. })
        ));
        assert_eq!(roster.promote(&id("ES/1"), None, true, &[]).unwrap(), [(id("ES/1"), Transition::Validate)]);
        assert!(matches!(roster.promote(&id("ES/2"), None, true, &[]), Err(Refusal::Unknown(_))));
    }

    #[test]
    fn a_way_that_leads_nowhere_is_refused_with_where_the_version_stands() {
        let mut roster = trained(&["ES/1"]);
        promote(&mut roster, "ES/1", State::AbTest);
        let said = |target| roster.promote(&id("ES/1"), Some(target), true, &[]).unwrap_err().to_string();
        assert_eq!(said(State::AbTest), "ES/1 is ab_test: it is there already");
        assert!(
            said(State::Staging).starts_with("ES/1 is ab_test: no step leads from there"),
            "{}",
            said(State::Staging)
        );
    }

    #[test]
    fn a_gate_that_was_passed_opens_and_one_that_failed_says_by_how_much() {
        let mut roster = trained(&["ES/1"]);
        promote(&mut roster, "ES/1", State::Staging);
        let checks = vec![Check { name: "hours", value: Some(3.0), threshold: 24.0, passed: false }];
        let mut gate = Gate { next: State::AbTest, passed: false, says: "fails".to_owned(), checks };
        let refusal = roster.promote(&id("ES/1"), None, false, std::slice::from_ref(&gate)).unwrap_err().to_string();
        assert!(refusal.contains("hours 3.0000 against 24 fails"), "{refusal}");
        gate.passed = true;
        let gates = [gate];
        assert_eq!(roster.promote(&id("ES/1"), None, false, &gates).unwrap(), [(id("ES/1"), Transition::StartTest)]);
        let beyond = roster.promote(&id("ES/1"), Some(State::Production), false, &gates);
        assert!(matches!(beyond, Err(Refusal::Gate { next: State::Production, .. })));
        assert!(matches!(roster.advance(&id("ES/1"), Transition::Promote), Err(Refusal::NoWay { .. })));
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
        assert_eq!(roster.promote(&id("ES/1"), None, false, &[]).unwrap(), [(id("ES/1"), Transition::Stage)]);
        let further = roster.promote(&id("ES/1"), Some(State::AbTest), false, &[]);
        assert!(matches!(further, Err(Refusal::Gate { next: State::AbTest, .. })), "{further:?}");
        let mut roster = trained(&["ES/1"]);
        roster.apply(&validate(true));
        assert!(matches!(
            roster.promote(&id("ES/1"), None, false, &[]),
            Err(Refusal::Gate { next: State::Staging, .. })
        ));
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
        let refused = roster.promote(&id("ES/2"), Some(State::AbTest), true, &[]);
        assert_eq!(refused, Err(Refusal::TestRunning { other: id("ES/1") }));
    }

    #[test]
    fn what_was_rolled_back_has_no_way_forward() {
        let mut roster = trained(&["ES/1"]);
        promote(&mut roster, "ES/1", State::Production);
        let step = roster.roll_back(&id("ES/1")).unwrap();
        take(&mut roster, vec![(id("ES/1"), step)]);
        assert_eq!(roster.standing(&id("ES/1")).unwrap().state, State::RolledBack);
        assert!(matches!(roster.promote(&id("ES/1"), None, true, &[]), Err(Refusal::NoWay { .. })));
        assert!(matches!(roster.roll_back(&id("ES/1")), Err(Refusal::NoWay { .. })));
    }

    #[test]
    fn a_version_that_was_rolled_back_while_it_was_being_replaced_is_rolled_back() {
        let mut roster = trained(&["ES/1", "ES/2"]);
        promote(&mut roster, "ES/1", State::Production);
        promote(&mut roster, "ES/2", State::AbTest);
        let step = roster.roll_back(&id("ES/1")).unwrap();
        promote(&mut roster, "ES/2", State::Production);
        take(&mut roster, vec![(id("ES/1"), step)]);
        assert_eq!(roster.standing(&id("ES/1")).unwrap().state, State::RolledBack);
        assert_eq!(roster.plan().remove(&id("ES/1").symbol).unwrap().production, Some(id("ES/2")));
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
