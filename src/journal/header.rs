//! What stands before the request line of a signal, in bytes: a daemon writes one for every answer.
//!
//! Numbers are little-endian. An option is a byte, 0 or 1, and then what it holds; a word is its length in a byte and its
//! text; a version is its symbol, a word, and its number. Reasons are words, so that their order may change.
#![deny(clippy::indexing_slicing)]

use super::record::{SignalRecord, Source};
use crate::domain::{Arm, Decision, Opinion, Probability, Reason, Split, Symbol, Timestamp, TradeId, VersionId};

/// Appends the header of `record`: second and nanosecond of its arrival, source, latency, decision, opinions. The trade
/// id is in the key and in the line.
pub(super) fn write(out: &mut Vec<u8>, record: &SignalRecord) {
    out.extend_from_slice(&record.received_at.as_second().to_le_bytes());
    out.extend_from_slice(&record.received_at.subsec_nanosecond().to_le_bytes());
    out.push(match record.source {
        Source::Live => 0,
        Source::Import => 1,
    });
    put_option(out, record.latency_us, |out, latency| out.extend_from_slice(&latency.to_le_bytes()));
    put_option(out, record.decision.as_ref(), put_decision);
    let opinions = u32::try_from(record.opinions.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&opinions.to_le_bytes());
    record.opinions.iter().for_each(|opinion| put_opinion(out, opinion));
}

/// Reads the header at the start of `bytes`; what follows it is the line.
pub(super) fn read(trade_id: TradeId, bytes: &[u8]) -> Result<SignalRecord, String> {
    let mut bytes = Bytes(bytes);
    let (second, nanosecond) = (i64::from_le_bytes(bytes.take()?), i32::from_le_bytes(bytes.take()?));
    let received_at = Timestamp::new(second, nanosecond).map_err(|error| error.to_string())?;
    let source = if bytes.flag()? { Source::Import } else { Source::Live };
    let latency_us = bytes.option(|bytes| Ok(u64::from_le_bytes(bytes.take()?)))?;
    let decision = bytes.option(|bytes| bytes.decision(&trade_id))?;
    let opinions = u32::from_le_bytes(bytes.take()?);
    let opinions = (0..opinions).map(|_| bytes.opinion()).collect::<Result<_, String>>()?;
    Ok(SignalRecord { trade_id, received_at, source, decision, opinions, latency_us, line: bytes.0.to_vec() })
}

fn put_option<T>(out: &mut Vec<u8>, value: Option<T>, put: impl FnOnce(&mut Vec<u8>, T)) {
    out.push(u8::from(value.is_some()));
    if let Some(value) = value {
        put(out, value);
    }
}

fn put_decision(out: &mut Vec<u8>, decision: &Decision) {
    put_arm(out, decision.arm);
    put_option(out, decision.confidence, |out, confidence| put_float(out, confidence.get()));
    put_float(out, decision.score.get());
    put_float(out, decision.size);
    put_option(out, decision.model.as_ref(), put_version);
    put_word(out, decision.reason.name());
}

fn put_opinion(out: &mut Vec<u8>, opinion: &Opinion) {
    put_version(out, &opinion.version);
    put_option(out, opinion.split, |out, split| {
        put_arm(out, split.arm);
        put_float(out, split.share);
    });
    put_option(out, opinion.score, |out, score| put_float(out, score.get()));
    put_float(out, opinion.size);
}

fn put_arm(out: &mut Vec<u8>, arm: Arm) {
    out.push(match arm {
        Arm::Baseline => 0,
        Arm::Ml => 1,
    });
}

fn put_version(out: &mut Vec<u8>, version: &VersionId) {
    put_word(out, version.symbol.as_str());
    out.extend_from_slice(&version.number.to_le_bytes());
}

fn put_float(out: &mut Vec<u8>, number: f64) {
    out.extend_from_slice(&number.to_le_bytes());
}

/// Symbols and names of reasons are far shorter than a byte can count.
fn put_word(out: &mut Vec<u8>, word: &str) {
    out.push(u8::try_from(word.len()).unwrap_or(u8::MAX));
    out.extend_from_slice(word.as_bytes().get(..usize::from(u8::MAX)).unwrap_or(word.as_bytes()));
}

/// What is left to read.
struct Bytes<'a>(&'a [u8]);

const CUT: &str = "it ends within its header";

