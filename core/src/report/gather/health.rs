//! How versions stood against what was validated, day by day: the accuracy by which the guardian judges, and the composite.
#![deny(clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};

use super::super::{
    Curve,
    summary::{Scope, VersionHealth},
};
use crate::{
    domain::{EventKind, Timestamp, TradingDay, VersionId, trip::Trip},
    guard::emergency::{
        VersionLevel,
        accuracy::{self, Held},
    },
    state::step::{Rules, State},
};

type Points = Vec<(Timestamp, Option<f64>)>;

/// What was seen so far.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// The trading day under way, when something happened last, and whether any of it is of the trader.
    day: Option<(TradingDay, Timestamp, bool)>,
    versions: BTreeMap<VersionId, VersionHealth>,
    accuracy: BTreeMap<VersionId, Points>,
    composite: BTreeMap<VersionId, Points>,
    rules: BTreeMap<VersionId, Held>,
    trips: Vec<Trip>,
}

/// What came of it.
pub(super) struct HealthSeen {
    pub(super) versions: Vec<VersionHealth>,
    pub(super) accuracy: Vec<Curve>,
    pub(super) composite: Vec<Curve>,
    pub(super) rules: BTreeMap<VersionId, Held>,
    pub(super) trips: Vec<Trip>,
}

impl Health {
    /// Something happens at `at`. If that is on another trading day, `state` is what the one before came to. `is_news`: it is of
    /// the trader; a day of events alone, as by another clock, is not told of.
    pub(super) fn day(&mut self, scope: &Scope, rules: &Rules<'_>, at: Timestamp, is_news: bool, state: &State) {
        let day = rules.calendar.day_of(at);
        let under_way = match self.day {
            Some((before, ..)) if before != day => {
                self.sample(scope, rules, state);
                false
            }
            Some((.., had_news)) => had_news,
            None => false,
        };
        self.day = Some((day, at, is_news || under_way));
    }

    /// The accuracy of each version as the guardian has it; a gap where a version is judged no more, or not yet.
    fn sample(&mut self, scope: &Scope, rules: &Rules<'_>, state: &State) {
        let Some((_, at, true)) = self.day else { return };
        let fewest = rules.guardian.count(&accuracy::MIN_TRADES);
        let levels = state.risk.emergency.levels(rules.guardian);
        let mut judged = BTreeSet::new();
        for VersionLevel { version, labelled, accuracy, accuracy_held, .. } in levels {
            if let Some(accuracy) = accuracy.filter(|_| labelled >= fewest && scope.has_version(&version)) {
                self.accuracy.entry(version.clone()).or_default().push((at, Some(accuracy)));
                self.rules.insert(version.clone(), accuracy_held);
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
            // over the trades since it broke, or over a window of its own: no point of the curve
            EventKind::Latched { trip }
                if trip.version.is_some() && trip.breach.value.is_some() && trip.breach.rule == accuracy::RULE.name =>
            {
                self.trips.push((**trip).clone());
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
        self.sample(scope, rules, state);
        for level in state.risk.emergency.levels(rules.guardian) {
            let version = level.version.clone();
            if scope.has_version(&version) {
                self.rules.insert(version.clone(), level.accuracy_held);
                self.of(&version).level = Some(level);
            }
        }
    }

    /// What came of it.
    pub(super) fn told(self) -> HealthSeen {
        let curves = |points: BTreeMap<VersionId, Points>| {
            let has_value = |points: &Points| points.iter().any(|(_, value)| value.is_some());
            let curves = points.into_iter().filter(|(_, points)| has_value(points));
            let curve = |(version, mut points): (VersionId, Points)| {
                points.sort_by_key(|(at, _)| *at);
                Curve { name: version.to_string(), points }
            };
            curves.map(curve).collect()
        };
        HealthSeen {
            versions: self.versions.into_values().collect(),
            accuracy: curves(self.accuracy),
            composite: curves(self.composite),
            rules: self.rules,
            trips: self.trips,
        }
    }
}
