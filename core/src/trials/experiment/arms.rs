//! The figures of two arms that depend on how many signals there are: Sharpe ratio and drawdown.
//!
//! An arm with fewer signals a session has the smaller Sharpe ratio and the deeper drawdown per signal by that alone. So each
//! arm's own figures are told from all its signals, and what is compared is what either would show if both had as many: of
//! the larger arm a signal stays with a chance below 1. Its Sharpe ratio is that of the expected sum and variance over all
//! ways that chance may go, which needs no draw and has the sign of the money; its drawdown is the median over draws.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

use super::{
    DAYS_PER_YEAR,
    metric::{Horizon, Measure, Metric},
};
use crate::stats::{
    bootstrap::{Resampling, block_length},
    describe::quantile,
    risk::max_drawdown,
    sharpe::{Day, daily_sharpe, sharpe_difference, studentised},
};

/// Draws behind the median drawdown of an arm that is made as small as the other.
const DRAWS: usize = 51;
const ML: usize = 0;
const BASELINE: usize = 1;

/// What a policy earned in one session, signal by signal; 0 for one that was not traded.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SessionPnl {
    /// The ML policy.
    pub ml: Vec<f64>,
    /// The strategy alone.
    pub baseline: Vec<f64>,
    /// How many of each were traded, ML first.
    pub taken: [usize; 2],
}

/// For each session the chance of every signal to stay, ML first, as long as the pnl of the session.
pub(super) type Stay = Vec<[Vec<f64>; 2]>;

/// Two arms over the same sessions in the same order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arms<'a> {
    pub sessions: &'a [SessionPnl],
    /// `None` where both have as many signals to be expected.
    pub stay: Option<&'a Stay>,
}

impl SessionPnl {
    pub(super) fn add_ml(&mut self, pnl: Option<f64>) {
        self.ml.push(pnl.unwrap_or(0.0));
        self.taken[0] += usize::from(pnl.is_some());
    }

    pub(super) fn add_baseline(&mut self, pnl: Option<f64>) {
        self.baseline.push(pnl.unwrap_or(0.0));
        self.taken[1] += usize::from(pnl.is_some());
    }
}

impl Arms<'_> {
    fn pnl(&self, place: usize, side: usize) -> &[f64] {
        let session = self.sessions.get(place);
        session.map(|day| if side == ML { &*day.ml } else { &*day.baseline }).unwrap_or_default()
    }

    fn stays(&self, place: usize, side: usize) -> Option<&[f64]> {
        self.stay?.get(place)?.get(side).map(Vec::as_slice)
    }

    /// The days of a side from all its signals.
    pub fn days(&self, side: usize) -> Vec<Day> {
        let day = |place| Day { pnl: self.pnl(place, side).iter().sum(), extra: 0.0 };
        (0..self.sessions.len()).map(day).collect()
    }

    /// The days of a side as they would be with as many signals as the other.
    fn even_days(&self, side: usize) -> Vec<Day> {
        let day = |place| match self.stays(place, side) {
            None => Day { pnl: self.pnl(place, side).iter().sum(), extra: 0.0 },
            Some(stays) => {
                let signals = self.pnl(place, side).iter().zip(stays);
                signals.fold(Day::default(), |day, (pnl, stays)| Day {
                    pnl: day.pnl + stays * pnl,
                    extra: day.extra + stays * (1.0 - stays) * pnl * pnl,
                })
            }
        };
        (0..self.sessions.len()).map(day).collect()
    }

    fn annual(days: &[Day]) -> Option<f64> {
        Some(daily_sharpe(days)? * DAYS_PER_YEAR.sqrt())
    }

    /// Annualised Sharpe ratios from all signals, ML first.
    pub fn sharpe(&self) -> [Option<f64>; 2] {
        [ML, BASELINE].map(|side| Self::annual(&self.days(side)))
    }

    /// The same with as many signals.
    pub fn even_sharpe(&self) -> [Option<f64>; 2] {
        [ML, BASELINE].map(|side| Self::annual(&self.even_days(side)))
    }

    /// Drawdown per signal over the sessions at `places`, from all signals.
    fn drawdown(&self, side: usize, places: &[usize]) -> Option<f64> {
        let series: Vec<f64> = places.iter().flat_map(|place| self.pnl(*place, side)).copied().collect();
        Some(max_drawdown(&series)? / series.len() as f64)
    }

    /// The same with as many signals, by one draw.
    fn drawn(&self, side: usize, places: &[usize], rng: &mut Pcg64) -> Option<f64> {
        let mut series = Vec::new();
        for place in places {
            let pnl = self.pnl(*place, side).iter().enumerate();
            let stays = |n: usize| self.stays(*place, side).and_then(|stays| stays.get(n)).copied().unwrap_or(1.0);
            series
                .extend(pnl.filter(|(n, _)| stays(*n) >= 1.0 || rng.random::<f64>() < stays(*n)).map(|(_, pnl)| *pnl));
        }
        Some(max_drawdown(&series)? / series.len() as f64)
    }

    /// Maximum drawdowns per signal from all signals, ML first.
    pub fn drawdowns(&self) -> [Option<f64>; 2] {
        let all: Vec<usize> = (0..self.sessions.len()).collect();
        [ML, BASELINE].map(|side| self.drawdown(side, &all))
    }

    /// The same with as many signals: the median over draws, which are always the same ones.
    pub fn even_drawdowns(&self) -> [Option<f64>; 2] {
        if self.stay.is_none() {
            return self.drawdowns();
        }
        let all: Vec<usize> = (0..self.sessions.len()).collect();
        let mut rng = Pcg64::seed_from_u64(0);
        [ML, BASELINE].map(|side| {
            let draws: Option<Vec<f64>> = (0..DRAWS).map(|_| self.drawn(side, &all, &mut rng)).collect();
            quantile(&draws?, 0.5)
        })
    }

    /// Mean length of the blocks in which both arms' sessions are drawn together.
    fn block(&self) -> f64 {
        let [ml, baseline] =
            [ML, BASELINE].map(|side| -> Vec<f64> { self.even_days(side).iter().map(|day| day.pnl).collect() });
        let differences: Vec<f64> = ml.iter().zip(&baseline).map(|(ml, baseline)| ml - baseline).collect();
        let of = |days: &[f64]| block_length(days).unwrap_or(1.0);
        of(&differences).max(of(&ml)).max(of(&baseline))
    }
}

