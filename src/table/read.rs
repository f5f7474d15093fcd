//! A Parquet file as [`Parts`](super::Parts) wrote it, read part by part.
#![deny(clippy::indexing_slicing)]

use std::{fs::File, ops::RangeInclusive};

use parquet::{
    column::reader::{ColumnReader, get_typed_column_reader},
    data_type::{ByteArrayType, DataType, Int64Type},
    errors::ParquetError,
    file::{
        reader::{FileReader, SerializedFileReader},
        statistics::Statistics,
    },
};

use super::TableError;
use crate::panics;

/// A Parquet file, open for reading. What it says is not trusted: a damaged file is an error.
pub struct ParquetSource(SerializedFileReader<File>);

impl ParquetSource {
    /// Reads what stands behind the last row.
    ///
    /// # Errors
    /// When this is no Parquet file.
    pub fn open(file: File) -> Result<Self, TableError> {
        Ok(Self(caught(|| SerializedFileReader::new(file))?))
    }

    /// How many parts there are.
    pub fn parts(&self) -> usize {
        self.0.metadata().num_row_groups()
    }

    /// The smallest and the largest whole number of a column of a part, as the file says.
    pub fn span(&self, part: usize, name: &str) -> Option<RangeInclusive<i64>> {
        let group = self.0.metadata().row_groups().get(part)?;
        let column = group.columns().iter().find(|column| column.column_path().string() == name)?;
        match column.statistics()? {
            Statistics::Int64(found) => Some(*found.min_opt()?..=*found.max_opt()?),
            _ => None,
        }
    }

    /// A column of whole numbers or of times, in microseconds, in one part.
    ///
    /// # Errors
    /// When there is none, or it is damaged.
    pub fn whole(&self, part: usize, name: &str) -> Result<Vec<Option<i64>>, TableError> {
        self.cells::<Int64Type, _>(part, name, |whole| *whole)
    }

    /// A column of texts or of bytes in one part.
    ///
    /// # Errors
    /// When there is none, or it is damaged.
    pub fn bytes(&self, part: usize, name: &str) -> Result<Vec<Option<Vec<u8>>>, TableError> {
        self.cells::<ByteArrayType, _>(part, name, |bytes| bytes.data().to_vec())
    }

    fn cells<T: DataType, C>(
        &self,
        part: usize,
        name: &str,
        cell: impl Fn(&T::T) -> C,
    ) -> Result<Vec<Option<C>>, TableError> {
        let missing = || ParquetError::General(format!("it has no column {name} in its part {part}"));
        let group = self.0.metadata().row_groups().get(part).ok_or_else(missing)?;
        let (rows, columns) = (usize::try_from(group.num_rows()).unwrap_or(0), group.columns());
        let place = columns.iter().position(|column| column.column_path().string() == name).ok_or_else(missing)?;
        caught(|| {
            let reader: ColumnReader = self.0.get_row_group(part)?.get_column_reader(place)?;
            let mut reader = get_typed_column_reader::<T>(reader);
            let (mut there, mut values) = (Vec::new(), Vec::new());
            loop {
                let before = there.len();
                reader.read_records(rows - before.min(rows), Some(&mut there), None, &mut values)?;
                if there.len() >= rows || there.len() == before {
                    break;
                }
            }
            let mut values = values.iter().map(cell);
            let cells: Vec<_> = there.iter().map(|there| if *there > 0 { values.next() } else { None }).collect();
            if cells.len() == rows {
                Ok(cells)
            } else {
                Err(ParquetError::General(format!("the column {name} is cut")))
            }
        })
    }
}

impl std::fmt::Debug for ParquetSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ParquetSource").finish_non_exhaustive()
    }
}

/// The library may panic over a damaged page.
fn caught<T>(work: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, TableError> {
    let done = panics::caught(work);
    Ok(done.unwrap_or_else(|said| Err(ParquetError::General(format!("it cannot be read: {said}"))))?)
}
