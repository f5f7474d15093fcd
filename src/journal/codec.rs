//! Records to bytes and back. Nothing is trusted on the way back.
//!
//! A record of the log is `[kind u8][format u8][CRC-32 u32 LE of kind, format, sequence number and body][body]`. The body of
//! a signal, an outcome or a skip begins with the length of its trade id in a byte and the id.
#![deny(clippy::indexing_slicing)]

use serde::{Deserialize, Serialize};

use super::{
    dictionaries::{self, Dictionaries, Packed},
    error::BadRecord,
    header, older,
    record::{
        OutcomeRecord, SignalRecord, SkipRecord, Source, StoredEvent, StoredOutcome, StoredSignal, StoredSkip,
        StoredVersion,
    },
    seal::{FORMAT, after_format, bad, checksum, crc, parse, seal, to_json, unknown_format, unseal},
};
use crate::domain::{Decision, Event, Opinion, Outcome, SignalLine, Skip, Timestamp, TradeId, VersionId};

/// The format of a record that schema 2 held damaged: what stands behind the trade id are its bytes as they were.
const AS_IT_WAS: u8 = 0;
/// What stands before the body of a record of the log.
const HEAD: usize = 6;
/// The format of a signal whose line is compressed: behind the trade id stand the name of the dictionary (u32 LE) and the length
/// of the line (u16 LE), the header, and the line. In format 1 two bytes of 0 stand there, and the line is as it came.
const PACKED: u8 = 2;
/// What stands before the header of a line that is stored as it came.
const AS_IT_CAME: [u8; 2] = [0; 2];

/// What a record of the log is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Signal = 1,
    Outcome = 2,
    Skip = 3,
    Event = 4,
}

#[derive(Serialize, Deserialize)]
pub(super) struct OutcomeBody {
    pub(super) received_at: Timestamp,
    pub(super) matched: bool,
    pub(super) source: Source,
    pub(super) echo: Option<Decision>,
    pub(super) outcome: Outcome,
}

#[derive(Serialize, Deserialize)]
pub(super) struct SkipBody {
    pub(super) received_at: Timestamp,
    pub(super) reason: Box<str>,
}

impl OutcomeBody {
    pub(super) fn of_trade(self, trade_id: &str, seq: u64) -> Result<StoredOutcome, String> {
        let Self { received_at, matched, source, echo, outcome } = self;
        let record = OutcomeRecord { trade_id: id(trade_id)?, received_at, source, echo, outcome };
        Ok(StoredOutcome { seq, matched, record })
    }
}

impl Kind {
    pub(super) const ALL: [Self; 4] = [Self::Signal, Self::Outcome, Self::Skip, Self::Event];

    pub(super) fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == byte)
    }

    /// Of a record that was not checked.
    pub(super) fn of(value: &[u8]) -> Option<Self> {
        value.first().copied().and_then(Self::from_byte)
    }

    /// How a damaged record of it is named.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Signal => "signals",
            Self::Outcome => "outcomes",
            Self::Skip => "skips",
            Self::Event => "events",
        }
    }
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

/// Puts a signal that was checked into `out`. Gives the name of its line when that has become a dictionary, which must be
/// stored.
pub(super) fn encode_signal(
    out: &mut Vec<u8>,
    seq: u64,
    record: &SignalRecord,
    dictionaries: &mut Dictionaries,
) -> Option<u32> {
    let id = Some(record.trade_id.as_str());
    begin(out, Kind::Signal, PACKED, id);
    let place = out.len();
    out.extend_from_slice(&[0; 6]);
    header::write(out, record);
    let packed = dictionaries.pack(&record.line, out);
    if let (Some(Packed { dictionary, length, .. }), Some(place)) = (packed, out.get_mut(place..place + 6)) {
        let (name, size) = place.split_at_mut(4);
        name.copy_from_slice(&dictionary.to_le_bytes());
        size.copy_from_slice(&length.to_le_bytes());
    } else {
        encode_plain_signal(out, seq, record);
        return packed.filter(|packed| packed.is_new).map(|packed| packed.dictionary);
    }
    end(out, seq);
    packed.filter(|packed| packed.is_new).map(|packed| packed.dictionary)
}

/// The same with its line as it came.
pub(super) fn encode_plain_signal(out: &mut Vec<u8>, seq: u64, record: &SignalRecord) {
    begin(out, Kind::Signal, FORMAT, Some(record.trade_id.as_str()));
    out.extend_from_slice(&AS_IT_CAME);
    header::write(out, record);
    out.extend_from_slice(&record.line);
    end(out, seq);
}

