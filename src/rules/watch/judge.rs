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
        monitor::{Change, Inputs, LEVEL, Learnt},
    },
    stats::{
        budget::{Distance, Thresholds, distance},
        describe::{mean, standard_deviation},
        detector::Move,
        drift::{chance, stability},
        expected::{Expected, expected},
        novelty::Novelty,
    },
};

/// How far beyond its limit an input counts as that has no value left to measure.
const GONE: f64 = 2.0;

/// What a judgement rests on.
#[derive(Debug, Clone, PartialEq)]
struct Measured {
    health: Option<Health>,
    expected: Option<Expected>,
    /// The same of the scores in validation.
    promised: Option<f64>,
    /// Each input that has limits, by name.
    drifts: Vec<(Box<str>, Option<Distance>, Thresholds)>,
    novelty: Option<f64>,
}

/// The latest trades of a version against its validation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// The window of trades.
    pub figures: Figures,
    /// What it is held against.
    pub validated: Validated,
    /// Population stability index of the latest scores.
    pub score_psi: Option<f64>,
    /// Variance of the latest scores.
    pub score_variance: Option<f64>,
    /// Whether the score behaves otherwise than when it was validated.
    pub unstable: bool,
}

/// Everything that is measured of one version, for people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VersionView {
    /// Its latest trades. `None` when nothing is known of its validation.
    pub health: Option<Health>,
    /// Its latest signals. `None` before there are any, or when nothing is known of what it learnt from.
    pub inputs: Option<Inputs>,
    /// How far each input may move, by the budget of false alarms.
    pub thresholds: BTreeMap<Box<str>, Thresholds>,
    /// Mean share of unusual inputs over the latest signals.
    pub novelty: Option<f64>,
}

/// A version on the day that has closed.
struct Day<'a> {
    version: &'a VersionId,
    options: &'a WatchOptions,
    found: &'a Measured,
}

impl Subject {
    /// How far the index of `scores` scores goes when nothing has changed: by chance, and by the moods of the market.
    fn usual_index(&self, options: &WatchOptions, scores: usize) -> Option<f64> {
        let by_chance = |learnt: &Learnt| chance(&learnt.score, scores, options.health.act_level);
        // a window that is not full yet goes further, as the square of what chance does to its shares
        let fuller = options.monitor.window as f64 / scores as f64;
        let by_moods = self.score_limit.map(|limit| limit * fuller.max(1.0));
        self.learnt.as_ref().and_then(by_chance).into_iter().chain(by_moods).reduce(f64::max)
    }
}

