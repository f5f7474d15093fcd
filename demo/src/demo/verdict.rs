//! Whether what should have happened happened.
#![deny(clippy::indexing_slicing)]

use super::{Blamed, Demo, Ledger};
use crate::Scenario;
use vigie_core::{
    domain::{Timestamp, VersionId, lifecycle::State},
    report::{Ending, Expectation},
};

impl Demo {
    /// What was to happen in this scenario, and what did.
    pub fn checks(&self, ledger: &Ledger) -> Vec<Expectation> {
        let mut checks = vec![self.kept(ledger), self.silence(ledger)];
        checks.extend(match self.scenario {
            Scenario::NoEdge => vec![self.nothing_spoke(ledger), self.refused()],
            Scenario::Happy => vec![self.promoted(), self.earned(), self.undisturbed()],
            Scenario::Drift => vec![self.promoted(), self.drift_noticed(), self.came_after()],
            Scenario::Crash => vec![self.promoted(), self.emergency(), self.killed(), self.came_after()],
            Scenario::Poison => vec![self.promoted(), self.taken_down()],
        });
        if !self.failed.is_empty() {
            let found = format!("{} did not; the first: {}", self.failed.len(), self.failed.first().map_or("", |f| f));
            checks.push(check("every request is answered as it should be", found, false));
        }
        checks
    }

    fn kept(&self, ledger: &Ledger) -> Expectation {
        let found = format!(
            "{} outcomes acknowledged, {} in the journal, {} records unreadable",
            self.acknowledged, ledger.outcomes, ledger.unreadable
        );
        let ok = self.acknowledged == ledger.outcomes && ledger.unreadable == 0;
        check("nothing acknowledged is lost", found, ok)
    }

    /// From the number of an emergency to that of the order to resume.
    fn silence(&self, ledger: &Ledger) -> Expectation {
        let heard: usize = self
            .silent
            .iter()
            .map(|silence| ledger.heard_between(silence.from, silence.until.unwrap_or(u64::MAX)))
            .sum();
        let found = format!("{heard} answers in {} silences, {} in all", self.silent.len(), ledger.heard());
        check("no model influences an answer while it is silenced", found, heard == 0)
    }

    fn promoted(&self) -> Expectation {
        let (what, first) = ("a version earns production by evidence", self.chronicle.first(State::Production));
        match first {
            Some((version, at)) => check(what, format!("{version}, {}", date(at)), self.not_overridden()),
            None => check(what, "none did".to_owned(), false),
        }
    }

    fn not_overridden(&self) -> bool {
        self.roster.versions().all(|(_, standing)| !standing.overridden)
    }

    fn nothing_spoke(&self, ledger: &Ledger) -> Expectation {
        let tests = self.chronicle.times(State::AbTest).len();
        let found = format!("{} in production, {tests} tested", self.chronicle.times(State::Production).len());
        let ok = self.chronicle.first(State::Production).is_none() && (tests > 0 || ledger.heard() == 0);
        check("no version earns production, because there is nothing to predict", found, ok)
    }

    fn refused(&self) -> Expectation {
        let rejected = self.chronicle.times(State::Rejected).len();
        let found = format!("{rejected} versions refused by their validation");
        check("what was trained is refused", found, rejected > 0)
    }

    fn earned(&self) -> Expectation {
        let progress = self.progress();
        let found = format!("{:.0} traded, {:.0} by the strategy alone", progress.traded, progress.own);
        check("what was traded earned more than the strategy alone", found, progress.traded > progress.own)
    }

    /// Losses of the account are its own: the strategy alone has them too, and every version is silenced then.
    fn undisturbed(&self) -> Expectation {
        let locks = self.silent.iter().filter(|silence| silence.lock).count();
        let silences = Some(self.silences()).filter(|silences| !silences.is_empty());
        let silences = silences.unwrap_or_else(|| "nothing".to_owned());
        let found = format!("{} versions for what they did; {silences} silenced the models", self.blamed.len());
        let (what, ok) = ("no good version is taken down", locks == 0 && !self.blamed.iter().any(Blamed::wrongly));
        match self.blamed.iter().find_map(|blamed| Some((&blamed.version, blamed.chances?))) {
            Some((version, (before, lately))) if ok => otherwise(
                what,
                format!(
                    "{found}; {version} was no good any more: the trades that were taken had a true chance of {:.0} % before, and \
                     of {:.0} % in its last month",
                    100.0 * before,
                    100.0 * lately
                ),
            ),
            _ => check(what, found, ok),
        }
    }

    fn emergency(&self) -> Expectation {
        let what = "an emergency silences the models and takes the version down";
        let silences = Some(self.silences()).filter(|silences| !silences.is_empty());
        let silences = format!("{} silenced the models", silences.unwrap_or_else(|| "nothing".to_owned()));
        let during = self.silent.iter().any(|silence| silence.emergency);
        match (self.first_gone(), during) {
            (Some((version, at)), true) => check(what, format!("{}, {silences}", self.gone(version, at)), true),
            (Some((version, at)), false) => {
                let found = format!("{}: the monitor found it before any emergency", self.gone(version, at));
                otherwise(what, found)
            }
            (None, _) => self.kept_to_the_end(what, &silences),
        }
    }

    fn taken_down(&self) -> Expectation {
        let what = "the version is taken down";
        match self.first_gone() {
            Some((version, at)) => check(what, self.gone(version, at), true),
            None => check(what, self.none_was(), false),
        }
    }

    fn none_was(&self) -> String {
        let days = self.now.duration_since(self.change()).as_hours() / 24;
        format!("none was, in the {days} days that were left")
    }

