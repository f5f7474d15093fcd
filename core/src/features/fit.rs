//! Fitting a design matrix on training rows. It sees those rows and nothing else.
//!
//! Rows are as they come from a [`super::pipeline::Pipeline`]: carried forward and turned to one side. The share of
//! missing values is thus what is missing *after* carrying forward, which is what the model sees in service; a missing
//! indicator means "not known, and not known recently".

use super::{
    DesignOptions, Scaling,
    columns::{extremes, mean_and_deviation, quantiles},
    design::{Degenerate, DesignMatrix, Dropped, FORMAT},
    record::{Column, InputFit, Record, Source, missing},
    row::{BUILT_IN, Schema},
    table::{Sample, Table},
};

pub use super::fit_error::FitError;

/// A spread below this share of the magnitude is rounding noise around a constant.
const NOISE: f64 = 1e-12;

/// A spread of a feature or of the confidence, whose ranges are known, below this is residue of how it was computed, also
/// where its magnitude is next to nothing.
const RESIDUE: f64 = 1e-6;

/// A spread below this would vanish when squared.
const SMALLEST_SPREAD: f64 = 1e-60;

/// Fits a design on `rows`, each with one value per input of `schema`; see [`fit_sample`].
///
/// # Errors
/// [`FitError`] when the rows cannot be used or nothing is left of them.
pub fn fit(schema: &Schema, rows: &[&[Option<f64>]], options: &DesignOptions) -> Result<DesignMatrix, FitError> {
    let all: Vec<usize> = (0..rows.len()).collect();
    fit_sample(schema, &Table::new(schema, rows)?, &Sample::new(&all), options)
}

/// Fits a design on a sample of the rows of a table of `schema`.
///
/// Quantiles are linear between order statistics (type 7 of Hyndman and Fan 1996, NumPy's default) over the known
/// values; the median is of them too. Standardising uses the population standard deviation. Dropped, and listed in
/// [`DesignMatrix::dropped`]: an input missing in more than `max_missing` of the rows, any column that is constant once
/// clipped and imputed, an interaction with a dropped part. An input that is constant where it is known keeps its
/// missing indicator, which is not constant.
///
/// # Errors
/// [`FitError`] when the sample is empty, names a row that is not there, or nothing is left of it.
pub fn fit_sample(
    schema: &Schema,
    table: &Table,
    sample: &Sample,
    options: &DesignOptions,
) -> Result<DesignMatrix, FitError> {
    if sample.total == 0 {
        return Err(FitError::NoRows);
    }
    let mut counts = vec![0; table.len()];
    for (row, times) in sample.rows.iter().zip(&sample.times) {
        match counts.get_mut(*row) {
            Some(count) => *count += *times as u32,
            None => return Err(FitError::NoSuchRow { row: *row, rows: table.len() }),
        }
    }
    let record = Record {
        format: FORMAT,
        row_width: schema.width(),
        training_rows: sample.total,
        inputs: Vec::new(),
        columns: Vec::new(),
        dropped: Vec::new(),
    };
    let mut fitting = Fitting { table, sample, counts, options, record, indicators: Vec::new(), values: Vec::new() };
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
        return Err(FitError::NothingLeft { rows: sample.total, dropped: record.dropped });
    }
    Ok(DesignMatrix::new(record)?)
}

/// A design in the making.
struct Fitting<'a> {
    table: &'a Table,
    sample: &'a Sample,
    /// Per row of the table how often it counts.
    counts: Vec<u32>,
    options: &'a DesignOptions,
    record: Record,
    /// Columns that come after those of all inputs.
    indicators: Vec<Column>,
    /// Room for the values of a column.
    values: Vec<f64>,
}

