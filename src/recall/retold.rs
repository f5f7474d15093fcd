//! The past told again under other thresholds, from the journal: happening by happening, so that a long journal takes little memory.
#![deny(clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::{
    events,
    fold::Folded,
    history::moved,
    in_time::{Values, pipeline},
    watched,
};
use crate::{
    config::Config,
    domain::{TradeId, snapshot::TrendRegime},
    journal::Reader,
    lifecycle::happening::Happening,
    state::{
        replay::{Replay, Retelling, Seen, Thresholds, Watching},
        step::State,
    },
};

/// A journal at one moment, as the configuration in force made it.
pub struct Retold<'a> {
    reader: &'a Reader,
    in_force: &'a Config,
    last: u64,
    /// The numbers at which outcomes were told that say more later.
    completed: HashSet<u64>,
    /// The numbers of the signals whose trades have no outcome.
    open: Vec<u64>,
}

impl<'a> Retold<'a> {
    /// Finds out which outcomes count and which trades have none.
    ///
    /// # Errors
    /// When the storage cannot be read.
    pub fn of(reader: &'a Reader, in_force: &'a Config) -> Result<Self, String> {
        let text = |error: crate::journal::StoreError| error.to_string();
        let last = reader.last_seq().map_err(text)?;
        let keys = reader.trade_keys(u64::MAX).map_err(text)?;
        let open = keys.signals().filter(|(name, _)| keys.outcome(*name).is_none());
        let mut open: Vec<u64> = open.map(|(_, seq)| seq).collect();
        open.sort_unstable();
        let mut retold = Self { reader, in_force, last, completed: HashSet::new(), open };
        if reader.replacements().map_err(text)?.is_empty() {
            return Ok(retold);
        }
        let (mut told, mut completed): (HashMap<TradeId, u64>, HashSet<u64>) = Default::default();
        retold.all(&mut |seq, happening| match happening {
            Happening::Closed { trade_id, .. } => drop(told.insert(trade_id.clone(), seq)),
            Happening::Completed { trade_id, .. } => completed.extend(told.insert(trade_id.clone(), seq)),
            _ => {}
        })?;
        retold.completed = completed;
        Ok(retold)
    }

    /// The past under `thresholds`, the rows of its signals as `config` makes them.
    ///
    /// # Errors
    /// When the storage cannot be read, or the options of the test contradict each other, which those of a checked configuration do
    /// not.
    pub fn under(&self, config: &Config, thresholds: &Thresholds) -> Result<Replay, String> {
        let mut pipeline = pipeline(config).map_err(|error| error.to_string())?;
        let mut retelling = Retelling::new(thresholds);
        let mut came: Option<(Values, Option<TrendRegime>)> = None;
        let mut failed = None;
        self.all(&mut |seq, happening| {
            if let Happening::Came { signal, served, .. } = happening {
                let row = served.then(|| pipeline.inputs(signal).ok().map(<[_]>::to_vec)).flatten();
                came = row.map(|row| (row, signal.trend()));
                return;
            }
            let seen = match happening {
                Happening::Scored { .. } => {
                    let (row, trend) = came.take().unwrap_or_default();
                    Seen { row, trend, closes: self.open.binary_search(&seq).is_err() }
                }
                _ => Seen::default(),
            };
            let mut seen = Some(seen);
            self.settled(seq, happening, &mut |happening| {
                if failed.is_none() {
                    failed = retelling.take(happening, seen.take().unwrap_or_default()).err();
                }
            });
        })?;
        failed.map_or_else(|| Ok(retelling.end()), Err)
    }

    /// What the monitor of the past under `config` judges by. It takes some seconds for each version that was ever moved.
    ///
    /// # Errors
    /// When the storage cannot be read.
    pub fn watching(&self, config: &Config) -> Result<Watching, String> {
        let mut versions = BTreeSet::new();
        for stored in events::in_force(self.reader).map_err(|error| error.to_string())? {
            versions.extend(moved(&stored.map_err(|error| error.to_string())?.event.kind).cloned());
        }
        // nothing is known of one whose record cannot be used
        let subject = |version| (watched::of(self.reader, config, &version).unwrap_or_default(), version);
        let subjects: BTreeMap<_, _> =
            versions.into_iter().map(subject).map(|(subject, version)| (version, subject)).collect();
        Ok(Watching { options: config.monitoring.watch, subjects })
    }

    /// Everything that happened while the daemon ran, each outcome as it is in the end, in its order.
    ///
    /// # Errors
    /// When the storage cannot be read.
    pub fn each(&self, tell: &mut dyn FnMut(&Happening)) -> Result<(), String> {
        self.all(&mut |seq, happening| self.settled(seq, happening, tell))
    }

    fn all(&self, tell: &mut dyn FnMut(u64, &Happening)) -> Result<(), String> {
        let mut tell = |seq, happening: &Happening, _: &mut State| tell(seq, happening);
        Folded::empty(self.in_force)?.go_on_telling(self.reader, self.in_force, self.last, &mut tell)
    }

    /// Tells `tell` of a happening, of an outcome as it is in the end.
    fn settled(&self, seq: u64, happening: &Happening, tell: &mut dyn FnMut(&Happening)) {
        let is_outcome = matches!(happening, Happening::Closed { .. } | Happening::Completed { .. });
        match happening {
            Happening::Came { .. } => {}
            _ if is_outcome && self.completed.contains(&seq) => {}
            Happening::Completed { at, trade_id, echo, outcome, .. } => {
                let (at, trade_id, echo, outcome) = (*at, trade_id.clone(), echo.clone(), outcome.clone());
                tell(&Happening::Closed { at, trade_id, echo, outcome });
            }
            other => tell(other),
        }
    }
}
