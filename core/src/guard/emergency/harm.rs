//! What following a version cost against not following it, by more than chance.
//!
//! A bet, session by session, that it made less than the strategy alone on the same signals. While following costs nothing, the
//! wealth that the bets win is a fair game's, so it exceeds a number after that many sessions or more on average (Shin,
//! Ramdas and Rinaldo 2023, an e-detector of Shiryaev and Roberts). The largest session so far is what is put at stake. Where
//! luck is carried from session to session the bets are on a few sessions together, as many as that needs. A quarter of the
//! false alarms that a year may have are its own.

use jiff::civil;
use serde::Serialize;

use super::rule::{Case, EmergencyRule, Found, OfVersion, Scope, Seen, Side, Trades, YEAR};
use crate::domain::trip::{Rule, Unit};

/// The rule. It takes weeks of trades to trip, and none where the lines hold as they are written.
pub static RULE: EmergencyRule = EmergencyRule {
    name: Rule::named("harm"),
    watches: "what following a version made less than the strategy alone",
    unit: Unit::Number,
    trips: Side::Above,
    keys: &[],
    is_fitted: false,
    scope: Scope::Version(OfVersion {
        trades: Trades::Scored,
        observe: |observed| observed.trade.facts.pnl,
        kept: |options, _| 2 * options.longest_window,
        judge,
        now: |case| nearness(case).map(|near| Found { value: near.evidence, threshold: near.limit }),
        trips_blind: false,
    }),
    scenario: None,
};
/// Share of the false alarms.
const HARM: f64 = 0.25;
/// Covariance of the wins of a session up to which nothing is taken to be carried to the next.
const UNLIKELY_LUCK: f64 = 0.015;
/// Shares of the largest session seen that are bet on harm.
const BETS: [f64; 3] = [0.1, 0.3, 0.9];

/// How near the rule is to a version.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Nearness {
    /// What the bets on harm have won, in stakes, after the latest session; at least 0.
    pub evidence: f64,
    /// What that must exceed.
    pub limit: f64,
}

/// What the bets come to.
struct Course {
    now: Nearness,
    /// Whether they exceeded the limit at a trade from `from` on.
    broken: bool,
    /// What following the version made less than the strategy alone.
    lost: f64,
}

fn judge(case: &Case<'_>) -> Option<Found> {
    let Course { broken, lost, .. } = course(case)?;
    broken.then_some(Found { value: lost, threshold: 0.0 })
}

/// How near it is; `None` where the rule does not judge.
pub(super) fn nearness(case: &Case<'_>) -> Option<Nearness> {
    course(case).map(|course| course.now)
}

fn course(case: &Case<'_>) -> Option<Course> {
    if case.options.literal {
        return None;
    }
    let moods = case.standard.map(|standard| standard.win_moods).filter(|moods| moods.common > UNLIKELY_LUCK);
    let carried = moods.map_or(0.0, |moods| moods.carried);
    let together = ((1.0 + carried) / (1.0 - carried)).sqrt().ceil();
    let bets = YEAR / (HARM * case.options.false_alarms_per_year) / together;
    // a week has five sessions
    let days = if together > 1.0 { (1.4 * together).ceil() as i64 } else { 1 };
    let block = |gain: &Seen| {
        let since = gain.day.date().duration_since(civil::Date::constant(1970, 1, 1));
        (since.as_hours() / 24).div_euclid(days)
    };
    let (mut wealth, mut largest, mut place) = ([0.0; BETS.len()], 0.0_f64, 0);
    let (mut broken, mut lost, mut evidence) = (false, 0.0, 0.0);
    for session in case.seen.chunk_by(|a, b| block(a) == block(b)) {
        let sum: f64 = session.iter().map(more).sum();
        if largest > 0.0 {
            let less = (-sum / (2.0 * largest)).clamp(-1.0, 1.0);
            wealth.iter_mut().zip(BETS).for_each(|(wealth, bet)| *wealth = (*wealth + 1.0) * (1.0 + bet * less));
        }
        largest = largest.max(sum.abs());
        lost -= sum;
        place += session.len();
        evidence = wealth.iter().sum::<f64>() / BETS.len() as f64;
        broken |= evidence > bets && place > case.from;
    }
    Some(Course { now: Nearness { evidence, limit: bets }, broken, lost })
}

/// What following the version made of a trade.
pub(super) fn made(trade: &Seen) -> f64 {
    trade.size * trade.value
}

/// What that is more than the strategy alone made of it, as far as closed trades can tell. Of those that heard the version mostly
/// those close that it took: what a smaller size gave away in them is seen, and what it saved in those that it refused is
/// not. So a smaller size counts only where the trade did not choose itself by the score.
fn more(trade: &Seen) -> f64 {
    let is_smaller = trade.size > 0.0 && trade.size < 1.0;
    let beyond_own_size = if trade.heard && is_smaller { 0.0 } else { trade.size - 1.0 };
    beyond_own_size * trade.value
}
