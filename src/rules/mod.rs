//! The decision rules: pure functions of state, event and thresholds.

pub mod alarm;
pub mod answer;
mod as_json;
pub mod case;
pub mod credible;
pub mod desk;
pub mod drill;
pub mod emergency;
pub mod ending;
pub mod experiment;
pub mod gradual;
pub mod groups;
pub mod health;
pub mod integrity;
pub mod labels;
pub mod monitor;
pub mod names;
pub mod outlook;
pub mod past;
pub mod portfolio;
pub mod promotion;
pub mod repeats;
pub mod replay;
pub mod roster;
pub mod routing;
pub mod serving;
pub mod stale;
pub mod state;
pub mod trials;
pub mod watch;

pub use crate::validation::sizing;
