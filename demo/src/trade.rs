//! Trades, session by session: what the trader sent, what became of it, and the truth behind it.
#![deny(clippy::indexing_slicing)]

use std::collections::BTreeMap;

use jiff::{SignedDuration, ToSpan as _, civil::Date};
use serde::Serialize;

use super::{
    Venue,
    delivery::{Courier, Delivered},
    fate::{Ending, Fate, Terms},
    market::{Bar, Market, Regime, Session},
    options::{InvalidOptions, SimulationOptions},
    relation::Relation,
    trader::{Setup, Trader},
};
use vigie_core::{
    domain::{Inputs, Money, Outcome, Side, Signal, Timestamp, TradeId, TradingDay, snapshot::Number},
    features::row::{self, Schema},
};

/// The symbol that is not named in the ids of its trades.
const UNNAMED: &str = "ES";

/// What nobody but the simulation knows of a trade.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Truth {
    /// Number of its session, from 0.
    pub session: usize,
    /// The trading day it belongs to.
    pub day: TradingDay,
    /// What the market was doing.
    pub regime: Regime,
    /// The probability of a profit when the signal fired: nothing known then can say more.
    pub probability: f64,
    /// Whether there was a profit.
    pub won: bool,
    /// What it made after costs, at the strategy's own size, in account currency.
    pub pnl: f64,
    /// Whether the outcome is reported as the opposite of what happened.
    pub poisoned: bool,
}

/// One trade.
#[derive(Debug, Clone, PartialEq)]
pub struct Trade {
    /// The signal as it was sent, without what was lost on the way.
    pub signal: Signal,
    /// The outcome as it is reported.
    pub outcome: Outcome,
    /// The truth.
    pub truth: Truth,
    /// What the market knew at the signal: the twelve features and the confidence, turned to the side of the trade, with
    /// what was then lost.
    pub inputs: Vec<Number>,
    /// How signal and outcome reach their reader.
    pub delivered: Delivered,
}

/// The trades of one session.
#[derive(Debug, Clone, PartialEq)]
pub struct TradedSession {
    /// Its number, from 0.
    pub number: usize,
    /// Its day.
    pub day: TradingDay,
    /// When it opens.
    pub opening: Timestamp,
    /// In the order of their signals.
    pub trades: Vec<Trade>,
}

/// The sessions of a simulation, one after another.
#[derive(Debug, Clone)]
pub struct Sessions {
    options: SimulationOptions,
    venue: Venue,
    schema: Schema,
    next_date: Date,
    end: Date,
    number: usize,
    market: Market,
    trader: Trader,
    fate: Fate,
    courier: Courier,
    values: Vec<Number>,
}

impl Sessions {
    /// A simulation at `venue`.
    ///
    /// # Errors
    /// [`InvalidOptions`].
    pub fn new(options: SimulationOptions, venue: Venue) -> Result<Self, InvalidOptions> {
        options.check()?;
        let (seed, tick) = (options.seed, venue.instrument.tick);
        let end = options.start.checked_add(i64::from(options.months).months()).unwrap_or(Date::MAX);
        Ok(Self {
            schema: Schema::built_in(),
            next_date: options.start,
            end,
            number: 0,
            market: Market::new(seed, tick),
            trader: Trader::new(seed, tick, options.signals_per_session, options.daily_loss_limit),
            fate: Fate::new(seed, options.outcome_correlation),
            courier: Courier::new(seed, options.delivery),
            values: Vec::new(),
            options,
            venue,
        })
    }

    /// The next date on which there is trading.
    fn next_trading_date(&mut self) -> Option<Date> {
        while self.next_date < self.end {
            let date = self.next_date;
            self.next_date = date.tomorrow().ok()?;
            if is_trading_date(date) {
                return Some(date);
            }
        }
        None
    }

    fn trades(&mut self, session: &Session, day: TradingDay, opening: Timestamp) -> Vec<Trade> {
        let relation = self.options.relation(self.number);
        self.fate.next_session();
        self.courier.next_session(opening);
        let setups = self.trader.signals(session);
        let numbered = setups.into_iter().enumerate();
        numbered.filter_map(|(n, setup)| self.trade(session, &relation, day, opening, n + 1, setup)).collect()
    }

