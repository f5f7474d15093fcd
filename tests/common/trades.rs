//! Days, trades and outcomes to feed an experiment with.

use vigie::domain::{Money, Outcome, Timestamp, TradeId, TradingCalendar, TradingDay};

/// Midnight at which session `n` begins.
pub fn opening(n: usize) -> Timestamp {
    Timestamp::from_second(1_420_459_200 + 86_400 * n as i64).unwrap()
}

/// The trading day of session `n`.
pub fn day(n: usize) -> TradingDay {
    TradingCalendar::new(jiff::tz::TimeZone::UTC, jiff::civil::Time::midnight()).day_of(opening(n))
}

pub fn trade_id(session: usize, n: usize) -> TradeId {
    TradeId::new(format!("{session}-{n}")).unwrap()
}

pub fn outcome(pnl: f64, slippage: f64) -> Outcome {
    Outcome {
        exit_at: opening(0),
        entry_price: None,
        exit_price: None,
        pnl: Some(Money::new(pnl).unwrap()),
        slippage_ticks: Some(slippage),
        exit_reason: "signal".into(),
        bars_held: None,
        mfe_ticks: None,
        mae_ticks: None,
        mfe_bars: None,
    }
}
