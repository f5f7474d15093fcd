//! What takes a model down: the emergency rules, the ladder of degradation, drift, faults that lock, and what cannot be.
//!
//! Needs nothing but `domain`, `stats` and `models`, so that nothing that gives a model influence can reach in here.

pub mod alarm;
pub mod emergency;
pub mod gradual;
pub mod health;
pub mod integrity;
pub mod labels;
pub mod monitor;
pub mod plausibility;
pub mod repeats;
pub mod watch;
