//! Trades of here whose result an import without a daemon makes doubtful: what follows is recorded at once, as a daemon would.
//!
//! What follows is said by the state that the journal comes to, as in the daemon that starts next.

use std::path::PathBuf;

use crate::{
    clock::{Clock, WallClock},
    config::Config,
    domain::{Event, EventKind, Money, Timestamp, TradeId, VersionId, event::Level, trip::Unevaluable},
    journal::{SilenceFile, Store, Write},
    lifecycle::{happening::Happening, open_trades::AnsweredSignal},
    recall::{checkpoint, history},
    state::step::{self, Doubted, State},
};

/// A trade that a line says was closed, and that cannot be recorded as it says.
pub(super) struct Doubt {
    pub(super) trade_id: TradeId,
    /// Why the rules cannot be evaluated.
    pub(super) blank: Unevaluable,
    /// When it was closed and what it made, when both could be read.
    pub(super) closed: Option<(Timestamp, Money)>,
}

/// Records what follows.
pub(super) struct Doubts {
    /// The file of silencing events.
    silence: PathBuf,
    /// What the journal came to when that was first asked, and what followed since.
    state: Option<Box<State>>,
}

impl Doubts {
    pub(super) fn new(silence: PathBuf) -> Self {
        Self { silence, state: None }
    }

    /// If a model was heard in the trade and still speaks, its rules cannot be evaluated: it is taken out of service in the
    /// journal, so that no start lets it speak. Gives back the versions that this concerns.
    pub(super) fn record(
        &mut self,
        store: &mut Store,
        config: &Config,
        doubt: &Doubt,
        fault: &str,
    ) -> anyhow::Result<Vec<VersionId>> {
        let Doubt { trade_id, blank, closed } = doubt;
        let reader = store.reader()?;
        let mut known = history::known_of(&reader, trade_id, config).map_err(anyhow::Error::msg)?;
        let stored = known.outcome.take().map(|stored| stored.record);
        let now = WallClock.now();
        let echo = stored.as_ref().and_then(|stored| stored.echo.as_ref());
        let echo = echo.map(|echo| AnsweredSignal::of_echo(echo, now, &config.calendar, &config.policy));
        let recalled: Vec<AnsweredSignal> = known.entries().collect();
        if recalled.iter().chain(&echo).all(|entry| entry.speaker().is_none()) {
            // most past trades: the journal need not be read for them
            return Ok(Vec::new());
        }
        let state = match &mut self.state {
            Some(state) => state,
            none => {
                let folded = checkpoint::state(&reader, config).map_err(anyhow::Error::msg)?;
                none.insert(Box::new(folded.state))
            }
        };
        drop(reader);
        let doubt = step::Doubt {
            at: now,
            trade_id,
            why: *blank,
            closed: *closed,
            stored: stored.as_ref().map(|stored| (stored.received_at, &stored.outcome)),
            echo: echo.as_ref(),
            recalled: &recalled,
        };
        let roster = state.trials.roster();
        let Some(Doubted { why, effects }) = state.risk.doubted(&config.rules(), roster, &config.bounds(), &doubt)
        else {
            return Ok(Vec::new());
        };
        let gone = effects.events.iter().filter_map(|kind| match kind {
            EventKind::Moved { version, .. } => Some(version.clone()),
            _ => None,
        });
        let gone: Vec<VersionId> = gone.collect();
        let code = if why == Unevaluable::Contradicted { "conflict" } else { "outcome_unreadable" };
        let message = format!("{trade_id}: {fault}; it was imported while no daemon ran");
        let told = EventKind::Alert { level: Level::Warning, code: code.into(), message };
        let events = std::iter::once(told).chain(effects.events).map(|kind| Event { at: now, kind });
        let events: Vec<Event> = events.collect();
        let writes: Vec<Write> = events.iter().cloned().map(Write::Event).collect();
        // a file that is not there is told of by the next start
        let mut silence = Some(SilenceFile::open(&self.silence)?).filter(|file| !file.is_new());
        if let Some(file) = &mut silence {
            file.record(&writes)?;
        }
        store.apply(&writes)?;
        if let Some(file) = &mut silence {
            file.committed(&writes)?;
        }
        for event in events {
            let _it_is_recorded = state.step(&config.rules(), Happening::Event(event));
        }
        Ok(gone)
    }
}
