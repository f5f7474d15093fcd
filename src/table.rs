//! Tables of typed columns, and the CSV and Parquet files that hold them.

mod read;

use std::{
    borrow::Cow,
    io::{self, Write},
    sync::Arc,
};

use parquet::{
    basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical},
    column::writer::ColumnWriterImpl,
    data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type},
    errors::ParquetError,
    file::{
        properties::WriterProperties,
        writer::{SerializedColumnWriter, SerializedFileWriter},
    },
    schema::types::{Type, TypePtr},
};

pub use self::read::ParquetSource;
use crate::domain::Timestamp;

/// A column; all columns of a table are of one length.
#[derive(Debug)]
pub struct Column {
    /// What it is called.
    pub name: String,
    /// What stands in it.
    pub cells: Cells,
}

/// The values of a column, `None` where one is missing.
#[derive(Debug)]
#[expect(missing_docs, reason = "one per sort")]
pub enum Cells {
    Yes(Vec<Option<bool>>),
    Whole(Vec<Option<i64>>),
    Real(Vec<Option<f64>>),
    Text(Vec<Option<String>>),
    /// In hexadecimal in a CSV file.
    Bytes(Vec<Option<Vec<u8>>>),
    /// Written to the microsecond, in UTC.
    Time(Vec<Option<Timestamp>>),
}

/// What the values of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "one per sort")]
pub enum Sort {
    Yes,
    Whole,
    Real,
    Text,
    Bytes,
    Time,
}

/// What a spreadsheet takes for the beginning of a formula, or passes over before one.
const FORMULA: [char; 7] = ['=', '+', '-', '@', '\t', '\r', '\n'];

fn csv_head(columns: &[Column], out: &mut dyn Write) -> io::Result<()> {
    csv_line(&mut columns.iter().map(|column| csv_text(&column.name)), out)
}

fn csv_rows(columns: &[Column], out: &mut dyn Write) -> io::Result<()> {
    for row in 0..columns.first().map_or(0, |column| column.cells.len()) {
        csv_line(&mut columns.iter().map(|column| column.cells.csv(row).unwrap_or_default()), out)?;
    }
    Ok(())
}

fn csv_line(cells: &mut dyn Iterator<Item = Cow<'_, str>>, out: &mut dyn Write) -> io::Result<()> {
    for (place, cell) in cells.enumerate() {
        let comma = if place > 0 { "," } else { "" };
        write!(out, "{comma}{cell}")?;
    }
    writeln!(out)
}

/// Text as a cell of a CSV file: no formula, and quoted where it must be.
fn csv_text(text: &str) -> Cow<'_, str> {
    let text = if text.starts_with(FORMULA) { Cow::Owned(format!("'{text}")) } else { Cow::Borrowed(text) };
    if text.contains([',', '"', '\n', '\r']) { Cow::Owned(format!("\"{}\"", text.replace('"', "\"\""))) } else { text }
}

/// Why a table was not written or read.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The file failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The table cannot be a Parquet file, or the file holds no such table.
    #[error(transparent)]
    Parquet(#[from] ParquetError),
}

/// A Parquet file that is written part by part: a row group each, gzipped pages, every column optional.
pub struct ParquetFile<W: Write + Send>(SerializedFileWriter<W>);

impl<W: Write + Send> ParquetFile<W> {
    fn begin(columns: &[Column], out: W) -> Result<Self, ParquetError> {
        let fields = columns.iter().map(Column::field).collect::<Result<Vec<_>, _>>()?;
        let schema = Type::group_type_builder("vigie").with_fields(fields).build()?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::GZIP(Default::default()))
            .set_created_by(concat!("vigie ", env!("CARGO_PKG_VERSION")).to_owned());
        Ok(Self(SerializedFileWriter::new(out, Arc::new(schema), Arc::new(properties.build()))?))
    }

    fn rows(&mut self, columns: &[Column]) -> Result<(), ParquetError> {
        let mut rows = self.0.next_row_group()?;
        for column in columns {
            let writer =
                rows.next_column()?.ok_or_else(|| ParquetError::General("a column is not in the schema".into()))?;
            column.cells.write(writer)?;
        }
        rows.close().map(drop)
    }

    fn end(self) -> Result<(), ParquetError> {
        self.0.close().map(drop)
    }
}

