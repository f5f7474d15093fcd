//! What becomes of a trade. Whether it wins is drawn with the planted probability; then how, when and by how much.
//!
//! It is drawn and not read off the bars: several trades may be open at once, and bars that agreed with all their fates
//! could not be had without bending the market.
#![deny(clippy::indexing_slicing)]

use super::draw::{Draw, Stream};
use vigie_core::stats::normal;

/// What of a session's common fate goes on to the next.
const MEMORY: f64 = 0.5;
/// Longest trade, in bars.
const LONGEST: f64 = 40.0;
/// Farthest that a winner runs, in multiples of the target; a gap goes at most half as far again beyond a stop as the stop was away.
const FARTHEST: f64 = 6.0;

/// Draws fates.
#[derive(Debug, Clone)]
pub(super) struct Fate {
    draw: Draw,
    correlation: f64,
    /// What the trades of the session have in common, standard normal.
    common: f64,
}

/// What the trader ordered, in ticks, and how long the session goes on, in bars.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    pub(super) stop_ticks: f64,
    pub(super) target_ticks: f64,
    /// Gains of fewer ticks would not pay the costs.
    pub(super) least_win: f64,
    pub(super) bars_left: usize,
}

/// How it ended, in ticks and bars.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ending {
    pub(super) won: bool,
    /// What was gained, slippage included; negative for a loss.
    pub(super) ticks: f64,
    pub(super) reason: &'static str,
    pub(super) slippage: f64,
    pub(super) bars: usize,
    /// Bars to the best price, where that was not the last.
    pub(super) best_bars: usize,
    pub(super) best: f64,
    pub(super) worst: f64,
    /// Where in the last bar it ended, above 0 to 1.
    pub(super) moment: f64,
}

impl Fate {
    pub(super) fn new(seed: u64, correlation: f64) -> Self {
        let mut draw = Draw::new(seed, Stream::Fate);
        let common = draw.normal();
        Self { draw, correlation, common }
    }

    /// Begins another session.
    pub(super) fn next_session(&mut self) {
        self.common = MEMORY * self.common + (1.0 - MEMORY * MEMORY).sqrt() * self.draw.normal();
    }

    /// The end of a trade that wins with `probability`.
    pub(super) fn of(&mut self, probability: f64, terms: Terms) -> Ending {
        let latent = self.correlation.sqrt() * self.common + (1.0 - self.correlation).sqrt() * self.draw.normal();
        // uniform from 0 to 1 whatever the correlation, so the probability is what it is
        let won = normal::cdf(latent) < probability;
        let bars = (7.0 * self.draw.lognormal(0.85)).ceil().min(LONGEST);
        let at_the_close = bars >= terms.bars_left as f64;
        let at_limit = bars >= LONGEST;
        let (ticks, reason, slippage) =
            if won { self.win(terms, at_the_close) } else { self.loss(terms, at_the_close) };
        let reason = match reason {
            "signal" if at_the_close => "session_end",
            "signal" if at_limit => "time",
            reason => reason,
        };
        let other = self.draw.between(0.0, 0.95);
        let (best, worst) = if won {
            (ticks.max((terms.target_ticks * other).floor()), (terms.stop_ticks * other).floor())
        } else {
            ((terms.target_ticks * other).floor(), (-ticks).max((terms.stop_ticks * other).floor()))
        };
        let bars = (bars as usize).clamp(1, terms.bars_left.max(1));
        // the farther an excursion goes, the later it ends
        let best_bars = ((bars as f64 * other).ceil() as usize).clamp(1, bars);
        Ending { won, ticks, reason, slippage, bars, best_bars, best, worst, moment: 1.0 - self.draw.uniform() }
    }

    fn win(&mut self, terms: Terms, at_the_close: bool) -> (f64, &'static str, f64) {
        let (how, far, beyond) = (self.draw.uniform(), self.draw.between(0.05, 0.95), self.draw.pareto(1.8));
        let ticks = |multiple: f64| (multiple * terms.target_ticks).round().max(terms.least_win);
        match how {
            _ if at_the_close => (ticks(far), "signal", 0.0),
            h if h < 0.76 => (ticks(1.0), "take_profit", 0.0),
            h if h < 0.94 => (ticks(far), "signal", 0.0),
            _ => (ticks(beyond.min(FARTHEST)), "signal", 0.0),
        }
    }

    fn loss(&mut self, terms: Terms, at_the_close: bool) -> (f64, &'static str, f64) {
        let (how, far, beyond) = (self.draw.uniform(), self.draw.between(0.05, 0.95), self.draw.pareto(1.2));
        let ticks = |multiple: f64| (multiple * terms.stop_ticks).round().max(1.0);
        let slippage = match self.draw.uniform() {
            u if u < 0.3 => 0.0,
            u if u < 0.88 => 1.0,
            // a gap
            _ => beyond.round().clamp(2.0, 1.5 * terms.stop_ticks),
        };
        match how {
            h if at_the_close || h > 0.78 => (-ticks(far), "signal", 0.0),
            _ => (-ticks(1.0) - slippage, "stop_loss", slippage),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: Terms = Terms { stop_ticks: 24.0, target_ticks: 24.0, least_win: 1.0, bars_left: 100 };

    #[test]
    fn the_probability_is_kept_whatever_the_fates_have_in_common() {
        for correlation in [0.0, 0.3, 0.8] {
            let mut fate = Fate::new(5, correlation);
            let wins: Vec<usize> = (0..4000)
                .map(|_| {
                    fate.next_session();
                    (0..5).filter(|_| fate.of(0.4, TERMS).won).count()
                })
                .collect();
            let n = wins.len() as f64;
            let mean = wins.iter().sum::<usize>() as f64 / n;
            let variance = wins.iter().map(|w| (*w as f64 - mean).powi(2)).sum::<f64>() / n;
            // sessions go on into each other, which widens the error of the mean threefold at most
            assert!((mean / 5.0 - 0.4).abs() < 3.0 * 3.0 * (variance / n).sqrt() / 5.0, "{correlation}: {mean}");
            let apart = 5.0 * 0.24;
            assert!(if correlation == 0.0 { (variance / apart - 1.0).abs() < 0.1 } else { variance > 1.3 * apart });
        }
    }

    #[test]
    fn a_win_pays_its_costs_and_an_excursion_contains_the_end() {
        let mut fate = Fate::new(1, 0.0);
        for bars_left in [1, 3, 100] {
            let terms = Terms { least_win: 2.0, bars_left, ..TERMS };
            for _ in 0..3000 {
                let end = fate.of(0.5, terms);
                assert!(if end.won { end.ticks >= 2.0 } else { end.ticks <= -1.0 }, "{end:?}");
                assert!(end.best >= end.ticks && end.worst >= -end.ticks, "{end:?}");
                assert!(end.best >= 0.0 && end.worst >= 0.0, "{end:?}");
                assert!((1..=bars_left.min(40)).contains(&end.bars), "{end:?}");
                assert!(end.moment > 0.0 && end.moment <= 1.0);
                assert!(bars_left > 1 || end.reason == "session_end", "{end:?}");
            }
        }
    }
}
