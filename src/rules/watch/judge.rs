//! What is found of a version when a trading day closes: its figures as conditions, and what follows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Judgement, Subject, Watch, WatchOptions};
use crate::{
    domain::{Timestamp, TradingDay, VersionId, event::Level},
    rules::{
        alarm::Condition,
        gradual::DayClose,
        health::{Figures, Validated, is_unstable},
        monitor::{Change, Inputs},
    },
    stats::{
        describe::{mean, standard_deviation},
        detector::Move,
        drift::Drift,
        novelty::Novelty,
    },
};

/// The latest trades of a version against its validation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// The window.
    pub figures: Figures,
    /// What it is held against.
    pub validated: Option<Validated>,
    /// Variance of the latest scores.
    pub score_variance: Option<f64>,
    /// Whether the score behaves otherwise than when it was validated.
    pub unstable: bool,
}

/// Everything that is measured of one version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VersionView {
    /// Its latest trades. `None` when nothing is known of its validation.
    pub health: Option<Health>,
    /// Its latest signals. `None` before there are any.
    pub inputs: Option<Inputs>,
    /// How far each input may move, by the budget: PSI and Kolmogorov-Smirnov distance.
    pub thresholds: BTreeMap<Box<str>, (f64, f64)>,
    /// Mean share of unusual inputs over the latest signals.
    pub novelty: Option<f64>,
}

/// A version on the day that has closed.
struct Day<'a> {
    version: &'a VersionId,
    subject: &'a Subject,
    options: &'a WatchOptions,
    view: &'a VersionView,
}

impl Watch {
    /// Everything that is measured of `version`. `None` when it is not in service.
    pub fn view(&self, options: &WatchOptions, version: &VersionId) -> Option<VersionView> {
        let subject = self.subjects.get(version)?;
        let scores = self.monitor.scores(version);
        let inputs = subject.learnt.as_ref().and_then(|learnt| self.monitor.inputs(version, learnt));
        let enough = scores.len() >= options.health.min_trades;
        let health = subject.validated.map(|validated| {
            let psi = inputs.as_ref().and_then(|inputs| inputs.score?.psi).filter(|_| enough);
            let variance = standard_deviation(&scores).map(|sd| sd * sd).filter(|_| enough);
            Health {
                figures: Figures::of(&validated, &self.monitor.trades(version)),
                validated: Some(validated),
                score_variance: variance,
                unstable: is_unstable(&options.health, &validated, psi, variance),
            }
        });
        let named = subject.learnt.iter().flat_map(|learnt| learnt.names.iter()).zip(&subject.thresholds);
        Some(VersionView {
            health,
            inputs,
            thresholds: named.map(|(name, limits)| (name.clone(), (limits.psi, limits.ks))).collect(),
            novelty: self.novelty(version, subject),
        })
    }

    pub(super) fn judge(
        &mut self,
        options: &WatchOptions,
        version: &VersionId,
        day: TradingDay,
        at: Timestamp,
        traded: bool,
        spoke: &[Change],
    ) -> Option<Judgement> {
        let view = self.view(options, version)?;
        let subject = self.subjects.get(version)?;
        let judged = Day { version, subject, options, view: &view };
        let mut conditions = judged.health();
        conditions.extend(judged.drifts());
        conditions.extend(judged.expected());
        conditions.push(judged.novelty());
        conditions.extend(judged.detectors(spoke));
        let figures = view.health.map(|health| health.figures);
        let composite = figures.and_then(|figures| figures.composite);
        let enough = figures.is_some_and(|figures| figures.trades >= options.health.min_trades);
        let day_close = DayClose {
            day,
            composite: composite.filter(|_| enough && traded).map(|composite| composite.value),
            degraded: enough && composite.is_some_and(|found| found.is_below(1.0, options.health.level)),
            unstable: view.health.is_some_and(|health| health.unstable),
        };
        let evidence = judged.evidence();
        let turns = conditions.into_iter().filter_map(|condition| self.alarms.observe(at, condition)).collect();
        let response = figures.and_then(|figures| figures.response(&options.health));
        Some(Judgement { version: version.clone(), day_close, turns, response, faults: Vec::new(), evidence })
    }

    fn novelty(&self, version: &VersionId, subject: &Subject) -> Option<f64> {
        let learnt = subject.learnt.as_ref()?;
        let shares = self.monitor.rows(version).filter_map(|row| Novelty::of(&learnt.inputs, row));
        mean(&shares.map(|found| found.outside).collect::<Vec<_>>())
    }
}