/// Where the body behind the trade id of a record begins.
pub(super) fn text_of(value: &[u8]) -> usize {
    HEAD + 1 + value.get(HEAD).copied().map_or(0, usize::from)
}

/// Whether a record of the numbers of an archived file is in that file. Events stay in the log, and so does what does not match its
/// checksum or was damaged in an older schema already.
pub(super) fn can_be_archived(seq: u64, value: &[u8]) -> bool {
    let is_whole = open(seq, value).is_ok_and(|(_, format, _)| format != AS_IT_WAS);
    is_whole && Kind::of(value).is_some_and(|kind| kind != Kind::Event)
}

pub(super) fn decode_signal(seq: u64, value: &[u8], dictionaries: &Dictionaries) -> Result<StoredSignal, String> {
    let (format, trade_id, body) = open_of_trade(seq, value, Kind::Signal)?;
    let record = match format {
        AS_IT_WAS => {
            let (was, value) = body.split_first_chunk::<8>().ok_or("it ends before its number")?;
            return older::signal(trade_id, u64::from_le_bytes(*was), value).map_err(|bad| bad.what);
        }
        PACKED => {
            let ([name @ .., a, b], body) = body.split_first_chunk::<6>().ok_or(NO_LINE)?;
            let mut record = header::read(id(trade_id)?, body)?;
            let length = u16::from_le_bytes([*a, *b]);
            record.line = dictionaries.unpack(u32::from_le_bytes(*name), length, &record.line)?;
            record
        }
        _ => match body.split_first_chunk::<2>().ok_or(NO_LINE)? {
            (&AS_IT_CAME, body) => header::read(id(trade_id)?, body)?,
            (other, _) => return Err(format!("{other:?} stands where its header should")),
        },
    };
    let signal = SignalLine::parse_stored(&record.line).map_err(|error| error.to_string())?.signal;
    if signal.trade_id != record.trade_id {
        return Err(format!("it holds a signal of the trade {}", signal.trade_id));
    }
    Ok(StoredSignal { seq, record, signal })
}

const NO_LINE: &str = "it ends before its line";

pub(super) fn encode_dictionary(name: u32, line: &[u8]) -> Vec<u8> {
    let mut out = vec![FORMAT];
    out.extend_from_slice(&crc(&[&name.to_be_bytes()], line).to_le_bytes());
    out.extend_from_slice(line);
    out
}

pub(super) fn decode_dictionary(name: u32, value: &[u8]) -> Option<&[u8]> {
    let line = unseal(&[&name.to_be_bytes()], value).ok()?;
    (dictionaries::name_of(line) == name).then_some(line)
}

pub(super) fn encode_outcome(out: &mut Vec<u8>, seq: u64, matched: bool, record: &OutcomeRecord) -> Result<(), String> {
    let body = OutcomeBody {
        received_at: record.received_at,
        matched,
        source: record.source,
        echo: record.echo.clone(),
        outcome: record.outcome.clone(),
    };
    begin(out, Kind::Outcome, FORMAT, Some(record.trade_id.as_str()));
    to_json(out, &body)?;
    end(out, seq);
    read_back(&decode_outcome(seq, out), |stored| stored.record == *record)
}

pub(super) fn decode_outcome(seq: u64, value: &[u8]) -> Result<StoredOutcome, String> {
    let (format, trade_id, body) = open_of_trade(seq, value, Kind::Outcome)?;
    if format == AS_IT_WAS {
        return older::outcome(trade_id, body).map_err(|bad| bad.what);
    }
    parse::<OutcomeBody>(body)?.of_trade(trade_id, seq)
}

pub(super) fn encode_skip(out: &mut Vec<u8>, seq: u64, record: &SkipRecord) -> Result<(), String> {
    begin(out, Kind::Skip, FORMAT, Some(record.skip.trade_id.as_str()));
    to_json(out, &SkipBody { received_at: record.received_at, reason: record.skip.reason.clone() })?;
    end(out, seq);
    Ok(())
}

pub(super) fn decode_skip(seq: u64, value: &[u8]) -> Result<StoredSkip, String> {
    let (format, trade_id, body) = open_of_trade(seq, value, Kind::Skip)?;
    if format == AS_IT_WAS {
        return older::skip(trade_id, body).map_err(|bad| bad.what);
    }
    let body: SkipBody = parse(body)?;
    let skip = Skip { trade_id: id(trade_id)?, reason: body.reason };
    Ok(StoredSkip { seq, record: SkipRecord { received_at: body.received_at, skip } })
}

pub(super) fn encode_event(out: &mut Vec<u8>, seq: u64, event: &Event) -> Result<(), String> {
    begin(out, Kind::Event, FORMAT, None);
    to_json(out, event)?;
    end(out, seq);
    read_back(&decode_event(seq, out), |stored| stored.event == *event)
}

