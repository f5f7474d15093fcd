//! The simulated market against what is said of it.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use std::io::Read;

use common::{
    place::Place,
    process::{succeed, vigie},
    real::data,
};
use jiff::{ToSpan, civil::Weekday, tz::TimeZone};
use ndarray::Array2;
use vigie::{
    config::Config,
    domain::{Feature, Inputs, Side, SignalLine},
    features::{formulas, pipeline::Pipeline, ranges, row},
    models::{self, fit_logistic},
    sim::{
        self, ActionKind, Change, Delivery, Poison, Relation, Scenario, Sessions, Shift, SimulationOptions, Tape,
        Trade, Truth, Venue,
    },
    stats::{
        binary::roc_auc,
        describe::{mean, quantile},
        logit::sigmoid,
    },
};

fn venue() -> Venue {
    let config = Config::builtin().unwrap();
    let symbol = vigie::domain::Symbol::new("ES").unwrap();
    Venue { instrument: config.symbols[&symbol], calendar: config.calendar.clone(), symbol }
}

fn trades(options: &SimulationOptions) -> Vec<Trade> {
    Sessions::new(options.clone(), venue()).unwrap().flat_map(|session| session.trades).collect()
}

fn lines(options: &SimulationOptions) -> Vec<String> {
    Tape::new(options.clone(), venue()).unwrap().map(|action| format!("{} {}", action.at, action.line)).collect()
}

fn pnl(trade: &Trade) -> f64 {
    trade.outcome.pnl.unwrap().get()
}

fn won(trades: &[Trade]) -> Vec<bool> {
    trades.iter().map(|trade| trade.truth.won).collect()
}

fn share(holds: impl IntoIterator<Item = bool>) -> f64 {
    let holds: Vec<f64> = holds.into_iter().map(|holds| f64::from(u8::from(holds))).collect();
    mean(&holds).unwrap()
}

