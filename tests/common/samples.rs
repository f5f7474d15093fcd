//! Records of few trades, so that repeats and contradictions come up, and a plain model of a journal.

use std::collections::BTreeMap;

use vigie::{
    domain::{
        Arm, Decision, Event, Money, Opinion, Outcome, Probability, Reason, Signal, SignalLine, Split, Timestamp,
        TradeId,
    },
    journal::{
        OutcomeRecord, Reader, SignalRecord, SkipRecord, Source, StoreOptions, StoredEvent, StoredOutcome,
        StoredSignal, StoredSkip, StoredVersion, Write,
    },
};

pub const OPTIONS: StoreOptions = StoreOptions { cache_bytes: 16 << 10, verify: false };
pub const CHECKPOINTS: [&str; 2] = ["guardian", "monitor"];

pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_420_000_000 + second).unwrap()
}

pub fn trade(n: u8) -> TradeId {
    TradeId::new(format!("T-{n}")).unwrap()
}

/// Trades with an even number are of ES, the others of NQ; a higher number fired earlier.
pub fn line(n: u8, variant: u8) -> Vec<u8> {
    let symbol = if n.is_multiple_of(2) { "ES" } else { "NQ" };
    let at = at(1000 - i64::from(n));
    format!(
        r#"{{"type":"score","trade_id":"T-{n}","at":"{at}","symbol":"{symbol}","side":"long","confidence":0.62,"features":{{"vwap_trend_signal":0.{variant}1}}}}"#
    )
    .into_bytes()
}

pub fn decision(n: u8) -> Decision {
    let p = |value| Probability::new(value).unwrap();
    Decision {
        trade_id: trade(n),
        arm: Arm::Ml,
        confidence: Some(p(0.685)),
        score: p(0.1 + 0.2),
        size: 1.25,
        model: Some("ES/14".parse().unwrap()),
        reason: Reason::AbTest,
    }
}

pub fn opinion() -> Opinion {
    let split = Some(Split { arm: Arm::Ml, share: 0.5 });
    Opinion { version: "ES/14".parse().unwrap(), split, score: Some(Probability::new(0.75).unwrap()), size: 1.0 }
}

pub fn signal(n: u8, variant: u8, source: Source) -> SignalRecord {
    let live = source == Source::Live;
    SignalRecord {
        trade_id: trade(n),
        received_at: at(1001),
        source,
        decision: live.then(|| decision(n)),
        opinions: if live { vec![opinion()] } else { Vec::new() },
        latency_us: live.then_some(87),
        line: line(n, variant),
    }
}

pub fn outcome(n: u8, variant: u8, source: Source) -> OutcomeRecord {
    OutcomeRecord {
        trade_id: trade(n),
        received_at: at(2000),
        source,
        echo: (variant == 1).then(|| decision(n)),
        outcome: Outcome {
            exit_at: at(1999),
            entry_price: Some(2042.5),
            exit_price: None,
            pnl: Some(Money::new(f64::from(variant) - 0.3).unwrap()),
            slippage_ticks: Some(1.0),
            exit_reason: "take_profit".into(),
            bars_held: None,
            mfe_ticks: Some(1.0 / 3.0),
            mae_ticks: None,
            mfe_bars: None,
        },
    }
}

/// What a write must be answered with, without what is in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Stored(u64, Option<bool>),
    Duplicate,
    Conflict,
}

/// Everything a journal holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Model {
    pub seq: u64,
    pub signals: BTreeMap<(String, u64), SignalRecord>,
    pub outcomes: BTreeMap<String, (u64, bool, OutcomeRecord)>,
    pub skips: BTreeMap<String, (u64, SkipRecord)>,
    pub events: BTreeMap<u64, Event>,
    pub versions: BTreeMap<String, Vec<u8>>,
    pub checkpoints: BTreeMap<String, Vec<u8>>,
}

