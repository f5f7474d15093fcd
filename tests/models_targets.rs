//! What a closed trade says about each target.

use vigie::{
    domain::{Outcome, Signal, SignalLine},
    features::Instrument,
    models::{Labeller, Stake, Target, TargetKind, TargetValue},
};

const ES: Instrument = Instrument { tick: 0.25, tick_value: 12.5, stop_ticks: None };

/// A signal that risks 2 contracts over 8 ticks: R = 200.
fn signal(contracts: &str, stop_ticks: &str) -> Signal {
    let text = format!(
        r#"{{"trade_id":"T-1","at":"2015-01-05T15:02:11Z","symbol":"ES","side":"long","confidence":0.62,
        "market_state":{{"volume":{{}},"bid_ask":{{}},"vwap":{{}}}},
        "battle_navale_analysis":{{"boules":[],"patterns":{{}},"base":{{"kind":"green"}},"golden_rule":"intact","trend_regime":"range"}},
        "market_structure":{{"gamma_levels":{{}},"value_area":{{}},"previous_session":{{}},"options_flow":{{}}}},
        "execution_context":{{"entry_reason":"x","session_phase":"regular","volatility_regime":"normal",
        "risk_parameters":{{"contracts":{contracts},"stop_ticks":{stop_ticks}}}}}}}"#
    );
    SignalLine::parse(text.as_bytes()).unwrap_or_else(|error| unreachable!("{error}")).signal
}

fn features_only() -> Signal {
    let text =
        r#"{"trade_id":"T-1","at":"2015-01-05T15:02:11Z","symbol":"ES","side":"long","confidence":0.62,"features":{}}"#;
    SignalLine::parse(text.as_bytes()).unwrap_or_else(|error| unreachable!("{error}")).signal
}

fn outcome(pnl: Option<f64>, exit_reason: &str, mfe_bars: Option<f64>) -> Outcome {
    let json = serde_json::json!({
        "exit_at": "2015-01-05T16:00:00Z", "pnl": pnl, "exit_reason": exit_reason, "bars_held": 9, "mfe_bars": mfe_bars,
    });
    serde_json::from_value(json).unwrap_or_else(|error| unreachable!("{error}"))
}

fn value(target: Target, signal: &Signal, outcome: &Outcome) -> Option<TargetValue> {
    Labeller::fit(target, &[-100.0, 0.0, 90.0, 30.0]).value(signal, outcome, ES)
}

fn risk(signal: &Signal, instrument: Instrument) -> Option<f64> {
    Stake::of(signal, Some(instrument)).risk(None)
}

#[test]
fn what_is_at_risk_is_the_stop_in_money() {
    assert_eq!(risk(&signal("2", "8"), ES), Some(200.0));
    let with_stop = Instrument { stop_ticks: Some(12.0), ..ES };
    assert_eq!(risk(&signal("2", "8"), with_stop), Some(200.0), "the signal's own stop goes first");
    assert_eq!(risk(&signal("2", "null"), with_stop), Some(300.0));
    assert_eq!(risk(&features_only(), with_stop), Some(150.0), "of one contract");
    assert_eq!(risk(&signal("2", "-8"), with_stop), None, "a stop that cannot be is not replaced");
    for signal in [signal("null", "8"), signal("2", "null"), signal("0", "8"), signal("2", "-8"), features_only()] {
        assert_eq!(risk(&signal, ES), None);
    }
}

#[test]
fn a_good_signal_reached_its_target_or_made_half_of_what_it_risked() {
    let quality = |pnl, reason| value(Target::SignalQuality, &signal("2", "8"), &outcome(pnl, reason, None));
    let (yes, no) = (Some(TargetValue::Class(true)), Some(TargetValue::Class(false)));
    assert_eq!((quality(Some(100.0), "time"), quality(Some(99.99), "time")), (yes, no));
    assert_eq!(quality(Some(-5.0), "take_profit"), yes);
    assert_eq!((quality(None, "take_profit"), quality(None, "time")), (None, None));
}

/// A label that only winners had without a stop would make of every trade without one a winner.
#[test]
fn without_a_stop_no_exit_makes_a_good_signal() {
    for reason in ["take_profit", "stop_loss", "time", "session_end", "signal"] {
        let unknown_risk = value(Target::SignalQuality, &features_only(), &outcome(Some(500.0), reason, None));
        assert_eq!(unknown_risk, None, "{reason}");
    }
}

