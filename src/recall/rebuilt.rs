//! What the monitor would know had it heard everything: the log told to it record by record, in the order in which it came.
#![deny(clippy::indexing_slicing)]

use std::collections::BTreeSet;

use super::{
    fold::{Folded, open_trades_keep},
    versions,
    watched::unwatched,
};
use crate::{
    config::Config,
    domain::{Timestamp, TradeId, snapshot::TrendRegime},
    guard::watch::{JudgedDays, Judgement, Watch, WatchNews},
    journal::Reader,
    lifecycle::{
        happening::Happening,
        open_trades::{AnsweredSignal, OpenTrades},
        watch_news::{closed_news, scored_news},
    },
    state::step::State,
};

/// Names of trades that are told apart: a repeat comes soon.
const NAMES: usize = 100_000;

/// What was heard so far.
pub struct Rebuilt<'a> {
    config: &'a Config,
    /// The watch that heard it.
    pub watch: Watch,
    /// Which days the guardian was told of, by the log.
    pub days: JudgedDays,
    /// What was found when a day closed.
    pub found: Vec<Judgement>,
    /// When the latest signal came, and all that came at that time.
    pub until: Option<(Timestamp, BTreeSet<TradeId>)>,
    /// What was told of versions that nobody watches.
    pub told: Vec<String>,
    /// As far as the log was folded.
    folded: Option<Box<Folded>>,
    /// What the latest signal was like.
    looked_at: (Vec<Option<f64>>, Option<TrendRegime>),
}

impl<'a> Rebuilt<'a> {
    /// Tells everything that the journal holds to `watch`, which serves the versions of now.
    ///
    /// # Errors
    /// When the storage cannot be read.
    pub fn from(reader: &Reader, config: &'a Config, watch: Watch) -> Result<Self, String> {
        let (days, looked_at) = (JudgedDays::default(), (Vec::new(), None));
        let mut folded = Folded::empty(config)?;
        folded.state.risk.open_trades =
            OpenTrades::knowing(open_trades_keep(config), NAMES.min(config.journal.known_ids));
        let (folded, found, told) = (Some(Box::new(folded)), Vec::new(), Vec::new());
        let mut retold = Self { config, watch, days, found, until: None, told, folded, looked_at };
        retold.go_on(reader)?;
        Ok(retold)
    }

    /// Tells what was recorded since to the watch.
    ///
    /// # Errors
    /// As there.
    pub fn go_on(&mut self, reader: &Reader) -> Result<(), String> {
        let Some(mut folded) = self.folded.take() else { return Ok(()) };
        let last = reader.last_seq().map_err(|error| error.to_string())?;
        let config = self.config;
        folded.go_on_telling(reader, config, last, &mut |_, happening, state| self.hear(reader, happening, state))?;
        self.folded = Some(folded);
        Ok(())
    }

    /// `state`: what had happened before.
    fn hear(&mut self, reader: &Reader, happening: &Happening, state: &mut State) {
        match happening {
            Happening::Event(event) => {
                self.days.follow(&self.config.calendar, event);
                self.told.extend(unwatched(event.kind.clone()));
            }
            Happening::Came { signal, answered: true, .. } => {
                let seen =
                    state.pipeline.as_mut().and_then(|pipeline| Some(pipeline.look(signal).ok()?.values.to_vec()));
                self.looked_at = (seen.unwrap_or_default(), signal.trend());
            }
            Happening::Scored { at, entry } if state.risk.open_trades.is_first(entry) => {
                self.introduce(reader, entry);
                self.scored(*at, entry);
            }
            Happening::Closed { at, trade_id, echo, outcome } if !state.risk.open_trades.is_closed(trade_id) => {
                state.risk.open_trades.traded_on(trade_id, echo.as_ref().map(|echo| &echo.decision));
                if let Some(entry) = state.risk.open_trades.entry(trade_id) {
                    self.tell(closed_news(*at, entry, outcome));
                }
            }
            _ => {}
        }
    }

    /// The versions that said something of it are known to the watch, in service or not.
    fn introduce(&mut self, reader: &Reader, entry: &AnsweredSignal) {
        for version in entry.opinions.iter().map(|opinion| &opinion.version) {
            // a record that cannot be read costs the figures their question, and nobody waits for that
            let asked = || versions::usable(reader, version).map(|record| record.question()).unwrap_or_default();
            self.watch.introduce(&self.config.monitoring.watch, version, asked);
        }
    }

    fn scored(&mut self, at: Timestamp, entry: &AnsweredSignal) {
        let (row, regime) = std::mem::take(&mut self.looked_at);
        if let Some(news) = scored_news(at, entry, row, regime) {
            match &mut self.until {
                Some((until, last)) if *until == at => drop(last.insert(entry.trade_id.clone())),
                Some((until, _)) if *until > at => {}
                until => *until = Some((at, BTreeSet::from([entry.trade_id.clone()]))),
            }
            self.tell(news);
        }
    }

    fn tell(&mut self, news: WatchNews) {
        self.found.extend(self.watch.hear(&self.config.monitoring.watch, &self.config.calendar, news));
    }
}
