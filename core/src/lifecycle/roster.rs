//! Which versions there are, where each stands, and what follows for what is served: a fold over the event log.

use std::collections::{BTreeMap, BTreeSet};

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
    /// Versions that stand where they do without a validation that they passed since they last came back.
    unproven: BTreeSet<VersionId>,
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

/// Why a version is not brought back.
pub const NOT_AWAY: &str = "only a version that is archived or was rolled back is reinstated";

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
                    if *step == Transition::Validate && *overridden {
                        self.unproven.insert(version.clone());
                    } else if *step == Transition::Validate {
                        self.unproven.remove(version);
                    }
                }
            }
            EventKind::Shared { version, share, .. } => drop(self.shares.insert(version.clone(), *share)),
            _ => self.silence.apply(event),
        }
    }

    /// Whether a version stands as validated, and by its validation: none that was pushed past that gate. What was once pushed past
    /// a gate and came back since is validated as any other.
    pub fn has_passed_validation(&self, version: &VersionId) -> bool {
        self.standing(version).is_some_and(|standing| standing.state == State::Validated)
            && !self.unproven.contains(version)
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
        self.way(version, self.state_of(version)?, target, overridden, gates)
    }

    /// The steps that bring a version back that is archived or was rolled back, and past every gate on to `target`, at once.
    ///
    /// # Errors
    /// [`Refusal`], and then nothing is to be done.
    pub fn reinstate(&self, version: &VersionId, target: State) -> Result<Vec<(VersionId, Transition)>, Refusal> {
        let state = self.state_of(version)?;
        let back = state.back().ok_or_else(|| Refusal::NoWay { version: version.clone(), state, why: NOT_AWAY })?;
        let mut steps = vec![(version.clone(), back)];
        steps.extend(self.way(version, back.edge().1, Some(target), true, &[])?);
        Ok(steps)
    }

    /// [`Self::promote`] of a version that stands, or is to stand, in the state `from`.
    fn way(
        &self,
        version: &VersionId,
        from: State,
        target: Option<State>,
        overridden: bool,
        gates: &[Gate],
    ) -> Result<Vec<(VersionId, Transition)>, Refusal> {
        let mut state = from;
        let no_way = |why| Refusal::NoWay { version: version.clone(), state: from, why };
        if target == Some(from) {
            return Err(no_way("it is there already"));
        }
        let mut steps = Vec::new();
        loop {
            let step = state.forward().ok_or_else(|| no_way("no step leads from there to that state"))?;
            let next = step.edge().1;
            let validated = step == Transition::Stage && self.has_passed_validation(version);
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
mod tests;
