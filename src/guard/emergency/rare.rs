//! How rare a rule is for a version that is as good as validated, and the rules as far as they are set by that.
//!
//! The false alarms that a year may have ([`EmergencyOptions::false_alarms_per_year`]) are shared out: three tenths to the
//! haste of the accuracy, two to its line over the longest window, and a quarter each to the streak and to the harm. The loss
//! of the day needs none: it is a limit and no test.

use jiff::civil;
use serde::{Deserialize, Serialize};

use super::{Breach, EmergencyOptions, Rule};
use crate::{
    domain::TradingDay,
    models::{
        Standard,
        standard::{Share, Spread},
    },
};

/// A score that was held against its label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Answered {
    pub(super) day: TradingDay,
    pub(super) yes: bool,
    pub(super) hit: bool,
}

/// What following the version made of a trade, less what the strategy alone made of it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Gain {
    pub(super) day: TradingDay,
    /// As far as the rule of harm counts it, see [`beyond_own_size`](super::VersionScore::beyond_own_size).
    pub(super) more: f64,
    /// What following it made of it.
    pub(super) made: f64,
    /// What the strategy alone made of it.
    pub(super) own: f64,
    /// Whether the trade heard the version: else it is what following it would have made.
    #[serde(default)]
    pub(super) heard: bool,
}

/// Sessions of a year.
const YEAR: f64 = 252.0;
/// Shares of the false alarms: the haste of the accuracy, its line, the streak, the harm.
const HASTE: f64 = 0.3;
const LINE: f64 = 0.2;
const STREAK: f64 = 0.25;
const HARM: f64 = 0.25;
/// How many times a year of 1260 trades the largest deviation over all windows has a fresh chance, times its level; found by
/// simulation of independent, correlated and moody trades.
const CHANCES: f64 = 60.0;
/// Trades of the year that [`CHANCES`] is of.
const CHANCES_OF: f64 = 1260.0;
/// Most trades that the line is drawn over.
const LONGEST_LINE: usize = 2000;
/// Covariance of the wins of a session up to which nothing is taken to be carried to the next.
const UNLIKELY_LUCK: f64 = 0.015;
/// Shares of the largest session seen that are bet on harm.
const BETS: [f64; 3] = [0.1, 0.3, 0.9];

impl EmergencyOptions {
    /// Losses in a row that a version may have: those of the configuration, or as many as a version of its win rate has by
    /// chance, whichever is more.
    pub fn streak_limit(&self, standard: Option<&Standard>) -> usize {
        let standard = standard.filter(|_| !self.literal);
        let by_chance = standard.and_then(|found| found.longest_streak(STREAK * self.false_alarms_per_year, YEAR));
        self.max_loss_streak.max(by_chance.unwrap_or(0))
    }

    /// Trades over which an accuracy below the line takes a version down whatever else: the longest window, or as many as a
    /// version needs that is as good as validated to be so far above it that it seldom falls below, also where only the
    /// trades are closed to which it says yes. `None` when its validated rate leaves no room for the line.
    pub fn line(&self, standard: &Standard) -> Option<usize> {
        let Standard { right, yes, .. } = standard;
        let over = |rate: f64, error: f64| {
            let windows = (self.longest_window..=LONGEST_LINE.max(self.longest_window)).step_by(25);
            windows.into_iter().find(|trades| self.is_rarely_below(standard, rate, error, *trades as f64))
        };
        let worse = if yes.rate < right.rate { yes } else { right };
        over(worse.rate, worse.error).or_else(|| over(right.rate, right.error))
    }

    /// Whether a version that is right in the share `rate` of such trades, give or take `error`, is seldom below the line over
    /// so many of them.
    fn is_rarely_below(&self, standard: &Standard, rate: f64, error: f64, trades: f64) -> bool {
        let a_year = LINE * self.false_alarms_per_year;
        let pace = standard.pace.max(1.0);
        let room = rate - error - self.min_accuracy;
        let carried = standard.moods.carried;
        // one answer for all trades of a session is the worst case
        let a_trade = rate * (1.0 - rate)
            + standard.moods.common * ((pace - 1.0).max(0.0) + 2.0 * pace * carried / (1.0 - carried));
        let z = room * (trades / a_trade).sqrt();
        room > 0.0 && z > 1.0 && (1.0 + YEAR * pace / trades) * z * density(z) <= a_year
    }
}

