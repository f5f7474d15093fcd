//! What is found of a version when a trading day closes: its figures as conditions, and what follows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    Judgement, Watch, WatchOptions, WatchedVersion,
    words::{Recent, moved, promised, strange},
};
use crate::{
    domain::{Timestamp, TradingDay, VersionId, event::Level},
    guard::{
        alarm::Condition,
        gradual::DayClose,
        health::{
            Figures, Response, SHARE_IS_TOLD, ScoreMoved, Validated, code, is_unstable, ladder, response, said_yes,
        },
        labels::Labels,
        monitor::{Change, Inputs, LEVEL, Learnt, Rolling},
    },
    models::MOST_UNLABELLED,
    stats::{
        budget::{Thresholds, distance},
        decline::{Decline, Limits},
        describe::{mean, standard_deviation},
        detector::Move,
        drift::{chance, ks_distance, stability},
        expected::{Expected, expected},
        novelty::Novelty,
    },
};

/// How far beyond its limit an input counts as that has no value left to measure.
const GONE: f64 = 2.0;

/// A distance of distribution functions that counts whatever the moods were: hardly a score is where scores were.
const CERTAIN: f64 = 0.9;

/// What a judgement rests on.
#[derive(Debug, Clone, PartialEq)]
struct Measured {
    health: Option<Health>,
    expected: Option<Expected>,
    /// The same of the scores in validation.
    promised: Option<f64>,
    /// What the stability index and the distance of its scores may reach.
    score_limits: (Option<f64>, Option<f64>),
    /// Each input that has limits.
    drifts: Vec<InputMoved>,
    novelty: Option<f64>,
    recent: Recent,
    /// What its latest trades lack for its label.
    labels: Labels,
}

/// How far an input has moved from what was learnt from.
#[derive(Debug, Clone, PartialEq)]
struct InputMoved {
    name: Box<str>,
    /// Its stability index; `None` of a window without values.
    psi: Option<f64>,
    /// The larger of its measures, as a multiple of its own limit.
    multiple: f64,
    /// Whether there is a limit that anything passes.
    is_limited: bool,
    /// In words.
    told: String,
}

/// The latest trades of a version against its validation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// The window of trades.
    pub figures: Figures,
    /// What it is held against.
    pub validated: Validated,
    /// The validated share of right answers in trades in which it said yes as often as in the window: what its accuracy is held
    /// against. `None` where the record does not tell, or without a labelled trade.
    #[serde(default)]
    pub expected_accuracy: Option<f64>,
    /// Population stability index of the latest scores.
    pub score_psi: Option<f64>,
    /// Kolmogorov-Smirnov distance of the latest scores.
    #[serde(default)]
    pub score_ks: Option<f64>,
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
    /// Figures over its latest trades in each regime that the market shows itself: `market calm`, `market wild`. Empty where what it
    /// learnt from is too little to tell them apart.
    pub regimes: BTreeMap<Box<str>, Rolling>,
}

/// A version on the day that has closed.
struct Day<'a> {
    version: &'a VersionId,
    subject: &'a WatchedVersion,
    options: &'a WatchOptions,
    found: &'a Measured,
}

impl WatchedVersion {
    /// How far `scores` scores go when nothing has changed, by chance and by the moods of the market: their index and their
    /// distance. Without the moods, the distance is that of independent scores, and only one that never happens counts.
    fn usual_of_scores(&self, options: &WatchOptions, scores: usize) -> (Option<f64>, Option<f64>) {
        let by_chance = |learnt: &Learnt| chance(&learnt.score, scores, options.health.act_level);
        // a window that is not full yet goes further, as the square of what chance does to its shares
        let fuller = options.monitor.window as f64 / scores as f64;
        let by_moods = self.score_limit.map(|limit| limit.psi * fuller.max(1.0));
        let index = self.learnt.as_ref().and_then(by_chance).into_iter().chain(by_moods).reduce(f64::max);
        let distance = self.score_limit.map_or(CERTAIN, |limit| limit.ks * fuller.max(1.0).sqrt());
        (index, Some(distance))
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
            regimes: self.monitor.markets(version),
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
        let session = self.monitor.close_session(version);
        let subject = self.subjects.get(version)?;
        let found = self.measure(options, version, subject);
        let limits = subject.limits.as_ref();
        let decline = self.declines.entry(version.clone()).or_default();
        if let Some(limits) = limits.filter(|_| session.trades > 0.0) {
            decline.close(limits, session);
        }
        let named = version.to_string();
        let judged = Day { version, subject, options, found: &found };
        let mut conditions = limits.map(|limits| ladder(decline, limits, &named)).unwrap_or_default();
        conditions.extend(judged.unstable());
        conditions.extend(judged.drifts());
        conditions.extend(judged.expected());
        conditions.push(judged.novelty());
        conditions.push(judged.unlabelled());
        conditions.extend(judged.detectors(spoke));
        let figures = found.health.map(|health| health.figures);
        let composite = figures.filter(|figures| figures.trades >= options.health.min_trades);
        let composite = composite.and_then(|figures| figures.composite);
        let evidence = judged.evidence(limits.map(|limits| (&*decline, limits)));
        let response = limits.and_then(|limits| response(decline, limits));
        let quiet = self.quiet.entry(version.clone()).or_default();
        quiet.close_day();
        let mut turns = Vec::new();
        for condition in conditions {
            if quiet.lets(&condition) || self.alarms.holds(&condition.code, &condition.subject) {
                turns.extend(self.alarms.observe(at, condition));
            }
        }
        turns.iter().for_each(|turn| quiet.note(turn));
        let day_close = DayClose {
            day,
            composite: composite.filter(|_| traded).map(|composite| composite.value),
            degraded: self.alarms.holds(code(Response::Shrink), &named),
            unstable: found.health.is_some_and(|health| health.unstable),
        };
        Some(Judgement { version: version.clone(), day_close, turns, response, faults: Vec::new(), evidence })
    }

