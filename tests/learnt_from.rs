//! What models learn from: labels that no outcome selects, what was known when, and what a version sees in service.
#![expect(clippy::unwrap_used, reason = "what the tests share may fail loudly as well")]

use ndarray::Array2;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use serde_json::{Value, json};
use vigie::{
    config::Config,
    discovery::prepare,
    domain::{SignalLine, Symbol, Timestamp, VersionId},
    features::pipeline::Pipeline,
    models::{Kind, LogisticOptions, ModelRecord, Solver, Target, stack},
    recall::learning::settings,
    validation::{
        Examples, Goal, Ledger, Recipe, ValidationReport,
        figures::Figures,
        fitter::TrainingSet,
        gather::gather,
        training::{Birth, History, Order, TrainError, Trained, revalidate, train},
    },
};

#[path = "common/planted.rs"]
mod planted;

const CONFIG: &str = "training.allow_levels = [\"linear\"]\ntraining.min_trades = 200\ntraining.min_test_trades = 50\ntraining.strengths = [1.0, 100.0]\n\
                      validation.bootstrap = 2\nvalidation.null = 20\nvalidation.importance = 2\nvalidation.folds = 2\n\
                      validation.steps = 2\nvalidation.groups = 3\n";

fn config(more: &str) -> Config {
    Config::parse("test", &format!("{CONFIG}{more}")).unwrap_or_else(|error| unreachable!("{error:?}"))
}

fn es() -> Symbol {
    Symbol::new("ES").unwrap()
}

fn at(row: usize, minutes: i64) -> Timestamp {
    let start: Timestamp = "2015-01-05T14:00:00Z".parse().unwrap();
    start
        + jiff::SignedDuration::from_hours((row / 4 * 24 + row % 4 * 2) as i64)
        + jiff::SignedDuration::from_mins(minutes)
}

/// Trades of features alone, four a day, each changed by `change` before it is read.
fn history(rows: usize, change: impl Fn(usize, &mut Value)) -> History {
    let mut rng = Pcg64::seed_from_u64(7);
    let mut history = History::default();
    for row in 0..rows {
        let [a, b] = [0, 1].map(|_| rng.random_range(-1.0..1.0_f64));
        let won = rng.random::<f64>() < 1.0 / (1.0 + (-2.0 * (a - b)).exp());
        let pnl = rng.random_range(50.0..150.0_f64) * if won { 1.0 } else { -1.0 };
        let mut line = json!({
            "trade_id": format!("T-{row}"), "at": at(row, 0), "symbol": "ES", "side": "long", "confidence": 0.5,
            "features": { "recent_momentum": a, "es_nq_correlation": b },
            "outcome_metrics": {
                "exit_at": at(row, 45), "pnl": pnl, "exit_reason": if won { "take_profit" } else { "stop_loss" }, "bars_held": 9,
            },
        });
        change(row, &mut line);
        let line = SignalLine::parse(line.to_string().as_bytes()).unwrap_or_else(|error| unreachable!("{error}"));
        history.outcomes.insert(line.signal.trade_id.clone(), line.outcome.unwrap());
        history.signals.push(line.signal);
    }
    history
}

fn trained(target: Target, days: Option<u32>, history: &History, config: &Config) -> Result<Trained, TrainError> {
    let birth = Birth {
        id: VersionId { symbol: es(), number: 1 },
        created_at: "2020-01-01T00:00:00Z".parse().unwrap(),
        parent: None,
    };
    let order = Order { symbol: es(), model: None, target: Some(target), days };
    train(birth, &order, history, &settings(config), &Ledger::default(), &mut |_, _| ())
}

fn refusal(target: Target, history: &History, config: &Config) -> (&'static str, String) {
    let error = trained(target, None, history, config).unwrap_err();
    (error.code(), error.to_string())
}

