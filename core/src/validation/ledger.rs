//! The trial ledger: every configuration ever fitted to the trades of a journal, as its events tell.
//!
//! Whoever tries often enough finds something that looks good by chance. So everything that was tried counts in the doubt
//! about what is deployed, dry runs and other targets too; and whether a level has nothing more to give is read here.

use super::options::Look;
use crate::{
    domain::{EventKind, Symbol, VersionId, event::Trial},
    models::{
        Kind,
        levels::{Facts, Level, OTHER_DATA},
    },
};

/// The model that stands in the entry of a search for inputs: it counts as configurations that were tried, and saw no test part.
pub const DISCOVERY: &str = "discovery";

/// A fold over the event log.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ledger(Vec<Trial>);

impl Ledger {
    /// Takes in the next event; only trials change anything.
    pub fn apply(&mut self, event: &EventKind) {
        if let EventKind::Tried(trial) = event {
            self.0.push((**trial).clone());
        }
    }

    /// All entries, oldest first.
    pub fn trials(&self) -> &[Trial] {
        &self.0
    }

    /// Configurations tried so far, for any symbol and target: they all had their chance.
    pub fn configurations(&self) -> usize {
        let all = self.0.iter().map(|trial| usize::try_from(trial.configurations).unwrap_or(usize::MAX));
        all.fold(0, usize::saturating_add)
    }

    /// Earlier looks at a test part of `symbol`, other than that of the version `own`. What else was tried for that symbol had
    /// its chance on the same trades, whatever its kind and target; the same training on the same data again is no new
    /// look. A run that was refused before its test is in no ledger.
    pub fn looks(&self, symbol: &Symbol, target: &str, kind: Kind, own: Option<&VersionId>) -> Vec<Look> {
        let mut seen: Vec<(&str, &str, &str)> = Vec::new();
        let mut looks = Vec::new();
        let looked = |trial: &&Trial| trial.symbol == *symbol && &*trial.model != DISCOVERY;
        for trial in self.0.iter().filter(looked) {
            let key = (&*trial.model, &*trial.target, &*trial.data_hash);
            if seen.contains(&key) || (own.is_some() && trial.version.as_ref() == own) {
                continue;
            }
            seen.push(key);
            let alike = &*trial.model == kind.name() && &*trial.target == target;
            looks.push(Look { from: trial.test_from, to: trial.test_to, alike });
        }
        looks
    }