/// Sharpe ratio and drawdown of two arms, each with its interval at `level`.
pub(super) fn risk(level: f64, arms: Arms<'_>, resamples: usize, seed: u64) -> Vec<Metric> {
    let resampling = Resampling { block: arms.block(), resamples, seed };
    let year = DAYS_PER_YEAR.sqrt();
    let even = [ML, BASELINE].map(|side| arms.even_days(side));
    let [ml, baseline] = &even;
    let interval = studentised(ml, baseline, (resamples, seed), level).and_then(|interval| interval.times(year));
    let figures = arms.even_sharpe();
    let resampled = |measure, method: &str| {
        let metric = Metric::blank(measure, Horizon::Fixed, method).with_figures(figures[ML], figures[BASELINE]);
        Metric { interval, ..metric }
    };
    if arms.stay.is_none() {
        let pnl = |days: &[Day]| days.iter().map(|day| day.pnl).collect::<Vec<f64>>();
        let test = sharpe_difference(&pnl(ml), &pnl(baseline), level);
        let method = "Jobson-Korkie with Memmel's correction, paired days";
        let closed_form =
            Metric::blank(Measure::Sharpe, Horizon::Fixed, method).with_figures(figures[ML], figures[BASELINE]);
        let interval = test.and_then(|test| test.interval.times(year));
        let closed_form = Metric { interval, p: test.map(|test| test.test.p), ..closed_form };
        let method = "studentised stationary bootstrap over sessions";
        let of_drawdown = drawdown(level, arms, resampling, Measure::DrawdownRatio);
        return vec![closed_form, resampled(Measure::Sharpe, method), of_drawdown];
    }
    let own = |measure, [ml, baseline]: [Option<f64>; 2]| Metric {
        ml,
        baseline,
        ..Metric::blank(measure, Horizon::Fixed, "from all its signals; arms of other sizes are compared below")
    };
    vec![
        own(Measure::Sharpe, arms.sharpe()),
        own(Measure::DrawdownRatio, arms.drawdowns()),
        resampled(
            Measure::SharpeEven,
            "all signals, spread as with the smaller arm's number; studentised stationary bootstrap over sessions",
        ),
        drawdown(level, arms, resampling, Measure::DrawdownEven),
    ]
}

fn drawdown(level: f64, arms: Arms<'_>, resampling: Resampling, measure: Measure) -> Metric {
    let method = match measure {
        Measure::DrawdownEven => {
            "median of draws with the smaller arm's number; stationary block bootstrap over sessions"
        }
        _ => "stationary block bootstrap over sessions",
    };
    let mut rng = Pcg64::seed_from_u64(resampling.seed);
    let mut both = Vec::with_capacity(resampling.resamples);
    let drawn = resampling.replicate(arms.sessions.len(), |places| {
        let [ml, baseline] = [ML, BASELINE].map(|side| arms.drawn(side, places, &mut rng));
        both.push(ml.zip(baseline));
        Some(0.0)
    });
    let of = |statistic: fn(f64, f64) -> Option<f64>| {
        let mut values = both.iter();
        let next = |_: f64| values.next().copied().flatten().and_then(|(ml, baseline)| statistic(ml, baseline));
        drawn.as_ref().map(|drawn| drawn.map(next))
    };
    let [ml, baseline] = arms.even_drawdowns();
    Metric {
        ml,
        baseline,
        difference: ml.zip(baseline).and_then(|(ml, baseline)| ratio(ml, baseline)),
        interval: of(ratio).and_then(|ratios| ratios.interval(level)),
        chance_worse: of(|ml, baseline| Some(ml - baseline)).and_then(|excess| excess.share_above(0.0)),
        ..Metric::blank(measure, Horizon::Fixed, method)
    }
}

/// `ml` over `baseline`; 1 when both are 0, `None` when only the baseline is.
pub(super) fn ratio(ml: f64, baseline: f64) -> Option<f64> {
    if ml == 0.0 && baseline == 0.0 {
        return Some(1.0);
    }
    Some(ml / baseline).filter(|ratio| ratio.is_finite())
}
