//! What an outcome cannot be: closed before its signal fired or in the future, or with a pnl that no trade makes.
//!
//! Such an outcome is refused, so that it neither makes room for losses nor hides one. It shows that a trade was closed whose result
//! is not known: until the trader sends it corrected, the rules that need it cannot be evaluated.
#![deny(clippy::indexing_slicing)]

use jiff::SignedDuration;

use crate::domain::{InvalidLine, Outcome, SignalLine, Timestamp, trip::Unevaluable};

/// How far an outcome may go.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// What one trade may make or lose at most, above 0, in account currency.
    pub max_pnl: f64,
    /// How far clocks may differ.
    pub clock_tolerance: SignedDuration,
    /// How far the time of a signal may lie ahead.
    pub max_ahead: SignedDuration,
}

/// Why an outcome cannot be.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are what the messages name")]
pub enum Incredible {
    /// More than any trade makes or loses.
    #[error("{pnl:?} is more than one trade makes or loses, {most:?} by guardian.max_trade_pnl")]
    Pnl { pnl: f64, most: f64 },
    /// Closed before its signal fired.
    #[error("{exit_at} lies before its signal, of {signal_at}, by more than monitor.clock_tolerance_s")]
    Early { exit_at: Timestamp, signal_at: Timestamp },
    /// Closed in the future.
    #[error("{exit_at} lies ahead of the daemon's clock, {now}, by more than monitor.clock_tolerance_s")]
    Ahead { exit_at: Timestamp, now: Timestamp },
    /// A signal of the future.
    #[error("{at} lies ahead of the daemon's clock, {now}, by more than server.max_ahead_ms")]
    Signal { at: Timestamp, now: Timestamp },
}

impl Incredible {
    /// The field at fault.
    pub fn field(&self) -> &'static str {
        match self {
            Self::Pnl { .. } => "outcome_metrics.pnl",
            Self::Early { .. } | Self::Ahead { .. } => "outcome_metrics.exit_at",
            Self::Signal { .. } => "at",
        }
    }

    /// What is not known of the trade.
    pub fn blank(&self) -> Unevaluable {
        match self {
            Self::Pnl { .. } => Unevaluable::PnlOutOfRange,
            Self::Early { .. } | Self::Ahead { .. } | Self::Signal { .. } => Unevaluable::ExitOutOfRange,
        }
    }
}

impl From<Incredible> for InvalidLine {
    fn from(incredible: Incredible) -> Self {
        let field = incredible.field();
        Self { code: "out_of_range", message: format!("{field}: {incredible}"), field: Some(field.to_owned()) }
    }
}

/// Whether a signal that came at `now` can have fired at `at`. One from the future would keep what later signals know from
/// being carried forward.
///
/// # Errors
/// [`Incredible::Signal`].
pub fn check_signal(at: Timestamp, now: Timestamp, bounds: &Bounds) -> Result<(), Incredible> {
    if at.duration_since(now) > bounds.max_ahead { Err(Incredible::Signal { at, now }) } else { Ok(()) }
}

/// Whether a line of a file, read at `now`, can be what it says: when the signal fired, when the trade was closed and what it
/// made. Where time comes from the messages, `now` is not known, and only the rest is looked at.
///
/// # Errors
/// [`Incredible`].
pub fn check_line(line: &SignalLine, now: Option<Timestamp>, bounds: &Bounds) -> Result<(), Incredible> {
    let now = now.unwrap_or(Timestamp::MAX);
    check_signal(line.signal.at, now, bounds)?;
    line.outcome.as_ref().map_or(Ok(()), |outcome| check(outcome, Some(line.signal.at), now, bounds))
}

/// Whether an outcome that came at `now` can be that of a signal that fired at `signal_at`, as far as that is known.
///
/// # Errors
/// [`Incredible`].
pub fn check(
    outcome: &Outcome,
    signal_at: Option<Timestamp>,
    now: Timestamp,
    bounds: &Bounds,
) -> Result<(), Incredible> {
    let (exit_at, most) = (outcome.exit_at, bounds.max_pnl);
    if let Some(pnl) = outcome.pnl.filter(|pnl| pnl.get().abs() > most) {
        return Err(Incredible::Pnl { pnl: pnl.get(), most });
    }
    if exit_at.duration_since(now) > bounds.clock_tolerance {
        return Err(Incredible::Ahead { exit_at, now });
    }
    match signal_at {
        Some(signal_at) if signal_at.duration_since(exit_at) > bounds.clock_tolerance => {
            Err(Incredible::Early { exit_at, signal_at })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_420_000_000 + seconds).unwrap()
    }

    fn bounds() -> Bounds {
        let (clock_tolerance, max_ahead) = (SignedDuration::from_secs(60), SignedDuration::from_secs(5));
        Bounds { max_pnl: 1e6, clock_tolerance, max_ahead }
    }

    /// The field at fault of a trade that made `pnl`, closed at `exit` of a signal of 0 and told at 1000.
    fn fault(pnl: Option<f64>, exit: i64) -> Option<&'static str> {
        let outcome = Outcome::closed(at(exit), pnl);
        let bounds = bounds();
        check(&outcome, Some(at(0)), at(1000), &bounds).err().map(|incredible| incredible.field())
    }

    #[test]
    fn what_can_be_passes_up_to_the_bounds_and_nothing_beyond_them() {
        for (pnl, exit) in [(Some(1e6), 0), (Some(-1e6), 1000), (None, 500), (Some(0.0), -60), (Some(1.0), 1060)] {
            assert_eq!(fault(pnl, exit), None, "{pnl:?} at {exit}");
        }
        for (pnl, exit, field) in [
            (Some(1_000_000.1), 500, "outcome_metrics.pnl"),
            (Some(-1e308), 500, "outcome_metrics.pnl"),
            (Some(1.0), -61, "outcome_metrics.exit_at"),
            (None, 1061, "outcome_metrics.exit_at"),
        ] {
            assert_eq!(fault(pnl, exit), Some(field), "{pnl:?} at {exit}");
        }
    }

    #[test]
    fn a_line_of_a_file_passes_the_checks_of_a_request() {
        let line = |at: i64, exit: i64, pnl: f64| {
            let line = format!(
                r#"{{"trade_id":"T","at":"{}","symbol":"ES","side":"long","features":{{}},
                    "outcome_metrics":{{"exit_at":"{}","pnl":{pnl},"exit_reason":"x"}}}}"#,
                self::at(at),
                self::at(exit)
            );
            SignalLine::parse(line.as_bytes()).unwrap()
        };
        let fault = |line: &SignalLine, now: Option<i64>| {
            let checked = check_line(line, now.map(at), &bounds()).map_err(InvalidLine::from);
            checked.err().map(|error| error.field.unwrap())
        };
        let field = |name: &str| Some(name.to_owned());
        assert_eq!(fault(&line(0, 100, 1.0), Some(100)), None);
        assert_eq!(fault(&line(106, 200, 1.0), Some(100)), field("at"));
        assert_eq!(fault(&line(50, 161, 1.0), Some(100)), field("outcome_metrics.exit_at"));
        assert_eq!(fault(&line(100, 39, 1.0), Some(200)), field("outcome_metrics.exit_at"));
        assert_eq!(fault(&line(0, 50, 1e9), Some(100)), field("outcome_metrics.pnl"));
        assert_eq!(fault(&line(1000, 2000, 1.0), None), None);
        assert_eq!(fault(&line(1000, 900, 1.0), None), field("outcome_metrics.exit_at"));
    }
}
