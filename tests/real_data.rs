//! Two years of real trades, on which nothing can be predicted well: figures that are too good are leaks.
//!
//! The data is no part of the project. It is looked for in the folder that `VIGIE_DATA` names, or else in `../shared/data`.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use common::{
    place::{CONFIG, Place},
    process::{Process, told},
    real::data,
};
use serde_json::json;

#[test]
fn the_one_trade_whose_id_is_used_twice_is_a_conflict_and_no_figure_is_too_good() {
    let Some(data) = data() else { return };
    let place = Place::new();
    let imported = told(&place, &["import", "--json", "--state", "state", &data], 5);
    let conflicts = imported["faults"]["conflict"].clone();
    assert_eq!((&imported["lines"], &imported["stored"], &conflicts["count"]), (&json!(2840), &json!(2839), &json!(1)));
    assert!(conflicts["examples"][0].as_str().unwrap().contains(":1986:"), "{conflicts}");
    place.file("quick.toml", CONFIG);
    let trained = told(&place, &["train", "--json", "--state", "state", "--config", "quick.toml"], 0);
    let metric = |name: &str| trained["metrics"][name].as_f64().unwrap();
    assert!((0.48..0.58).contains(&metric("test_auc")), "{trained}");
    assert!(metric("test_accuracy") < 0.62, "{trained}");
    assert!(metric("test_rows") > 500.0, "{trained}");
    let warnings = trained["warnings"].to_string();
    for degenerate in ["options_flow_bias", "bid_ask_spread"] {
        assert!(warnings.contains(degenerate), "{degenerate} says nothing here: {warnings}");
    }
}

#[test]
fn real_trades_are_not_deployable_neither_by_logistic_regression_nor_by_boosting() {
    let Some(data) = data() else { return };
    let place = Place::new();
    place.file("quick.toml", CONFIG);
    told(&place, &["import", "--json", "--state", "state", &data], 5);
    for (model, aucs) in [("logistic", 0.49..0.56), ("boosting", 0.51..0.59)] {
        let arguments = ["train", "--json", "--state", "state", "--config", "quick.toml", "--model", model];
        let trained = told(&place, &arguments, 0);
        println!("{model}: {}", trained["metrics"]);
        assert_eq!(
            (&trained["verdict"], &trained["registered"]),
            (&json!("not_deployable"), &json!(true)),
            "{trained}"
        );
        let auc = trained["metrics"]["test_auc"].as_f64().unwrap();
        assert!(aucs.contains(&auc), "{model}: an AUC of {auc} would be a leak or a fault");
        assert!(trained["failed_gates"].to_string().contains("precision"), "{trained}");
    }
    // a rejected version has no way forward, not even past its gates
    let models = told(&place, &["models", "--offline", "--json", "--state", "state"], 0);
    assert!(models.as_array().unwrap().iter().all(|model| model["state"] == "rejected"), "{models}");
}

#[test]
fn two_years_through_the_socket_are_all_there() {
    let Some(data) = data() else { return };
    let place = Place::new();
    place.file("config.toml", CONFIG);
    let daemon = Process::start(&place, &["--clock", "event"]);
    let socket = place.socket();
    let replayed =
        told(&place, &["replay", "--json", "--window", "256", "--socket", socket.to_str().unwrap(), &data], 5);
    assert_eq!(replayed["refused"], json!({ "conflict": 1 }));
    for (name, count) in
        [("sent", 5680), ("scored", 2840), ("acknowledged", 2839), ("matched", 2839), ("duplicates", 0)]
    {
        assert_eq!(replayed[name], count, "{name}: {replayed}");
    }
    let status = daemon.connect().status();
    let counts = &status["counts"];
    assert_eq!(
        (&counts["signals"], &counts["decisions"], &counts["outcomes"]),
        (&json!(2840), &json!(2840), &json!(2839))
    );
    assert!(status["now"].as_str().unwrap().starts_with("2016-12"), "event time: {}", status["now"]);
    assert_eq!(
        (&status["restarts"], &status["rejected"], &status["journal"]["dropped"]),
        (&json!(0), &json!(0), &json!(0))
    );
    daemon.stop();
    assert_eq!(place.alerts("conflict").len(), 1);
}
