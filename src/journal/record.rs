//! What can be written, and what is read back.

use crate::domain::{
    Decision, Event, Money, Opinion, Outcome, Reason, Signal, SignalLine, Skip, Timestamp, TradeId, VersionId,
    decision::traded_on,
};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::{archived_file::ArchivedFile, error::BadRecord};

/// Where a record came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The trader, over the socket, as it happened.
    Live,
    /// A file of past trades.
    Import,
}

/// A signal as it came, and what was answered.
#[derive(Debug, Clone, PartialEq)]
pub struct SignalRecord {
    /// The trader's name for it; the same as in `line`.
    pub trade_id: TradeId,
    /// When it came, by the daemon's clock.
    pub received_at: Timestamp,
    /// Where it came from. [`Source::Live`] is appended whatever is there; [`Source::Import`] is stored once.
    pub source: Source,
    /// The answer, if it was scored. It must be for the same trade, its size finite.
    pub decision: Option<Decision>,
    /// What every version in service was to the signal and made of it.
    pub opinions: Vec<Opinion>,
    /// How long the answer took, in microseconds.
    pub latency_us: Option<u64>,
    /// The request line as received, without its line end; it has been parsed by
    /// [`SignalLine::parse`](crate::domain::SignalLine::parse) and is parsed again when it is read.
    pub line: Vec<u8>,
}

/// What became of a trade.
#[derive(Debug, Clone, PartialEq)]
pub struct OutcomeRecord {
    /// The trade.
    pub trade_id: TradeId,
    /// When it came, by the daemon's clock.
    pub received_at: Timestamp,
    /// Where it came from.
    pub source: Source,
    /// The decision the trader says it acted on.
    pub echo: Option<Decision>,
    /// The closed trade.
    pub outcome: Outcome,
}

impl SignalRecord {
    /// Whether the signal came under the name of another trade: it was answered, and is none of that trade.
    pub fn took_a_name(&self) -> bool {
        self.decision.as_ref().is_some_and(|decision| decision.reason == Reason::TradeIdReused)
    }
}

impl OutcomeRecord {
    /// The closed trade as the strategy alone would have made it: its pnl at the strategy's own size, where `answered` is
    /// what the trader was first told; see [`traded_on`]. Past trades from a file are at that size already. Models learn from
    /// it and are judged by it, whatever size was traded.
    pub fn at_own_size(&self, answered: Option<&Decision>) -> Outcome {
        let mut outcome = self.outcome.clone();
        if let Some(decision) = traded_on(answered, self.echo.as_ref()).filter(|_| self.source == Source::Live) {
            let own = outcome.pnl.and_then(|pnl| decision.at_own_size(pnl.get()));
            outcome.pnl = own.and_then(|pnl| Money::new(pnl).ok());
        }
        outcome
    }

    /// What is to be stored in its place when the trade is told of again: itself with what `told` says beside it, and with the
    /// decision that is echoed now if none was before, received `at`. The same outcome when nothing was missing; `None` when
    /// the two contradict each other.
    pub fn completed_by(&self, told: &Outcome, echo: Option<Decision>, at: Timestamp) -> Option<Self> {
        let outcome = self.outcome.completed_by(told)?;
        Some(Self { received_at: at, outcome, echo: self.echo.clone().or(echo), ..self.clone() })
    }
}

/// A signal that was let go.
#[derive(Debug, Clone, PartialEq)]
pub struct SkipRecord {
    /// When the trader said so, by the daemon's clock.
    pub received_at: Timestamp,
    /// Which, and why.
    pub skip: Skip,
}

/// One thing to be stored. What is rarer than a signal and larger is in a box: the queue to the disk holds them by value.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    /// A live one is appended. An imported one is stored unless the trade is known: as the same signal it is
    /// [`Applied::Duplicate`], else [`Applied::Conflict`].
    Signal(SignalRecord),
    /// Stored once per trade, known, skipped or not: the money is real. A repeat with the same outcome is
    /// [`Applied::Duplicate`], with another [`Applied::Conflict`]. In the place of one that is damaged it is stored.
    Outcome(Box<OutcomeRecord>),
    /// Replaces the stored outcome of a trade that it completes: everything that is stored is said again, and something beside
    /// it. The same as stored is [`Applied::Duplicate`], one that says anything otherwise [`Applied::Conflict`].
    Completion(Box<OutcomeRecord>),
    /// An imported line, signal and outcome: both or neither. A half that is there and the same is left as it is.
    Trade(Box<(SignalRecord, OutcomeRecord)>),
    /// Stored once per trade; the first words stay. Of a trade that has an outcome it is [`Applied::Conflict`].
    Skip(SkipRecord),
    /// Appended.
    Event(Event),
    /// Stored once per version, for ever. The same body again is [`Applied::Duplicate`], another
    /// [`Applied::Conflict`].
    Version {
        /// Its name.
        id: VersionId,
        /// The model, in the layout of the models module.
        body: Vec<u8>,
    },
    /// Replaces what was stored under the name.
    Checkpoint {
        /// Its name.
        name: String,
        /// In the layout of its owner.
        bytes: Vec<u8>,
    },
    /// From now on the journal knows a file that holds old records, which still stand in the log as well. It takes the place of one of
    /// which nothing has gone from the log yet.
    Archived(ArchivedFile),
    /// What is archived up to a number goes from the log. [`Applied::Unwritable`] when the file that holds it is not there or is another
    /// one, [`Applied::Duplicate`] when it has gone already.
    Gone {
        /// The number.
        to: u64,
    },
}

