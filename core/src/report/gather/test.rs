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
        experiment::{Criteria, EvidenceMetric, Look, TestVerdict, View},
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
        let looks = criteria.looks(experiment, ended.as_ref(), usize::MAX);
        let view = criteria.view_of(experiment);
        self.told.push(TestTold {
            number: self.begun.get(version).copied().unwrap_or(1),
            begun: experiment.since(),
            ended,
            planned: criteria.plan().sessions(),
            looks: looks.iter().map(|look| point(&criteria, look, view)).collect(),
            assessment,
        });
    }

    /// The tests in the order in which they began, and the holdbacks.
    pub(super) fn told(mut self) -> (Vec<TestTold>, Vec<Assessment>) {
        self.told.sort_by_key(|test| test.begun);
        (self.told, self.holdbacks)
    }
}

/// A look as it is drawn: what decides, in the view that does.
fn point(criteria: &Criteria, look: &Look, view: View) -> TestPoint {
    let of = look.views.iter().find(|of| of.view == view);
    let is_judged = criteria.options().metrics.contains(&EvidenceMetric::WinRate);
    TestPoint {
        session: look.session,
        win_rate: of.filter(|_| is_judged).and_then(|of| of.win_rate),
        money: of.and_then(|of| of.mean_pnl),
        success: look.success,
        harm: look.harm,
    }
}
