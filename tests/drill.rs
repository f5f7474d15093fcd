//! The rules tried on trades whose truth is known: what is reported is what can be worked out by hand.
#![expect(clippy::unwrap_used, reason = "what the tests share may fail loudly as well")]

use std::sync::LazyLock;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use vigie::{
    config::Config,
    domain::{Timestamp, TradingCalendar, TradingDay},
    guard::emergency::{RULES, Reported, day_loss, loss_streak},
    models::Facts,
    state::drill::{Damage, DrillOptions, DrillReport, Past, PastTrade, RuleReport, drill},
};

fn day(number: i64) -> TradingDay {
    let at: Timestamp = "2025-01-06T15:00:00Z".parse().unwrap();
    // read once: a test asks for thousands of days
    static CALENDAR: LazyLock<TradingCalendar> = LazyLock::new(|| Config::builtin().unwrap().calendar.clone());
    CALENDAR.day_of(at + jiff::SignedDuration::from_hours(24 * number))
}

fn options() -> DrillOptions {
    let config = Config::builtin().unwrap();
    let mut options = DrillOptions {
        rules: RULES,
        emergency: config.guardian.clone(),
        watch: config.monitoring.watch,
        runs: 10,
        trades: 500,
        block_days: 1.0,
        fall: 0.1,
        shift: 1.0,
        seed: 1,
    };
    options.watch.budget.resampling.resamples = 60;
    options.watch.health.decline.resamples = 300;
    options
}

/// Days of five independent trades, of which the share `right` goes as the score says, winning or losing 100.
fn past(days: i64, right: f64) -> Past {
    let mut rng = Pcg64::seed_from_u64(5);
    let trade = |rng: &mut Pcg64, number| {
        let score = 0.55 + 0.3 * rng.random::<f64>();
        let pnl = if rng.random::<f64>() < right { 100.0 } else { -100.0 };
        PastTrade {
            day: day(number),
            score,
            size: 1.0,
            pnl,
            daily_loss_limit: None,
            facts: Facts::default(),
            reported: Reported::default(),
            row: vec![Some(rng.random())],
        }
    };
    let trades = (0..days).flat_map(|number| (0..5).map(move |_| number)).map(|number| trade(&mut rng, number));
    Past::new(vec!["input".into()], trades.collect())
}

fn rule<'a>(report: &'a DrillReport, name: &str) -> &'a RuleReport {
    report.rules.iter().find(|rule| &*rule.rule == name).unwrap()
}

#[test]
fn false_alarms_of_the_emergencies_are_those_that_can_be_worked_out() {
    let mut options = options();
    options.runs = 16;
    // the lines as they are written: without that a streak is as rare as chance makes it
    options.emergency.literal = true;
    options.trades = 1000;
    options.emergency =
        options.emergency.with(&loss_streak::MAX, 3.0).with(&day_loss::FACTOR, 1.0).with(&day_loss::LIMIT, 450.0);
    // every way in which five trades can end, once: drawn day by day they are independent, and half of them win
    let ended = |number: i64, place: i64| if number >> place & 1 == 1 { 100.0 } else { -100.0 };
    let trade = |number: i64, place: i64| PastTrade {
        day: day(number),
        score: 0.6,
        size: 1.0,
        pnl: ended(number, place),
        daily_loss_limit: None,
        facts: Facts::default(),
        reported: Reported::default(),
        row: Vec::new(),
    };
    let trades = (0..32).flat_map(|number| (0..5).map(move |place| trade(number, place)));
    let report = drill(&Past::new(Vec::new(), trades.collect()), &options, |_| {}).unwrap();
    // four losses in a row take (1 / 0.5^4 - 1) / 0.5 trades on average, and then it starts over; on one of 32 days all is lost
    for (name, expected) in [("loss_streak", 1000.0 / 30.0), ("day_loss", 1000.0 / 160.0)] {
        let found = rule(&report, name);
        let off = (found.false_alarms - expected) / found.error.unwrap();
        assert!(off.abs() < 3.0, "{name}: {found:?} against {expected}");
    }
}

#[test]
fn an_alarm_of_one_emergency_rule_is_not_counted_for_another() {
    let mut options = DrillOptions { runs: 2, trades: 300, ..options() };
    options.emergency = options.emergency.with(&day_loss::LIMIT, 1e9);
    // at twice the size of a strategy that loses the version does harm, and nothing else is wrong with it
    let trade = |number: i64| PastTrade {
        day: day(number / 5),
        score: if number % 3 == 0 { 0.6 } else { 0.4 },
        size: 2.0,
        pnl: if number % 3 == 0 { 100.0 } else { -100.0 },
        daily_loss_limit: None,
        facts: Facts::default(),
        reported: Reported::default(),
        row: Vec::new(),
    };
    let report = drill(&Past::new(Vec::new(), (0..300).map(trade).collect()), &options, |_| {}).unwrap();
    assert!(rule(&report, "harm").false_alarms > 0.0, "{report:?}");
    for name in ["accuracy", "loss_streak", "day_loss"] {
        assert_eq!(rule(&report, name).false_alarms, 0.0, "{name}");
    }
}

#[test]
fn each_damage_is_found_by_the_rules_it_concerns_and_a_worse_one_sooner() {
    let mut shares = Vec::new();
    let report = drill(&past(300, 0.65), &options(), |share| shares.push(share)).unwrap();
    assert!(shares.is_sorted() && shares.last() == Some(&1.0), "{shares:?}");
    assert_eq!((report.trades, report.taken, report.days, report.inputs), (1500, 1500, 300, 1));
    for name in ["accuracy", "composite", "composite_rollback", "cusum"] {
        let delays = &rule(&report, name).delays;
        let median = |damage| delays[&damage].median.unwrap_or(f64::MAX);
        assert!(median(Damage::Reversed) < median(Damage::Fading), "{name}: {delays:?}");
        assert!(delays[&Damage::Reversed].found == 1.0 && !delays.contains_key(&Damage::Shifted), "{name}: {delays:?}");
    }
    let drift = rule(&report, "drift");
    assert!(drift.delays[&Damage::Shifted].found == 1.0 && drift.delays.len() == 1, "{drift:?}");
    assert!(drift.false_alarms < 5.0 && rule(&report, "accuracy").false_alarms < 0.5, "{report:?}");
}

#[test]
fn the_same_seed_gives_the_same_report_and_nothing_to_draw_from_gives_none() {
    let options = DrillOptions { runs: 3, trades: 200, ..options() };
    let past = past(60, 0.6);
    let run = |seed| drill(&past, &DrillOptions { seed, ..options.clone() }, |_| {});
    assert_eq!(run(4), run(4));
    assert_ne!(run(4), run(5));
    assert_eq!(drill(&Past::default(), &options, |_| {}), None);
}
