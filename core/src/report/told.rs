//! A [`Summary`] as a [`Report`]: the same page whoever asks for it, and the same words in a terminal.
#![deny(clippy::indexing_slicing)]

mod figures;
mod money;
mod regimes;
mod standing;

use super::{
    Report,
    people::{NONE, count, counted, date, duration, minute, money as amount, second},
    summary::{Scope, Summary},
};
use crate::domain::{Timestamp, TradingCalendar, lifecycle::State};

/// What goes with a summary: how money is named and when trading days turn.
#[derive(Debug, Clone, Copy)]
pub struct Words<'a> {
    /// The unit of all money, such as `USD`.
    pub unit: &'a str,
    /// When trading days turn.
    pub calendar: &'a TradingCalendar,
}

impl Words<'_> {
    /// What stands behind an amount.
    fn money(&self) -> String {
        if self.unit.contains(' ') { format!("in {}", self.unit) } else { self.unit.to_owned() }
    }
}

impl Summary {
    /// What people read of it.
    pub fn report(&self, words: &Words<'_>) -> Report {
        let mut report = Report {
            title: self.title(),
            lead: self.lead(words),
            facts: self.facts(words),
            unit: words.unit.to_owned(),
            ..Report::default()
        };
        let Some(span) = self.span else { return report };
        let (entries, left_out) = self.chronicle.entries();
        let from = self.scope.since.unwrap_or(span.0);
        let is_told = |life: &super::Life| life.stages.iter().any(|(.., until)| *until >= from);
        report.span = Some((from.min(span.0), span.1));
        report.lives = self.chronicle.lives(span.1).into_iter().filter(is_told).collect();
        report.locks = self.chronicle.locks(span.1);
        report.marks = self.chronicle.marks().to_vec();
        report.equity = money::curves(self, words, span);
        report.tests = self.tests.iter().map(standing::test).collect();
        report.accuracy.clone_from(&self.accuracy);
        report.accuracy_limits = standing::accuracy_limits(self);
        report.accuracy_marks = standing::accuracy_marks(self);
        report.accuracy_notes = standing::accuracy_notes(self);
        report.composite.clone_from(&self.composite);
        report.entries = entries;
        report.entries_left_out = left_out;
        report.tables = money::tables(self, words);
        report.tables.extend(regimes::tables(self, words));
        report.tables.extend(standing::versions(self));
        report.tables.extend(self.holdbacks.iter().filter_map(standing::holdback));
        report.tables.extend(standing::health(self, words));
        report.tables.extend(figures::alerts(self));
        report.tables.extend(figures::answers(self));
        report.tables.extend(figures::times(self));
        report.tables.extend(figures::lost(self));
        report
    }

    fn title(&self) -> String {
        let what = match (&self.scope.version, &self.scope.symbol) {
            (Some(version), _) => version.to_string(),
            (None, Some(symbol)) => symbol.to_string(),
            (None, None) => "vigie".to_owned(),
        };
        match self.days() {
            Some((from, to)) if from == to => format!("{what}, {from}"),
            Some((from, to)) => format!("{what}, {from} to {to}"),
            None => what,
        }
    }

    /// The first and the last day that are told of, in UTC.
    fn days(&self) -> Option<(String, String)> {
        let Scope { since, until, .. } = self.scope;
        let last = |until: Timestamp| until.checked_sub(jiff::SignedDuration::from_secs(1)).unwrap_or(until);
        let from = since.or(self.span.map(|span| span.0)).or(self.journal.map(|span| span.0))?;
        let to = until.map(last).or(self.span.map(|span| span.1)).or(self.journal.map(|span| span.1))?;
        Some((date(from), date(to.max(from))))
    }

