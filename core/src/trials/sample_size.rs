//! How many trades a test will take, before there is one.
//!
//! A policy that lets trades go can gain win rate only by letting losers go more often than winners, so a gain and a
//! share let go fix everything else: the win rate of what is kept, of what is let go, and with the size of wins and
//! losses what that is worth. The formulas of the spreads are those of [`power`](crate::stats::power).
#![deny(clippy::indexing_slicing)]

use jiff::SignedDuration;
use serde::Serialize;

use super::experiment::{Assignment, EvidenceMetric, Experiment, TestEvidence, View};
use crate::{
    domain::{Arm, Timestamp, TradingCalendar, VersionId, decision::at_own_size},
    lifecycle::happening::Happening,
    stats::{
        cluster::{DesignEffect, Sums},
        describe::{mean, standard_deviation},
        power::{Reading, kept_win_rate, two_arms, two_arms_win_rate},
    },
};

/// Sessions of a week.
pub const SESSIONS_PER_WEEK: f64 = 5.0;

/// What is taken for granted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Assumptions {
    /// Share of the strategy's trades that win, 0 to 1.
    pub win_rate: f64,
    /// Share of the trades that the policy lets go, 0 to below 1.
    pub skipped: f64,
    /// Share of the signals that the ML arm gets, above 0, below 1.
    pub allocation: f64,
    /// Signals of a week, both arms.
    pub per_week: f64,
    /// Two-sided error rate of the claim.
    pub level: f64,
    /// Chance with which the gain is to be found.
    pub power: f64,
    /// How much less the trades of a session tell than independent ones.
    pub effects: Effects,
    /// What wins and losses are like, where it is known.
    pub pnl: Option<Amounts>,
}

/// Factors on the variance of a comparison because trades of one session share its fate, at least 1. Between two arms
/// there is none: chance spreads the trades of a session over both.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Effects {
    /// Of the win rate of the trades kept against that of all.
    pub paired_win_rate: f64,
    /// Of the pnl of a policy against that of the strategy on the same trades.
    pub paired_pnl: f64,
}

/// The size of wins and losses, in account currency.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Amounts {
    /// Mean of the wins.
    pub win: f64,
    /// Mean of what is not a win, mostly below 0.
    pub loss: f64,
    /// Mean square of the wins.
    pub win_square: f64,
    /// Mean square of the others.
    pub loss_square: f64,
}

/// What one gain needs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outlook {
    /// The true gain of win rate, 0.03 for 3 points.
    pub gain: f64,
    /// Whether letting that share of trades go can gain so much.
    pub possible: bool,
    /// What it is worth per signal, where the size of wins and losses is known.
    pub pnl_per_signal: Option<f64>,
    /// By view and metric.
    pub needs: Vec<Need>,
}

/// The length of a test in which a gain is found by one metric.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Need {
    /// Which trades are compared.
    pub view: View,
    /// By what.
    pub metric: EvidenceMetric,
    /// Looked at once, at the end. `None` when it is never found.
    pub once: Option<Length>,
    /// Looked at whenever a session closes.
    pub every_session: Option<Length>,
}

/// A length.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Length {
    /// Signals of both arms.
    pub trades: f64,
    /// Weeks that these take.
    pub weeks: f64,
}

/// What a journal says about a version that watched, or about the strategy alone.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Watched {
    /// Closed trades that the strategy alone made and the version scored.
    pub trades: usize,
    /// Share of them that its policy would have let go.
    pub skipped: f64,
    /// Measured from its sessions.
    pub effects: Effects,
}

impl Effects {
    /// As if all trades were independent.
    pub const NONE: Self = Self { paired_win_rate: 1.0, paired_pnl: 1.0 };

    /// Of a policy that lets the share `skipped` go whatever the session brings, when the strategy's own trades are
    /// correlated as `effect` says.
    pub fn of_independent_skips(effect: &DesignEffect, skipped: f64) -> Self {
        let paired_pnl = 1.0 + (effect.session_size - 1.0) * effect.icc * skipped;
        Self { paired_pnl: paired_pnl.max(1.0), ..Self::NONE }
    }
}

impl Amounts {
    /// Of closed trades. `None` without a win or without a loss.
    pub fn of(pnl: &[f64]) -> Option<Self> {
        let (wins, losses): (Vec<f64>, Vec<f64>) = pnl.iter().partition(|pnl| **pnl > 0.0);
        let square = |values: &[f64]| mean(&values.iter().map(|x| x * x).collect::<Vec<_>>());
        Some(Self {
            win: mean(&wins)?,
            loss: mean(&losses)?,
            win_square: square(&wins)?,
            loss_square: square(&losses)?,
        })
    }

    fn mean(&self, win_rate: f64) -> f64 {
        win_rate * self.win + (1.0 - win_rate) * self.loss
    }

    fn square(&self, win_rate: f64) -> f64 {
        win_rate * self.win_square + (1.0 - win_rate) * self.loss_square
    }
}

