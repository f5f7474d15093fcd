//! How versions stood against what was validated, day by day: the accuracy by which the guardian judges, and the composite.
#![deny(clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};

use super::super::{
    Curve,
    summary::{Scope, VersionHealth},
};
use crate::{
    domain::{EventKind, Timestamp, TradingDay, VersionId},
    guard::emergency::{VersionLevel, accuracy},
    state::step::{Rules, State},
};

type Points = Vec<(Timestamp, Option<f64>)>;

/// What was seen so far.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// The trading day under way, and when something happened last.
    day: Option<(TradingDay, Timestamp)>,
    versions: BTreeMap<VersionId, VersionHealth>,
    accuracy: BTreeMap<VersionId, Points>,
    composite: BTreeMap<VersionId, Points>,
}

impl Health {
    /// Something happens at `at`. If that is on another trading day, `state` is what the one before came to.
    pub(super) fn day(&mut self, scope: &Scope, rules: &Rules<'_>, at: Timestamp, state: &State) {
        let day = rules.calendar.day_of(at);
        if let Some((before, last)) = self.day
            && before < day
        {
            self.sample(scope, rules, last, state);
        }
        if self.day.is_none_or(|(before, _)| before <= day) {
            self.day = Some((day, at));
        }
    }

    /// The accuracy of each version as the guardian has it; a gap where a version is judged no more, or not yet.
    fn sample(&mut self, scope: &Scope, rules: &Rules<'_>, at: Timestamp, state: &State) {
        let fewest = rules.guardian.count(&accuracy::MIN_TRADES);
        let levels = state.risk.emergency.levels(rules.guardian);
        let mut judged = BTreeSet::new();
        for VersionLevel { version, labelled, accuracy, .. } in levels {
            if let Some(accuracy) = accuracy.filter(|_| labelled >= fewest && scope.has_version(&version)) {
                self.accuracy.entry(version.clone()).or_default().push((at, Some(accuracy)));
                judged.insert(version);
            }
        }
        for (version, points) in &mut self.accuracy {
            if !judged.contains(version) && points.last().is_some_and(|(_, value)| value.is_some()) {
                points.push((at, None));
            }
        }
    }

    pub(super) fn event(&mut self, at: Timestamp, kind: &EventKind) {
        match kind {
            EventKind::Judged { version, composite, degraded, unstable, evidence, .. } => {
                let health = self.of(version);
                health.days += 1;
                health.degraded += usize::from(*degraded);
                health.unstable += usize::from(*unstable);
                health.composite = composite.or(health.composite);
                health.evidence.clone_from(evidence);
                self.composite.entry(version.clone()).or_default().push((at, *composite));
            }
            // the trade that took it down is the last that its accuracy was taken over
            EventKind::Latched { trip } => {
                if let (Some(version), Some(value)) = (&trip.version, trip.breach.value)
                    && trip.breach.rule == accuracy::RULE.name
                {
                    self.accuracy.entry(version.clone()).or_default().push((trip.at, Some(value)));
                }
            }
            _ => {}
        }
    }

    fn of(&mut self, version: &VersionId) -> &mut VersionHealth {
        self.versions.entry(version.clone()).or_insert_with(|| VersionHealth {
            version: version.clone(),
            days: 0,
            degraded: 0,
            unstable: 0,
            composite: None,
            evidence: BTreeMap::new(),
            level: None,
        })
    }

    /// The period is over, and `state` is what it came to.
    pub(super) fn close(&mut self, scope: &Scope, rules: &Rules<'_>, state: &State) {
        if let Some((_, last)) = self.day {
            self.sample(scope, rules, last, state);
        }
        for level in state.risk.emergency.levels(rules.guardian) {
            let version = level.version.clone();
            if scope.has_version(&version) {
                self.of(&version).level = Some(level);
            }
        }
    }

    /// The versions, the curves of their accuracy and of their composite.
    pub(super) fn told(self) -> (Vec<VersionHealth>, Vec<Curve>, Vec<Curve>) {
        let curves = |points: BTreeMap<VersionId, Points>| {
            let has_value = |points: &Points| points.iter().any(|(_, value)| value.is_some());
            let curves = points.into_iter().filter(|(_, points)| has_value(points));
            curves.map(|(version, points)| Curve { name: version.to_string(), points }).collect()
        };
        (self.versions.into_values().collect(), curves(self.accuracy), curves(self.composite))
    }
}
