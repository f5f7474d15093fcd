//! Two versions on the same trades, of which neither has learnt anything: which of them foretells better, and which makes more.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use super::{
    example::{Example, Examples},
    refused::TrainError,
    to_record,
    training::{History, Settings, learnable, same_inputs},
};
use crate::{
    domain::{Timestamp, TradingDay, VersionId},
    models::{TargetKind, TradePolicy, VersionRecord},
    stats::{
        cluster::SessionSum,
        interval::Interval,
        paired::{FEWEST_SESSIONS, paired},
    },
};

/// How sure the intervals are.
const LEVEL: f64 = 0.95;
/// Probabilities are kept this far from 0 and 1, so that one certain error is not infinite.
const CLIP: f64 = f64::EPSILON;

/// What two versions are compared by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Mean of -ln of the probability given to what happened; less is better.
    LogLoss,
    /// Mean squared distance of the score from what happened; less is better.
    Brier,
    /// Share of the trades of which the score said rightly whether they are yes, each version at its own decision point.
    Accuracy,
    /// Account currency per signal, each version by the policy that it is served with.
    Money,
}

/// One trade as two versions see it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Seen {
    /// The trading day, which is what counts as one observation.
    pub session: TradingDay,
    /// What was to be foretold: 1 or 0, or a real value.
    pub truth: f64,
    /// Account currency at the strategy's own size.
    pub pnl: f64,
    /// What each made of it.
    pub made: [Made; 2],
}

/// What a version made of a trade.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Made {
    /// Its score.
    pub score: f64,
    /// Whether it was right, at its decision point.
    pub right: bool,
    /// The multiple of the strategy's own size at which its policy trades; 0 is no trade.
    pub size: f64,
}

/// Two versions by one measure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// Which.
    pub measure: Measure,
    /// Of the first version.
    pub first: f64,
    /// Of the second.
    pub second: f64,
    /// Second less first.
    pub difference: f64,
    /// Where the true difference lies, at 95 %. `None` with too few sessions, or where they do not vary.
    pub interval: Option<Interval>,
    /// How often chance alone shows at least as large a difference, where there is an interval.
    pub p: Option<f64>,
    /// The better one, where the interval holds no 0.
    pub better: Option<VersionId>,
}

/// Two versions on the same trades.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Versus {
    /// One.
    pub first: VersionId,
    /// The other.
    pub second: VersionId,
    /// What both foretell.
    pub target: Box<str>,
    /// Trades that both are compared on.
    pub trades: usize,
    /// Trading days of these.
    pub sessions: usize,
    /// When the first of them was signalled.
    pub from: Timestamp,
    /// When the last was.
    pub to: Timestamp,
    /// By each measure that the target allows.
    pub differences: Vec<Difference>,
    /// What they mean, a sentence each.
    pub says: Vec<String>,
    /// What a person should know of the trades.
    pub notes: Vec<String>,
}

/// Why two versions cannot be compared.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum NotComparable {
    /// The same name twice.
    #[error("{0} is compared with itself; name two versions")]
    Same(VersionId),
    /// Of two instruments.
    #[error("{0} and {1} are of other symbols, so there is no trade that both could score")]
    Symbols(VersionId, VersionId),
    /// Of two questions.
    #[error("{0} foretells {2} and {1} foretells {3}: they answer other questions")]
    Targets(VersionId, VersionId, Box<str>, Box<str>),
    /// No trade that both could be judged on.
    #[error(
        "no closed trade is new to both {first} and {second}: they learnt from signals until {until}, and of the {later} trades that closed \
         behind it a model was heard in {heard}, which it chose"
    )]
    NoTrades {
        /// One.
        first: VersionId,
        /// The other.
        second: VersionId,
        /// The last signal that one of them learnt from.
        until: Timestamp,
        /// Trades since.
        later: usize,
        /// Those of them that a model was heard in.
        heard: usize,
    },
    /// A version cannot be read or scored, or the trades do not say what both foretell.
    #[error(transparent)]
    Unusable(#[from] TrainError),
}