/// Independent fates, all delivered.
fn plain(seed: u64, months: u32, edge: f64) -> SimulationOptions {
    SimulationOptions { seed, months, edge, outcome_correlation: 0.0, ..SimulationOptions::default() }
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_one_others() {
    for scenario in Scenario::ALL {
        let options = SimulationOptions::of(scenario, 3, 2);
        let first = lines(&options);
        assert!(first.len() > 500, "{scenario}: {}", first.len());
        assert_eq!(first, lines(&options), "{scenario}");
        assert_ne!(first, lines(&SimulationOptions { seed: 4, ..options }), "{scenario}");
    }
}

#[test]
fn the_wire_takes_every_line_and_no_number_is_out_of_its_range() {
    let config = Config::builtin().unwrap();
    for scenario in Scenario::ALL {
        let mut odd = Vec::new();
        for trade in trades(&SimulationOptions::of(scenario, 5, 3)) {
            let line = sim::wire::closed_trade(&trade.signal, &trade.outcome);
            let read = SignalLine::parse(line.as_bytes()).unwrap_or_else(|error| unreachable!("{error}: {line}"));
            assert_eq!((&read.signal, &read.outcome), (&trade.signal, &Some(trade.outcome.clone())));
            let request = SignalLine::parse(sim::wire::score(&trade.signal).as_bytes()).unwrap();
            assert_eq!((request.signal, request.outcome), (trade.signal.clone(), None));
            let Inputs::Snapshot(snapshot) = &trade.signal.inputs else { unreachable!() };
            assert_eq!(snapshot.battle_navale_analysis.boules.len(), 12);
            ranges::check_snapshot(snapshot, &mut |path, rule, value| odd.push(format!("{path} {rule} {value}")));
            ranges::check_outcome(&trade.outcome, trade.signal.at, &mut |path, rule, value| {
                odd.push(format!("{path} {rule} {value}"));
            });
            // the pnl follows from the prices
            let points = trade.outcome.exit_price.unwrap() - trade.outcome.entry_price.unwrap();
            let money = trade.signal.side.sign() * points / 0.25 * 12.5 - 4.5;
            assert!((money - pnl(&trade)).abs() < 0.01, "{money} {}", pnl(&trade));
            assert_eq!(pnl(&trade) > 0.0, trade.truth.won != trade.truth.poisoned, "{trade:?}");
        }
        assert!(odd.is_empty(), "{scenario}: {odd:?}");
    }
    // what the market knew is what a pipeline sees when nothing is lost
    let mut pipeline = Pipeline::new(config.symbols.clone(), config.calendar.clone(), &config.features).unwrap();
    for trade in trades(&plain(5, 1, 1.0)) {
        assert_eq!(pipeline.inputs(&trade.signal).unwrap(), trade.inputs);
    }
}

#[test]
fn sessions_follow_daylight_saving_and_nothing_happens_in_the_weekend() {
    let zone = TimeZone::get("America/Chicago").unwrap();
    let options = SimulationOptions {
        start: "2025-03-03".parse().unwrap(),
        months: 10,
        ..SimulationOptions::of(Scenario::Happy, 2, 10)
    };
    let sessions: Vec<_> = Sessions::new(options, venue()).unwrap().collect();
    let opening = |day: &str| {
        let session = sessions.iter().find(|session| session.day.to_string() == day).expect(day);
        session.opening.to_string()
    };
    for (day, at) in [
        ("2025-03-07", "2025-03-06T23:00:00Z"), // the last session of winter
        ("2025-03-10", "2025-03-09T22:00:00Z"), // the clocks went forward that Sunday
        ("2025-10-31", "2025-10-30T22:00:00Z"),
        ("2025-11-03", "2025-11-02T23:00:00Z"), // and back
    ] {
        assert_eq!(opening(day), at);
    }
    // 44 weeks of weekdays but for Independence Day, Christmas and New Year's Day
    assert_eq!(sessions.len(), 220 - 3);
    for session in &sessions {
        for trade in &session.trades {
            let close = session.opening + 23.hours();
            assert!(session.opening < trade.signal.at && trade.outcome.exit_at <= close, "{trade:?}");
            assert!(trade.signal.at < trade.outcome.exit_at);
            for at in [trade.signal.at, trade.outcome.exit_at] {
                let local = at.to_zoned(zone.clone());
                let open = match local.weekday() {
                    Weekday::Saturday => false,
                    Weekday::Friday => local.hour() < 16,
                    Weekday::Sunday => local.hour() >= 17,
                    _ => local.hour() != 16,
                };
                assert!(open || (local.hour(), local.minute()) == (16, 0), "{local}");
            }
            let Inputs::Snapshot(snapshot) = &trade.signal.inputs else { unreachable!() };
            let fraction = snapshot.execution_context.session_fraction.unwrap();
            let since = trade.signal.at.duration_since(session.opening).as_secs_f64() / 60.0 / 1380.0;
            assert!((fraction - since).abs() < 1e-4, "{fraction} {since}");
        }
    }
    let ids: Vec<_> = sessions.iter().flat_map(|s| &s.trades).map(|t| t.signal.trade_id.as_str()).collect();
    let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
    assert_eq!(distinct.len(), ids.len());
}

#[test]
fn a_session_has_six_to_twelve_signals_that_overlap() {
    for seed in 1..=5 {
        let sessions: Vec<_> = Sessions::new(plain(seed, 12, 1.0), venue()).unwrap().collect();
        let all: Vec<&Trade> = sessions.iter().flat_map(|session| &session.trades).collect();
        let each = all.len() as f64 / sessions.len() as f64;
        assert!((7.0..=11.0).contains(&each), "seed {seed}: {each}");
        let overlap = share(all.windows(2).map(|pair| pair[0].outcome.exit_at > pair[1].signal.at));
        assert!((0.3..0.8).contains(&overlap), "seed {seed}: {overlap}");
        let longs = share(all.iter().map(|trade| trade.signal.side == Side::Long));
        assert!((0.35..0.65).contains(&longs), "seed {seed}: {longs}");
    }
}

/// Coefficients, the intercept first, of a logistic fit without penalty, and their standard errors: roots of the diagonal
/// of the inverse of X'WX.
fn fit(trades: &[Trade]) -> Vec<(f64, f64)> {
    let width = trades[0].inputs.len();
    let x = Array2::from_shape_fn((trades.len(), width), |(i, j)| trades[i].inputs[j].unwrap());
    let options = models::LogisticOptions { l2: 0.0, tolerance: 1e-10, ..models::LogisticOptions::default() };
    let fitted = fit_logistic(x.view(), &won(trades), &options).unwrap();
    let beta: Vec<f64> = [fitted.intercept].into_iter().chain(fitted.weights).collect();
    let n = width + 1;
    let mut work = vec![vec![0.0; 2 * n]; n]; // X'WX beside the identity
    for row in x.rows() {
        let row: Vec<f64> = [1.0].into_iter().chain(row.iter().copied()).collect();
        let p = sigmoid(row.iter().zip(&beta).map(|(x, b)| x * b).sum());
        for i in 0..n {
            for j in 0..n {
                work[i][j] += p * (1.0 - p) * row[i] * row[j];
            }
        }
    }
    for (i, row) in work.iter_mut().enumerate() {
        row[n + i] = 1.0;
    }
    for i in 0..n {
        let pivot = work[i][i];
        work[i].iter_mut().for_each(|cell| *cell /= pivot);
        let line = work[i].clone();
        for (k, row) in work.iter_mut().enumerate().filter(|(k, _)| *k != i) {
            let factor = row[i];
            assert!(k < n);
            row.iter_mut().zip(&line).for_each(|(cell, other)| *cell -= factor * other);
        }
    }
    beta.into_iter().enumerate().map(|(i, b)| (b, work[i][n + i].sqrt())).collect()
}

#[test]
fn a_logistic_fit_finds_the_planted_slopes_within_two_standard_errors() {
    for (edge, seeds) in [(1.0, 1..=6), (1.3, 11..=14)] {
        let relation = Relation::new(0.0, edge, 0.0);
        let truth: Vec<f64> = [relation.intercept()].into_iter().chain(relation.slopes).collect();
        let mut errors = Vec::new();
        for seed in seeds {
            let found = fit(&trades(&plain(seed, 24, edge)));
            errors.extend(found.iter().zip(&truth).map(|((found, error), truth)| (found - truth) / error));
        }
        let within = share(errors.iter().map(|z| z.abs() <= 2.0));
        let widest = errors.iter().map(|z| z.abs()).fold(0.0, f64::max);
        println!(
            "edge {edge}: {:.1} % of {} within two standard errors, at most {widest:.2}",
            100.0 * within,
            errors.len()
        );
        // 95.4 % should be; the errors of one fit hang together, so some room is left
        assert!(within >= 0.88 && widest < 4.5, "{within} {widest}");
        assert!(mean(&errors).unwrap().abs() < 0.3, "{errors:?}");
    }
}

/// Best possible accuracy by strength of the edge, as docs/simulator.md has it.
const BEST: [(f64, f64); 5] = [(0.0, 0.5), (0.5, 0.605), (1.0, 0.69), (1.3, 0.729), (2.0, 0.795)];

#[test]
fn the_best_possible_accuracy_is_as_stated_and_is_what_the_planted_relation_reaches() {
    for (edge, stated) in BEST {
        let options = plain(21, 36, edge);
        let (all, relation) = (trades(&options), Relation::new(0.0, edge, 0.0));
        let best = sim::bayes_accuracy(all.iter().map(|trade| trade.truth)).unwrap();
        let hit = |trade: &Trade| (relation.probability(&trade.inputs) >= 0.5) == trade.truth.won;
        let reached = share(all.iter().map(hit));
        let wins = share(won(&all));
        println!("edge {edge}: best {best:.4}, reached {reached:.4}, {} trades, {wins:.3} won", all.len());
        assert!((best - stated).abs() < 0.01, "edge {edge}: {best}");
        let error = (best * (1.0 - best) / all.len() as f64).sqrt();
        assert!((reached - best).abs() < 3.5 * error, "edge {edge}: {reached} is not {best}");
        assert!((wins - 0.5).abs() < 0.03, "edge {edge}: {wins}");
    }
}

#[test]
fn without_an_edge_nothing_can_be_foretold() {
    let (relation, mut areas) = (Relation::new(0.0, 1.0, 0.0), Vec::new());
    for seed in 1..=8 {
        let all = trades(&SimulationOptions {
            delivery: Delivery::PERFECT,
            ..SimulationOptions::of(Scenario::NoEdge, seed, 12)
        });
        assert!(all.iter().all(|trade| trade.truth.probability == 0.5));
        let (past, future) = all.split_at(all.len() / 2);
        let weights: Vec<f64> = fit(past).into_iter().map(|(b, _)| b).collect();
        let score = |trade: &Trade| weights[1..].iter().zip(&trade.inputs).map(|(w, x)| w * x.unwrap()).sum::<f64>();
        for (of, scores) in [
            (future, future.iter().map(score).collect::<Vec<f64>>()),
            (&all[..], all.iter().map(|trade| relation.log_odds(&trade.inputs)).collect()),
        ] {
            let auc = roc_auc(&won(of), &scores).unwrap();
            let error = (1.0 / (3.0 * of.len() as f64)).sqrt();
            areas.push((auc - 0.5) / error);
        }
    }
    println!("deviations of the AUC from 0.5, in standard errors: {areas:.2?}");
    assert!(areas.iter().all(|z| z.abs() < 3.5), "{areas:?}");
    assert!(mean(&areas).unwrap().abs() < 1.0, "{areas:?}");
    // the same measure finds an edge where there is one
    let all = trades(&plain(1, 12, 1.0));
    let scores: Vec<f64> = all.iter().map(|trade| relation.log_odds(&trade.inputs)).collect();
    assert!(roc_auc(&won(&all), &scores).unwrap() > 0.68);
}

#[test]
fn pnl_is_heavy_tailed_and_the_fates_of_a_session_hang_together() {
    let options = SimulationOptions { outcome_correlation: 0.2, ..plain(9, 48, 1.0) };
    let kurtosis = |options: &SimulationOptions| {
        let pnls: Vec<f64> = trades(options).iter().map(pnl).collect();
        let middle = mean(&pnls).unwrap();
        let moment = |k: i32| pnls.iter().map(|p| (p - middle).powi(k)).sum::<f64>() / pnls.len() as f64;
        moment(4) / moment(2).powi(2)
    };
    assert!(kurtosis(&options) > 3.3, "{}", kurtosis(&options));
    let clustering = |options: &SimulationOptions| {
        let residual = |trade: &Trade| f64::from(u8::from(trade.truth.won)) - trade.truth.probability;
        let sums = Sessions::new(options.clone(), venue()).unwrap().map(|session| {
            let n = session.trades.len().max(1) as f64;
            session.trades.iter().map(residual).sum::<f64>().powi(2) / n
        });
        mean(&sums.collect::<Vec<f64>>()).unwrap()
    };
    let (bound, free) = (clustering(&options), clustering(&plain(9, 48, 1.0)));
    assert!(bound > 1.5 * free, "{bound} {free}");
}

#[test]
fn what_goes_wrong_on_the_way_changes_nothing_in_the_market() {
    let perfect = SimulationOptions { delivery: Delivery::PERFECT, ..SimulationOptions::of(Scenario::Happy, 6, 6) };
    let poor = Delivery { missing: 2.0, late: 0.2, late_hours: 6.0, duplicates: 0.2, outages_per_month: 6.0 };
    let (good, bad) = (trades(&perfect), trades(&SimulationOptions { delivery: poor, ..perfect.clone() }));
    assert_eq!(good.len(), bad.len());
    for (good, bad) in good.iter().zip(&bad) {
        assert_eq!((&good.truth, &good.outcome, &good.inputs), (&bad.truth, &bad.outcome, &bad.inputs));
        assert!(!good.delivered.lost && good.delivered.reported_at == good.outcome.exit_at);
    }
    let lost = bad.iter().filter(|trade| trade.delivered.lost).count();
    let late = share(bad.iter().map(|trade| trade.delivered.reported_at > trade.outcome.exit_at));
    assert!(lost > 5 && (0.15..0.3).contains(&late), "{lost} {late}");
    let vix = |trade: &Trade| matches!(&trade.signal.inputs, Inputs::Snapshot(s) if s.market_state.vix.is_none());
    let missing = share(bad.iter().map(vix));
    assert!((0.05..0.11).contains(&missing), "{missing}");
    let tape: Vec<_> = Tape::new(SimulationOptions { delivery: poor, ..perfect }, venue()).unwrap().collect();
    assert!(tape.windows(2).all(|pair| pair[0].at <= pair[1].at));
    let of = |kind, again| tape.iter().filter(|action| action.kind == kind && action.again == again).count();
    let sent = bad.len() - lost;
    assert_eq!((of(ActionKind::Signal, false), of(ActionKind::Outcome, false)), (sent, sent));
    for kind in [ActionKind::Signal, ActionKind::Outcome] {
        let twice = of(kind, true) as f64 / sent as f64;
        assert!((0.15..0.25).contains(&twice), "{twice}");
    }
    let mut told = std::collections::BTreeSet::new();
    for action in &tape {
        match action.kind {
            ActionKind::Signal => drop(told.insert(&action.trade_id)),
            ActionKind::Outcome => assert!(told.contains(&action.trade_id), "an outcome before its signal"),
        }
    }
}

#[test]
fn a_change_does_what_it_says_from_its_session_on_and_nothing_before() {
    let base = plain(4, 12, 1.3);
    let with = |what| {
        let changes = vec![Change { what, from: 120, ramp: 0, until: None }];
        trades(&SimulationOptions { changes, ..base.clone() })
    };
    let before = |all: &[Trade]| all.iter().filter(|t| t.truth.session < 120).cloned().collect::<Vec<_>>();
    let after = |all: &[Trade]| all.iter().filter(|t| t.truth.session >= 120).cloned().collect::<Vec<_>>();
    let plain = trades(&base);
    let old = Relation::new(0.0, 1.3, 0.0);
    let accuracy = |all: &[Trade]| share(all.iter().map(|t| (old.probability(&t.inputs) >= 0.5) == t.truth.won));
    let middle = |all: &[Trade], feature: Feature| {
        let place = Feature::ALL.iter().position(|known| *known == feature).unwrap();
        mean(&all.iter().map(|trade| trade.inputs[place].unwrap()).collect::<Vec<_>>()).unwrap()
    };
    let size = |all: &[Trade]| mean(&all.iter().map(|trade| pnl(trade).abs()).collect::<Vec<_>>()).unwrap();
    assert!(accuracy(&after(&plain)) > 0.66);
    for what in
        [Shift::Turn(1.0), Shift::Strength(-1.0), Shift::BaseRate(-1.0), Shift::Inputs(1.0), Shift::Volatility(3.0)]
    {
        let changed = with(what);
        assert_eq!(before(&plain), before(&changed), "{what:?}");
        let (was, is) = (after(&plain), after(&changed));
        match what {
            Shift::Turn(_) => {
                assert!((0.42..0.57).contains(&accuracy(&is)), "{}", accuracy(&is));
                let best = sim::bayes_accuracy(is.iter().map(|trade| trade.truth)).unwrap();
                assert!(best > 0.66, "a new model can learn it: {best}");
            }
            Shift::Strength(_) => assert!(accuracy(&is) < 0.36, "{}", accuracy(&is)),
            Shift::BaseRate(_) => assert!(share(won(&is)) < share(won(&was)) - 0.13),
            Shift::Inputs(_) => {
                let moved = |feature| middle(&is, feature) - middle(&was, feature);
                assert!(moved(Feature::MarketVolatility) > 0.08 && moved(Feature::EsNqCorrelation) < -0.01);
                assert!(moved(Feature::BidAskSpread) > 0.03 && moved(Feature::VolumeConfirmation) > 0.02);
            }
            Shift::Volatility(_) => assert!(size(&is) > 2.0 * size(&was), "{} {}", size(&is), size(&was)),
        }
    }
    let poisoned =
        trades(&SimulationOptions { poison: Some(Poison { from: 50, sessions: 10, share: 0.9 }), ..base.clone() });
    let in_it = |t: &&Trade| (50..60).contains(&t.truth.session);
    assert!(share(poisoned.iter().filter(in_it).map(|t| t.truth.poisoned)) > 0.8);
    assert!(!poisoned.iter().any(|t| !in_it(&t) && t.truth.poisoned));
    let same = |a: &Truth, b: &Truth| (a.won, a.probability) == (b.won, b.probability);
    assert!(plain.iter().zip(&poisoned).all(|(a, b)| same(&a.truth, &b.truth)));
}

#[test]
fn only_the_crash_loses_more_in_a_day_than_twice_the_limit() {
    let days = |scenario| {
        let (mut over, mut days) = (0, 0);
        for seed in 1..=10 {
            let options = SimulationOptions::of(scenario, seed, 6);
            for session in Sessions::new(options.clone(), venue()).unwrap() {
                days += 1;
                let worst = session.trades.iter().map(pnl).sum::<f64>();
                over += usize::from(worst < -2.0 * options.daily_loss_limit);
            }
        }
        println!("{scenario}: {over} of {days} days lose more than twice the limit");
        over
    };
    assert_eq!(days(Scenario::Happy), 0);
    assert!(days(Scenario::Crash) >= 5);
}

#[test]
fn a_month_takes_far_less_than_a_tenth_of_a_second() {
    let fastest = (0..5)
        .map(|seed| {
            let watch = vigie::clock::Stopwatch::start();
            let made = Tape::new(SimulationOptions::of(Scenario::Happy, seed, 1), venue()).unwrap().count();
            assert!(made > 200);
            watch.elapsed()
        })
        .min()
        .unwrap();
    println!("a month in {fastest:?}");
    assert!(fastest.as_secs_f64() < 0.1, "{fastest:?}");
}

#[test]
fn what_simulate_writes_is_imported_whole_and_can_be_learnt_from() {
    let place = Place::new();
    let run = |arguments: &[&str]| String::from_utf8(succeed(&place, arguments).stdout).unwrap();
    let told =
        run(&["simulate", "--json", "--months", "6", "--seed", "8", "--out", "a.jsonl.gz", "--truth", "truth.jsonl"]);
    let summary: serde_json::Value = serde_json::from_str(&told).unwrap();
    let trades = summary["trades"].as_u64().unwrap();
    run(&["simulate", "--months", "6", "--seed", "8", "--out", "b.jsonl"]);
    let (gzipped, plain) = (place.folder().join("a.jsonl.gz"), place.folder().join("b.jsonl"));
    let mut unpacked = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(gzipped).unwrap()).read_to_string(&mut unpacked).unwrap();
    assert_eq!(unpacked, std::fs::read_to_string(plain).unwrap());
    let truths = std::fs::read_to_string(place.folder().join("truth.jsonl")).unwrap();
    let first: serde_json::Value = serde_json::from_str(truths.lines().next().unwrap()).unwrap();
    assert!(first["probability"].is_number() && first["won"].is_boolean() && first["trade_id"].is_string());
    assert_eq!((truths.lines().count(), unpacked.lines().count()), (trades as usize, trades as usize));
    let imported = run(&["import", "--json", "--state", "state", "a.jsonl.gz"]);
    let imported: serde_json::Value = serde_json::from_str(&imported).unwrap();
    assert_eq!((&imported["stored"], &imported["rejected"]), (&trades.into(), &0.into()));
    let refused = vigie(&place, &["simulate", "--edge", "9", "--out", "c.jsonl"]).output().unwrap();
    let message = String::from_utf8(refused.stderr).unwrap();
    assert!(refused.status.code() == Some(1) && message.contains("edge is 9; it must be -5 to 5"), "{message}");
    let unknown = vigie(&place, &["simulate", "--scenario", "sunny", "--out", "c.jsonl"]).output().unwrap();
    assert_eq!(unknown.status.code(), Some(2));
}