impl Assumptions {
    /// What it takes to find a true gain of `gain`.
    pub fn outlook(&self, gain: f64) -> Outlook {
        let Self { win_rate, skipped, .. } = *self;
        let kept = win_rate + gain;
        let gone = win_rate - gain * (1.0 - skipped) / skipped;
        let possible = (0.0..=1.0).contains(&kept) && (0.0..=1.0).contains(&gone);
        let worth = self.pnl.filter(|_| possible).map(|amounts| -skipped * amounts.mean(gone));
        let views = [View::Paired, View::Randomised];
        let metrics = [EvidenceMetric::WinRate, EvidenceMetric::MeanPnl];
        let needs = views.into_iter().flat_map(|view| metrics.map(|metric| (view, metric)));
        let need = |(view, metric)| {
            let effect = match metric {
                EvidenceMetric::WinRate => Some(gain),
                EvidenceMetric::MeanPnl => worth,
            };
            let found = effect.zip(self.spread(view, metric, kept, gone)).filter(|_| possible);
            let length = |reading: Reading| self.length(reading, view, found?);
            let (once, every_session) = (length(Reading::FixedHorizon), length(Reading::Sequential));
            Need { view, metric, once, every_session }
        };
        Outlook { gain, possible, pnl_per_signal: worth, needs: needs.map(need).collect() }
    }

    fn length(&self, reading: Reading, view: View, (effect, spread): (f64, f64)) -> Option<Length> {
        let compared_share = match view {
            View::Paired => 1.0 - self.allocation,
            View::Randomised => 1.0,
        };
        let per_session = self.per_week / SESSIONS_PER_WEEK * compared_share;
        let compared = reading.trades(effect, spread, per_session, self.power, self.level)?;
        let trades = compared / compared_share;
        let weeks = trades / self.per_week;
        weeks.is_finite().then_some(Length { trades: trades.ceil(), weeks })
    }

    /// Per trade of the baseline arm in the paired view, per signal in the other. `kept` and `gone` are the win rates of
    /// the trades the policy takes and lets go.
    fn spread(&self, view: View, metric: EvidenceMetric, kept: f64, gone: f64) -> Option<f64> {
        let Self { win_rate, skipped, allocation, effects, pnl, .. } = *self;
        let deviation = |square: f64, mean: f64| (square - mean * mean).max(0.0).sqrt();
        match (view, metric) {
            (View::Paired, EvidenceMetric::WinRate) => {
                Some(kept_win_rate(win_rate, skipped)? * effects.paired_win_rate.sqrt())
            }
            (View::Randomised, EvidenceMetric::WinRate) => two_arms_win_rate(kept, win_rate, 1.0 - skipped, allocation),
            (View::Paired, EvidenceMetric::MeanPnl) => {
                let amounts = pnl?;
                let spread = deviation(skipped * amounts.square(gone), skipped * amounts.mean(gone));
                Some(spread * effects.paired_pnl.sqrt())
            }
            (View::Randomised, EvidenceMetric::MeanPnl) => {
                let (amounts, taken) = (pnl?, 1.0 - skipped);
                let ml = deviation(taken * amounts.square(kept), taken * amounts.mean(kept));
                two_arms(ml, deviation(amounts.square(win_rate), amounts.mean(win_rate)), allocation)
            }
        }
    }
}

/// The trades that the strategy alone made while a version watched, taken in happening by happening.
#[derive(Debug, Clone)]
pub struct WatchedTrades {
    version: VersionId,
    /// `None` before the first happening.
    experiment: Option<Experiment>,
    /// When the latest happened.
    until: Timestamp,
}

impl WatchedTrades {
    /// None yet, of `version`.
    pub fn of(version: VersionId) -> Self {
        Self { version, experiment: None, until: Timestamp::UNIX_EPOCH }
    }

    /// Takes in the next happening. Of an outcome that was completed later only the whole one may be told, as
    /// [`Happening::Closed`].
    pub fn hear(&mut self, happening: &Happening) {
        self.until = happening.at();
        let experiment = self.experiment.get_or_insert_with(|| Experiment::new(happening.at()));
        match happening {
            Happening::Scored { entry, .. } if entry.speaker().is_none() => {
                let opinion = entry.opinion(&self.version).filter(|opinion| opinion.score.is_some());
                let Some(opinion) = opinion else { return };
                experiment.assign(Assignment {
                    trade_id: entry.trade_id.clone(),
                    at: entry.at,
                    day: entry.day,
                    arm: Arm::Baseline,
                    // as a test would take it that every trade could hear
                    allocation: 1.0,
                    ml_size: opinion.size,
                    alone: true,
                });
            }
            Happening::Closed { trade_id, echo, outcome, .. } => {
                // the strategy alone was to be traded, unless the outcome says otherwise
                let size = echo.as_ref().map_or(1.0, |echo| echo.size());
                let own = outcome.pnl.and_then(|pnl| at_own_size(pnl.get(), size));
                experiment.closed(trade_id, outcome, own);
            }
            _ => {}
        }
    }

