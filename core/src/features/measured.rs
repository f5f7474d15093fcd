//! How much of what a version looks at must have been measured: a prediction made of filled-in values is not one of the
//! market.
#![deny(clippy::indexing_slicing)]

use super::{pipeline::Seen, row::CONFIDENCE};

/// Room for rounding in a sum of shares.
const ROUNDING: f64 = 1e-6;

/// When the inputs of a signal are too stale to be scored; the section `[carry]`.
#[derive(Debug, Clone, PartialEq)]
pub struct StaleOptions {
    /// Share of a version's inputs that may be carried forward or missing, by their number and by their importance; 0 to 1.
    pub max_filled_share: f64,
    /// Names of inputs that must have been measured.
    pub required: Vec<String>,
}

/// What one version needs of a signal.
#[derive(Debug, Clone, PartialEq)]
pub struct Needs {
    inputs: Vec<Need>,
    max_filled_share: f64,
}

/// An input of the version.
#[derive(Debug, Clone, PartialEq)]
struct Need {
    name: Box<str>,
    /// Its place in a row.
    place: usize,
    /// Its shares in what the version looks at; each kind adds up to 1.
    shares: Shares,
    required: bool,
}

/// Shares of inputs in what a version looks at.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Shares {
    /// Each input counts the same.
    number: f64,
    /// Each counts as much as it matters to what the version says.
    importance: f64,
}

impl Needs {
    /// Those of a version whose inputs are `inputs`, each with its place in a row and the share of the training rows in which
    /// it was known. `importance` is the share of each of its columns in what it says: that of an indicator belongs to its
    /// input, that of a product to both by halves. Where it says nothing of any input, all matter the same. An input that was
    /// often not known in training counts less, by number and by importance: that it is missing is no news to the model. The
    /// strategy's confidence is what an answer is blended with, and does not count.
    pub fn new<'a>(
        inputs: impl IntoIterator<Item = (&'a str, usize, f64)>,
        importance: &[(Box<str>, f64)],
        options: &StaleOptions,
    ) -> Self {
        let share =
            |name: &str| importance.iter().map(|(column, share)| part_of(name, column) * share.max(0.0)).sum::<f64>();
        let inputs: Vec<_> = inputs.into_iter().filter(|(name, ..)| *name != CONFIDENCE).collect();
        let has_importance = inputs.iter().any(|(name, ..)| share(name) > 0.0);
        let mut inputs: Vec<Need> = inputs
            .into_iter()
            .map(|(name, place, known)| Need {
                name: name.into(),
                place,
                shares: Shares { number: known, importance: known * if has_importance { share(name) } else { 1.0 } },
                required: options.required.iter().any(|required| required == name),
            })
            .collect();
        let all = Shares::sum(inputs.iter());
        inputs.iter_mut().for_each(|need| need.shares = need.shares.of(all));
        Self { inputs, max_filled_share: options.max_filled_share }
    }

    /// Whether too much of what the version looks at was not measured, by number or by importance, or something it cannot do
    /// without.
    pub fn is_stale(&self, seen: &Seen<'_>) -> bool {
        let filled = || self.inputs.iter().filter(|need| !seen.is_measured(need.place));
        let Shares { number, importance } = Shares::sum(filled());
        filled().any(|need| need.required) || number.max(importance) > self.max_filled_share + ROUNDING
    }

    /// Whether none of its inputs was ever known.
    pub fn knows_nothing(&self, seen: &Seen<'_>) -> bool {
        !self.inputs.is_empty() && !self.inputs.iter().any(|need| seen.filled.seen.contains(need.place))
    }

    /// The inputs that were not measured, in the order of the rows.
    pub fn missing(&self, seen: &Seen<'_>) -> Vec<Box<str>> {
        self.inputs.iter().filter(|need| !seen.is_measured(need.place)).map(|need| need.name.clone()).collect()
    }
}

impl Shares {
    fn sum<'a>(needs: impl Iterator<Item = &'a Need>) -> Self {
        needs.fold(Self::default(), |sum, Need { shares, .. }| Self {
            number: sum.number + shares.number,
            importance: sum.importance + shares.importance,
        })
    }

    fn of(self, all: Self) -> Self {
        let share = |part: f64, all: f64| if all > 0.0 { part / all } else { 0.0 };
        Self { number: share(self.number, all.number), importance: share(self.importance, all.importance) }
    }
}

/// How much of a column is the input `name`.
fn part_of(name: &str, column: &str) -> f64 {
    if column == name || column.strip_prefix("missing:") == Some(name) {
        return 1.0;
    }
    // no name of an input holds a star
    let Some((left, right)) = column.split_once('*') else { return 0.0 };
    [left, right].into_iter().filter(|part| *part == name).map(|_| 0.5).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::fill::{Filled, Places};

    fn needs(importance: &[(&str, f64)], required: &[&str]) -> Needs {
        needs_of(importance, required, 1.0)
    }

    /// The same, where `c` was known in this share of the training rows.
    fn needs_of(importance: &[(&str, f64)], required: &[&str], known: f64) -> Needs {
        let importance: Vec<(Box<str>, f64)> =
            importance.iter().map(|(name, share)| ((*name).into(), *share)).collect();
        let required = required.iter().map(|name| (*name).to_owned()).collect();
        let options = StaleOptions { max_filled_share: 1.0 / 3.0, required };
        Needs::new([("a", 0, 1.0), ("b", 1, 1.0), ("c", 2, known), ("confidence", 12, 1.0)], &importance, &options)
    }

    /// Rows of three, by letter: measured, carried or not known.
    fn stale(needs: &Needs, row: &str) -> (bool, String) {
        let values: Vec<Option<f64>> = row.chars().map(|c| (c != '-').then_some(0.5)).collect();
        let carried: Places = row.chars().enumerate().filter(|(_, c)| *c == 'c').map(|(place, _)| place).collect();
        let seen = Seen { values: &values, filled: Filled { carried, seen: Places::default() } };
        let missing = needs.missing(&seen).iter().map(|name| &**name).collect::<Vec<_>>().join(" ");
        (needs.is_stale(&seen), missing)
    }

    #[test]
    fn a_third_may_be_filled_and_no_more() {
        let needs = needs(&[], &[]);
        for (row, expected, missing) in
            [("mmm", false, ""), ("cmm", false, "a"), ("m-m", false, "b"), ("c-m", true, "a b"), ("---", true, "a b c")]
        {
            assert_eq!(stale(&needs, row), (expected, missing.to_owned()), "{row}");
        }
    }

    #[test]
    fn what_matters_more_weighs_more_and_what_is_required_decides_alone() {
        let weighed = needs(&[("a", 0.3), ("missing:a", 0.2), ("a*b", 0.2), ("c", 0.1), ("b", 0.2)], &[]);
        assert_eq!(["cmm", "mcm", "mmc", "mcc"].map(|row| stale(&weighed, row).0), [true, false, false, true]);
        // however little the others matter, one input of three is not what the version looks at
        let one_matters = needs(&[("a", 0.9), ("b", 0.05), ("c", 0.05)], &[]);
        assert_eq!(["mcm", "mm-", "mc-", "m--"].map(|row| stale(&one_matters, row).0), [false, false, true, true]);
        let rare = needs_of(&[], &[], 0.05);
        assert_eq!(["mmc", "cmm", "mm-"].map(|row| stale(&rare, row).0), [false, true, false]);
        let required = needs(&[("a", 1.0)], &["c"]);
        assert_eq!(["mcm", "mmc", "mm-"].map(|row| stale(&required, row).0), [false, true, true]);
    }
}
