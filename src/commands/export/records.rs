//! What was answered, what became of it, and what else happened: a row a record of the journal, in the order of its numbers.

use std::{cell::Cell, io::Write};

use serde::{
    Serialize, Serializer,
    ser::{Error as _, SerializeSeq as _},
};
use serde_json::Value;

use super::{
    super::{named, terminal::warn},
    Format, PART, What,
};
use crate::{
    config::Config,
    domain::{EventKind, Side, Symbol, Timestamp},
    journal::{Reader, Source, StoreError, StoredEvent, StoredOutcome, StoredSignal},
    table::{Cells, Column, Parts, Sort},
};

/// Columns of decisions.
const DECISIONS: [(&str, Sort); 16] = [
    ("trade_id", Sort::Text),
    ("at", Sort::Time),
    ("received_at", Sort::Time),
    ("seq", Sort::Whole),
    ("symbol", Sort::Text),
    ("side", Sort::Text),
    ("own_confidence", Sort::Real),
    ("arm", Sort::Text),
    ("reason", Sort::Text),
    ("model", Sort::Text),
    ("score", Sort::Real),
    ("confidence", Sort::Real),
    ("size", Sort::Real),
    ("latency_us", Sort::Whole),
    ("trade_id_reused", Sort::Yes),
    ("opinions", Sort::Text),
];
/// Columns of outcomes.
const OUTCOMES: [(&str, Sort); 20] = [
    ("trade_id", Sort::Text),
    ("at", Sort::Time),
    ("exit_at", Sort::Time),
    ("received_at", Sort::Time),
    ("seq", Sort::Whole),
    ("source", Sort::Text),
    ("symbol", Sort::Text),
    ("side", Sort::Text),
    ("entry_price", Sort::Real),
    ("exit_price", Sort::Real),
    ("pnl", Sort::Real),
    ("slippage_ticks", Sort::Real),
    ("exit_reason", Sort::Text),
    ("bars_held", Sort::Real),
    ("mfe_ticks", Sort::Real),
    ("mae_ticks", Sort::Real),
    ("mfe_bars", Sort::Real),
    ("acted_on_arm", Sort::Text),
    ("acted_on_model", Sort::Text),
    ("acted_on_size", Sort::Real),
];
/// Columns of events.
const EVENTS: [(&str, Sort); 9] = [
    ("trade_id", Sort::Text),
    ("at", Sort::Time),
    ("seq", Sort::Whole),
    ("event", Sort::Text),
    ("version", Sort::Text),
    ("level", Sort::Text),
    ("code", Sort::Text),
    ("message", Sort::Text),
    ("fields", Sort::Text),
];

/// A value of a row; `None` where it is missing.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Field {
    Yes(Option<bool>),
    Whole(Option<i64>),
    Real(Option<f64>),
    Text(Option<String>),
    Time(Option<Timestamp>),
}

type Row = Vec<Field>;

/// The records of one kind, read while they are written.
pub(super) struct Records<'a> {
    what: What,
    reader: &'a Reader,
    /// Whose; of all symbols without it.
    symbol: Option<&'a Symbol>,
    count: usize,
    damaged: Cell<usize>,
}

impl<'a> Records<'a> {
    /// Those of `what`, which is none of the other exports. They are counted first.
    pub(super) fn of(
        what: What,
        reader: &'a Reader,
        symbol: Option<&'a Symbol>,
        config: &Config,
    ) -> anyhow::Result<Self> {
        let mut records = Self { what, reader, symbol, count: 0, damaged: Cell::new(0) };
        if let (What::Events, Some(symbol)) = (what, symbol) {
            anyhow::bail!("events are not those of one symbol, such as {symbol}; leave --symbol out");
        }
        let mut count = 0;
        for row in records.each()? {
            row?;
            count += 1;
        }
        records.count = count;
        if let Some(symbol) = symbol {
            named::symbol(config, symbol, records.count)?;
        }
        match records.damaged.get() {
            0 => {}
            damaged => warn(format_args!("{damaged} damaged records were left out")),
        }
        Ok(records)
    }