#[test]
fn a_pnl_that_is_withheld_by_how_the_trade_ended_refuses_every_target() {
    // half of the losers do not tell what they lost
    let withheld = |share: usize| {
        history(400, move |row, line| {
            if line["outcome_metrics"]["pnl"].as_f64().is_some_and(|pnl| pnl < 0.0) && row % share == 0 {
                line["outcome_metrics"].as_object_mut().unwrap().remove("pnl");
            }
            line["outcome_metrics"]["mfe_bars"] = json!(row % 7);
        })
    };
    let sure = config("targets.stop_ticks = 8\n");
    for target in Target::ALL {
        let (code, message) = refusal(target, &withheld(2), &sure);
        assert_eq!(code, "unlabelled", "{target}: {message}");
        assert!(message.contains("outcome_metrics.pnl") && message.contains("of 400 closed trades"), "{message}");
        assert!(trained(target, None, &withheld(40), &sure).is_ok(), "{target}: one in forty may lack it");
    }
}

#[test]
fn a_target_whose_trades_do_not_say_what_it_is_is_refused_by_the_missing_field() {
    let bare = history(400, |_, _| ());
    for target in [Target::SignalQuality, Target::SignalStrength] {
        let (code, message) = refusal(target, &bare, &config(""));
        assert_eq!(code, "unlabelled", "{message}");
        let named = message.contains("execution_context.risk_parameters.stop_ticks") && message.contains("400 of 400");
        assert!(named && message.contains("targets.stop_ticks"), "{message}");
    }
    let (code, message) = refusal(Target::ExitTiming, &bare, &config(""));
    assert_eq!(code, "unlabelled", "{message}");
    assert!(message.contains("outcome_metrics.mfe_bars") && !message.contains("targets."), "{message}");
    // with the stop from the configuration, and with bars to the best price, both are learnt
    let sure = config("targets.stop_ticks = 8\n");
    let quality = trained(Target::SignalQuality, None, &bare, &sure).unwrap().record;
    assert_eq!(quality.training.rows, 320, "none is left out");
    let timed = history(400, |row, line| line["outcome_metrics"]["mfe_bars"] = json!(row % 7));
    assert!(trained(Target::ExitTiming, None, &timed, &config("")).is_ok());
}

#[test]
fn up_to_one_trade_in_twenty_may_lack_its_label() {
    let lacking = |every: usize| {
        history(400, |row, line| {
            if row % every != 0 {
                line["outcome_metrics"]["mfe_bars"] = json!(row % 7);
            }
        })
    };
    let some = trained(Target::ExitTiming, None, &lacking(25), &config("")).unwrap().record;
    assert!(some.warnings.iter().any(|warning| warning.contains("16 closed trades do not say")), "{:?}", some.warnings);
    let (_, message) = refusal(Target::ExitTiming, &lacking(10), &config(""));
    assert!(message.contains("40 of 400"), "{message}");
}

#[test]
fn a_revalidation_labels_by_what_the_training_saw() {
    // all later trades win ten times as much: their own tercile is another one
    let grown = |rows: usize| {
        history(rows, |row, line| {
            if row >= 400 {
                let pnl = line["outcome_metrics"]["pnl"].as_f64().unwrap();
                line["outcome_metrics"]["pnl"] = json!(pnl.abs() * 10.0);
            }
        })
    };
    let config = config("");
    let version = trained(Target::SignalStrengthClass, Some(80), &grown(400), &config).unwrap();
    let parts = version.report.evidence.parts;
    let all = grown(1_200);
    let again = revalidate(&version.record, &all, &settings(&config), &Ledger::default(), &mut |_, _| ()).unwrap();
    let now = again.evidence.parts;
    // eighty days of four trades: it learnt from these, and from none before
    assert_eq!(now.learnt, parts.learnt, "the span of --days is kept");
    assert_eq!(now.trades, parts.trades + 800);
    // by the tercile of the training part all that came later is in the upper class
    let Figures::Class(test) = again.evidence.test else { unreachable!() };
    assert_eq!(test.rows, parts.test + 800);
    assert!(test.wins >= 800, "{} of {}", test.wins, test.rows);
}

#[test]
fn a_revalidation_prices_its_labels_as_the_training_did_whatever_is_configured_now() {
    let all = history(400, |_, _| ());
    let then = config("targets.stop_ticks = 8\n");
    let version = trained(Target::SignalQuality, None, &all, &then).unwrap();
    let again = |config: &Config| {
        revalidate(&version.record, &all, &settings(config), &Ledger::default(), &mut |_, _| ()).unwrap()
    };
    let as_then = again(&then);
    for now in ["targets.stop_ticks = 24\n", ""] {
        assert_eq!(again(&config(now)).evidence.test, as_then.evidence.test, "{now}");
    }
}

