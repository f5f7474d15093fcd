//! The monitor's decisions, day by day: what is heard becomes a judgement when the trading day turns.
#![expect(clippy::unwrap_used, reason = "what the tests share may fail loudly as well")]

#[path = "common/long.rs"]
mod long;

use std::collections::BTreeMap;

use jiff::{SignedDuration, civil, tz::TimeZone};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use vigie::{
    config::Config,
    domain::{
        Arm, EventKind, Symbol, Timestamp, TradeId, TradingCalendar, VersionId, event::By, lifecycle::State,
        snapshot::TrendRegime,
    },
    guard::{
        alarm::Turn,
        health::{Estimate, Response, Validated},
        monitor::{Learnt, Said, Usual},
        watch::{Health, Judgement, ScoredSignal, Watch, WatchNews, WatchOptions, WatchedVersion},
    },
    lifecycle::{measures::measures, roster::Roster},
    models::{
        Facts, Labeller, Question, Target,
        standard::{Moods, Share, Standard},
    },
    stats::{
        decline::{Limits, SessionTrades},
        drift::{chance, stability},
        reference::Reference,
        sessions::History,
    },
};

const A_DAY: usize = 10;

fn options() -> WatchOptions {
    let mut options = Config::builtin().unwrap().monitoring.watch;
    options.budget.resampling.resamples = 60;
    options
}

fn calendar() -> TradingCalendar {
    TradingCalendar::new(TimeZone::UTC, civil::time(0, 0, 0, 0))
}

fn version(number: u32) -> VersionId {
    format!("ES/{number}").parse().unwrap()
}

/// Two inputs; the second is what the score is.
fn row(rng: &mut Pcg64, shift: f64) -> Vec<Option<f64>> {
    vec![Some(rng.random::<f64>() + shift), None, Some(rng.random::<f64>())]
}

/// A version that learnt from 1,200 rows over 120 days, and was right in three of four trades.
fn made(pnl: Option<f64>) -> Facts {
    Facts { pnl, ..Facts::default() }
}

fn subject(options: &WatchOptions) -> WatchedVersion {
    let mut rng = Pcg64::seed_from_u64(3);
    let rows: Vec<_> = (0..1200).map(|_| row(&mut rng, 0.0)).collect();
    let column = |place: usize| rows.iter().map(|row: &Vec<Option<f64>>| row[place]).collect::<Vec<_>>();
    let columns = [column(0), column(2)];
    let thresholds = WatchedVersion::thresholds(&columns, 120.0, &options.monitor, &options.budget);
    assert_eq!(thresholds.len(), 2);
    let reference = |column: &Vec<Option<f64>>| Reference::of(column.clone()).unwrap();
    let score = Reference::of(column(2).into_iter().map(|value| value.map(score_of))).unwrap();
    let hits: Vec<bool> = (0..1200).map(|_| rng.random::<f64>() < 0.75).collect();
    let trade = |hit: &bool| SessionTrades::of(*hit, if *hit { 100.0 } else { -100.0 }, 100.0);
    let sum = |day: &[bool]| day.iter().map(trade).fold(SessionTrades::default(), SessionTrades::and);
    let history: Vec<SessionTrades> = hits.chunks(5).map(sum).collect();
    let validated = Validated {
        accuracy: 0.75,
        precision: Some(0.75),
        expectancy: Some(50.0),
        score_variance: score.sd() * score.sd(),
        trades: 0,
        memory: 1.0,
    };
    WatchedVersion {
        learnt: Some(Learnt {
            names: vec!["moves".into(), "stays".into()],
            inputs: columns.iter().map(reference).collect(),
            score,
        }),
        places: vec![0, 2],
        thresholds,
        score_limit: None,
        lacks: None,
        limits: Limits::of(&history, 0.5, &options.health.decline),
        validated: Some(validated),
        question: Question::default(),
        standard: None,
        usual: Usual { win_rate: Some(0.5), pnl_sd: Some(100.0), inflation: Some(1.0), win_rate_error: None },
        market: None,
    }
}

