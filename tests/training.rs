//! Trainings through the command, from lines of trades to a verdict: planted truth passes, shuffled outcomes do not, and every
//! kind of model learns every target that it can.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use std::fs;

use common::{
    place::{BY_HAND, CONFIG, Place, examples},
    process::{Process, succeed, vigie},
};
use rand::{RngExt, seq::SliceRandom};
use rand_pcg::Pcg64;
use serde_json::{Value, json};
use vigie::{
    journal::{Store, StoreOptions},
    models::{Kind, Target},
};

const LEVELS: &str = "training.allow_levels = [\"random_forest\", \"gradient_boosting\"]\ntraining.leaves = [40, 80]\n";

/// Trades of features alone, whose wins have known log-odds: 1.3, -1.2 and 1 times three of them. `shuffled` deals the
/// outcomes out anew.
fn planted(rows: usize, shuffled: bool) -> Vec<String> {
    let mut rng = Pcg64::new(3, 3);
    let mut outcomes = Vec::new();
    let mut signals = Vec::new();
    for row in 0..rows {
        let mut uniform = || rng.random_range(-1.0..1.0_f64);
        let (a, b, c) = (uniform(), uniform(), uniform());
        let log_odds = 3.0 * (1.3 * a - 1.2 * b + c);
        let won = rng.random::<f64>() < 1.0 / (1.0 + (-log_odds).exp());
        let size = rng.random_range(50.0..150.0_f64);
        outcomes.push(if won { size } else { -size });
        signals.push((row, a, b, c, rng.random_range(0.35..0.65_f64)));
    }
    if shuffled {
        outcomes.shuffle(&mut rng);
    }
    let line = |((row, a, b, c, confidence), pnl): ((usize, f64, f64, f64, f64), f64)| {
        let (day, hour) = (row / 4, 14 + 2 * (row % 4));
        let date = jiff::civil::date(2015, 1, 5).saturating_add(jiff::Span::new().days(day as i64));
        json!({
            "trade_id": format!("P-{row}"), "at": format!("{date}T{hour}:00:00Z"), "symbol": "ES", "side": "long",
            "confidence": confidence,
            "features": { "recent_momentum": a, "es_nq_correlation": b, "options_flow_bias": c },
            "outcome_metrics": { "exit_at": format!("{date}T{hour}:45:00Z"), "pnl": pnl, "exit_reason": "signal", "bars_held": 3 },
        })
        .to_string()
    };
    signals.into_iter().zip(outcomes).map(line).collect()
}

fn place(lines: &[String], config: &str) -> Place {
    let place = Place::new();
    place.file("config.toml", config);
    place.file("trades.jsonl", &lines.join("\n"));
    succeed(&place, &["import", "--state", "state", "trades.jsonl"]);
    place
}

fn train(place: &Place, more: &[&str]) -> Value {
    let all = [&["train", "--json", "--state", "state", "--config", "config.toml"], more].concat();
    serde_json::from_slice(&succeed(place, &all).stdout).unwrap()
}

fn state(place: &Place, version: &str) -> String {
    let models = succeed(place, &["models", "--offline", "--json", "--state", "state"]).stdout;
    let models: Value = serde_json::from_slice(&models).unwrap();
    let found = models.as_array().unwrap().iter().find(|model| model["version"] == version).unwrap().clone();
    found["state"].as_str().unwrap().to_owned()
}

#[test]
fn planted_truth_passes_every_gate_and_shuffled_outcomes_do_not() {
    // the effort that the gates need to mean anything
    let config = "validation.bootstrap = 20\nvalidation.null = 40\nvalidation.importance = 5\n\
                  training.strengths = [0.1, 1, 10, 100]\nvalidation.groups = 5\nvalidation.block_pairs = 5\n";
    let truth = place(&planted(1600, false), config);
    let trained = train(&truth, &[]);
    assert_eq!(trained["verdict"], "deployable", "{}", trained["failed_gates"]);
    assert!(trained["overall"].as_f64().unwrap() > 0.7);
    assert_eq!(state(&truth, "ES/1"), "validated");
    // the best that can be is known: the accuracy of who knows the log-odds, within two standard errors
    let accuracy = trained["metrics"]["test_accuracy"].as_f64().unwrap();
    let bayes = bayes_accuracy();
    let deviation = (bayes * (1.0 - bayes) / 320.0).sqrt();
    assert!((accuracy - bayes).abs() < 2.0 * deviation, "{accuracy} of {bayes} +- {deviation}");
    let noise = place(&planted(1600, true), config);
    let trained = train(&noise, &[]);
    assert_eq!((&trained["verdict"], state(&noise, "ES/1").as_str()), (&json!("not_deployable"), "rejected"));
    let auc = trained["metrics"]["test_auc"].as_f64().unwrap();
    assert!((auc - 0.5).abs() < 0.1, "{auc}");
}

