//! A matrix in blocks of rows, each column by column, so that sums over rows run over neighbours in memory and several at a
//! time. The order of every sum is fixed: the same input gives the same bits on every machine.

use ndarray::ArrayView2;

/// Rows of a block.
pub(super) const ROWS: usize = 64;
/// Sums that run beside each other.
const LANES: usize = 4;
/// Columns that are multiplied with one at a time.
const TILE: usize = 4;

/// One number a row of a block.
pub(super) type Strip = [f64; ROWS];
type Lanes = [f64; LANES];

/// The matrix with a column of ones in front. Rows are filled up to a whole block with zeros, the ones too.
pub(super) struct Blocks {
    strips: Vec<Strip>,
    width: usize,
}

/// `values`, one a row, by blocks, filled up with zeros.
pub(super) fn strips(values: impl Iterator<Item = f64>) -> Vec<Strip> {
    let (mut strips, mut row) = (Vec::with_capacity(values.size_hint().0.div_ceil(ROWS)), ROWS);
    for value in values {
        if row == ROWS {
            strips.push([0.0; ROWS]);
            row = 0;
        }
        if let Some(cell) = strips.last_mut().and_then(|strip| strip.get_mut(row)) {
            *cell = value;
        }
        row += 1;
    }
    strips
}

impl Blocks {
    /// Takes over the cells of `x`, which has at least one column.
    pub fn new(x: ArrayView2<'_, f64>) -> Self {
        let width = x.ncols() + 1;
        let mut strips = vec![[0.0; ROWS]; x.nrows().div_ceil(ROWS) * width];
        for (row, cells) in x.rows().into_iter().enumerate() {
            let (block, row) = (row / ROWS * width, row % ROWS);
            let Some((ones, columns)) = strips.get_mut(block..block + width).and_then(<[Strip]>::split_first_mut)
            else {
                continue;
            };
            ones[row] = 1.0;
            columns.iter_mut().zip(cells).for_each(|(strip, cell)| strip[row] = *cell);
        }
        Self { strips, width }
    }

    /// Columns, the ones included.
    pub fn width(&self) -> usize {
        self.width
    }

    fn blocks(&self) -> impl Iterator<Item = &[Strip]> {
        self.strips.chunks_exact(self.width)
    }

    /// X `by`.
    pub fn times(&self, by: &[f64]) -> Vec<Strip> {
        self.blocks().map(|block| combine(block, by)).collect()
    }

    /// X `by`, and X'v, where `v` makes a strip of v of the number of the block and its strip of X `by`.
    pub fn there_and_back(&self, by: &[f64], mut v: impl FnMut(usize, &Strip) -> Strip) -> (Vec<Strip>, Vec<f64>) {
        let (mut there, mut back) =
            (Vec::with_capacity(self.strips.len() / self.width), vec![[0.0; LANES]; self.width]);
        for (number, block) in self.blocks().enumerate() {
            let strip = combine(block, by);
            let v = v(number, &strip);
            back.iter_mut().zip(block).for_each(|(sums, column)| add_products(sums, &v, column));
            there.push(strip);
        }
        (there, back.iter().map(total).collect())
    }

    /// Per column the sum of w |x|.
    pub fn sizes(&self, w: &[Strip]) -> Vec<f64> {
        let mut sums = vec![[0.0; LANES]; self.width];
        for (block, w) in self.blocks().zip(w) {
            sums.iter_mut().zip(block).for_each(|(sums, column)| add_products(sums, w, &column.map(f64::abs)));
        }
        sums.iter().map(total).collect()
    }

    /// The lower triangle of X' diag(w) X, row after row: i + 1 numbers of row i.
    pub fn gram(&self, w: impl Iterator<Item = Strip>) -> Vec<f64> {
        let mut sums = vec![[0.0; LANES]; self.width * (self.width + 1) / 2];
        for (block, w) in self.blocks().zip(w) {
            let mut rest = sums.as_mut_slice();
            for (i, column) in block.iter().enumerate() {
                let scaled = product(&w, column);
                let (row, below) = std::mem::take(&mut rest).split_at_mut((i + 1).min(self.width));
                rest = below;
                let (tiles, last) = row.as_chunks_mut::<TILE>();
                let (columns, last_columns) = block.get(..=i).unwrap_or_default().as_chunks::<TILE>();
                tiles.iter_mut().zip(columns).for_each(|(sums, columns)| add_tile(sums, &scaled, columns));
                last.iter_mut().zip(last_columns).for_each(|(sums, column)| add_products(sums, &scaled, column));
            }
        }
        sums.iter().map(total).collect()
    }
}

fn combine(block: &[Strip], by: &[f64]) -> Strip {
    let mut sum = [0.0; ROWS];
    for (column, by) in block.iter().zip(by) {
        for (sum, x) in sum.iter_mut().zip(column) {
            *sum += by * x;
        }
    }
    sum
}

fn product(a: &Strip, b: &Strip) -> Strip {
    let mut product = [0.0; ROWS];
    for ((product, a), b) in product.iter_mut().zip(a).zip(b) {
        *product = a * b;
    }
    product
}

fn add_products(sums: &mut Lanes, a: &Strip, b: &Strip) {
    let mut own = *sums;
    for (a, b) in a.as_chunks::<LANES>().0.iter().zip(b.as_chunks::<LANES>().0) {
        for ((sum, a), b) in own.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    *sums = own;
}

/// The same for several columns, so that `a` is read once.
fn add_tile(sums: &mut [Lanes; TILE], a: &Strip, columns: &[Strip; TILE]) {
    let mut own = *sums;
    let [c0, c1, c2, c3] = columns.each_ref().map(|column| column.as_chunks::<LANES>().0.iter());
    let [s0, s1, s2, s3] = &mut own;
    for ((((a, c0), c1), c2), c3) in a.as_chunks::<LANES>().0.iter().zip(c0).zip(c1).zip(c2).zip(c3) {
        for (sums, c) in [(&mut *s0, c0), (&mut *s1, c1), (&mut *s2, c2), (&mut *s3, c3)] {
            for ((sum, a), c) in sums.iter_mut().zip(a).zip(c) {
                *sum += a * c;
            }
        }
    }
    *sums = own;
}

fn total(sums: &Lanes) -> f64 {
    let [a, b, c, d] = *sums;
    (a + b) + (c + d)
}
