//! A long journal of a version that spoke, as a trader's daemon would have left it.

use std::time::Duration;

use vigie::{
    domain::{
        Arm, Decision, Opinion, Outcome, Probability, Reason, SignalLine, Split, Timestamp, TradeId, VersionId,
        lifecycle::State,
    },
    journal::{OutcomeRecord, SignalRecord, Source, Write},
    models::VersionRecord,
};

use super::place::{Place, examples, model};

/// Records that are written at once.
const BATCH: usize = 2_000;

/// An example signal under another name and time, its line without its outcome, and how it was closed.
fn example(line: &str, name: &str, at: Timestamp) -> (SignalLine, String, Outcome) {
    let (signal, _) = line.split_once(",\"outcome_metrics\"").unwrap();
    let fields = signal.find("\"symbol\"").unwrap();
    let text = format!("{{\"trade_id\":\"{name}\",\"at\":\"{at}\",{}}}", &signal[fields..]);
    let before = SignalLine::parse(line.as_bytes()).unwrap();
    let outcome = before.outcome.unwrap();
    let exit_at = at + outcome.exit_at.duration_since(before.signal.at);
    (SignalLine::parse(text.as_bytes()).unwrap(), text, Outcome { exit_at, ..outcome })
}

/// Of a quarter of the trades a file told, in the time that ES/1 learnt from; ES/1 spoke to the others, let a third of them go, and
/// every tenth was held back from it.
pub fn journal(place: &Place, trades: usize) {
    let lines = examples();
    let version: VersionId = "ES/1".parse().unwrap();
    let imported = trades / 4;
    let mut past = place.open();
    for first in (0..imported).step_by(BATCH) {
        let writes = (first..imported.min(first + BATCH)).map(|n| {
            let line = &lines[n % lines.len()];
            let own = SignalLine::parse(line.as_bytes()).unwrap().signal.at;
            let at = own + Duration::from_millis(n as u64);
            let (mut parsed, text, outcome) = example(line, &format!("P-{n}"), at);
            parsed.outcome = Some(outcome);
            Write::past_trade(parsed, text.into_bytes(), "2025-11-01T12:00:00Z".parse().unwrap())
        });
        past.apply(&writes.collect::<Vec<_>>()).unwrap();
    }
    past.close().unwrap();
    let created_at = "2025-11-01T13:00:00Z".parse().unwrap();
    let record = VersionRecord { created_at, ..model().clone() };
    place.register("ES/1", record.to_bytes().unwrap(), State::Production);
    let mut store = place.open();
    for first in (imported..trades).step_by(BATCH) {
        let writes = (first..trades.min(first + BATCH)).flat_map(|n| {
            let begin: Timestamp = "2025-11-03T15:00:00Z".parse().unwrap();
            let at = begin + Duration::from_secs(60 * (n - imported) as u64);
            let (parsed, text, outcome) = example(&lines[n % lines.len()], &format!("L-{n}"), at);
            let trade_id = TradeId::new(format!("L-{n}")).unwrap();
            let score = Probability::new(0.3 + 0.6 * ((n * 7919) % 1000) as f64 / 1000.0).unwrap();
            let confidence = parsed.signal.confidence;
            let (held_back, size) = (n.is_multiple_of(10), if score.get() > 0.5 { 1.0 } else { 0.0 });
            let arm = if held_back { Arm::Baseline } else { Arm::Ml };
            let split = Some(Split { arm, share: 0.9 });
            let decision = if held_back {
                Decision::baseline(trade_id.clone(), confidence, Some(version.clone()), Reason::Holdback)
            } else {
                let (confidence, model) = (Some(score), Some(version.clone()));
                Decision { trade_id: trade_id.clone(), arm, confidence, score, size, model, reason: Reason::Production }
            };
            let (traded, source) = (decision.size > 0.0, Source::Live);
            let signal = Write::Signal(SignalRecord {
                trade_id: trade_id.clone(),
                received_at: at,
                source,
                decision: Some(decision),
                opinions: vec![Opinion { version: version.clone(), split, score: Some(score), size }],
                latency_us: Some(90),
                line: text.into_bytes(),
            });
            let exit_at = at + Duration::from_secs(50);
            let outcome = Outcome { exit_at, ..outcome };
            let record = OutcomeRecord { trade_id, received_at: exit_at, source, echo: None, outcome };
            [Some(signal), traded.then(|| Write::Outcome(Box::new(record)))].into_iter().flatten()
        });
        store.apply(&writes.collect::<Vec<_>>()).unwrap();
    }
    store.close().unwrap();
}
