//! Outcomes in the journal that cannot be read any more: each is named once, and is a rule that cannot be evaluated.

use std::collections::BTreeSet;

use crate::{
    config::Config,
    domain::{
        EventKind, Outcome, Timestamp, TradeId,
        event::Level,
        trip::{Trip, Unevaluable},
    },
    guard::emergency::Emergency,
    journal::{BadRecord, Reader},
    lifecycle::{consequences::closed_trade, open_trades::AnsweredSignal},
    recall::{events, history},
};

/// Code of the alert.
const OUTCOME_DAMAGED: &str = "outcome_damaged";

/// What follows from damaged outcomes that nobody was told of.
#[derive(Debug, Default)]
pub(super) struct Damaged {
    pub(super) trips: Vec<Trip>,
    pub(super) alerts: Vec<EventKind>,
}

/// What follows from the outcomes that were `found` damaged.
pub(super) fn damaged(
    reader: &Reader,
    found: Vec<BadRecord>,
    emergency: &Emergency,
    config: &Config,
    now: Timestamp,
) -> Result<Damaged, String> {
    let mut damaged = Damaged::default();
    if found.is_empty() {
        return Ok(damaged);
    }
    let mut told: BTreeSet<String> = BTreeSet::new();
    for stored in events::in_force(reader).map_err(|error| error.to_string())? {
        if let EventKind::Alert { code, message, .. } = stored.map_err(|error| error.to_string())?.event.kind
            && &*code == OUTCOME_DAMAGED
            && let Some((trade, _)) = message.split_once(": ")
        {
            told.insert(trade.to_owned());
        }
    }
    for bad in found.into_iter().filter(|bad| !told.contains(&bad.key)) {
        let message = format!(
            "{}: the stored outcome is damaged ({}) and does not count; look the trade up at the broker and send its outcome again",
            bad.key, bad.what
        );
        damaged.alerts.push(EventKind::Alert { level: Level::Critical, code: OUTCOME_DAMAGED.into(), message });
        if let Ok(trade_id) = TradeId::new(bad.key) {
            damaged.trips.extend(trips(reader, emergency, config, now, &trade_id)?);
        }
    }
    Ok(damaged)
}

/// The rules that cannot be evaluated without the outcome of a trade: those of the model that was heard in it, and the day's
/// loss if it may be one of today.
fn trips(
    reader: &Reader,
    emergency: &Emergency,
    config: &Config,
    now: Timestamp,
    trade_id: &TradeId,
) -> Result<Vec<Trip>, String> {
    let answered: Vec<AnsweredSignal> = history::known_of(reader, trade_id, config)?.entries().collect();
    let is_signal_known = reader.signals_of(trade_id).map_err(|error| error.to_string())?.next().is_some();
    if answered.is_empty() && is_signal_known {
        // a past trade passes no judgement
        return Ok(Vec::new());
    }
    let heard = answered.iter().find(|entry| entry.speaker().is_some());
    let entry = heard.or(answered.first());
    let outcome = Outcome::of(entry.map_or(now, |entry| entry.at), None);
    let trade = closed_trade(trade_id, &outcome, entry, now, None, &config.calendar);
    let today = config.calendar.day_of(now);
    let mut trips = emergency.unknown(&trade, Unevaluable::OutcomeDamaged);
    trips.retain(|trip| trip.version.is_some() || trip.day >= today);
    Ok(trips)
}
