//! The metrics of one view, each with its interval and its test.

use super::{
    arms::{SessionPnl, risk},
    evidence::{PolicyFigures, TestEvidence},
    metric::{Horizon, Measure, Metric},
    options::{Criteria, EvidenceMetric, View},
    state::Session,
};
use crate::{
    domain::Arm,
    stats::{
        cluster::{SessionSum, Sums},
        compare::{welch, with_error},
        confseq::ConfidenceSequence,
        describe::mean,
        proportion::{Share, fisher_exact, newcombe, smallest_expected, two_proportion_z},
        rank::mann_whitney,
        risk::max_drawdown,
    },
};

/// Expected count under which the normal approximation gives way to the exact test.
const LEAST_EXPECTED: f64 = 5.0;

/// All metrics of `evidence`, which is a view of `sessions`.
pub(super) fn metrics(criteria: &Criteria, evidence: &TestEvidence, sessions: &[Session]) -> Vec<Metric> {
    let mut metrics = vec![win_rate(criteria, evidence)];
    metrics.extend(sequential(criteria, evidence, EvidenceMetric::WinRate));
    metrics.push(per_signal(criteria, evidence));
    metrics.extend(sequential(criteria, evidence, EvidenceMetric::MeanPnl));
    metrics.push(open_ended(criteria, evidence, criteria.tuned_to));
    metrics.push(per_taken(criteria, evidence));
    metrics.extend(risk(confidence(criteria), evidence.arms(), criteria.options.resamples, criteria.options.seed));
    if evidence.view == View::Randomised {
        metrics.push(slippage(criteria, sessions));
    }
    metrics
}

fn confidence(criteria: &Criteria) -> f64 {
    1.0 - criteria.options.level
}

fn win_rate(criteria: &Criteria, evidence: &TestEvidence) -> Metric {
    let method = "Newcombe interval, two-proportion z";
    let metric = Metric::blank(Measure::WinRate, Horizon::Fixed, method);
    let metric = metric.with_figures(evidence.ml.win_rate(), evidence.baseline.win_rate());
    let compared = match evidence.view {
        View::Randomised => of_counts(confidence(criteria), evidence.ml, evidence.baseline, 1.0),
        // of trades that are among all trades, those kept against those let go: p_kept - p_all is the share let go times
        // p_kept - p_gone. Both share their sessions' fate, which the design effect makes up for
        View::Paired => {
            let PolicyFigures { signals, taken, wins, .. } = evidence.baseline;
            let gone = PolicyFigures {
                signals,
                taken: taken.saturating_sub(evidence.ml.taken),
                wins: wins.saturating_sub(evidence.ml.wins),
                pnl: 0.0,
            };
            let share = gone.taken as f64 / taken as f64;
            of_counts(confidence(criteria), evidence.ml, gone, session_effect(evidence).unwrap_or(1.0))
                .map(|metric| Metric { interval: metric.interval.and_then(|interval| interval.times(share)), ..metric })
        }
    };
    match compared {
        Some(found) => Metric { interval: found.interval, p: found.p, method: found.method, ..metric },
        None => metric,
    }
}

/// How much more the covariance of keeping and winning varies by session than it would by trade; at least 1.
fn session_effect(evidence: &TestEvidence) -> Option<f64> {
    let n = evidence.baseline.taken as f64;
    let (rate, kept) = (evidence.baseline.win_rate()?, evidence.ml.taken as f64 / n);
    let by_trade = n * rate * (1.0 - rate) * kept * (1.0 - kept) / evidence.ml.taken as f64 / evidence.ml.taken as f64;
    let by_session = evidence.win_rate?.standard_error()?.powi(2);
    Some((by_session / by_trade).max(1.0)).filter(|effect| effect.is_finite())
}

/// Win rates of two groups of trades, whose counts are divided by `effect`.
pub(super) fn of_counts(level: f64, a: PolicyFigures, b: PolicyFigures, effect: f64) -> Option<Metric> {
    let shrunk = |figures: PolicyFigures| Share::new(figures.wins as f64 / effect, figures.taken as f64 / effect);
    let (share_a, share_b) = (shrunk(a)?, shrunk(b)?);
    let exact = smallest_expected(share_a, share_b) < LEAST_EXPECTED;
    let (test, p) = if exact {
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        ("Fisher exact", fisher_exact([count(a.wins), count(b.wins)], [count(a.taken), count(b.taken)]))
    } else {
        ("two-proportion z", two_proportion_z(share_a, share_b).map(|test| test.p))
    };
    let metric = Metric::blank(Measure::WinRate, Horizon::Fixed, &format!("Newcombe interval, {test}"));
    Some(Metric { interval: newcombe(share_a, share_b, level), p, ..metric })
}

