//! An experiment session by session: how its evidence stood against the boundaries each time that it was looked at.

use serde::Serialize;

use super::{
    decide::z_of,
    evidence::TestEvidence,
    options::{Criteria, EvidenceMetric, View},
    state::Experiment,
};
use crate::{domain::TradingDay, lifecycle::ending::Ending};

/// How an experiment stood when so many of its sessions had closed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Look {
    /// Sessions closed, from 1.
    pub session: usize,
    /// The trading day of the last of them.
    pub day: TradingDay,
    /// Trades in them that could have heard the version.
    pub trades: usize,
    /// Both views, paired first.
    pub views: Vec<ViewLook>,
    /// What a z must reach for the version to be better beyond chance, at the strictest level of Holm's correction. `None` before the
    /// first look of the plan, and of a holdback, which proves nothing.
    pub success: Option<f64>,
    /// What the z of the money must fall to for the test to end for harm. `None` as for `success`.
    pub harm: Option<f64>,
}

/// One view of the closed sessions. A z above 0 speaks for the version; `None` where the sessions do not define it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ViewLook {
    /// Which.
    pub view: View,
    /// Standardised difference of the win rates of the trades taken.
    pub win_rate: Option<f64>,
    /// Standardised difference of the mean pnl per signal.
    pub mean_pnl: Option<f64>,
}

impl Criteria {
    /// `experiment` after each session up to the look that decided, if it has `ended`; at most `most` of them, evenly spread, the
    /// last one always among them. Each takes time in proportion to the trades until then.
    pub fn looks(&self, experiment: &Experiment, ended: Option<&Ending>, most: usize) -> Vec<Look> {
        let counted = self.counted(experiment).len();
        // sessions that close together are looked at one by one, and the look that decides is the last
        let decided = ended.and_then(|ending| ending.evidence.get("sessions"));
        let last = decided.map_or(counted, |sessions| (*sessions as usize).min(counted));
        let step = last.div_ceil(most.max(1)).max(1);
        (1..=last)
            .filter(|session| (last - session).is_multiple_of(step))
            .filter_map(|n| self.look(experiment, n))
            .collect()
    }

    fn look(&self, experiment: &Experiment, session: usize) -> Option<Look> {
        let sessions = self.counted(experiment).get(..session)?;
        let day = sessions.last()?.day;
        let [paired, randomised] = [View::Paired, View::Randomised].map(|view| TestEvidence::of(view, sessions));
        let views = [&paired, &randomised].map(|evidence| ViewLook {
            view: evidence.view,
            win_rate: z_of(evidence, EvidenceMetric::WinRate),
            mean_pnl: z_of(evidence, EvidenceMetric::MeanPnl),
        });
        let level = self.options.level / self.options.metrics.len().max(1) as f64;
        let (success, harm) =
            if self.endless { (None, None) } else { (self.plan.critical(session, level), self.harm_boundary(session)) };
        Some(Look { session, day, trades: paired.trades, views: views.to_vec(), success, harm })
    }
}
