//! What the versions in service do, as it goes: figures over the latest trades, by model, arm, symbol and regime; how far
//! inputs and scores have moved; what calibrated scores promise; and the detectors on the streams.
//!
//! A pure fold of bounded size, whatever the volume: windows of a fixed length, a fixed number of scopes, and the one not
//! heard of for longest goes first. It decides nothing and silences nobody.

mod detectors;
mod scopes;

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

pub use self::detectors::Usual;
use self::{
    detectors::Detectors,
    scopes::{of_market, scopes_of},
};
use super::{health::ScoredTrade, labels::Labels};
use crate::{
    domain::{Arm, Symbol, TradingDay, VersionId, snapshot::TrendRegime},
    models::{Answer, Facts, Missing, Question},
    stats::{
        adwin::AdwinOptions,
        binary::{Confusion, brier, expected_calibration_error},
        detector::{Move, PageHinkleyOptions},
        drift::{Drift, mean_relative_change},
        expected::{Expected, expected},
        market::NAMES,
        multiple::benjamini_hochberg,
        novelty::Novelty,
        reference::Reference,
        risk::expectancy,
        sessions::SessionTrades,
    },
};

/// Bins of the calibration error.
const BINS: usize = 10;
/// Level of the interval of the expected accuracy.
pub(super) const LEVEL: f64 = 0.95;

/// How much is remembered, and how the streams are watched.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MonitorOptions {
    /// Closed trades, and scored signals, in each window; at least 1.
    pub window: usize,
    /// Models, arms, symbols and regimes that are followed at once; at least 1.
    pub scopes: usize,
    /// On whether a trade went as the score said.
    pub adwin: AdwinOptions,
    /// On the pnl, in standard deviations of it (see [`Usual`]).
    pub page_hinkley: PageHinkleyOptions,
    /// On the win rate: the change it is sharpest for, from what is usual.
    pub cusum_shift: f64,
    /// The same: the log likelihood ratio that is an alarm.
    pub cusum_threshold: f64,
}

/// A closed trade as the monitor sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Closed {
    /// What the versions said of it, heard or in shadow; the one whose word counted first.
    pub said: Vec<Said>,
    /// The policy that was followed.
    pub arm: Arm,
    /// What was traded.
    pub symbol: Symbol,
    /// The trend at the signal, where known.
    pub regime: Option<TrendRegime>,
    /// The regime that the market showed each version, by name, where that is known.
    pub markets: Vec<(VersionId, &'static str)>,
    /// The trading day of its signal, where known.
    pub day: Option<TradingDay>,
    /// After costs, at the strategy's own size.
    pub pnl: f64,
    /// What labels are made of.
    pub facts: Facts,
}

/// What one version said of a signal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Said {
    /// Which.
    pub version: VersionId,
    /// Its score, 0 to 1.
    pub score: f64,
    /// Whether its policy takes such a trade.
    pub taken: bool,
}

/// What a version learnt from, column by column.
#[derive(Debug, Clone, PartialEq)]
pub struct Learnt {
    /// The columns by name.
    pub names: Vec<Box<str>>,
    /// What each looked like.
    pub inputs: Vec<Reference>,
    /// What the score looked like in validation.
    pub score: Reference,
}

/// Figures over the latest trades of one scope; those of a score are by the own question of the version. Each is `None` where they do not define it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are the field's own")]
pub struct Rolling {
    pub trades: usize,
    pub expectancy: Option<f64>,
    pub accuracy: Option<f64>,
    pub precision: Option<f64>,
    pub recall: Option<f64>,
    pub f1: Option<f64>,
    pub brier: Option<f64>,
    pub calibration_error: Option<f64>,
}

/// How the signals of a version look against what it learnt from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Inputs {
    /// Each column by name.
    pub columns: BTreeMap<Box<str>, Drift>,
    /// The p-values of the Kolmogorov-Smirnov tests of the columns, adjusted by Benjamini and Hochberg.
    pub adjusted: BTreeMap<Box<str>, f64>,
    /// The strategy's own figure: the mean relative change of the columns.
    pub relative_change: Option<f64>,
    /// The score.
    pub score: Option<Drift>,
    /// What the scores promise.
    pub expected: Option<Expected>,
    /// The latest signal.
    pub latest: Option<Novelty>,
}