    /// Writes them, no more than a part at once.
    pub(super) fn write(&self, format: Format, mut out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
        if format == Format::Pickle {
            return Ok(serde_pickle::to_writer(&mut out, &Pickled::of(self), serde_pickle::SerOptions::new())?);
        }
        let head = self.columns(Vec::new());
        let mut table = if format == Format::Parquet { Parts::parquet(&head, out)? } else { Parts::csv(&head, out)? };
        let mut part = Vec::with_capacity(PART.min(self.count));
        for row in self.each()? {
            part.push(row?);
            if part.len() == PART {
                table.rows(&self.columns(std::mem::take(&mut part)))?;
            }
        }
        table.rows(&self.columns(part))?;
        Ok(table.end()?)
    }

    fn head(&self) -> &'static [(&'static str, Sort)] {
        match self.what {
            What::Decisions => &DECISIONS,
            What::Outcomes => &OUTCOMES,
            _ => &EVENTS,
        }
    }

    /// Rows by columns.
    fn columns(&self, rows: Vec<Row>) -> Vec<Column> {
        let mut cells: Vec<Cells> = self.head().iter().map(|(_, sort)| none_yet(*sort)).collect();
        for row in rows {
            for (cells, field) in cells.iter_mut().zip(row) {
                match (cells, field) {
                    (Cells::Yes(cells), Field::Yes(value)) => cells.push(value),
                    (Cells::Whole(cells), Field::Whole(value)) => cells.push(value),
                    (Cells::Real(cells), Field::Real(value)) => cells.push(value),
                    (Cells::Text(cells), Field::Text(value)) => cells.push(value),
                    (Cells::Time(cells), Field::Time(value)) => cells.push(value),
                    // each row is made as its head says: a test compares every column with its other formats
                    _ => {}
                }
            }
        }
        self.head().iter().zip(cells).map(|((name, _), cells)| Column::new(*name, cells)).collect()
    }

    /// A record that is damaged is counted and left out.
    fn each(&self) -> Result<Box<dyn Iterator<Item = Result<Row, StoreError>> + '_>, StoreError> {
        self.damaged.set(0);
        let reader = self.reader;
        Ok(match self.what {
            What::Decisions => {
                let stored = reader.signals()?.filter_map(|stored| self.whole(stored));
                Box::new(stored.filter_map(|stored| stored.map(|stored| self.decision(stored)).transpose()))
            }
            What::Outcomes => {
                let stored = reader.outcomes()?.filter_map(|stored| self.whole(stored));
                Box::new(stored.filter_map(|stored| stored.and_then(|stored| self.outcome(stored)).transpose()))
            }
            _ => {
                let stored = reader.events(0)?.filter_map(|stored| self.whole(stored));
                Box::new(stored.map(|stored| stored.map(event)))
            }
        })
    }

    fn whole<T>(&self, stored: Result<T, StoreError>) -> Option<Result<T, StoreError>> {
        if let Err(StoreError::BadRecord(_)) = stored {
            self.damaged.set(self.damaged.get() + 1);
            return None;
        }
        Some(stored)
    }

    fn decision(&self, StoredSignal { seq, record, signal }: StoredSignal) -> Option<Row> {
        if self.symbol.is_some_and(|symbol| *symbol != signal.symbol) {
            return None;
        }
        let reused = record.took_a_name();
        let decision = record.decision?;
        let opinions = serde_json::to_string(&record.opinions).ok().filter(|_| !record.opinions.is_empty());
        Some(vec![
            text(&record.trade_id),
            Field::Time(Some(signal.at)),
            Field::Time(Some(record.received_at)),
            number(seq),
            text(&signal.symbol),
            text(side(signal.side)),
            Field::Real(signal.confidence.map(|confidence| confidence.get())),
            text(decision.arm.name()),
            Field::Text(word(&decision.reason)),
            Field::Text(decision.model.map(|model| model.to_string())),
            Field::Real(Some(decision.score.get())),
            Field::Real(decision.confidence.map(|confidence| confidence.get())),
            Field::Real(Some(decision.size)),
            record.latency_us.map_or(Field::Whole(None), number),
            Field::Yes(Some(reused)),
            Field::Text(opinions),
        ])
    }

    fn outcome(&self, StoredOutcome { seq, record, .. }: StoredOutcome) -> Result<Option<Row>, StoreError> {
        let signal = match self.reader.signal(&record.trade_id) {
            Ok(stored) => stored.map(|stored| stored.signal),
            Err(StoreError::BadRecord(_)) => None,
            Err(error) => return Err(error),
        };
        if self.symbol.is_some_and(|symbol| signal.as_ref().is_none_or(|signal| signal.symbol != *symbol)) {
            return Ok(None);
        }
        let outcome = record.outcome;
        let source = match record.source {
            Source::Live => "live",
            Source::Import => "import",
        };
        let echo = record.echo.as_ref();
        Ok(Some(vec![
            text(&record.trade_id),
            Field::Time(signal.as_ref().map(|signal| signal.at)),
            Field::Time(Some(outcome.exit_at)),
            Field::Time(Some(record.received_at)),
            number(seq),
            text(source),
            Field::Text(signal.as_ref().map(|signal| signal.symbol.to_string())),
            Field::Text(signal.as_ref().map(|signal| side(signal.side).to_owned())),
            Field::Real(outcome.entry_price),
            Field::Real(outcome.exit_price),
            Field::Real(outcome.pnl.map(|pnl| pnl.get())),
            Field::Real(outcome.slippage_ticks),
            text(&outcome.exit_reason),
            Field::Real(outcome.bars_held),
            Field::Real(outcome.mfe_ticks),
            Field::Real(outcome.mae_ticks),
            Field::Real(outcome.mfe_bars),
            Field::Text(echo.map(|echo| echo.arm.name().to_owned())),
            Field::Text(echo.and_then(|echo| echo.model.as_ref()).map(ToString::to_string)),
            Field::Real(echo.map(|echo| echo.size)),
        ]))
    }
}

