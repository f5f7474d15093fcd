//! What a version may be expected to be in service, by what its validation showed: how often its score is right, how often
//! the trades it takes win, and how far good and bad trades come together.
//!
//! It is what the emergency rules are set against, so that each of them is as rare for a version that is as good as
//! validated as the configuration wants it. Trades of one session share its luck, and some of that is carried to the
//! next: `u = label - rate` has the covariance `common` within a session and `common * carried^k` to the k-th after it.

use serde::{Deserialize, Serialize};

use crate::{domain::TradingDay, stats::normal};

/// Trades of either answer below which a rate of its own says too little, and that of both together stands for it.
const FEWEST: usize = 30;
/// Most that is carried from a session to the next.
const MOST_CARRIED: f64 = 0.95;
/// Points at which the luck of a session is summed over, from -4 to 4 standard deviations.
const GRID: usize = 33;
/// Losses in a row beyond which nothing is worked out.
const LONGEST_STREAK: usize = 400;

/// A closed trade of the validation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Validated {
    /// Its session; trades of a session stand together, in the order of time.
    pub session: TradingDay,
    /// Whether the score said yes.
    pub yes: bool,
    /// Whether it was yes.
    pub label: bool,
    /// Whether the policy takes it.
    pub taken: bool,
    /// Whether it made money.
    pub won: bool,
}

/// A share with its standard error, which knows that trades of a session go together.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// 0 to 1.
    pub rate: f64,
    /// At least 0.
    pub error: f64,
    /// Trades it is of, at least 1.
    pub trades: u64,
}

/// How far trades go together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Moods {
    /// Covariance of two trades of one session, 0 to a quarter.
    pub common: f64,
    /// Share of it that is left one session later, 0 to 0.95.
    pub carried: f64,
}

/// What is expected of a version.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Standard {
    /// Trades in which the score was right.
    pub right: Share,
    /// The same of those of which it said yes.
    pub yes: Share,
    /// And of those of which it said no.
    pub no: Share,
    /// How far labels go together.
    pub moods: Moods,
    /// Trades that won, of those that the policy takes. `None` when it took none.
    pub wins: Option<Share>,
    /// How far wins go together.
    pub win_moods: Moods,
    /// Scored trades a session, above 0.
    pub pace: f64,
    /// Taken trades a session.
    pub taken_pace: f64,
}

/// The variance of a sum of labels over sessions, which are added from the latest backwards.
#[derive(Debug, Clone, Copy, Default)]
pub struct Spread {
    own: f64,
    within: f64,
    across: f64,
    carried: f64,
}

impl Spread {
    /// Adds the session before those that are in: `trades` of them, `signed` those that said yes less those that said no,
    /// and `own` the sum of their own variances.
    pub fn add(&mut self, moods: &Moods, trades: f64, signed: f64, own: f64) {
        self.own += own;
        self.within += signed * signed - trades;
        self.across += signed * self.carried;
        self.carried = moods.carried * (self.carried + signed);
    }

    /// The variance of the number of trades in which the score is right.
    pub fn variance(&self, moods: &Moods) -> f64 {
        (self.own + moods.common * (self.within + 2.0 * self.across)).max(0.25 * self.own)
    }
}

impl Moods {
    /// By moments over the pairs of one session and of neighbouring ones, each by one standard error larger than found: a
    /// few sessions show too little of what is carried.
    fn of(sessions: &[Vec<f64>]) -> Self {
        let trades: usize = sessions.iter().map(Vec::len).sum();
        let squares: f64 = sessions.iter().flatten().map(|u| u * u).sum();
        let sums: Vec<(f64, f64)> = sessions.iter().map(|s| (s.iter().sum(), s.len() as f64)).collect();
        let within = sessions.iter().zip(&sums).map(|(session, (sum, n))| {
            let own: f64 = session.iter().map(|u| u * u).sum();
            (sum * sum - own, n * (n - 1.0))
        });
        let across = sums.iter().zip(sums.iter().skip(1)).map(|((a, n), (b, m))| (a * b, n * m));
        // what the mean of the same trades takes from each product
        let taken = if trades > 0 { squares / (trades * trades) as f64 } else { 0.0 };
        let upper = |(found, error): (f64, f64)| (found + taken + error).max(0.0);
        let (Some(within), across) = (ratio(within), ratio(across)) else { return Self::default() };
        let common = upper(within).min(0.25);
        let carried = across.filter(|_| common > 0.0).map_or(0.0, |across| upper(across) / common);
        Self { common, carried: carried.min(MOST_CARRIED) }
    }
}

