//! **vigie**, the lookout beside an automated futures trader: it scores every signal of a rule-based strategy with a
//! model that had to earn it, and steps aside the moment anything is not right.
//!
//! What is decided is in the crate `vigie_core`, the simulated market in `vigie_demo`; both stand here under the names of
//! their modules. The modules stand in the order in which they may use each other, lowest first. See `ARCHITECTURE.md`.

pub use vigie_core::{
    discovery, domain, features, guard, lifecycle, models, panics, policy, portfolio, report, schedule, state, stats,
    trials, validation,
};

pub use vigie_demo as sim;

pub mod clock;

pub mod config;

pub mod table;

pub mod journal;

pub mod recall;

pub mod protocol;

pub mod actors;

pub mod commands;