#[test]
fn every_target_names_the_field_that_is_missing() {
    let lacks = |target, signal: &Signal, outcome: &Outcome| {
        Labeller::fit(target, &[-100.0, 0.0, 90.0, 30.0]).lacks(signal, outcome, ES)
    };
    let (stop, contracts) =
        ("execution_context.risk_parameters.stop_ticks", "execution_context.risk_parameters.contracts");
    let (full, no_pnl, no_best) = (
        outcome(Some(5.0), "take_profit", Some(3.0)),
        outcome(None, "take_profit", None),
        outcome(Some(5.0), "time", None),
    );
    for target in Target::ALL {
        assert_eq!(lacks(target, &signal("2", "8"), &full), None, "{target}");
        let wanted = if target == Target::ExitTiming { "outcome_metrics.mfe_bars" } else { "outcome_metrics.pnl" };
        assert_eq!(lacks(target, &signal("2", "8"), &no_pnl), Some(wanted), "{target}");
        let of_risk = matches!(target, Target::SignalQuality | Target::SignalStrength);
        assert_eq!(lacks(target, &features_only(), &full), of_risk.then_some(stop), "{target}");
        assert_eq!(lacks(target, &signal("2", "null"), &full), of_risk.then_some(stop), "{target}");
        assert_eq!(lacks(target, &signal("null", "8"), &full), of_risk.then_some(contracts), "{target}");
    }
    assert_eq!(lacks(Target::ExitTiming, &signal("2", "8"), &no_best), Some("outcome_metrics.mfe_bars"));
}

#[test]
fn money_decides_profitability_and_confidence() {
    for target in [Target::Profitability, Target::ConfidenceScore] {
        let of = |pnl| value(target, &features_only(), &outcome(pnl, "time", None));
        assert_eq!(of(Some(0.01)), Some(TargetValue::Class(true)));
        assert_eq!(of(Some(0.0)), Some(TargetValue::Class(false)));
        assert_eq!(of(None), None);
    }
}

#[test]
fn the_upper_tercile_is_that_of_the_training_part() {
    // NumPy: np.quantile([-100, 0, 30, 90], 2/3) = 30
    let of = |pnl| value(Target::SignalStrengthClass, &features_only(), &outcome(Some(pnl), "time", None));
    assert_eq!((of(30.0), of(29.99)), (Some(TargetValue::Class(true)), Some(TargetValue::Class(false))));
    let untrained = Labeller::fit(Target::SignalStrengthClass, &[]);
    assert_eq!(untrained.value(&features_only(), &outcome(Some(1e6), "time", None), ES), None);
}

#[test]
fn real_targets_have_their_value_or_none() {
    let of = |target, signal: &Signal, pnl, bars| match value(target, signal, &outcome(pnl, "time", bars)) {
        Some(TargetValue::Real(value)) => Some(value),
        None => None,
        Some(other) => unreachable!("{other:?}"),
    };
    let known = signal("2", "8");
    let strength = of(Target::SignalStrength, &known, Some(-300.0), None).unwrap();
    assert!((strength - 0.182_425_523_806_356_3).abs() < 1e-15, "sigmoid(-1.5)");
    assert_eq!(of(Target::SignalStrength, &known, Some(0.0), None), Some(0.5));
    assert_eq!(of(Target::SignalStrength, &features_only(), Some(0.0), None), None);
    assert_eq!(of(Target::Pnl, &features_only(), Some(-12.5), None), Some(-12.5));
    assert_eq!(of(Target::Pnl, &features_only(), None, None), None);
    assert_eq!(of(Target::ExitTiming, &features_only(), None, Some(7.0)), Some(7.0));
    assert_eq!(of(Target::ExitTiming, &features_only(), None, Some(-1.0)), None);
    assert_eq!(of(Target::ExitTiming, &features_only(), None, None), None);
}

#[test]
fn a_target_is_stored_under_its_name_and_says_what_it_takes() {
    for target in Target::ALL {
        assert_eq!(serde_json::to_value(target).unwrap(), serde_json::json!(target.name()));
        assert_eq!(target.to_string(), target.name());
        let pnl = outcome(Some(50.0), "time", Some(3.0));
        let found = value(target, &signal("2", "8"), &pnl).unwrap();
        assert_eq!(matches!(found, TargetValue::Real(_)), target.kind() == TargetKind::Real, "{target}");
    }
}
