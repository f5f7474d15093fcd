//! Fitting a design matrix on training rows. It sees those rows and nothing else.
//!
//! Rows are as they come from a [`super::pipeline::Pipeline`]: carried forward and turned to one side. The share of
//! missing values is thus what is missing *after* carrying forward, which is what the model sees in service; a missing
//! indicator means "not known, and not known recently".

use super::{
    DesignOptions, Scaling,
    design::{Column, Degenerate, DesignMatrix, Dropped, FORMAT, InputFit, InvalidDesign, LARGEST, Record, Source},
    row::Schema,
};

/// A spread below this share of the magnitude is rounding noise around a constant.
const NOISE: f64 = 1e-12;

/// A spread below this would vanish when squared.
const SMALLEST_SPREAD: f64 = 1e-60;

/// Training rows or options from which no design can be made.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FitError {
    /// There is nothing to learn from.
    #[error("there are no training rows; import closed trades first")]
    NoRows,
    /// A row does not follow the schema.
    #[error("training row {row} has {found} values, the schema has {expected} inputs")]
    Width {
        /// Number of the row, from 0.
        row: usize,
        /// Inputs of the schema.
        expected: usize,
        /// Values in the row.
        found: usize,
    },
    /// A value that no computation can use.
    #[error("training row {row} has {value} for {input}: not finite, or larger than {LARGEST:e}; reject the row")]
    Unusable {
        /// Number of the row, from 0.
        row: usize,
        /// Name of the input.
        input: Box<str>,
        /// The value.
        value: f64,
    },
    /// An interaction of something that is no input.
    #[error("interaction {left}*{right}: {unknown} is neither a feature nor the confidence nor a declared extra")]
    UnknownInput {
        /// First part, as configured.
        left: String,
        /// Second part, as configured.
        right: String,
        /// Which of them is unknown.
        unknown: String,
    },
    /// Every column was dropped.
    #[error("no column is left: all {} are constant or missing in the {rows} training rows", dropped.len())]
    NothingLeft {
        /// How many rows there were.
        rows: usize,
        /// All columns, and why each was dropped.
        dropped: Vec<Dropped>,
    },
    /// The result fails its own check.
    #[error(transparent)]
    Invalid(#[from] InvalidDesign),
}

/// Fits a design on `rows`, each with one value per input of `schema`.
///
/// Quantiles are linear between order statistics (type 7 of Hyndman and Fan 1996, NumPy's default) over the known
/// values; the median is of them too. Standardising uses the population standard deviation. Dropped, and listed in
/// [`DesignMatrix::dropped`]: an input missing in more than `max_missing` of the rows, any column that is constant once
/// clipped and imputed, an interaction with a dropped part. An input that is constant where it is known keeps its
/// missing indicator, which is not constant.
///
/// # Errors
/// [`FitError`] when the rows cannot be used or nothing is left of them.
pub fn fit(schema: &Schema, rows: &[&[Option<f64>]], options: &DesignOptions) -> Result<DesignMatrix, FitError> {
    check_rows(schema, rows)?;
    let record = Record {
        format: FORMAT,
        row_width: schema.width(),
        training_rows: rows.len(),
        inputs: Vec::new(),
        columns: Vec::new(),
        dropped: Vec::new(),
    };
    let mut fitting = Fitting { rows, options, record, indicators: Vec::new() };
    for (position, name) in schema.names().enumerate() {
        fitting.add_input(position, name);
    }
    fitting.record.columns.append(&mut fitting.indicators);
    for (left, right) in &options.interactions {
        if let Some(unknown) = [left, right].into_iter().find(|part| schema.position(part).is_none()) {
            let (left, right, unknown) = (left.clone(), right.clone(), unknown.clone());
            return Err(FitError::UnknownInput { left, right, unknown });
        }
        fitting.add_interaction(left, right);
    }
    let record = fitting.record;
    if record.columns.is_empty() {
        return Err(FitError::NothingLeft { rows: rows.len(), dropped: record.dropped });
    }
    Ok(DesignMatrix::new(record)?)
}

fn check_rows(schema: &Schema, rows: &[&[Option<f64>]]) -> Result<(), FitError> {
    if rows.is_empty() {
        return Err(FitError::NoRows);
    }
    for (row, values) in rows.iter().enumerate() {
        if values.len() != schema.width() {
            return Err(FitError::Width { row, expected: schema.width(), found: values.len() });
        }
        for (name, value) in schema.names().zip(values.iter()) {
            if let Some(value) = value.filter(|value| value.is_nan() || value.abs() > LARGEST) {
                return Err(FitError::Unusable { row, input: name.into(), value });
            }
        }
    }
    Ok(())
}