impl Day<'_> {
    /// A condition on the version that is more than chance as soon as it is measured.
    fn condition(&self, code: &str, value: Option<f64>, threshold: f64, advice: &str) -> Condition {
        Condition {
            code: code.into(),
            subject: self.version.to_string().into(),
            level: Level::Warning,
            value,
            threshold,
            sure: true,
            done: "recorded".into(),
            advice: advice.into(),
        }
    }

    fn enough_signals(&self) -> bool {
        let seen = self.view.inputs.as_ref().and_then(|inputs| inputs.expected);
        seen.is_some_and(|expected| expected.scores >= self.options.monitor.window as u64)
    }

    fn health(&self) -> Vec<Condition> {
        let Some(Health { figures, validated: Some(validated), unstable, .. }) = self.view.health else {
            return Vec::new();
        };
        let mut found = figures.conditions(&self.options.health, &validated, &self.version.to_string());
        let value = Some(f64::from(u8::from(unstable)));
        let advice = "compare the score's distribution in `vigie drift` with the validation";
        let unstable = self.condition("instability", value, 1.0, advice);
        found.push(Condition { done: "its share of the signals shrinks by a step a day".into(), ..unstable });
        found
    }

    /// Each input against its threshold, once the window is full: the larger of both measures as a multiple of its own.
    fn drifts(&self) -> Vec<Condition> {
        let Some(inputs) = self.view.inputs.as_ref().filter(|_| self.enough_signals()) else { return Vec::new() };
        let advice = "compare the feed with what the version learnt from; a new model may be needed";
        let multiple = |drift: &Drift, (psi, ks): (f64, f64)| {
            let found = [drift.psi.map(|x| x / psi), drift.ks.map(|test| test.statistic / ks)];
            found.into_iter().flatten().reduce(f64::max)
        };
        let of = |(name, drift): (&Box<str>, &Drift)| {
            let limits = *self.view.thresholds.get(name)?;
            // a window without values cannot be evaluated, and counts as moved
            let value = multiple(drift, limits).or((drift.present == 0).then_some(2.0));
            let condition = self.condition("drift", value, 1.0, advice);
            let told = |value: Option<f64>| value.map_or("unknown".to_owned(), |value| format!("{value:.3}"));
            let measured = format!(
                "recorded as a multiple of its limit: PSI {} of {:.3}, KS {} of {:.3}",
                told(drift.psi),
                limits.0,
                told(drift.ks.map(|test| test.statistic)),
                limits.1
            );
            let subject = format!("{} {name}", self.version).into();
            Some(Condition { subject, done: measured.into(), ..condition })
        };
        inputs.columns.iter().filter_map(of).collect()
    }

    /// What the scores promise, against what validation showed.
    fn expected(&self) -> Option<Condition> {
        let (validated, expected) =
            (self.view.health?.validated?, self.view.inputs.as_ref()?.expected.filter(|_| self.enough_signals())?);
        (validated.accuracy > 0.0).then_some(())?;
        let value = Some(1.0 - expected.accuracy / validated.accuracy);
        let advice = "its scores have lost their confidence before outcomes show it; look at `vigie drift`";
        let condition = self.condition("expected_accuracy", value, self.options.health.accuracy_drop, advice);
        Some(Condition { sure: expected.interval.high < validated.accuracy, ..condition })
    }

    fn novelty(&self) -> Condition {
        let value = self.view.novelty.filter(|_| self.enough_signals());
        let advice = "signals are unlike those it learnt from; check the feed, or train it on newer trades";
        self.condition("novelty", value, self.options.novelty, advice)
    }

    /// Detectors that spoke on this day of something getting worse.
    fn detectors(&self, spoke: &[Change]) -> Vec<Condition> {
        let spoke_of = |detector: &str| {
            let worse = |change: &&Change| change.way != Some(Move::Up);
            let own = |change: &&Change| change.version == *self.version && *change.detector == *detector;
            spoke.iter().filter(worse).any(|change| own(&change))
        };
        let names = [("adwin", "accuracy"), ("page_hinkley", "pnl"), ("cusum", "win rate")];
        let condition = |(detector, what): (&str, &str)| {
            let value = Some(f64::from(u8::from(spoke_of(detector))));
            let advice = format!("the {what} of its trades has changed; compare `vigie drift` with the validation");
            self.condition(detector, value, 1.0, &advice)
        };
        names.into_iter().map(condition).collect()
    }

    fn evidence(&self) -> BTreeMap<Box<str>, f64> {
        let figures = self.view.health.map(|health| health.figures);
        let inputs = self.view.inputs.as_ref();
        let named = [
            ("trades", figures.map(|figures| figures.trades as f64)),
            ("accuracy", figures.and_then(|figures| Some(figures.accuracy?.value))),
            ("precision", figures.and_then(|figures| Some(figures.precision?.value))),
            ("expectancy", figures.and_then(|figures| Some(figures.expectancy?.value))),
            ("composite", figures.and_then(|figures| Some(figures.composite?.value))),
            ("composite_error", figures.and_then(|figures| Some(figures.composite?.error))),
            ("score_psi", inputs.and_then(|inputs| inputs.score?.psi)),
            ("expected_accuracy", inputs.and_then(|inputs| Some(inputs.expected?.accuracy))),
            ("novelty", self.view.novelty),
        ];
        let known = self.subject.validated.map(|validated| ("validated_accuracy", Some(validated.accuracy)));
        let all = named.into_iter().chain(known);
        all.filter_map(|(name, value)| Some((name.into(), value.filter(|value| value.is_finite())?))).collect()
    }
}