/// The trades as they are learnt from.
fn examples(history: &History) -> (Examples, Vec<String>) {
    let config = config("");
    let pipeline = Pipeline::new(config.symbols.clone(), config.calendar.clone(), &config.features).unwrap();
    let truth = |_: &vigie::domain::Signal, outcome: &vigie::domain::Outcome| {
        Some(f64::from(u8::from(outcome.pnl?.get() > 0.0)))
    };
    gather(history, &history.closed(&es()), pipeline, &config.calendar, Goal::Profitability, &truth).unwrap()
}

#[test]
fn one_mistyped_exit_keeps_no_later_trade_from_being_learnt_from() {
    let mistyped = history(400, |row, line| {
        if row == 100 {
            line["outcome_metrics"]["exit_at"] = json!("2035-01-05T14:45:00Z");
        }
    });
    let (examples, warnings) = examples(&mistyped);
    assert_eq!(examples.len(), 399);
    assert!(warnings.iter().any(|warning| warning.starts_with("1 closed trades exit far later")), "{warnings:?}");
    let folds = examples.lives().purged_k_fold(4, jiff::SignedDuration::ZERO).unwrap();
    assert!(
        folds.iter().all(|fold| fold.train.len() > 290),
        "{:?}",
        folds.iter().map(|f| f.train.len()).collect::<Vec<_>>()
    );
}

#[test]
fn what_was_told_late_is_not_learnt_from_before_it_was_told() {
    let mut late = history(400, |_, _| ());
    // trades 200 to 299 were closed in time and told when trade 350 came
    for row in 200..300 {
        late.told_at.insert(late.signals[row].trade_id.clone(), at(350, 1));
    }
    let (examples, _) = examples(&late);
    let split = examples.lives().time_split(0.0, 0.2).unwrap();
    assert_eq!((split.train.len(), split.test.len()), (220, 80), "from trade 320 on they were not known");
    let split = examples.lives().time_split(0.0, 0.1).unwrap();
    assert_eq!(split.train.len(), 360, "from trade 360 on they were");
    // what comes after a trade that was told late is learnt from all the same: it does not live so long
    let folds = examples.lives().purged_k_fold(4, jiff::SignedDuration::ZERO).unwrap();
    assert!(folds[2].train.contains(&300), "{:?}", folds[2].train);
}

#[test]
fn drift_is_measured_against_trades_that_no_model_chose() {
    let mut chosen = history(600, |row, line| {
        if row % 2 == 0 {
            line["features"]["recent_momentum"] = json!(0.9);
        }
    });
    chosen.heard = chosen.signals.iter().step_by(2).map(|signal| signal.trade_id.clone()).collect();
    let record = trained(Target::Profitability, None, &chosen, &config("")).unwrap().record;
    let reference = serde_json::to_value(&record.reference.inputs["recent_momentum"]).unwrap();
    assert_eq!(reference["rows"], 240, "half of the 480 training trades");
    assert!(reference["mean"].as_f64().unwrap().abs() < 0.2, "{reference}");
    chosen.heard = chosen.signals.iter().skip(60).map(|signal| signal.trade_id.clone()).collect();
    let record = trained(Target::Profitability, None, &chosen, &config("")).unwrap().record;
    assert!(
        record.warnings.iter().any(|warning| warning.contains("let through by another model")),
        "{:?}",
        record.warnings
    );
}

#[test]
fn a_report_that_would_not_be_read_back_is_not_registered() {
    let sound = trained(Target::Profitability, None, &history(400, |_, _| ()), &config("")).unwrap();
    let stored = sound.report.stored().unwrap();
    assert_eq!(serde_json::from_value::<ValidationReport>(stored).unwrap(), sound.report);
    let mut unsound = sound.report;
    unsound.overall = f64::INFINITY;
    let error = unsound.stored().unwrap_err();
    assert!(error.contains("overall") || error.contains("null"), "{error}");
    // a pnl that no account holds is left out and counted; before, it registered a version whose report could not be read
    let huge = history(400, |row, line| {
        if row % 40 == 7 {
            line["outcome_metrics"]["pnl"] = json!(if row < 200 { 1e300 } else { -1e300 });
        }
    });
    for target in [Target::Profitability, Target::SignalStrengthClass, Target::Pnl] {
        let trained = trained(target, None, &huge, &config("")).unwrap();
        let left_out = "10 closed trades have a pnl beyond 1e12 and were left out";
        assert!(trained.record.warnings.iter().any(|warning| warning == left_out), "{:?}", trained.record.warnings);
        assert!(trained.record.metrics.values().all(|value| value.abs() < 1e9), "{:?}", trained.record.metrics);
    }
}

