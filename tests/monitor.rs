//! The monitor: its figures are those of the statistics over the same trades, its size is bounded, and it notices.
#![expect(clippy::unwrap_used, reason = "what the tests share may fail loudly as well")]

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use vigie::{
    domain::{Arm, Symbol, VersionId, snapshot::TrendRegime},
    guard::monitor::{Closed, Learnt, Monitor, MonitorOptions, Said, Usual},
    models::{Facts, Question},
    stats::{
        adwin::AdwinOptions,
        binary::{Confusion, brier, expected_calibration_error},
        detector::{Move, PageHinkleyOptions},
        reference::Reference,
    },
};

fn options() -> MonitorOptions {
    MonitorOptions {
        window: 100,
        scopes: 12,
        adwin: AdwinOptions { delta: 0.002, clock: 1 },
        page_hinkley: PageHinkleyOptions {
            delta: 0.1,
            threshold: 30.0,
            alpha: 1.0,
            min_values: 30,
            only: Some(Move::Down),
        },
        cusum_shift: 0.1,
        cusum_threshold: 4.0,
    }
}

fn version(number: u32) -> VersionId {
    format!("ES/{number}").parse().unwrap()
}

fn trade(rng: &mut Pcg64, number: u32, rate: f64) -> Closed {
    let score = 0.3 + 0.5 * rng.random::<f64>();
    let pnl = if rng.random::<f64>() < rate { 100.0 } else { -90.0 };
    let symbol = Symbol::new("ES").unwrap();
    let regime = Some(TrendRegime::Range);
    Closed {
        said: vec![Said { version: version(number), score, taken: true }],
        arm: Arm::Ml,
        symbol,
        regime,
        markets: Vec::new(),
        day: None,
        pnl,
        facts: Facts { pnl: Some(pnl), ..Facts::default() },
    }
}

#[test]
fn figures_are_those_of_the_latest_trades_of_each_scope() {
    let (mut monitor, mut rng) = (Monitor::default(), Pcg64::seed_from_u64(1));
    let told: Vec<Closed> = (0..250).map(|_| trade(&mut rng, 1, 0.55)).collect();
    told.iter().for_each(|trade| drop(monitor.closed(&options(), trade, |_| true)));
    let latest = &told[150..];
    let won: Vec<bool> = latest.iter().map(|trade| trade.pnl > 0.0).collect();
    let scores: Vec<f64> = latest.iter().map(|trade| trade.said[0].score).collect();
    let counts = Confusion::at_threshold(&won, &scores, 0.5).unwrap();
    let rolling = monitor.rolling();
    assert_eq!(
        rolling.keys().map(AsRef::as_ref).collect::<Vec<_>>(),
        ["arm ml", "model ES/1", "regime range", "symbol ES"]
    );
    for figures in rolling.values() {
        assert_eq!((figures.trades, figures.accuracy, figures.f1), (100, counts.accuracy(), counts.f1()));
        assert_eq!((figures.precision, figures.recall), (counts.precision(), counts.recall()));
        assert_eq!(figures.brier, brier(&won, &scores));
        assert_eq!(figures.calibration_error, expected_calibration_error(&won, &scores, 10));
    }
}

#[test]
fn its_size_is_bounded_and_it_is_kept_as_it_is() {
    let (mut monitor, mut rng) = (Monitor::default(), Pcg64::seed_from_u64(2));
    let mut sizes = Vec::new();
    for round in 0..6000_u32 {
        let number = 1 + round / 100;
        monitor.closed(&options(), &trade(&mut rng, number, 0.55), |_| true);
        monitor.scored(&options(), &version(number), &[Some(0.25), None], 0.5);
        if round % 1000 == 999 {
            sizes.push(serde_json::to_string(&monitor).unwrap().len());
        }
    }
    assert!(sizes[5] < sizes[2] + sizes[2] / 10, "{sizes:?}");
    assert_eq!(monitor.rolling().len(), 12);
    // what is heard of all the time stays
    assert!(monitor.rolling().contains_key("arm ml"));
    let kept: Monitor = serde_json::from_str(&serde_json::to_string(&monitor).unwrap()).unwrap();
    assert_eq!(kept, monitor);
}

