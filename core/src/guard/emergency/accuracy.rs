//! The accuracy of a version by its own question.
//!
//! It trips in two ways: at once, when it is further below what was validated than chance explains (its haste), and when it is
//! below the line over a long window, whatever was validated. Of the false alarms that a year may have, three tenths are those
//! of the haste, and two those of the line. Without a validation, and where the lines hold as they are written, the accuracy over
//! the window of the configuration is all that counts.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    options::{Allowed, EmergencyOptions, Key},
    rule::{Case, EmergencyRule, Found, OfVersion, Scenario, Scope, Seen, Side, Trades, YEAR},
    trade::Reported,
};
use crate::{
    domain::trip::{Rule, Unit},
    models::{
        Standard,
        standard::{Share, Spread},
    },
};

/// The rule.
pub static RULE: EmergencyRule = EmergencyRule {
    name: Rule::named("accuracy"),
    watches: "how often the score of a version is right by its own question",
    unit: Unit::Share,
    trips: Side::Below,
    keys: &[WINDOW, MIN_TRADES, MIN],
    is_fitted: true,
    scope: Scope::Version(OfVersion {
        trades: Trades::Scored,
        observe: |observed| observed.answer.hit().map(|hit| if hit { 1.0 } else { 0.0 }),
        kept: |options, standard| Accuracy::new(options, standard).kept(),
        judge,
        now,
        trips_blind: true,
    }),
    scenario: Some(Scenario {
        settings: "guardian.accuracy_window = 12\nguardian.accuracy_min_trades = 9\n",
        trades: 9,
        // wrong in two of three, and never four losses in a row
        outcome: |n, says_win| (if says_win == n.is_multiple_of(3) { 1.0 } else { -1.0 }, Reported::default()),
    }),
};
/// Closed trades of a version over which its accuracy is taken. This and [`MIN_TRADES`] hold where nothing is known of its
/// validation, and where the lines hold as they are written.
pub const WINDOW: Key = Key { name: "accuracy_window", allowed: Allowed::Count(2, 1000), default: 100.0 };
/// Closed trades of a version before which its accuracy is not judged, at most [`WINDOW`].
pub const MIN_TRADES: Key = Key { name: "accuracy_min_trades", allowed: Allowed::Count(1, 1000), default: 50.0 };
/// Accuracy under which a version is dangerous.
pub const MIN: Key = Key { name: "min_accuracy", allowed: Allowed::Number(0.0, 1.0), default: 0.5 };

/// Shares of the false alarms.
const HASTE: f64 = 0.3;
const LINE: f64 = 0.2;
/// How many times a year of 1260 trades the largest deviation over all windows has a fresh chance, times its level; found by
/// simulation of independent, correlated and moody trades.
const CHANCES: f64 = 60.0;
/// Trades of the year that [`CHANCES`] is of.
const CHANCES_OF: f64 = 1260.0;
/// Most trades that the line is drawn over.
const LONGEST_LINE: usize = 2000;

/// What the accuracy of a version is held to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// The accuracy that it must not fall below, 0 to 1.
    pub below: f64,
    /// Over how many of its labelled trades that holds whatever was validated; `None` where no line is judged.
    pub line: Option<Line>,
    /// How many of them its haste looks back on: below that accuracy over any latest sessions of these, and further below what
    /// was validated than chance explains. `None` where there is none.
    pub haste: Option<usize>,
}

/// The trades that a line is judged over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The latest ones, at most.
    pub trades: usize,
    /// Fewest of them; it is not judged before.
    pub fewest: usize,
}

fn judge(case: &Case<'_>) -> Option<Found> {
    let accuracy = Accuracy::new(case.options, case.standard);
    Some(Found { value: accuracy.lowest(case.seen, case.from)?, threshold: accuracy.min })
}

fn now(case: &Case<'_>) -> Option<Found> {
    let of = case.seen.len().min(case.options.count(&WINDOW));
    let right = case.seen.iter().rev().take(of).filter(|trade| is_hit(trade)).count();
    let threshold = Accuracy::new(case.options, case.standard).min;
    (of > 0).then(|| Found { value: right as f64 / of as f64, threshold })
}