/// What the version says: 0.5 to 1 or 0 to 0.5, as the second input is high or low; in the middle of each on average.
fn score_of(input: f64) -> f64 {
    if input >= 0.5 { 0.55 + 0.4 * (2.0 * input - 1.0) } else { 0.05 + 0.4 * 2.0 * input }
}

/// Trading days of signals that all come to an end on their day.
struct Story {
    watch: Watch,
    options: WatchOptions,
    rng: Pcg64,
    day: i64,
}

impl Story {
    fn new() -> Self {
        let options = options();
        let mut watch = Watch::default();
        watch.serve(&options, &[version(1)], |_| subject(&options));
        Self { watch, options, rng: Pcg64::seed_from_u64(8), day: 0 }
    }

    fn at(&self, minute: usize) -> Timestamp {
        let start: Timestamp = "2025-01-06T10:00:00Z".parse().unwrap();
        start + SignedDuration::from_hours(24 * self.day) + SignedDuration::from_mins(minute as i64)
    }

    /// A day on which the version is right with the chance `right`, and the first input has moved by `shift`.
    fn day(&mut self, right: f64, shift: f64) -> Vec<Judgement> {
        self.day += 1;
        let mut judged = Vec::new();
        for number in 0..A_DAY {
            let trade_id = TradeId::new(format!("T{}-{number}", self.day)).unwrap();
            let row = row(&mut self.rng, shift);
            let score = score_of(row[2].unwrap());
            let hit = self.rng.random::<f64>() < right;
            let pnl = if hit == (score >= 0.5) { 100.0 } else { -100.0 };
            let at = self.at(number);
            let signal = ScoredSignal {
                trade_id: trade_id.clone(),
                at,
                symbol: Symbol::new("ES").unwrap(),
                regime: Some(TrendRegime::Range),
                arm: Arm::Ml,
                row,
                said: vec![Said { version: version(1), score, taken: score >= 0.5 }],
            };
            judged.extend(self.hear(WatchNews::Scored(Box::new(signal))));
            judged.extend(self.hear(WatchNews::Closed { trade_id, at, facts: made(Some(pnl)) }));
        }
        judged
    }

    fn hear(&mut self, news: WatchNews) -> Vec<Judgement> {
        self.watch.hear(&self.options, &calendar(), news)
    }

    /// The codes that were raised over `days` days.
    fn raised(&mut self, days: usize, right: f64, shift: f64) -> Vec<String> {
        let judged: Vec<Judgement> = (0..days).flat_map(|_| self.day(right, shift)).collect();
        let turns = judged.iter().flat_map(|judgement| &judgement.turns);
        turns
            .filter_map(|turn| match turn {
                Turn::Raised(alarm) => Some(format!("{} {}", alarm.condition.subject, alarm.condition.code)),
                Turn::Cleared(_) => None,
            })
            .collect()
    }
}

