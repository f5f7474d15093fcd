//! Outcomes that were told and are not known to be on disk. Each is judged at once, and counts for good only when it is
//! stored: of several tellings of one trade the worst counts meanwhile, and in the end the one that is on disk. What a
//! telling tripped stays tripped.

use super::{ClosedTrade, Emergency, EmergencyOptions, Observed, Tracked};
use crate::domain::{TradeId, trip::Trip};

/// Tellings that can be taken back. Beyond them the one with the lowest name counts for good.
const MOST_TOLD: usize = 100_000;

impl Emergency {
    /// Takes in an outcome that is on its way to the disk. Gives back every rule that it trips.
    pub fn hear(&mut self, options: &EmergencyOptions, trade: &ClosedTrade) -> Vec<Trip> {
        let Some(before) = self.told.get(&trade.trade_id).cloned() else {
            if self.knows(trade) {
                return Vec::new();
            }
            if self.told.len() >= MOST_TOLD {
                self.told.pop_first();
            }
            self.told.insert(trade.trade_id.clone(), trade.clone());
            return self.take_in(options, trade);
        };
        let trade = &trade.knowing(&before);
        if before.says_as(trade) {
            return Vec::new();
        }
        self.forget(options, &before);
        let mut trips = self.take_in(options, trade);
        if before.is_worse_than(trade) {
            self.forget(options, trade);
            trips.extend(self.take_in(options, &before));
        } else {
            self.told.insert(trade.trade_id.clone(), trade.clone());
        }
        trips
    }

    /// The outcome of a trade that was heard is on disk, and is `trade`. Gives back what that trips beyond what was heard.
    pub fn settle(&mut self, options: &EmergencyOptions, trade: &ClosedTrade) -> Vec<Trip> {
        let Some(before) = self.told.remove(&trade.trade_id) else { return Vec::new() };
        let trade = &trade.knowing(&before);
        if before.says_as(trade) {
            return Vec::new();
        }
        self.forget(options, &before);
        self.take_in(options, trade)
    }

    /// The outcome of a trade, which is on disk as `stored`, is completed by what it did not say before, and is on its way to
    /// the disk as `trade`. Gives back every rule that it trips.
    pub fn complete(&mut self, options: &EmergencyOptions, stored: &ClosedTrade, trade: &ClosedTrade) -> Vec<Trip> {
        let before = self.told.remove(&trade.trade_id);
        let before = before.as_ref().unwrap_or(stored);
        let trade = &trade.knowing(before);
        self.forget(options, before);
        self.told.insert(trade.trade_id.clone(), trade.clone());
        self.take_in(options, trade)
    }

    /// Whether a telling of this trade can still be taken back.
    pub fn has_told(&self, trade_id: &TradeId) -> bool {
        self.told.contains_key(trade_id)
    }

    /// Takes a trade out again, as if it had not been told; versions that it retired stay retired.
    fn forget(&mut self, options: &EmergencyOptions, trade: &ClosedTrade) {
        let is_credible = trade.is_credible(options);
        for say in self.scored(trade) {
            let (question, _) = self.asked.get(&say.version).copied().unwrap_or_default();
            let observed = Observed::of(trade, &say, &question);
            let rules = self.rules.of_version();
            if let Some(Tracked::Judged(window)) = self.versions.get_mut(&say.version) {
                rules.for_each(|rule| window.forget(rule, &observed, is_credible));
            }
        }
        for day in self.days.iter_mut().filter(|day| day.day == trade.day) {
            if day.trades.remove(&trade.trade_id)
                && let Some(pnl) = trade.pnl.filter(|_| is_credible)
            {
                day.micros = day.micros.saturating_sub(super::micros(pnl.get()));
            }
        }
    }
}

impl ClosedTrade {
    /// The same with what was known of its signal when it was told `before`, if that is not known any more: a crowd of signals
    /// may have pushed it out, and no model is spared for that.
    fn knowing(&self, before: &Self) -> Self {
        let is_known = |trade: &Self| trade.ml.is_some() || !trade.scores.is_empty();
        if is_known(self) || !is_known(before) {
            return self.clone();
        }
        let facts = if self.pnl == before.pnl { before.facts } else { self.facts };
        Self { ml: before.ml.clone(), scores: before.scores.clone(), facts, ..self.clone() }
    }

    /// Whether two tellings of one trade say the same of it.
    fn says_as(&self, other: &Self) -> bool {
        (self.at, self.day, self.pnl, &self.facts, self.reported)
            == (other.at, other.day, other.pnl, &other.facts, other.reported)
    }

    /// Whether it loses more; what is not known is the worst.
    fn is_worse_than(&self, other: &Self) -> bool {
        match (self.pnl, other.pnl) {
            (None, _) => true,
            (_, None) => false,
            (Some(pnl), Some(other)) => pnl.get() < other.get(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{Money, Probability, Timestamp, TradeId, TradingCalendar},
        guard::emergency::{Reported, VersionScore, loss_streak},
        models::Facts,
    };

    fn loss(name: &str) -> ClosedTrade {
        let at: Timestamp = "2025-09-01T12:00:00Z".parse().unwrap();
        let calendar = TradingCalendar::new(jiff::tz::TimeZone::UTC, jiff::civil::time(22, 0, 0, 0));
        let say = VersionScore { version: "ES/1".parse().unwrap(), score: Probability::new(0.7).unwrap(), size: 1.0 };
        ClosedTrade {
            trade_id: TradeId::new(name).unwrap(),
            at,
            day: calendar.day_of(at),
            pnl: Some(Money::new(-1.0).unwrap()),
            ml: Some(say.clone()),
            scores: vec![say],
            facts: Facts { pnl: Some(-1.0), ..Facts::default() },
            reported: Reported::default(),
            daily_loss_limit: None,
        }
    }

    #[test]
    fn a_signal_that_is_not_known_any_more_takes_no_loss_from_its_version() {
        let options = EmergencyOptions { literal: true, ..EmergencyOptions::default() }.with(&loss_streak::MAX, 4.0);
        let mut emergency = Emergency::default();
        emergency.begin(&"ES/1".parse().unwrap());
        let forgotten =
            |name: &str| ClosedTrade { ml: None, scores: Vec::new(), facts: Facts::default(), ..loss(name) };
        for name in ["A", "B", "C", "D"] {
            assert_eq!(emergency.hear(&options, &loss(name)), []);
            // told again, and on disk, when its signal is forgotten
            assert_eq!(emergency.hear(&options, &forgotten(name)), []);
            assert_eq!(emergency.settle(&options, &forgotten(name)), []);
        }
        assert_eq!(emergency.levels(&options)[0].loss_streak, 4);
        assert_eq!(emergency.hear(&options, &loss("E")).len(), 1, "the fifth trips");
    }

    #[test]
    fn a_trade_without_a_label_is_counted_once_however_often_it_is_told() {
        let options = EmergencyOptions::default();
        let mut emergency = Emergency::default();
        emergency.begin(&"ES/1".parse().unwrap());
        let unlabelled = |name: &str| ClosedTrade { facts: Facts::default(), ..loss(name) };
        ["A", "B", "C"].iter().for_each(|name| drop(emergency.hear(&options, &unlabelled(name))));
        let worse = ClosedTrade { pnl: Some(Money::new(-2.0).unwrap()), ..unlabelled("C") };
        emergency.hear(&options, &worse);
        assert_eq!(emergency.levels(&options)[0].unlabelled, 3);
    }
}