    fn lead(&self, words: &Words<'_>) -> String {
        let Some((first, last)) = self.journal else { return "The journal is empty: nothing was recorded.".to_owned() };
        if self.span.is_none() {
            return format!(
                "The journal holds nothing of this period: it begins at {} and ends at {}.",
                minute(first),
                minute(last)
            );
        }
        let answers = &self.answers;
        let mut lead = match answers.signals {
            0 => "No signal was answered".to_owned(),
            signals => {
                let told = counted(signals, "signal was answered", "signals were answered");
                let repeats = (answers.answers as usize).saturating_sub(signals);
                let repeats = match repeats {
                    0 => String::new(),
                    some => format!(" ({} more to repeats)", counted(some, "answer", "answers")),
                };
                format!("{told}{repeats}, and a model was heard in {}", count(answers.heard))
            }
        };
        let all = self.money.iter().filter_map(|money| money.groups.last());
        let (trades, pnl) = all.fold((0, 0.0), |(trades, pnl), all| (trades + all.taken, pnl + all.pnl));
        if trades > 0 {
            let made = if pnl < 0.0 { "lost" } else { "made" };
            let pnl = amount(pnl.abs()).trim_start_matches('+').to_owned();
            lead += &format!("; {} {made} {pnl} {}", counted(trades, "trade", "trades"), words.money());
        }
        lead += ".";
        let served: Vec<String> = self.versions.iter().filter(is_served).map(served).collect();
        match served.as_slice() {
            [] => lead += " No version is in production at the end.",
            served => lead += &format!(" {} at the end.", served.join(", ")),
        }
        let silent = self.silent();
        if !silent.is_zero() {
            lead += &format!(" Models were silent for {}.", duration(silent));
        }
        lead
    }

    /// Whether minutes are too coarse for its times.
    fn is_short(&self) -> bool {
        let Scope { since, until, .. } = self.scope;
        let from = since.or(self.span.map(|span| span.0)).or(self.journal.map(|span| span.0));
        let to = until.or(self.span.map(|span| span.1)).or(self.journal.map(|span| span.1));
        from.zip(to).is_some_and(|(from, to)| to.duration_since(from) < jiff::SignedDuration::from_hours(24))
    }

    /// How long models were silent in the period.
    fn silent(&self) -> jiff::SignedDuration {
        let Some((from, to)) = self.span else { return jiff::SignedDuration::ZERO };
        let locks = self.chronicle.locks(to);
        let within = locks.iter().map(|(since, until)| (*until).min(to).duration_since((*since).max(from)));
        within.filter(|lasted| lasted.is_positive()).fold(jiff::SignedDuration::ZERO, |sum, lasted| sum + lasted)
    }

    fn facts(&self, words: &Words<'_>) -> Vec<(String, String)> {
        let moment = if self.is_short() { second } else { minute };
        let bound = |at: Option<Timestamp>, none: &str| at.map_or_else(|| none.to_owned(), moment);
        let Scope { since, until, symbol, version } = &self.scope;
        let is_part = self.scope.its_symbol().is_some();
        let records = format!("{}{}", count(self.records), if is_part { ", of all symbols" } else { "" });
        let mut facts = vec![
            (
                "period (UTC)".to_owned(),
                format!("{} to {}", bound(*since, "the beginning"), bound(*until, "the end of the journal")),
            ),
            (
                "recorded".to_owned(),
                self.span.map_or_else(|| NONE.to_owned(), |(from, to)| format!("{} to {}", moment(from), moment(to))),
            ),
            ("records".to_owned(), records),
            ("money".to_owned(), format!("in {}, after costs, at the size that was traded", words.unit)),
        ];
        facts.extend(symbol.as_ref().map(|symbol| ("symbol".to_owned(), symbol.to_string())));
        facts.extend(version.as_ref().map(|version| ("version".to_owned(), version.to_string())));
        if self.answers.imported > 0 {
            let told = format!("{}, in no figure here", count(self.answers.imported));
            facts.push(("past trades from files".to_owned(), told));
        }
        facts
    }
}

fn is_served(stay: &&super::Stay) -> bool {
    stay.state == State::Production && stay.until.is_none()
}

fn served(stay: &super::Stay) -> String {
    format!("{} is in production since {}", stay.version, date(stay.from))
}
