//! From everything that happened to the trades that a model may learn from.

use std::collections::BTreeMap;

use jiff::SignedDuration;

use super::{
    arrival::{Closed, History},
    example::{Example, Examples, Goal, InvalidExamples},
    splits::Life,
};
use crate::{
    domain::{
        Inputs, Money, Outcome, Signal, Timestamp, TradingCalendar,
        snapshot::{TrendRegime, VolatilityRegime},
    },
    features::{
        design::{LARGEST, is_usable},
        pipeline::Pipeline,
        ranges,
    },
    models::Missing,
    stats::describe::quantile,
};

/// How many times longer than nearly all others a trade may live.
const FAR: f64 = 10.0;
/// Seconds of a day.
const DAY_S: f64 = 86_400.0;

/// Of `closed` trades of `history` those with a known pnl, each with the inputs that the service would have seen, and what was
/// left out, in words. `truth` says what is to be foretold of a trade (1 or 0 where the goal is a class), or `None`
/// where that is not known.
///
/// Every record of a signal goes through the pipeline, so that values are carried forward as they were in service.
///
/// # Errors
/// [`InvalidExamples`] when `history` is not in the order of the signals, or `truth` is not what the goal asks for.
pub fn gather(
    history: &History,
    closed: &Closed<'_>,
    pipeline: Pipeline,
    calendar: &TradingCalendar,
    goal: Goal,
    truth: &dyn Fn(&Signal, &Outcome) -> Option<f64>,
) -> Result<(Examples, Vec<String>), InvalidExamples> {
    let schema = pipeline.schema().clone();
    let mut rows = Vec::new();
    let (mut without_pnl, mut beyond, mut without_truth, mut unusable, mut too_long) = (0, 0, 0, 0, 0);
    let longest = longest_life(closed);
    let mut service = history.rows(pipeline);
    for (place, signal, outcome) in closed {
        let Some(values) = service.get_mut(*place).and_then(Option::take) else { continue };
        let Some(pnl) = outcome.pnl else {
            without_pnl += 1;
            continue;
        };
        let Some(pnl) = pnl.bounded() else {
            beyond += 1;
            continue;
        };
        let Some(truth) = truth(signal, outcome) else {
            without_truth += 1;
            continue;
        };
        if !values.iter().flatten().all(|value| is_usable(*value)) {
            unusable += 1;
            continue;
        }
        let exit_at = outcome.exit_at.max(signal.at);
        if longest.is_some_and(|longest| exit_at.duration_since(signal.at) > longest) {
            too_long += 1;
            continue;
        }
        let known_at = history.told_at.get(&signal.trade_id).map_or(exit_at, |told| exit_at.max(*told));
        let life = Life { at: signal.at, exit_at, known_at };
        let (volatility, trend) = regimes(&signal.inputs);
        rows.push(Example {
            values,
            life,
            truth,
            pnl,
            confidence: signal.confidence.map(|confidence| confidence.get()),
            heard: history.heard.contains(&signal.trade_id),
            volatility,
            trend,
            day: calendar.day_of(life.exit_at),
        });
    }
    let left_out = [
        (without_pnl, "closed trades have no pnl and were left out".to_owned()),
        (beyond, format!("closed trades have a pnl beyond {:e} and were left out", Money::MOST)),
        (without_truth, format!("closed trades do not say what {goal} is and were left out")),
        (unusable, format!("closed trades have an input beyond {LARGEST:e} and were left out")),
        (too_long, "closed trades exit far later than all others (is exit_at mistyped?) and were left out".to_owned()),
        (history.damaged.len(), "records of the journal could not be read and were left out".to_owned()),
    ];
    let warnings = left_out.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
    Ok((Examples::new(goal, schema, rows)?, warnings.collect()))
}

/// How long a trade may live: ten times what 95 % of the `closed` ones do, and at least a day. One mistyped exit
/// would else keep all that came later out of what is learnt from.
fn longest_life(closed: &Closed<'_>) -> Option<SignedDuration> {
    let lives = closed.iter().map(|(_, signal, outcome)| outcome.exit_at.duration_since(signal.at).as_secs_f64());
    let lives: Vec<f64> = lives.collect();
    let seconds = (FAR * quantile(&lives, 0.95)?).max(DAY_S);
    SignedDuration::try_from_secs_f64(seconds).ok()
}

/// The pnl of `closed` trades from `since` to `until`, in the order of their signals.
pub(super) fn known_pnl(closed: &Closed<'_>, since: Option<Timestamp>, until: Option<Timestamp>) -> Vec<f64> {
    let asked = |at: Timestamp| since.is_none_or(|since| at >= since) && until.is_none_or(|until| at <= until);
    let asked = closed.iter().filter(|(_, signal, _)| asked(signal.at));
    asked.filter_map(|(_, _, outcome)| outcome.pnl?.bounded()).collect()
}

/// How many of the `closed` trades have a pnl.
pub(super) fn with_pnl(closed: &Closed<'_>) -> u64 {
    closed.iter().filter(|(_, _, outcome)| outcome.pnl.is_some()).count() as u64
}

/// How many of the `closed` trades are clean.
pub(super) fn clean_trades(closed: &Closed<'_>) -> u64 {
    closed.iter().filter(|(_, signal, outcome)| is_clean(signal, outcome)).count() as u64
}

/// Whether a closed trade has a pnl and no number that cannot be what it says it is.
pub fn is_clean(signal: &Signal, outcome: &Outcome) -> bool {
    let mut remarks = 0;
    if let Inputs::Snapshot(snapshot) = &signal.inputs {
        ranges::check_snapshot(snapshot, &mut |_, _, _| remarks += 1);
    }
    ranges::check_outcome(outcome, signal.at, &mut |_, _, _| remarks += 1);
    remarks == 0 && outcome.pnl.is_some()
}

/// Of the `closed` trades from `since` on, how many there are, and how many of them lack each field. Whatever is to be
/// foretold, a trade without a pnl, or with one that cannot be, is not learnt from; one that a model was heard in may have been let go.
pub(super) fn lacking(
    history: &History,
    closed: &Closed<'_>,
    since: Option<Timestamp>,
    lacks: &dyn Fn(&Signal, &Outcome) -> Option<&'static str>,
) -> (usize, BTreeMap<&'static str, usize>) {
    let (mut all, mut fields) = (0, BTreeMap::new());
    for (_, signal, outcome) in closed {
        let let_go = outcome.pnl.is_none() && history.heard.contains(&signal.trade_id);
        if let_go || since.is_some_and(|since| signal.at < since) {
            continue;
        }
        all += 1;
        let pnl = outcome.pnl.and_then(Money::bounded);
        let lack = if pnl.is_none() { Some(Missing::Pnl.field()) } else { lacks(signal, outcome) };
        if let Some(field) = lack {
            *fields.entry(field).or_default() += 1;
        }
    }
    (all, fields)
}

fn regimes(inputs: &Inputs) -> (Option<VolatilityRegime>, Option<TrendRegime>) {
    match inputs {
        Inputs::Snapshot(market) => {
            (Some(market.execution_context.volatility_regime), Some(market.battle_navale_analysis.trend_regime))
        }
        Inputs::Features(_) => (None, None),
    }
}
