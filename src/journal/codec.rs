//! Records to bytes and back. Nothing is trusted on the way back.
#![deny(clippy::indexing_slicing)]

use blake2::{Blake2b256, Digest};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    error::BadRecord,
    header,
    record::{
        OutcomeRecord, SignalRecord, SkipRecord, Source, StoredEvent, StoredOutcome, StoredSignal, StoredSkip,
        StoredVersion,
    },
};
use crate::domain::{Decision, Event, Opinion, Outcome, Probability, SignalLine, Skip, Timestamp, TradeId, VersionId};

const FORMAT: u8 = 1;

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

#[derive(Serialize, Deserialize)]
struct OutcomeBody {
    seq: u64,
    received_at: Timestamp,
    matched: bool,
    source: Source,
    echo: Option<Decision>,
    outcome: Outcome,
}

#[derive(Serialize, Deserialize)]
struct SkipBody {
    seq: u64,
    received_at: Timestamp,
    reason: Box<str>,
}

/// What keeps a signal from being written, in words.
pub(super) fn check_signal(record: &SignalRecord) -> Result<(), String> {
    match &record.decision {
        Some(decision) if decision.trade_id != record.trade_id => {
            return Err(format!("signal {} with a decision for {}", record.trade_id, decision.trade_id));
        }
        Some(decision) if !decision.size.is_finite() => {
            return Err(format!("signal {} with a decision of size {}", record.trade_id, decision.size));
        }
        _ => {}
    }
    let odd =
        |opinion: &&Opinion| !opinion.size.is_finite() || opinion.split.is_some_and(|split| !split.share.is_finite());
    match record.opinions.iter().find(odd) {
        Some(opinion) => {
            Err(format!("signal {} with an opinion of {} that is no number", record.trade_id, opinion.version))
        }
        None => Ok(()),
    }
}

/// Puts a signal that was checked into `out`.
pub(super) fn encode_signal(out: &mut Vec<u8>, seq: u64, record: &SignalRecord) {
    out.clear();
    out.extend_from_slice(&[SIGNAL_FORMAT, 0, 0, 0, 0]);
    header::write(out, record);
    out.extend_from_slice(&record.line);
    let key = [&[SIGNAL_FORMAT], record.trade_id.as_str().as_bytes(), &seq.to_be_bytes()];
    close_seal(out, &key);
}

pub(super) fn decode_signal(trade_id: &str, seq: u64, value: &[u8]) -> Result<StoredSignal, BadRecord> {
    let read = || {
        let key = [trade_id.as_bytes(), &seq.to_be_bytes()];
        let record = match value.split_first() {
            Some((&SIGNAL_FORMAT, rest)) => {
                let [trade, seq] = key;
                header::read(id(trade_id)?, check_seal(&[&[SIGNAL_FORMAT], trade, seq], rest)?)?
            }
            _ => read_json_signal(id(trade_id)?, unseal(&key, value)?)?,
        };
        let signal = SignalLine::parse_stored(&record.line).map_err(|error| error.to_string())?.signal;
        if signal.trade_id != record.trade_id {
            return Err(format!("it holds a signal of the trade {}", signal.trade_id));
        }
        Ok(StoredSignal { seq, record, signal })
    };
    read().map_err(|what| bad("signals", format!("{trade_id} #{seq}"), what))
}

