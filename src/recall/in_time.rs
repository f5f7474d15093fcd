//! The trades of the journal in the order of the times of their signals, each with the row that the service saw and with what
//! became of it. Two passes: the first notes where the records of each trade stand, some dozen bytes, and the second reads them
//! one by one. So a long journal takes little memory, however large its snapshots are.
#![deny(clippy::indexing_slicing)]

use std::collections::HashMap;

use super::history::kept;
use crate::{
    config::Config,
    domain::{Arm, Outcome, Timestamp},
    features::{pipeline::Pipeline, row::InvalidSchema},
    journal::{Name, Reader, Source, StoredOutcome, StoredSignal, TradeKeys},
};

/// The inputs of a signal, one value per name of the schema.
pub type Values = Vec<Option<f64>>;

/// Of an answered signal whose trade has an earlier one. No journal that can be read has so many trades.
const REPEAT: u32 = u32::MAX;

/// Where the records of each trade stand.
#[derive(Debug)]
pub struct InTime {
    keys: TradeKeys,
    /// In the order of the times of their signals.
    trades: Vec<Place>,
    /// The signals that the daemon answered, repeats included, in the order in which they were recorded.
    answered: Vec<Answered>,
    /// Trades without an outcome that were left out, the oldest ones.
    pub left_out: usize,
}

/// One trade.
#[derive(Debug, Clone, Copy)]
struct Place {
    at: Timestamp,
    name: Name,
    /// The number of the record that counts: the first that was answered here, or else the one from a file.
    seq: u64,
    /// The number of the record from a file, where that came before the answer; else the same.
    first: u64,
    is_live: bool,
    heard: bool,
}

#[derive(Debug, Clone, Copy)]
struct Answered {
    seq: u64,
    name: Name,
    /// Its place among the trades; [`REPEAT`] for one of a trade that is there.
    place: u32,
}

/// A trade of the past.
#[derive(Debug)]
pub struct Known {
    /// The record of its signal that counts: the first that was answered here, or else the one from a file.
    pub stored: StoredSignal,
    /// The number of its record; that from a file where it came before the answer.
    pub seq: u64,
    /// Whether a model was heard in any answer to its signal.
    pub heard: bool,
    /// The row as the service saw it; `None` where its symbol is unknown, and where no rows are made.
    pub row: Option<Values>,
    /// The outcome that counts. One that is damaged, or whose time lies long after it came, is not there.
    pub outcome: Option<StoredOutcome>,
}

impl Known {
    /// The closed trade at the strategy's own size.
    pub fn at_own_size(&self) -> Option<Outcome> {
        Some(self.outcome.as_ref()?.record.at_own_size(self.stored.record.decision.as_ref()))
    }
}

/// A pipeline that has seen nothing yet.
///
/// # Errors
/// When no inputs can be made by `config`, which a checked one does not allow.
pub fn pipeline(config: &Config) -> Result<Pipeline, InvalidSchema> {
    Pipeline::new(config.symbols.clone(), config.calendar.clone(), &config.features)
}

impl InTime {
    /// Finds every trade.
    ///
    /// # Errors
    /// When the storage cannot be read; damaged records, and those whose times lie long after they came, are left out.
    pub fn read(reader: &Reader) -> Result<Self, String> {
        Self::read_before(reader, u64::MAX, usize::MAX)
    }

    /// The same of what was recorded before the number `end`, without the oldest of the trades that have no outcome, as far as
    /// they are more than `most_open`.
    ///
    /// # Errors
    /// As there.
    pub fn read_before(reader: &Reader, end: u64, most_open: usize) -> Result<Self, String> {
        let mut keys = reader.trade_keys(end).map_err(|error| error.to_string())?;
        let left_out = keys.leave_out(most_open);
        let (mut trades, mut answered) = (Vec::<Place>::new(), Vec::new());
        // the records of a trade stand together, in the order in which they came
        for (name, seq) in keys.take_signals() {
            let Some(stored) = kept(reader.signal_record(keys.name(name), seq))? else { continue };
            if stored.lies_ahead() {
                continue;
            }
            let (at, is_live) = (stored.signal.at, stored.record.source == Source::Live);
            let heard = stored.record.decision.as_ref().is_some_and(|decision| decision.arm == Arm::Ml);
            match trades.last_mut().filter(|trade| trade.name == name) {
                None => trades.push(Place { at, name, seq, first: seq, is_live, heard }),
                Some(trade) => {
                    trade.heard |= heard;
                    if is_live && !trade.is_live {
                        // what a file says of a trade that was answered here is not what was known when it was
                        (trade.at, trade.seq, trade.is_live) = (at, seq, true);
                    } else if is_live {
                        answered.push(Answered { seq, name, place: REPEAT });
                    }
                }
            }
        }
        trades.sort_unstable_by(|a, b| (a.at, keys.name(a.name)).cmp(&(b.at, keys.name(b.name))));
        let live = trades.iter().zip(0..).filter(|(trade, _)| trade.is_live);
        answered.extend(live.map(|(trade, place)| Answered { seq: trade.seq, name: trade.name, place }));
        answered.sort_unstable_by_key(|answered| answered.seq);
        Ok(Self { keys, trades, answered, left_out })
    }