#[test]
fn an_accuracy_is_held_against_that_of_trades_answered_as_those_that_closed() {
    let share = |rate| Share { rate, error: 0.01, trades: 1000 };
    let standard = Standard {
        right: share(0.75),
        yes: share(0.9),
        no: share(0.5),
        moods: Moods::default(),
        wins: Some(share(0.75)),
        win_moods: Moods::default(),
        pace: 5.0,
        taken_pace: 5.0,
    };
    let mut story = Story::new();
    let options = story.options;
    story.watch.serve(&options, &[], |_| unreachable!());
    story.watch.serve(&options, &[version(1)], |_| WatchedVersion { standard: Some(standard), ..subject(&options) });
    let mut said = 0;
    for minute in 0..40 {
        // three of four answers are yes
        let (score, trade_id) = (if minute % 4 == 0 { 0.2 } else { 0.8 }, TradeId::new(format!("T{minute}")).unwrap());
        said += usize::from(score > 0.5);
        let at = story.at(minute);
        let signal = ScoredSignal {
            trade_id: trade_id.clone(),
            at,
            symbol: Symbol::new("ES").unwrap(),
            regime: None,
            arm: Arm::Ml,
            row: row(&mut story.rng, 0.0),
            said: vec![Said { version: version(1), score, taken: score > 0.5 }],
        };
        story.hear(WatchNews::Scored(Box::new(signal)));
        let pnl = if minute % 3 == 0 { -100.0 } else { 100.0 };
        story.hear(WatchNews::Closed { trade_id, at, facts: made(Some(pnl)) });
    }
    assert_eq!(said, 30);
    let Health { figures, validated, expected_accuracy, .. } =
        story.watch.view(&options, &version(1)).unwrap().health.unwrap();
    assert_eq!((validated.accuracy, expected_accuracy), (0.75, Some(0.75 * 0.9 + 0.25 * 0.5)));
    let value = |estimate: Option<Estimate>| estimate.unwrap().value;
    let parts = [
        value(figures.accuracy) / expected_accuracy.unwrap(),
        value(figures.precision) / validated.precision.unwrap(),
        value(figures.expectancy) / validated.expectancy.unwrap(),
    ];
    assert!((value(figures.composite) - parts.iter().sum::<f64>() / 3.0).abs() < 1e-12, "{figures:?}");
}

#[test]
fn a_day_is_judged_once_when_the_next_begins_and_a_day_without_news_never() {
    let mut story = Story::new();
    assert_eq!(story.day(0.75, 0.0), []);
    let judged = story.day(0.75, 0.0);
    assert_eq!(judged.len(), 1);
    assert_eq!((judged[0].day_close.day.to_string().as_str(), &judged[0].version), ("2025-01-07", &version(1)));
    // night falls on the second day; then a weekend passes, and nothing but the second day has closed
    story.day += 1;
    let at = story.at(0);
    assert_eq!(story.hear(WatchNews::Time(at)).len(), 1);
    story.day += 1;
    let at = story.at(0);
    assert_eq!(story.hear(WatchNews::Time(at)), []);
    // a clock that goes back closes nothing
    story.day -= 3;
    assert_eq!(story.day(0.75, 0.0), []);
}

#[test]
fn a_version_as_validated_is_left_in_peace_and_one_that_has_lost_its_edge_is_not() {
    let mut story = Story::new();
    let quiet = story.raised(40, 0.75, 0.0);
    assert!(quiet.len() <= 1, "{quiet:?}");
    let view = story.watch.view(&story.options, &version(1)).unwrap();
    let health = view.health.unwrap();
    assert!(health.figures.trades == 100 && !health.unstable && view.inputs.is_some(), "{view:?}");
    let loud = story.raised(15, 0.4, 0.0);
    for code in ["composite", "composite_share", "composite_retrain", "composite_rollback"] {
        assert!(loud.contains(&format!("ES/1 {code}")), "{code}: {loud:?}");
    }
    let last = story.day(0.4, 0.0).pop().unwrap();
    assert_eq!((last.response, last.day_close.degraded), (Some(Response::RollBack), true));
    assert!(last.day_close.composite.unwrap() < 0.85 && last.evidence["accuracy"] < 0.6, "{last:?}");
}

/// Scores around a mood that lasts for 40 signals on average.
fn moody_scores(rng: &mut Pcg64, n: usize) -> Vec<f64> {
    let mut mood = 0.0;
    let mut score = || {
        if rng.random::<f64>() < 0.025 {
            mood = 0.2 * (rng.random::<f64>() - 0.5);
        }
        0.5 + mood + 0.3 * (rng.random::<f64>() - 0.5)
    };
    (0..n).map(|_| score()).collect()
}