fn none_yet(sort: Sort) -> Cells {
    match sort {
        Sort::Yes => Cells::Yes(Vec::new()),
        Sort::Whole => Cells::Whole(Vec::new()),
        Sort::Real => Cells::Real(Vec::new()),
        Sort::Text => Cells::Text(Vec::new()),
        Sort::Bytes => Cells::Bytes(Vec::new()),
        Sort::Time => Cells::Time(Vec::new()),
    }
}

fn event(StoredEvent { seq, event }: StoredEvent) -> Row {
    let fields = serde_json::to_value(&event.kind).unwrap_or_default();
    let find = |name: &str| fields.get(name).or_else(|| fields.get("trip")?.get(name));
    let said = |name: &str| Field::Text(find(name).and_then(Value::as_str).map(str::to_owned));
    let message = match &event.kind {
        EventKind::Alert { message, .. } => message.clone(),
        kind => kind.to_string(),
    };
    vec![
        said("trade_id"),
        Field::Time(Some(event.at)),
        number(seq),
        said("event"),
        said("version"),
        said("level"),
        said("code"),
        Field::Text(Some(message)),
        Field::Text(Some(fields.to_string())),
    ]
}

fn text(text: impl ToString) -> Field {
    Field::Text(Some(text.to_string()))
}

fn number(number: u64) -> Field {
    Field::Whole(i64::try_from(number).ok())
}

fn side(side: Side) -> &'static str {
    match side {
        Side::Long => "long",
        Side::Short => "short",
    }
}

/// The word that something is on the wire.
fn word(of: &impl Serialize) -> Option<String> {
    serde_json::to_value(of).ok()?.as_str().map(str::to_owned)
}

/// The names of the columns, and the rows.
#[derive(Serialize)]
struct Pickled<'r, 'a> {
    columns: Vec<&'static str>,
    rows: Rows<'r, 'a>,
}

struct Rows<'r, 'a>(&'r Records<'a>);

impl<'r, 'a> Pickled<'r, 'a> {
    fn of(records: &'r Records<'a>) -> Self {
        Self { columns: records.head().iter().map(|(name, _)| *name).collect(), rows: Rows(records) }
    }
}

impl Serialize for Rows<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut rows = serializer.serialize_seq(Some(self.0.count))?;
        for row in self.0.each().map_err(S::Error::custom)? {
            rows.serialize_element(&row.map_err(S::Error::custom)?)?;
        }
        rows.end()
    }
}
