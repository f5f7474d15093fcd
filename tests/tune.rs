//! What would have happened under another configuration: `vigie tune` on journals that a daemon wrote.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use std::collections::BTreeSet;

use common::{
    daemon::{Daemon, Setup},
    market::{Market, TRADES_A_DAY, config, settle, trade},
    place::Place,
    process::succeed,
    wait::until,
    wire::{RESUME, Wire},
};
use serde_json::{Value, json};
use vigie::{
    actors::daemon::Time,
    config::Config,
    domain::{Arm, Symbol, lifecycle::State},
    lifecycle::happening::Happening,
    recall::{fold, retold::Retold},
    sim::{
        Scenario, SimulationOptions, Tape, Venue,
        execution::{Answered, Execution},
        tape::ActionKind,
    },
    state::replay::{Line, Replay, Thresholds, compare, recorded},
};

fn happenings(place: &Place, config: &Config) -> Vec<Happening> {
    fold::happenings(&place.reader(), config).unwrap()
}

/// The past of `place` under `config`, which is in force.
fn retold(place: &Place, config: &Config) -> Replay {
    let reader = place.reader();
    let past = Retold::of(&reader, config).unwrap();
    let thresholds = Thresholds {
        calendar: config.calendar.clone(),
        keep: fold::open_trades_keep(config),
        guardian: config.guardian.clone(),
        gradual: config.gradual,
        staging: config.staging,
        experiment: config.experiment.clone(),
        automatic: config.lifecycle.automatic,
        policy: config.policy,
        by_policy: false,
        watching: Some(past.watching(config).unwrap()),
    };
    past.under(config, &thresholds).unwrap()
}

/// Trials that are over soon, and a monitor that soon has something to say.
fn watched(more: &str) -> String {
    let quiet = "window = 5000\n[health]\nmin_trades = 5000\nscore_psi = 10\nvariance_factor = 1000\n";
    let text = config(more);
    assert!(text.contains(quiet));
    text.replace(quiet, "window = 100\n[health]\nmin_trades = 50\n")
}

/// The same, with budgets that leave no room for a decline: what the trials and the shrinking say come to is looked at.
fn watched_only() -> String {
    watched("").replace("min_trades = 50\n", "min_trades = 50\nsmall_fall = 0.001\nlarge_fall = 0.002\nalert_budget = 1e-9\nshare_budget = 1e-9\nretrain_budget = 1e-9\nrollback_budget = 1e-9\n")
}

fn tune(place: &Place, in_force: &str, other: &str) -> Value {
    place.file("in_force.toml", in_force);
    place.file("other.toml", other);
    let arguments = ["tune", "--json", "--state", "state", "--in-force", "in_force.toml", "--config", "other.toml"];
    let (first, second) = (succeed(place, &arguments).stdout, succeed(place, &arguments).stdout);
    assert_eq!(first, second, "the same twice");
    serde_json::from_slice(&first).unwrap()
}