#[test]
fn moods_that_the_scores_always_had_are_not_taken_for_another_score() {
    let (mut options, mut rng) = (options(), Pcg64::seed_from_u64(8));
    // however few quarters are drawn for the inputs, of the scores there are enough for a level of one in a thousand
    options.budget.resampling.resamples = 20;
    let (mut beyond_chance, mut beyond_limit, mut found) = (0, 0, 0);
    let quarters = long::cases(2, 40);
    for _ in 0..quarters {
        let history = moody_scores(&mut rng, 2000);
        let (monitor, budget) = (&options.monitor, &options.budget);
        let limit =
            WatchedVersion::score_limit(&history, 300.0, monitor, budget, options.health.act_level).unwrap().psi;
        let reference = Reference::of(history.iter().copied().map(Some)).unwrap();
        let now = moody_scores(&mut rng, monitor.window + 6 * A_DAY * 10);
        let furthest = |now: &[f64]| {
            let windows = now.windows(monitor.window).step_by(10).filter_map(|window| stability(&reference, window));
            windows.fold(0.0, f64::max)
        };
        let chance = chance(&reference, monitor.window, options.health.act_level).unwrap();
        beyond_chance += usize::from(furthest(&now) > chance.max(options.health.score_psi));
        beyond_limit += usize::from(furthest(&now) > limit);
        let flat: Vec<f64> = now.iter().map(|score| 0.5 + 0.1 * (score - 0.5)).collect();
        found += usize::from(furthest(&flat) > limit);
    }
    println!(
        "of {quarters} quarters {beyond_chance} go beyond chance, {beyond_limit} beyond the limit; {found} flat ones do"
    );
    assert!(beyond_chance > quarters / 2, "{beyond_chance}: these moods are no trial");
    assert!(beyond_limit <= quarters / 10 && found == quarters, "{beyond_limit} {found}");
    assert_eq!(WatchedVersion::score_limit(&[0.5; 150], 30.0, &options.monitor, &options.budget, 0.01), None);
}

#[test]
fn an_input_that_moves_is_told_by_its_name_and_the_others_are_not() {
    let mut story = Story::new();
    story.raised(20, 0.75, 0.0);
    let raised = story.raised(12, 0.75, 0.3);
    assert!(raised.contains(&"ES/1 moves drift".to_owned()), "{raised:?}");
    assert!(!raised.contains(&"ES/1 stays drift".to_owned()), "{raised:?}");
    let held = story.watch.alarms().iter().find(|alarm| &*alarm.condition.code == "drift").unwrap();
    let told = &held.condition.told;
    assert!(told.starts_with("it averaged 0.4990 (deviation 0.2914) where it was learnt from and 0.8"), "{told}");
    assert!(told.contains("over the latest 100 signals; PSI") && held.condition.value.unwrap() > 1.0, "{held:?}");
    // taken out of service it is forgotten, its inputs too
    story.watch.serve(&story.options, &[version(2)], |_| WatchedVersion::default());
    assert!(story.watch.alarms().is_empty());
    let judged = story.day(0.75, 0.0);
    assert_eq!(judged.iter().map(|judgement| &judgement.version).collect::<Vec<_>>(), [&version(2)]);
}