    fn measure(&self, options: &WatchOptions, version: &VersionId, subject: &WatchedVersion) -> Measured {
        let scores = self.monitor.scores(version);
        let full = scores.len() >= options.monitor.window;
        let learnt = subject.learnt.as_ref();
        let (usual_psi, usual_ks) = subject.usual_of_scores(options, scores.len());
        let health = subject.validated.map(|validated| {
            let enough = scores.len() >= options.health.min_trades;
            let psi = learnt.filter(|_| enough).and_then(|learnt| stability(&learnt.score, &scores));
            let variance = standard_deviation(&scores).filter(|_| enough).map(|sd| sd * sd);
            let ks = learnt.filter(|_| enough).and_then(|learnt| ks_distance(learnt.score.quantiles(), &scores));
            let moved = ScoreMoved { psi: (psi, usual_psi), ks: (ks, usual_ks), variance };
            let trades = self.monitor.trades(version);
            let said = subject.standard.zip(said_yes(&trades));
            let expected_accuracy = said.map(|(standard, said)| standard.expected_accuracy(said));
            let accuracy = expected_accuracy.unwrap_or(validated.accuracy);
            Health {
                figures: Figures::of(&Validated { accuracy, ..validated }, &trades),
                validated,
                expected_accuracy,
                score_psi: psi,
                score_ks: ks,
                score_variance: variance,
                unstable: is_unstable(&options.health, &validated, &moved),
            }
        });
        let columns = learnt.filter(|_| full).into_iter().flat_map(|learnt| learnt.names.iter().zip(&learnt.inputs));
        let drifts = columns.zip(&subject.thresholds).enumerate().map(|(place, ((name, reference), limits))| {
            let column: Vec<_> = self.monitor.rows(version).map(|row| row.get(place).copied().flatten()).collect();
            let found = distance(reference, &column);
            // a window without values cannot be evaluated, and counts as moved
            let multiple = found.map_or(GONE, |found| limits.multiple(&found));
            let (name, psi, is_limited) = (name.clone(), found.map(|found| found.psi), *limits != Thresholds::NEVER);
            InputMoved { name, psi, multiple, is_limited, told: moved(reference, &column, found, limits) }
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
            score_limits: (Some(options.health.score_psi_limit(usual_psi)), usual_ks),
            drifts: drifts.collect(),
            novelty: mean(&shares.collect::<Vec<_>>()).filter(|_| full),
            recent: Recent::of(&self.monitor.trades(version)),
            labels: self.monitor.labels(version),
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
            told: "".into(),
            done: "recorded".into(),
            advice: advice.into(),
        }
    }

    fn unstable(&self) -> Option<Condition> {
        let Health { validated, unstable, score_psi, score_ks, score_variance, .. } = self.found.health?;
        let value = Some(f64::from(u8::from(unstable)));
        let advice = "compare the score's distribution in `vigie drift` with the validation";
        let figure = |value: Option<f64>| value.map_or("unknown".to_owned(), |value| format!("{value:.4}"));
        let told = format!(
            "the distribution of its latest scores differs from its validation: variance {} (was {:.4}), stability index {}, distance {}",
            figure(score_variance),
            validated.score_variance,
            figure(score_psi),
            figure(score_ks)
        );
        let done = SHARE_IS_TOLD.into();
        Some(Condition { told: told.into(), done, ..self.condition("instability", value, 1.0, advice) })
    }

    /// Each input against its limits: the larger of both measures as a multiple of its own.
    fn drifts(&self) -> impl Iterator<Item = Condition> {
        let advice = "compare the feed with what the version learnt from; a new model may be needed";
        self.found.drifts.iter().map(move |InputMoved { name, multiple, told, .. }| {
            let (subject, told) = (format!("{} {name}", self.version).into(), told.as_str().into());
            Condition { subject, told, ..self.condition("drift", Some(*multiple), 1.0, advice) }
        })
    }

    /// What the scores promise, against what they did in validation.
    fn expected(&self) -> Option<Condition> {
        let (before, expected) = (self.found.promised.filter(|accuracy| *accuracy > 0.0)?, self.found.expected?);
        let value = Some(1.0 - expected.accuracy / before);
        let advice = "its scores have lost their confidence before outcomes show it; look at `vigie drift`";
        let condition = self.condition("expected_accuracy", value, self.options.health.accuracy_drop, advice);
        let told = promised(before, &expected).into();
        Some(Condition { sure: expected.interval.high < before, told, ..condition })
    }

    fn novelty(&self) -> Condition {
        let advice = "signals are unlike its training data; check the feed, or train on newer trades";
        let told = self.found.novelty.map(strange).unwrap_or_default().into();
        Condition { told, ..self.condition("novelty", self.found.novelty, self.options.novelty, advice) }
    }

    /// Trades that do not tell it its label.
    fn unlabelled(&self) -> Condition {
        let found = self.found.labels.unlabelled();
        let advice =
            "have the trader send it; until then no rule can watch its accuracy, and its pnl is watched as before";
        let told = found.map(|found| found.to_string()).unwrap_or_default().into();
        let condition = self.condition("unwatched", self.found.labels.share(), MOST_UNLABELLED, advice);
        Condition { sure: found.is_some(), told, ..condition }
    }

    /// Detectors that spoke on this day of something getting worse.
    fn detectors(&self, spoke: &[Change]) -> impl Iterator<Item = Condition> {
        let worse = |change: &&Change| change.way != Some(Move::Up) && change.version == *self.version;
        let spoke: Vec<&str> = spoke.iter().filter(worse).map(|change| &*change.detector).collect();
        [("adwin", "accuracy"), ("page_hinkley", "pnl"), ("cusum", "win rate")].into_iter().map(move |(name, what)| {
            let value = Some(f64::from(u8::from(spoke.contains(&name))));
            let advice = format!("the {what} of its trades has changed; compare `vigie drift` with the validation");
            let told = self.found.recent.told(name, self.subject).into();
            Condition { told, ..self.condition(name, value, 1.0, &advice) }
        })
    }

    /// What it rests on: figures by name, each limit under `NAME_limit`, and under `psi:INPUT` and `drift:INPUT` how far each input
    /// has moved, by its index and as a multiple of its limit. `decline` says how near each response is, as a multiple as well.
    fn evidence(&self, decline: Option<(&Decline, &Limits)>) -> BTreeMap<Box<str>, f64> {
        let Measured { health, expected, promised, novelty, score_limits, drifts, .. } = self.found;
        let figures = health.map(|health| health.figures);
        let enough = health.filter(|health| health.score_psi.is_some());
        let named = [
            ("trades", figures.map(|figures| figures.trades as f64)),
            ("accuracy", figures.and_then(|figures| Some(figures.accuracy?.value))),
            ("precision", figures.and_then(|figures| Some(figures.precision?.value))),
            ("expectancy", figures.and_then(|figures| Some(figures.expectancy?.value))),
            ("composite", figures.and_then(|figures| Some(figures.composite?.value))),
            ("composite_error", figures.and_then(|figures| Some(figures.composite?.error))),
            ("validated_accuracy", health.map(|health| health.validated.accuracy)),
            ("accuracy_as_validated", health.and_then(|health| health.expected_accuracy)),
            ("score_psi", health.and_then(|health| health.score_psi)),
            ("score_psi_limit", enough.and(score_limits.0)),
            ("score_ks", health.and_then(|health| health.score_ks)),
            ("score_ks_limit", enough.and(score_limits.1)),
            ("score_variance", health.and_then(|health| health.score_variance)),
            ("validated_score_variance", health.map(|health| health.validated.score_variance)),
            ("expected_accuracy", expected.map(|expected| expected.accuracy)),
            ("promised_accuracy", expected.and(*promised)),
            ("novelty", *novelty),
            ("novelty_limit", novelty.map(|_| self.options.novelty)),
        ];
        let named = named.into_iter().map(|(name, value)| (Box::from(name), value));
        let moved = drifts.iter().flat_map(|InputMoved { name, psi, multiple, is_limited, .. }| {
            let multiple = is_limited.then_some(*multiple);
            [(format!("psi:{name}").into(), *psi), (format!("drift:{name}").into(), multiple)]
        });
        let declines = decline.into_iter().flat_map(|(decline, limits)| {
            Response::ALL
                .map(|of| (format!("decline:{}", code(of)).into(), Some(decline.furthest(limits, of).multiple)))
        });
        let known = |value: Option<f64>| value.filter(|value| value.is_finite());
        named.chain(moved).chain(declines).filter_map(|(name, value)| Some((name, known(value)?))).collect()
    }
}
