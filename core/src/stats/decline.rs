//! Whether the trades of a version have become worse than its validation, by cumulative sums with a budget of false alarms.
//!
//! Four sums (Page 1954) over closed sessions: of the share of trades that go as the score says, and of the pnl in units of its
//! standard deviation, each for a small and for a large fall. A sum grows by what a session falls short of the reference less
//! half of the fall, so it drifts upwards only where more than that half is gone. How far each sum may go follows from years
//! drawn from the out-of-fold trades of the validation in blocks of sessions, against a reference that is drawn as well: what the
//! validation does not know for sure is part of every limit.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};

pub use super::sessions::SessionTrades;
use super::{bootstrap::block_length, describe::quantile, normal, sessions::FEWEST};

/// Sessions of a year, which budgets are for.
pub const YEAR: usize = 252;
/// Sums that are kept: hits and pnl, small fall and large.
const SUMS: usize = 4;
/// Which of them look for a large fall.
const LARGE: [bool; SUMS] = [false, true, false, true];
/// A fall of the pnl, in standard deviations of a trade, for each fall of the hit rate: twice, as where wins and losses are
/// equally large.
const PNL_PER_HIT: f64 = 2.0;
/// Blocks are so many times as long as Politis and White's estimate, which is best for a mean's error and too short for its tail.
const LONGER: f64 = 2.5;
/// Blocks that a history must be worth at least, in two steps: a short one cannot show a long memory, so its blocks are as long
/// as they can be.
const BLOCKS: f64 = 8.0;
/// Shortest blocks, in sessions, of a long history and of a short one; the product of block and history in between.
const SHORTEST: (f64, f64, f64) = (4.0, 15.0, 600.0);
/// Most degrees of freedom that are drawn: beyond, a variance counts as known.
const MOST_FREEDOM: usize = 100;

/// What is found out, each with a budget of its own. The order is that of how much it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// A person is told.
    Alert,
    /// Its share of the signals shrinks.
    Shrink,
    /// A successor is trained.
    Retrain,
    /// It is taken down.
    RollBack,
}

/// How declines are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DeclineOptions {
    /// The small fall of the hit rate, above 0 and below the large one; 0.05 is five points.
    pub small_fall: f64,
    /// The large fall, below 1.
    pub large_fall: f64,
    /// False alarms a year of each level, in the order of [`Level::ALL`], above 0 and falling.
    pub budgets: [f64; 4],
    /// Years that are drawn, at least 100.
    pub resamples: usize,
    /// Seed of the draws.
    pub seed: u64,
}

/// What a version is held against, and how far each sum may go.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Expected share of trades that go as the score says, 0 to 1.
    pub rate: f64,
    /// Expected pnl of a trade, in standard deviations.
    pub pnl: f64,
    /// Trades behind both.
    pub trades: f64,
    /// Mean length of the blocks that years were drawn in, in sessions.
    pub block: f64,
    falls: [f64; SUMS],
    /// By level; infinite where a level does not look at a sum.
    limits: [[f64; SUMS]; 4],
}

/// The sums since a version went into service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Decline {
    sums: [f64; SUMS],
    /// What each has added up since it was last 0.
    since: [SessionTrades; SUMS],
}

/// The sum that is furthest at a level.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Furthest {
    /// As a multiple of its limit; 1 is an alarm.
    pub multiple: f64,
    /// Whether it is of the pnl.
    pub is_pnl: bool,
    /// The trades that it is made of.
    pub since: SessionTrades,
}

impl Level {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Alert, Self::Shrink, Self::Retrain, Self::RollBack];

    /// Whether the level looks at a sum: what takes a version down is a large fall, the others find both.
    fn looks_at(self, sum: usize) -> bool {
        self != Self::RollBack || LARGE.get(sum) == Some(&true)
    }
}

impl Decline {
    /// A session has closed.
    pub fn close(&mut self, limits: &Limits, session: SessionTrades) {
        let expected = limits.expected();
        let steps = self.sums.iter_mut().zip(&mut self.since).zip(expected.iter().zip(limits.falls)).enumerate();
        for (place, ((sum, since), (expected, fall))) in steps {
            *sum += counted(place, &session) * (expected - fall / 2.0) - measured(place, &session);
            *since = since.and(session);
            if *sum <= 0.0 {
                (*sum, *since) = (0.0, SessionTrades::default());
            }
        }
    }