impl Model {
    /// Reads a whole journal, every record of it, by way of every bulk read.
    pub fn read(reader: &Reader) -> Self {
        let key = |stored: &StoredSignal| (stored.record.trade_id.to_string(), stored.seq);
        let signals = reader.signals().unwrap().map(Result::unwrap).map(|s| (key(&s), s.record)).collect();
        let outcome = |s: StoredOutcome| (s.record.trade_id.to_string(), (s.seq, s.matched, s.record));
        let skip = |s: StoredSkip| (s.record.skip.trade_id.to_string(), (s.seq, s.record));
        let version = |s: StoredVersion| (s.id.to_string(), s.body);
        let checkpoint = |name: &str| Some((name.to_owned(), reader.checkpoint(name).unwrap()?));
        let model = Self {
            seq: reader.last_seq().unwrap(),
            signals,
            outcomes: reader.outcomes().unwrap().map(Result::unwrap).map(outcome).collect(),
            skips: reader.skips().unwrap().map(Result::unwrap).map(skip).collect(),
            events: reader
                .events(0)
                .unwrap()
                .map(Result::unwrap)
                .map(|StoredEvent { seq, event }| (seq, event))
                .collect(),
            versions: reader.versions().unwrap().map(Result::unwrap).map(version).collect(),
            checkpoints: CHECKPOINTS.into_iter().filter_map(checkpoint).collect(),
        };
        let counts = reader.counts().unwrap();
        let decisions = model.signals.values().filter(|record| record.decision.is_some()).count();
        assert_eq!((counts.signals, counts.decisions), (model.signals.len() as u64, decisions as u64));
        assert_eq!((counts.outcomes, counts.skips), (model.outcomes.len() as u64, model.skips.len() as u64));
        assert_eq!((counts.events, counts.versions), (model.events.len() as u64, model.versions.len() as u64));
        model
    }

    pub fn apply(&mut self, write: &Write) -> Answer {
        match write {
            Write::Signal(record) if record.source == Source::Live => self.add_signal(record),
            Write::Signal(record) => match self.has_signal(record) {
                None => self.add_signal(record),
                Some(same) => repeat(same),
            },
            Write::Outcome(record) => match self.has_outcome(record) {
                None => {
                    let matched = self.signals.keys().any(|(id, _)| *id == record.trade_id.to_string());
                    self.add_outcome(record, matched)
                }
                Some(same) => repeat(same),
            },
            Write::Completion(record) => match self.outcomes.get(&record.trade_id.to_string()) {
                Some((_, matched, known)) if known.outcome != record.outcome => {
                    if known.outcome.completed_by(&record.outcome).as_ref() != Some(&record.outcome) {
                        return Answer::Conflict;
                    }
                    self.add_outcome(record, *matched)
                }
                _ => self.apply(&Write::Outcome(record.clone())),
            },
            Write::Trade(trade) => match (self.has_signal(&trade.0), self.has_outcome(&trade.1)) {
                (Some(false), _) | (_, Some(false)) => Answer::Conflict,
                (Some(true), Some(true)) => Answer::Duplicate,
                (None, Some(true)) => self.add_signal(&trade.0),
                (signal_known, None) => {
                    if signal_known.is_none() {
                        self.add_signal(&trade.0);
                    }
                    self.add_outcome(&trade.1, true)
                }
            },
            Write::Skip(record) => {
                let id = record.skip.trade_id.to_string();
                if self.skips.contains_key(&id) {
                    return Answer::Duplicate;
                }
                if self.outcomes.contains_key(&id) {
                    return Answer::Conflict;
                }
                let answer = self.next(None);
                self.skips.insert(id, (self.seq, record.clone()));
                answer
            }
            Write::Event(event) => {
                let answer = self.next(None);
                self.events.insert(self.seq, event.clone());
                answer
            }
            Write::Version { id, body } => {
                if let Some(known) = self.versions.get(&id.to_string()) {
                    return repeat(known == body);
                }
                self.versions.insert(id.to_string(), body.clone());
                self.next(None)
            }
            Write::Checkpoint { name, bytes } => {
                self.checkpoints.insert(name.clone(), bytes.clone());
                self.next(None)
            }
            Write::Archived(_) | Write::Gone { .. } => panic!("the model has no archive; tests/archive.rs tests these"),
        }
    }

    fn next(&mut self, matched: Option<bool>) -> Answer {
        self.seq += 1;
        Answer::Stored(self.seq, matched)
    }

    fn add_signal(&mut self, record: &SignalRecord) -> Answer {
        let answer = self.next(None);
        self.signals.insert((record.trade_id.to_string(), self.seq), record.clone());
        answer
    }

    fn add_outcome(&mut self, record: &OutcomeRecord, matched: bool) -> Answer {
        let answer = self.next(Some(matched));
        self.outcomes.insert(record.trade_id.to_string(), (self.seq, matched, record.clone()));
        answer
    }

    fn has_signal(&self, record: &SignalRecord) -> Option<bool> {
        let parse = |record: &SignalRecord| -> Signal { SignalLine::parse(&record.line).unwrap().signal };
        let known: Vec<_> =
            self.signals.values().filter(|known| known.trade_id == record.trade_id).map(parse).collect();
        (!known.is_empty()).then(|| known.contains(&parse(record)))
    }

    fn has_outcome(&self, record: &OutcomeRecord) -> Option<bool> {
        self.outcomes.get(&record.trade_id.to_string()).map(|(_, _, known)| known.outcome == record.outcome)
    }
}

fn repeat(same: bool) -> Answer {
    if same { Answer::Duplicate } else { Answer::Conflict }
}