    fn trade(
        &mut self,
        session: &Session,
        relation: &Relation,
        day: TradingDay,
        opening: Timestamp,
        number: usize,
        setup: Setup,
    ) -> Option<Trade> {
        let (index, regime, risk, side) = (setup.index, setup.regime, setup.ticks_at_risk, setup.side);
        let bar = session.bars.get(index)?;
        let mut signal = self.signal(setup, bar, day, opening, number)?;
        let Venue { instrument, calendar, .. } = &self.venue;
        row::read(&signal, *instrument, calendar, &self.schema, &mut self.values);
        row::align(side, &mut self.values);
        let probability = relation.probability(&self.values);
        let least_win = (self.options.costs / instrument.tick_value).floor() + 1.0;
        let bars_left = session.bars.len().saturating_sub(index + 1);
        let terms = Terms { stop_ticks: risk, target_ticks: risk, least_win, bars_left };
        let ending = self.fate.of(probability, terms);
        let last = session.bars.get(index + ending.bars)?;
        let poisoned = self.courier.poisons(self.options.poison, self.number);
        let outcome = self.outcome(bar.close, side, ending, moment(opening, last, ending.moment), poisoned)?;
        let pnl = cents(ending.ticks * self.venue.instrument.tick_value - self.options.costs);
        let truth = Truth { session: self.number, day, regime, probability, won: ending.won, pnl, poisoned };
        let delivered = self.courier.deliver(signal.at, outcome.exit_at);
        if let Inputs::Snapshot(snapshot) = &mut signal.inputs {
            self.courier.lose(snapshot);
        }
        Some(Trade { signal, outcome, truth, inputs: self.values.clone(), delivered })
    }

    /// The name of the trade `number` of `day`. Only names of other symbols than ES have it in them, so that those of the
    /// default runs stay what they were, and no two symbols share one.
    fn trade_id(&self, day: TradingDay, number: usize) -> Option<TradeId> {
        let symbol = self.venue.symbol.as_str();
        let of = if symbol == UNNAMED { String::new() } else { format!("{symbol}-") };
        let day = day.date().strftime("%Y%m%d");
        TradeId::new(format!("SIM{}-{of}{day}-{number:02}", self.options.seed)).ok()
    }

    fn signal(&self, setup: Setup, bar: &Bar, day: TradingDay, opening: Timestamp, number: usize) -> Option<Signal> {
        let id = self.trade_id(day, number)?;
        Some(Signal {
            trade_id: id,
            at: moment(opening, bar, 1.0),
            symbol: self.venue.symbol.clone(),
            side: setup.side,
            confidence: Some(setup.confidence),
            inputs: Inputs::Snapshot(Box::new(setup.snapshot)),
            extra: BTreeMap::new(),
        })
    }

    fn outcome(&self, price: f64, side: Side, ending: Ending, exit_at: Timestamp, poisoned: bool) -> Option<Outcome> {
        let instrument = self.venue.instrument;
        let ticks = if poisoned { -ending.ticks } else { ending.ticks };
        let (best, worst) = if poisoned { (ending.worst, ending.best) } else { (ending.best, ending.worst) };
        // the opposite of a small loss must pay its costs to look like a win
        let ticks = if poisoned && !ending.won {
            ticks.max((self.options.costs / instrument.tick_value).floor() + 1.0)
        } else {
            ticks
        };
        let reason = match ending.reason {
            "take_profit" if poisoned => "stop_loss",
            "stop_loss" if poisoned => "take_profit",
            reason => reason,
        };
        Some(Outcome {
            exit_at,
            entry_price: Some(price),
            exit_price: Some(price + side.sign() * ticks * instrument.tick),
            pnl: Some(Money::new(cents(ticks * instrument.tick_value - self.options.costs)).ok()?),
            slippage_ticks: Some(ending.slippage),
            exit_reason: reason.into(),
            bars_held: Some(ending.bars as f64),
            mfe_ticks: Some(best.max(ticks).max(0.0)),
            mae_ticks: Some(worst.max(-ticks).max(0.0)),
            mfe_bars: Some(if best > ticks { ending.best_bars } else { ending.bars } as f64),
        })
    }
}

impl Iterator for Sessions {
    type Item = TradedSession;

    fn next(&mut self) -> Option<TradedSession> {
        loop {
            let date = self.next_trading_date()?;
            // a date without such a time does not exist in any time zone there is
            let Some(opening) = self.venue.calendar.opening(date) else { continue };
            let day = self.venue.calendar.day_of(opening);
            let session = self.market.session(self.number, &self.options);
            let trades = self.trades(&session, day, opening);
            let number = self.number;
            self.number += 1;
            return Some(TradedSession { number, day, opening, trades });
        }
    }
}

/// Monday to Friday, but for three holidays.
fn is_trading_date(date: Date) -> bool {
    let holiday = matches!((date.month(), date.day()), (1, 1) | (7, 4) | (12, 25));
    date.weekday().to_monday_zero_offset() < 5 && !holiday
}

/// The time at which `share` of `bar` is over, to the millisecond.
fn moment(opening: Timestamp, bar: &Bar, share: f64) -> Timestamp {
    let minute = bar.minute - (1.0 - share) * bar.length;
    opening + SignedDuration::from_millis((minute * 60_000.0).round() as i64)
}

fn cents(amount: f64) -> f64 {
    (amount * 100.0).round() / 100.0
}
