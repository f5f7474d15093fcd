//! Two views of the same sessions, boiled down to what inference needs.

use std::collections::BTreeMap;

use super::{
    arms::{Arms, SessionPnl, Stay, ratio},
    options::View,
    state::{Assignment, Session, Trade},
};
use crate::{
    domain::Arm,
    stats::cluster::{SessionSum, Sums},
};

/// Counts and totals of one policy.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct PolicyFigures {
    /// Signals it was given.
    pub signals: usize,
    /// Those that were traded.
    pub taken: usize,
    /// Those that won, pnl > 0.
    pub wins: usize,
    /// Sum of the pnl.
    pub pnl: f64,
}

/// One view of the closed sessions.
#[derive(Debug, Clone, PartialEq)]
pub struct TestEvidence {
    /// Which.
    pub view: View,
    /// The ML policy.
    pub ml: PolicyFigures,
    /// The strategy alone.
    pub baseline: PolicyFigures,
    /// Difference of the pnl per signal, by session. `None` when a sum is not finite.
    pub mean_pnl: Option<Sums>,
    /// Difference of the win rates of the trades taken, by session.
    pub win_rate: Option<Sums>,
    /// Trades of the sessions that could have heard the version, whatever their arm.
    pub trades: usize,
    /// Every closed session in order.
    pub sessions: Vec<SessionPnl>,
    /// Where chance does not give the arms equally many signals: with which chance each would stay if it did.
    stay: Option<Stay>,
}

impl PolicyFigures {
    /// Share of the trades taken that won. `None` when none was taken.
    pub fn win_rate(&self) -> Option<f64> {
        (self.taken > 0).then(|| self.wins as f64 / self.taken as f64)
    }

    /// Mean pnl per signal. `None` without signals.
    pub fn per_signal(&self) -> Option<f64> {
        (self.signals > 0).then(|| self.pnl / self.signals as f64)
    }

    /// Mean pnl per trade taken. `None` when none was taken.
    pub fn per_taken(&self) -> Option<f64> {
        (self.taken > 0).then(|| self.pnl / self.taken as f64)
    }

    fn add(&mut self, pnl: Option<f64>) {
        self.signals += 1;
        if let Some(pnl) = pnl {
            self.taken += 1;
            self.wins += usize::from(pnl > 0.0);
            self.pnl += pnl;
        }
    }
}

impl TestEvidence {
    /// `view` of the closed sessions.
    pub fn of(view: View, sessions: &[Session]) -> Self {
        let mut counts = Counts { view, ml: PolicyFigures::default(), baseline: PolicyFigures::default() };
        let by_session: Vec<SessionPnl> = sessions.iter().map(|session| counts.session(session)).collect();
        let Counts { ml, baseline, .. } = counts;
        let (mean_pnl, win_rate) = match view {
            View::Paired => (paired_pnl(&by_session), paired_wins(sessions, ml, baseline)),
            View::Randomised => (
                stratified(sessions, |trade| Some(trade.pnl.unwrap_or(0.0))),
                stratified(sessions, |trade| trade.pnl.map(win)),
            ),
        };
        let trades = sessions.iter().flat_map(|session| &session.trades);
        Self {
            view,
            ml,
            baseline,
            mean_pnl,
            win_rate,
            trades: trades.filter(|trade| trade.assignment.is_open()).count(),
            sessions: by_session,
            stay: (view == View::Randomised).then(|| stay(sessions)).flatten(),
        }
    }

    /// Difference of the win rates of the trades taken.
    pub fn win_rate_gain(&self) -> Option<f64> {
        Some(self.ml.win_rate()? - self.baseline.win_rate()?)
    }

    /// What Sharpe ratio and drawdown are told from.
    pub(super) fn arms(&self) -> Arms<'_> {
        Arms { sessions: &self.sessions, stay: self.stay.as_ref() }
    }

    /// Daily pnl of the ML policy and of the strategy alone, from all signals of each.
    pub fn days(&self) -> (Vec<f64>, Vec<f64>) {
        self.sessions.iter().map(|day| (day.ml.iter().sum::<f64>(), day.baseline.iter().sum::<f64>())).unzip()
    }

    /// Annualised Sharpe ratios of the daily pnl from all signals of each policy, ML first. Each has the sign of its money.
    pub fn sharpe(&self) -> [Option<f64>; 2] {
        self.arms().sharpe()
    }

    /// Difference of the annualised Sharpe ratios as they would be if both policies had as many signals.
    pub fn sharpe_gain(&self) -> Option<f64> {
        let [ml, baseline] = self.arms().even_sharpe();
        Some(ml? - baseline?)
    }

    /// Maximum drawdown per signal from all signals of each policy, ML first.
    pub fn drawdowns(&self) -> [Option<f64>; 2] {
        self.arms().drawdowns()
    }

    /// Drawdown per signal of the ML policy over that of the strategy alone, as they would be if both had as many signals; 1
    /// when neither has any.
    pub fn drawdown_ratio(&self) -> Option<f64> {
        let [ml, baseline] = self.arms().even_drawdowns();
        ratio(ml?, baseline?)
    }
}

/// The counts of a view while its sessions are gone through.
struct Counts {
    view: View,
    ml: PolicyFigures,
    baseline: PolicyFigures,
}