/// A ratio of sums with its standard error. `None` when the lower sum is 0.
fn ratio(pairs: impl Iterator<Item = (f64, f64)> + Clone) -> Option<(f64, f64)> {
    let (above, below) = pairs.clone().fold((0.0, 0.0), |(a, b), (x, n)| (a + x, b + n));
    (below > 0.0).then_some(())?;
    let found = above / below;
    let squares: f64 = pairs.map(|(x, n)| (x - found * n).powi(2)).sum();
    Some((found, squares.sqrt() / below))
}

impl Standard {
    /// The share of right answers of a version that is as good as validated, among trades of which it says yes to the share `said`,
    /// 0 to 1. An accuracy in service is held against this: in production mostly trades are closed to which it said yes.
    pub fn expected_accuracy(&self, said: f64) -> f64 {
        said * self.yes.rate + (1.0 - said) * self.no.rate
    }

    /// What `trades`, in the order of time, show. `None` without any.
    pub fn of(trades: &[Validated]) -> Option<Self> {
        let sessions: Vec<&[Validated]> = trades.chunk_by(|a, b| a.session == b.session).collect();
        let share = |of: &dyn Fn(&&Validated) -> bool, is: &dyn Fn(&Validated) -> bool| {
            let (n, hits) = trades
                .iter()
                .filter(of)
                .fold((0_usize, 0_usize), |(n, hits), trade| (n + 1, hits + usize::from(is(trade))));
            (n > 0).then(|| (hits as f64 / n as f64, n))
        };
        let right = |trade: &Validated| trade.yes == trade.label;
        let all = share(&|_| true, &right)?;
        let of =
            |yes: bool| share(&move |t: &&Validated| t.yes == yes, &right).filter(|(_, n)| *n >= FEWEST).unwrap_or(all);
        let (yes, no) = (of(true), of(false));
        let residual = |trade: &Validated| {
            let rate = if trade.yes { yes.0 } else { 1.0 - no.0 };
            f64::from(u8::from(trade.label)) - rate
        };
        let moods = Moods::of(&sessions.iter().map(|s| s.iter().map(residual).collect()).collect::<Vec<_>>());
        let wins = share(&|trade| trade.taken, &|trade| trade.won);
        let won = |session: &&[Validated]| {
            let rate = wins.map_or(0.0, |(rate, _)| rate);
            session.iter().filter(|t| t.taken).map(|t| f64::from(u8::from(t.won)) - rate).collect::<Vec<f64>>()
        };
        let win_moods = Moods::of(&sessions.iter().map(won).filter(|s| !s.is_empty()).collect::<Vec<_>>());
        let told = |(rate, n): (f64, usize), moods: &Moods, of: &dyn Fn(&&Validated) -> bool, sign: f64| {
            let mut spread = Spread::default();
            for session in &sessions {
                let count = |yes: bool| session.iter().filter(of).filter(|t| t.yes == yes).count() as f64;
                let (said, not) = (count(true), count(false));
                spread.add(moods, said + not, said + sign * not, (said + not) * rate * (1.0 - rate));
            }
            Share { rate, error: spread.variance(moods).sqrt() / n as f64, trades: n as u64 }
        };
        let of_yes = |yes: bool| move |trade: &&Validated| trade.yes == yes;
        let all_of = |_: &&Validated| true;
        let side = |found: (f64, usize), yes: bool| {
            if found == all { told(found, &moods, &all_of, -1.0) } else { told(found, &moods, &of_yes(yes), -1.0) }
        };
        let taken = |trade: &&Validated| trade.taken;
        let count = sessions.len() as f64;
        Some(Self {
            right: told(all, &moods, &all_of, -1.0),
            yes: side(yes, true),
            no: side(no, false),
            moods,
            wins: wins.map(|wins| told(wins, &win_moods, &taken, 1.0)),
            win_moods,
            pace: trades.len() as f64 / count,
            taken_pace: wins.map_or(0.0, |(_, n)| n as f64 / count),
        })
    }

