//! Degradations against a validated reference, and the say of a version that shrinks and comes back.
#![expect(clippy::unwrap_used, reason = "what the tests share may fail loudly as well")]

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use vigie::{
    domain::{Timestamp, TradingDay, event::Level},
    models::{Facts, Question},
    rules::{
        alarm::{Alarms, Turn},
        gradual::{DayClose, Gradual, GradualOptions, next_share},
        health::{Figures, HealthOptions, Response, ScoredTrade, Validated, is_unstable},
    },
};

const VALIDATED: Validated =
    Validated { accuracy: 0.6, precision: 0.6, expectancy: 20.0, score_variance: 0.01, trades: 0, memory: 1.0 };

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
    let unprofitable = Validated { expectancy: 0.0, ..VALIDATED };
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

#[test]
fn a_drop_is_answered_by_its_size_once_it_is_more_than_chance() {
    let options = HealthOptions::default();
    let response = |n, wins| Figures::of(&VALIDATED, &exactly(n, wins)).response(&options);
    assert_eq!(response(4000, 2400), None);
    // a win rate of 58.75 % is a composite of 0.944, of 57.5 % 0.889, of 56.5 % 0.844
    assert_eq!(response(40_000, 23_500), Some(Response::Alert));
    assert_eq!(response(40_000, 23_000), Some(Response::Retrain));
    assert_eq!(response(40_000, 22_600), Some(Response::RollBack));
    // the same drop in 100 trades may be chance, and in 49 is not looked at
    assert_eq!((response(100, 57), response(49, 5), response(50, 5)), (None, None, Some(Response::RollBack)));
}

#[test]
fn chance_alone_asks_for_a_rollback_no_more_often_than_the_level_says() {
    let (options, mut rng) = (HealthOptions::default(), Pcg64::seed_from_u64(11));
    let mut asked = |rate: f64| {
        let windows = (0..2000).map(|_| Figures::of(&VALIDATED, &trades(&mut rng, 200, rate)));
        windows.filter(|figures| figures.response(&options) >= Some(Response::RollBack)).count()
    };
    let (healthy, broken) = (asked(0.6), asked(0.45));
    assert!(healthy <= 7, "{healthy} of 2000"); // 2 and three standard errors
    assert!(broken > 1700, "{broken} of 2000");
}

/// Trades whose chance to win is 0.1 more or less than 0.6 as the market's mood is, which lasts 25 trades on average.
fn moody(rng: &mut Pcg64, n: usize) -> Vec<ScoredTrade> {
    let mut mood = 0.1;
    let mut trade = || {
        if rng.random::<f64>() < 0.04 {
            mood = if rng.random::<f64>() < 0.5 { 0.15 } else { -0.15 };
        }
        trades(rng, 1, 0.6 + mood)[0]
    };
    (0..n).map(|_| trade()).collect()
}

#[test]
fn trades_that_are_good_and_bad_together_are_not_taken_for_a_decline() {
    let (options, mut rng) = (HealthOptions { act_level: 0.01, ..HealthOptions::default() }, Pcg64::seed_from_u64(13));
    let (mut with, mut without) = (0, 0);
    for _ in 0..1000 {
        let validated = Validated::of(&moody(&mut rng, 600), 0.01).unwrap();
        let window = moody(&mut rng, 100);
        let asks =
            |validated: &Validated| Figures::of(validated, &window).response(&options) == Some(Response::RollBack);
        with += usize::from(asks(&validated));
        without += usize::from(asks(&Validated { memory: 1.0, ..validated }));
    }
    println!(
        "of 1000 windows as validated {with} are to be rolled back, {without} if trades are taken for independent"
    );
    assert!(without > 20, "{without}: these moods are no trial");
    assert!(with <= 20, "{with} of 1000 at a level of 0.01");
}

#[test]
fn what_validation_showed_is_uncertain_too_and_chance_in_it_asks_for_nothing() {
    let (options, mut rng) = (HealthOptions::default(), Pcg64::seed_from_u64(12));
    let mut asked = |rate: f64| {
        let mut pair = || {
            let validated = Validated::of(&trades(&mut rng, 200, 0.6), 0.01)?;
            let figures = Figures::of(&validated, &trades(&mut rng, 100, rate));
            (figures.response(&options) >= Some(Response::RollBack)).then_some(())
        };
        (0..2000).filter_map(|_| pair()).count()
    };
    let (healthy, broken) = (asked(0.6), asked(0.4));
    println!("of 2000: {healthy} healthy ones and {broken} broken ones are to be rolled back");
    assert!(healthy <= 20, "{healthy} of 2000");
    assert!(broken > 1000, "{broken} of 2000");
}

