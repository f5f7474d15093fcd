//! The A/B test: what counts, when it counts, and what follows.
#![expect(clippy::unwrap_used, reason = "what the tests share may fail loudly as well")]

#[path = "common/trades.rs"]
mod trades;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use trades::{day, opening, outcome, trade_id};
use vigie::{
    config::Config,
    domain::{Arm, Outcome, TradeId, event::By, lifecycle::State},
    lifecycle::ending::Ending,
    stats::interval::Test,
    trials::experiment::{
        Assignment, Criteria, EvidenceMetric, Experiment, ExperimentOptions, HarmStanding, Horizon, Measure,
        MetricStanding, Noted, Terms, TestEvidence, TestReport, TestStanding, TestVerdict, View,
    },
};

/// The name of what is at fault, and how it comes about.
type Spoiled<T> = (&'static str, fn(&mut T));

/// Options whose boundaries are quick to compute.
fn options() -> ExperimentOptions {
    ExperimentOptions { planned_sessions: 20, resamples: 200, ..Config::builtin().unwrap().experiment.clone() }
}

fn assignment(session: usize, n: usize, arm: Arm, ml_size: f64) -> Assignment {
    Assignment {
        trade_id: trade_id(session, n),
        at: opening(session),
        day: day(session),
        arm,
        allocation: 0.5,
        ml_size,
        alone: arm == Arm::Baseline,
    }
}

fn closed(sessions: &[Vec<(Arm, f64, Option<f64>)>]) -> Experiment {
    let mut experiment = Experiment::new(opening(0));
    for (session, rows) in sessions.iter().enumerate() {
        for (n, (arm, ml_size, pnl)) in rows.iter().enumerate() {
            experiment.assign(assignment(session, n, *arm, *ml_size));
            match pnl {
                Some(pnl) => experiment.outcome(&trade_id(session, n), &outcome(*pnl, 0.0)),
                None => experiment.skip(&trade_id(session, n)),
            };
        }
        assert!(experiment.close_next(day(session + 1), 5).is_some());
    }
    experiment
}

#[test]
fn a_session_closes_when_it_is_over_and_every_trade_is_resolved_and_never_before_an_earlier_one() {
    let mut experiment = Experiment::new(opening(0));
    for session in 0..2 {
        experiment.assign(assignment(session, 0, Arm::Baseline, 1.0));
    }
    experiment.outcome(&trade_id(1, 0), &outcome(5.0, 0.0));
    assert!(experiment.close_next(day(2), 5).is_none(), "the first waits for its trade, the second for the first");
    experiment.outcome(&trade_id(0, 0), &outcome(5.0, 0.0));
    assert!(experiment.close_next(day(0), 5).is_none(), "its day is not over");
    assert_eq!(experiment.close_next(day(1), 5).map(|session| session.day), Some(day(0)));
    assert!(experiment.close_next(day(1), 5).is_none());
    assert_eq!(experiment.close_next(day(2), 5).map(|session| session.day), Some(day(1)));
    assert_eq!((experiment.trades(), experiment.open_trades()), (2, 0));
}

#[test]
fn what_is_never_heard_of_again_counts_as_not_traded_and_comes_too_late_afterwards() {
    let mut experiment = Experiment::new(opening(0));
    experiment.assign(assignment(0, 0, Arm::Baseline, 1.0));
    assert!(experiment.close_next(day(5), 5).is_none());
    assert!(experiment.close_next(day(6), 5).is_some());
    assert_eq!(experiment.outcome(&trade_id(0, 0), &outcome(9.0, 0.0)), Noted::Late);
    assert_eq!(experiment.assign(assignment(0, 1, Arm::Ml, 1.0)), Noted::Late);
    let evidence = TestEvidence::of(View::Paired, experiment.sessions());
    assert_eq!((experiment.late(), evidence.baseline.signals, evidence.baseline.taken), (2, 1, 0));
}

#[test]
fn repeats_and_strangers_change_nothing() {
    let mut experiment = Experiment::new(opening(0));
    let first = assignment(0, 0, Arm::Ml, 1.0);
    assert_eq!(experiment.assign(first.clone()), Noted::Counted);
    assert_eq!(experiment.assign(Assignment { arm: Arm::Baseline, ..first }), Noted::Duplicate);
    assert_eq!(experiment.outcome(&trade_id(0, 0), &outcome(1.0, 0.0)), Noted::Counted);
    let before = experiment.clone();
    assert_eq!(experiment.outcome(&trade_id(0, 0), &outcome(2.0, 0.0)), Noted::Duplicate);
    assert_eq!(experiment.skip(&trade_id(0, 0)), Noted::Duplicate);
    assert_eq!(experiment.outcome(&TradeId::new("X").unwrap(), &outcome(2.0, 0.0)), Noted::Unknown);
    assert_eq!(experiment, before);
    experiment.close_next(day(1), 5);
    assert_eq!(experiment.outcome(&trade_id(0, 0), &outcome(2.0, 0.0)), Noted::Duplicate);
}

#[test]
fn the_order_of_outcomes_does_not_matter_and_the_state_survives_being_stored() {
    let run = |order: &[usize]| {
        let mut experiment = Experiment::new(opening(0));
        for n in 0..6 {
            experiment.assign(assignment(n / 3, n, if n % 2 == 0 { Arm::Ml } else { Arm::Baseline }, 1.0));
        }
        for n in order {
            experiment.outcome(&trade_id(n / 3, *n), &outcome(*n as f64 - 2.0, 0.0));
            while experiment.close_next(day(1), 5).is_some() {}
        }
        while experiment.close_next(day(2), 5).is_some() {}
        experiment
    };
    let in_order = run(&[0, 1, 2, 3, 4, 5]);
    assert_eq!(in_order.sessions().len(), 2);
    assert_eq!(run(&[5, 3, 1, 4, 2, 0]), in_order);
    let stored = serde_json::to_string(&in_order).unwrap();
    assert_eq!(serde_json::from_str::<Experiment>(&stored).unwrap(), in_order);
}

#[test]
fn a_signal_that_the_ml_arm_lets_go_is_not_waited_for_and_counts_zero() {
    let mut experiment = Experiment::new(opening(0));
    experiment.assign(assignment(0, 0, Arm::Ml, 0.0));
    experiment.assign(assignment(0, 1, Arm::Ml, 1.0));
    experiment.outcome(&trade_id(0, 1), &outcome(10.0, 0.0));
    assert!(experiment.close_next(day(1), 5).is_some());
    let ml = TestEvidence::of(View::Randomised, experiment.sessions()).ml;
    assert_eq!((ml.signals, ml.taken, ml.per_signal(), ml.per_taken()), (2, 1, Some(5.0), Some(10.0)));
}

#[test]
fn what_was_traded_against_the_advice_counts_in_the_arm_it_was_assigned_to() {
    let mut experiment = Experiment::new(opening(0));
    experiment.assign(assignment(0, 0, Arm::Ml, 0.0));
    experiment.outcome(&trade_id(0, 0), &outcome(-4.0, 0.0));
    experiment.close_next(day(1), 5);
    let ml = TestEvidence::of(View::Randomised, experiment.sessions()).ml;
    assert_eq!((ml.taken, ml.pnl), (1, -4.0));
}

#[test]
fn the_paired_view_trades_the_baselines_trades_as_the_policy_would_have() {
    let base = Arm::Baseline;
    let experiment = closed(&[
        vec![(base, 0.0, Some(-10.0)), (base, 0.5, Some(8.0)), (base, 2.0, Some(3.0)), (Arm::Ml, 1.0, Some(99.0))],
        vec![(base, 0.0, None), (base, 1.0, Some(-1.0))],
    ]);
    let evidence = TestEvidence::of(View::Paired, experiment.sessions());
    assert_eq!(evidence.days(), (vec![10.0, -1.0], vec![1.0, -1.0]));
    assert_eq!((evidence.ml.signals, evidence.ml.taken, evidence.ml.wins), (5, 3, 2));
    assert_eq!((evidence.baseline.signals, evidence.baseline.taken, evidence.baseline.wins), (5, 4, 2));
    let gain = evidence.win_rate_gain().unwrap();
    assert!((gain - (2.0 / 3.0 - 0.5)).abs() < 1e-15);
    assert!((evidence.win_rate.unwrap().estimate().unwrap() - gain).abs() < 1e-12);
    assert!((evidence.mean_pnl.unwrap().estimate().unwrap() - 9.0 / 5.0).abs() < 1e-12);
    assert_eq!(evidence.drawdown_ratio(), Some(0.1));
}

#[test]
fn the_sums_over_sessions_estimate_the_plain_difference_of_the_arms() {
    let mut rng = Pcg64::seed_from_u64(5);
    let mut row = || {
        let arm = if rng.random::<f64>() < 0.3 { Arm::Ml } else { Arm::Baseline };
        (arm, 1.0, (rng.random::<f64>() < 0.8).then(|| rng.random::<f64>() - 0.4))
    };
    let sessions: Vec<Vec<_>> = (0..6).map(|_| (0..9).map(|_| row()).collect()).collect();
    let evidence = TestEvidence::of(View::Randomised, closed(&sessions).sessions());
    let plain = evidence.ml.per_signal().unwrap() - evidence.baseline.per_signal().unwrap();
    assert!((evidence.mean_pnl.unwrap().estimate().unwrap() - plain).abs() < 1e-12);
    let wins = evidence.win_rate_gain().unwrap();
    assert!((evidence.win_rate.unwrap().estimate().unwrap() - wins).abs() < 1e-12);
}

#[test]
fn a_change_of_the_allocation_over_time_is_not_mistaken_for_an_effect() {
    // the ML arm grows from a quarter to three quarters just when every trade gets better by 100
    let mut experiment = Experiment::new(opening(0));
    for session in 0..20 {
        let late = session >= 10;
        for n in 0..8 {
            let arm = if (n < 2) != late { Arm::Ml } else { Arm::Baseline };
            let allocation = if late { 0.75 } else { 0.25 };
            experiment.assign(Assignment { allocation, ..assignment(session, n, arm, 1.0) });
            let pnl = if late { 100.0 } else { 0.0 } + f64::from(u8::from(n % 2 == 0));
            experiment.outcome(&trade_id(session, n), &outcome(pnl, 0.0));
        }
        experiment.close_next(day(session + 1), 5);
    }
    let evidence = TestEvidence::of(View::Randomised, experiment.sessions());
    assert!((evidence.ml.per_signal().unwrap() - evidence.baseline.per_signal().unwrap()) > 40.0);
    assert!(evidence.mean_pnl.unwrap().estimate().unwrap().abs() < 1e-9);
}

/// A standing in which every condition of shipping holds, half-way.
fn good() -> TestStanding {
    let metric = |metric| MetricStanding { metric, z: Some(4.0), p: 0.01 };
    let harm = |view| HarmStanding { view, z: Some(1.0), boundary: Some(-2.5) };
    TestStanding {
        sessions: 12,
        trades: 240,
        days: 16.0,
        sample_ratio: Some(Test { statistic: 0.1, p: 0.75 }),
        metrics: vec![metric(EvidenceMetric::MeanPnl), metric(EvidenceMetric::WinRate)],
        harm: vec![harm(View::Paired), harm(View::Randomised)],
        win_rate_gain: Some(0.05),
        win_rate_upper: Some(0.09),
        sharpe_gain: Some(0.4),
        drawdown_ratio: Some(0.8),
    }
}

#[test]
fn a_version_ships_only_when_every_condition_holds() {
    let criteria = Criteria::new(options()).unwrap();
    let ruling = criteria.decide(&good());
    assert!(matches!(ruling.verdict, TestVerdict::Ship(_)), "{ruling}");
    let spoiled: [Spoiled<TestStanding>; 9] = [
        ("days", |s| s.days = 6.9),
        ("trades", |s| s.trades = 99),
        ("win_rate_gain", |s| s.win_rate_gain = Some(0.029)),
        ("win_rate_gain", |s| s.win_rate_gain = None),
        ("sharpe_gain", |s| s.sharpe_gain = Some(0.09)),
        ("drawdown_ratio", |s| s.drawdown_ratio = Some(1.01)),
        ("evidence", |s| s.metrics.iter_mut().for_each(|metric| metric.p = 0.06)),
        ("evidence", |s| s.metrics.iter_mut().for_each(|metric| metric.z = Some(-4.0))),
        ("evidence", |s| s.metrics[1].z = Some(-4.0)), // one better, one worse
    ];
    for (name, spoil) in spoiled {
        let mut standing = good();
        spoil(&mut standing);
        let ruling = criteria.decide(&standing);
        assert!(matches!(ruling.verdict, TestVerdict::Continue(_)), "{name}: {ruling}");
        let failed: Vec<_> = ruling.checks.iter().filter(|check| !check.passed).map(|check| check.name).collect();
        assert_eq!(failed, [name]);
    }
}

#[test]
fn a_wrong_sample_ratio_comes_before_all_else_then_harm() {
    let criteria = Criteria::new(options()).unwrap();
    let mut standing = good();
    standing.harm[1].z = Some(-2.6);
    assert!(matches!(criteria.decide(&standing).verdict, TestVerdict::StopForHarm(_)));
    standing.sample_ratio = Some(Test { statistic: 2000.0, p: 0.0005 });
    assert!(matches!(criteria.decide(&standing).verdict, TestVerdict::Invalid(_)));
}

#[test]
fn it_is_futile_at_the_planned_end_or_when_the_gain_cannot_be_reached_any_more() {
    let criteria = Criteria::new(options()).unwrap();
    let unproven = || {
        let mut standing = good();
        standing.metrics.iter_mut().for_each(|metric| metric.p = 0.5);
        standing
    };
    assert!(matches!(criteria.decide(&unproven()).verdict, TestVerdict::Continue(_)));
    let ended = TestStanding { sessions: 20, ..unproven() };
    assert!(matches!(criteria.decide(&ended).verdict, TestVerdict::Futile(_)));
    let hopeless = TestStanding { win_rate_upper: Some(0.02), ..unproven() };
    assert!(matches!(criteria.decide(&hopeless).verdict, TestVerdict::Futile(_)));
    assert!(matches!(criteria.decide(&TestStanding { sessions: 20, ..good() }).verdict, TestVerdict::Ship(_)));
}

#[test]
fn options_that_make_no_sense_are_refused_by_name() {
    let spoiled: [Spoiled<ExperimentOptions>; 7] = [
        ("level", |o| o.level = f64::NAN),
        ("harm_level", |o| o.harm_level = 0.0),
        ("metrics", |o| o.metrics.clear()),
        ("metrics", |o| o.metrics = vec![EvidenceMetric::MeanPnl; 2]),
        ("planned_sessions", |o| o.planned_sessions = 5),
        ("planned_sessions", |o| o.planned_sessions = 501),
        ("first_look", |o| o.first_look = 1),
    ];
    for (key, spoil) in spoiled {
        let mut options = options();
        spoil(&mut options);
        assert_eq!(Criteria::new(options).map_err(|error| error.key), Err(key));
    }
}

#[test]
fn a_plan_that_can_never_ship_is_refused_by_name() {
    let key = |options: ExperimentOptions| options.can_never_ship().map(|error| error.key);
    let planned = |planned_sessions| ExperimentOptions {
        planned_sessions,
        first_look: 2,
        ..Config::builtin().unwrap().experiment.clone()
    };
    assert_eq!(
        (key(planned(6)), key(planned(7)), key(Config::builtin().unwrap().experiment.clone())),
        (Some("planned_sessions"), None, None)
    );
    // one metric needs less than two, and a stricter level more
    let one = ExperimentOptions { metrics: vec![EvidenceMetric::MeanPnl], ..planned(6) };
    assert_eq!((key(one.clone()), key(ExperimentOptions { level: 0.01, ..one })), (None, Some("planned_sessions")));
    assert_eq!(key(ExperimentOptions { min_days: 30.0, ..planned(10) }), Some("min_days"));
    assert_eq!(key(ExperimentOptions { min_days: 14.0, ..planned(10) }), None);
    // and what it says is so: with every session in its favour it ships after seven and never after six
    for (sessions, ships) in [(6, false), (7, true)] {
        let options = ExperimentOptions { min_days: 0.0, min_trades: 0, min_sharpe_gain: -10.0, ..planned(sessions) };
        let row = |arm, size, pnl| (arm, size, Some(pnl));
        let session = |n| {
            let noise = 1e-6 * f64::from(n);
            vec![row(Arm::Baseline, 1.0, 10.0 + noise), row(Arm::Baseline, 0.0, -10.0), row(Arm::Ml, 1.0, 10.0)]
        };
        let experiment = closed(&(0..sessions as i32).map(session).collect::<Vec<_>>());
        let criteria = Criteria::new(options).unwrap();
        let ruling = criteria.decide(&criteria.assess(&experiment, opening(sessions)));
        assert_eq!(matches!(ruling.verdict, TestVerdict::Ship(_)), ships, "{ruling}");
    }
}

#[test]
fn a_reload_leaves_a_test_under_way_something_to_be_judged_by() {
    // a level that was allowed when the test began, and a power of now that is below it: only a report needs the power
    let began = ExperimentOptions { level: 0.5, ..options() }.terms();
    let now = ExperimentOptions {
        power: 0.5,
        first_look: 15,
        planned_sessions: 30,
        ..Config::builtin().unwrap().experiment.clone()
    };
    assert!(Criteria::new(now.under(began)).is_ok());
}

#[test]
fn a_test_keeps_all_that_decides_it_whatever_the_options_become() {
    let began = ExperimentOptions { metrics: vec![EvidenceMetric::WinRate, EvidenceMetric::MeanPnl], ..options() };
    let recorded = began.terms().numbers();
    assert_eq!(Terms::of(&recorded), Some(began.terms()), "{recorded:?}");
    let other = ExperimentOptions {
        evidence: View::Randomised,
        metrics: vec![EvidenceMetric::MeanPnl],
        level: 0.5,
        planned_sessions: 500,
        first_look: 2,
        min_days: 0.0,
        min_trades: 0,
        min_win_rate_gain: -1.0,
        min_sharpe_gain: -10.0,
        max_drawdown_ratio: 100.0,
        harm_level: 0.5,
        sample_ratio_level: 0.5,
        outcome_wait_days: 9,
        power: 0.9,
        resamples: 101,
        seed: 8,
        holdback_sessions: 9,
        max_trades: 9,
    };
    let ExperimentOptions { outcome_wait_days, power, resamples, seed, holdback_sessions, max_trades, .. } = other;
    let beside =
        ExperimentOptions { outcome_wait_days, power, resamples, seed, holdback_sessions, max_trades, ..began.clone() };
    assert_eq!(other.clone().under(Terms::of(&recorded).unwrap()), beside);
    let randomised =
        ExperimentOptions { evidence: View::Randomised, metrics: vec![EvidenceMetric::MeanPnl], ..options() };
    assert_eq!(Terms::of(&randomised.terms().numbers()), Some(randomised.terms()));
    // a test that began when only its length and its levels were recorded keeps these
    let old = ["planned_sessions", "first_look", "level", "harm_level"].map(|name| (name.into(), recorded[name]));
    let terms = Terms::of(&old.into()).unwrap();
    let ExperimentOptions { planned_sessions, first_look, level, harm_level, .. } = began;
    assert_eq!(
        other.clone().under(terms),
        ExperimentOptions { planned_sessions, first_look, level, harm_level, ..other }
    );
    assert_eq!(Terms::of(&[("level".into(), 0.05)].into()), None);
}

/// Sessions in which the policy lets most losses and few wins go.
fn skilled(sessions: usize) -> Experiment {
    closed(&skilled_rows(sessions, 20))
}

/// The signals of such sessions, of `trades` each.
fn skilled_rows(sessions: usize, trades: usize) -> Vec<Vec<(Arm, f64, Option<f64>)>> {
    let mut rng = Pcg64::seed_from_u64(11);
    let mut row = || {
        let won = rng.random::<f64>() < 0.5;
        let pnl = if won { 110.0 } else { -100.0 } * (0.5 + rng.random::<f64>());
        let skips = rng.random::<f64>() < if won { 0.1 } else { 0.5 };
        let arm = if rng.random::<f64>() < 0.5 { Arm::Ml } else { Arm::Baseline };
        let size = if skips { 0.0 } else { 1.0 };
        (arm, size, (arm == Arm::Baseline || !skips).then_some(pnl))
    };
    (0..sessions).map(|_| (0..trades).map(|_| row()).collect()).collect()
}

#[test]
fn a_skilled_version_ships_and_its_report_says_what_each_figure_is_good_for() {
    let criteria = Criteria::new(options()).unwrap();
    let experiment = skilled(18);
    let report = TestReport::of(&criteria, &experiment, opening(18));
    assert!(matches!(report.ruling.verdict, TestVerdict::Ship(_)), "{report}");
    assert_eq!(report.standing, criteria.assess(&experiment, opening(18)));
    assert_eq!(report, TestReport::of(&criteria, &experiment, opening(18)));
    let [paired, randomised] = report.views.as_slice() else { panic!("two views") };
    for view in [paired, randomised] {
        for measure in [Measure::WinRate, Measure::PnlPerSignal] {
            let horizon = |horizon| view.metrics.iter().find(|m| m.measure == measure && m.horizon == horizon).unwrap();
            let (fixed, sequential) = (horizon(Horizon::Fixed), horizon(Horizon::Sequential));
            assert!((fixed.difference.unwrap() - sequential.difference.unwrap()).abs() < 1e-9);
            // both rest on the same session sums only here
            if (view.view, measure) == (View::Paired, Measure::PnlPerSignal) {
                assert!(sequential.interval.unwrap().width() > fixed.interval.unwrap().width());
            }
        }
        let needed = |place: usize| view.power[place].trades_needed;
        assert!(needed(0) > needed(1), "looking at every session costs trades");
    }
    let text = report.to_string();
    for line in ["18 of 20 sessions closed, 360 trades", "paired view, which decides", "every look: repeated interval"]
    {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!((&json["ruling"]["verdict"], &json["views"][0]["view"]), (&"ship".into(), &"paired".into()));
}

#[test]
fn each_look_is_what_the_test_was_judged_by_then_and_the_last_is_the_one_that_decided() {
    let criteria = Criteria::new(options()).unwrap();
    let experiment = skilled(18);
    let looks = criteria.looks(&experiment, None, usize::MAX);
    assert_eq!(looks.iter().map(|look| look.session).collect::<Vec<_>>(), (1..=18).collect::<Vec<_>>());
    for look in &looks {
        let standing = criteria.assess_after(look.session, &experiment, opening(18));
        assert_eq!((look.trades, look.day), (standing.trades, day(look.session - 1)));
        assert_eq!(
            look.views.iter().map(|view| view.mean_pnl).collect::<Vec<_>>(),
            [standing.harm[0].z, standing.harm[1].z]
        );
        let win_rate = standing.metrics.iter().find(|metric| metric.metric == EvidenceMetric::WinRate).unwrap();
        assert_eq!(
            (look.views[0].view, look.views[0].win_rate, look.harm),
            (View::Paired, win_rate.z, standing.harm[0].boundary)
        );
        // at the boundary the claim is made: its z is proof beyond it, and none below
        let proof = look.success.map(|success| criteria.plan().p_value(look.session, success).unwrap());
        assert!(proof.is_none_or(|p| (2.0 * p - criteria.options().level).abs() < 1e-9), "{look:?}");
    }
    assert_eq!(looks.iter().filter(|look| look.success.is_none()).count(), 9, "none before the first look of the plan");
    let decided = |sessions: f64| Ending {
        at: opening(18),
        state: State::Production,
        reason: String::new(),
        by: By::Daemon("test".into()),
        overridden: false,
        evidence: [("sessions".into(), sessions)].into(),
    };
    assert_eq!(criteria.looks(&experiment, Some(&decided(12.0)), usize::MAX), looks[..12]);
    let few: Vec<usize> = criteria.looks(&experiment, None, 5).iter().map(|look| look.session).collect();
    assert_eq!(few, [2, 6, 10, 14, 18]);
    let holdback = criteria.of_holdback().looks(&experiment, None, usize::MAX);
    assert!(holdback.iter().all(|look| look.success.is_none() && look.harm.is_none()) && holdback.len() == 18);
}

#[test]
fn no_interval_of_win_rates_goes_beyond_what_can_be() {
    let criteria = Criteria::new(options()).unwrap();
    let (mut cut, mut all) = (0, 0);
    for sessions in 4..=18 {
        // few trades a session: the sums alone would allow for more than a hundred points
        let experiment = closed(&skilled_rows(sessions, 2));
        let report = TestReport::of(&criteria, &experiment, opening(sessions));
        let metrics = report.views.iter().flat_map(|view| &view.metrics);
        let rates = metrics.filter(|metric| metric.measure == Measure::WinRate).filter_map(|metric| metric.interval);
        for end in rates.flat_map(|interval| [interval.low, interval.high]) {
            assert!(end.abs() <= 1.0, "{end} after {sessions} sessions");
            (cut, all) = (cut + usize::from(end.abs() == 1.0), all + 1);
        }
    }
    assert!(cut > 0 && all > cut, "{cut} of {all} ends are at what can be");
}

#[test]
fn an_experiment_that_has_hardly_begun_says_nothing_and_claims_nothing() {
    let criteria = Criteria::new(options()).unwrap();
    for sessions in [0, 1, 2] {
        let report = TestReport::of(&criteria, &skilled(sessions), opening(sessions));
        assert!(matches!(report.ruling.verdict, TestVerdict::Continue(_)), "{report}");
        let claims = |metric: &&vigie::trials::experiment::Metric| metric.horizon != Horizon::Fixed;
        let metrics = report.views.iter().flat_map(|view| view.metrics.iter().filter(claims));
        assert!(metrics.map(|metric| (metric.interval, metric.p)).all(|claim| claim == (None, None)));
        assert!(!report.to_string().contains("NaN"), "{report}");
    }
}

#[test]
fn a_policy_that_does_what_the_baseline_does_is_never_told_apart() {
    let row = |arm, pnl| (arm, 1.0, Some(pnl));
    let day =
        |n| vec![row(Arm::Baseline, f64::from(n) - 8.0), row(Arm::Baseline, 3.0), row(Arm::Ml, 1.0), row(Arm::Ml, 1.0)];
    let experiment = closed(&(0..20).map(day).collect::<Vec<_>>());
    let criteria = Criteria::new(options()).unwrap();
    let report = TestReport::of(&criteria, &experiment, opening(20));
    assert!(matches!(report.ruling.verdict, TestVerdict::Futile(_)), "{report}");
    assert_eq!(report.standing.drawdown_ratio, Some(1.0));
    assert!(report.standing.metrics.iter().all(|metric| (metric.z, metric.p) == (None, 1.0)));
}

#[test]
fn an_outcome_without_a_pnl_is_not_a_trade_of_zero() {
    let mut experiment = Experiment::new(opening(0));
    experiment.assign(assignment(0, 0, Arm::Baseline, 1.0));
    let unpriced = Outcome { pnl: None, ..outcome(0.0, 0.0) };
    assert_eq!(experiment.outcome(&trade_id(0, 0), &unpriced), Noted::Counted);
    assert!(experiment.close_next(day(1), 5).is_some());
    let evidence = TestEvidence::of(View::Paired, experiment.sessions());
    assert_eq!((experiment.unpriced(), evidence.baseline.taken), (1, 0));
}