/// One such number, wherever it stands, used to end all trainings for good: what is in the journal stays there.
#[test]
fn a_trade_with_a_number_that_no_model_can_learn_from_is_left_out_and_counted() {
    let mut lines = planted(600, false);
    let last = lines.pop().unwrap().replacen('{', r#"{"extra":{"x":1e61},"#, 1);
    lines.push(last);
    let few = "bootstrap = 10\nnull = 20\nimportance = 2\n";
    let config =
        format!("features.extra = [\"x\"]\n[training]\nmin_trades = 200\nmin_test_trades = 50\n[validation]\n{few}");
    let place = place(&lines, &config);
    let trained = train(&place, &["--model", "logistic", "--keep"]);
    let warnings = trained["warnings"].to_string();
    assert!(warnings.contains("1 closed trades have an input beyond 1e60 and were left out"), "{trained}");
}

/// Mean of the larger of p and 1 - p over the inputs.
fn bayes_accuracy() -> f64 {
    let mut rng = Pcg64::new(8, 8);
    let mut right = || {
        let mut uniform = || rng.random_range(-1.0..1.0_f64);
        let p = 1.0 / (1.0 + (-3.0 * (1.3 * uniform() - 1.2 * uniform() + uniform())).exp());
        p.max(1.0 - p)
    };
    (0..100_000).map(|_| right()).sum::<f64>() / 100_000.0
}

#[test]
fn every_kind_of_model_learns_every_target_it_can_and_refuses_the_others() {
    let lines: Vec<String> = examples().into_iter().take(700).collect();
    let place = place(&lines, &format!("{CONFIG}{LEVELS}"));
    for target in Target::ALL {
        for kind in Kind::ALL {
            // trees take their time: each is tried on one target of each sort
            let all_kinds = matches!(target, Target::Profitability | Target::Pnl);
            let calibrated = target == Target::ConfidenceScore && kind == Kind::Boosting;
            if !(all_kinds || kind.is_linear() || calibrated) {
                continue;
            }
            let arguments = ["train", "--dry-run", "--json", "--state", "state", "--config", "config.toml"];
            let output =
                vigie(&place, &arguments).args(["--model", kind.name(), "--target", target.name()]).output().unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.success(), kind.learns(target.kind()), "{kind} of {target}: {said}");
            assert!(output.status.success() || said.contains("cannot learn"), "{kind} of {target}: {said}");
        }
    }
    assert_eq!(place.reader().counts().unwrap().versions, 0);
}

#[test]
fn a_level_opens_with_its_evidence_and_what_was_tried_counts() {
    let place = place(&examples(), CONFIG);
    let forest = ["train", "--json", "--state", "state", "--config", "config.toml", "--model", "random_forest"];
    let refused = vigie(&place, &forest).output().unwrap();
    assert!(String::from_utf8(refused.stderr).unwrap().contains("random_forest: NO-GO"), "no plateau is known yet");
    let looks = |trained: &Value| trained["report"]["evidence"]["gain"]["earlier"].as_u64().unwrap();
    let counts = [(); 2].map(|()| looks(&train(&place, &["--dry-run"])));
    assert_eq!(counts, [0, 1], "a dry run looks at the test part like any other");
}

#[test]
fn what_foretells_amounts_is_never_promoted_and_a_strength_speaks_as_it_was_judged() {
    let config = format!("{CONFIG}{BY_HAND}");
    let place = place(&examples().into_iter().take(700).collect::<Vec<_>>(), &config);
    let amounts = train(&place, &["--keep", "--target", "pnl", "--model", "ridge"]);
    let notes = amounts["warnings"].to_string();
    assert!(notes.contains("never promoted"), "{notes}");
    let strength = train(&place, &["--keep", "--target", "signal_strength", "--model", "ridge"]);
    assert!(!strength["warnings"].to_string().contains("never promoted"));
    let _daemon = Process::start(&place, &[]);
    let socket = place.socket();
    let promote = |version: &str| {
        let arguments = ["promote", version, "--to", "production", "--override", "--reason", "x", "--socket"];
        vigie(&place, &arguments).arg(&socket).output().unwrap()
    };
    let refused = promote("ES/1");
    assert!(
        !refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("can never influence a trade")
    );
    assert!(promote("ES/2").status.success());
    let signal = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/signal.json");
    let arguments = ["score", "--json", "--deadline-ms", "10000", signal, "--socket", socket.to_str().unwrap()];
    let score: Value = serde_json::from_slice(&succeed(&place, &arguments).stdout).unwrap();
    assert_eq!(score["arm"], "ml", "{score}");
    assert!((0.0..=1.0).contains(&score["score"].as_f64().unwrap()), "{score}");
}

/// A page of an earlier moment takes records away and damages none: what is learnt from is short of them without a word.
#[test]
fn a_training_on_a_journal_that_lost_records_says_so_and_registers_nothing() {
    const PAGE: usize = 4096;
    const OPTIONS: StoreOptions = StoreOptions { cache_bytes: 1 << 20, verify: false };
    let lines = planted(500, false);
    let place = place(&lines[..400], CONFIG);
    let earlier = fs::read(place.journal()).unwrap();
    place.file("more.jsonl", &lines[400..].join("\n"));
    succeed(&place, &["import", "--state", "state", "more.jsonl"]);
    let now = fs::read(place.journal()).unwrap();
    let mut refused = 0;
    for at in (PAGE..earlier.len()).step_by(PAGE) {
        let mut damaged = now.clone();
        damaged[at..at + PAGE].copy_from_slice(&earlier[at..at + PAGE]);
        fs::write(place.journal(), &damaged).unwrap();
        let Ok(store) = Store::open(&place.journal(), OPTIONS) else { continue };
        let reader = store.reader().unwrap();
        let reads = reader.signals().unwrap().collect::<Result<Vec<_>, _>>();
        let loses = reads.is_ok_and(|read| read.len() < lines.len()) && reader.audit().is_err();
        let counts = reader.counts().unwrap();
        drop((reader, store));
        if !loses {
            continue;
        }
        let output = vigie(&place, &["train", "--state", "state", "--config", "config.toml"]).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && told.contains("the journal is damaged"), "{told}");
        let store = Store::open(&place.journal(), OPTIONS).unwrap();
        let reader = store.reader().unwrap();
        assert_eq!(reader.counts().unwrap(), counts, "{told}");
        refused += 1;
    }
    assert!(refused > 0, "no page of before takes records away");
}