fn sequential(criteria: &Criteria, evidence: &TestEvidence, metric: EvidenceMetric) -> Option<Metric> {
    let (measure, sums, ml, baseline) = match metric {
        EvidenceMetric::WinRate => {
            (Measure::WinRate, evidence.win_rate, evidence.ml.win_rate(), evidence.baseline.win_rate())
        }
        EvidenceMetric::MeanPnl => {
            (Measure::PnlPerSignal, evidence.mean_pnl, evidence.ml.per_signal(), evidence.baseline.per_signal())
        }
    };
    // what has no end has no plan to be judged against
    let sums = sums.filter(|_| !criteria.endless)?;
    let critical = criteria.plan.critical(sums.sessions, criteria.options.level);
    let p = sums.statistic().and_then(|z| criteria.plan.p_value(sums.sessions, z));
    let metric =
        Metric::blank(measure, Horizon::Sequential, "repeated interval, session sums on the constant boundary");
    let interval = critical.and_then(|critical| sums.inverted_interval(critical));
    // sums of sessions know no bounds, and no two win rates are further apart than all and none
    let interval = match measure {
        Measure::WinRate => interval.map(|interval| interval.within(-1.0, 1.0)),
        _ => interval,
    };
    Some(Metric { difference: sums.estimate(), interval, p, ml, baseline, ..metric })
}

fn open_ended(criteria: &Criteria, evidence: &TestEvidence, tuned_to: usize) -> Metric {
    let metric = Metric::blank(Measure::PnlPerSignal, Horizon::OpenEnded, "asymptotic confidence sequence");
    let metric = metric.with_figures(evidence.ml.per_signal(), evidence.baseline.per_signal());
    let looked_at = evidence.mean_pnl.filter(|sums| sums.sessions >= criteria.plan.first_look());
    let sequence = ConfidenceSequence::tuned(tuned_to, criteria.options.level);
    let interval = sequence.zip(looked_at).and_then(|(sequence, sums)| sequence.interval(&sums));
    Metric { interval, ..metric }
}

fn per_signal(criteria: &Criteria, evidence: &TestEvidence) -> Metric {
    let (method, comparison) = match evidence.view {
        View::Paired => {
            ("Student t over sessions", evidence.mean_pnl.and_then(|sums| sums.fixed_horizon(confidence(criteria))))
        }
        View::Randomised => {
            let all = |side: fn(&SessionPnl) -> &[f64]| -> Vec<f64> {
                evidence.sessions.iter().flat_map(side).copied().collect()
            };
            ("Welch t", welch(&all(|day| &day.ml), &all(|day| &day.baseline), confidence(criteria)))
        }
    };
    let metric = Metric::blank(Measure::PnlPerSignal, Horizon::Fixed, method);
    let metric = metric.with_figures(evidence.ml.per_signal(), evidence.baseline.per_signal());
    metric.compared(comparison)
}

/// The strategy's own metric. Both policies' means are ratios, so each session adds how far its trades lie from them.
fn per_taken(criteria: &Criteria, evidence: &TestEvidence) -> Metric {
    let metric = Metric::blank(Measure::PnlPerTaken, Horizon::Fixed, "Student t over sessions");
    let (ml, baseline) = (evidence.ml.per_taken(), evidence.baseline.per_taken());
    let metric = metric.with_figures(ml, baseline);
    let Some((ml, baseline)) = ml.zip(baseline) else { return metric };
    let influence = |pnl: &[f64], traded: usize, figures: PolicyFigures, mean: f64| {
        (pnl.iter().sum::<f64>() - traded as f64 * mean) / figures.taken as f64
    };
    let session = |day: &SessionPnl| {
        let [ml_taken, baseline_taken] = day.taken;
        let ml = influence(&day.ml, ml_taken, evidence.ml, ml);
        let baseline = influence(&day.baseline, baseline_taken, evidence.baseline, baseline);
        SessionSum { difference: ml - baseline, weight: 1.0 }
    };
    let sums = Sums::of(&evidence.sessions.iter().map(session).collect::<Vec<_>>());
    let comparison = sums.and_then(|sums| {
        let k = sums.sessions as f64;
        // the influences add up to 0; their spread is the difference's own
        with_error(ml - baseline, sums.standard_error()? * k, k - 1.0, confidence(criteria))
    });
    metric.compared(comparison)
}

/// Drawdown per signal of one policy's sessions. `None` without signals.
pub(super) fn drawdown_per_signal<'a>(sessions: impl Iterator<Item = &'a [f64]>) -> Option<f64> {
    let series: Vec<f64> = sessions.flatten().copied().collect();
    Some(max_drawdown(&series)? / series.len() as f64)
}

fn slippage(criteria: &Criteria, sessions: &[Session]) -> Metric {
    let of = |arm: Arm| -> Vec<f64> {
        let trades = sessions.iter().flat_map(|session| &session.trades);
        let random = trades.filter(|trade| trade.assignment.arm == arm && trade.assignment.is_random());
        random.filter_map(|trade| trade.slippage_ticks).collect()
    };
    slippages(confidence(criteria), &of(Arm::Ml), &of(Arm::Baseline))
}

/// Of two groups of trades, in ticks.
pub(super) fn slippages(level: f64, ml: &[f64], baseline: &[f64]) -> Metric {
    let metric = Metric::blank(Measure::Slippage, Horizon::Fixed, "Welch interval, Mann-Whitney");
    let metric = metric.with_figures(mean(ml), mean(baseline));
    let interval = welch(ml, baseline, level).map(|comparison| comparison.interval);
    Metric { interval, p: mann_whitney(ml, baseline).map(|test| test.p), ..metric }
}