/// A design in the making.
struct Fitting<'a> {
    rows: &'a [&'a [Option<f64>]],
    options: &'a DesignOptions,
    record: Record,
    /// Columns that come after those of all inputs.
    indicators: Vec<Column>,
}

impl Fitting<'_> {
    fn add_input(&mut self, position: usize, name: &str) {
        let rows = self.rows.len();
        let mut known: Vec<f64> = self.rows.iter().filter_map(|row| row.get(position).copied().flatten()).collect();
        known.sort_by(f64::total_cmp);
        let absent = rows - known.len();
        let missing = absent as f64 / rows as f64;
        let limit = self.options.max_missing;
        let clip = self.options.clip_quantile;
        let quantiles = [quantile(&known, clip), quantile(&known, 1.0 - clip), quantile(&known, 0.5)];
        let [Some(low), Some(high), Some(median)] = quantiles else {
            return self.drop(name, Degenerate::Missing { share: missing, limit });
        };
        if missing > limit {
            return self.drop(name, Degenerate::Missing { share: missing, limit });
        }
        let place = self.record.inputs.len();
        // rounding may put the median of a constant a hair outside its bounds
        let median = median.max(low).min(high);
        self.record.inputs.push(InputFit { name: name.into(), position, missing, low, high, median });
        let column = self.column(name.into(), Source::Value(place));
        let with_indicator = absent > 0 && missing >= self.options.indicator_min_missing;
        let indicator = with_indicator.then(|| self.column(format!("missing:{name}"), Source::Missing(place)));
        let used = [
            column.map(|column| self.record.columns.push(column)),
            indicator.flatten().map(|column| self.indicators.push(column)),
        ];
        if used.iter().all(Option::is_none) {
            self.record.inputs.pop();
        }
    }

    fn add_interaction(&mut self, left: &str, right: &str) {
        let name = format!("{left}*{right}");
        let place_of = |part: &str| {
            self.record.columns.iter().find(|column| *column.name == *part).and_then(|column| match column.source {
                Source::Value(place) => Some(place),
                Source::Missing(_) | Source::Product(..) => None,
            })
        };
        let (Some(a), Some(b)) = (place_of(left), place_of(right)) else {
            let part = if place_of(left).is_none() { left } else { right };
            return self.drop(&name, Degenerate::PartDropped { part: part.into() });
        };
        let repeats = |source: Source| source == Source::Product(a, b) || source == Source::Product(b, a);
        if self.record.columns.iter().any(|column| repeats(column.source)) {
            return self.drop(&name, Degenerate::Repeated);
        }
        if let Some(column) = self.column(name, Source::Product(a, b)) {
            self.record.columns.push(column);
        }
    }

    /// The column with its scale, unless it is constant: then it is put down as dropped.
    fn column(&mut self, name: String, source: Source) -> Option<Column> {
        let values: Vec<f64> = self.rows.iter().filter_map(|row| self.record.value(source, row)).collect();
        let low = values.iter().copied().reduce(f64::min)?;
        let high = values.iter().copied().reduce(f64::max)?;
        let spread = high - low;
        if spread < SMALLEST_SPREAD || spread <= NOISE * low.abs().max(high.abs()) {
            self.drop(&name, Degenerate::Constant { value: low });
            return None;
        }
        let (center, scale) = match self.options.scaling {
            Scaling::MinMax => (low, spread),
            Scaling::Standardise => mean_and_deviation(&values),
        };
        Some(Column { name: name.into(), source, center, scale })
    }

    fn drop(&mut self, column: &str, because: Degenerate) {
        self.record.dropped.push(Dropped { column: column.into(), because });
    }
}

/// Mean and population standard deviation.
fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / n;
    (mean, variance.sqrt())
}

/// The `q` quantile, 0 to 1, of values in ascending order: type 7. None of none.
fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    let place = q * sorted.len().checked_sub(1)? as f64;
    let below = sorted.get(place as usize).copied()?;
    let above = sorted.get(place as usize + 1).copied().unwrap_or(below);
    let share = place.fract();
    // from the nearer end, so that the result never leaves the two; as NumPy does
    Some(if share < 0.5 { below + (above - below) * share } else { above - (above - below) * (1.0 - share) })
}
