//! The training matrix: a row a closed trade, written while the journal is read.

use std::io::Write;

use serde::{
    Serialize, Serializer,
    ser::{Error as _, SerializeSeq as _},
};

use super::{super::named, Format, PART};
use crate::{
    config::Config,
    domain::{Symbol, Timestamp, TradeId},
    features::{Instrument, pipeline::Pipeline},
    journal::Reader,
    models::{Labeller, Target, TargetKind, TargetValue},
    recall::in_time::{InTime, Known, Values, pipeline},
    table::{Cells, Column, Parts},
};

/// The rows, and the names of their values. As a pickle it is a dict of both.
#[derive(Serialize)]
pub(super) struct Matrix<'a> {
    columns: Vec<String>,
    rows: Rows<'a>,
}

/// Where the rows come from.
struct Rows<'a> {
    reader: &'a Reader,
    symbol: &'a Symbol,
    instrument: Instrument,
    labellers: [Labeller; 7],
    pipeline: Pipeline,
    trades: InTime,
    count: usize,
}

/// One closed trade.
#[derive(Debug, Serialize)]
struct Row {
    trade_id: TradeId,
    at: Timestamp,
    exit_at: Timestamp,
    values: Values,
}

impl<'a> Matrix<'a> {
    /// The closed trades of `symbol`. They are read once for what the labels must know, and once more when they are written.
    pub(super) fn of(reader: &'a Reader, symbol: &'a Symbol, config: &Config) -> anyhow::Result<Self> {
        let instrument = named::instrument(config, symbol)?;
        let pipeline = pipeline(config)?;
        let trades = InTime::read(reader).map_err(anyhow::Error::msg)?;
        let (mut count, mut pnl) = (0, Vec::new());
        for trade in trades.walk(reader, None) {
            let trade = trade.map_err(anyhow::Error::msg)?;
            if let Some(outcome) = trade.at_own_size().filter(|_| trade.stored.signal.symbol == *symbol) {
                count += 1;
                pnl.extend(outcome.pnl.map(|pnl| pnl.get()));
            }
        }
        let learnt = pnl.len() - (pnl.len() as f64 * config.training.test_share).round() as usize;
        let labellers = Target::ALL.map(|target| Labeller::fit(target, pnl.get(..learnt).unwrap_or_default()));
        let inputs = pipeline.schema().names().map(str::to_owned);
        let targets = Target::ALL.iter().map(column_of);
        let columns = inputs.chain(["pnl_after_costs".to_owned()]).chain(targets).collect();
        Ok(Self { columns, rows: Rows { reader, symbol, instrument, labellers, pipeline, trades, count } })
    }

    /// Writes it, of tables no more than a part of the rows at once.
    pub(super) fn write(&self, format: Format, mut out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
        if format == Format::Pickle {
            return Ok(serde_pickle::to_writer(&mut out, self, serde_pickle::SerOptions::new())?);
        }
        let head = self.table(Vec::new());
        let mut table = if format == Format::Parquet { Parts::parquet(&head, out)? } else { Parts::csv(&head, out)? };
        let mut part = Vec::with_capacity(PART.min(self.rows.count));
        for row in self.rows.each() {
            part.push(row.map_err(anyhow::Error::msg)?);
            if part.len() == PART {
                table.rows(&self.table(std::mem::take(&mut part)))?;
            }
        }
        table.rows(&self.table(part))?;
        Ok(table.end()?)
    }

    /// Rows by columns: classes are yes or no.
    fn table(&self, rows: Vec<Row>) -> Vec<Column> {
        let class = |target: &Target| target.kind() != TargetKind::Real;
        let classes: Vec<String> = Target::ALL.iter().filter(|target| class(target)).map(column_of).collect();
        let mut columns = vec![
            Column::new("trade_id", Cells::Text(rows.iter().map(|row| Some(row.trade_id.to_string())).collect())),
            Column::new("at", Cells::Time(rows.iter().map(|row| Some(row.at)).collect())),
            Column::new("exit_at", Cells::Time(rows.iter().map(|row| Some(row.exit_at)).collect())),
        ];
        for (number, name) in self.columns.iter().enumerate() {
            let values = rows.iter().map(|row| row.values.get(number).copied().flatten());
            let cells = if classes.contains(name) {
                Cells::Yes(values.map(|value| Some(value? > 0.5)).collect())
            } else {
                Cells::Real(values.collect())
            };
            columns.push(Column::new(name.as_str(), cells));
        }
        columns
    }
}

impl Rows<'_> {
    fn each(&self) -> impl Iterator<Item = Result<Row, String>> {
        let trades = self.trades.walk(self.reader, Some(self.pipeline.clone()));
        trades.filter_map(|trade| trade.map(|trade| self.row(trade)).transpose())
    }

    fn row(&self, trade: Known) -> Option<Row> {
        let outcome = trade.at_own_size().filter(|_| trade.stored.signal.symbol == *self.symbol)?;
        let (inputs, signal) = (trade.row?, trade.stored.signal);
        let value = |labeller: &Labeller| {
            labeller.value(&signal, &outcome, self.instrument).map(|value| match value {
                TargetValue::Class(yes) => f64::from(u8::from(yes)),
                TargetValue::Real(value) => value,
            })
        };
        let pnl = outcome.pnl.map(|pnl| pnl.get());
        let values = inputs.into_iter().chain([pnl]).chain(self.labellers.iter().map(value)).collect();
        Some(Row { trade_id: signal.trade_id, at: signal.at, exit_at: outcome.exit_at, values })
    }
}

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut rows = serializer.serialize_seq(Some(self.count))?;
        for row in self.each() {
            rows.serialize_element(&row.map_err(S::Error::custom)?)?;
        }
        rows.end()
    }
}

fn column_of(target: &Target) -> String {
    format!("target:{target}")
}
