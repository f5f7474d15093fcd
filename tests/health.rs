//! Degradations against a validated reference, and the influence of a version that shrinks and comes back.
#![expect(clippy::unwrap_used, reason = "what the tests share may fail loudly as well")]

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use vigie::{
    config::Config,
    domain::{Timestamp, TradingDay},
    guard::{
        alarm::{Alarms, Turn},
        gradual::{DayClose, Gradual, next_share},
        health::{Figures, Response, ScoreMoved, ScoredTrade, Validated, is_unstable, ladder, response},
    },
    models::{Facts, Question},
    stats::decline::{Decline, DeclineOptions, Limits, SessionTrades},
};

const VALIDATED: Validated = Validated {
    accuracy: 0.6,
    precision: Some(0.6),
    expectancy: Some(20.0),
    score_variance: 0.01,
    trades: 0,
    memory: 1.0,
};

/// Trades that all were said to win, of which each wins or loses 100 with the chance `rate`: at 0.6 they are as validated.
fn scored(score: f64, pnl: f64) -> ScoredTrade {
    let facts = Facts { pnl: Some(pnl), ..Facts::default() };
    ScoredTrade { day: None, score, answer: Question::default().answer(score, &facts), taken: true, pnl }
}

fn trades(rng: &mut Pcg64, n: usize, rate: f64) -> Vec<ScoredTrade> {
    (0..n).map(|_| scored(0.7, if rng.random::<f64>() < rate { 100.0 } else { -100.0 })).collect()
}

/// The first `wins` of `n` win.
fn exactly(n: usize, wins: usize) -> Vec<ScoredTrade> {
    (0..n).map(|place| scored(0.7, if place < wins { 100.0 } else { -100.0 })).collect()
}

#[test]
fn the_composite_is_the_mean_of_three_figures_relative_to_their_references() {
    let figures = Figures::of(&VALIDATED, &exactly(100, 60));
    let composite = figures.composite.unwrap();
    assert!((composite.value - 1.0).abs() < 1e-12, "{composite:?}");
    // with 54 of 100: accuracy and precision are 0.9 of the reference, the expectancy 8 / 20
    let figures = Figures::of(&VALIDATED, &exactly(100, 54));
    assert!((figures.composite.unwrap().value - (0.9 + 0.9 + 0.4) / 3.0).abs() < 1e-12);
    // a trade more wins adds 1/0.6 to the first two sums and 200/20 to the third, so its deviation is known
    let sd = (2.0 / 0.6 + 10.0) / 3.0 * (0.54_f64 * 0.46 * 100.0 / 99.0).sqrt();
    assert!((figures.composite.unwrap().error - sd / 10.0).abs() < 1e-9, "{figures:?}");
    let unprofitable = Validated { expectancy: Some(0.0), ..VALIDATED };
    assert_eq!(Figures::of(&unprofitable, &exactly(100, 60)).composite, None);
    assert_eq!(Figures::of(&VALIDATED, &[]).accuracy, None);
}

#[test]
fn the_error_of_the_composite_is_how_much_it_varies() {
    let mut rng = Pcg64::seed_from_u64(3);
    // half are said to lose, so that the precision has a denominator that varies
    let window = |rng: &mut Pcg64| -> Vec<ScoredTrade> {
        let low = |trade: ScoredTrade, low| scored(if low { 0.4 } else { 0.7 }, trade.pnl);
        trades(rng, 200, 0.6).into_iter().map(|trade| low(trade, rng.random::<f64>() < 0.5)).collect()
    };
    let found: Vec<_> = (0..1500).map(|_| Figures::of(&VALIDATED, &window(&mut rng)).composite.unwrap()).collect();
    let mean = found.iter().map(|c| c.value).sum::<f64>() / 1500.0;
    let sd = (found.iter().map(|c| (c.value - mean).powi(2)).sum::<f64>() / 1499.0).sqrt();
    let claimed = found.iter().map(|c| c.error).sum::<f64>() / 1500.0;
    // the standard deviation of 1,500 values is known to 1.8 %
    assert!((claimed / sd - 1.0).abs() < 0.06, "{claimed} against {sd}");
}

/// Sessions of five trades that win 100 or lose as much, of which about `rate` go as the score says.
fn sessions(rng: &mut Pcg64, n: usize, rate: f64) -> Vec<SessionTrades> {
    let sum = |rng: &mut Pcg64| {
        let trades = (0..5).map(|_| rng.random::<f64>() < rate);
        let each = trades.map(|hit| SessionTrades::of(hit, if hit { 100.0 } else { -100.0 }, 95.0));
        each.fold(SessionTrades::default(), SessionTrades::and)
    };
    (0..n).map(|_| sum(rng)).collect()
}

