//! The A/B test of a version: what was assigned and what became of it, what that says, and what follows from it.
//!
//! An [`Experiment`] is a fold over assignments and outcomes. [`Criteria`] judge it whenever a session closes; a
//! [`TestReport`] shows all there is to know, for people. Nothing here reads a clock: `now` and the trading day are
//! arguments.
#![deny(clippy::indexing_slicing)]

mod arms;
mod decide;
mod display;
mod evidence;
mod impact;
mod inference;
mod look;
mod metric;
mod options;
mod report;
mod staging;
mod state;
mod terms;

pub use arms::SessionPnl;
pub use decide::{HarmStanding, MetricStanding, Ruling, TestStanding, TestVerdict};
pub use evidence::{PolicyFigures, TestEvidence};
pub use impact::{Comparing, Group, Impact, ImpactOptions, Traded, impact};
pub use look::{Look, ViewLook};
pub use metric::{Horizon, Measure, Metric};
pub use options::{Criteria, EvidenceMetric, ExperimentOptions, InvalidOptions, View};
pub use report::{PowerLine, TestReport, ViewReport};
pub use staging::{ShadowBook, ShadowTrade, StagingOptions, StagingRuling};
pub use state::{Assignment, Experiment, Noted, Room, Session, Trade};
pub use terms::{Conditions, Terms};

/// Trading days of a year, which annualise a daily Sharpe ratio.
pub const DAYS_PER_YEAR: f64 = 252.0;
