//! What the ML layer changed: two groups of signals, and how they come about.
#![expect(clippy::unwrap_used, reason = "what the tests share may fail loudly as well")]

#[path = "common/long.rs"]
mod long;
#[path = "common/trades.rs"]
mod trades;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use trades::{day, opening, outcome, trade_id};
use vigie::{
    config::Config,
    domain::{Arm, Decision, Opinion, Reason, Split, Symbol, TradeId, VersionId},
    lifecycle::{happening::Happening, open_trades::AnsweredSignal},
    stats::compare::welch,
    trials::{
        experiment::{
            Assignment, Comparing, Criteria, Experiment, ExperimentOptions, Impact, ImpactOptions, Measure, Metric,
            TestEvidence, TestReport, Traded, View, impact,
        },
        groups::Past,
    },
};

const OPTIONS: ImpactOptions = ImpactOptions { confidence: 0.95, resamples: 200, seed: 7 };

fn traded(session: usize, pnl: Option<f64>) -> Traded {
    Traded { day: day(session), pnl, slippage_ticks: Some((session % 3) as f64) }
}

fn metric(impact: &Impact, measure: Measure) -> &Metric {
    impact.metrics.iter().find(|metric| metric.measure == measure).unwrap()
}

fn uniform(rng: &mut Pcg64) -> f64 {
    rng.random::<f64>() - 0.5
}

#[test]
fn with_one_trade_a_session_both_ways_are_welchs_t() {
    let mut rng = Pcg64::seed_from_u64(1);
    let a: Vec<f64> = (0..30).map(|_| 40.0 * uniform(&mut rng) + 3.0).collect();
    let b: Vec<f64> = (0..50).map(|_| 90.0 * uniform(&mut rng)).collect();
    let of = |values: &[f64]| -> Vec<Traded> { values.iter().enumerate().map(|(n, x)| traded(n, Some(*x))).collect() };
    let expected = welch(&a, &b, 0.95).unwrap();
    for comparing in [Comparing::Arms, Comparing::Periods] {
        let impact = impact(comparing, &of(&a), &of(&b), &OPTIONS);
        for measure in [Measure::PnlPerSignal, Measure::PnlPerTaken] {
            let found = metric(&impact, measure);
            let interval = found.interval.unwrap();
            assert!((interval.low - expected.interval.low).abs() < 1e-9, "{comparing:?}: {found:?}");
            assert!((found.p.unwrap() - expected.test.p).abs() < 1e-9, "{comparing:?}: {found:?}");
        }
        // of arms that are not of one size each one's own figures stand beside those that are compared
        for metric in impact.metrics.iter().filter(|metric| !metric.method.starts_with("from all its signals")) {
            assert!(metric.interval.is_some(), "{comparing:?}: {metric:?}");
        }
    }
}

#[test]
fn a_signal_that_was_not_traded_counts_nothing_per_signal_and_not_at_all_per_trade() {
    let ml = [traded(0, Some(10.0)), traded(0, None), traded(1, Some(-4.0))];
    let baseline = [traded(0, Some(2.0)), traded(1, Some(2.0))];
    let impact = impact(Comparing::Arms, &ml, &baseline, &OPTIONS);
    assert_eq!((impact.ml.signals, impact.ml.taken, impact.ml.sessions, impact.ml.pnl), (3, 2, 2, 6.0));
    assert_eq!(metric(&impact, Measure::PnlPerSignal).ml, Some(2.0));
    assert_eq!(metric(&impact, Measure::PnlPerTaken).ml, Some(3.0));
    assert_eq!(metric(&impact, Measure::WinRate).difference, Some(-0.5));
}

#[test]
fn between_periods_intervals_hold_although_trades_of_a_session_go_together() {
    let mut rng = Pcg64::seed_from_u64(11);
    let mut group = |first: usize| -> Vec<Traded> {
        let session = |n: usize, rng: &mut Pcg64| {
            let shared = uniform(rng);
            (0..12).map(|_| traded(n, Some(shared + uniform(rng)))).collect::<Vec<_>>()
        };
        (first..first + 30).flat_map(|n| session(n, &mut rng)).collect()
    };
    let all = 200;
    let measures = [Measure::WinRate, Measure::PnlPerSignal, Measure::PnlPerTaken, Measure::Sharpe];
    let (mut held, mut naive) = ([0; 4], 0);
    for _ in 0..all {
        let (ml, baseline) = (group(40), group(0));
        let impact = impact(Comparing::Periods, &ml, &baseline, &ImpactOptions { resamples: 100, ..OPTIONS });
        for (held, measure) in held.iter_mut().zip(measures) {
            *held += usize::from(metric(&impact, measure).interval.unwrap().contains(0.0));
        }
        let pnl = |group: &[Traded]| group.iter().filter_map(|trade| trade.pnl).collect::<Vec<_>>();
        naive += usize::from(welch(&pnl(&ml), &pnl(&baseline), 0.95).unwrap().interval.contains(0.0));
    }
    println!("of {all} intervals of no difference hold it: {held:?} ({measures:?}); by single trades {naive}");
    assert!(held.iter().all(|held| *held * 100 >= all * 90), "{held:?}");
    assert!(naive * 100 < all * 75, "trades taken for independent would not be fooled: {naive}");
}