#[test]
fn conditions_say_which_figure_dropped_and_clear_half_way() {
    let (options, mut alarms) = (HealthOptions::default(), Alarms::default());
    let mut observe = |second: i64, wins: usize| -> Vec<String> {
        let figures = Figures::of(&VALIDATED, &exactly(10_000, wins));
        let conditions = figures.conditions(&options, &VALIDATED, "ES/1");
        let at = Timestamp::from_second(second).unwrap();
        let turns = conditions.into_iter().filter_map(|condition| alarms.observe(at, condition));
        let word = |turn: Turn| match turn {
            Turn::Raised(alarm) => format!("+{}", alarm.condition.code),
            Turn::Cleared(alarm) => format!("-{}", alarm.condition.code),
        };
        turns.map(word).collect()
    };
    assert_eq!(observe(0, 6000), [""; 0]);
    assert_eq!(observe(1, 5500), ["+accuracy_drop", "+composite", "+composite_retrain", "+composite_rollback"]);
    assert_eq!(observe(2, 5390), ["+precision_drop"]);
    assert_eq!(observe(3, 5800), ["-precision_drop"]);
    assert_eq!(observe(4, 5930), ["-accuracy_drop", "-composite_retrain", "-composite_rollback"]);
    assert_eq!(observe(5, 5990), ["-composite"]);
    assert_eq!(Response::RollBack.max(Response::Retrain), Response::RollBack);
    assert_eq!(alarms.count().get(&Level::Critical), None);
}

#[test]
fn a_score_is_unstable_when_it_has_moved_or_its_variance_is_another() {
    let unstable = |psi, variance| is_unstable(&HealthOptions::default(), &VALIDATED, (psi, None), variance);
    assert!(!unstable(Some(0.25), Some(0.039)) && !unstable(None, None) && !unstable(None, Some(0.0026)));
    assert!(unstable(Some(0.26), None) && unstable(None, Some(0.04)) && unstable(None, Some(0.0025)));
    assert!(unstable(None, Some(0.0)));
    // an index that chance may reach is none
    let by_chance = |chance| is_unstable(&HealthOptions::default(), &VALIDATED, (Some(0.3), Some(chance)), None);
    assert!(by_chance(0.29) && !by_chance(0.3));
}

/// Closes one day after another with these composites, and gives the share after each. `!` marks an unstable score.
fn shares(gradual: &mut Gradual, first: i8, days: &[(Option<f64>, bool)]) -> Vec<f64> {
    let options = GradualOptions::default();
    let close = |(n, (composite, unstable)): (usize, &(Option<f64>, bool))| {
        let close = DayClose { day: day(first + n as i8), composite: *composite, degraded: true, unstable: *unstable };
        gradual.close_day(&options, &close);
        gradual.share()
    };
    days.iter().enumerate().map(close).collect()
}

fn day(n: i8) -> TradingDay {
    serde_json::from_value(serde_json::json!(format!("2015-01-{n:02}"))).unwrap()
}

#[test]
fn three_declines_in_a_row_take_the_say_away_in_steps_and_recovery_gives_it_back() {
    let calm = |composite: f64| (Some(composite), false);
    let mut gradual = Gradual::default();
    let fall = [1.0, 0.98, 0.9, 0.8, 0.75, 0.7, 0.6].map(calm);
    assert_eq!(shares(&mut gradual, 1, &fall), [1.0, 1.0, 1.0, 0.5, 0.25, 0.0, 0.0]);
    // half-way between 0.6 and 1.0 is 0.8
    let rise = [0.7, 0.79, 0.8, 0.85, 0.79, 0.9].map(calm);
    assert_eq!(shares(&mut gradual, 8, &rise), [0.0, 0.0, 0.25, 0.5, 0.5, 1.0]);
    // in the five days after, a decline counts for nothing; then it does again
    let again = [0.8, 0.7, 0.6, 0.5, 0.4, 0.3].map(calm);
    assert_eq!(shares(&mut gradual, 14, &again), [1.0, 1.0, 1.0, 1.0, 1.0, 0.5]);
}

#[test]
fn chance_a_day_without_trades_and_a_day_closed_twice_take_nothing_away() {
    let options = GradualOptions::default();
    let mut gradual = Gradual::default();
    for n in 1..=9 {
        let composite = Some(1.2 - 0.01 * f64::from(n));
        assert_eq!(
            gradual.close_day(&options, &DayClose { day: day(n), composite, degraded: false, unstable: false }),
            None
        );
    }
    let mut gradual = Gradual::default();
    let days = [(Some(1.0), false), (Some(0.9), false), (None, false), (Some(0.8), false)];
    assert_eq!(shares(&mut gradual, 1, &days), [1.0; 4]);
    // the day before and the same day again
    assert_eq!(shares(&mut gradual, 3, &[(Some(0.5), false), (Some(0.4), false)]), [1.0; 2]);
    assert_eq!(shares(&mut gradual, 5, &[(Some(0.7), false)]), [0.5]);
}

#[test]
fn an_unstable_score_takes_the_say_away_and_a_stable_one_gives_it_back() {
    let days = [(Some(1.0), true), (None, true), (Some(1.0), false), (None, false), (Some(1.0), false)];
    assert_eq!(shares(&mut Gradual::default(), 1, &days), [0.5, 0.25, 0.5, 1.0, 1.0]);
}

#[test]
fn a_day_without_a_figure_that_is_closed_again_takes_one_step() {
    let (mut gradual, options) = (Gradual::default(), GradualOptions::default());
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
