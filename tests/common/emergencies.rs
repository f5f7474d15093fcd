//! Emergencies on demand: trades that lead up to each rule, and the outcome that trips it.

use std::sync::OnceLock;

use serde_json::{Value, json};
use vigie::domain::{EventKind, lifecycle::State, trip::Rule};

use super::{
    daemon::Daemon,
    place::{CONFIG, Place, model},
    wait::until,
    wire::{FEATURES, Wire, arm_of, ml},
};

pub const LIMITS: &str = "[guardian]\nliteral = true\naccuracy_window = 12\naccuracy_min_trades = 9\nmax_loss_streak = 4\n\
    daily_loss_limit = 1000\ndaily_loss_factor = 2\n[lifecycle]\nautomatic = false\n\
    [monitor]\nwindow = 5000\n[health]\nmin_trades = 5000\nscore_psi = 10\nvariance_factor = 1000\n";

/// How an emergency comes about.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scenario {
    Accuracy,
    Streak,
    DayLoss,
    /// An ML trade without a pnl: the rules cannot be evaluated.
    Unknown,
}

pub const SCENARIOS: [Scenario; 4] = [Scenario::Accuracy, Scenario::Streak, Scenario::DayLoss, Scenario::Unknown];

pub fn config() -> String {
    format!("{CONFIG}\n{LIMITS}")
}

/// Noon in Chicago on the `n`-th day of 2021 and later: days that are over by any clock.
pub fn day(n: usize) -> String {
    let start: jiff::Timestamp = "2021-01-01T18:00:00Z".parse().unwrap();
    (start + jiff::SignedDuration::from_hours(24 * n as i64)).to_string()
}

pub fn score_on(n: usize, id: &str) -> String {
    let at = day(n);
    format!(
        r#"{{"type":"score","trade_id":"{id}","at":"{at}","symbol":"ES","side":"long","confidence":0.6,"features":{FEATURES}}}"#
    )
}

pub fn outcome_on(n: usize, id: &str, pnl: Option<f64>) -> String {
    let metrics = json!({ "exit_at": day(n), "pnl": pnl, "exit_reason": "signal" });
    json!({ "type": "outcome", "trade_id": id, "outcome_metrics": metrics }).to_string()
}

impl Scenario {
    /// The pnl of the trades that lead to the emergency, the last of which trips it. `says_win`: what the model says.
    pub fn trades(self, says_win: bool) -> Vec<Option<f64>> {
        match self {
            Self::Streak => vec![Some(-1.0); 5],
            Self::DayLoss => vec![Some(5.0), Some(-2006.0)],
            Self::Unknown => vec![Some(5.0), None],
            Self::Accuracy if says_win => (0..9).map(|n| Some(if n % 3 == 0 { 1.0 } else { -1.0 })).collect(),
            Self::Accuracy => vec![Some(1.0); 9],
        }
    }

    pub fn rule(self) -> Rule {
        match self {
            Self::Accuracy | Self::Unknown => Rule::named("accuracy"),
            Self::Streak => Rule::named("loss_streak"),
            Self::DayLoss => Rule::named("day_loss"),
        }
    }
}

pub fn says_win() -> bool {
    static SAYS: OnceLock<bool> = OnceLock::new();
    *SAYS.get_or_init(|| {
        let place = Place::with_model(State::Production);
        let daemon = Daemon::start(&place);
        let answer = daemon.connect().ask(score_on(0, "S"));
        daemon.stop();
        model().question().says_yes(answer["score"].as_f64().unwrap())
    })
}

/// A journal with versions ES/1 to ES/`count`, the first in production. The others do not watch: they would be judged by
/// the load, whose signals are all alike.
pub fn place_with(count: usize) -> Place {
    let place = Place::with_model(State::Production);
    (2..=count).for_each(|number| register(&place, number, State::Trained));
    place
}

pub fn register(place: &Place, number: usize, state: State) {
    let mut record = model().clone();
    record.id.number = number as u32;
    place.register(&record.id.to_string(), record.to_bytes().unwrap(), state);
}

/// Plays `way` on day `n` up to the tripping outcome, which is given back and not yet sent.
pub fn lead_up(wire: &mut Wire, scenario: Scenario, n: usize) -> String {
    let mut trades = scenario.trades(says_win());
    let last = trades.pop().unwrap();
    for (k, pnl) in trades.into_iter().enumerate() {
        let (id, _) = ml_trade(wire, n, &format!("E-{n}-{k}"));
        taken(wire, &outcome_on(n, &id, pnl));
    }
    let (id, decision) = ml_trade(wire, n, &format!("E-{n}-last"));
    let mut outcome: Value = serde_json::from_str(&outcome_on(n, &id, last)).unwrap();
    outcome["decision"] = decision;
    outcome.to_string()
}

/// Sends a line until it is taken: under load the journal may have no room for it at first.
pub fn taken(wire: &mut Wire, line: &str) {
    until("an answer that it is done", || {
        let answer = wire.ask(line);
        let busy = answer["error"]["code"] == "retry";
        assert!(busy || answer["ok"] == true, "{line} -> {answer}");
        (!busy).then_some(())
    });
}

/// A trade that the model has a word in. Under load some are answered with the baseline: the journal cannot keep up.
pub fn ml_trade(wire: &mut Wire, n: usize, name: &str) -> (String, Value) {
    let mut attempt = 0;
    until("an answer of the model", || {
        attempt += 1;
        let id = format!("{name}-{attempt}");
        let answer = wire.ask_ok(score_on(n, &id));
        assert!(
            ["production", "journal_unavailable", "deadline"].contains(&answer["reason"].as_str().unwrap()),
            "{answer}"
        );
        (arm_of(&answer) == ml()).then_some((id, answer))
    })
}

pub fn latched(place: &Place) -> Vec<Rule> {
    let rule = |kind| match kind {
        EventKind::Latched { trip } => Some(trip.breach.rule),
        _ => None,
    };
    place.events().into_iter().filter_map(rule).collect()
}

pub fn spread(micros: &mut [u64]) -> String {
    micros.sort_unstable();
    let at = |share: f64| micros[((micros.len() - 1) as f64 * share) as usize];
    format!("p50 {} us, p99 {} us, max {} us", at(0.5), at(0.99), at(1.0))
}