impl Counts {
    /// Takes in a session; gives back what each policy earned in it.
    fn session(&mut self, session: &Session) -> SessionPnl {
        let mut pnl = SessionPnl::default();
        session.trades.iter().for_each(|trade| self.add(trade, &mut pnl));
        pnl
    }

    fn add(&mut self, trade: &Trade, session: &mut SessionPnl) {
        let (pnl, own) = (trade.pnl, trade.own);
        let random = trade.assignment.is_random();
        match (self.view, trade.assignment.arm) {
            (View::Paired, Arm::Baseline) if trade.assignment.is_paired() => {
                let size = trade.assignment.ml_size;
                let kept = own.filter(|_| size > 0.0).map(|own| size * own);
                self.ml.add(kept);
                session.add_ml(kept);
                self.baseline.add(own);
                session.add_baseline(own);
            }
            (View::Randomised, Arm::Ml) if random => {
                self.ml.add(pnl);
                session.add_ml(pnl);
            }
            (View::Randomised, Arm::Baseline) if random => {
                self.baseline.add(pnl);
                session.add_baseline(pnl);
            }
            _ => {}
        }
    }
}

fn paired_pnl(sessions: &[SessionPnl]) -> Option<Sums> {
    let session = |day: &SessionPnl| SessionSum {
        difference: day.ml.iter().zip(&day.baseline).map(|(ml, baseline)| ml - baseline).sum(),
        weight: day.ml.len() as f64,
    };
    Sums::of(&sessions.iter().map(session).collect::<Vec<_>>())
}

/// The trades that are kept are among all trades, so what tells the two win rates apart is whether keeping goes with
/// winning: the covariance of the two, session by session.
fn paired_wins(sessions: &[Session], ml: PolicyFigures, baseline: PolicyFigures) -> Option<Sums> {
    let rate = baseline.win_rate()?;
    let kept_share = ml.taken as f64 / baseline.taken as f64;
    let session = |session: &Session| {
        let mut sum = SessionSum::default();
        for trade in session.trades.iter().filter(|trade| trade.assignment.is_paired()) {
            let Some(pnl) = trade.own else { continue };
            let kept = f64::from(u8::from(trade.assignment.ml_size > 0.0));
            sum.difference += (kept - kept_share) * (win(pnl) - rate);
            sum.weight += kept;
        }
        sum
    };
    Sums::of(&sessions.iter().map(session).collect::<Vec<_>>())
}

/// Of the arm with the larger chance p a signal would stay with the chance (1 - p) / p, so that both arms get it equally
/// likely. `None` where all signals stay.
fn stay(sessions: &[Session]) -> Option<Stay> {
    let random = || sessions.iter().flat_map(|session| &session.trades).filter(|trade| trade.assignment.is_random());
    random().any(|trade| trade.assignment.allocation != 0.5).then_some(())?;
    let session = |session: &Session| {
        let mut stay = [Vec::new(), Vec::new()];
        for trade in session.trades.iter().filter(|trade| trade.assignment.is_random()) {
            let Assignment { arm, allocation, .. } = trade.assignment;
            let [ml, baseline] = &mut stay;
            match arm {
                Arm::Ml => ml.push(((1.0 - allocation) / allocation).min(1.0)),
                Arm::Baseline => baseline.push((allocation / (1.0 - allocation)).min(1.0)),
            }
        }
        stay
    };
    Some(sessions.iter().map(session).collect())
}

fn win(pnl: f64) -> f64 {
    f64::from(u8::from(pnl > 0.0))
}

/// Difference of the two arms' means of `value` by session: the regression of the value on the arm. Trades that had
/// different chances of the ML arm are compared only with their like, so that a change of the allocation over time is
/// not mistaken for an effect.
fn stratified(sessions: &[Session], value: impl Fn(&Trade) -> Option<f64>) -> Option<Sums> {
    let rows = |session: &Session| {
        let random = session.trades.iter().filter(|trade| trade.assignment.is_random());
        let row = |trade: &Trade| {
            let in_ml = f64::from(u8::from(trade.assignment.arm == Arm::Ml));
            Some((trade.assignment.allocation.to_bits(), in_ml, value(trade)?))
        };
        random.filter_map(row).collect::<Vec<_>>()
    };
    let sessions: Vec<Vec<(u64, f64, f64)>> = sessions.iter().map(rows).collect();
    let mut strata: BTreeMap<u64, [f64; 3]> = BTreeMap::new();
    for (stratum, in_ml, value) in sessions.iter().flatten() {
        let [n, arm, total] = strata.entry(*stratum).or_default();
        (*n, *arm, *total) = (*n + 1.0, *arm + in_ml, *total + value);
    }
    let session = |rows: &Vec<(u64, f64, f64)>| {
        let mut sum = SessionSum::default();
        for (stratum, in_ml, value) in rows {
            let Some([n, arm, total]) = strata.get(stratum) else { continue };
            let chosen = in_ml - arm / n;
            sum.difference += chosen * (value - total / n);
            sum.weight += chosen * chosen;
        }
        sum
    };
    Sums::of(&sessions.iter().map(session).collect::<Vec<_>>())
}
