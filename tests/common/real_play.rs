//! Real trades, played through the socket as their trader would have.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::Read,
};

use serde_json::{Value, json};
use vigie::domain::{SignalLine, Timestamp};

use super::{market::settle, wait::until, wire::Wire};

/// One request, at its time; an outcome with what the strategy alone earned.
pub struct Request {
    at: Timestamp,
    trade_id: String,
    own: Option<f64>,
    line: Value,
}

/// The lines of a gzipped file.
pub fn lines(file: &str) -> Vec<String> {
    let mut text = String::new();
    flate2::read::MultiGzDecoder::new(File::open(file).unwrap()).read_to_string(&mut text).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// The requests of closed trades, in the order of their times.
pub fn requests(lines: &[String]) -> Vec<Request> {
    let (mut all, mut seen) = (Vec::new(), BTreeSet::new());
    for line in lines {
        let SignalLine { signal, outcome, .. } = SignalLine::parse(line.as_bytes()).unwrap();
        let (trade_id, outcome) = (signal.trade_id.to_string(), outcome.unwrap());
        if !seen.insert(trade_id.clone()) {
            continue; // the one id that is used twice
        }
        let mut score: Value = serde_json::from_str(line).unwrap();
        let metrics = score.as_object_mut().unwrap().remove("outcome_metrics").unwrap();
        score["type"] = "score".into();
        let own = outcome.pnl.map(|pnl| pnl.get());
        let closed = json!({ "type": "outcome", "trade_id": trade_id, "outcome_metrics": metrics });
        all.push(Request { at: signal.at, trade_id: trade_id.clone(), own: None, line: score });
        all.push(Request { at: outcome.exit_at, trade_id, own, line: closed });
    }
    all.sort_by_key(|request| (request.at, request.own.is_none()));
    all
}

/// Plays them as the trader would: what is sized 0 is let go, the rest earns its size's part. A year passes in seconds, so
/// it waits at the first request of each day: a day that has closed is judged before the next goes on, as in a real one.
pub fn play(wire: &mut Wire, requests: Vec<Request>, sizes: &mut BTreeMap<String, f64>) {
    let mut date = None;
    for Request { at, trade_id, own, mut line } in requests {
        match own {
            None => {
                let size = wire.ask_ok(line.to_string())["size"].as_f64().unwrap();
                sizes.insert(trade_id.clone(), size);
                if size == 0.0 {
                    wire.ask_ok(json!({ "type": "skip", "trade_id": trade_id, "reason": "size 0" }).to_string());
                }
            }
            Some(own) if sizes[&trade_id] > 0.0 => {
                line["outcome_metrics"]["pnl"] = json!(own * sizes[&trade_id]);
                wire.ask_ok(line.to_string());
            }
            Some(_) => {}
        }
        let today = Some(at.strftime("%F").to_string());
        if today != date {
            date = today;
            settle(wire);
            // when it answers it has heard everything; what it found is with the guardian, who answers the second
            for _ in 0..2 {
                until("a monitor that has heard all", || (wire.status()["monitor"]["waiting"] == 0).then_some(()));
            }
        }
    }
    settle(wire);
}