#[test]
fn a_win_rate_that_collapses_makes_the_detectors_speak_and_a_steady_one_does_not() {
    let mut rng = Pcg64::seed_from_u64(4);
    let mut heard = |rates: [f64; 2]| {
        let mut monitor = Monitor::default();
        monitor.begin(
            &options(),
            &version(1),
            Usual { win_rate: Some(0.55), pnl_sd: Some(100.0), inflation: Some(1.0), win_rate_error: None },
            Question::default(),
        );
        let told = rates.map(|rate| (0..400).map(move |_| rate)).into_iter().flatten();
        let mut found: Vec<Box<str>> = told
            .flat_map(|rate| {
                let mut trade = trade(&mut rng, 1, rate);
                trade.said[0].score = 0.6;
                monitor.closed(&options(), &trade, |_| true)
            })
            .filter(|change| change.way != Some(Move::Up))
            .map(|change| change.detector)
            .collect();
        found.sort_unstable();
        found.dedup();
        found.join(" ")
    };
    assert_eq!(heard([0.55, 0.2]), "adwin cusum page_hinkley");
    assert_eq!(heard([0.55, 0.55]), "");
}

#[test]
fn detectors_and_sessions_see_only_the_trades_that_the_policy_takes() {
    let mut rng = Pcg64::seed_from_u64(5);
    let mut monitor = Monitor::default();
    let usual = Usual { win_rate: Some(0.55), pnl_sd: Some(100.0), inflation: Some(1.0), win_rate_error: None };
    monitor.begin(&options(), &version(1), usual, Question::default());
    let mut lose = |monitor: &mut Monitor, taken: bool| {
        let mut trade = trade(&mut rng, 1, 0.0);
        trade.said[0] = Said { version: version(1), score: 0.6, taken };
        monitor.closed(&options(), &trade, |_| true)
    };
    // a reference is made of taken trades: how those go that the policy refused says nothing against it
    let refused: Vec<_> = (0..300).flat_map(|_| lose(&mut monitor, false)).collect();
    assert_eq!(refused, []);
    assert_eq!(monitor.close_session(&version(1)).trades, 0.0);
    // the figures are of all trades that were scored
    assert_eq!(monitor.trades(&version(1)).len(), 100);
    let taken: Vec<_> = (0..60).flat_map(|_| lose(&mut monitor, true)).collect();
    assert!(taken.iter().any(|change| &*change.detector == "cusum"), "{taken:?}");
    assert_eq!(monitor.close_session(&version(1)).trades, 60.0);
    assert_eq!(monitor.close_session(&version(1)).trades, 0.0);
}

#[test]
fn signals_unlike_those_learnt_from_are_seen_before_any_outcome() {
    let mut rng = Pcg64::seed_from_u64(6);
    let mut column =
        |n: usize, from: f64| -> Vec<Option<f64>> { (0..n).map(|_| Some(from + rng.random::<f64>())).collect() };
    let of = |column: Vec<Option<f64>>| Reference::of(column).unwrap();
    let learnt = Learnt {
        names: vec!["steady".into(), "moving".into()],
        inputs: vec![of(column(500, 0.0)), of(column(500, 0.0))],
        score: of(column(500, 0.0)),
    };
    let (steady, moving) = (column(100, 0.0), column(100, 0.6));
    let mut monitor = Monitor::default();
    assert_eq!(monitor.inputs(&version(1), &learnt), None);
    for (a, b) in steady.into_iter().zip(moving) {
        monitor.scored(&options(), &version(1), &[a, b], 0.7);
    }
    let found = monitor.inputs(&version(1), &learnt).unwrap();
    assert!(found.columns["steady"].psi.unwrap() < 0.25 && found.columns["moving"].psi.unwrap() > 1.0, "{found:?}");
    assert!(found.adjusted["steady"] > 0.01 && found.adjusted["moving"] < 1e-6, "{found:?}");
    assert!((found.expected.unwrap().accuracy - 0.7).abs() < 1e-12);
    assert!(found.score.unwrap().psi.unwrap() > 1.0 && found.relative_change.unwrap() > 0.4, "{found:?}");
    assert!(found.latest.is_some());
    monitor.scored(&options(), &version(1), &[None], 0.7);
    assert_eq!(monitor.inputs(&version(1), &learnt), None);
    monitor.forget(&version(1));
    assert_eq!(monitor.inputs(&version(1), &learnt), None);
}