/// Figures that must not depend on how large an arm is, of policies that are the same: over the experiments the mean gain
/// of the Sharpe ratio in standard errors, and in what share of them the ML arm's drawdown is the deeper one.
fn check_null(name: &str, gains: &[f64], deeper: usize) {
    let n = gains.len() as f64;
    let mean = gains.iter().sum::<f64>() / n;
    let spread = (gains.iter().map(|gain| (gain - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
    let (z, share) = (mean / (spread / n.sqrt()), deeper as f64 / n);
    println!("{name}: Sharpe gains {mean:+.2} on average, {z:+.1} standard errors; deeper in {:.0} %", 100.0 * share);
    assert!(z.abs() < 3.5, "{name}: the Sharpe ratio favours an arm: {z}");
    assert!((share - 0.5).abs() < 3.5 * (0.25 / n).sqrt(), "{name}: the drawdown favours an arm: {share}");
}

#[test]
fn an_arm_of_nine_tenths_looks_no_better_than_one_of_a_tenth_when_both_policies_are_the_same() {
    let mut rng = Pcg64::seed_from_u64(3);
    let all = long::cases(300, 3000);
    let criteria = Criteria::new(ExperimentOptions {
        evidence: View::Randomised,
        resamples: 100,
        ..Config::builtin().unwrap().experiment.clone()
    })
    .unwrap();
    let (mut gains, mut deeper, mut held) = ([vec![], vec![]], [0, 0], [0, 0]);
    for _ in 0..all {
        let (mut groups, mut experiment) = ([vec![], vec![]], Experiment::new(opening(0)));
        for session in 0..60 {
            let shared = 0.3 * uniform(&mut rng);
            for n in 0..20 {
                let pnl = shared + uniform(&mut rng) + 0.06;
                let in_ml = rng.random::<f64>() < 0.9;
                groups[usize::from(in_ml)].push(traded(session, Some(pnl)));
                let trade_id = TradeId::new(format!("{}-{session}-{n}", rng.random::<u64>())).unwrap();
                experiment.assign(Assignment {
                    trade_id: trade_id.clone(),
                    at: opening(session),
                    day: day(session),
                    arm: if in_ml { Arm::Ml } else { Arm::Baseline },
                    allocation: 0.9,
                    ml_size: 1.0,
                    alone: !in_ml,
                });
                experiment.outcome(&trade_id, &outcome(pnl, 0.0));
            }
            experiment.close_next(day(session + 1), 5);
        }
        let impact = impact(Comparing::Arms, &groups[1], &groups[0], &ImpactOptions { resamples: 100, ..OPTIONS });
        let sharpe = metric(&impact, Measure::SharpeEven);
        gains[0].extend(sharpe.difference);
        held[0] += usize::from(sharpe.interval.unwrap().contains(0.0));
        deeper[0] += usize::from(metric(&impact, Measure::DrawdownEven).difference.unwrap() > 1.0);
        let evidence = TestEvidence::of(View::Randomised, experiment.sessions());
        gains[1].extend(evidence.sharpe_gain());
        deeper[1] += usize::from(evidence.drawdown_ratio().unwrap() > 1.0);
        assert_eq!(evidence.ml.signals + evidence.baseline.signals, 1200, "the other figures have all signals");
        if gains[1].len() <= 20 {
            let report = TestReport::of(&criteria, &experiment, opening(60));
            let of = |measure| report.views[1].metrics.iter().find(|metric| metric.measure == measure).unwrap();
            assert_eq!(of(Measure::SharpeEven).difference, report.standing.sharpe_gain);
            assert_eq!(of(Measure::DrawdownEven).difference, report.standing.drawdown_ratio);
            assert_eq!((of(Measure::Sharpe).difference, of(Measure::DrawdownRatio).difference), (None, None));
            held[1] += usize::from(of(Measure::SharpeEven).interval.unwrap().contains(0.0));
        }
    }
    check_null("impact", &gains[0], deeper[0]);
    check_null("experiment", &gains[1], deeper[1]);
    assert!(held[0] * 100 >= all * 91 && held[1] >= 16, "intervals that hold no difference: {held:?} of {all}");
}

#[test]
fn the_sign_of_a_sharpe_ratio_is_the_sign_of_the_money() {
    let mut rng = Pcg64::seed_from_u64(17);
    for _ in 0..200 {
        // about nothing is earned, so that leaving some signals out by chance would often turn the sign
        let (mut groups, share) = ([vec![], vec![]], rng.random::<f64>());
        for session in 0..30 {
            for _ in 0..8 {
                groups[usize::from(rng.random::<f64>() < share)].push(traded(session, Some(uniform(&mut rng))));
            }
        }
        let impact = impact(Comparing::Arms, &groups[1], &groups[0], &ImpactOptions { resamples: 100, ..OPTIONS });
        for found in impact.metrics.iter().filter(|m| matches!(m.measure, Measure::Sharpe | Measure::SharpeEven)) {
            for (ratio, group) in [(found.ml, impact.ml), (found.baseline, impact.baseline)] {
                let Some(ratio) = ratio else { continue };
                assert!(ratio * group.pnl >= 0.0, "{ratio} of {}: {found:?}", group.pnl);
            }
        }
    }
}

fn version() -> VersionId {
    "ES/1".parse().unwrap()
}

/// A signal that the split gave to `arm`; a model that was heard lets the trade go when `size` is 0.
fn scored(n: usize, arm: Arm, heard: bool, size: f64, share: f64) -> Happening {
    let id = trade_id(n, 0);
    let baseline = Decision::baseline(id.clone(), None, Some(version()), Reason::AbTest);
    let decision = if heard { Decision { arm: Arm::Ml, size, ..baseline } } else { baseline };
    let opinions = vec![Opinion { version: version(), split: Some(Split { arm, share }), score: None, size }];
    let entry = AnsweredSignal {
        trade_id: id,
        at: opening(n),
        day: day(n),
        symbol: None,
        confidence: None,
        decision,
        traded: None,
        opinions,
        daily_loss_limit: None,
        stake: Default::default(),
        side: None,
        by_echo: false,
    };
    Happening::Scored { at: opening(n), entry: Box::new(entry) }
}

fn closed(n: usize, pnl: f64) -> Happening {
    let outcome = Box::new(outcome(pnl, 1.0));
    Happening::Closed { at: opening(n), trade_id: trade_id(n, 0), echo: None, outcome }
}

#[test]
fn a_signal_stays_in_the_arm_that_chance_gave_it() {
    let past = [
        scored(0, Arm::Ml, true, 1.0, 0.5),
        closed(0, 5.0),
        scored(1, Arm::Ml, true, 0.0, 0.5),  // let go, and nothing more is expected
        scored(2, Arm::Ml, false, 1.0, 0.5), // it was to hear the model and did not
        closed(2, -3.0),
        scored(3, Arm::Baseline, false, 0.0, 0.5),
        closed(3, 7.0),
        scored(4, Arm::Baseline, false, 1.0, 0.5), // not closed yet
        scored(5, Arm::Ml, true, 1.0, 1.0),        // not left to chance
        closed(5, 9.0),
    ];
    let groups = told(&past, None).by_arm();
    let pnl = |group: &[Traded]| group.iter().map(|trade| trade.pnl).collect::<Vec<_>>();
    assert_eq!(pnl(&groups.ml), [Some(5.0), None, Some(-3.0)]);
    assert_eq!(pnl(&groups.baseline), [Some(7.0)]);
    let counts = &groups.counts;
    assert_eq!((counts.heard, counts.unresolved, counts.in_neither), (2, 1, 1));
    assert!(told(&past, Some("ES/2")).by_arm().ml.is_empty());
}

fn told(happenings: &[Happening], version: Option<&str>) -> Past {
    let mut past = Past::new(None, version.map(|version| version.parse().unwrap()));
    happenings.iter().for_each(|happening| past.hear(happening));
    past
}

#[test]
fn a_trade_of_another_symbol_is_in_no_group_however_its_outcome_echoes_the_decision() {
    let (mut one, mut two) = (scored(0, Arm::Ml, true, 1.0, 0.5), scored(1, Arm::Ml, true, 1.0, 0.5));
    for (happening, symbol) in [(&mut one, "ES"), (&mut two, "NQ")] {
        let Happening::Scored { entry, .. } = happening else { unreachable!() };
        entry.symbol = Some(Symbol::new(symbol).unwrap());
    }
    let Happening::Scored { entry, .. } = &two else { unreachable!() };
    let mut echo = entry.clone();
    echo.symbol = None;
    let Happening::Closed { at, trade_id, outcome, .. } = closed(1, 9.0) else { unreachable!() };
    let past = [one, closed(0, 5.0), two, Happening::Closed { at, trade_id, echo: Some(echo), outcome }];
    let mut told = Past::new(Some(Symbol::new("ES").unwrap()), None);
    past.iter().for_each(|happening| told.hear(happening));
    let groups = told.by_arm();
    assert_eq!((groups.ml.len(), groups.baseline.len(), groups.counts.in_neither), (1, 0, 0));
}

#[test]
fn periods_are_told_apart_by_when_a_signal_fired() {
    let past: Vec<Happening> =
        (0..6).flat_map(|n| [scored(n, Arm::Ml, n >= 3, 1.0, 0.5), closed(n, n as f64)]).collect();
    let groups = told(&past, None).by_period(Vec::new(), opening(2), opening(3));
    let pnl = |group: &[Traded]| group.iter().filter_map(|trade| trade.pnl).collect::<Vec<_>>();
    assert_eq!((pnl(&groups.baseline), pnl(&groups.ml)), (vec![0.0, 1.0], vec![3.0, 4.0, 5.0]));
    assert_eq!((groups.counts.in_neither, groups.counts.heard), (1, 3));
}