impl Write {
    /// A past trade: a signal from a file, and its outcome if the file knows it. `line` is what `parsed` was read from.
    pub fn past_trade(parsed: SignalLine, line: Vec<u8>, received_at: Timestamp) -> Self {
        let (trade_id, source) = (parsed.signal.trade_id, Source::Import);
        let signal = SignalRecord {
            trade_id: trade_id.clone(),
            received_at,
            source,
            decision: None,
            opinions: Vec::new(),
            latency_us: None,
            line,
        };
        match parsed.outcome {
            None => Self::Signal(signal),
            Some(outcome) => {
                let outcome = OutcomeRecord { trade_id, received_at, source, echo: None, outcome };
                Self::Trade(Box::new((signal, outcome)))
            }
        }
    }
}

impl Write {
    /// The signal of a past trade, or the signal that is all there is.
    pub fn signal(&self) -> Option<&SignalRecord> {
        match self {
            Self::Signal(signal) => Some(signal),
            Self::Trade(trade) => Some(&trade.0),
            _ => None,
        }
    }
}

/// What became of one write of a batch.
#[derive(Debug, Clone, PartialEq)]
pub enum Applied {
    /// It is stored, durably.
    Stored {
        /// Its number; of a trade, the number of its last part.
        seq: u64,
        /// Of an outcome: whether a signal of the trade was in the journal. `None` for everything else.
        matched: Option<bool>,
    },
    /// It was there already. Nothing changed.
    Duplicate,
    /// Something else is there in its place. Nothing changed.
    Conflict {
        /// What is there.
        existing: Box<Existing>,
    },
    /// It could not be read back, so it was not written: a number in it is not finite, or its parts speak of different
    /// trades. Writing it again will not help.
    Unwritable {
        /// What is wrong with it.
        why: String,
    },
}

/// What stands in the way of a write.
#[derive(Debug, Clone, PartialEq)]
pub enum Existing {
    /// The latest signal of that trade, another one.
    Signal(StoredSignal),
    /// The outcome of that trade.
    Outcome(StoredOutcome),
    /// Another signal of a trade that was imported with its outcome, or one that cannot be read; and the stored outcome of the
    /// trade, if there is one that can be read.
    Trade(Option<StoredOutcome>),
    /// The version of that name, by the BLAKE2b-32 of its body.
    Version([u8; 32]),
    /// A record that can no longer be read; what was written cannot be compared with it.
    Unreadable(BadRecord),
}

/// A signal read back and checked.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredSignal {
    /// Its number in the journal.
    pub seq: u64,
    /// As it was written.
    pub record: SignalRecord,
    /// Its line, parsed.
    pub signal: Signal,
}

/// A record of the log, read back and checked.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "one per kind of record")]
pub enum Stored {
    Signal(Box<StoredSignal>),
    Outcome(Box<StoredOutcome>),
    Skip(StoredSkip),
    Event(StoredEvent),
}

/// How far the time of a record may lie ahead of when it came: as far as `server.max_ahead_ms` can be set.
const MOST_AHEAD: SignedDuration = SignedDuration::from_hours(24);

/// Whether `at` cannot be the time of something that came at `received_at`. Where time comes from the messages and none had
/// come yet, nothing is known.
fn lies_ahead(at: Timestamp, received_at: Timestamp) -> bool {
    let had_begun = received_at.duration_since(Timestamp::UNIX_EPOCH) > MOST_AHEAD;
    had_begun && at.duration_since(received_at) > MOST_AHEAD
}

impl StoredSignal {
    /// Whether it fired long after it came: a time that cannot be, which an older version took. Nothing is to be made of it.
    pub fn lies_ahead(&self) -> bool {
        lies_ahead(self.signal.at, self.record.received_at)
    }
}

impl StoredOutcome {
    /// Whether it was closed long after it came, see [`StoredSignal::lies_ahead`].
    pub fn lies_ahead(&self) -> bool {
        lies_ahead(self.record.outcome.exit_at, self.record.received_at)
    }
}

/// An outcome read back and checked.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredOutcome {
    /// Its number in the journal.
    pub seq: u64,
    /// Whether a signal of the trade was in the journal when it came.
    pub matched: bool,
    /// As it was written.
    pub record: OutcomeRecord,
}

/// A skip read back and checked.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredSkip {
    /// Its number in the journal.
    pub seq: u64,
    /// As it was written.
    pub record: SkipRecord,
}

/// An event read back and checked.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredEvent {
    /// Its number in the journal.
    pub seq: u64,
    /// As it was written.
    pub event: Event,
}

/// A model read back, its body matching its checksum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredVersion {
    /// Its name.
    pub id: VersionId,
    /// BLAKE2b-32 of the body.
    pub checksum: [u8; 32],
    /// The model, in the layout of the models module.
    pub body: Vec<u8>,
}