/// Whether the score was right.
pub(super) fn is_hit(trade: &Seen) -> bool {
    trade.value > 0.5
}

impl EmergencyOptions {
    /// What the accuracy of a version with such a validation is held to; `None`: of which nothing is known.
    pub fn held(&self, standard: Option<&Standard>) -> Held {
        let accuracy = Accuracy::new(self, standard);
        let line = accuracy.line.map(|(trades, fewest)| Line { trades, fewest });
        Held { below: accuracy.min, line, haste: accuracy.standard.is_some().then(|| accuracy.haste()) }
    }

    /// Trades over which an accuracy below the line takes a version down whatever else: the longest window, or as many as a
    /// version needs that is as good as validated to be so far above it that it seldom falls below, also where only the
    /// trades are closed to which it says yes. `None` when its validated rate leaves no room for the line.
    pub fn line(&self, standard: &Standard) -> Option<usize> {
        let Standard { right, yes, .. } = standard;
        let over = |rate: f64, error: f64| {
            let windows = (self.longest_window..=LONGEST_LINE.max(self.longest_window)).step_by(25);
            windows.into_iter().find(|trades| is_rarely_below(self, standard, rate, error, *trades as f64))
        };
        let worse = if yes.rate < right.rate { yes } else { right };
        over(worse.rate, worse.error).or_else(|| over(right.rate, right.error))
    }
}

/// Whether a version that is right in the share `rate` of such trades, give or take `error`, is seldom below the line over
/// so many of them.
pub(super) fn is_rarely_below(
    options: &EmergencyOptions,
    standard: &Standard,
    rate: f64,
    error: f64,
    trades: f64,
) -> bool {
    let a_year = LINE * options.false_alarms_per_year;
    let pace = standard.pace.max(1.0);
    let room = rate - error - options.number(&MIN);
    let carried = standard.moods.carried;
    // one answer for all trades of a session is the worst case
    let a_trade =
        rate * (1.0 - rate) + standard.moods.common * ((pace - 1.0).max(0.0) + 2.0 * pace * carried / (1.0 - carried));
    let z = room * (trades / a_trade).sqrt();
    room > 0.0 && z > 1.0 && (1.0 + YEAR * pace / trades) * z * density(z) <= a_year
}

impl Held {
    /// Whether its line is judged over `window` trades, as an accuracy over so many is drawn.
    pub fn acts_over(&self, window: usize) -> bool {
        self.line.is_some_and(|line| line.trades == window)
    }
}

impl fmt::Display for Held {
    /// `taken down below 50 % of its latest 100 trades, judged from 50 on`, or
    /// `taken down below 50 % of its latest 1325 trades; sooner where it is below 50 % and further below its validation than chance
    /// explains, over any sessions of its latest 600`, or `no line is judged: ...`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let below = (1000.0 * self.below).round() / 10.0;
        match self.line {
            Some(Line { trades, fewest }) if fewest < trades => {
                write!(f, "taken down below {below} % of its latest {trades} trades, judged from {fewest} on")?;
            }
            Some(Line { trades, .. }) => write!(f, "taken down below {below} % of its latest {trades} trades")?,
            None => write!(f, "no line is judged, its validation leaves no room above {below} %")?,
        }
        let Some(haste) = self.haste else { return Ok(()) };
        let sooner = if self.line.is_some() { "sooner" } else { "taken down" };
        write!(
            f,
            "; {sooner} where it is below {below} % and further below its validation than chance explains, over any sessions \
             of its latest {haste}"
        )
    }
}

/// How the accuracy of one version is judged.
struct Accuracy<'a> {
    options: &'a EmergencyOptions,
    /// What it must not fall below.
    min: f64,
    /// With the least deviation that is more than chance.
    standard: Option<(&'a Standard, f64)>,
    /// Trades that the line is drawn over, and fewest over which it is.
    line: Option<(usize, usize)>,
}