    /// How near `level` is.
    pub fn furthest(&self, limits: &Limits, level: Level) -> Furthest {
        let own = limits.limits.get(level as usize).copied().unwrap_or([f64::INFINITY; SUMS]);
        let each = self.sums.iter().zip(own).zip(self.since).enumerate();
        let each =
            each.map(|(place, ((sum, limit), since))| Furthest { multiple: sum / limit, is_pnl: is_pnl(place), since });
        let none = Furthest { multiple: 0.0, is_pnl: false, since: SessionTrades::default() };
        each.fold(none, |best, next| if next.multiple > best.multiple { next } else { best })
    }

    /// Whether `level` is reached.
    pub fn reaches(&self, limits: &Limits, level: Level) -> bool {
        self.furthest(limits, level).multiple >= 1.0
    }
}

impl Limits {
    /// From the sessions of the out-of-fold trades of a validation, in the order of time. `guess` is the share of trades that
    /// would go as said without any skill: the reference is drawn towards it, and the pnl towards 0, by James and Stein's
    /// factor 1 - (error / lift)^2, since a version that was chosen for what it showed has shown too much. `None` for fewer
    /// than [`FEWEST`] sessions with trades, or where their hits do not vary.
    pub fn of(history: &[SessionTrades], guess: f64, options: &DeclineOptions) -> Option<Self> {
        let history: Vec<SessionTrades> = history.iter().copied().filter(|session| session.trades > 0.0).collect();
        (history.len() >= FEWEST && options.resamples > 0).then_some(())?;
        let all = history.iter().copied().fold(SessionTrades::default(), SessionTrades::and);
        let (rate, pnl) = (all.hits / all.trades, all.pnl / all.trades);
        let centred: Vec<[f64; 3]> = history
            .iter()
            .map(|session| [session.trades, session.hits - rate * session.trades, session.pnl - pnl * session.trades])
            .collect();
        let series = |place: usize| centred.iter().filter_map(|row| row.get(place).copied()).collect::<Vec<f64>>();
        let (hits, pnls) = (series(1), series(2));
        // hits that never differ leave nothing to draw from
        let memory = block_length(&hits)?.max(block_length(&pnls).unwrap_or(1.0));
        let sessions = history.len() as f64;
        let (least, most, product) = SHORTEST;
        let block =
            (LONGER * memory).min(sessions / BLOCKS).max((product / sessions).clamp(least, most).min(sessions / 3.0));
        let falls = [options.small_fall, options.large_fall];
        let [small, large] = falls;
        let falls = [small, large, PNL_PER_HIT * small, PNL_PER_HIT * large];
        let years = Years { centred: &centred, block, falls };
        let furthest = years.draw(options);
        let limits = Level::ALL.map(|level| {
            let budget = options.budgets.get(level as usize).copied().unwrap_or_default();
            at_budget(&furthest, level, budget)
        });
        let error = |series: &[f64]| long_run_error(series, block, all.trades);
        Some(Self {
            rate: guess + shrunk(rate - guess, error(&hits)),
            pnl: shrunk(pnl, error(&pnls)),
            trades: all.trades,
            block,
            falls,
            limits,
        })
    }

    fn expected(&self) -> [f64; SUMS] {
        [self.rate, self.rate, self.pnl, self.pnl]
    }
}

/// How years go in which nothing has changed.
struct Years<'a> {
    /// Trades of each session, and by how much its hits and its pnl differ from what was to be expected.
    centred: &'a [[f64; 3]],
    block: f64,
    falls: [f64; SUMS],
}

