//! The configuration: a file as written, checked as a whole, and turned into values that can be trusted.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use crate::{
    domain::{Symbol, TradingCalendar},
    features::{DesignOptions, Instrument},
    rules::answer::Policy,
};

/// Every threshold, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// `[symbols.NAME]`: the instruments that may be scored.
    pub symbols: BTreeMap<Symbol, Instrument>,
    /// `[trading_day]`.
    pub calendar: TradingCalendar,
    /// `[server]`.
    pub server: Server,
    /// `[access]`.
    pub access: Access,
    /// `[scoring]` and `[sizing]`.
    pub policy: Policy,
    /// `[features]`.
    pub features: DesignOptions,
    /// `[training]`.
    pub training: Training,
    /// `[journal]`.
    pub journal: Journal,
    /// `[supervision]`.
    pub supervision: Supervision,
    /// `[log]`.
    pub log_level: LogLevel,
}

/// Limits of the socket.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// Connections open at once.
    pub max_connections: usize,
    /// How many of those only an operator may take.
    pub reserved_connections: usize,
    /// Answers under way at once on one connection.
    pub max_in_flight: usize,
    /// Longest request line in bytes, without its line end.
    pub max_line_bytes: usize,
    /// How long half a line may wait for its other half.
    pub half_line_timeout: Duration,
    /// How long a client may leave answers unread.
    pub write_timeout: Duration,
    /// Time an answer may take when the request names no deadline.
    pub deadline: Duration,
    /// How long a stop may take before what is left is cut off.
    pub drain: Duration,
}

/// Who may talk to the daemon besides root and its own user. Names or decimal ids.
#[derive(Debug, Clone, PartialEq)]
pub struct Access {
    /// Users who may send signals and outcomes, and read.
    pub trader_users: Vec<String>,
    /// Groups whose members may.
    pub trader_groups: Vec<String>,
    /// Users who may also change what is served.
    pub operator_users: Vec<String>,
}

/// How models are trained.
#[derive(Debug, Clone, PartialEq)]
pub struct Training {
    /// Closed trades below which nothing is trained.
    pub min_trades: usize,
    /// Share of the trades, the latest, kept for the out-of-sample test.
    pub test_share: f64,
    /// Trades the test part must have.
    pub min_test_trades: usize,
    /// Weight of the L2 penalty on the summed log loss.
    pub l2: f64,
    /// Seed of everything random.
    pub seed: u64,
}

/// How the journal is written.
#[derive(Debug, Clone, PartialEq)]
pub struct Journal {
    /// Writes that may wait for the disk before scoring falls back to the baseline.
    pub queue: usize,
    /// Most writes in one commit.
    pub batch: usize,
    /// Cache of the database, in bytes.
    pub cache_bytes: usize,
    /// Pause before a failed database is opened again.
    pub retry: Duration,
}

/// How often actors may fail.
#[derive(Debug, Clone, PartialEq)]
pub struct Supervision {
    /// Restarts within the window that are survived.
    pub max_restarts: usize,
    /// The window.
    pub window: Duration,
}

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the usual levels")]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// Where the state folder is and what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateDir(pub PathBuf);
