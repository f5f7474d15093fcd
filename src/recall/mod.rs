//! What the journal remembers, in the form that the core wants: readers that write nothing and know no actor.

pub mod archiving;
pub mod checkpoint;
pub mod events;
pub mod explained;
pub mod fold;
pub mod history;
pub mod in_time;
pub mod learning;
pub mod passport;
pub mod period;
pub mod phases;
pub mod quality;
pub mod rebuilt;
pub mod regimes;
pub mod retold;
pub mod retraining;
pub mod review;
pub mod scored;
mod slot;
pub mod test_plan;
pub mod versions;
pub mod watched;
