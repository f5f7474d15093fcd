//! The actors, thin shells around the pure core, and their wiring in `daemon`.
//!
//! The listener, the connections, the scorer and the guardian share one thread, so that a score costs no hop between
//! threads; the journal has its own. What they know of each other are messages and the handles they were given.

pub mod ab_router;
pub mod acknowledge;
pub mod alerts;
pub mod archivist;
pub mod child;
pub mod daemon;
pub mod event_stream;
pub mod gateway;
pub mod guardian;
pub mod jobs;
pub mod journal;
pub mod keeper;
pub mod kill_file;
pub mod monitor;
pub mod scorer;
pub mod storage;
pub mod subscriber;
pub mod supervision;
pub mod ticker;
pub mod trade_news;
pub mod trainer;