#[test]
fn a_day_is_judged_with_how_far_each_input_the_score_and_each_response_are_from_their_limits() {
    let mut story = Story::new();
    let judged: Vec<Judgement> = (0..32).flat_map(|day| story.day(0.75, if day < 20 { 0.0 } else { 0.3 })).collect();
    // before a window is full no input is measured, and its limits are not told either
    assert!(judged[0].evidence.keys().all(|name| !name.starts_with("psi:") && !name.starts_with("drift:")));
    let drifted = |name: &str| -> Vec<f64> {
        judged.iter().filter_map(|judgement| judgement.evidence.get(name).copied()).collect()
    };
    assert!(
        *drifted("drift:moves").last().unwrap() > 1.0 && drifted("drift:stays").iter().all(|multiple| *multiple < 1.0)
    );
    // what is told is what the alert is raised by
    for judgement in &judged {
        for turn in &judgement.turns {
            let Turn::Raised(alarm) = turn else { continue };
            if &*alarm.condition.code == "drift" {
                assert_eq!(judgement.evidence.get("drift:moves").copied(), alarm.condition.value, "{alarm:?}");
            }
        }
    }
    let last = &judged.last().unwrap().evidence;
    let view = story.watch.view(&story.options, &version(1)).unwrap();
    let health = view.health.unwrap();
    // the day after this one has not closed, so the window is the same
    let limit = |name: &str| last[&*format!("{name}_limit")];
    assert!(
        limit("score_psi") >= story.options.health.score_psi && limit("novelty") == story.options.novelty,
        "{last:?}"
    );
    assert_eq!(last["validated_score_variance"], health.validated.score_variance);
    assert!(last["promised_accuracy"] > 0.5 && last["score_ks"] < limit("score_ks"), "{last:?}");
    for code in ["composite", "composite_share", "composite_retrain", "composite_rollback"] {
        assert!((0.0..1.0).contains(&last[&*format!("decline:{code}")]), "{code}: {last:?}");
    }
    let worse: Vec<Judgement> = (0..40).flat_map(|_| story.day(0.4, 0.0)).collect();
    let alerted = worse.iter().find(|judgement| judgement.response.is_some()).unwrap();
    assert!(alerted.evidence["decline:composite"] >= 1.0, "{:?}", alerted.evidence);
}

#[test]
fn an_input_that_comes_back_and_moves_again_is_told_once_a_quarter() {
    let mut story = Story::new();
    story.raised(20, 0.75, 0.0);
    let mut told = |days: usize, shift: f64| {
        story.raised(days, 0.75, shift).into_iter().filter(|raised| raised == "ES/1 moves drift").count()
    };
    assert_eq!(told(12, 0.3), 1);
    // it has recovered, and what raised it comes again
    assert_eq!((told(20, 0.0), told(12, 0.3)), (0, 0));
    assert_eq!((told(40, 0.0), told(12, 0.3)), (0, 1));
}

#[test]
fn what_was_taken_from_a_version_is_said_of_one_that_spoke_and_of_no_other() {
    for state in [State::Staging, State::Production] {
        let mut roster = Roster::default();
        roster.apply(&EventKind::Trained { version: version(1), evidence: BTreeMap::new() });
        let mut standing = State::Trained;
        while standing != state {
            let step = standing.forward().unwrap();
            standing = step.edge().1;
            let (by, reason) = (By::Uid(0), "a test".to_owned());
            let evidence = BTreeMap::new();
            roster.apply(&EventKind::Moved { version: version(1), step, reason, by, overridden: true, evidence });
        }
        let mut story = Story::new();
        let days: Vec<Judgement> = (0..60).flat_map(|_| story.day(0.3, 0.0)).collect();
        let raises = |judged: &&Judgement| {
            judged
                .turns
                .iter()
                .any(|turn| matches!(turn, Turn::Raised(alarm) if &*alarm.condition.code == "composite_rollback"))
        };
        let judged = days.iter().find(raises).unwrap().clone();
        let found = measures(&roster, judged).unwrap();
        let told: Vec<String> = found
            .alerts
            .iter()
            .filter_map(|alert| match alert {
                EventKind::Alert { code, message, .. } if &**code == "composite_rollback" => Some(message.clone()),
                _ => None,
            })
            .collect();
        let down = told[0].contains("it is rolled back");
        assert_eq!((down, found.out.is_some()), (state == State::Production, state == State::Production), "{told:?}");
        assert!(down || told[0].contains("its share was not reduced"), "{told:?}");
        if let Some(EventKind::Moved { reason, .. }) = found.out {
            assert!(reason.starts_with("it has declined: ") && reason.contains("validation on"), "{reason}");
        }
    }
}