impl Years<'_> {
    /// How far each sum goes in each year. Deviations are stretched by what their variance may be off by: so many blocks, so many
    /// degrees of freedom.
    fn draw(&self, options: &DeclineOptions) -> Vec<[f64; SUMS]> {
        let mut rng = Pcg64::seed_from_u64(options.seed);
        let sessions = self.centred.len();
        let blocks = sessions as f64 / self.block;
        let freedom = ((blocks - 1.0).round() as usize).clamp(1, MOST_FREEDOM);
        let year = |_| {
            let squares: f64 = (0..freedom).map(|_| normal_draw(&mut rng).powi(2)).sum();
            let stretch = (freedom as f64 / squares / (1.0 - 1.0 / blocks)).sqrt();
            let mut place = Place { at: 0, begun: false };
            let mut reference = [0.0; 3];
            for _ in 0..sessions {
                let row = place.next(&mut rng, self);
                reference.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
            }
            let [trades, hits, pnl] = reference;
            let off = |sum: f64| if trades > 0.0 { stretch * sum / trades } else { 0.0 };
            let (hits, pnl) = (off(hits), off(pnl));
            let (mut sums, mut furthest) = ([0.0_f64; SUMS], [0.0_f64; SUMS]);
            place.begun = false;
            for _ in 0..YEAR {
                let [trades, hit, made] = place.next(&mut rng, self);
                let short = [hits, hits, pnl, pnl];
                let made = [hit, hit, made, made];
                let steps = sums.iter_mut().zip(&mut furthest).zip(short.iter().zip(made).zip(self.falls));
                for ((sum, most), ((short, made), fall)) in steps {
                    *sum = (*sum + trades * (short - fall / 2.0) - stretch * made).max(0.0);
                    *most = most.max(*sum);
                }
            }
            furthest
        };
        (0..options.resamples).map(year).collect()
    }
}

/// A walk over sessions in blocks.
struct Place {
    at: usize,
    begun: bool,
}

impl Place {
    fn next(&mut self, rng: &mut Pcg64, years: &Years<'_>) -> [f64; 3] {
        let sessions = years.centred.len();
        let begins = !self.begun || rng.random::<f64>() * years.block < 1.0;
        self.at = if begins { rng.random_range(0..sessions as u64) as usize } else { (self.at + 1) % sessions };
        self.begun = true;
        years.centred.get(self.at).copied().unwrap_or_default()
    }
}

fn is_pnl(sum: usize) -> bool {
    sum >= 2
}

/// Trades that a sum is made of: a trade without a label has a pnl and neither hits nor misses.
fn counted(sum: usize, session: &SessionTrades) -> f64 {
    if is_pnl(sum) { session.trades } else { session.labelled() }
}

fn measured(sum: usize, session: &SessionTrades) -> f64 {
    if is_pnl(sum) { session.pnl } else { session.hits }
}

fn normal_draw(rng: &mut Pcg64) -> f64 {
    normal::quantile(rng.random::<f64>().clamp(1e-12, 1.0 - 1e-12)).unwrap_or(0.0)
}

/// Standard error of the mean of a trade, from the sums of overlapping blocks.
fn long_run_error(centred: &[f64], block: f64, trades: f64) -> f64 {
    let (sessions, length) = (centred.len(), (block.ceil() as usize).max(1));
    let sum = |from: usize| centred.iter().cycle().skip(from).take(length).sum::<f64>().powi(2);
    let squares: f64 = (0..sessions).map(sum).sum();
    (squares / length as f64 / (1.0 - block / sessions as f64)).sqrt() / trades
}

fn shrunk(lift: f64, error: f64) -> f64 {
    if lift <= 0.0 { lift } else { lift * (1.0 - (error / lift).powi(2)).max(0.0) }
}