    /// The trades one by one, from the same journal at the same moment. `pipeline`, which has seen nothing yet, makes their rows.
    pub fn walk<'a>(&'a self, reader: &'a Reader, pipeline: Option<Pipeline>) -> Walk<'a> {
        let pipelines = pipeline.map(|pipeline| Pipelines { past: pipeline.clone(), live: pipeline });
        Walk { in_time: self, reader, pipelines, next: 0, answered: 0, early: HashMap::new() }
    }
}

/// What makes the rows. A signal that was answered is filled from those recorded before it, whatever their times; one from a file
/// from the others, in the order of their times, as in [`History::rows`](crate::validation::training::History::rows).
struct Pipelines {
    live: Pipeline,
    past: Pipeline,
}

/// A pass over the trades.
pub struct Walk<'a> {
    in_time: &'a InTime,
    reader: &'a Reader,
    pipelines: Option<Pipelines>,
    next: u32,
    /// How many answered signals have gone through their pipeline.
    answered: usize,
    /// Rows of signals that came earlier than others of earlier times, by their places.
    early: HashMap<u32, Option<Values>>,
}

impl Walk<'_> {
    fn read(&mut self) -> Result<Option<Known>, String> {
        while let Some(Place { name, seq, first, is_live, heard, .. }) =
            self.in_time.trades.get(self.next as usize).copied()
        {
            let place = self.next;
            self.next += 1;
            let Some(mut stored) = self.signal(name, seq)? else { continue };
            stored.record.line = Vec::new();
            let row = if is_live { self.live_row(place, &stored)? } else { self.past_row(&stored) };
            let outcome = self.in_time.keys.outcome(name).map(|seq| self.outcome(&stored, seq)).transpose()?.flatten();
            return Ok(Some(Known { stored, seq: first, heard, row, outcome }));
        }
        Ok(None)
    }

    fn signal(&self, name: Name, seq: u64) -> Result<Option<StoredSignal>, String> {
        kept(self.reader.signal_record(self.in_time.keys.name(name), seq))
    }

    fn outcome(&self, stored: &StoredSignal, seq: u64) -> Result<Option<StoredOutcome>, String> {
        let outcome = kept(self.reader.outcome_record(&stored.record.trade_id, seq))?;
        Ok(outcome.filter(|outcome| !outcome.lies_ahead()))
    }

    fn past_row(&mut self, stored: &StoredSignal) -> Option<Values> {
        made(&mut self.pipelines.as_mut()?.past, stored)
    }

    /// The row of the answered signal at `place`. All that were answered before it go through the pipeline first.
    fn live_row(&mut self, place: u32, stored: &StoredSignal) -> Result<Option<Values>, String> {
        if self.pipelines.is_none() {
            return Ok(None);
        }
        if let Some(row) = self.early.remove(&place) {
            return Ok(row);
        }
        while let Some(answered) = self.in_time.answered.get(self.answered).copied() {
            self.answered += 1;
            if answered.place == place {
                return Ok(self.pipelines.as_mut().and_then(|pipelines| made(&mut pipelines.live, stored)));
            }
            let before = self.signal(answered.name, answered.seq)?;
            let (Some(before), Some(pipelines)) = (before, &mut self.pipelines) else { continue };
            match answered.place {
                REPEAT => pipelines.live.remember(&before.signal),
                place => drop(self.early.insert(place, made(&mut pipelines.live, &before))),
            }
        }
        Ok(None)
    }
}

fn made(pipeline: &mut Pipeline, stored: &StoredSignal) -> Option<Values> {
    pipeline.inputs(&stored.signal).ok().map(<[_]>::to_vec)
}

impl Iterator for Walk<'_> {
    type Item = Result<Known, String>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}