#[test]
fn a_decline_is_told_shrinks_trains_and_takes_down_in_this_order_and_says_before_and_after() {
    let mut rng = Pcg64::seed_from_u64(11);
    let limits =
        Limits::of(&sessions(&mut rng, 400, 0.65), 0.5, &Config::builtin().unwrap().monitoring.watch.health.decline)
            .unwrap();
    let (mut decline, mut alarms, mut raised) = (Decline::default(), Alarms::default(), Vec::new());
    for (second, session) in sessions(&mut rng, 200, 0.5).into_iter().enumerate() {
        decline.close(&limits, session);
        let at = Timestamp::from_second(second as i64).unwrap();
        for condition in ladder(&decline, &limits, "ES/1") {
            raised.extend(alarms.observe(at, condition).map(|turn| (second, turn)));
        }
    }
    let codes: Vec<&str> = raised
        .iter()
        .map(|(_, turn)| match turn {
            Turn::Raised(alarm) | Turn::Cleared(alarm) => &*alarm.condition.code,
        })
        .collect();
    assert_eq!(codes, ["composite", "composite_share", "composite_retrain", "composite_rollback"]);
    assert!(raised[2].0 < raised[3].0 && raised[3].0 < 60, "{raised:?}");
    assert_eq!(response(&decline, &limits), Some(Response::RollBack));
    let message = raised[2].1.message();
    assert!(message.contains("validation on 2000 predicted"), "{message}");
    assert!(
        message.ends_with("a training is requested; compare `vigie drift` with the validation of this version"),
        "{message}"
    );
}

/// A mean of all its parts is not defined where the validation made no money; declines are found all the same.
#[test]
fn a_version_whose_validation_made_no_money_is_watched_for_declines_as_others_are() {
    let mut rng = Pcg64::seed_from_u64(13);
    let mut losing = |n: usize, rate: f64| -> Vec<SessionTrades> {
        let each = |hit: bool| SessionTrades::of(hit, if hit { 50.0 } else { -150.0 }, 95.0);
        let mut sum =
            || (0..5).map(|_| each(rng.random::<f64>() < rate)).fold(SessionTrades::default(), SessionTrades::and);
        (0..n).map(|_| sum()).collect()
    };
    let validated = losing(400, 0.6);
    assert!(validated.iter().map(|session| session.pnl).sum::<f64>() < 0.0);
    let limits = Limits::of(&validated, 0.5, &Config::builtin().unwrap().monitoring.watch.health.decline).unwrap();
    let mut furthest = |rate: f64| {
        let mut decline = Decline::default();
        let close = |session| {
            decline.close(&limits, session);
            response(&decline, &limits)
        };
        losing(100, rate).into_iter().map(close).max().unwrap()
    };
    assert!(furthest(0.6) < Some(Response::RollBack));
    assert_eq!(furthest(0.4), Some(Response::RollBack));
}

#[test]
fn a_fall_of_five_points_is_trained_for_long_before_it_takes_a_version_down() {
    let mut rng = Pcg64::seed_from_u64(12);
    let options = DeclineOptions { resamples: 1000, ..Config::builtin().unwrap().monitoring.watch.health.decline };
    let (mut trained, mut down) = (0, 0);
    for _ in 0..20 {
        let limits = Limits::of(&sessions(&mut rng, 400, 0.65), 0.5, &options).unwrap();
        let mut decline = Decline::default();
        let mut seen = None;
        for session in sessions(&mut rng, 160, 0.6) {
            decline.close(&limits, session);
            seen = seen.max(response(&decline, &limits));
        }
        trained += usize::from(seen >= Some(Response::Retrain));
        down += usize::from(seen == Some(Response::RollBack));
    }
    // a year's table is printed by the example `evidence`
    assert!(trained >= 12 && down < trained, "{trained} {down}");
}

#[test]
fn a_score_is_unstable_when_it_has_moved_or_its_variance_is_another() {
    let moved =
        |moved: ScoreMoved| is_unstable(&Config::builtin().unwrap().monitoring.watch.health, &VALIDATED, &moved);
    let unstable = |psi, variance| moved(ScoreMoved { psi: (psi, None), variance, ..ScoreMoved::default() });
    assert!(!unstable(Some(0.25), Some(0.039)) && !unstable(None, None) && !unstable(None, Some(0.0026)));
    assert!(unstable(Some(0.26), None) && unstable(None, Some(0.04)) && unstable(None, Some(0.0025)));
    assert!(unstable(None, Some(0.0)));
    // what is usual is no sign
    let by_chance = |chance| moved(ScoreMoved { psi: (Some(0.3), Some(chance)), ..ScoreMoved::default() });
    assert!(by_chance(0.29) && !by_chance(0.3));
    // a constant that becomes another moves no index
    let distance = |usual| moved(ScoreMoved { psi: (Some(0.0), None), ks: (Some(1.0), usual), variance: None });
    assert!(distance(Some(0.9)) && !distance(Some(1.0)) && !distance(None));
}