impl Watch {
    /// Everything that is measured of `version`. `None` when it is not in service.
    pub fn view(&self, options: &WatchOptions, version: &VersionId) -> Option<VersionView> {
        let subject = self.subjects.get(version)?;
        let Measured { health, novelty, .. } = self.measure(options, version, subject);
        let named = subject.learnt.iter().flat_map(|learnt| &learnt.names).cloned();
        Some(VersionView {
            health,
            inputs: subject.learnt.as_ref().and_then(|learnt| self.monitor.inputs(version, learnt)),
            thresholds: named.zip(subject.thresholds.iter().copied()).collect(),
            novelty,
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
        let found = self.measure(options, version, self.subjects.get(version)?);
        let judged = Day { version, options, found: &found };
        let mut conditions = judged.health();
        conditions.extend(judged.drifts());
        conditions.extend(judged.expected());
        conditions.push(judged.novelty());
        conditions.extend(judged.detectors(spoke));
        let figures = found.health.map(|health| health.figures);
        let composite = figures.filter(|figures| figures.trades >= options.health.min_trades);
        let composite = composite.and_then(|figures| figures.composite);
        let day_close = DayClose {
            day,
            composite: composite.filter(|_| traded).map(|composite| composite.value),
            degraded: composite.is_some_and(|found| found.is_below(1.0, options.health.act_level)),
            unstable: found.health.is_some_and(|health| health.unstable),
        };
        let evidence = judged.evidence();
        let turns = conditions.into_iter().filter_map(|condition| self.alarms.observe(at, condition)).collect();
        let response = figures.and_then(|figures| figures.response(&options.health));
        Some(Judgement { version: version.clone(), day_close, turns, response, faults: Vec::new(), evidence })
    }

    fn measure(&self, options: &WatchOptions, version: &VersionId, subject: &Subject) -> Measured {
        let scores = self.monitor.scores(version);
        let full = scores.len() >= options.monitor.window;
        let learnt = subject.learnt.as_ref();
        let health = subject.validated.map(|validated| {
            let enough = scores.len() >= options.health.min_trades;
            let psi = learnt.filter(|_| enough).and_then(|learnt| stability(&learnt.score, &scores));
            let variance = standard_deviation(&scores).filter(|_| enough).map(|sd| sd * sd);
            Health {
                figures: Figures::of(&validated, &self.monitor.trades(version)),
                validated,
                score_psi: psi,
                score_variance: variance,
                unstable: is_unstable(
                    &options.health,
                    &validated,
                    (psi, subject.usual_index(options, scores.len())),
                    variance,
                ),
            }
        });
        let columns = learnt.filter(|_| full).into_iter().flat_map(|learnt| learnt.names.iter().zip(&learnt.inputs));
        let drifts = columns.zip(&subject.thresholds).enumerate().map(|(place, ((name, reference), limits))| {
            let column: Vec<_> = self.monitor.rows(version).map(|row| row.get(place).copied().flatten()).collect();
            (name.clone(), distance(reference, &column), *limits)
        });
        let shares = learnt.into_iter().flat_map(|learnt| {
            self.monitor.rows(version).filter_map(|row| Some(Novelty::of(&learnt.inputs, row)?.outside))
        });
        Measured {
            health,
            expected: self.monitor.expected(version).filter(|_| full),
            promised: learnt.filter(|_| subject.question.is_probability()).and_then(|learnt| {
                let point = subject.question.decision_point;
                Some(expected(learnt.score.quantiles(), point, LEVEL)?.accuracy)
            }),
            drifts: drifts.collect(),
            novelty: mean(&shares.collect::<Vec<_>>()).filter(|_| full),
        }
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

    fn health(&self) -> Vec<Condition> {
        let Some(Health { figures, validated, unstable, .. }) = self.found.health else { return Vec::new() };
        let mut found = figures.conditions(&self.options.health, &validated, &self.version.to_string());
        let value = Some(f64::from(u8::from(unstable)));
        let advice = "compare the score's distribution in `vigie drift` with the validation";
        let unstable = self.condition("instability", value, 1.0, advice);
        found.push(Condition { done: "its share of the signals shrinks by a step a day".into(), ..unstable });
        found
    }

    /// Each input against its limits: the larger of both measures as a multiple of its own.
    fn drifts(&self) -> impl Iterator<Item = Condition> {
        let advice = "compare the feed with what the version learnt from; a new model may be needed";
        self.found.drifts.iter().map(move |(name, found, limits)| {
            // a window without values cannot be evaluated, and counts as moved
            let multiple = found.map_or(GONE, |found| limits.multiple(&found));
            let told = |value: Option<f64>| value.map_or("unknown".to_owned(), |value| format!("{value:.3}"));
            let done = format!(
                "recorded as a multiple of its limit: PSI {} of {:.3}, KS {} of {:.3}",
                told(found.map(|found| found.psi)),
                limits.psi,
                told(found.map(|found| found.ks)),
                limits.ks
            );
            let subject = format!("{} {name}", self.version).into();
            Condition { subject, done: done.into(), ..self.condition("drift", Some(multiple), 1.0, advice) }
        })
    }

    /// What the scores promise, against what they did in validation.
    fn expected(&self) -> Option<Condition> {
        let (promised, expected) = (self.found.promised.filter(|accuracy| *accuracy > 0.0)?, self.found.expected?);
        let value = Some(1.0 - expected.accuracy / promised);
        let advice = "its scores have lost their confidence before outcomes show it; look at `vigie drift`";
        let condition = self.condition("expected_accuracy", value, self.options.health.accuracy_drop, advice);
        Some(Condition { sure: expected.interval.high < promised, ..condition })
    }

    fn novelty(&self) -> Condition {
        let advice = "signals are unlike those it learnt from; check the feed, or train it on newer trades";
        self.condition("novelty", self.found.novelty, self.options.novelty, advice)
    }

    /// Detectors that spoke on this day of something getting worse.
    fn detectors(&self, spoke: &[Change]) -> impl Iterator<Item = Condition> {
        let worse = |change: &&Change| change.way != Some(Move::Up) && change.version == *self.version;
        let spoke: Vec<&str> = spoke.iter().filter(worse).map(|change| &*change.detector).collect();
        [("adwin", "accuracy"), ("page_hinkley", "pnl"), ("cusum", "win rate")].into_iter().map(move |(name, what)| {
            let value = Some(f64::from(u8::from(spoke.contains(&name))));
            let advice = format!("the {what} of its trades has changed; compare `vigie drift` with the validation");
            self.condition(name, value, 1.0, &advice)
        })
    }

    fn evidence(&self) -> BTreeMap<Box<str>, f64> {
        let Measured { health, expected, novelty, .. } = self.found;
        let figures = health.map(|health| health.figures);
        let named = [
            ("trades", figures.map(|figures| figures.trades as f64)),
            ("accuracy", figures.and_then(|figures| Some(figures.accuracy?.value))),
            ("precision", figures.and_then(|figures| Some(figures.precision?.value))),
            ("expectancy", figures.and_then(|figures| Some(figures.expectancy?.value))),
            ("composite", figures.and_then(|figures| Some(figures.composite?.value))),
            ("composite_error", figures.and_then(|figures| Some(figures.composite?.error))),
            ("validated_accuracy", health.map(|health| health.validated.accuracy)),
            ("score_psi", health.and_then(|health| health.score_psi)),
            ("expected_accuracy", expected.map(|expected| expected.accuracy)),
            ("novelty", *novelty),
        ];
        let known = |value: Option<f64>| value.filter(|value| value.is_finite());
        named.into_iter().filter_map(|(name, value)| Some((name.into(), known(value)?))).collect()
    }
}