fn read_json_signal(trade_id: TradeId, body: &[u8]) -> Result<SignalRecord, String> {
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

pub(super) fn encode_outcome(out: &mut Vec<u8>, seq: u64, matched: bool, record: &OutcomeRecord) -> Result<(), String> {
    let body = OutcomeBody {
        seq,
        received_at: record.received_at,
        matched,
        source: record.source,
        echo: record.echo.clone(),
        outcome: record.outcome.clone(),
    };
    let trade_id = record.trade_id.as_str();
    seal_json(out, trade_id.as_bytes(), &body)?;
    read_back(&decode_outcome(trade_id, out), |stored| stored.record == *record)
}

pub(super) fn decode_outcome(trade_id: &str, value: &[u8]) -> Result<StoredOutcome, BadRecord> {
    let read = || {
        let body: OutcomeBody = parse(unseal(&[trade_id.as_bytes()], value)?)?;
        let record = OutcomeRecord {
            trade_id: id(trade_id)?,
            received_at: body.received_at,
            source: body.source,
            echo: body.echo,
            outcome: body.outcome,
        };
        Ok(StoredOutcome { seq: body.seq, matched: body.matched, record })
    };
    read().map_err(|what| bad("outcomes", trade_id.to_owned(), what))
}

pub(super) fn encode_skip(out: &mut Vec<u8>, seq: u64, record: &SkipRecord) -> Result<(), String> {
    let body = SkipBody { seq, received_at: record.received_at, reason: record.skip.reason.clone() };
    seal_json(out, record.skip.trade_id.as_str().as_bytes(), &body)
}

pub(super) fn decode_skip(trade_id: &str, value: &[u8]) -> Result<StoredSkip, BadRecord> {
    let read = || {
        let body: SkipBody = parse(unseal(&[trade_id.as_bytes()], value)?)?;
        let skip = Skip { trade_id: id(trade_id)?, reason: body.reason };
        Ok(StoredSkip { seq: body.seq, record: SkipRecord { received_at: body.received_at, skip } })
    };
    read().map_err(|what| bad("skips", trade_id.to_owned(), what))
}

pub(super) fn encode_event(out: &mut Vec<u8>, seq: u64, event: &Event) -> Result<(), String> {
    seal_json(out, &seq.to_be_bytes(), event)?;
    read_back(&decode_event(seq, out), |stored| stored.event == *event)
}

pub(super) fn decode_event(seq: u64, value: &[u8]) -> Result<StoredEvent, BadRecord> {
    let read = || Ok(StoredEvent { seq, event: parse(unseal(&[&seq.to_be_bytes()], value)?)? });
    read().map_err(|what| bad("events", format!("#{seq}"), what))
}

pub(super) fn encode_version(out: &mut Vec<u8>, body: &[u8]) {
    out.clear();
    out.push(FORMAT);
    out.extend_from_slice(&checksum(body));
    out.extend_from_slice(body);
}

pub(super) fn decode_version(key: &str, value: &[u8]) -> Result<StoredVersion, BadRecord> {
    let read = || {
        let id: VersionId = key.parse().map_err(|error: crate::domain::InvalidId| error.to_string())?;
        let (stored, body) = after_format(value)?.split_first_chunk::<32>().ok_or("it ends before its body")?;
        if checksum(body) != *stored {
            return Err("its body does not match its checksum".to_owned());
        }
        Ok(StoredVersion { id, checksum: *stored, body: body.to_vec() })
    };
    read().map_err(|what| bad("versions", key.to_owned(), what))
}

pub(super) fn encode_checkpoint(out: &mut Vec<u8>, name: &str, bytes: &[u8]) -> Result<(), String> {
    seal(out, &[name.as_bytes()], |out| {
        out.extend_from_slice(bytes);
        Ok(())
    })
}

pub(super) fn decode_checkpoint(name: &str, value: &[u8]) -> Result<Vec<u8>, BadRecord> {
    let bytes = unseal(&[name.as_bytes()], value).map(<[u8]>::to_vec);
    bytes.map_err(|what| bad("checkpoints", name.to_owned(), what))
}

pub(super) fn encode_number(name: &str, number: u64) -> (u64, u32) {
    (number, crc(&[name.as_bytes()], &number.to_le_bytes()))
}

pub(super) fn decode_number(name: &str, value: (u64, u32)) -> Result<u64, BadRecord> {
    match value {
        (number, _) if encode_number(name, number) == value => Ok(number),
        _ => Err(bad("meta", name.to_owned(), "it does not match its checksum".to_owned())),
    }
}

/// BLAKE2b with a digest of 32 bytes.
pub(super) fn checksum(body: &[u8]) -> [u8; 32] {
    Blake2b256::digest(body).into()
}

fn seal(out: &mut Vec<u8>, key: &[&[u8]], body: impl FnOnce(&mut Vec<u8>) -> Result<(), String>) -> Result<(), String> {
    out.clear();
    out.extend_from_slice(&[FORMAT, 0, 0, 0, 0]);
    body(out)?;
    close_seal(out, key);
    Ok(())
}

fn close_seal(out: &mut [u8], key: &[&[u8]]) {
    let sum = crc(key, out.get(5..).unwrap_or_default()).to_le_bytes();
    if let Some(place) = out.get_mut(1..5) {
        place.copy_from_slice(&sum);
    }
}

fn seal_json(out: &mut Vec<u8>, key: &[u8], body: &impl Serialize) -> Result<(), String> {
    seal(out, &[key], |out| serde_json::to_writer(out, body).map_err(|error| error.to_string()))
}

fn unseal<'a>(key: &[&[u8]], value: &'a [u8]) -> Result<&'a [u8], String> {
    check_seal(key, after_format(value)?)
}

fn check_seal<'a>(key: &[&[u8]], sealed: &'a [u8]) -> Result<&'a [u8], String> {
    let (sum, body) = sealed.split_first_chunk::<4>().ok_or("it ends before its checksum")?;
    if crc(key, body) == u32::from_le_bytes(*sum) { Ok(body) } else { Err("it does not match its checksum".to_owned()) }
}

fn after_format(value: &[u8]) -> Result<&[u8], String> {
    match value.split_first() {
        Some((&FORMAT, rest)) => Ok(rest),
        Some((other, _)) => Err(format!("format {other} is unknown, only {FORMAT} is known")),
        None => Err("it is empty".to_owned()),
    }
}

fn crc(key: &[&[u8]], body: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    key.iter().for_each(|part| crc.update(part));
    crc.update(body);
    crc.sum()
}

fn parse<T: DeserializeOwned>(json: &[u8]) -> Result<T, String> {
    serde_json::from_slice(json).map_err(|error| error.to_string())
}

fn id(text: &str) -> Result<TradeId, String> {
    TradeId::new(text).map_err(|error| error.to_string())
}

/// JSON has no word for NaN and infinities: what comes back different must not be written.
fn read_back<T>(stored: &Result<T, BadRecord>, same: impl FnOnce(&T) -> bool) -> Result<(), String> {
    match stored {
        Ok(stored) if same(stored) => Ok(()),
        Ok(_) => Err("it would be read back different; is a number in it not finite?".to_owned()),
        Err(error) => Err(format!("it could not be read back: {}", error.what)),
    }
}

fn bad(table: &'static str, key: String, what: String) -> BadRecord {
    BadRecord { table, key, what }
}
