//! The words of the trade: ids, numbers with a range, times, signals, outcomes, decisions, the life of a model.
//!
//! Everything here is a value. Text is parsed once, at the edge, into these types; what holds one may trust it.
//! Nothing here reads a clock, a file or a socket.

pub(crate) mod as_json;
pub mod decision;
mod display;
pub mod event;
pub mod feature;
pub mod id;
pub mod invalid;
pub mod lifecycle;
pub mod number;
pub mod outcome;
pub mod signal;
pub mod snapshot;
pub mod time;
pub mod trip;
pub mod unique;
pub mod visible;
pub mod writable;

pub use self::invalid::InvalidLine;
pub use decision::{Arm, Decision, Opinion, Reason, Split};
pub use event::{Event, EventKind};
pub use feature::{FEATURES, Feature, FeatureVector};
pub use id::{InvalidId, Symbol, TradeId, VersionId};
pub use number::{Money, OutOfRange, Probability};
pub use outcome::{Outcome, Skip};
pub use signal::{Inputs, Signal, SignalLine};
pub use snapshot::{MarketSnapshot, Side};
pub use time::{Timestamp, TradingCalendar, TradingDay};
