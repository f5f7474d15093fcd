//! The report of a demonstration.
#![deny(clippy::indexing_slicing)]

use super::{Demo, Ledger, drift, operator, reading, silence::Silence, verdict::date};
use crate::Scenario;
use vigie_core::{
    domain::{Timestamp, lifecycle::State},
    report::{Ending, Expectation, Part, Report, Table, count, known, money, percent},
    stats::risk::max_drawdown,
};

/// What anybody must know of a figure of a demonstration.
pub const NOTICE: &str =
    "SYNTHETIC: a market that never was, whose truth is known. Nothing here says anything about a real one.";
const DAYS_PER_QUARTER: f64 = 365.25 / 4.0;
/// Shares of its limit from which a move is noticed, and from which it is an alert.
const DRIFT_LIMITS: (f64, f64) = (0.7, 1.0);

impl Demo {
    /// What is about to happen, before it begins.
    pub fn opening(&self) -> Vec<String> {
        let scenario = match self.scenario {
            Scenario::Happy => "There is something to foretell, and it stays so.",
            Scenario::Drift => "At three fifths of the time the inputs move and what they mean turns, bit by bit.",
            Scenario::Crash => "At three fifths of the time the market is upside down for ten sessions.",
            Scenario::NoEdge => "There is nothing to foretell.",
            Scenario::Poison => {
                "At three fifths of the time nine outcomes in ten are reported wrong for twenty sessions."
            }
        };
        vec![
            scenario.to_owned(),
            format!(
                "An operator who is part of this orders a training every {} sessions while no version is on its way; after an \
                 emergency he keeps silence for {} sessions and has the version validated again, the second time another one \
                 trained. All else the daemon does by itself.",
                operator::EVERY,
                operator::SILENCE
            ),
        ]
    }

    /// What came of it, in one sentence.
    pub fn lead(&self, checks: &[Expectation]) -> String {
        let failed = checks.iter().filter(|check| !check.ok()).count();
        let better = checks.iter().filter(|check| check.ending == Ending::Better).count();
        let promoted = self.chronicle.times(State::Production);
        let story = match promoted.as_slice() {
            [] => "No version earned production".to_owned(),
            [(version, at)] => format!("{version} earned production on {}", date(*at)),
            [(version, at), .., (last, then)] if last == version => {
                format!("{version} earned production on {} and again on {}", date(*at), date(*then))
            }
            [(version, at), .., (last, then)] => {
                format!("{version} earned production on {}, {last} on {}", date(*at), date(*then))
            }
        };
        let silences = match self.silences() {
            silences if silences.is_empty() => String::new(),
            silences => format!("; {silences} silenced the models"),
        };
        let verdict = match failed {
            0 if better > 0 => "It ended better than told; the checks say why.".to_owned(),
            0 => "All that should have happened happened.".to_owned(),
            1 => "One thing that should have happened did not.".to_owned(),
            n => format!("{n} things that should have happened did not."),
        };
        format!("{story}{silences}. {verdict}")
    }

    /// How often an emergency silenced the models, and how often a lock did; empty when neither.
    pub(super) fn silences(&self) -> String {
        let count = |has: fn(&Silence) -> bool| self.silent.iter().filter(|silence| has(silence)).count();
        let words = |n: usize, one: &str, many: &str| match n {
            0 => None,
            1 => Some(format!("one {one}")),
            n => Some(format!("{n} {many}")),
        };
        let emergencies = words(count(|silence| silence.emergency), "emergency", "emergencies");
        let locks = words(count(|silence| silence.lock), "lock", "locks");
        emergencies.into_iter().chain(locks).collect::<Vec<_>>().join(" and ")
    }

    /// Alarms of drift before anything had drifted in truth, against those that `per_quarter`, the budget of a version,
    /// allows in the time that versions were watched until then.
    pub fn false_alarms(&self, per_quarter: f64) -> String {
        let until = self.change().min(self.now);
        let (found, budgeted) = (self.false_drifts(), per_quarter * self.watched_quarters());
        let until = if until < self.now { format!(" until {}", date(until)) } else { String::new() };
        format!(
            "{found} alarms of drift while nothing had drifted{until}, against {budgeted:.1} that the budget allows; the story \
             tells the first of each month"
        )
    }

