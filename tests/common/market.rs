//! A market that the test model foresees, or gets wrong, and a trader who follows its answers in event time.

use std::sync::OnceLock;

use serde_json::{Value, json};
use vigie::domain::lifecycle::State;

use super::{
    daemon::Daemon,
    place::{CONFIG, Place},
    wait::until,
    wire::{FEATURES, Wire},
};

/// Trials that are over soon.
pub const TRIALS: &str = "[scoring]\nblend_weight = 1\n[staging]\nmin_hours = 24\nmin_trades = 10\n\
    [experiment]\nplanned_sessions = 12\nfirst_look = 3\nmin_days = 2\nmin_trades = 20\nresamples = 100\n\
    [guardian]\nliteral = true\nmin_accuracy = 0\nmax_loss_streak = 99\ndaily_loss_limit = 1e6\n\
    [monitor]\nwindow = 5000\n[health]\nmin_trades = 5000\nscore_psi = 10\nvariance_factor = 1000\n";
pub const TRADES_A_DAY: usize = 8;

pub fn config(more: &str) -> String {
    let line = |line: &&str| !line.contains("holdback");
    let base: Vec<&str> = CONFIG.lines().filter(line).collect();
    format!("{}\n{TRIALS}{more}", base.join("\n"))
}

pub fn time(day: usize, minute: usize) -> String {
    let start: jiff::Timestamp = "2025-01-01T15:00:00Z".parse().unwrap();
    (start + jiff::SignedDuration::from_mins((day * 1440 + minute) as i64)).to_string()
}

/// A trade that the model likes, or one that it does not.
pub fn signal(day: usize, k: usize, liked: bool) -> (String, String) {
    let id = format!("T-{day}-{k}");
    let (most, least) = likings();
    let features = if liked { most } else { least };
    let at = time(day, k);
    let line = format!(
        r#"{{"type":"score","trade_id":"{id}","at":"{at}","symbol":"ES","side":"long","confidence":0.6,"features":{features}}}"#
    );
    (id, line)
}

/// The inputs that the model likes most, and those it likes least, each of them 0 or 1.
pub fn likings() -> &'static (String, String) {
    static LIKINGS: OnceLock<(String, String)> = OnceLock::new();
    LIKINGS.get_or_init(|| {
        let place = Place::with_model(State::Production);
        let daemon = Daemon::start(&place);
        let mut wire = daemon.connect();
        let mut score = |features: &Value| {
            let line = json!({
                "type": "score", "trade_id": "L", "at": time(0, 0), "symbol": "ES", "side": "long", "confidence": 0.6,
                "features": features,
            });
            wire.ask_ok(line.to_string())["score"].as_f64().unwrap()
        };
        let mut best = serde_json::from_str::<Value>(FEATURES).unwrap();
        let mut worst = best.clone();
        for name in best.as_object().unwrap().keys().cloned().collect::<Vec<_>>() {
            let of = |value: i32| {
                let mut features: Value = serde_json::from_str(FEATURES).unwrap();
                features[&name] = value.into();
                features
            };
            let rises = score(&of(1)) > score(&of(0));
            (best[&name], worst[&name]) = (i32::from(rises).into(), i32::from(!rises).into());
        }
        let (high, low) = (score(&best), score(&worst));
        assert!(high > 0.55 && low < 0.45, "{high} {low}");
        daemon.stop();
        (best.to_string(), worst.to_string())
    })
}

/// A market in which trades of one kind win and those of the other lose, or in which it does not matter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Market {
    Foreseen,
    Contrary,
    Indifferent,
}

impl Market {
    pub fn pnl(self, day: usize, k: usize, liked: bool) -> f64 {
        let noise = ((day * 7 + k * 3) % 5) as f64;
        match self {
            Self::Foreseen if liked => 100.0 + noise,
            Self::Foreseen => -60.0 - noise,
            Self::Contrary if liked => -100.0 - noise,
            Self::Contrary => 60.0 + noise,
            Self::Indifferent if (day + k / 2).is_multiple_of(2) => 50.0 + noise,
            Self::Indifferent => -50.0 + noise,
        }
    }
}

/// Trades one day as the trader would. Then waits until all that follows has been done.
pub fn trade_a_day(wire: &mut Wire, market: Market, day: usize) {
    (0..TRADES_A_DAY).for_each(|k| trade(wire, market, day, k, |_| ()));
    settle(wire);
}

/// Trades the `k`-th signal of a day; what is sized 0 is skipped. `between` is done after each request.
pub fn trade(wire: &mut Wire, market: Market, day: usize, k: usize, between: impl Fn(&mut Wire)) {
    let liked = k.is_multiple_of(2);
    let (id, line) = signal(day, k, liked);
    let size = wire.ask_ok(line)["size"].as_f64().unwrap();
    between(wire);
    if size == 0.0 {
        wire.ask_ok(json!({ "type": "skip", "trade_id": id, "reason": "size 0" }).to_string());
    } else {
        let pnl = size * market.pnl(day, k, liked);
        let metrics =
            json!({ "exit_at": time(day, k + 30), "pnl": pnl, "slippage_ticks": 1.0, "exit_reason": "signal" });
        wire.ask_ok(json!({ "type": "outcome", "trade_id": id, "outcome_metrics": metrics }).to_string());
    }
    between(wire);
}

pub fn settle(wire: &mut Wire) {
    until("a router that has nothing to do", || (wire.status()["trials"]["settled"] == true).then_some(()));
}
