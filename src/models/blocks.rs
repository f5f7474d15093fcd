//! A matrix in blocks of rows, each column by column, so that sums over rows run over neighbours in memory and several at a
//! time. The order of every sum is fixed: the same input gives the same bits on every machine.

use ndarray::ArrayView2;
use pulp::Arch;

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

/// What `fill` makes of each of `values`, by blocks, filled up with zeros.
pub(super) fn strips<T>(values: &[T], fill: impl Fn(&T) -> f64) -> Vec<Strip> {
    let strip = |values: &[T]| {
        let mut strip = [0.0; ROWS];
        strip.iter_mut().zip(values).for_each(|(cell, value)| *cell = fill(value));
        strip
    };
    values.chunks(ROWS).map(strip).collect()
}

impl Blocks {
    /// Takes over the cells of `x`, which has at least one column, and finds per column, the ones' first, the sum of w |x| and
    /// X'v while they are at hand.
    pub fn new(x: ArrayView2<'_, f64>, w: &[Strip], v: &[Strip]) -> (Self, Vec<f64>, Vec<f64>) {
        let (width, x) = (x.ncols() + 1, x.as_standard_layout());
        let cells = x.as_slice().unwrap_or_default(); // there is one: that is the layout
        let mut strips = vec![[0.0; ROWS]; x.nrows().div_ceil(ROWS) * width];
        let mut sizes = vec![[0.0; LANES]; width];
        let mut back = sizes.clone();
        fast(
            #[inline(always)]
            || {
                let rows = cells.chunks(ROWS * (width - 1));
                for (((block, cells), w), v) in strips.chunks_exact_mut(width).zip(rows).zip(w).zip(v) {
                    fill(block, cells);
                    for ((sizes, back), column) in sizes.iter_mut().zip(&mut back).zip(&*block) {
                        add_products(sizes, w, &column.map(f64::abs));
                        add_products(back, v, column);
                    }
                }
            },
        );
        let totals = |sums: Vec<Lanes>| sums.iter().map(total).collect();
        (Self { strips, width }, totals(sizes), totals(back))
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
        fast(
            #[inline(always)]
            || self.blocks().map(|block| combine(block, by)).collect(),
        )
    }

    /// X `by`, and X'v, where `v` makes a strip of v of the number of the block and its strip of X `by`.
    pub fn there_and_back(&self, by: &[f64], mut v: impl FnMut(usize, &Strip) -> Strip) -> (Vec<Strip>, Vec<f64>) {
        fast(
            #[inline(always)]
            || {
                let mut there = Vec::with_capacity(self.strips.len() / self.width);
                let mut back = vec![[0.0; LANES]; self.width];
                for (number, block) in self.blocks().enumerate() {
                    let strip = combine(block, by);
                    let v = v(number, &strip);
                    for (sums, column) in back.iter_mut().zip(block) {
                        add_products(sums, &v, column);
                    }
                    there.push(strip);
                }
                (there, back.iter().map(total).collect())
            },
        )
    }

    /// How many blocks there are.
    pub fn count(&self) -> usize {
        self.strips.len() / self.width
    }

    /// The lower triangle of X' diag(w) X, row after row: i + 1 numbers of row i. Of every `nth` block only, the first among
    /// them.
    pub fn gram(&self, w: impl Iterator<Item = Strip>, nth: usize) -> Vec<f64> {
        let mut sums = vec![[0.0; LANES]; self.width * (self.width + 1) / 2];
        fast(
            #[inline(always)]
            || {
                for (block, w) in self.blocks().step_by(nth).zip(w) {
                    let mut rest = sums.as_mut_slice();
                    for (i, column) in block.iter().enumerate() {
                        let (row, below) = std::mem::take(&mut rest).split_at_mut((i + 1).min(self.width));
                        rest = below;
                        add_row(row, &product(&w, column), block);
                    }
                }
            },
        );
        sums.iter().map(total).collect()
    }
}

/// Does the same with the widest instructions that the machine has: the bits are the same, as none of them joins a multiplication
/// and an addition.
#[inline(always)]
fn fast<R>(work: impl FnOnce() -> R) -> R {
    Arch::new().dispatch(work)
}

/// Adds to each number of a row of the triangle its products of `a` and a column.
#[inline(always)]
fn add_row(row: &mut [Lanes], a: &Strip, columns: &[Strip]) {
    let (tiles, last) = row.as_chunks_mut::<TILE>();
    let (whole, rest) = columns.split_at((tiles.len() * TILE).min(columns.len()));
    // `for_each` would be a function of its own, without the wide instructions
    for (sums, columns) in tiles.iter_mut().zip(whole.as_chunks::<TILE>().0) {
        add_tile(sums, a, columns);
    }
    for (sums, column) in last.iter_mut().zip(rest) {
        add_products(sums, a, column);
    }
}

