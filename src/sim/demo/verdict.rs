//! Whether what should have happened happened.
#![deny(clippy::indexing_slicing)]

use super::{Demo, Ledger};
use crate::{
    domain::{Timestamp, lifecycle::State},
    report::Check,
    sim::Scenario,
};

impl Demo {
    /// What was to happen in this scenario, and what did.
    pub fn checks(&self, ledger: &Ledger) -> Vec<Check> {
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

    fn kept(&self, ledger: &Ledger) -> Check {
        let found = format!(
            "{} outcomes acknowledged, {} in the journal, {} records unreadable",
            self.acknowledged, ledger.outcomes, ledger.unreadable
        );
        let ok = self.acknowledged == ledger.outcomes && ledger.unreadable == 0;
        check("nothing acknowledged is lost", found, ok)
    }

    /// From the number of an emergency to that of the order to resume.
    fn silence(&self, ledger: &Ledger) -> Check {
        let heard: usize = self
            .silent
            .iter()
            .map(|silence| ledger.heard_between(silence.from, silence.until.unwrap_or(u64::MAX)))
            .sum();
        let found = format!("{heard} answers in {} silences, {} in all", self.silent.len(), ledger.heard());
        check("no model has a word while it is silenced", found, heard == 0)
    }

    fn promoted(&self) -> Check {
        let (what, first) = ("a version earns production by evidence", self.chronicle.first(State::Production));
        match first {
            Some((version, at)) => check(what, format!("{version}, {}", date(at)), self.not_overridden()),
            None => check(what, "none did".to_owned(), false),
        }
    }

    fn not_overridden(&self) -> bool {
        self.roster.versions().all(|(_, standing)| !standing.overridden)
    }

    fn nothing_spoke(&self, ledger: &Ledger) -> Check {
        let tests = self.chronicle.times(State::AbTest).len();
        let found = format!("{} in production, {tests} tested", self.chronicle.times(State::Production).len());
        let ok = self.chronicle.first(State::Production).is_none() && (tests > 0 || ledger.heard() == 0);
        check("no version earns production, since there is nothing to foretell", found, ok)
    }

    fn refused(&self) -> Check {
        let rejected = self.chronicle.times(State::Rejected).len();
        let found = format!("{rejected} versions refused by their validation");
        check("what was trained is refused", found, rejected > 0)
    }

    fn earned(&self) -> Check {
        let progress = self.progress();
        let found = format!("{:.0} traded, {:.0} by the strategy alone", progress.traded, progress.own);
        check("what was traded earned more than the strategy alone", found, progress.traded > progress.own)
    }

    /// Losses of the account are its own: the strategy alone has them too, and every version is silenced then.
    fn undisturbed(&self) -> Check {
        let locks = self.silent.iter().filter(|silence| silence.lock).count();
        let silences = Some(self.silences()).filter(|silences| !silences.is_empty());
        let silences = silences.unwrap_or_else(|| "nothing".to_owned());
        let found = format!("{} versions for what they did; {silences} silenced the models", self.blamed);
        check("no good version is taken down", found, self.blamed == 0 && locks == 0)
    }

    fn emergency(&self) -> Check {
        let found = match self.silences() {
            silences if silences.is_empty() => "nothing silenced the models".to_owned(),
            silences => format!("{silences} silenced the models"),
        };
        let taken_down = self.taken_down();
        let ok = taken_down.ok && self.silent.iter().any(|silence| silence.emergency);
        check(
            "an emergency silences the models and takes the version down",
            format!("{}, {found}", taken_down.found),
            ok,
        )
    }

    fn taken_down(&self) -> Check {
        let change = self.change();
        let gone = self.chronicle.times(State::RolledBack).into_iter().find(|(_, at)| *at >= change);
        let what = "the version is taken down";
        match gone {
            Some((version, at)) => {
                let days = at.duration_since(change).as_secs_f64() / 86_400.0;
                let found = format!("{version}, {} ({days:.0} days after the change)", date(at));
                check(what, found, true)
            }
            None => check(what, "none did".to_owned(), false),
        }
    }

    fn killed(&self) -> Check {
        let same = |kill: &super::Kill| kill.after.as_ref() == Some(&kill.before);
        let all = self.kills.iter().map(|kill| {
            let when = if kill.during_test { "in a test" } else { "in an emergency" };
            format!("{when}: {}", if same(kill) { "as before" } else { "different" })
        });
        let found: Vec<String> = all.collect();
        let ok = self.kills.len() == 2 && self.kills.iter().all(same);
        check("a kill changes nothing: arms and latches are kept", found.join(", "), ok)
    }

    fn drift_noticed(&self) -> Check {
        let change = self.change();
        let after = |at: &Timestamp| *at > change;
        let begun = self.chronicle.stages.keys().filter_map(|version| self.chronicle.begun(version));
        let trained = begun.filter(|at| after(at)).count();
        let again = self.chronicle.times(State::Validated).iter().filter(|(_, at)| after(at)).count();
        let gone = self.chronicle.times(State::RolledBack).iter().filter(|(_, at)| after(at)).count();
        let drifts = self.drifts.iter().filter(|at| after(at)).count();
        let found = format!(
            "{drifts} alerts of drift, {gone} rolled back, {trained} trained and {again} validated after the change"
        );
        let what = "the change is noticed, and what is in service is proven anew";
        check(what, found, drifts + gone > 0 && trained + again > 0)
    }

    /// How far a version came by evidence after the change, and whether it is one that had been there before.
    fn came_after(&self) -> Check {
        let change = self.change();
        let later = |state| self.chronicle.times(state).into_iter().find(|(_, at)| *at > change);
        let what = "after that a version, another or the same validated anew, is tried";
        let (production, test) = (later(State::Production), later(State::AbTest));
        let how = if production.is_some() { "in production" } else { "under test, and no further," };
        match production.or(test) {
            Some((version, at)) => {
                let is_new = self.chronicle.begun(version).is_some_and(|at| at > change);
                let which = if is_new { "trained since" } else { "the one from before, validated anew" };
                check(what, format!("{version}, {which}: {how} since {}", date(at)), true)
            }
            None => check(what, "none was".to_owned(), false),
        }
    }

    /// When the market changes in this scenario.
    pub(super) fn change(&self) -> Timestamp {
        let poison = self.options.poison.map(|poison| poison.from);
        let from = self.options.changes.iter().map(|change| change.from).chain(poison).min();
        let opening = from.and_then(|from| self.openings.get(from).copied());
        opening.unwrap_or(Timestamp::MAX)
    }
}

fn check(what: &str, found: String, ok: bool) -> Check {
    Check { what: what.to_owned(), found, ok }
}

pub(super) fn date(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d").to_string()
}