    /// The first version that was rolled back after the market changed.
    fn first_gone(&self) -> Option<(&VersionId, Timestamp)> {
        let change = self.change();
        self.chronicle.times(State::RolledBack).into_iter().find(|(_, at)| *at >= change)
    }

    fn gone(&self, version: &VersionId, at: Timestamp) -> String {
        let days = at.duration_since(self.change()).as_secs_f64() / 86_400.0;
        format!("{version} was rolled back on {} ({days:.0} days after the change)", date(at))
    }

    /// The version in production when the market changed, if it is there still.
    fn unmoved(&self) -> Option<&VersionId> {
        let change = self.change();
        let stands = |stages: &[(State, Timestamp)]| {
            stages.last().is_some_and(|(state, at)| *state == State::Production && *at <= change)
        };
        let found = self.chronicle.stages().iter().find(|(_, stages)| stands(stages));
        found.map(|(version, _)| version)
    }

    /// Nothing was taken down after the change: better than told where the version in production went on earning more
    /// than the strategy alone, in truth.
    fn kept_to_the_end(&self, what: &str, also: &str) -> Expectation {
        let Some(version) = self.unmoved() else {
            return check(what, format!("no version was in production when the market changed; {also}"), false);
        };
        let change = self.change();
        let since = self.execution.all_closed().iter().filter(|trade| trade.at > change);
        let (traded, own) = since.fold((0.0, 0.0), |(traded, own), trade| (traded + trade.traded, own + trade.own));
        let found = format!(
            "{version} stayed in production: since the change {traded:.0} was traded, {own:.0} by the strategy alone; {also}"
        );
        if traded > own { otherwise(what, found) } else { check(what, found, false) }
    }

    fn killed(&self) -> Expectation {
        let same = |kill: &super::Kill| kill.after.as_ref() == Some(&kill.before);
        let all = self.kills.iter().map(|kill| {
            let when = if kill.during_test { "in a test" } else { "in an emergency" };
            format!("{when}: {}", if same(kill) { "as before" } else { "different" })
        });
        let found: Vec<String> = all.collect();
        let what = "a kill changes nothing: arms and latches are kept";
        let all_same = !self.kills.is_empty() && self.kills.iter().all(same);
        // without an emergency there is none in which it could be killed
        if all_same && !self.silent.iter().any(|silence| silence.emergency) {
            return otherwise(what, format!("{}; there was no emergency", found.join(", ")));
        }
        check(what, found.join(", "), all_same && self.kills.len() == 2)
    }

    fn drift_noticed(&self) -> Expectation {
        let change = self.change();
        let after = |at: &Timestamp| *at > change;
        let begun = self.chronicle.stages().keys().filter_map(|version| self.chronicle.begun(version));
        let trained = begun.filter(|at| after(at)).count();
        let again = self.chronicle.times(State::Validated).iter().filter(|(_, at)| after(at)).count();
        let gone = self.chronicle.times(State::RolledBack).iter().filter(|(_, at)| after(at)).count();
        let drifts = self.drifts.iter().filter(|at| after(at)).count();
        let found = format!(
            "{drifts} alerts of drift, {gone} rolled back, {trained} trained and {again} validated after the change"
        );
        let what = "the change is noticed, and the version in service is validated again";
        if drifts + gone > 0 && trained + again > 0 {
            return check(what, found, true);
        }
        self.kept_to_the_end(what, &found)
    }

    /// How far a version came by evidence after the change, and whether it is one that had been there before.
    fn came_after(&self) -> Expectation {
        let change = self.change();
        let later = |state| self.chronicle.times(state).into_iter().find(|(_, at)| *at > change);
        let what = "after that a version, another or the same validated again, is tried";
        let (production, test) = (later(State::Production), later(State::AbTest));
        let how = if production.is_some() { "in production" } else { "under test, and no further," };
        match production.or(test) {
            Some((version, at)) => {
                let is_new = self.chronicle.begun(version).is_some_and(|at| at > change);
                let which = if is_new { "trained since" } else { "the one from before, validated again" };
                check(what, format!("{version}, {which}: {how} since {}", date(at)), true)
            }
            None if self.first_gone().is_none() => self.kept_to_the_end(what, "nothing had to be tried"),
            None => check(what, self.none_was(), false),
        }
    }

    /// From when on as many sessions were reported as they were as had been reported falsely: evidence of before that
    /// rests on false reports for the most part. The change itself where nothing is reported falsely.
    pub(super) fn truthful_again(&self) -> Timestamp {
        let until = self.options.poison.map(|poison| poison.from + 2 * poison.sessions);
        until.map_or_else(|| self.change(), |until| self.openings.get(until).copied().unwrap_or(Timestamp::MAX))
    }

    /// When the market changes in this scenario.
    pub(super) fn change(&self) -> Timestamp {
        let poison = self.options.poison.map(|poison| poison.from);
        let from = self.options.changes.iter().map(|change| change.from).chain(poison).min();
        let opening = from.and_then(|from| self.openings.get(from).copied());
        opening.unwrap_or(Timestamp::MAX)
    }
}

fn check(what: &str, found: String, ok: bool) -> Expectation {
    let ending = if ok { Ending::AsTold } else { Ending::Worse };
    Expectation { what: what.to_owned(), found, ending }
}

/// Better than told; `found` says why.
fn otherwise(what: &str, found: String) -> Expectation {
    Expectation { what: what.to_owned(), found, ending: Ending::Better }
}

pub(super) fn date(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d").to_string()
}
