//! Trades of here whose result an import without a daemon makes doubtful: what follows is recorded at once, as a daemon would.

use std::path::PathBuf;

use crate::{
    actors::history,
    clock::{Clock, WallClock},
    config::Config,
    domain::{Event, EventKind, Outcome, TradeId, VersionId, event::Level, trip::Unevaluable},
    guard::emergency::Emergency,
    journal::{Reader, SilenceFile, Store, StoreError, Write},
    lifecycle::{
        consequences::{closed_trade, consequences},
        roster::Roster,
    },
};

/// Records what follows.
pub(super) struct Doubts {
    /// The file of silencing events.
    silence: PathBuf,
    /// Which version stands where, once that was asked.
    roster: Option<Roster>,
}

impl Doubts {
    pub(super) fn new(silence: PathBuf) -> Self {
        Self { silence, roster: None }
    }

    /// If a model was heard in the trade and still speaks, its rules cannot be evaluated: it is taken out of service in the
    /// journal, so that no start lets it speak. Gives back the versions that this concerns.
    pub(super) fn record(
        &mut self,
        store: &mut Store,
        config: &Config,
        trade_id: &TradeId,
        fault: &str,
        blank: Unevaluable,
    ) -> anyhow::Result<Vec<VersionId>> {
        let reader = store.reader()?;
        let known = history::known_of(&reader, trade_id, config).map_err(anyhow::Error::msg)?;
        let is_contradicted = blank == Unevaluable::Contradicted;
        let entries = known.answered.into_iter().map(|answered| answered.entry);
        let Some(entry) = entries.into_iter().find(|entry| entry.speaker().is_some()) else { return Ok(Vec::new()) };
        if known.closed && blank == Unevaluable::OutcomeUnreadable {
            return Ok(Vec::new());
        }
        let roster = match self.roster.take() {
            Some(roster) => roster,
            None => read_roster(&reader)?,
        };
        let now = WallClock.now();
        let stored = reader.outcome(trade_id).ok().flatten();
        let (outcome, told_at) = stored
            .map_or_else(|| (Outcome::of(now, None), now), |stored| (stored.record.outcome, stored.record.received_at));
        let mut emergency = Emergency::default();
        roster.speaking().for_each(|(version, _)| emergency.begin(version));
        let trade = closed_trade(trade_id, &outcome, Some(&entry), told_at, None, &config.calendar);
        let is_judged = entry.speaker().is_some_and(|version| emergency.judges(version));
        let trips = if is_judged || !is_contradicted { emergency.unknown(&trade, blank) } else { Vec::new() };
        let followed = consequences(&roster, trips);
        let gone = followed.iter().filter_map(|kind| match kind {
            EventKind::Moved { version, .. } => Some(version.clone()),
            _ => None,
        });
        let gone: Vec<VersionId> = gone.collect();
        let code = if is_contradicted { "conflict" } else { "outcome_unreadable" };
        let message = format!("{trade_id}: {fault}; it was imported while no daemon ran");
        let told = EventKind::Alert { level: Level::Warning, code: code.into(), message };
        let roster = self.roster.insert(roster);
        followed.iter().for_each(|kind| roster.apply(kind));
        let events = std::iter::once(told).chain(followed).map(|kind| Write::Event(Event { at: now, kind }));
        let events: Vec<Write> = events.collect();
        // a file that is not there is told of by the next start
        let mut silence = Some(SilenceFile::open(&self.silence)?).filter(|file| !file.is_new());
        if let Some(file) = &mut silence {
            file.record(&events)?;
        }
        store.apply(&events)?;
        if let Some(file) = &mut silence {
            file.committed(&events)?;
        }
        Ok(gone)
    }
}

/// A damaged event is passed over: a start that finds one locks.
fn read_roster(reader: &Reader) -> Result<Roster, StoreError> {
    let mut roster = Roster::default();
    for stored in reader.events(0)? {
        match stored {
            Ok(stored) => roster.apply(&stored.event.kind),
            Err(StoreError::BadRecord(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(roster)
}