impl<'a> Accuracy<'a> {
    /// Without a standard, or where the lines are to be taken as they are written, they are.
    fn new(options: &'a EmergencyOptions, standard: Option<&'a Standard>) -> Self {
        let min = options.number(&MIN);
        let Some(standard) = standard.filter(|_| !options.literal) else {
            let line = Some((options.count(&WINDOW), options.count(&MIN_TRADES)));
            return Self { options, min, standard: None, line };
        };
        let chances = CHANCES * YEAR * standard.pace / CHANCES_OF;
        let least = deviation(HASTE * options.false_alarms_per_year / chances);
        let line = options.line(standard).map(|line| (line, line));
        Self { options, min, standard: Some((standard, least)), line }
    }

    /// Trades to keep.
    fn kept(&self) -> usize {
        2 * self.line.map_or(0, |(line, _)| line).max(self.haste())
    }

    /// Trades that its haste looks back on.
    fn haste(&self) -> usize {
        if self.standard.is_some() { self.options.longest_window } else { 0 }
    }

    /// The lowest accuracy that breaks the rule after the trade at `from` or a later one.
    fn lowest(&self, trades: &[Seen], from: usize) -> Option<f64> {
        let line = self.below_line(trades, from);
        let hasty = (from..trades.len()).filter_map(|end| self.hasty(trades.get(..=end)?));
        line.into_iter().chain(hasty).reduce(f64::min)
    }

    /// The lowest accuracy over the line's window; `None` while there are too few. A version is held to the line only as far as
    /// the trades that are closed leave it room: where those alone are closed to which it says yes, a good version of a
    /// strategy that seldom wins is right in fewer than half.
    fn below_line(&self, trades: &[Seen], from: usize) -> Option<f64> {
        let (window, fewest) = self.line?;
        // of the first of so many as are kept, older ones are gone: what was right over them is not known any more
        let is_whole = |counted: usize| counted == window || trades.len() < 2 * window;
        let first = (from + 1).saturating_sub(window);
        let leaving = std::iter::repeat_n(None, window).chain(trades.iter().skip(first).map(Some));
        let (mut hits, mut said) = (0_usize, 0_usize);
        let counts = trades.iter().enumerate().skip(first).zip(leaving).map(|((place, trade), left)| {
            hits = hits + usize::from(is_hit(trade)) - usize::from(left.is_some_and(is_hit));
            said = said + usize::from(trade.yes) - usize::from(left.is_some_and(|left| left.yes));
            (place, (place + 1).min(window), hits, said)
        });
        let judged = counts.filter(|(place, counted, ..)| *place >= from && *counted >= fewest && is_whole(*counted));
        let below = judged.filter_map(|(_, counted, hits, said)| {
            let accuracy = hits as f64 / counted as f64;
            (accuracy < self.min && self.has_room(said as f64, counted as f64)).then_some(accuracy)
        });
        below.reduce(f64::min)
    }

    /// Whether `trades`, of which it says yes to `said`, leave a version that is as good as validated room above the line.
    fn has_room(&self, said: f64, trades: f64) -> bool {
        let Some((standard, _)) = self.standard else { return true };
        let (yes, no) = (said / trades, 1.0 - said / trades);
        let mixed = |of: fn(&Share) -> f64| yes * of(&standard.yes) + no * of(&standard.no);
        let expected = standard.expected_accuracy(yes);
        is_rarely_below(self.options, standard, expected, mixed(|share| share.error), trades)
    }