/// The out-of-fold scores that a stack's combiner learns from are those of models that were made, columns included, of the other
/// folds alone.
#[test]
fn the_members_of_a_stack_share_nothing_with_the_rows_they_are_judged_on() {
    let mut rows = planted::rows(3, 400, &planted::STRONG);
    // the last quarter is on another scale, which its own fold would give away
    for row in rows.iter_mut().skip(300) {
        row.values[0] = row.values[0].map(|value| 30.0 * value);
    }
    let (examples, design) = (planted::examples(Goal::Profitability, rows), planted::design());
    let all: Vec<usize> = (0..examples.len()).collect();
    let truth = examples.truth(&all);
    let recipe =
        |kind| Recipe { kind, target: Target::Profitability, solver: Solver::Newton, design: &design, seed: 7 };
    let learn = |kind, rows: &[usize]| {
        let truth = examples.truth(rows);
        recipe(kind).learn(&TrainingSet { examples: &examples, rows, truth: &truth, strength: 20.0 }).unwrap()
    };
    let ModelRecord::Stack(found) = learn(Kind::Stack, &all).model else { unreachable!() };
    let kinds = [Kind::Logistic, Kind::RandomForest, Kind::Boosting];
    let mut scores = Array2::zeros((400, 3));
    for fold in examples.lives().purged_k_fold(4, jiff::SignedDuration::ZERO).unwrap() {
        for (column, kind) in kinds.into_iter().enumerate() {
            let member = learn(kind, &fold.train).fitted().unwrap();
            let given = (member.score)(&examples.table().rows(&fold.test)).unwrap();
            fold.test.iter().zip(given).for_each(|(row, score)| scores[[*row, column]] = score);
        }
    }
    let labels: Vec<bool> = truth.iter().map(|truth| *truth >= 0.5).collect();
    let options = LogisticOptions { tolerance: 1e-10, ..LogisticOptions::default() };
    let ModelRecord::Stack(expected) = stack(found.members.clone(), scores.view(), &labels, &options).unwrap() else {
        unreachable!()
    };
    for (ours, theirs) in found.combiner.weights.iter().zip(&expected.combiner.weights) {
        assert!((ours - theirs).abs() < 1e-9, "{:?} is not {:?}", found.combiner.weights, expected.combiner.weights);
    }
}

/// What a trader reads: every input that rides along was tried, or is named among those that were not.
#[test]
fn inputs_of_alike_names_are_each_tried_and_those_that_cannot_be_are_named() {
    let history = history(400, |row, line| {
        let riding =
            [("up", 1), ("Up", 2), ("UP", 3), ("a.b", 5), ("a-b", 7), ("a b", 11), ("value_confluence_score", 13)];
        line["extra"] = riding.into_iter().map(|(name, step)| (name.to_owned(), json!(row * step % 17))).collect();
    });
    let config = config("features.extra = [\"value_confluence_score\"]\n");
    let prepared = prepare(&es(), Target::Profitability, &history, &settings(&config)).unwrap();
    let tried = |text: &str| prepared.candidates.iter().find(|candidate| &*candidate.expression == text);
    let names: Vec<&str> = prepared.candidates.iter().map(|candidate| &*candidate.name).collect();
    let mut unique = names.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), names.len());
    for text in ["extra(up)", "extra(Up)", "extra(UP)", "extra(a.b)", "extra(a-b)"] {
        let candidate = tried(text).unwrap_or_else(|| unreachable!("{text} is not tried"));
        assert!(candidate.values.iter().any(Option::is_some), "{text}");
    }
    assert_eq!(&*tried("value(confluence_score)").unwrap().name, "value_confluence_score_2");
    assert!(tried("extra(value_confluence_score)").is_none(), "it is an input already");
    assert!(prepared.warnings.iter().any(|warning| warning.contains("\"a b\"")), "{:?}", prepared.warnings);
}
