//! The open trades as they are stored in a checkpoint, and back.
#![deny(clippy::indexing_slicing)]

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{AnsweredSignal, Held, OpenTrades};
use crate::{
    domain::{Timestamp, TradeId},
    lifecycle::names::{Names, NamesImage},
};

/// The open trades as they are stored, in the order in which they came.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct OpenTradesImage<E> {
    trades: Vec<HeldImage<E>>,
    daily_loss_limit: Option<f64>,
    names: NamesImage,
}

#[derive(Debug, Serialize, Deserialize)]
struct HeldImage<E> {
    came: Timestamp,
    trade_id: TradeId,
    entry: Option<E>,
    heard: Option<E>,
    closed: bool,
    reused: bool,
}

impl OpenTrades {
    /// As they are stored: equal ones give equal images.
    pub(crate) fn image(&self) -> OpenTradesImage<&AnsweredSignal> {
        let trade = |(came, trade_id): &(Timestamp, TradeId)| {
            let Held { entry, heard, closed, reused } = self.trades.get(trade_id)?;
            Some(HeldImage {
                came: *came,
                trade_id: trade_id.clone(),
                entry: entry.as_deref(),
                heard: heard.as_deref(),
                closed: *closed,
                reused: *reused,
            })
        };
        let trades = self.by_time.iter().filter_map(trade).collect();
        OpenTradesImage { trades, daily_loss_limit: self.daily_loss_limit, names: self.names.image() }
    }

    /// Those that were stored, with the bounds of these.
    pub(crate) fn restored(&self, image: OpenTradesImage<AnsweredSignal>) -> Self {
        let OpenTradesImage { trades, daily_loss_limit, names } = image;
        let mut open_trades = Self { daily_loss_limit, ..Self::knowing(self.keep, self.names.most()) };
        open_trades.names = Names::of(names, self.names.most());
        open_trades.trades.reserve(trades.len());
        for HeldImage { came, trade_id, entry, heard, closed, reused } in trades {
            let held = Held { entry: entry.map(Arc::new), heard: heard.map(Arc::new), closed, reused };
            open_trades.by_time.push_back((came, trade_id.clone()));
            open_trades.trades.insert(trade_id, held);
        }
        open_trades
    }
}
