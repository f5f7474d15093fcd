//! The detectors on the streams of one version: whether its accuracy, its pnl or its win rate has moved.
//!
//! They tell a person and do nothing. Trades of a session share their luck, and sessions carry it on, so ADWIN and the sums of the win rate are
//! slowed by as much as sums of trades vary more than those of independent ones
//! ([`History::inflation`](crate::stats::sessions::History::inflation)), and do not speak where that is not known.

use serde::{Deserialize, Serialize};

use super::MonitorOptions;
use crate::stats::{
    adwin::Adwin,
    detector::{Cusum, CusumOptions, Move, PageHinkley},
    sessions::History,
};

/// What is usual for the trades of a version. A detector whose measure is not known does not speak.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Usual {
    /// Share of trades that win, above 0 to below 1.
    pub win_rate: Option<f64>,
    /// Standard deviation of the pnl of a trade, above 0, in account currency.
    pub pnl_sd: Option<f64>,
    /// How many times as much sums of its trades vary as those of independent ones, at least 1. `None` when nothing says so: then
    /// no detector watches its accuracy and its win rate.
    pub inflation: Option<f64>,
    /// Standard error of the win rate, above 0.
    pub win_rate_error: Option<f64>,
}

impl Usual {
    /// What is usual in the taken trades of a validation.
    pub fn of(history: &History) -> Self {
        Self {
            win_rate: history.win_rate,
            win_rate_error: history.win_rate_error(),
            pnl_sd: history.pnl_sd,
            inflation: history.inflation(),
        }
    }

    /// A standard deviation of the pnl of a trade, where there is one to divide by.
    pub(super) fn scale(&self) -> Option<f64> {
        self.pnl_sd.filter(|sd| *sd > 0.0 && sd.is_finite())
    }
}

/// What they remember.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Detectors {
    adwin: Option<Adwin>,
    page_hinkley: Option<PageHinkley>,
    cusum: Option<Cusum>,
    /// Trades that ADWIN takes as one value, at least 1, so that its values are about as independent as it takes them for.
    #[serde(default)]
    batch: usize,
    /// The trades of the value under way: how many went as the score said, and how many there are.
    #[serde(default)]
    under_way: (f64, usize),
}

impl Detectors {
    /// Of a version of which nothing is known but what is `usual` in its trades.
    pub(super) fn new(options: &MonitorOptions, usual: &Usual) -> Self {
        Self {
            adwin: usual.inflation.and_then(|_| Adwin::new(options.adwin)),
            page_hinkley: usual.scale().and_then(|_| PageHinkley::new(options.page_hinkley)),
            // the log likelihood ratio of trades that share their luck is smaller by as much as their sums vary more
            cusum: usual.win_rate.zip(usual.inflation).and_then(|(rate, inflation)| {
                let (error, threshold) = (usual.win_rate_error.unwrap_or(0.0), inflation * options.cusum_threshold);
                Cusum::new(CusumOptions { rate, error, shift: options.cusum_shift, threshold })
            }),
            batch: usual.inflation.unwrap_or(1.0).ceil() as usize,
            under_way: (0.0, 0),
        }
    }

    /// A taken trade was closed: whether it went as the score said, where that is known, its pnl in standard deviations, where
    /// those are known, and whether it won. Gives back the detectors that speak, by name.
    pub(super) fn closed(
        &mut self,
        hit: Option<bool>,
        pnl: Option<f64>,
        won: bool,
    ) -> Vec<(&'static str, Option<Move>)> {
        let share = hit.and_then(|hit| self.batched(hit));
        let shrunk = self.adwin.as_mut().zip(share).is_some_and(|(adwin, share)| adwin.update(share));
        let fell = self.page_hinkley.as_mut().zip(pnl).and_then(|(page, pnl)| page.update(pnl));
        let rate = self.cusum.as_mut().and_then(|cusum| cusum.update(won));
        let found = [
            shrunk.then_some(("adwin", None)),
            fell.map(|way| ("page_hinkley", Some(way))),
            rate.map(|way| ("cusum", Some(way))),
        ];
        found.into_iter().flatten().collect()
    }

    /// Takes in whether a trade went as the score said. The share that did, when a batch is full.
    fn batched(&mut self, hit: bool) -> Option<f64> {
        self.under_way = (self.under_way.0 + f64::from(u8::from(hit)), self.under_way.1 + 1);
        (self.under_way.1 >= self.batch).then(|| {
            let (hits, of) = std::mem::take(&mut self.under_way);
            hits / of as f64
        })
    }
}