impl Fitting<'_> {
    fn add_input(&mut self, position: usize, name: &str) {
        let rows = self.sample.total;
        let Some((values, order)) = self.table.input(position) else { return };
        let count = |row: &u32| self.counts.get(*row as usize).map_or(0, |count| *count as usize);
        let known = if order.len() == self.table.len() { rows } else { order.iter().map(count).sum() };
        let absent = rows - known;
        let missing = absent as f64 / rows as f64;
        let limit = self.options.max_missing;
        let value = |row: u32| values.get(row as usize).copied();
        let quantiles = quantiles(order, &self.counts, known, self.options.clip_quantile, value);
        let Some([low, median, high]) = quantiles else {
            return self.drop(name, Degenerate::Missing { share: missing, limit });
        };
        if missing > limit {
            return self.drop(name, Degenerate::Missing { share: missing, limit });
        }
        let place = self.record.inputs.len();
        // rounding may put the median of a constant a hair outside its bounds
        let median = median.max(low).min(high);
        self.record.inputs.push(InputFit { name: name.into(), position, missing, low, high, median });
        let least = if position < BUILT_IN { RESIDUE } else { SMALLEST_SPREAD };
        let column = self.column(name.into(), Source::Value(place), least);
        let with_indicator = absent > 0 && missing >= self.options.indicator_min_missing;
        let indicator =
            with_indicator.then(|| self.column(format!("missing:{name}"), Source::Missing(place), SMALLEST_SPREAD));
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
        let built_in = |place: usize| self.record.inputs.get(place).is_some_and(|input| input.position < BUILT_IN);
        let least = if built_in(a) && built_in(b) { RESIDUE } else { SMALLEST_SPREAD };
        if let Some(column) = self.column(name, Source::Product(a, b), least) {
            self.record.columns.push(column);
        }
    }

    /// The column with its scale, unless it is constant, its spread below `least`: then it is put down as dropped.
    fn column(&mut self, name: String, source: Source, least: f64) -> Option<Column> {
        let mut values = std::mem::take(&mut self.values);
        self.fill(&mut values, source);
        let column = self.scaled(name, source, &values, least);
        self.values = values;
        column
    }

    fn scaled(&mut self, name: String, source: Source, values: &[f64], least: f64) -> Option<Column> {
        let (low, high) = extremes(values)?;
        let spread = high - low;
        if spread < least || spread <= NOISE * low.abs().max(high.abs()) {
            self.drop(&name, Degenerate::Constant { value: low });
            return None;
        }
        let (center, scale) = match self.options.scaling {
            Scaling::MinMax => (low, spread),
            Scaling::Standardise => mean_and_deviation(values, &self.sample.times, self.sample.total as f64),
        };
        Some(Column { name: name.into(), source, center, scale })
    }

    /// The unscaled values of a column in the rows of the sample, as [`Record::value`] has them row by row.
    fn fill(&self, values: &mut Vec<f64>, source: Source) {
        values.clear();
        let parts = |input: usize| {
            let input = self.record.inputs.get(input)?;
            Some((self.table.input(input.position)?.0, input))
        };
        let rows = || self.sample.rows.iter();
        let at = |values: &[f64], row: usize| values.get(row).copied().unwrap_or(f64::NAN);
        match source {
            Source::Value(input) => {
                let Some((all, input)) = parts(input) else { return };
                values.extend(rows().map(|row| input.imputed(at(all, *row))));
            }
            Source::Missing(input) => {
                let Some((all, _)) = parts(input) else { return };
                values.extend(rows().map(|row| missing(at(all, *row))));
            }
            Source::Product(left, right) => {
                let Some(((a, left), (b, right))) = parts(left).zip(parts(right)) else { return };
                values.extend(rows().map(|row| left.imputed(at(a, *row)) * right.imputed(at(b, *row))));
            }
        }
    }

    fn drop(&mut self, column: &str, because: Degenerate) {
        self.record.dropped.push(Dropped { column: column.into(), because });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::{Carry, design::InvalidRow};

    fn options() -> DesignOptions {
        DesignOptions {
            scaling: Scaling::MinMax,
            clip_quantile: 0.0,
            indicator_min_missing: 0.01,
            max_missing: 0.99,
            fill_max_age_hours: 23.0,
            carry: Carry::default(),
            interactions: Vec::new(),
            extra: vec!["x".to_owned(), "y".to_owned()],
            derived: Vec::new(),
        }
    }

    fn pair(left: &str, right: &str) -> (String, String) {
        (left.to_owned(), right.to_owned())
    }

    /// Rows in which only the extras x and y may be known.
    fn rows(pairs: &[(Option<f64>, Option<f64>)]) -> Vec<Vec<Option<f64>>> {
        pairs.iter().map(|(x, y)| [vec![None; BUILT_IN], vec![*x, *y]].concat()).collect()
    }

    fn fitted(pairs: &[(Option<f64>, Option<f64>)], options: &DesignOptions) -> Result<DesignMatrix, FitError> {
        let rows = rows(pairs);
        let rows: Vec<&[Option<f64>]> = rows.iter().map(Vec::as_slice).collect();
        fit(&Schema::new(&options.extra).unwrap(), &rows, options)
    }

    fn names(design: &DesignMatrix) -> Vec<&str> {
        design.names().collect()
    }

    fn transformed(design: &DesignMatrix, x: Option<f64>, y: Option<f64>) -> Vec<f64> {
        let mut columns = Vec::new();
        design.transform(&rows(&[(x, y)])[0], &mut columns).unwrap();
        columns
    }

    /// `missing` rows of a hundred lack x; y is always known.
    fn hundred(missing: usize) -> Vec<(Option<f64>, Option<f64>)> {
        (0..100).map(|i| ((i >= missing).then_some(i as f64), Some(i as f64))).collect()
    }

    #[test]
    fn an_indicator_is_added_from_one_per_cent_and_a_column_dropped_beyond_ninety_nine() {
        let columns = |missing| {
            let mut rows = hundred(missing);
            rows[99].0 = rows[99].0.map(|_| -1.0); // so that two known values differ
            names(&fitted(&rows, &options()).unwrap()).join(" ")
        };
        assert_eq!(columns(0), "x y");
        assert_eq!(columns(1), "x y missing:x");
        assert_eq!(columns(98), "x y missing:x");
        assert_eq!(columns(99), "y missing:x"); // known once, so constant; that it is known still says something
        assert_eq!(columns(100), "y");
        let mut strict = options();
        (strict.indicator_min_missing, strict.max_missing) = (0.02, 0.5);
        assert_eq!(names(&fitted(&hundred(1), &strict).unwrap()), ["x", "y"]);
        assert_eq!(names(&fitted(&hundred(50), &strict).unwrap()), ["x", "y", "missing:x"]);
        assert_eq!(names(&fitted(&hundred(51), &strict).unwrap()), ["y"]);
    }

    #[test]
    fn what_is_dropped_is_named_with_its_reason() {
        let mut options = options();
        options.interactions = vec![pair("y", "x"), pair("y", "y"), pair("y", "y"), pair("session_time", "y")];
        let design = fitted(&[(Some(3.0), Some(1.0)), (Some(3.0), Some(2.0))], &options).unwrap();
        assert_eq!(names(&design), ["y", "y*y"]);
        let warnings: Vec<String> = design.dropped().iter().skip(BUILT_IN).map(ToString::to_string).collect();
        assert_eq!(
            warnings,
            [
                "column x is dropped: it is 3 in all training rows",
                "column y*x is dropped: its part x was dropped",
                "column y*y is dropped: the same interaction is declared twice",
                "column session_time*y is dropped: its part session_time was dropped",
            ]
        );
        let missing = design.dropped()[0].to_string();
        let expected =
            "column vwap_trend_signal is dropped: it is missing in 100.0 % of the training rows, at most 99.0 % may be";
        assert_eq!(missing, expected);
        assert_eq!(design.inputs().collect::<Vec<_>>(), ["y"]);
    }

    #[test]
    fn a_column_that_only_an_outlier_moves_is_constant_once_clipped() {
        let mut rows = vec![(Some(1.0), Some(0.0)); 1000];
        (rows[0].0, rows[1].1) = (Some(1e9), Some(1.0));
        rows[2].1 = Some(1.0);
        let clipped = DesignOptions { clip_quantile: 0.0015, ..options() };
        assert_eq!(names(&fitted(&rows, &clipped).unwrap()), ["y"]);
        assert_eq!(names(&fitted(&rows, &options()).unwrap()), ["x", "y"]);
    }

    #[test]
    fn rounding_noise_around_a_constant_is_no_column() {
        let noise = [0.1 + 0.2, 0.3, 0.3].map(|x| (Some(x), None));
        assert!(
            matches!(fitted(&noise, &options()), Err(FitError::NothingLeft { rows: 3, dropped }) if dropped.len() == 15)
        );
    }

    #[test]
    fn residue_around_nothing_is_no_column() {
        let rows: Vec<Vec<Option<f64>>> = [0.0, 3e-13, 0.0, 1e-9]
            .iter()
            .enumerate()
            .map(|(row, residue)| {
                let mut values = vec![None; BUILT_IN + 2];
                (values[10], values[9]) = (Some(*residue), Some(row as f64 / 4.0));
                values
            })
            .collect();
        let rows: Vec<&[Option<f64>]> = rows.iter().map(Vec::as_slice).collect();
        let design = fit(&Schema::new(&options().extra).unwrap(), &rows, &options()).unwrap();
        assert_eq!(names(&design), ["session_time"]);
    }

    #[test]
    fn missing_becomes_the_median_and_outliers_the_bounds() {
        let rows: Vec<_> = [Some(0.0), Some(1.0), Some(10.0), None].map(|x| (x, Some(0.0))).to_vec();
        let mut rows = rows;
        rows[3].1 = Some(1.0);
        let design = fitted(&rows, &options()).unwrap();
        assert_eq!(names(&design), ["x", "y", "missing:x"]);
        assert_eq!(transformed(&design, None, Some(0.5)), [0.1, 0.5, 1.0]);
        assert_eq!(transformed(&design, Some(1e300), Some(-7.0)), [1.0, 0.0, 0.0]);
        assert_eq!(transformed(&design, Some(f64::NAN), Some(0.0)), [0.1, 0.0, 1.0]);
    }

    #[test]
    fn rows_that_cannot_be_used_are_refused_by_name() {
        assert_eq!(fitted(&[], &options()), Err(FitError::NoRows));
        for bad in [f64::NAN, f64::INFINITY, -1e61] {
            let error = fitted(&[(Some(1.0), None), (Some(2.0), Some(bad))], &options()).unwrap_err();
            assert!(matches!(&error, FitError::Unusable { row: 1, input, .. } if &**input == "y"), "{error}");
        }
        let schema = Schema::new(&[]).unwrap();
        let width = fit(&schema, &[&[None; BUILT_IN], &[None; 3]], &options());
        assert_eq!(width, Err(FitError::Width { row: 1, expected: BUILT_IN, found: 3 }));
        let unknown = DesignOptions { interactions: vec![pair("x", "vwap")], ..options() };
        let error = fitted(&[(Some(1.0), None), (Some(2.0), None)], &unknown).unwrap_err();
        assert!(error.to_string().contains("x*vwap: vwap is neither"), "{error}");
    }

    #[test]
    fn a_row_that_knows_nothing_but_its_confidence_is_refused() {
        let mut train = rows(&[(Some(1.0), None), (Some(2.0), None), (None, None)]);
        train.iter_mut().zip([0.5, 0.6, 0.7]).for_each(|(row, confidence)| row[12] = Some(confidence));
        let slices: Vec<&[Option<f64>]> = train.iter().map(Vec::as_slice).collect();
        let design = fit(&Schema::new(&options().extra).unwrap(), &slices, &options()).unwrap();
        assert_eq!(names(&design), ["confidence", "x", "missing:x"]);
        let mut columns = vec![1.0];
        let nothing = design.transform(slices[2], &mut columns);
        assert_eq!((nothing, columns.len()), (Err(InvalidRow::NothingKnown { inputs: 1 }), 0));
        assert_eq!(design.transform(slices[1], &mut columns), Ok(()));
    }
}
