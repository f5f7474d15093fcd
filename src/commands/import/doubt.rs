//! Trades of here whose result an import without a daemon makes doubtful: what follows is recorded at once, as a daemon would.

use std::path::PathBuf;

use crate::{
    clock::{Clock, WallClock},
    config::Config,
    domain::{Event, EventKind, Money, Outcome, Timestamp, TradeId, VersionId, event::Level, trip::Unevaluable},
    guard::emergency::Emergency,
    journal::{Reader, SilenceFile, Store, StoreError, Write},
    lifecycle::{
        consequences::{closed_trade, consequences},
        open_trades::AnsweredSignal,
        roster::Roster,
    },
    recall::history,
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
        doubt: &Doubt,
        fault: &str,
    ) -> anyhow::Result<Vec<VersionId>> {
        let Doubt { trade_id, blank, closed } = doubt;
        let reader = store.reader()?;
        let mut known = history::known_of(&reader, trade_id, config).map_err(anyhow::Error::msg)?;
        let stored = known.outcome.take().map(|stored| stored.record);
        let Some(blank) = unknown(*blank, *closed, stored.as_ref().map(|stored| &stored.outcome)) else {
            return Ok(Vec::new());
        };
        let is_contradicted = blank == Unevaluable::Contradicted;
        let echo = stored.as_ref().and_then(|stored| stored.echo.as_ref());
        let echo = echo.map(|echo| AnsweredSignal::of_echo(echo, WallClock.now(), &config.calendar, &config.policy));
        let Some(entry) = known.entries().chain(echo).find(|entry| entry.speaker().is_some()) else {
            return Ok(Vec::new());
        };
        let roster = match self.roster.take() {
            Some(roster) => roster,
            None => read_roster(&reader)?,
        };
        let now = WallClock.now();
        let (outcome, told_at) =
            stored.map_or_else(|| (Outcome::of(now, None), now), |stored| (stored.outcome, stored.received_at));
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

/// Why it is not known how a trade was closed that is told for the reason `blank` to have been `closed`, and is `stored`. By the
/// rules of a daemon: where something is stored, a line of which too little can be read contradicts nothing.
fn unknown(blank: Unevaluable, closed: Option<(Timestamp, Money)>, stored: Option<&Outcome>) -> Option<Unevaluable> {
    match (blank, closed, stored) {
        (Unevaluable::Contradicted, ..) => Some(blank),
        (_, Some(told), Some(stored)) => stored.denies(told).then_some(Unevaluable::Contradicted),
        (_, None, Some(_)) => None,
        // another fault beside a result that can be read: it is judged when it is sent corrected
        (Unevaluable::OutcomeUnreadable, Some(_), None) => None,
        (.., None) => Some(blank),
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