impl<'a> Bytes<'a> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let (head, rest) = self.0.split_first_chunk().ok_or(CUT)?;
        self.0 = rest;
        Ok(*head)
    }

    fn flag(&mut self) -> Result<bool, String> {
        match self.take()? {
            [0] => Ok(false),
            [1] => Ok(true),
            [other] => Err(format!("{other} stands where 0 or 1 should")),
        }
    }

    fn option<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, String>) -> Result<Option<T>, String> {
        if self.flag()? { read(self).map(Some) } else { Ok(None) }
    }

    fn arm(&mut self) -> Result<Arm, String> {
        Ok(if self.flag()? { Arm::Ml } else { Arm::Baseline })
    }

    fn float(&mut self) -> Result<f64, String> {
        let number = f64::from_le_bytes(self.take()?);
        if number.is_finite() { Ok(number) } else { Err(format!("{number} stands where a number should")) }
    }

    fn probability(&mut self) -> Result<Probability, String> {
        Probability::new(self.float()?).map_err(|error| error.to_string())
    }

    fn word(&mut self) -> Result<&'a str, String> {
        let [length] = self.take()?;
        let (word, rest) = self.0.split_at_checked(usize::from(length)).ok_or(CUT)?;
        self.0 = rest;
        std::str::from_utf8(word).map_err(|error| error.to_string())
    }

    fn version(&mut self) -> Result<VersionId, String> {
        let symbol = Symbol::new(self.word()?).map_err(|error| error.to_string())?;
        match u32::from_le_bytes(self.take()?) {
            0 => Err(format!("a version of {symbol} has the number 0")),
            number => Ok(VersionId { symbol, number }),
        }
    }

    fn opinion(&mut self) -> Result<Opinion, String> {
        let version = self.version()?;
        let split = self.option(|bytes| Ok(Split { arm: bytes.arm()?, share: bytes.float()? }))?;
        Ok(Opinion { version, split, score: self.option(Self::probability)?, size: self.float()? })
    }

    fn decision(&mut self, trade_id: &TradeId) -> Result<Decision, String> {
        let (arm, confidence) = (self.arm()?, self.option(Self::probability)?);
        let (score, size) = (self.probability()?, self.float()?);
        let model = self.option(Self::version)?;
        let reason = self.word()?;
        let known = Reason::ALL.into_iter().find(|known| known.name() == reason);
        let reason = known.ok_or_else(|| format!("the reason {reason:?} is unknown"))?;
        Ok(Decision { trade_id: trade_id.clone(), arm, confidence, score, size, model, reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(reason: Reason) -> SignalRecord {
        let trade_id = TradeId::new("T-1").unwrap();
        let p = |value| Probability::new(value).unwrap();
        let (arm, confidence, model) = match reason {
            Reason::Production => (Arm::Ml, Some(p(0.1 + 0.2)), Some("ES/14".parse().unwrap())),
            _ => (Arm::Baseline, None, None),
        };
        SignalRecord {
            received_at: Timestamp::new(-7, -1).unwrap(),
            source: Source::Live,
            decision: Some(Decision {
                trade_id: trade_id.clone(),
                arm,
                confidence,
                score: p(1.0),
                size: 1.25,
                model,
                reason,
            }),
            opinions: vec![
                Opinion {
                    version: "ES/4294967295".parse().unwrap(),
                    split: Some(Split { arm: Arm::Ml, share: 0.2 }),
                    score: None,
                    size: 1.0,
                },
                Opinion { version: "A.B_9/1".parse().unwrap(), split: None, score: Some(p(0.0)), size: 1.5 },
            ],
            latency_us: Some(u64::MAX),
            line: b"a line".to_vec(),
            trade_id,
        }
    }

    #[test]
    fn a_header_is_read_back_and_one_that_is_cut_is_an_error() {
        let bare = SignalRecord {
            source: Source::Import,
            decision: None,
            opinions: Vec::new(),
            latency_us: None,
            ..record(Reason::NoModel)
        };
        for record in Reason::ALL.into_iter().map(record).chain([bare]) {
            let mut bytes = Vec::new();
            write(&mut bytes, &record);
            for length in 0..bytes.len() {
                assert_eq!(read(record.trade_id.clone(), &bytes[..length]), Err(CUT.to_owned()));
            }
            bytes.extend_from_slice(&record.line);
            assert_eq!(read(record.trade_id.clone(), &bytes).unwrap(), record);
        }
    }
}
