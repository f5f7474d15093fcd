//! What an alarm says: what was, and what is now, as a person reads it.

use super::WatchedVersion;
use crate::{
    guard::health::ScoredTrade,
    stats::{
        budget::{Distance, Thresholds},
        describe::{mean, standard_deviation},
        expected::Expected,
        reference::Reference,
    },
};

/// The taken trades of the latest window.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Recent {
    trades: f64,
    labelled: f64,
    hits: f64,
    wins: f64,
    pnl: f64,
}

impl Recent {
    pub(super) fn of(trades: &[ScoredTrade]) -> Self {
        let taken = || trades.iter().filter(|trade| trade.taken);
        let hits = || taken().filter_map(|trade| trade.answer.hit());
        Self {
            trades: taken().count() as f64,
            labelled: hits().count() as f64,
            hits: hits().filter(|hit| *hit).count() as f64,
            wins: taken().filter(|trade| trade.pnl > 0.0).count() as f64,
            pnl: taken().map(|trade| trade.pnl).sum(),
        }
    }

    /// What a detector has found to have changed. Empty where nothing is there to be compared.
    pub(super) fn told(&self, detector: &str, subject: &WatchedVersion) -> String {
        let Self { trades, labelled, hits, wins, pnl } = *self;
        let limits = subject.limits.as_ref();
        let found = match detector {
            "adwin" => limits.filter(|_| labelled > 0.0).map(|limits| {
                format!(
                    "it was right in {:.0} % of its latest {labelled:.0} taken trades, where {:.0} % were expected",
                    100.0 * hits / labelled,
                    100.0 * limits.rate
                )
            }),
            "cusum" => subject.usual.win_rate.filter(|_| trades > 0.0).map(|usual| {
                format!(
                    "{:.0} % of its latest {trades:.0} taken trades won, where {:.0} % did in validation",
                    100.0 * wins / trades,
                    100.0 * usual
                )
            }),
            _ => limits.zip(subject.usual.pnl_sd).filter(|_| trades > 0.0).map(|(limits, sd)| {
                format!(
                    "its taken trades fell behind what they had made in service before; the latest {trades:.0} made {:.2} each, where \
                     {:.2} were expected by its validation",
                    pnl / trades,
                    limits.pnl * sd
                )
            }),
        };
        found.unwrap_or_default()
    }
}

/// An input before and now, and how far beyond its limits it is.
pub(super) fn moved(
    reference: &Reference,
    now: &[Option<f64>],
    found: Option<Distance>,
    limits: &Thresholds,
) -> String {
    let values: Vec<f64> = now.iter().flatten().copied().filter(|value| value.is_finite()).collect();
    let missing = now.len() - values.len();
    let gone = |count: usize| if count == 0 { String::new() } else { format!(", {count} of them without a value") };
    let Some((found, average)) = found.zip(mean(&values)) else {
        return format!(
            "it averaged {:.4} where it was learnt from and has no value in the latest {} signals",
            reference.mean(),
            now.len()
        );
    };
    format!(
        "it averaged {:.4} (deviation {:.4}) where it was learnt from and {average:.4} ({:.4}) over the latest {} signals{}; PSI {:.3} \
         of {:.3}, KS {:.3} of {:.3}",
        reference.mean(),
        reference.sd(),
        standard_deviation(&values).unwrap_or(0.0),
        now.len(),
        gone(missing),
        found.psi,
        limits.psi,
        found.ks,
        limits.ks
    )
}

/// What the scores promise now, and what they did.
pub(super) fn promised(before: f64, now: &Expected) -> String {
    format!(
        "its latest {} scores promise to be right in {:.0} %, where they promised {:.0} % in validation",
        now.scores,
        100.0 * now.accuracy,
        100.0 * before
    )
}

/// How strange signals are now, and how strange they were.
pub(super) fn strange(share: f64) -> String {
    format!(
        "{:.0} % of the inputs of its latest signals are unusual, about 1 % of those it learnt from were",
        100.0 * share
    )
}