    /// The accuracy since the session from which on it is furthest below what was validated, if it is below the line and
    /// further than chance explains: every session of the longest window is tried as the one in which the version broke.
    fn hasty(&self, trades: &[Seen]) -> Option<f64> {
        let (standard, least) = self.standard?;
        let (mut spread, mut worst) = (Spread::default(), None::<(f64, f64)>);
        let (mut n, mut hits, mut expected, mut said, mut not) = (0.0, 0.0, 0.0, 0.0, 0.0);
        let latest = trades.get(trades.len().saturating_sub(self.haste())..)?;
        for session in latest.chunk_by(|a, b| a.day == b.day).rev() {
            let yes = session.iter().filter(|trade| trade.yes).count() as f64;
            let no = session.len() as f64 - yes;
            let (p, q) = (standard.yes.rate, standard.no.rate);
            spread.add(&standard.moods, yes + no, yes - no, yes * p * (1.0 - p) + no * q * (1.0 - q));
            (n, said, not) = (n + yes + no, said + yes, not + no);
            (hits, expected) =
                (hits + session.iter().filter(|trade| is_hit(trade)).count() as f64, expected + yes * p + no * q);
            if hits / n >= self.min {
                continue;
            }
            let doubt = (said * standard.yes.error).powi(2) + (not * standard.no.error).powi(2);
            let variance = spread.variance(&standard.moods) + doubt;
            let deviation = root_deviance(hits, n, expected / n) * (expected * (1.0 - expected / n) / variance).sqrt();
            if deviation > least && worst.is_none_or(|(most, _)| deviation > most) {
                worst = Some((deviation, hits / n));
            }
        }
        worst.map(|(_, accuracy)| accuracy)
    }
}

/// How far `hits` of `n` trades are below the share `rate`, in standard deviations: the signed root of the deviance of a
/// binomial, with half a hit for its steps.
fn root_deviance(hits: f64, n: f64, rate: f64) -> f64 {
    let found = (hits + 0.5) / n;
    if found >= rate || found >= 1.0 {
        return 0.0;
    }
    let divergence = found * (found / rate).ln() + (1.0 - found) * ((1.0 - found) / (1.0 - rate)).ln();
    (2.0 * n * divergence.max(0.0)).sqrt()
}

fn density(z: f64) -> f64 {
    (-0.5 * z * z).exp() / std::f64::consts::TAU.sqrt()
}

/// The deviation z, above 1, of which z times its density is `level`; by halving.
fn deviation(level: f64) -> f64 {
    let (mut low, mut high) = (1.0, 40.0);
    for _ in 0..60 {
        let z = 0.5 * (low + high);
        if z * density(z) > level { low = z } else { high = z }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::normal;

    #[test]
    fn the_deviance_is_that_of_the_binomial() {
        // 3 of 20 at .4: the exact lower tail is .016
        let z = root_deviance(3.0, 20.0, 0.4);
        assert!((normal::cdf(-z) - 0.016).abs() < 0.004, "{z}");
        assert_eq!(root_deviance(9.0, 20.0, 0.4), 0.0);
        let z = deviation(0.0022);
        assert!((z - 3.6).abs() < 0.05, "{z}");
    }

    fn standard(rate: f64) -> Standard {
        let share = Share { rate, error: 0.01, trades: 400 };
        Standard {
            right: share,
            yes: share,
            no: share,
            moods: Default::default(),
            wins: None,
            win_moods: Default::default(),
            pace: 5.0,
            taken_pace: 3.0,
        }
    }

    #[test]
    fn what_it_is_held_to_is_the_line_that_is_judged_and_is_said_with_its_trades() {
        let options = EmergencyOptions { literal: false, ..EmergencyOptions::default() };
        let literal = EmergencyOptions { literal: true, ..options.clone() };
        let good = standard(0.62);
        for held in [options.held(None), literal.held(Some(&good))] {
            assert_eq!((held.line, held.haste), (Some(Line { trades: 100, fewest: 50 }), None));
            assert!(held.acts_over(100) && !held.acts_over(50));
            assert_eq!(held.to_string(), "taken down below 50 % of its latest 100 trades, judged from 50 on");
        }
        let held = options.held(Some(&good));
        let trades = options.line(&good).unwrap();
        assert_eq!((held.line, held.haste), (Some(Line { trades, fewest: trades }), Some(options.longest_window)));
        assert!(trades > 100 && !held.acts_over(100), "{trades}");
        let said = held.to_string();
        assert!(
            said.starts_with(&format!("taken down below 50 % of its latest {trades} trades; sooner where")),
            "{said}"
        );
        let held = options.held(Some(&standard(0.5)));
        assert_eq!(held.line, None);
        assert!(held.to_string().starts_with("no line is judged, its validation leaves no room above 50 %"), "{held}");
    }
}