    /// How often a session of this version loses `losses` times in a row and no more, per trade taken: the luck of a
    /// session is normal and follows an AR(1), and wins of a session go together as far as they did. The win rate is taken one
    /// standard error lower than it was. `None` without a win rate.
    fn streaks(&self) -> Option<Vec<f64>> {
        let wins = self.wins?;
        let loss = (1.0 - wins.rate + wins.error).clamp(0.01, 0.99);
        let variance = loss * (1.0 - loss);
        // the correlation of normals cut where half of them lie above; near enough elsewhere
        let rho = (std::f64::consts::FRAC_PI_2 * (self.win_moods.common / variance).min(0.9)).sin().clamp(0.0, 0.95);
        let cut = normal::quantile(loss)?;
        let at = |place: usize| -4.0 + 8.0 * place as f64 / (GRID - 1) as f64;
        let density = |x: f64| (-0.5 * x * x).exp();
        let normed = |mut weights: Vec<f64>| {
            let sum: f64 = weights.iter().sum();
            weights.iter_mut().for_each(|weight| *weight /= sum);
            weights
        };
        let loses: Vec<f64> = (0..GRID).map(|f| normal::cdf((cut - rho.sqrt() * at(f)) / (1.0 - rho).sqrt())).collect();
        let carried = self.win_moods.carried;
        let spread = (1.0 - carried * carried).sqrt();
        let kernel: Vec<Vec<f64>> = (0..GRID)
            .map(|to| normed((0..GRID).map(|of| density((at(to) - carried * at(of)) / spread)).collect()))
            .collect();
        let session = self.taken_pace.round().max(1.0) as usize;
        let mut state = normed((0..GRID).map(|f| density(at(f))).collect());
        let mut lasting = vec![1.0];
        for place in 0..LONGEST_STREAK {
            if place > 0 && place % session == 0 {
                state = kernel.iter().map(|row| row.iter().zip(&state).map(|(k, s)| k * s).sum()).collect();
            }
            state.iter_mut().zip(&loses).for_each(|(weight, loses)| *weight *= loses);
            lasting.push(state.iter().sum());
        }
        Some(lasting.windows(2).map(|pair| pair.first().zip(pair.get(1)).map_or(0.0, |(a, b)| a - b)).collect())
    }

    /// The longest streak of losses that is not beyond what chance brings: a longer one comes at most `a_year` times in a year
    /// of `sessions`. `None` without a win rate.
    pub fn longest_streak(&self, a_year: f64, sessions: f64) -> Option<usize> {
        let streaks = self.streaks()?;
        let trades = sessions * self.taken_pace.max(0.0);
        let mut longer = 0.0;
        for (length, rate) in streaks.iter().enumerate().rev() {
            longer += trades * rate;
            if longer > a_year {
                return Some(length);
            }
        }
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use jiff::{civil, tz::TimeZone};
    use rand::{RngExt, SeedableRng};
    use rand_pcg::Pcg64;

    use super::*;
    use crate::domain::{Timestamp, TradingCalendar};

    fn trades(seed: u64, sessions: i64, win: f64) -> Vec<Validated> {
        let mut rng = Pcg64::seed_from_u64(seed);
        let calendar = TradingCalendar::new(TimeZone::UTC, civil::Time::midnight());
        let mut one = |n: i64| {
            let (won, yes) = (rng.random::<f64>() < win, n & 1 == 0);
            let at = Timestamp::from_second(86_400 * (n / 5)).unwrap();
            Validated { session: calendar.day_of(at), yes, label: won, taken: yes, won }
        };
        (0..5 * sessions).map(&mut one).collect()
    }

    #[test]
    fn independent_trades_have_the_errors_of_the_textbook() {
        let standard = Standard::of(&trades(1, 4000, 0.6)).unwrap();
        let error = (0.24_f64 / 10_000.0).sqrt();
        assert!((standard.yes.rate - 0.6).abs() < 4.0 * error && (standard.no.rate - 0.4).abs() < 4.0 * error);
        assert!((standard.yes.error / error - 1.0).abs() < 0.25, "{standard:?}");
        assert!(standard.moods.common < 0.004 && standard.pace == 5.0, "{standard:?}");
        assert_eq!(Standard::of(&[]), None);
    }

    #[test]
    fn the_longest_streak_is_the_one_that_comes_so_often() {
        let standard = Standard::of(&trades(2, 40_000, 0.35)).unwrap();
        let longest = standard.longest_streak(0.5, 252.0).unwrap();
        // a run of more than L losses begins per trade with .35 * .65^(L + 1); 630 trades a year
        let often = |length: usize| 252.0 * standard.taken_pace * 0.35 * 0.65_f64.powi(length as i32 + 1);
        assert!((14..=17).contains(&longest) && often(longest) < 0.6 && often(longest - 1) > 0.4, "{longest}");
    }
}