/// Closes one day after another with these composites, and gives the share after each: whether a decline holds, and whether the
/// score is unstable.
fn shares(gradual: &mut Gradual, first: i8, days: &[(Option<f64>, bool, bool)]) -> Vec<f64> {
    let options = Config::builtin().unwrap().gradual;
    let close = |(n, (composite, degraded, unstable)): (usize, &(Option<f64>, bool, bool))| {
        let (composite, degraded, unstable) = (*composite, *degraded, *unstable);
        gradual.close_day(&options, &DayClose { day: day(first + n as i8), composite, degraded, unstable });
        gradual.share()
    };
    days.iter().enumerate().map(close).collect()
}

fn day(n: i8) -> TradingDay {
    serde_json::from_value(serde_json::json!(format!("2015-01-{n:02}"))).unwrap()
}

#[test]
fn a_decline_takes_the_influence_away_in_steps_while_it_goes_on_and_gives_it_back_when_it_is_over() {
    let falling = |composite: f64| (Some(composite), true, false);
    let mut gradual = Gradual::default();
    // the first step at once, the next ones every third day
    let fall = [0.9, 0.88, 0.8, 0.75, 0.7, 0.65, 0.6].map(falling);
    assert_eq!(shares(&mut gradual, 1, &fall), [0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.0]);
    let over = [(Some(0.9), false, false); 3];
    assert_eq!(shares(&mut gradual, 8, &over), [0.25, 0.5, 1.0]);
    // in the five days after, a decline counts for nothing; then it does again
    let again = [0.8, 0.7, 0.6, 0.5, 0.4, 0.3].map(falling);
    assert_eq!(shares(&mut gradual, 11, &again), [1.0, 1.0, 1.0, 1.0, 1.0, 0.5]);
}

#[test]
fn a_decline_that_does_not_go_on_takes_one_step_and_chance_takes_none() {
    let mut gradual = Gradual::default();
    let holds = [0.9, 0.92, 0.91, 0.95, 0.93, 0.94, 0.91].map(|composite| (Some(composite), true, false));
    assert_eq!(shares(&mut gradual, 1, &holds), [0.5; 7]);
    let falls = [1.0, 0.9, 0.8, 0.7, 0.6].map(|composite| (Some(composite), false, false));
    assert_eq!(shares(&mut Gradual::default(), 1, &falls), [1.0; 5]);
    // the day before and the same day again change nothing
    assert_eq!(shares(&mut gradual, 6, &[(Some(0.1), true, false), (Some(0.1), true, false)]), [0.5; 2]);
}

#[test]
fn an_unstable_score_takes_the_influence_away_and_a_stable_one_gives_it_back() {
    let days = [true, true, false, false, false].map(|unstable| (Some(1.0), false, unstable));
    assert_eq!(shares(&mut Gradual::default(), 1, &days), [0.5, 0.25, 0.5, 1.0, 1.0]);
}

#[test]
fn a_day_without_a_figure_that_is_closed_again_takes_one_step() {
    let (mut gradual, options) = (Gradual::default(), Config::builtin().unwrap().gradual);
    let unstable = |n| DayClose { day: day(n), composite: None, degraded: false, unstable: true };
    assert_eq!(gradual.close_day(&options, &unstable(2)).map(|step| step.to), Some(0.5));
    assert_eq!(gradual.close_day(&options, &unstable(2)), None);
    assert_eq!(gradual.close_day(&options, &unstable(1)), None);
    assert_eq!(gradual.close_day(&options, &unstable(3)).map(|step| step.to), Some(0.25));
}

#[test]
fn a_share_is_taken_away_at_once_and_given_back_step_by_step() {
    let steps =
        [(0.0, 1.0, 0.25), (0.25, 1.0, 0.5), (0.5, 1.0, 1.0), (0.25, 0.5, 0.5), (1.0, 0.0, 0.0), (0.5, 0.5, 0.5)];
    for (share, called_for, next) in steps {
        assert_eq!(next_share(share, called_for), next, "{share} {called_for}");
    }
}