    /// Alarms of drift before anything had drifted in truth.
    pub(super) fn false_drifts(&self) -> usize {
        let until = self.change().min(self.now);
        self.drifts.iter().filter(|at| **at <= until).count()
    }

    /// Quarters in which versions were watched until then, each by itself.
    pub(super) fn watched_quarters(&self) -> f64 {
        self.chronicle.watched_days(self.change().min(self.now)) / DAYS_PER_QUARTER
    }

    /// Figures of the strategy alone and of what was traded, in truth.
    fn figures(&self) -> Table {
        let closed = self.execution.all_closed();
        let row = |name: &str, pnls: Vec<f64>| {
            let taken = pnls.iter().filter(|pnl| **pnl != 0.0).count();
            let won = pnls.iter().filter(|pnl| **pnl > 0.0).count();
            let rate = (taken > 0).then(|| won as f64 / taken as f64);
            let (rate, fall) = (known(rate, |rate| percent(rate, 1)), known(max_drawdown(&pnls), |fall| money(-fall)));
            vec![name.to_owned(), count(taken as u64), rate, money(pnls.iter().sum::<f64>()), fall]
        };
        Table {
            part: Part::End,
            title: "In truth".to_owned(),
            help: "What only a simulation knows: what every trade would have made without a model.".to_owned(),
            head: ["", "traded", "won", "made (account currency)", "deepest fall"].map(str::to_owned).to_vec(),
            rows: vec![
                row("the strategy alone", closed.iter().map(|trade| trade.own).collect()),
                row("what was traded", closed.iter().map(|trade| trade.traded).collect()),
            ],
            notes: Vec::new(),
        }
    }

    /// What can be done next: commands and what they are for.
    fn next_commands(&self) -> Vec<(String, String)> {
        let others = Scenario::ALL.into_iter().filter(|other| *other != self.scenario);
        let what = |scenario| match scenario {
            Scenario::Happy => "a model earns production and keeps it",
            Scenario::Drift => "the market turns slowly: who notices, and what is tried then",
            Scenario::Crash => "an emergency, a kill -9, and the way back",
            Scenario::NoEdge => "nothing to foretell: nothing is promoted",
            Scenario::Poison => "wrong outcomes, and who notices",
        };
        let mut next: Vec<(String, String)> =
            others.map(|scenario| (format!("vigie demo --scenario {scenario}"), what(scenario).to_owned())).collect();
        next.push((
            format!("vigie demo --scenario {} --keep", self.scenario),
            "keep the state, to look into it".to_owned(),
        ));
        next.push(("vigie run".to_owned(), "the daemon for your own trader".to_owned()));
        next
    }

    /// The report of the daemon's journal, `of_journal`, with what is known beside it: the truth, what was to happen, and `facts`
    /// that only those know who performed it.
    pub fn report(&self, of_journal: Report, ledger: &Ledger, facts: Vec<(String, String)>) -> Report {
        let mut report = of_journal;
        let checks = self.checks(ledger);
        let known = [
            ("scenario", self.scenario.to_string()),
            ("seed", self.options.seed.to_string()),
            (
                "simulated",
                format!(
                    "{} months: {} sessions, {} signals",
                    self.options.months - super::HISTORY,
                    self.session,
                    self.signals
                ),
            ),
        ];
        let known = known.map(|(name, value)| (name.to_owned(), value));
        report.facts = known.into_iter().chain(facts).chain(report.facts).collect();
        if self.change() < Timestamp::MAX {
            report.marks.push((self.change(), "the market changes".to_owned()));
            report.marks.sort();
        }
        let trained: Vec<Timestamp> = self.chronicle.times(State::Validated).into_iter().map(|(_, at)| at).collect();
        let drift = drift::moved(&self.options, &self.venue, &trained);
        let read = drift.iter().any(|moved| moved.readings.iter().any(|(_, reading)| reading.is_some()));
        if read {
            (report.drift, report.drift_what, report.drift_limits) = (drift, drift::WHAT.to_owned(), DRIFT_LIMITS);
        }
        report.equity.push(reading::alone(self.execution.all_closed()));
        report.tables.push(self.figures());
        report.title = format!("The life of a model: {}", self.scenario);
        report.notice = Some(NOTICE.to_owned());
        report.lead = format!("{} {}", self.lead(&checks), report.lead);
        report.story.clone_from(&self.lines);
        report.next = self.next_commands();
        report.checks = checks;
        report
    }
}
