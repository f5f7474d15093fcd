//! How evidence becomes a step: staging, the A/B test, promotion, and how long a test must be.

pub mod experiment;
pub mod groups;
pub mod promotion;
pub mod running;
pub mod sample_size;
pub mod trial_view;
