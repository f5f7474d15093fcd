//! What the evidence of a version on trial makes of it: the step it takes by itself, and the gate an operator meets.
#![deny(clippy::indexing_slicing)]

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    experiment::{Ruling, StagingOptions, Terms, TestStanding, TestVerdict},
    running::Trials,
};
use crate::{
    domain::{
        EventKind, Timestamp, VersionId,
        event::{By, Level},
        lifecycle::{State, Transition},
    },
    lifecycle::{gates::Check, roster::Roster},
};

/// Numbers a step was decided on, by name.
pub type Numbers = BTreeMap<Box<str>, f64>;

/// The section `[lifecycle]` of the configuration: what happens without an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Automatic {
    /// Versions pass gates, win and lose tests by themselves.
    pub decide: bool,
    /// Versions that passed validation go to staging by themselves.
    pub stage: bool,
}

/// A step that a version takes on evidence.
#[derive(Debug, Clone, PartialEq)]
pub struct EvidenceStep {
    /// Which version.
    pub version: VersionId,
    /// The step.
    pub step: Transition,
    /// In words.
    pub reason: String,
    /// The numbers.
    pub evidence: Numbers,
    /// Whether nothing may speak until a person has looked: something is wrong that is not the version's.
    pub locks: bool,
}

impl EvidenceStep {
    /// Whether it is taken without an operator: always when it takes a version's word away for harm or because something is
    /// wrong, and otherwise when `automatic` says so.
    pub fn needs_nobody(&self, automatic: Automatic) -> bool {
        self.step == Transition::Stage || automatic.decide || self.locks || self.step == Transition::RollBackTest
    }

    /// Why it is not taken now, if so: what gives influence waits while the models of its symbol are silenced.
    pub fn held_back(&self, roster: &Roster) -> Option<String> {
        let gives_influence = self.step.edge().1.may_influence();
        gives_influence.then(|| roster.silenced(&self.version.symbol)).flatten()
    }

    /// What a person is told of a step that waits for an order.
    pub fn notice(&self) -> String {
        let Self { version, step, reason, .. } = self;
        let to = step.edge().1;
        let order = match to {
            State::Archived | State::RolledBack => format!("vigie rollback {version}"),
            _ => format!("vigie promote {version}"),
        };
        format!("{version} may become {to}: {reason}; lifecycle.automatic is off, order it by `{order}`")
    }

    /// What goes with a step that is taken because something is wrong that is not the version's: nothing may speak until a
    /// person has looked.
    fn alarms(&self, by: &By) -> Vec<EventKind> {
        if !self.locks {
            return Vec::new();
        }
        let reason = format!("the test of {} is {}", self.version, self.reason);
        let message = format!("{reason}; serving is locked until `vigie resume`");
        let alert = EventKind::Alert { level: Level::Critical, code: "test_invalid".into(), message };
        vec![EventKind::Locked { reason, by: by.clone(), until: None }, alert]
    }
}

/// The conditions of a gate as numbers: each value where it is defined, and what it is held against.
pub fn numbers(checks: &[Check]) -> Numbers {
    let value = |check: &Check| Some((check.name.into(), check.value?));
    let threshold = |check: &Check| (format!("{}_threshold", check.name).into(), check.threshold);
    checks.iter().filter_map(value).chain(checks.iter().map(threshold)).collect()
}

/// The step that follows from a test, if it is over.
pub fn after_test(version: &VersionId, standing: &TestStanding, ruling: &Ruling) -> Option<EvidenceStep> {
    let step = match ruling.verdict {
        TestVerdict::Continue(_) | TestVerdict::Over(_) => return None,
        TestVerdict::Ship(_) => Transition::Promote,
        TestVerdict::StopForHarm(_) => Transition::RollBackTest,
        TestVerdict::Futile(_) | TestVerdict::Invalid(_) => Transition::ArchiveTest,
    };
    let mut evidence = numbers(&ruling.checks);
    evidence.insert("sessions".into(), standing.sessions as f64);
    for metric in &standing.metrics {
        let name = metric.metric.name();
        evidence.extend(metric.z.map(|z| (format!("{name}_z").into(), z)));
        evidence.insert(format!("{name}_p").into(), metric.p);
    }
    for harm in &standing.harm {
        let name = harm.view.name();
        evidence.extend(harm.z.map(|z| (format!("harm_{name}_z").into(), z)));
        evidence.extend(harm.boundary.map(|boundary| (format!("harm_{name}_boundary").into(), boundary)));
    }
    evidence.extend(standing.sample_ratio.map(|test| ("sample_ratio_p".into(), test.p)));
    let reason = format!("{}: {}", ruling.verdict.name(), ruling.verdict.why());
    let locks = matches!(ruling.verdict, TestVerdict::Invalid(_));
    Some(EvidenceStep { version: version.clone(), step, reason, evidence, locks })
}

/// The events that `step` is, taken by `by`: those of `steps`, which the roster gave for it, and what goes with them. A
/// test takes `terms` along.
pub fn events(
    step: &EvidenceStep,
    steps: Vec<(VersionId, Transition)>,
    terms: &Terms,
    by: &By,
    overridden: bool,
) -> Vec<EventKind> {
    let EvidenceStep { version: of, reason, evidence, .. } = step;
    let moved = |(version, step): (VersionId, Transition)| {
        let mut evidence = if version == *of { evidence.clone() } else { Numbers::new() };
        if step == Transition::StartTest {
            evidence.extend(terms.numbers());
        }
        EventKind::Moved { version, step, reason: reason.clone(), by: by.clone(), overridden, evidence }
    };
    steps.into_iter().map(moved).chain(step.alarms(by)).collect()
}

/// The first version of each symbol that may begin its test: its gate is passed, and no other is under test.
pub fn to_test(trials: &Trials, staging: &StagingOptions, now: Timestamp) -> Vec<EvidenceStep> {
    let mut steps: Vec<EvidenceStep> = Vec::new();
    for (version, shadowing) in trials.staging() {
        let free = trials.under_test().all(|(other, _)| other.symbol != version.symbol)
            && steps.iter().all(|step| step.version.symbol != version.symbol);
        if !free {
            continue;
        }
        let conditions = trials.conditions(version);
        if conditions.iter().all(|check| check.passed) && shadowing.opens(staging, now) {
            let ruling = shadowing.ruling(staging, now).under(conditions);
            let (evidence, reason) = (numbers(&ruling.checks), "the staging gate is passed".to_owned());
            let step = Transition::StartTest;
            steps.push(EvidenceStep { version: version.clone(), step, reason, evidence, locks: false });
        }
    }
    steps
}

/// The versions that passed validation and may watch.
pub fn to_staging(trials: &Trials) -> Vec<EvidenceStep> {
    let validated = trials.roster().versions().filter(|(version, _)| trials.roster().has_passed_validation(version));
    let step = |version: &VersionId| EvidenceStep {
        version: version.clone(),
        step: Transition::Stage,
        reason: "it passed validation".to_owned(),
        evidence: Numbers::new(),
        locks: false,
    };
    validated.map(|(version, _)| step(version)).collect()
}