/// Compares two versions on the closed trades that neither learnt from and no model was heard in. What is yes is what the first version's
/// labels say, where the two were cut at other values.
///
/// # Errors
/// [`NotComparable`].
pub fn compare(
    first: &VersionRecord,
    second: &VersionRecord,
    history: &History,
    settings: &Settings<'_>,
) -> Result<Versus, NotComparable> {
    let names = || (first.id.clone(), second.id.clone());
    if first.id == second.id {
        return Err(NotComparable::Same(first.id.clone()));
    }
    if first.id.symbol != second.id.symbol {
        let (one, other) = names();
        return Err(NotComparable::Symbols(one, other));
    }
    if first.target != second.target {
        let (one, other) = names();
        return Err(NotComparable::Targets(one, other, first.target.name().into(), second.target.name().into()));
    }
    [first, second].into_iter().try_for_each(|record| same_inputs(record, settings))?;
    let closed = history.closed(&first.id.symbol);
    let since = Some(first.training.first);
    let trades = learnable(&first.id.symbol, first.target, since, Some(first), (history, &closed), settings)?;
    let until = first.training.last.max(second.training.last);
    let examples = &trades.examples;
    let later: Vec<usize> = examples.places(|example| example.life.at > until);
    let rows = examples.unheard(&later);
    let picked: Vec<&Example> = examples.pick(&rows).collect();
    let (Some(begin), Some(end)) = (picked.first(), picked.last()) else {
        let ((first, second), later) = (names(), later.len());
        return Err(NotComparable::NoTrades { first, second, until, later, heard: later - rows.len() });
    };
    let made = [made(first, examples, &rows, settings)?, made(second, examples, &rows, settings)?];
    let seen = |((example, one), other): ((&&Example, &Made), &Made)| Seen {
        session: example.day,
        truth: example.truth,
        pnl: example.pnl,
        made: [*one, *other],
    };
    let [one, other] = &made;
    let seen: Vec<Seen> = picked.iter().zip(one).zip(other).map(seen).collect();
    let (is_class, speaks) = (first.target.kind() != TargetKind::Real, first.target.can_speak());
    let differences = differences([&first.id, &second.id], &seen, is_class, speaks);
    let mut notes = trades.warnings;
    notes.extend(left_out(later.len() - rows.len()));
    notes.extend([first, second].into_iter().filter_map(|record| flattered(record, &picked)));
    if first.question().labeller != second.question().labeller {
        notes.push(format!(
            "what is yes is what the training part of {} says; {} was cut otherwise",
            first.id, second.id
        ));
    }
    let sessions = by_session(&seen, |_| 0.0).len();
    Ok(Versus {
        says: says(&differences, [&first.id, &second.id], &first.target.to_string(), (rows.len(), sessions)),
        first: first.id.clone(),
        second: second.id.clone(),
        target: first.target.name().into(),
        trades: rows.len(),
        sessions,
        from: begin.life.at,
        to: end.life.at,
        differences,
        notes,
    })
}

/// What a version makes of `rows`: by the model in its record, at its own decision point, by the policy that it is served with.
fn made(
    record: &VersionRecord,
    examples: &Examples,
    rows: &[usize],
    settings: &Settings<'_>,
) -> Result<Vec<Made>, TrainError> {
    let stored = to_record::stored(record, examples.schema()).map_err(TrainError::Stored)?;
    let scores = (stored.model.fitted()?.score)(&examples.table().rows(rows))?;
    let policy = TradePolicy::in_service(record.policy.as_ref(), &settings.validation.policy);
    let question = record.question();
    let cut = if question.is_probability() { 0.5 } else { question.decision_point };
    let made = |(example, score): (&Example, f64)| Made {
        score,
        right: question.says_yes(score) == (example.truth >= cut),
        size: policy.size(example.confidence, score),
    };
    Ok(examples.pick(rows).zip(scores).map(made).collect())
}

/// Two versions by each measure: of a class its log loss, Brier score and accuracy, of a real value its squared error; and the money
/// where the scores can be blended with a confidence.
pub fn differences(names: [&VersionId; 2], seen: &[Seen], is_class: bool, speaks: bool) -> Vec<Difference> {
    let mut measures =
        if is_class { vec![Measure::LogLoss, Measure::Brier, Measure::Accuracy] } else { vec![Measure::Brier] };
    measures.extend(speaks.then_some(Measure::Money));
    measures.into_iter().filter_map(|measure| difference(measure, names, seen)).collect()
}

fn difference(measure: Measure, names: [&VersionId; 2], seen: &[Seen]) -> Option<Difference> {
    let of = |place: usize| move |one: &Seen| one.made.get(place).map_or(f64::NAN, |made| measure.of(one, made));
    let mean = |place: usize| {
        let sum: f64 = seen.iter().map(of(place)).sum();
        Some(sum / seen.len() as f64).filter(|mean| mean.is_finite())
    };
    let (first, second) = (mean(0)?, mean(1)?);
    let sessions = by_session(seen, |one| of(1)(one) - of(0)(one));
    let found = paired(&sessions, LEVEL);
    let interval = found.map(|found| found.interval);
    let [one, other] = names;
    let better = interval.filter(|interval| !interval.contains(0.0)).map(|interval| {
        let second_is_larger = interval.low > 0.0;
        if second_is_larger == measure.more_is_better() { other.clone() } else { one.clone() }
    });
    Some(Difference {
        measure,
        first,
        second,
        difference: second - first,
        interval,
        p: found.map(|found| found.test.p),
        better,
    })
}

