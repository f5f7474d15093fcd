//! Training rows column by column, checked and put in order once, so that many designs can be fitted on parts of them.

use super::{design::is_usable, fit::FitError, row::Schema};

/// Rows of inputs, column by column.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    rows: usize,
    /// The inputs one after the other; NaN where one is missing, which no value is.
    cells: Vec<f64>,
    /// Per input the rows where it is known, ascending by its value.
    orders: Vec<Vec<u32>>,
}

/// Rows of a table, one input of them perhaps from other rows.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    table: &'a Table,
    rows: &'a [usize],
    swapped: Option<(usize, &'a [usize])>,
}

/// Which rows of a table count, and how often each.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Row numbers, each once.
    pub rows: Vec<usize>,
    /// How often each counts, a whole number of at least 1.
    pub times: Vec<f64>,
    /// Rows, with the repeats.
    pub total: usize,
}

impl Table {
    /// Takes over `rows`, each with one value per input of `schema`.
    ///
    /// # Errors
    /// [`FitError::Width`] and [`FitError::Unusable`] name the first row at fault.
    pub fn new(schema: &Schema, rows: &[&[Option<f64>]]) -> Result<Self, FitError> {
        let mut cells = vec![f64::NAN; schema.width() * rows.len()];
        for (place, row) in rows.iter().enumerate() {
            if row.len() != schema.width() {
                return Err(FitError::Width { row: place, expected: schema.width(), found: row.len() });
            }
            let columns = cells.chunks_exact_mut(rows.len());
            for ((column, name), value) in columns.zip(schema.names()).zip(row.iter()) {
                let Some(value) = *value else { continue };
                if !is_usable(value) {
                    return Err(FitError::Unusable { row: place, input: name.into(), value });
                }
                column[place] = value;
            }
        }
        let order = |column: &[f64]| {
            let mut known: Vec<(f64, u32)> = column.iter().copied().zip(0..).filter(|(x, _)| !x.is_nan()).collect();
            known.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
            known.into_iter().map(|(_, row)| row).collect()
        };
        let orders = cells.chunks_exact(rows.len().max(1)).map(order).collect();
        Ok(Self { rows: rows.len(), cells, orders })
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Inputs of a row.
    pub(super) fn width(&self) -> usize {
        self.orders.len()
    }

    /// An input in all rows, and the rows where it is known, ascending by its value.
    pub(super) fn input(&self, position: usize) -> Option<(&[f64], &[u32])> {
        self.cells.chunks_exact(self.rows.max(1)).nth(position).zip(self.orders.get(position).map(Vec::as_slice))
    }

    /// Those of `rows` that exist are rows of this table; one that does not knows nothing.
    pub fn rows<'a>(&'a self, rows: &'a [usize]) -> Rows<'a> {
        Rows { table: self, rows, swapped: None }
    }
}

impl<'a> Rows<'a> {
    /// The same, with the input at `position` from `others`, as many rows of the same table.
    pub fn with_input_of(self, position: usize, others: &'a [usize]) -> Self {
        Self { swapped: Some((position, others)), ..self }
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Inputs of a row.
    pub(super) fn width(&self) -> usize {
        self.table.width()
    }

    /// The input at `position` in the row at `place`; `None` where it is missing.
    pub fn value(&self, place: usize, position: usize) -> Option<f64> {
        let (values, rows) = self.input(position)?;
        values.get(*rows.get(place)?).copied().filter(|value| !value.is_nan())
    }

    /// All values of an input, and which of them are those of these rows.
    pub(super) fn input(&self, position: usize) -> Option<(&'a [f64], &'a [usize])> {
        let rows = match self.swapped {
            Some((swapped, others)) if swapped == position => others,
            _ => self.rows,
        };
        Some((self.table.input(position)?.0, rows))
    }
}

impl Sample {
    /// `rows`, of which neighbours that are the same are one that counts more.
    pub fn new(rows: &[usize]) -> Self {
        let (mut distinct, mut times) = (Vec::with_capacity(rows.len()), Vec::<f64>::with_capacity(rows.len()));
        let mut last = None;
        for row in rows {
            match times.last_mut() {
                Some(times) if last == Some(*row) => *times += 1.0,
                _ => {
                    distinct.push(*row);
                    times.push(1.0);
                    last = Some(*row);
                }
            }
        }
        Self { rows: distinct, times, total: rows.len() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::row::BUILT_IN;

    #[test]
    fn a_table_has_each_value_once_and_its_order_whatever_is_missing() {
        let rows: Vec<Vec<Option<f64>>> = [Some(2.0), None, Some(-1.0), Some(2.0)]
            .map(|value| [vec![value], vec![None; BUILT_IN - 1]].concat())
            .to_vec();
        let views: Vec<&[Option<f64>]> = rows.iter().map(Vec::as_slice).collect();
        let table = Table::new(&Schema::built_in(), &views).unwrap();
        assert_eq!((table.len(), table.width()), (4, BUILT_IN));
        let (_, order) = table.input(0).unwrap();
        assert_eq!(order.len(), 3);
        assert_eq!(order[0], 2);
        assert!(table.input(1).unwrap().1.is_empty() && table.input(BUILT_IN).is_none());
        let picked = table.rows(&[3, 1, 9]).with_input_of(1, &[0, 0, 0]);
        let values: Vec<_> = (0..4).map(|place| picked.value(place, 0)).collect();
        assert_eq!(values, [Some(2.0), None, None, None]);
        let swapped = table.rows(&[1, 1]).with_input_of(0, &[2, 0]);
        assert_eq!((swapped.value(0, 0), swapped.value(1, 0)), (Some(-1.0), Some(2.0)));
        assert!(Table::new(&Schema::built_in(), &[]).unwrap().is_empty());
    }

    #[test]
    fn repeats_are_counted() {
        let sample = Sample::new(&[2, 2, 5, 9, 9, 9]);
        assert_eq!((sample.rows, sample.times, sample.total), (vec![2, 5, 9], vec![2.0, 1.0, 3.0], 6));
    }
}