/// A detector has spoken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The version whose stream it is.
    pub version: VersionId,
    /// Which: `adwin`, `page_hinkley` or `cusum`.
    pub detector: Box<str>,
    /// Which way, where the detector says.
    pub way: Option<Move>,
}

/// Everything that is remembered.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Monitor {
    clock: u64,
    scopes: BTreeMap<Box<str>, Scope>,
    versions: BTreeMap<VersionId, Streams>,
    /// What the versions are asked that have figures, also when they are out of service, and when each was heard of.
    #[serde(default)]
    questions: BTreeMap<VersionId, (u64, Question)>,
}

/// The latest trades of a scope: what was said of each, where something was, and the pnl.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Scope {
    heard: u64,
    trades: VecDeque<(Option<Asked>, f64)>,
}

/// What one version said of a trade, by its own question.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Asked {
    score: f64,
    answer: Answer,
    /// Whether the score is the probability of the label.
    is_probability: bool,
}

/// What goes on in a version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Streams {
    heard: u64,
    rows: VecDeque<Vec<Option<f64>>>,
    scores: VecDeque<f64>,
    trades: VecDeque<ScoredTrade>,
    /// What each of them lacks for a label.
    #[serde(default)]
    missing: VecDeque<Option<Missing>>,
    /// What it is asked.
    question: Question,
    /// What a standard deviation of the pnl is.
    scale: Option<f64>,
    /// The taken trades that closed since the last session was closed.
    #[serde(default)]
    session: SessionTrades,
    detectors: Detectors,
}

impl Monitor {
    /// A version goes into service, in which this is usual. What was heard of it before is forgotten.
    pub fn begin(&mut self, options: &MonitorOptions, version: &VersionId, usual: Usual, question: Question) {
        self.versions.remove(version);
        let streams = self.streams(options, version);
        streams.scale = usual.scale();
        streams.question = question;
        streams.detectors = Detectors::new(options, &usual);
        self.introduce(options, version, || question);
    }

    /// A version that need not be in service has figures by what it is asked, unless that is known.
    pub fn introduce(&mut self, options: &MonitorOptions, version: &VersionId, question: impl FnOnce() -> Question) {
        if !self.questions.contains_key(version) {
            make_room(&mut self.questions, version, options.scopes, |(heard, _)| *heard);
            self.questions.insert(version.clone(), (self.clock, question()));
        }
    }

    /// A signal was scored by `version`: its row of inputs, and what the version said.
    pub fn scored(&mut self, options: &MonitorOptions, version: &VersionId, row: &[Option<f64>], score: f64) {
        let window = options.window;
        let streams = self.streams(options, version);
        keep(&mut streams.rows, row.to_vec(), window);
        keep(&mut streams.scores, score, window);
    }

    /// A trade was closed. Gives back the detectors that speak at it. A version that is not watched has figures and no streams.
    pub fn closed(
        &mut self,
        options: &MonitorOptions,
        trade: &Closed,
        is_watched: impl Fn(&VersionId) -> bool,
    ) -> Vec<Change> {
        self.clock += 1;
        let clock = self.clock;
        for (name, said) in scopes_of(trade) {
            let asked = said.map(|said| self.asked(said, &trade.facts));
            make_room(&mut self.scopes, &name, options.scopes, |scope| scope.heard);
            let scope = self.scopes.entry(name).or_default();
            scope.heard = clock;
            keep(&mut scope.trades, (asked, trade.pnl), options.window);
        }
        let watched = trade.said.iter().filter(|said| is_watched(&said.version));
        watched.flat_map(|said| self.went(options, said, trade)).collect()
    }

    fn asked(&mut self, said: &Said, facts: &Facts) -> Asked {
        let clock = self.clock;
        let known = self.questions.get_mut(&said.version);
        let question = known.map_or_else(Question::default, |(heard, question)| {
            *heard = clock;
            *question
        });
        Asked {
            score: said.score,
            answer: question.answer(said.score, facts),
            is_probability: question.is_probability(),
        }
    }