/// Of a version whose policy took no trade of its test part: what watches it.
pub const NO_TRADE: &str = "its policy took no trade of its test part: no streak and no decline of it can be found, and accuracy and harm watch it \
                            only by trades that do not hear it (scoring.holdback, or the other arm of its test); without such trades \
                            nothing watches it";

/// What the rules cannot watch in a version that was validated as `standard`, in words; nothing when they watch all.
pub fn unwatched(options: &EmergencyOptions, standard: Option<&Standard>) -> Vec<String> {
    let Some(standard) = standard else {
        let why = "its record holds no validation by its own question: the lines hold as they are written, with their false \
                   alarms, until it is trained again";
        return vec![why.to_owned()];
    };
    if standard.wins.is_none() {
        return vec![NO_TRADE.to_owned()];
    }
    let mut missing = Vec::new();
    let no_room = |share: &Share, which: &str| {
        let Share { rate, error, trades } = share;
        format!(
            "its score was right in {:.1} % of {trades} test trades{which}, give or take {:.1}: that leaves no room above \
             {:.0} % for a line, so a fall of its accuracy is found only when it is far below that; streak and harm watch it",
            100.0 * rate,
            100.0 * error,
            100.0 * options.min_accuracy
        )
    };
    match options.line(standard) {
        _ if options.literal => {}
        None => missing.push(no_room(&standard.right, "")),
        Some(line) if !options.is_rarely_below(standard, standard.yes.rate, standard.yes.error, line as f64) => {
            missing.push(no_room(&standard.yes, " to which it said yes, and few others are closed in production"));
        }
        Some(_) => {}
    }
    missing
}

/// The accuracy of a version, as a rule.
pub(super) struct Accuracy<'a> {
    options: &'a EmergencyOptions,
    /// With the least deviation that is more than chance.
    standard: Option<(&'a Standard, f64)>,
    /// Trades that the line is drawn over, and fewest over which it is.
    line: Option<(usize, usize)>,
}

impl<'a> Accuracy<'a> {
    /// Without a standard, or where the lines are to be taken as they are written, they are.
    pub(super) fn new(options: &'a EmergencyOptions, standard: Option<&'a Standard>) -> Self {
        let Some(standard) = standard.filter(|_| !options.literal) else {
            let line = Some((options.accuracy_window, options.accuracy_min_trades));
            return Self { options, standard: None, line };
        };
        let chances = CHANCES * YEAR * standard.pace / CHANCES_OF;
        let least = deviation(HASTE * options.false_alarms_per_year / chances);
        let line = options.line(standard).map(|line| (line, line));
        Self { options, standard: Some((standard, least)), line }
    }

    /// Trades to keep.
    pub(super) fn kept(&self) -> usize {
        2 * self.line.map_or(0, |(line, _)| line).max(self.haste())
    }

    /// Trades that its haste looks back on.
    fn haste(&self) -> usize {
        if self.standard.is_some() { self.options.longest_window } else { 0 }
    }

    /// The lowest accuracy that breaks the rule after the trade at `from` or a later one.
    pub(super) fn lowest(&self, trades: &[Answered], from: usize) -> Option<f64> {
        let line = self.below_line(trades, from);
        let hasty = (from..trades.len()).filter_map(|end| self.hasty(trades.get(..=end)?));
        line.into_iter().chain(hasty).reduce(f64::min)
    }

