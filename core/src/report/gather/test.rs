//! Tests of versions, look by look, as they were decided on.
#![deny(clippy::indexing_slicing)]

use std::{collections::BTreeMap, sync::Arc};

use super::{
    super::{
        TestPoint,
        summary::{Scope, TestTold},
    },
    Judged,
};
use crate::{
    domain::{Event, EventKind, Timestamp, VersionId, lifecycle::State as Place},
    lifecycle::ending::Ending,
    state::step::State,
    trials::{
        experiment::{Criteria, EvidenceMetric, Experiment, TestVerdict},
        running::Trials,
        trial_view::{Assessment, Case},
    },
};

/// The tests so far.
#[derive(Debug, Default)]
pub(super) struct Tests {
    begun: BTreeMap<VersionId, usize>,
    told: Vec<TestTold>,
    holdbacks: Vec<Assessment>,
}

impl Tests {
    /// Something is decided. `state` is what came before.
    pub(super) fn event(&mut self, scope: &Scope, judged: &Judged<'_>, event: &Event, state: &mut State) {
        let EventKind::Moved { version, step, reason, by, overridden, evidence } = &event.kind else { return };
        let (from, to) = step.edge();
        if to == Place::AbTest {
            *self.begun.entry(version.clone()).or_default() += 1;
        }
        if from != Place::AbTest || scope.since.is_some_and(|since| event.at < since) {
            return;
        }
        // what was due by then had closed when it was decided
        state.pass_to(&judged.rules, event.at);
        let (reason, by, evidence) = (reason.clone(), by.clone(), evidence.clone());
        let ending = Ending { at: event.at, state: to, reason, by, overridden: *overridden, evidence };
        self.tell(judged, version, event.at, &state.trials, Some(ending));
    }

    /// The period is over at `now`, and `state` is what it came to.
    pub(super) fn close(&mut self, scope: &Scope, judged: &Judged<'_>, now: Timestamp, state: &mut State) {
        let under_test: Vec<VersionId> = state.trials.under_test().map(|(version, _)| version.clone()).collect();
        for version in under_test.into_iter().filter(|version| scope.has_version(version)) {
            self.tell(judged, &version, now, &state.trials, None);
        }
        let standings = state.trials.roster().versions();
        let served =
            standings.filter(|(version, standing)| standing.state == Place::Production && scope.has_version(version));
        let cases = served.filter_map(|(version, _)| {
            Case::of(&state.trials, version, judged.experiment, judged.staging, now, None)?.assess().ok()
        });
        self.holdbacks.extend(cases);
    }

    fn tell(
        &mut self,
        judged: &Judged<'_>,
        version: &VersionId,
        now: Timestamp,
        trials: &Trials,
        ended: Option<Ending>,
    ) {
        let Some(experiment) = trials.test(version) else { return };
        let options = match trials.terms(version) {
            Some(terms) => judged.experiment.clone().under(terms),
            None => judged.experiment.clone(),
        };
        let Ok(criteria) = Criteria::new(options).map(Arc::new) else { return };
        let case = Case::of(trials, version, judged.experiment, judged.staging, now, Some(&criteria));
        let Some(mut assessment) = case.and_then(|case| case.assess().ok()) else { return };
        if let (Some(ending), Some(report)) = (&ended, &mut assessment.report) {
            report.ruling.verdict = TestVerdict::Over(ending.reason.clone());
            report.ruling.checks.clear();
            (assessment.state, assessment.gate) = (ending.state, None);
            assessment.text = format!("{ending}{report}");
            assessment.ended = Some(ending.clone());
        }
        let counted = criteria.counted(experiment).len();
        // sessions that close together are looked at one by one, and the look that decides is the last
        let decided = ended.as_ref().and_then(|ending| ending.evidence.get("sessions"));
        let last = decided.map_or(counted, |sessions| (*sessions as usize).min(counted));
        self.told.push(TestTold {
            number: self.begun.get(version).copied().unwrap_or(1),
            begun: experiment.since(),
            ended,
            planned: criteria.plan().sessions(),
            looks: (1..=last).map(|look| point(&criteria, experiment, look, now)).collect(),
            assessment,
        });
    }

    /// The tests in the order in which they began, and the holdbacks.
    pub(super) fn told(mut self) -> (Vec<TestTold>, Vec<Assessment>) {
        self.told.sort_by_key(|test| test.begun);
        (self.told, self.holdbacks)
    }
}

/// How a test stood when so many of its sessions had closed.
fn point(criteria: &Criteria, experiment: &Experiment, sessions: usize, now: Timestamp) -> TestPoint {
    let standing = criteria.assess_after(sessions, experiment, now);
    // the strictest level of Holm's correction
    let view = criteria.view_of(experiment);
    let win_rate = standing.metrics.iter().find(|metric| metric.metric == EvidenceMetric::WinRate);
    let level = criteria.options().level / standing.metrics.len().max(1) as f64;
    TestPoint {
        session: sessions,
        win_rate: win_rate.and_then(|metric| metric.z),
        money: standing.harm.iter().find(|harm| harm.view == view).and_then(|harm| harm.z),
        success: criteria.plan().critical(sessions, level),
        harm: standing.harm.iter().find_map(|harm| harm.boundary),
    }
}