/// A block of the matrix from the rows of its cells, with the ones in front.
#[inline(always)]
fn fill(block: &mut [Strip], cells: &[f64]) {
    let Some((ones, columns)) = block.split_first_mut() else { return };
    for (row, (one, cells)) in ones.iter_mut().zip(cells.chunks_exact(columns.len())).enumerate() {
        *one = 1.0;
        columns.iter_mut().zip(cells).for_each(|(strip, cell)| strip[row] = *cell);
    }
}

#[inline(always)]
fn combine(block: &[Strip], by: &[f64]) -> Strip {
    let mut sum = [0.0; ROWS];
    for (column, by) in block.iter().zip(by) {
        for (sum, x) in sum.iter_mut().zip(column) {
            *sum += by * x;
        }
    }
    sum
}

#[inline(always)]
fn product(a: &Strip, b: &Strip) -> Strip {
    let mut product = [0.0; ROWS];
    for ((product, a), b) in product.iter_mut().zip(a).zip(b) {
        *product = a * b;
    }
    product
}

#[inline(always)]
fn add_products(sums: &mut Lanes, a: &Strip, b: &Strip) {
    let mut own = *sums;
    for (a, b) in a.as_chunks::<LANES>().0.iter().zip(b.as_chunks::<LANES>().0) {
        own = std::array::from_fn(|lane| own[lane] + a[lane] * b[lane]);
    }
    *sums = own;
}

/// The same for several columns, so that `a` is read once.
#[inline(always)]
fn add_tile(sums: &mut [Lanes; TILE], a: &Strip, columns: &[Strip; TILE]) {
    let [mut s0, mut s1, mut s2, mut s3] = *sums;
    let [c0, c1, c2, c3] = columns.each_ref().map(|column| column.as_chunks::<LANES>().0.iter());
    for ((((a, c0), c1), c2), c3) in a.as_chunks::<LANES>().0.iter().zip(c0).zip(c1).zip(c2).zip(c3) {
        s0 = std::array::from_fn(|lane| s0[lane] + a[lane] * c0[lane]);
        s1 = std::array::from_fn(|lane| s1[lane] + a[lane] * c1[lane]);
        s2 = std::array::from_fn(|lane| s2[lane] + a[lane] * c2[lane]);
        s3 = std::array::from_fn(|lane| s3[lane] + a[lane] * c3[lane]);
    }
    *sums = [s0, s1, s2, s3];
}

fn total(sums: &Lanes) -> f64 {
    let [a, b, c, d] = *sums;
    (a + b) + (c + d)
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    #[test]
    fn sums_over_rows_are_those_of_the_plain_matrix_whatever_its_size() {
        let near = |found: f64, wanted: f64| assert!((found - wanted).abs() < 1e-9, "{found} is not {wanted}");
        for (rows, columns) in [(1, 1), (3, 2), (63, 3), (64, 4), (65, 7), (200, 8), (130, 13)] {
            let x = Array2::from_shape_fn((rows, columns), |(i, j)| ((i * 37 + j * 101 + 11) % 97) as f64 / 31.0 - 1.4);
            let w: Vec<f64> = (0..rows).map(|i| f64::from((i * 13 % 7) as u32)).collect();
            let by: Vec<f64> = (0..=columns).map(|j| 0.3 - j as f64 * 0.17).collect();
            let cell = |i: usize, j: usize| if j == 0 { 1.0 } else { x[[i, j - 1]] };
            let sum = |of: &dyn Fn(usize) -> f64| (0..rows).map(of).sum::<f64>();
            let weights = strips(&w, |w| *w);
            let (blocks, sizes, at_once) = Blocks::new(x.view(), &weights, &weights);
            let (there, back) = blocks.there_and_back(&by, |block, strip| product(&weights[block], strip));
            let times: Vec<f64> = (0..rows).map(|i| (0..=columns).map(|j| by[j] * cell(i, j)).sum()).collect();
            assert_eq!(there, blocks.times(&by));
            there.iter().flatten().zip(&times).for_each(|(found, wanted)| near(*found, *wanted));
            let gram = blocks.gram(weights.iter().copied(), 1);
            let mut gram = gram.into_iter();
            for i in 0..=columns {
                near(back[i], sum(&|row| w[row] * times[row] * cell(row, i)));
                near(sizes[i], sum(&|row| w[row] * cell(row, i).abs()));
                near(at_once[i], sum(&|row| w[row] * cell(row, i)));
                (0..=i).for_each(|j| near(gram.next().unwrap(), sum(&|row| w[row] * cell(row, i) * cell(row, j))));
            }
            assert_eq!((gram.next(), blocks.width()), (None, columns + 1));
        }
    }
}