/// The sum of `what` over the trades of each session, in the order of time.
fn by_session(seen: &[Seen], what: impl Fn(&Seen) -> f64) -> Vec<SessionSum> {
    let mut sessions: BTreeMap<TradingDay, SessionSum> = BTreeMap::new();
    for one in seen {
        let sum = sessions.entry(one.session).or_default();
        sum.difference += what(one);
        sum.weight += 1.0;
    }
    sessions.into_values().collect()
}

fn left_out(heard: usize) -> Option<String> {
    (heard > 0).then(|| {
        format!("{heard} trades in which a model was heard are left out: it chose them, and those that it refused have no outcome")
    })
}

/// How many of the trades a version was chosen by.
fn flattered(record: &VersionRecord, picked: &[&Example]) -> Option<String> {
    let report = record.validation.as_ref()?;
    let until = report.pointer("/evidence/parts/test_to").cloned()?;
    let until: Timestamp = serde_json::from_value(until).ok()?;
    let tested = picked.iter().filter(|example| example.life.at <= until).count();
    (tested > 0).then(|| {
        let id = &record.id;
        format!("{tested} of the trades are of the test part of {id}: it learnt nothing from them, and is here because it did well on them")
    })
}

/// What the differences mean, a sentence each: what is foretold, and the money.
fn says(found: &[Difference], names: [&VersionId; 2], target: &str, (trades, sessions): (usize, usize)) -> Vec<String> {
    let [one, other] = names;
    let on = format!("{trades} trades of {sessions} sessions");
    let sentence = |it: &Difference| {
        let (what, by) = (it.measure.name(), it.measure.written(it.difference.abs()));
        let Some(interval) = it.interval else {
            return format!(
                "{on} do not tell {one} and {other} apart by {what}: an interval needs {FEWEST_SESSIONS} sessions in which they differ"
            );
        };
        let (low, high) = (it.measure.written(interval.low), it.measure.written(interval.high));
        match &it.better {
            Some(better) => {
                let worse = if better == one { other } else { one };
                let claim = match it.measure {
                    Measure::Money => format!("following {better} made more than following {worse}"),
                    _ => format!("{better} foretells {target} better than {worse}"),
                };
                format!("{claim}: by {by} in {what} ({other} less {one}: 95 % interval {low} to {high}; {on})")
            }
            None => format!(
                "{on} do not tell {one} and {other} apart by {what}: anything from {low} to {high} fits ({other} less {one})"
            ),
        }
    };
    let told = |it: &&Difference| match it.measure {
        Measure::LogLoss | Measure::Money => true,
        Measure::Brier => found.iter().all(|other| other.measure != Measure::LogLoss),
        Measure::Accuracy => false,
    };
    found.iter().filter(told).map(sentence).collect()
}

impl Measure {
    fn of(self, one: &Seen, made: &Made) -> f64 {
        match self {
            Self::LogLoss => {
                let p = made.score.clamp(CLIP, 1.0 - CLIP);
                if one.truth >= 0.5 { -p.ln() } else { -(1.0 - p).ln() }
            }
            Self::Brier => (made.score - one.truth).powi(2),
            Self::Accuracy => f64::from(u8::from(made.right)),
            Self::Money => made.size * one.pnl,
        }
    }

    fn more_is_better(self) -> bool {
        matches!(self, Self::Accuracy | Self::Money)
    }

    /// In a reader's words.
    pub fn name(self) -> &'static str {
        match self {
            Self::LogLoss => "log loss",
            Self::Brier => "squared error",
            Self::Accuracy => "accuracy",
            Self::Money => "money a signal",
        }
    }

    fn written(self, value: f64) -> String {
        if self == Self::Money { format!("{value:.2}") } else { format!("{value:.4}") }
    }
}

impl fmt::Display for Versus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, second, target, trades, sessions, from, to, differences, says, notes } = self;
        writeln!(f, "{first} and {second}, {target}: {trades} trades of {sessions} sessions that neither learnt from")?;
        writeln!(f, "{from:.0} to {to:.0}")?;
        let (one, other) = (first.to_string(), second.to_string());
        writeln!(f, "{:<16} {one:>12} {other:>12} {:>12}  95 % interval", "", "difference")?;
        for it in differences {
            let written = |value: f64| it.measure.written(value);
            let interval = it.interval.map_or_else(
                || "-".to_owned(),
                |interval| format!("{} to {}", written(interval.low), written(interval.high)),
            );
            let [one, other, difference] = [it.first, it.second, it.difference].map(written);
            writeln!(f, "{:<16} {one:>12} {other:>12} {difference:>12}  {interval}", it.measure.name())?;
        }
        says.iter().try_for_each(|sentence| writeln!(f, "{sentence}"))?;
        notes.iter().try_for_each(|note| writeln!(f, "note: {note}"))
    }
}