/// Waits until the router and the monitor have nothing to do, and what they found has been done. The monitor first, as in a
/// replay: it answers `drift` when it has heard everything, and what it found is with the guardian then.
fn done(wire: &mut Wire) {
    let hears = |wire: &mut Wire| (wire.ask(r#"{"type":"drift"}"#)["ok"] == true).then_some(());
    until("a monitor that has heard everything", || hears(wire));
    settle(wire);
    wire.status();
    settle(wire);
}

/// A journal of a daemon under `config` whose version begins in `state`; `at_evening` is told after each day.
fn lived(
    config: &str,
    state: State,
    market: Market,
    days: usize,
    mut at_evening: impl FnMut(&mut Wire, usize),
) -> Place {
    let place = Place::with_model(state);
    let setup = Setup { config: config.to_owned(), time: Time::Event, ..Setup::default() };
    let daemon = Daemon::start_with(&place, setup);
    let mut wire = daemon.connect();
    for day in 0..days {
        for k in 0..TRADES_A_DAY {
            // what follows is done before anything else comes, as in a replay
            trade(&mut wire, market, day, k, done);
        }
        at_evening(&mut wire, day);
        done(&mut wire);
    }
    daemon.stop();
    place
}

/// Both columns of the rows whose text holds `part`.
fn rows(told: &Value, part: &str) -> Vec<(bool, bool)> {
    let rows = told["comparison"]["rows"].as_array().unwrap();
    let holds = |row: &Value, name: &str| row[name].as_str().is_some_and(|text| text.contains(part));
    let both = rows.iter().map(|row| (holds(row, "in_force"), holds(row, "other")));
    both.filter(|(one, two)| *one || *two).collect()
}

/// What was done, without a smaller share of a version that went at the same moment: the monitor and the router look when
/// the same day closes, and either may come first.
fn decided(lines: &[Line]) -> Vec<&Line> {
    let gone = |line: &Line| line.text.contains(" rolled_back: ") || line.text.contains(" archived: ");
    let moot =
        |line: &Line| line.text.contains(" share ") && lines.iter().any(|other| gone(other) && other.at == line.at);
    lines.iter().filter(|line| !moot(line)).collect()
}

/// A journal of sixteen days of a version that begins in `state`, under `text`; the line of its last step begins with `last`.
fn finds_every_step(text: &str, state: State, market: Market, last: &str) {
    let place = lived(text, state, market, 16, |_, _| ());
    let parsed = Config::parse("test", text).unwrap();
    let happenings = happenings(&place, &parsed);
    let event = |happening: &Happening| match happening {
        Happening::Event(event) => recorded(event, true),
        _ => None,
    };
    let own: Vec<Line> = happenings.iter().filter_map(event).collect();
    let told = retold(&place, &parsed);
    let anew: Vec<_> = told.lines.iter().filter(|line| !line.text.contains("by order")).cloned().collect();
    assert!(own.iter().any(|line| line.text.starts_with(last)), "{own:?}");
    // what the place registered is not the daemon's own
    let anew: Vec<_> = anew.into_iter().filter(|line| !line.text.ends_with("trained")).collect();
    assert_eq!(decided(&anew), decided(&own), "the same steps for the same reasons at the same times");
    let heard =
        |happening: &&Happening| matches!(happening, Happening::Scored { entry, .. } if entry.speaker().is_some());
    assert_eq!(told.heard, happenings.iter().filter(heard).count(), "each trade in its arm");
    let traded: f64 = happenings
        .iter()
        .map(|happening| match happening {
            Happening::Closed { outcome, .. } => outcome.pnl.unwrap().get(),
            _ => 0.0,
        })
        .sum();
    let comparison = compare(&told, &retold(&place, &parsed));
    assert!(comparison.same && comparison.pnl.difference == Some(0.0) && comparison.pnl.changed == 0);
    assert!((comparison.pnl.in_force - traded).abs() < 1e-9, "{:?} is not {traded}", comparison.pnl);
    let by_command = tune(&place, text, text);
    assert_eq!((&by_command["comparison"]["same"], &by_command["changed_keys"]), (&json!(true), &json!([])));
}

#[test]
fn the_configuration_in_force_finds_every_step_that_the_daemon_took_and_nothing_differs_from_itself() {
    let text = &watched_only();
    // what has no share of the signals is not shipped, so its score counts as stable here
    let stable = &text.replace("min_trades = 50\n", "min_trades = 50\nscore_psi = 10\nvariance_factor = 1000\n");
    // side by side: each waits for its daemon most of the time
    std::thread::scope(|scope| {
        for (text, state, market, last) in [
            (stable, State::Staging, Market::Foreseen, "ES/1 production: ship"),
            (text, State::AbTest, Market::Contrary, "ES/1 rolled_back: stop for harm"),
            (text, State::AbTest, Market::Indifferent, "ES/1 archived: futile"),
        ] {
            scope.spawn(move || finds_every_step(text, state, market, last));
        }
    });
}

#[test]
fn a_looser_limit_leaves_the_version_in_and_says_which_trades_nobody_knows() {
    let strict = config("").replace("max_loss_streak = 99", "max_loss_streak = 3");
    let place = lived(&strict, State::Production, Market::Contrary, 6, |wire, day| {
        if day == 2 {
            wire.ask_ok(RESUME);
        }
    });
    let told = tune(&place, &strict, &config(""));
    assert_eq!(told["changed_keys"][0][0], "guardian.max_loss_streak", "{told}");
    assert_eq!(rows(&told, "loss_streak 4 > 3"), [(true, false), (true, false)], "the emergency and the step: {told}");
    assert_eq!(rows(&told, "(not done: serving is not locked)"), [(false, true)], "{told}");
    assert_eq!(
        (&told["in_force"]["standing"]["ES/1"], &told["other"]["standing"]["ES/1"]),
        (&json!("rolled_back"), &json!("production"))
    );
    let pnl = &told["comparison"]["pnl"];
    assert!(pnl["unknown_other"].as_u64() > pnl["unknown_in_force"].as_u64(), "{pnl}");
}

#[test]
fn a_stricter_limit_takes_the_version_down_and_tells_what_the_strategy_alone_would_have_earned() {
    // every trade is taken, at some size, so that every fate is known
    let loose = config("").replace("blend_weight = 1", "blend_weight = 0\n[sizing]\nmin = 0.25\nrule = \"bet\"");
    let loose = loose.replace("max_loss_streak = 99", "max_loss_streak = 15");
    let strict =
        loose.replace("min_accuracy = 0\n", "min_accuracy = 0.4\naccuracy_window = 20\naccuracy_min_trades = 10\n");
    let place = lived(&loose, State::Production, Market::Contrary, 4, |_, _| ());
    let told = tune(&place, &loose, &strict);
    assert!(rows(&told, "emergency of ES/1: accuracy").contains(&(false, true)), "{told}");
    let pnl = &told["comparison"]["pnl"];
    assert_eq!((&pnl["unknown_in_force"], &pnl["unknown_other"]), (&json!(0), &json!(0)));
    assert!(pnl["changed"].as_u64().unwrap() > 0, "{pnl}");
    // what the strategy alone earns with each trade is known
    let alone = |day: usize, k: usize| Market::Contrary.pnl(day, k, k.is_multiple_of(2));
    let first = told["comparison"]["rows"].as_array().unwrap().iter().find(|row| row["in_force"].is_null()).unwrap();
    let at = first["at"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let config = Config::parse("test", &loose).unwrap();
    let (mut expected, mut tripped, mut silent) = (0.0, false, BTreeSet::new());
    for happening in happenings(&place, &config) {
        match happening {
            Happening::Scored { entry, .. } if tripped => drop(silent.insert(entry.trade_id)),
            Happening::Closed { at: closed_at, trade_id, outcome, .. } => {
                tripped |= closed_at == at;
                let numbers = trade_id.as_str().split('-').skip(1).map(|n| n.parse().unwrap());
                let [day, k] = numbers.collect::<Vec<usize>>()[..] else { panic!("{trade_id}") };
                expected += if silent.contains(&trade_id) { alone(day, k) } else { outcome.pnl.unwrap().get() };
            }
            _ => {}
        }
    }
    assert!(!silent.is_empty());
    assert!((pnl["other"].as_f64().unwrap() - expected).abs() < 1e-6, "{pnl} is not {expected}");
}

#[test]
fn another_threshold_for_trades_is_followed_from_the_recorded_scores() {
    let text = config("");
    let place = lived(&text, State::Production, Market::Foreseen, 3, |_, _| ());
    // at a threshold of 1 the version lets everything go
    let told = tune(&place, &text, &text.replace("blend_weight = 1", "blend_weight = 1\ntrade_threshold = 1.0"));
    let pnl = &told["comparison"]["pnl"];
    assert!(pnl["other"].as_f64() < pnl["in_force"].as_f64() && pnl["changed"].as_u64() > Some(0), "{pnl}");
    // and with everything held back the strategy alone trades, also what was let go, of which nobody knows
    let told = tune(&place, &text, &text.replace("blend_weight = 1", "blend_weight = 1\nholdback = 1.0"));
    assert_eq!(told["other"]["heard"], 0, "{told}");
    let (pnl, number) = (&told["comparison"]["pnl"], |name: &str| told["comparison"]["pnl"][name].as_u64().unwrap());
    assert!(number("unknown_other") > 0 && number("unknown") >= number("unknown_other"), "{pnl}");
    // what is left was traded under both, and would be a difference of 0
    assert_eq!((&pnl["difference"], number("changed")), (&Value::Null, 0), "{pnl}");
    let arguments = ["tune", "--state", "state", "--in-force", "in_force.toml", "--config", "other.toml"];
    let text = String::from_utf8(succeed(&place, &arguments).stdout).unwrap();
    let (unknown, all) = (number("unknown"), number("unknown") + number("signals"));
    assert!(text.contains(&format!("no difference is given: of {all} signals the result of {unknown} (")), "{text}");
    assert!(!text.contains("difference +") && !text.contains("difference -"), "{text}");
}

/// A version that begins in `state`, under two configurations of which one alone takes its share.
fn shares_change_who_hears(state: State) {
    let [quiet, watched] = [config(""), watched_only()];
    let heard = |in_force: &str, other: &str| {
        let told = tune(&lived(in_force, state, Market::Indifferent, 12, |_, _| ()), in_force, other);
        assert!(!rows(&told, "ES/1 share ").is_empty(), "{told}");
        ["in_force", "other"].map(|name| told[name]["heard"].as_u64().unwrap())
    };
    let [all, fewer] = heard(&quiet, &watched);
    assert!(fewer < all * 3 / 4, "{state:?}: {fewer} against {all}");
    // a journal in which the shares did shrink, under the configuration in which they would not have
    assert_eq!(heard(&watched, &quiet), [fewer, all], "{state:?}");
}

#[test]
fn a_share_that_only_the_other_configuration_changes_changes_who_hears_the_model() {
    // the same monitor that is quiet in the one finds the scores unstable in the other
    std::thread::scope(|scope| {
        for state in [State::Production, State::AbTest] {
            scope.spawn(move || shares_change_who_hears(state));
        }
    });
}

#[test]
fn a_simulated_month_under_two_configurations() {
    let text = watched("[sizing]\nmin = 0.25\nrule = \"bet\"\n").replace("max_loss_streak = 99", "max_loss_streak = 8");
    let parsed = Config::parse("test", &text).unwrap();
    let symbol = Symbol::new("ES").unwrap();
    let venue = Venue { instrument: parsed.symbols[&symbol], symbol, calendar: parsed.calendar.clone() };
    let options =
        SimulationOptions { start: "2025-02-03".parse().unwrap(), ..SimulationOptions::of(Scenario::Happy, 5, 1) };
    let place = Place::with_model(State::Staging);
    let daemon = Daemon::start_with(&place, Setup { config: text.clone(), time: Time::Event, ..Setup::default() });
    let mut wire = daemon.connect();
    let mut execution = Execution::default();
    for action in Tape::new(options, venue).unwrap() {
        let Some(line) = execution.request(&action) else {
            execution.closed(&action);
            continue;
        };
        let answer = wire.ask_ok(line);
        if action.kind == ActionKind::Signal {
            let arm = if answer["arm"] == "ml" { Arm::Ml } else { Arm::Baseline };
            let answered = Answered { arm, size: answer["size"].as_f64().unwrap() };
            if let Some(skip) = execution.answered(&action.trade_id, answered) {
                wire.ask_ok(skip);
            }
        }
        execution.closed(&action);
        done(&mut wire);
    }
    done(&mut wire);
    daemon.stop();
    place.file("in_force.toml", &text);
    place.file(
        "other.toml",
        &text
            .replace("max_loss_streak = 8", "max_loss_streak = 2")
            .replace("planned_sessions = 12", "planned_sessions = 24"),
    );
    let arguments = ["tune", "--state", "state", "--in-force", "in_force.toml", "--config", "other.toml"];
    let told = String::from_utf8(succeed(&place, &arguments).stdout).unwrap();
    insta::assert_snapshot!(told);
}