    /// A trade of which a version said something went as it went.
    fn went(&mut self, options: &MonitorOptions, said: &Said, trade: &Closed) -> Vec<Change> {
        let Said { version, score, taken } = said;
        let Closed { day, pnl, facts, .. } = trade;
        let won = *pnl > 0.0;
        let streams = self.streams(options, version);
        let answer = streams.question.answer(*score, facts);
        let scored = ScoredTrade { day: *day, score: *score, answer, taken: *taken, pnl: *pnl };
        keep(&mut streams.trades, scored, options.window);
        keep(&mut streams.missing, streams.question.missing(facts), options.window);
        // a reference is made of the trades that the policy takes: no others may be held against it
        if !*taken {
            return Vec::new();
        }
        // a trade without a label has made what it made
        streams.session = streams.session.and(SessionTrades::scored(answer.hit(), *pnl, streams.scale.unwrap_or(0.0)));
        let scaled = streams.scale.map(|scale| pnl / scale);
        let spoken = streams.detectors.closed(answer.hit(), scaled, won);
        let change = |(detector, way): (&str, _)| Change { version: version.clone(), detector: detector.into(), way };
        spoken.into_iter().map(change).collect()
    }

    /// The figures of each scope: `model ES/1`, `arm ml`, `symbol ES`, `regime trend_up`, `market calm of ES/1`.
    pub fn rolling(&self) -> BTreeMap<Box<str>, Rolling> {
        self.scopes.iter().map(|(name, scope)| (name.clone(), scope.figures())).collect()
    }

    /// Those of `version` in each regime that the market showed it, by the regime.
    pub fn markets(&self, version: &VersionId) -> BTreeMap<Box<str>, Rolling> {
        let own = |market: &&str| Some(((*market).into(), self.scopes.get(&of_market(market, version))?.figures()));
        NAMES.iter().filter_map(own).collect()
    }

    /// How the latest signals of `version` look against what it learnt from. `None` when it has scored none, or when its
    /// rows have other columns.
    pub fn inputs(&self, version: &VersionId, learnt: &Learnt) -> Option<Inputs> {
        let streams = self.versions.get(version)?;
        let latest = streams.rows.back()?;
        (latest.len() == learnt.inputs.len() && learnt.names.len() == latest.len()).then_some(())?;
        let mut columns = BTreeMap::new();
        for (place, (name, reference)) in learnt.names.iter().zip(&learnt.inputs).enumerate() {
            let column: Vec<_> = self.rows(version).map(|row| row.get(place).copied().flatten()).collect();
            columns.insert(name.clone(), Drift::of(reference, &column)?);
        }
        let tested = || columns.iter().filter_map(|(name, drift)| Some((name.clone(), drift.ks?.p)));
        let p: Vec<f64> = tested().map(|(_, p)| p).collect();
        let adjusted = tested().map(|(name, _)| name).zip(benjamini_hochberg(&p)?).collect();
        let scores: Vec<f64> = streams.scores.iter().copied().collect();
        let score = Drift::of(&learnt.score, &scores.iter().copied().map(Some).collect::<Vec<_>>());
        Some(Inputs {
            relative_change: mean_relative_change(columns.values()),
            columns,
            adjusted,
            score,
            expected: self.expected(version),
            latest: Novelty::of(&learnt.inputs, latest),
        })
    }

    /// What the latest scores of `version` promise of its own question. `None` where a score is no probability.
    pub fn expected(&self, version: &VersionId) -> Option<Expected> {
        let question = self.question(version)?;
        let scores = self.scores(version);
        question.is_probability().then(|| expected(&scores, question.decision_point, LEVEL))?
    }

    /// What `version` is asked. `None` when nothing was heard of it.
    pub fn question(&self, version: &VersionId) -> Option<&Question> {
        self.versions.get(version).map(|streams| &streams.question)
    }