/// Raw features and the confidence of the real trades in `file`, column by column.
fn real(file: &str) -> Vec<Vec<f64>> {
    let file = std::fs::File::open(file).unwrap();
    let mut text = String::new();
    flate2::read::MultiGzDecoder::new(file).read_to_string(&mut text).unwrap();
    let signals = text.lines().map(|line| SignalLine::parse(line.as_bytes()).unwrap().signal);
    columns(signals)
}

/// The known values of each input, directional ones turned to the side of the trade.
fn columns(signals: impl Iterator<Item = vigie::domain::Signal>) -> Vec<Vec<f64>> {
    let Venue { instrument, calendar, .. } = venue();
    let mut columns = vec![Vec::new(); row::BUILT_IN];
    for signal in signals {
        let mut values = formulas::compute(&signal, instrument, &calendar).to_array().to_vec();
        values.push(signal.confidence.map(|confidence| confidence.get()));
        row::align(signal.side, &mut values);
        columns.iter_mut().zip(values).for_each(|(column, value)| column.extend(value));
    }
    columns
}

#[test]
fn the_inputs_are_distributed_much_as_those_of_real_trades() {
    let simulated =
        columns(trades(&SimulationOptions::of(Scenario::Happy, 1, 24)).into_iter().map(|trade| trade.signal));
    let Some(file) = data() else { return };
    let real = real(&file);
    let shares = [0.05, 0.25, 0.5, 0.75, 0.95];
    let quantiles = |column: &[f64]| shares.map(|q| quantile(column, q).unwrap_or(f64::NAN));
    println!("| input | simulated, 5 25 50 75 95 % | real |\n| --- | --- | --- |");
    let (schema, mut far) = (row::Schema::built_in(), Vec::new());
    for (place, name) in schema.names().enumerate() {
        let own = quantiles(&simulated[place]);
        let theirs = Some(quantiles(&real[place])).filter(|all| all[0].is_finite());
        let show = |all: [f64; 5]| all.map(|value| format!("{value:.2}")).join(" ");
        println!("| {name} | {} | {} |", show(own), theirs.map_or("unknown".to_owned(), show));
        // quantiles of three values say little; and in the real trades the spread is always one tick
        let Some(theirs) =
            theirs.filter(|_| name != Feature::BidAskSpread.name() && name != Feature::DowTrendRegime.name())
        else {
            continue;
        };
        let range = Feature::ALL.get(place).map_or(1.0, |feature| 1.0 - feature.lowest().min(0.0));
        let range = if place == 0 { 2.0 } else { range };
        for ((own, theirs), bound) in own.iter().zip(theirs).zip([0.4, 0.2, 0.2, 0.2, 0.4]) {
            if (own - theirs).abs() > bound * range {
                far.push(format!("{name}: {own:.3} is far from {theirs:.3}"));
            }
        }
    }
    assert!(far.is_empty(), "{far:#?}");
    let ranges = [&simulated, &real].map(|all| share(all[2].iter().map(|trend| *trend == 0.0)));
    assert!((ranges[0] - ranges[1]).abs() < 0.15, "share of ranges: {ranges:?}");
}
