//! How close the emergency rules are to a version, for people.

use serde::Serialize;

use super::{
    Emergency, EmergencyOptions, Seen, Tracked, accuracy, harm, loss_streak,
    rule::{Case, Found, Side},
    unwatched,
    window::Window,
};
use crate::domain::{
    VersionId,
    trip::{Rule, Unit},
};

/// How far a version is from the limit of a rule.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RuleLevel {
    /// Which rule.
    pub rule: Rule,
    /// What it watches, in a line.
    pub watches: &'static str,
    /// Where the version stands.
    pub value: f64,
    /// What that is held against.
    pub limit: f64,
    /// What both are.
    pub unit: Unit,
    /// On which side of the limit it trips.
    pub trips: Side,
}

/// How close the rules are, for people.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VersionLevel {
    /// Whose.
    pub version: VersionId,
    /// Each rule of a version that judges it, in the order of the table.
    pub rules: Vec<RuleLevel>,
    /// Closed trades that it was heard in, of those that are kept.
    pub trades: usize,
    /// Closed trades that it scored and whose label is known, of those its accuracy is taken over.
    pub labelled: usize,
    /// Closed trades that it scored and whose label cannot be known.
    pub unlabelled: u64,
    /// Share of the labelled ones in which its score was right. `None` without any.
    pub accuracy: Option<f64>,
    /// What that share would be if it were as right as its test part shows, in trades in which it said yes as often. `None` where
    /// nothing is known of its validation, or without any trade.
    pub expected_accuracy: Option<f64>,
    /// What the rule holds its accuracy to, and over how many trades; not always those of `accuracy`.
    pub accuracy_held: accuracy::Held,
    /// How near it is to the rule of harm; `None` where that does not judge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub harm: Option<harm::Nearness>,
    /// Losses since its last win.
    pub loss_streak: usize,
    /// What the rules cannot watch in it, in words.
    pub unwatched: Vec<String>,
    /// Losses in a row that it may have.
    pub streak_limit: usize,
    /// What the latest trades that heard it made, at the sizes it gave them; account currency.
    pub made: f64,
    /// That less what the strategy alone made of them. What it let go is not among them, since it has no outcome.
    pub gain: f64,
    /// Those trades.
    pub gain_trades: usize,
    /// What following it would have made of the latest trades that it scored and that did not hear it, less what the strategy made
    /// of them.
    pub would_gain: f64,
    /// Those trades.
    pub would_gain_trades: usize,
}

impl Emergency {
    /// The versions that are judged and how close they are.
    pub fn levels(&self, options: &EmergencyOptions) -> Vec<VersionLevel> {
        let judged = self.versions.iter().filter_map(|(version, standing)| match standing {
            Tracked::Judged(window) => Some((version, window)),
            Tracked::Retired => None,
        });
        judged.map(|(version, window)| self.level(options, version, window)).collect()
    }

    fn level(&self, options: &EmergencyOptions, version: &VersionId, window: &Window) -> VersionLevel {
        let standard = self.standard(version);
        let (answers, heard, money) =
            (window.seen(&accuracy::RULE), window.seen(&loss_streak::RULE), window.seen(&harm::RULE));
        // the latest ones
        let labelled = answers.len().min(options.count(&accuracy::WINDOW));
        let share = |is: fn(&Seen) -> bool| {
            let counted = answers.iter().rev().take(labelled).filter(|trade| is(trade)).count();
            (labelled > 0).then(|| counted as f64 / labelled as f64)
        };
        let said = standard.zip(share(|trade| trade.yes));
        let case = |seen| Case { options, standard, seen, from: 0 };
        let rules = self.rules.of_version().filter_map(|(rule, of)| {
            let Found { value, threshold: limit } = (of.now)(&case(window.seen(rule)))?;
            let (name, watches, unit, trips) = (rule.name.clone(), rule.watches, rule.unit, rule.trips);
            Some(RuleLevel { rule: name, watches, value, limit, unit, trips })
        });
        let lost = heard.iter().rev().take_while(|trade| trade.value <= 0.0).filter(|trade| trade.value < 0.0);
        let ((made, gain, gain_trades), (_, would_gain, would_gain_trades)) = (sum(money, true), sum(money, false));
        VersionLevel {
            version: version.clone(),
            rules: rules.collect(),
            trades: heard.len(),
            labelled,
            unlabelled: window.silent(&accuracy::RULE),
            accuracy: share(accuracy::is_hit),
            expected_accuracy: said.map(|(standard, said)| standard.expected_accuracy(said)),
            accuracy_held: options.held(standard),
            harm: harm::nearness(&case(money)),
            loss_streak: lost.count(),
            unwatched: unwatched(options, standard),
            streak_limit: options.streak_limit(standard),
            made,
            gain,
            gain_trades,
            would_gain,
            would_gain_trades,
        }
    }
}

/// What following a version made of the trades, what that is more than the strategy alone made of them, and how many these are:
/// of those that heard it, or of those that did not, of which it is what it would have made. Account currency.
fn sum(trades: &[Seen], heard: bool) -> (f64, f64, usize) {
    let of = trades.iter().filter(|trade| trade.heard == heard);
    of.fold((0.0, 0.0, 0), |(made, more, count), trade| {
        let by_it = harm::made(trade);
        (made + by_it, more + by_it - trade.value, count + 1)
    })
}