    /// What the version would have made of them. `None` when it saw none closed.
    pub fn watched(self, calendar: &TradingCalendar) -> Option<Watched> {
        let mut experiment = self.experiment?;
        let end = self.until.checked_add(SignedDuration::from_hours(24 * 4)).ok()?;
        while experiment.close_next(calendar.day_of(end), 0).is_some() {}
        let evidence = TestEvidence::of(View::Paired, experiment.sessions());
        let trades = evidence.baseline.taken;
        (trades > 0).then(|| Watched {
            trades,
            skipped: 1.0 - evidence.ml.taken as f64 / trades as f64,
            effects: effects(&evidence).unwrap_or(Effects::NONE),
        })
    }
}

/// How much more the estimates vary by session than they would by trade.
fn effects(evidence: &TestEvidence) -> Option<Effects> {
    let n = evidence.baseline.taken as f64;
    let skipped = 1.0 - evidence.ml.taken as f64 / n;
    let of = |sums: Option<Sums>, by_trade: Option<f64>| {
        let by_session = sums?.standard_error()? * n.sqrt();
        Some((by_session / by_trade?).powi(2)).filter(|effect| effect.is_finite()).map(|effect| effect.max(1.0))
    };
    let pairs = evidence.sessions.iter().flat_map(|day| day.ml.iter().zip(&day.baseline));
    let differences: Vec<f64> = pairs.map(|(ml, baseline)| ml - baseline).collect();
    let win_rate = evidence.baseline.win_rate().and_then(|rate| kept_win_rate(rate, skipped));
    Some(Effects {
        paired_win_rate: of(evidence.win_rate, win_rate).unwrap_or(1.0),
        paired_pnl: of(evidence.mean_pnl, standard_deviation(&differences)).unwrap_or(1.0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assumptions() -> Assumptions {
        Assumptions {
            win_rate: 0.5,
            skipped: 0.3,
            allocation: 0.5,
            per_week: 100.0,
            level: 0.05,
            power: 0.8,
            effects: Effects::NONE,
            pnl: Some(Amounts { win: 100.0, loss: -100.0, win_square: 1e4, loss_square: 1e4 }),
        }
    }

    fn need(outlook: &Outlook, view: View, metric: EvidenceMetric) -> Need {
        *outlook.needs.iter().find(|need| need.view == view && need.metric == metric).unwrap()
    }

    #[test]
    fn three_points_take_what_the_closed_forms_say() {
        let outlook = assumptions().outlook(0.03);
        let paired = need(&outlook, View::Paired, EvidenceMetric::WinRate).once.unwrap();
        // (1.96 + 0.84)^2 p (1 - p) s / (1 - s) / g^2 trades of the baseline arm, which is half of all
        let closed_form = 7.848_88 * 0.25 * 0.3 / 0.7 / 9e-4 * 2.0;
        assert!((paired.trades - closed_form).abs() <= 1.0, "{paired:?} is not {closed_form}");
        assert_eq!(paired.weeks, paired.weeks.min(closed_form / 100.0 + 1e-3));
        let randomised = need(&outlook, View::Randomised, EvidenceMetric::WinRate);
        assert!(randomised.once.unwrap().trades > 3.0 * paired.trades);
        assert!(randomised.every_session.unwrap().trades > randomised.once.unwrap().trades);
        // (1 - s) g (win - loss) - s mean, and the mean is 0
        assert!((outlook.pnl_per_signal.unwrap() - 0.7 * 0.03 * 200.0).abs() < 1e-9);
    }

    #[test]
    fn what_cannot_be_gained_is_never_found_and_what_is_not_known_is_not_told() {
        let few = Assumptions { skipped: 0.05, pnl: None, ..assumptions() };
        // letting a twentieth go can gain at most 0.5 * 0.05 / 0.95
        let outlook = few.outlook(0.03);
        assert!(!outlook.possible && outlook.needs.iter().all(|need| need.once.is_none()));
        let outlook = few.outlook(0.02);
        assert!(outlook.possible && need(&outlook, View::Paired, EvidenceMetric::WinRate).once.is_some());
        assert_eq!(need(&outlook, View::Paired, EvidenceMetric::MeanPnl).once, None);
        assert!(!Assumptions { skipped: 0.0, ..assumptions() }.outlook(0.03).possible);
    }

    #[test]
    fn correlated_sessions_take_more_trades_of_the_paired_view_only() {
        let effects = Effects { paired_win_rate: 2.0, paired_pnl: 1.5 };
        let (plain, correlated) = (assumptions().outlook(0.05), Assumptions { effects, ..assumptions() }.outlook(0.05));
        let ratio = |view, metric| {
            let trades = |outlook| need(outlook, view, metric).once.unwrap().trades;
            trades(&correlated) / trades(&plain)
        };
        assert!((ratio(View::Paired, EvidenceMetric::WinRate) - 2.0).abs() < 0.01);
        assert!((ratio(View::Paired, EvidenceMetric::MeanPnl) - 1.5).abs() < 0.01);
        assert_eq!(ratio(View::Randomised, EvidenceMetric::WinRate), 1.0);
        // looked at every session it takes less than twice as many: each then tells less, and is held back less
        let every = |outlook| need(outlook, View::Paired, EvidenceMetric::WinRate).every_session.unwrap().trades;
        assert!((1.8..2.0).contains(&(every(&correlated) / every(&plain))));
    }
}
