//! Records as schemas 1 and 2 had them: a table for each kind, keyed by trade id. They are read when such a journal is taken
//! over, and afterwards only where one was damaged already and was kept as it was.
#![deny(clippy::indexing_slicing)]

use serde::Deserialize;

use super::{
    codec::{OutcomeBody, SkipBody, id},
    error::BadRecord,
    header,
    record::{SignalRecord, SkipRecord, Source, StoredEvent, StoredOutcome, StoredSignal, StoredSkip},
    seal::{bad, check_seal, parse, unseal},
};
use crate::domain::{Decision, Opinion, Probability, SignalLine, Skip, Timestamp, TradeId, VersionId};

/// Of signals, whose header was JSON in format 1.
const SIGNAL_FORMAT: u8 = 2;

/// What stands before the request line of a signal in format 1.
#[derive(Deserialize)]
struct JsonHeader {
    received_at: Timestamp,
    source: Source,
    decision: Option<Decision>,
    #[serde(default)]
    shadows: Vec<(VersionId, Probability)>,
    #[serde(default)]
    opinions: Vec<Opinion>,
    latency_us: Option<u64>,
}

/// A body with the number of its record.
#[derive(Deserialize)]
struct Numbered<T> {
    seq: u64,
    #[serde(flatten)]
    body: T,
}

pub(super) fn signal(trade_id: &str, seq: u64, value: &[u8]) -> Result<StoredSignal, BadRecord> {
    let read = || {
        let key = [trade_id.as_bytes(), &seq.to_be_bytes()];
        let record = match value.split_first() {
            Some((&SIGNAL_FORMAT, rest)) => {
                let [trade, seq] = key;
                header::read(id(trade_id)?, check_seal(&[&[SIGNAL_FORMAT], trade, seq], rest)?)?
            }
            _ => json_signal(id(trade_id)?, unseal(&key, value)?)?,
        };
        let signal = SignalLine::parse_stored(&record.line).map_err(|error| error.to_string())?.signal;
        if signal.trade_id != record.trade_id {
            return Err(format!("it holds a signal of the trade {}", signal.trade_id));
        }
        Ok(StoredSignal { seq, record, signal })
    };
    read().map_err(|what| bad("signals", format!("{trade_id} #{seq}"), what))
}

fn json_signal(trade_id: TradeId, body: &[u8]) -> Result<SignalRecord, String> {
    let (length, rest) = body.split_first_chunk::<4>().ok_or("it ends before its header")?;
    let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|error| error.to_string())?;
    let (header, line) = rest.split_at_checked(length).ok_or("it ends within its header")?;
    let JsonHeader { received_at, source, decision, shadows, opinions, latency_us } = parse(header)?;
    // the first records know only what those that watched scored
    let watched =
        shadows.into_iter().map(|(version, score)| Opinion { version, split: None, score: Some(score), size: 1.0 });
    let opinions = opinions.into_iter().chain(watched).collect();
    Ok(SignalRecord { trade_id, received_at, source, decision, opinions, latency_us, line: line.to_vec() })
}

pub(super) fn outcome(trade_id: &str, value: &[u8]) -> Result<StoredOutcome, BadRecord> {
    let read = || {
        let Numbered::<OutcomeBody> { seq, body } = parse(unseal(&[trade_id.as_bytes()], value)?)?;
        body.of_trade(trade_id, seq)
    };
    read().map_err(|what| bad("outcomes", trade_id.to_owned(), what))
}

pub(super) fn skip(trade_id: &str, value: &[u8]) -> Result<StoredSkip, BadRecord> {
    let read = || {
        let Numbered::<SkipBody> { seq, body } = parse(unseal(&[trade_id.as_bytes()], value)?)?;
        let skip = Skip { trade_id: id(trade_id)?, reason: body.reason };
        Ok(StoredSkip { seq, record: SkipRecord { received_at: body.received_at, skip } })
    };
    read().map_err(|what| bad("skips", trade_id.to_owned(), what))
}

pub(super) fn event(seq: u64, value: &[u8]) -> Result<StoredEvent, BadRecord> {
    let read = || Ok(StoredEvent { seq, event: parse(unseal(&[&seq.to_be_bytes()], value)?)? });
    read().map_err(|what| bad("events", format!("#{seq}"), what))
}