/// A table whose rows come part by part; each part has the columns of the first.
pub enum Parts<W: Write + Send> {
    /// Comma-separated values: a head with the names, then a line a row. Numbers read back as they were, yes and no are 1.0 and
    /// 0.0, a time is in UTC, what is missing is empty. Text that a spreadsheet would take for a formula stands behind an
    /// apostrophe. Every CSV file is written here.
    Csv(W),
    /// A Parquet file.
    Parquet(ParquetFile<W>),
}

impl<W: Write + Send> Parts<W> {
    /// A CSV file with the columns of `head`, which may be empty.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn csv(head: &[Column], mut out: W) -> Result<Self, TableError> {
        csv_head(head, &mut out)?;
        Ok(Self::Csv(out))
    }

    /// A Parquet file of the same.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn parquet(head: &[Column], out: W) -> Result<Self, TableError> {
        Ok(Self::Parquet(ParquetFile::begin(head, out)?))
    }

    /// Writes the next rows.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn rows(&mut self, columns: &[Column]) -> Result<(), TableError> {
        match self {
            Self::Csv(out) => Ok(csv_rows(columns, out)?),
            Self::Parquet(file) => Ok(file.rows(columns)?),
        }
    }

    /// Writes what stands behind the last row.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn end(self) -> Result<(), TableError> {
        match self {
            Self::Csv(_) => Ok(()),
            Self::Parquet(file) => Ok(file.end()?),
        }
    }
}

impl Column {
    /// A column.
    pub fn new(name: impl Into<String>, cells: Cells) -> Self {
        Self { name: name.into(), cells }
    }

    fn field(&self) -> Result<TypePtr, ParquetError> {
        let (physical, logical) = match self.cells {
            Cells::Yes(_) => (Physical::BOOLEAN, None),
            Cells::Whole(_) => (Physical::INT64, None),
            Cells::Real(_) => (Physical::DOUBLE, None),
            Cells::Text(_) => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
            Cells::Bytes(_) => (Physical::BYTE_ARRAY, None),
            Cells::Time(_) => (Physical::INT64, Some(LogicalType::timestamp(true, TimeUnit::MICROS))),
        };
        let field = Type::primitive_type_builder(&self.name, physical).with_repetition(Repetition::OPTIONAL);
        field.with_logical_type(logical).build().map(Arc::new)
    }
}

impl Cells {
    /// What its values are.
    pub fn sort(&self) -> Sort {
        match self {
            Self::Yes(_) => Sort::Yes,
            Self::Whole(_) => Sort::Whole,
            Self::Real(_) => Sort::Real,
            Self::Text(_) => Sort::Text,
            Self::Bytes(_) => Sort::Bytes,
            Self::Time(_) => Sort::Time,
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Yes(cells) => cells.len(),
            Self::Whole(cells) => cells.len(),
            Self::Real(cells) => cells.len(),
            Self::Text(cells) => cells.len(),
            Self::Bytes(cells) => cells.len(),
            Self::Time(cells) => cells.len(),
        }
    }

