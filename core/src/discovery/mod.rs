//! Which new inputs know something of the outcome: a search over a closed vocabulary that says how often it is wrong.
//!
//! What a trader may read into its list, and what `tests/discovery.rs` holds it to: **of ten inputs that are found, on average at
//! least nine know something of the outcome that memory alone does not explain; and where none knows anything, at least 95 of 100
//! searches find nothing.** That an input is found says nothing of money, and its gain was measured on the trades it was found on:
//! the trades that come are the proof.
//!
//! Pure, and seeded. A search never sees the test part, on which a version that uses what was found is judged.

mod ablation;
mod error;
mod null;
mod prepare;
mod search;

pub use ablation::Gain;
pub use error::DiscoverError;
pub use null::{Outcome, Skill};
pub use prepare::{Prepared, prepare};
pub use search::{Candidate, Discovery, DiscoveryOptions, Finding, Standing, search};