    /// What the decision points ask for about `symbol` and `target`, of which `closed_trades` are known, `clean_trades` of
    /// them without a remark. A level that is trained on the same data again, with another kind or another strength, says
    /// nothing new about more trades: its best score on them counts, once. One on data that are hardly more counts for nothing
    /// ([`OTHER_DATA`]), and neither does a dry run, or one that does not say how many trades there were.
    pub fn facts(&self, symbol: &Symbol, target: &str, closed_trades: u64, clean_trades: u64) -> Facts {
        let mut facts = Facts { closed_trades, clean_trades, ..Facts::default() };
        // per data, oldest first, how many trades there were, and the best score
        let mut linear: Vec<(&str, f64, f64)> = Vec::new();
        let mut trees: Vec<(&str, f64, f64)> = Vec::new();
        let kept = self.0.iter().filter(|trial| trial.version.is_some());
        for trial in kept.filter(|trial| trial.symbol == *symbol && &*trial.target == target) {
            let Some(kind) = Kind::named(&trial.model) else { continue };
            let scores = match kind.level() {
                Level::Linear => &mut linear,
                _ => {
                    facts.trees_beat_linear_p = trial.beats_linear_p.or(facts.trees_beat_linear_p);
                    &mut trees
                }
            };
            let Some((skill, trades)) = trial.skill.zip(trial.closed_trades) else { continue };
            let needed = scores.last().map_or(0.0, |(_, trades, _)| trades * (1.0 + OTHER_DATA));
            match scores.iter_mut().find(|(data, ..)| *data == &*trial.data_hash) {
                Some((.., best)) => *best = best.max(skill),
                None if trades as f64 >= needed => scores.push((&trial.data_hash, trades as f64, skill)),
                None => {}
            }
        }
        facts.linear_scores = linear.into_iter().map(|(.., best)| best).collect();
        facts.tree_scores = trees.into_iter().map(|(.., best)| best).collect();
        facts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_for_inputs_counts_as_tried_and_is_no_look_at_a_test_part() {
        let mut ledger = Ledger::default();
        for model in ["logistic", DISCOVERY] {
            ledger.apply(&EventKind::Tried(Box::new(trial(model, "a", 0.6))));
        }
        let looks = ledger.looks(&Symbol::new("ES").unwrap(), "profitability", Kind::Logistic, None);
        assert_eq!((ledger.configurations(), looks.len()), (14, 1));
    }

    fn trial(model: &str, data: &str, skill: f64) -> Trial {
        Trial {
            symbol: Symbol::new("ES").unwrap(),
            target: "profitability".into(),
            model: model.into(),
            data_hash: data.into(),
            closed_trades: Some(if data == "a" { 500 } else { 600 }),
            columns: Vec::new(),
            fits: vec![(1.0, Some(0.69)), (10.0, None)],
            strength: 1.0,
            configurations: 7,
            skill: Some(skill),
            beats_linear_p: (model == "boosting").then_some(0.2),
            test_from: None,
            test_to: None,
            version: Some("ES/1".parse().unwrap()),
        }
    }

    #[test]
    fn a_training_is_on_other_data_when_there_are_a_tenth_more_trades_and_something_was_kept() {
        let scores = |trades: &[Option<u64>], version: Option<&str>| {
            let of = |(n, trades): (usize, &Option<u64>)| Trial {
                closed_trades: *trades,
                version: version.map(|version| version.parse().unwrap()),
                ..trial("ridge", &n.to_string(), 0.5 + n as f64)
            };
            let ledger = ledger(trades.iter().enumerate().map(of).collect());
            ledger.facts(&Symbol::new("ES").unwrap(), "profitability", 2000, 2000).linear_scores
        };
        let some = Some("ES/1");
        assert_eq!(scores(&[Some(1000), Some(1001), Some(1002)], some), [0.5], "one trade more is the same data");
        assert_eq!(scores(&[Some(1000), Some(1099), Some(1100), Some(1209), Some(1210)], some), [0.5, 2.5, 4.5]);
        assert_eq!(scores(&[Some(1000), Some(300), Some(1050)], some), [0.5], "fewer are no more");
        assert!(scores(&[Some(1000), Some(1100), Some(1210)], None).is_empty(), "dry runs");
        assert!(scores(&[None, None, None], some).is_empty(), "how many there were is not known");
    }

    fn ledger(trials: Vec<Trial>) -> Ledger {
        let mut ledger = Ledger::default();
        ledger.apply(&EventKind::Stopped);
        trials.into_iter().for_each(|trial| ledger.apply(&EventKind::Tried(Box::new(trial))));
        ledger
    }

    #[test]
    fn everything_tried_counts_and_the_same_training_again_says_nothing_new() {
        let other = Trial { target: "pnl".into(), ..trial("ridge", "a", 0.1) };
        let trials = [("logistic", "a", 0.5), ("logistic", "a", 0.5), ("boosting", "a", 0.6), ("logistic", "b", 0.55)];
        let mut all: Vec<Trial> = trials.map(|(model, data, skill)| trial(model, data, skill)).into();
        all.push(other);
        let ledger = ledger(all);
        assert_eq!((ledger.configurations(), ledger.trials().len()), (35, 5));
        let facts = ledger.facts(&Symbol::new("ES").unwrap(), "profitability", 600, 590);
        assert_eq!((facts.linear_scores, facts.tree_scores), (vec![0.5, 0.55], vec![0.6]));
        assert_eq!((facts.trees_beat_linear_p, facts.closed_trades, facts.clean_trades), (Some(0.2), 600, 590));
        let kinds = ["ridge", "lasso", "elastic_net", "ridge"].map(|model| trial(model, "a", 0.5));
        let same = self::ledger(kinds.into_iter().chain([trial("ridge", "b", 0.4)]).collect());
        let facts = same.facts(&Symbol::new("ES").unwrap(), "profitability", 600, 590);
        assert_eq!(facts.linear_scores, [0.5, 0.4], "the same data thrice is one training");
        let looks = |symbol: &str| ledger.looks(&Symbol::new(symbol).unwrap(), "profitability", Kind::Logistic, None);
        let alike: Vec<bool> = looks("ES").iter().map(|look| look.alike).collect();
        assert_eq!((alike, looks("NQ").len()), (vec![true, false, true, false], 0));
        let none = ledger.facts(&Symbol::new("NQ").unwrap(), "profitability", 0, 0);
        assert!(none.linear_scores.is_empty() && none.trees_beat_linear_p.is_none());
    }
}
