//! Outcomes that were told and are not known to be on disk. Each is judged at once, and counts for good only when it is
//! stored: of several tellings of one trade the worst counts meanwhile, and in the end the one that is on disk. What a
//! telling tripped stays tripped.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{ClosedTrade, Emergency, EmergencyOptions, Observed, Tracked, VersionScore};
use crate::domain::{
    TradeId, VersionId,
    trip::{Breach, Trip},
};

/// Tellings that can be taken back. Beyond them the one with the lowest name counts for good.
const MOST_TOLD: usize = 100_000;

/// An outcome that was told and is not known to be on disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Unsettled {
    trade: ClosedTrade,
    /// The versions that it counts for.
    counted: BTreeSet<VersionId>,
}

impl Unsettled {
    /// `version` is judged from now on, by nothing that was told before.
    pub(super) fn begins(&mut self, version: &VersionId) {
        self.counted.remove(version);
    }
}

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
            return self.count_for_now(options, trade);
        };
        let trade = &trade.knowing(&before.trade);
        if before.trade.says_as(trade) {
            return Vec::new();
        }
        self.forget(options, &before);
        let mut trips = self.count_for_now(options, trade);
        if before.trade.is_worse_than(trade)
            && let Some(better) = self.told.remove(&trade.trade_id)
        {
            self.forget(options, &better);
            trips.extend(self.count_for_now(options, &before.trade));
        }
        trips
    }

    /// Takes a trade in so that it can be taken back.
    fn count_for_now(&mut self, options: &EmergencyOptions, trade: &ClosedTrade) -> Vec<Trip> {
        let is_judged = |score: &VersionScore| self.versions.get(&score.version) != Some(&Tracked::Retired);
        let counted = self.scored(trade).into_iter().filter(is_judged).map(|score| score.version).collect();
        let trips = self.take_in(options, trade);
        self.told.insert(trade.trade_id.clone(), Unsettled { trade: trade.clone(), counted });
        trips
    }

    /// The outcome of a trade that was heard is on disk, and is `trade`. Gives back what that trips beyond what was heard. It
    /// counts for a version that began to be judged since, as it does for who reads the log.
    pub fn settle(&mut self, options: &EmergencyOptions, trade: &ClosedTrade) -> Vec<Trip> {
        let Some(before) = self.told.remove(&trade.trade_id) else { return Vec::new() };
        let trade = &trade.knowing(&before.trade);
        if before.trade.says_as(trade) {
            let began = |score: &VersionScore| self.judges(&score.version) && !before.counted.contains(&score.version);
            let scores: Vec<VersionScore> = self.scored(trade).into_iter().filter(began).collect();
            let breaches = self.count_for(options, trade, &scores);
            return breaches.into_iter().map(|(version, breach)| trade.trip(version, breach)).collect();
        }
        self.forget(options, &before);
        self.take_in(options, trade)
    }

    /// The outcome of a trade, which is on disk as `stored`, is completed by what it did not say before, and is on its way to
    /// the disk as `trade`. Gives back every rule that it trips.
    pub fn complete(&mut self, options: &EmergencyOptions, stored: &ClosedTrade, trade: &ClosedTrade) -> Vec<Trip> {
        let before = self.told.remove(&trade.trade_id);
        let counted = || self.scored(stored).into_iter().map(|score| score.version).collect();
        let before = before.unwrap_or_else(|| Unsettled { trade: stored.clone(), counted: counted() });
        let trade = &trade.knowing(&before.trade);
        self.forget(options, &before);
        self.count_for_now(options, trade)
    }

    /// Whether a telling of this trade can still be taken back.
    pub fn has_told(&self, trade_id: &TradeId) -> bool {
        self.told.contains_key(trade_id)
    }

    /// Takes a trade out again, as if it had not been told; versions that it retired stay retired.
    fn forget(&mut self, options: &EmergencyOptions, Unsettled { trade, counted }: &Unsettled) {
        let is_credible = trade.is_credible(options);
        for say in self.scored(trade).iter().filter(|score| counted.contains(&score.version)) {
            let (question, _) = self.asked.get(&say.version).copied().unwrap_or_default();
            let observed = Observed::of(trade, say, &question);
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
    /// What it trips.
    pub(super) fn trip(&self, version: Option<VersionId>, breach: Breach) -> Trip {
        Trip { at: self.at, day: self.day, version, breach }
    }

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
    fn an_outcome_counts_for_a_version_that_began_while_it_was_written_as_for_who_reads_the_log() {
        let version: VersionId = "ES/1".parse().unwrap();
        let options = EmergencyOptions { literal: true, ..EmergencyOptions::default() }.with(&loss_streak::MAX, 2.0);
        for begins_again in [false, true] {
            let (mut live, mut log) = (Emergency::default(), Emergency::default());
            for emergency in [&mut live, &mut log] {
                emergency.begin(&version);
                if !begins_again {
                    emergency.retire(&version);
                }
            }
            ["A", "B"].iter().for_each(|name| assert_eq!(live.hear(&options, &loss(name)), []));
            for emergency in [&mut live, &mut log] {
                emergency.retire(&version);
                emergency.begin(&version);
            }
            for name in ["A", "B"] {
                assert_eq!(live.settle(&options, &loss(name)), []);
                assert_eq!(log.judge(&options, &loss(name)), []);
            }
            assert_eq!(live, log);
            assert_eq!(live.hear(&options, &loss("C")).len(), 1, "the third loss trips");
        }
    }

    #[test]
    fn of_two_tellings_that_are_not_on_disk_the_worse_one_decides_and_then_the_one_that_is() {
        let options = EmergencyOptions { literal: true, ..EmergencyOptions::default() }.with(&loss_streak::MAX, 3.0);
        let of = |name: &str, pnl: f64| {
            let facts = Facts { pnl: Some(pnl), ..Facts::default() };
            ClosedTrade { pnl: Money::new(pnl).ok(), facts, ..loss(name) }
        };
        for (tellings, written, trips) in
            [([5.0, -5.0], None, 1), ([-5.0, 5.0], None, 1), ([-5.0, 5.0], Some(5.0), 0), ([5.0, -5.0], Some(5.0), 0)]
        {
            let mut emergency = Emergency::default();
            emergency.begin(&"ES/1".parse().unwrap());
            ["A", "B"].iter().for_each(|name| assert_eq!(emergency.hear(&options, &loss(name)), []));
            tellings.iter().for_each(|pnl| assert_eq!(emergency.hear(&options, &of("C", *pnl)), []));
            let of_the_day = || loss("C").day;
            assert_eq!(emergency.day_pnl(of_the_day()), Some(-7.0), "{tellings:?}");
            written.iter().for_each(|pnl| assert_eq!(emergency.settle(&options, &of("C", *pnl)), []));
            assert_eq!(emergency.hear(&options, &loss("D")).len(), trips, "{tellings:?}, on disk {written:?}");
        }
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