/// The limits under which a year without a change alarms at `level` as often as the budget allows. All sums of a level are
/// passed equally often.
fn at_budget(furthest: &[[f64; SUMS]], level: Level, budget: f64) -> [f64; SUMS] {
    let sorted: Vec<Vec<f64>> = (0..SUMS)
        .map(|sum| {
            let mut values: Vec<f64> = furthest.iter().filter_map(|year| year.get(sum).copied()).collect();
            values.sort_by(f64::total_cmp);
            values
        })
        .collect();
    let at = |share: f64| -> Vec<f64> {
        let limit = |(sum, values): (usize, &Vec<f64>)| {
            let limit = quantile(values, share).filter(|_| level.looks_at(sum));
            limit.map_or(f64::INFINITY, |limit| limit.max(f64::MIN_POSITIVE))
        };
        sorted.iter().enumerate().map(limit).collect()
    };
    let alarming = |limits: &[f64]| {
        let passes = |year: &&[f64; SUMS]| year.iter().zip(limits).any(|(sum, limit)| sum >= limit);
        furthest.iter().filter(passes).count() as f64 / furthest.len() as f64
    };
    // of alarms that come by chance, a year has none with the chance exp(-budget)
    let wanted = 1.0 - (-budget).exp();
    let (mut low, mut high) = (1.0 - wanted, 1.0);
    for _ in 0..16 {
        let middle = 0.5 * (low + high);
        if alarming(&at(middle)) > wanted { low = middle } else { high = middle }
    }
    let mut limits = [f64::INFINITY; SUMS];
    limits.iter_mut().zip(at(high)).for_each(|(limit, found)| *limit = found);
    limits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(sessions: usize, hits: impl Fn(usize) -> f64) -> Vec<SessionTrades> {
        (0..sessions)
            .map(|n| SessionTrades { trades: 5.0, unlabelled: 0.0, hits: hits(n), pnl: 2.0 * hits(n) - 5.0 })
            .collect()
    }

    fn options() -> DeclineOptions {
        let budgets = [1.0, 0.5, 0.2, 0.0125];
        DeclineOptions { small_fall: 0.05, large_fall: 0.1, budgets, resamples: 400, seed: 1 }
    }

    #[test]
    fn a_level_that_takes_more_needs_more_and_only_a_large_fall_takes_a_version_down() {
        let mut rng = Pcg64::seed_from_u64(4);
        let drawn: Vec<f64> =
            (0..400).map(|_| (0..5).map(|_| f64::from(u8::from(rng.random::<f64>() < 0.65))).sum()).collect();
        let limits = Limits::of(&history(400, |n| drawn[n]), 0.5, &options()).unwrap();
        assert!((limits.rate - 0.65).abs() < 0.03 && limits.trades == 2000.0, "{limits:?}");
        for (sum, large) in LARGE.into_iter().enumerate() {
            let [alert, shrink, retrain, roll_back] = [0, 1, 2, 3].map(|level| limits.limits[level][sum]);
            assert!(0.0 < alert && alert < shrink && shrink < retrain && retrain < roll_back, "{limits:?}");
            assert_eq!(roll_back.is_infinite(), !large);
        }
        // a fall to 0.5 passes all levels one after the other, and what is as validated none
        let mut decline = Decline::default();
        let mut found = Vec::new();
        for session in 0..200 {
            decline.close(&limits, SessionTrades { trades: 5.0, unlabelled: 0.0, hits: 2.5, pnl: 0.0 });
            let new = Level::ALL.into_iter().filter(|level| decline.reaches(&limits, *level));
            found.extend(
                new.filter(|level| !found.iter().any(|(known, _)| known == level))
                    .map(|level| (level, session))
                    .collect::<Vec<_>>(),
            );
        }
        assert_eq!(found.iter().map(|(level, _)| *level).collect::<Vec<_>>(), Level::ALL);
        assert!(found.windows(2).all(|pair| pair[0].1 < pair[1].1), "{found:?}");
        let mut healthy = Decline::default();
        (0..200).for_each(|_| {
            healthy.close(&limits, SessionTrades { trades: 20.0, unlabelled: 0.0, hits: 13.0, pnl: 20.0 * limits.pnl })
        });
        assert_eq!(healthy.furthest(&limits, Level::Alert).multiple, 0.0);
    }

    #[test]
    fn what_a_validation_does_not_know_for_sure_makes_limits_wider_and_a_lucky_one_is_not_believed() {
        let mut rng = Pcg64::seed_from_u64(5);
        let drawn: Vec<f64> =
            (0..400).map(|_| (0..5).map(|_| f64::from(u8::from(rng.random::<f64>() < 0.65))).sum()).collect();
        let of = |sessions: usize| Limits::of(&history(sessions, |n| drawn[n]), 0.5, &options()).unwrap();
        let (short, long) = (of(40), of(400));
        let roll_back = |limits: &Limits| limits.limits[Level::RollBack as usize][1];
        assert!(roll_back(&short) > 2.0 * roll_back(&long), "{short:?} {long:?}");
        assert!((shrunk(0.1, 0.05) - 0.075).abs() < 1e-12);
        assert_eq!((shrunk(0.1, 0.2), shrunk(-0.1, 0.2)), (0.0, -0.1));
    }

    #[test]
    fn what_is_not_defined_is_none() {
        assert_eq!(Limits::of(&history(FEWEST - 1, |n| (n % 5) as f64), 0.5, &options()), None);
        assert_eq!(Limits::of(&history(60, |_| 3.0), 0.5, &options()), None);
    }
}