    /// The latest closed trades that `version` scored, oldest first.
    pub fn trades(&self, version: &VersionId) -> Vec<ScoredTrade> {
        self.versions.get(version).map(|streams| streams.trades.iter().copied().collect()).unwrap_or_default()
    }

    /// What the latest closed trades that `version` scored lack for a label.
    pub fn labels(&self, version: &VersionId) -> Labels {
        self.versions.get(version).map(|streams| streams.missing.iter().copied().collect()).unwrap_or_default()
    }

    /// The latest rows of inputs of `version`, oldest first.
    pub fn rows(&self, version: &VersionId) -> impl Iterator<Item = &[Option<f64>]> {
        self.versions.get(version).into_iter().flat_map(|streams| streams.rows.iter().map(Vec::as_slice))
    }

    /// The latest scores of `version`, oldest first.
    pub fn scores(&self, version: &VersionId) -> Vec<f64> {
        self.versions.get(version).map(|streams| streams.scores.iter().copied().collect()).unwrap_or_default()
    }

    /// A session has closed: what the taken trades of `version` came to in it.
    pub fn close_session(&mut self, version: &VersionId) -> SessionTrades {
        self.versions.get_mut(version).map(|streams| std::mem::take(&mut streams.session)).unwrap_or_default()
    }

    /// Forgets the streams of a version that is out of service. Its figures stay until others need the room.
    pub fn forget(&mut self, version: &VersionId) {
        self.versions.remove(version);
    }

    fn streams(&mut self, options: &MonitorOptions, version: &VersionId) -> &mut Streams {
        self.clock += 1;
        make_room(&mut self.versions, version, options.scopes, |streams| streams.heard);
        let streams = self.versions.entry(version.clone()).or_insert_with(|| Streams {
            heard: 0,
            rows: VecDeque::new(),
            scores: VecDeque::new(),
            trades: VecDeque::new(),
            missing: VecDeque::new(),
            question: Question::default(),
            scale: None,
            session: SessionTrades::default(),
            detectors: Detectors::new(options, &Usual::default()),
        });
        streams.heard = self.clock;
        streams
    }
}

impl Scope {
    fn figures(&self) -> Rolling {
        let pnl: Vec<f64> = self.trades.iter().map(|(_, pnl)| *pnl).collect();
        let labelled = || {
            let asked = self.trades.iter().filter_map(|(asked, _)| *asked);
            asked.filter_map(|asked| Some((asked, asked.answer.label?)))
        };
        let yes = |asked: &Asked| if asked.answer.yes { 1.0 } else { 0.0 };
        let (labels, said): (Vec<bool>, Vec<f64>) = labelled().map(|(asked, label)| (label, yes(&asked))).unzip();
        let counts = Confusion::at_threshold(&labels, &said, 1.0);
        let probable = labelled().filter(|(asked, _)| asked.is_probability);
        let (came, scores): (Vec<bool>, Vec<f64>) = probable.map(|(asked, label)| (label, asked.score)).unzip();
        Rolling {
            trades: pnl.len(),
            expectancy: expectancy(&pnl),
            accuracy: counts.and_then(|counts| counts.accuracy()),
            precision: counts.and_then(|counts| counts.precision()),
            recall: counts.and_then(|counts| counts.recall()),
            f1: counts.and_then(|counts| counts.f1()),
            brier: brier(&came, &scores),
            calibration_error: expected_calibration_error(&came, &scores, BINS),
        }
    }
}

/// Adds to a window and drops what is too old for it.
fn keep<T>(window: &mut VecDeque<T>, value: T, most: usize) {
    window.push_back(value);
    while window.len() > most.max(1) {
        window.pop_front();
    }
}

/// Drops what was not heard of for longest, unless there is room for `key` or it is there.
fn make_room<K: Ord + Clone, V>(map: &mut BTreeMap<K, V>, key: &K, most: usize, heard: impl Fn(&V) -> u64) {
    while !map.contains_key(key) && map.len() >= most.max(1) {
        let Some(oldest) = map.iter().min_by_key(|(_, value)| heard(value)).map(|(key, _)| key.clone()) else { return };
        map.remove(&oldest);
    }
}