    /// The value in `row` as a CSV file has it; `None` when it is missing.
    fn csv(&self, row: usize) -> Option<Cow<'_, str>> {
        match self {
            Self::Yes(cells) => (*cells.get(row)?)?.then_some(Cow::Borrowed("1.0")).or(Some(Cow::Borrowed("0.0"))),
            Self::Whole(cells) => cells.get(row)?.map(|whole| Cow::Owned(whole.to_string())),
            Self::Real(cells) => cells.get(row)?.map(|real| Cow::Owned(format!("{real:?}"))),
            Self::Text(cells) => cells.get(row)?.as_deref().map(csv_text),
            Self::Bytes(cells) => {
                let bytes = cells.get(row)?.as_deref()?;
                Some(Cow::Owned(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
            }
            Self::Time(cells) => cells.get(row)?.map(|at| Cow::Owned(at.to_string())),
        }
    }

    fn write(&self, mut writer: SerializedColumnWriter<'_>) -> Result<(), ParquetError> {
        match self {
            Self::Yes(cells) => write_cells(writer.typed::<BoolType>(), cells, |yes| *yes)?,
            Self::Whole(cells) => write_cells(writer.typed::<Int64Type>(), cells, |whole| *whole)?,
            Self::Real(cells) => write_cells(writer.typed::<DoubleType>(), cells, |real| *real)?,
            Self::Text(cells) => write_cells(writer.typed::<ByteArrayType>(), cells, |text| ByteArray::from(&**text))?,
            Self::Bytes(cells) => {
                write_cells(writer.typed::<ByteArrayType>(), cells, |bytes| ByteArray::from(bytes.as_slice()))?;
            }
            Self::Time(cells) => write_cells(writer.typed::<Int64Type>(), cells, |at| at.as_microsecond())?,
        }
        writer.close()
    }
}

/// Values that are there, and for every row 1 where there is one, else 0.
fn write_cells<T: DataType, C>(
    writer: &mut ColumnWriterImpl<'_, T>,
    cells: &[Option<C>],
    value: impl Fn(&C) -> T::T,
) -> Result<(), ParquetError> {
    let values: Vec<T::T> = cells.iter().flatten().map(value).collect();
    let there: Vec<i16> = cells.iter().map(|cell| i16::from(cell.is_some())).collect();
    writer.write_batch(&values, Some(&there), None)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use parquet::{
        file::reader::{FileReader, SerializedFileReader},
        record::Field,
    };

    use super::*;

    fn parquet(columns: &[Column], file: &mut Vec<u8>) {
        let mut parts = Parts::parquet(columns, file).unwrap();
        parts.rows(columns).unwrap();
        parts.end().unwrap();
    }

    #[test]
    fn every_sort_of_column_is_read_back_as_it_was_and_what_is_missing_stays_missing() {
        let at: Timestamp = "2025-10-23T16:49:00.318123Z".parse().unwrap();
        let before: Timestamp = "1931-01-01T00:00:00.000001Z".parse().unwrap();
        let reals = [0.1 + 0.2, f64::MIN_POSITIVE, -1e300, -0.0];
        let columns = [
            Column::new("yes", Cells::Yes(vec![Some(true), None, Some(false), None])),
            Column::new("whole", Cells::Whole(vec![None, Some(i64::MIN), Some(i64::MAX), Some(0)])),
            Column::new("real", Cells::Real(reals.map(Some).to_vec())),
            Column::new("nothing", Cells::Real(vec![None; 4])),
            Column::new("a.b:c, d", Cells::Text(vec![Some("é\"\n".to_owned()), Some(String::new()), None, None])),
            Column::new("bytes", Cells::Bytes(vec![Some(vec![0, 255]), None, Some(Vec::new()), None])),
            Column::new("at", Cells::Time(vec![Some(at), None, Some(before), None])),
        ];
        let mut file = Vec::new();
        parquet(&columns, &mut file);
        let reader = SerializedFileReader::new(Bytes::from(file)).unwrap();
        let rows: Vec<Vec<(String, Field)>> =
            reader.get_row_iter(None).unwrap().map(|row| row.unwrap().into_columns()).collect();
        assert_eq!(rows.len(), 4);
        for (number, row) in rows.iter().enumerate() {
            for (column, (name, field)) in columns.iter().zip(row) {
                let wanted = match &column.cells {
                    Cells::Yes(cells) => cells[number].map(Field::Bool),
                    Cells::Whole(cells) => cells[number].map(Field::Long),
                    Cells::Real(cells) => cells[number].map(Field::Double),
                    Cells::Text(cells) => cells[number].clone().map(Field::Str),
                    Cells::Bytes(cells) => cells[number].clone().map(|bytes| Field::Bytes(bytes.into())),
                    Cells::Time(cells) => cells[number].map(|at| Field::TimestampMicros(at.as_microsecond())),
                };
                assert_eq!((name, field), (&column.name, &wanted.unwrap_or(Field::Null)), "row {number}");
            }
        }
        // minus zero is not zero
        assert!(matches!(rows[3][2].1, Field::Double(zero) if zero.is_sign_negative()));
    }

    #[test]
    fn a_file_is_read_part_by_part_and_a_damaged_one_is_an_error() {
        let part = |from: i64| {
            [
                Column::new("number", Cells::Whole((from..from + 100).map(Some).collect())),
                Column::new("text", Cells::Text((0..100).map(|n| (n % 3 > 0).then(|| format!("text {n}"))).collect())),
            ]
        };
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let mut parts = Parts::parquet(&part(0), file.as_file_mut()).unwrap();
        parts.rows(&part(7)).unwrap();
        parts.rows(&part(200)).unwrap();
        parts.end().unwrap();
        let whole = std::fs::read(file.path()).unwrap();
        let open = |bytes: &[u8]| {
            std::fs::write(file.path(), bytes).unwrap();
            ParquetSource::open(std::fs::File::open(file.path()).unwrap())
        };
        let source = open(&whole).unwrap();
        assert_eq!((source.parts(), source.span(1, "number"), source.span(2, "number")), (2, Some(200..=299), None));
        assert_eq!(source.whole(0, "number").unwrap(), (7..107).map(Some).collect::<Vec<_>>());
        let texts = source.bytes(1, "text").unwrap();
        assert_eq!((texts.len(), texts[0].clone(), texts[1].as_deref()), (100, None, Some(&b"text 1"[..])));
        assert!(source.bytes(0, "other").unwrap_err().to_string().contains("no column other"));
        assert!(open(&whole[..whole.len() - 1]).is_err() && open(b"").is_err());
        let same = |source: &ParquetSource| {
            let read = |part| Some((source.whole(part, "number").ok()?, source.bytes(part, "text").ok()?));
            read(0).zip(read(1))
        };
        let said = same(&open(&whole).unwrap()).unwrap();
        let mut refused = 0;
        for place in (4..whole.len()).step_by(3) {
            let mut bytes = whole.clone();
            bytes[place] ^= 0x55;
            // whatever it is read as, it is no panic
            match open(&bytes).ok().as_ref().and_then(same) {
                Some(read) if read == said => {}
                _ => refused += 1,
            }
        }
        assert!(refused > 50, "{refused}");
    }

    #[test]
    fn no_text_in_a_csv_file_is_a_formula_and_numbers_are_numbers() {
        let at: Timestamp = "2025-10-23T16:49:00.318123456Z".parse().unwrap();
        let texts =
            ["=1+1", "+1", "-2", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "a=1", "a,b", "say \"x\"", "=cmd|' /C calc'!A0,1"];
        let count = texts.len();
        let columns = [
            Column::new("=head", Cells::Text(texts.map(|text| Some(text.to_owned())).to_vec())),
            Column::new("real", Cells::Real(vec![Some(-0.1); count])),
            Column::new("whole", Cells::Whole(vec![Some(-3); count])),
            Column::new("yes", Cells::Yes([vec![None], vec![Some(true); count - 1]].concat())),
            Column::new("at", Cells::Time(vec![Some(at); count])),
        ];
        let mut file = Vec::new();
        Parts::csv(&columns, &mut file).unwrap().rows(&columns).unwrap();
        let rest = |yes: &str| format!(",-0.1,-3,{yes},2025-10-23T16:49:00.318123456Z\n");
        let expected = [
            "'=1+1",
            "'+1",
            "'-2",
            "'@SUM(A1)",
            "'\t=1",
            "\"'\r=1\"",
            "\"'\n=1\"",
            "a=1",
            "\"a,b\"",
            "\"say \"\"x\"\"\"",
            "\"'=cmd|' /C calc'!A0,1\"",
        ];
        let lines =
            expected.iter().enumerate().map(|(n, text)| format!("{text}{}", rest(if n == 0 { "" } else { "1.0" })));
        assert_eq!(
            String::from_utf8(file).unwrap(),
            format!("'=head,real,whole,yes,at\n{}", lines.collect::<String>())
        );
    }

    #[test]
    fn a_table_without_rows_is_a_file_with_its_columns() {
        let mut file = Vec::new();
        parquet(&[Column::new("at", Cells::Time(Vec::new()))], &mut file);
        let reader = SerializedFileReader::new(Bytes::from(file)).unwrap();
        let metadata = reader.metadata().file_metadata();
        assert_eq!((metadata.num_rows(), metadata.schema_descr().column(0).name()), (0, "at"));
    }
}