    /// The lowest accuracy over the line's window; `None` while there are too few. A version is held to the line only as far as
    /// the trades that are closed leave it room: where those alone are closed to which it says yes, a good version of a
    /// strategy that seldom wins is right in fewer than half.
    fn below_line(&self, trades: &[Answered], from: usize) -> Option<f64> {
        let (window, fewest) = self.line?;
        // of the first of so many as are kept, older ones are gone: what was right over them is not known any more
        let is_whole = |counted: usize| counted == window || trades.len() < 2 * window;
        let first = (from + 1).saturating_sub(window);
        let leaving = std::iter::repeat_n(None, window).chain(trades.iter().skip(first).map(Some));
        let (mut hits, mut said) = (0_usize, 0_usize);
        let counts = trades.iter().enumerate().skip(first).zip(leaving).map(|((place, trade), left)| {
            hits = hits + usize::from(trade.hit) - usize::from(left.is_some_and(|left| left.hit));
            said = said + usize::from(trade.yes) - usize::from(left.is_some_and(|left| left.yes));
            (place, (place + 1).min(window), hits, said)
        });
        let judged = counts.filter(|(place, counted, ..)| *place >= from && *counted >= fewest && is_whole(*counted));
        let below = judged.filter_map(|(_, counted, hits, said)| {
            let accuracy = hits as f64 / counted as f64;
            (accuracy < self.options.min_accuracy && self.has_room(said as f64, counted as f64)).then_some(accuracy)
        });
        below.reduce(f64::min)
    }

    /// Whether `trades`, of which it says yes to `said`, leave a version that is as good as validated room above the line.
    fn has_room(&self, said: f64, trades: f64) -> bool {
        let Some((standard, _)) = self.standard else { return true };
        let (yes, no) = (said / trades, 1.0 - said / trades);
        let mixed = |of: fn(&Share) -> f64| yes * of(&standard.yes) + no * of(&standard.no);
        let expected = standard.expected_accuracy(yes);
        self.options.is_rarely_below(standard, expected, mixed(|share| share.error), trades)
    }

    /// The accuracy since the session from which on it is furthest below what was validated, if it is below the line and
    /// further than chance explains: every session of the longest window is tried as the one in which the version broke.
    fn hasty(&self, trades: &[Answered]) -> Option<f64> {
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
                (hits + session.iter().filter(|trade| trade.hit).count() as f64, expected + yes * p + no * q);
            if hits / n >= self.options.min_accuracy {
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

/// Whether following the version has cost money: a bet, session by session, that it made less than the strategy alone on the
/// same signals. While following costs nothing, the wealth that the bets win is a fair game's, so it exceeds a number
/// after that many sessions or more on average (Shin, Ramdas and Rinaldo 2023, an e-detector of Shiryaev and Roberts). The largest
/// session so far is what is put at stake.
///
/// Where luck is carried from session to session the bets are on a few sessions together, as many as that needs.
pub(super) fn harm(
    options: &EmergencyOptions,
    standard: Option<&Standard>,
    gains: &[Gain],
    from: usize,
) -> Option<Breach> {
    if options.literal {
        return None;
    }
    let moods = standard.map(|standard| standard.win_moods).filter(|moods| moods.common > UNLIKELY_LUCK);
    let carried = moods.map_or(0.0, |moods| moods.carried);
    let together = ((1.0 + carried) / (1.0 - carried)).sqrt().ceil();
    let bets = YEAR / (HARM * options.false_alarms_per_year) / together;
    // a week has five sessions
    let days = if together > 1.0 { (1.4 * together).ceil() as i64 } else { 1 };
    let block = |gain: &Gain| {
        let since = gain.day.date().duration_since(civil::Date::constant(1970, 1, 1));
        (since.as_hours() / 24).div_euclid(days)
    };
    let (mut wealth, mut largest, mut place) = ([0.0; BETS.len()], 0.0_f64, 0);
    let (mut broken, mut lost) = (false, 0.0);
    for session in gains.chunk_by(|a, b| block(a) == block(b)) {
        let more: f64 = session.iter().map(|gain| gain.more).sum();
        if largest > 0.0 {
            let less = (-more / (2.0 * largest)).clamp(-1.0, 1.0);
            wealth.iter_mut().zip(BETS).for_each(|(wealth, bet)| *wealth = (*wealth + 1.0) * (1.0 + bet * less));
        }
        largest = largest.max(more.abs());
        lost -= more;
        place += session.len();
        let exceeds = wealth.iter().sum::<f64>() / BETS.len() as f64 > bets;
        broken |= exceeds && place > from;
    }
    broken.then(|| Breach::above(Rule::Harm, lost, 0.0))?
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
}