#[test]
fn a_version_with_too_few_validated_sessions_says_what_it_lacks() {
    let options = options();
    let trades: Vec<(usize, bool, f64)> =
        (0..145).map(|n| (n / 5, n % 3 > 0, if n % 3 > 0 { 100.0 } else { -100.0 })).collect();
    let (limits, lacks) = WatchedVersion::declines(&History::of(&trades), &options.health.decline);
    let lacks = lacks.unwrap();
    assert!(limits.is_none() && lacks.contains("on 29 trading days, and 30 are needed"), "{lacks}");
    let mut watch = Watch::default();
    watch
        .serve(&options, &[version(1)], |_| WatchedVersion { lacks: Some(lacks.clone()), ..WatchedVersion::default() });
    assert_eq!(watch.unwatched().into_iter().collect::<Vec<_>>(), [(version(1), lacks)]);
    watch.serve(&options, &[version(2)], |_| subject(&options));
    assert!(watch.unwatched().is_empty());
}

/// A story of a version whose label hangs on a stop that no signal gives.
fn without_labels() -> Story {
    let options = options();
    let mut watch = Watch::default();
    let question = Question::new(Labeller::bare(Target::SignalQuality), 0.5);
    watch.serve(&options, &[version(1)], |_| WatchedVersion { question, ..subject(&options) });
    Story { watch, options, rng: Pcg64::seed_from_u64(8), day: 0 }
}

#[test]
fn a_version_whose_labels_do_not_come_is_watched_by_its_money_and_said_to_be_unwatched_once() {
    let mut story = without_labels();
    let quiet = story.raised(40, 0.75, 0.0);
    assert_eq!(quiet.iter().filter(|code| *code == "ES/1 unwatched").count(), 1, "{quiet:?}");
    let told = story.watch.unwatched().remove(&version(1)).unwrap();
    let field = "they lack execution_context.risk_parameters.stop_ticks";
    assert!(told.contains("100 of 100 closed trades") && told.ends_with(field), "{told}");
    assert!(story.watch.blind(&version(1)).concat().ends_with(field));
    let loud = story.raised(20, 0.35, 0.0);
    for code in ["composite", "composite_share", "composite_retrain", "composite_rollback"] {
        assert!(loud.contains(&format!("ES/1 {code}")), "{code}: {loud:?}");
    }
    assert!(!loud.contains(&"ES/1 unwatched".to_owned()), "{loud:?}");
}

#[test]
fn a_version_of_whose_validation_nothing_is_known_says_so_even_where_declines_are_looked_for() {
    let options = options();
    let mut watch = Watch::default();
    watch.serve(&options, &[version(1)], |_| WatchedVersion { validated: None, ..subject(&options) });
    let told = watch.unwatched().remove(&version(1)).unwrap();
    assert!(told.contains("nothing is known of its validation"), "{told}");
    assert_eq!(watch.blind(&version(1)).len(), 1);
    watch.serve(&options, &[version(2)], |_| subject(&options));
    assert!(watch.blind(&version(2)).is_empty() && watch.unwatched().is_empty());
}

#[test]
fn what_is_remembered_is_bounded_and_an_outcome_counts_once() {
    let mut story = Story::new();
    let at = story.at(0);
    for number in 0..12_000 {
        let signal = ScoredSignal {
            trade_id: TradeId::new(format!("open-{number}")).unwrap(),
            at,
            symbol: Symbol::new("ES").unwrap(),
            regime: None,
            arm: Arm::Baseline,
            row: vec![Some(0.5), None, Some(0.5)],
            said: vec![Said { version: version(1), score: 0.6, taken: true }],
        };
        story.hear(WatchNews::Scored(Box::new(signal)));
    }
    assert_eq!(story.watch.open(), 10_000);
    let close = |id: &str, pnl| WatchNews::Closed { trade_id: TradeId::new(id).unwrap(), at, facts: made(pnl) };
    for news in [close("open-11999", Some(5.0)), close("open-11999", Some(5.0)), close("open-0", Some(5.0))] {
        story.hear(news);
    }
    story.hear(close("open-11998", None));
    assert_eq!((story.watch.open(), story.watch.rolling()["model ES/1"].trades), (9998, 1));
}