pub(super) fn decode_event(seq: u64, value: &[u8]) -> Result<StoredEvent, String> {
    match open(seq, value)? {
        (Kind::Event, AS_IT_WAS, body) => older::event(seq, body).map_err(|bad| bad.what),
        (Kind::Event, FORMAT, body) => Ok(StoredEvent { seq, event: parse(body)? }),
        (kind, format, _) => Err(misplaced(kind, format)),
    }
}

/// Puts a record that schema 2 held damaged into `out`, as it was there: `was` is the number in the key of a signal.
pub(super) fn encode_as_it_was(
    out: &mut Vec<u8>,
    seq: u64,
    kind: Kind,
    trade_id: Option<&str>,
    was: u64,
    value: &[u8],
) {
    begin(out, kind, AS_IT_WAS, trade_id);
    if kind == Kind::Signal {
        out.extend_from_slice(&was.to_le_bytes());
    }
    out.extend_from_slice(value);
    end(out, seq);
}

/// The trade id of a record of a trade, which was not checked: of a damaged record it may be any.
pub(super) fn trade_of(value: &[u8]) -> Option<&str> {
    let (length, rest) = value.get(HEAD..)?.split_first()?;
    std::str::from_utf8(rest.get(..usize::from(*length))?).ok()
}

/// Whether a record that the index names under a trade is of that trade: it says so, or it is damaged and cannot say it.
pub(super) fn may_be_of(seq: u64, value: &[u8], trade_id: &TradeId) -> bool {
    trade_of(value) == Some(trade_id.as_str()) || open(seq, value).is_err()
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

pub(super) fn id(text: &str) -> Result<TradeId, String> {
    TradeId::new(text).map_err(|error| error.to_string())
}

/// Begins a record of the log. Trade ids are far shorter than a byte can count.
fn begin(out: &mut Vec<u8>, kind: Kind, format: u8, trade_id: Option<&str>) {
    out.clear();
    out.extend_from_slice(&[kind as u8, format, 0, 0, 0, 0]);
    if let Some(trade_id) = trade_id {
        out.push(u8::try_from(trade_id.len()).unwrap_or(u8::MAX));
        out.extend_from_slice(trade_id.as_bytes());
    }
}

fn end(out: &mut [u8], seq: u64) {
    if let Some((head, body)) = out.split_first_chunk_mut::<HEAD>() {
        let [kind, format, sum @ ..] = head;
        *sum = crc(&[&[*kind, *format], &seq.to_be_bytes()], body).to_le_bytes();
    }
}

/// Kind, format and body of a record whose checksum is right.
fn open(seq: u64, value: &[u8]) -> Result<(Kind, u8, &[u8]), String> {
    let ([kind, format, sum @ ..], body) = value.split_first_chunk::<HEAD>().ok_or("it ends before its checksum")?;
    if crc(&[&[*kind, *format], &seq.to_be_bytes()], body) != u32::from_le_bytes(*sum) {
        return Err("it does not match its checksum".to_owned());
    }
    let known = Kind::from_byte(*kind).ok_or_else(|| format!("its kind, {kind}, is unknown"))?;
    Ok((known, *format, body))
}

/// Format, trade id and the rest of the body of a record of `wanted`.
fn open_of_trade(seq: u64, value: &[u8], wanted: Kind) -> Result<(u8, &str, &[u8]), String> {
    let (kind, format, body) = open(seq, value)?;
    let newest = if kind == Kind::Signal { PACKED } else { FORMAT };
    if kind != wanted || format > newest {
        return Err(misplaced(kind, format));
    }
    let (length, rest) = body.split_first().ok_or("it ends before its trade id")?;
    let (trade_id, rest) = rest.split_at_checked(usize::from(*length)).ok_or("it ends within its trade id")?;
    let trade_id = std::str::from_utf8(trade_id).map_err(|error| error.to_string())?;
    Ok((format, trade_id, rest))
}

fn misplaced(kind: Kind, format: u8) -> String {
    if format > FORMAT { unknown_format(format) } else { format!("it is one of the {}", kind.name()) }
}

/// JSON has no word for NaN and infinities: what comes back different must not be written.
fn read_back<T>(stored: &Result<T, String>, same: impl FnOnce(&T) -> bool) -> Result<(), String> {
    match stored {
        Ok(stored) if same(stored) => Ok(()),
        Ok(_) => Err("it would be read back different; is a number in it not finite?".to_owned()),
        Err(error) => Err(format!("it could not be read back: {error}")),
    }
}
