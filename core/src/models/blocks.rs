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
/// Rows of a block whose sums over columns stay in registers.
const PART: usize = 4 * LANES;

/// One number a row of a block.
pub(super) type Strip = [f64; ROWS];
/// A strip of zeros.
pub(super) const ZEROS: Strip = [0.0; ROWS];
type Lanes = [f64; LANES];

/// The matrix with a column of ones in front. Rows are filled up to a whole block with zeros, the ones too.
pub(super) struct Blocks {
    strips: Vec<Strip>,
    width: usize,
}

impl Blocks {
    /// Takes over the cells of `x`, which has at least one column, and finds per column, the ones' first, the sum of w |x| and
    /// X'v while they are at hand, where `w` and `v` make a strip of the number of a block.
    pub fn new(
        x: ArrayView2<'_, f64>,
        w: impl Fn(usize) -> Strip,
        v: impl Fn(usize) -> Strip,
    ) -> (Self, Vec<f64>, Vec<f64>) {
        let (width, x) = (x.ncols() + 1, x.as_standard_layout());
        let cells = x.as_slice().unwrap_or_default(); // there is one: that is the layout
        let mut strips = Vec::with_capacity(x.nrows().div_ceil(ROWS) * width);
        let mut block = vec![ZEROS; width];
        let mut sizes = vec![[0.0; LANES]; width];
        let mut back = sizes.clone();
        fast(
            #[inline(always)]
            || {
                let rows = cells.chunks(ROWS * (width - 1));
                for (number, cells) in rows.enumerate() {
                    if cells.len() < ROWS * (width - 1) {
                        block.fill(ZEROS);
                    }
                    fill(&mut block, cells);
                    add_columns(&mut sizes, &w(number), &block, f64::abs);
                    add_columns(&mut back, &v(number), &block, |x| x);
                    strips.extend_from_slice(&block);
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

    /// X'v, where `v` makes a strip of v of the number of the block and its strip of X `by`.
    pub fn there_and_back(&self, by: &[f64], mut v: impl FnMut(usize, &Strip) -> Strip) -> Vec<f64> {
        let mut back = vec![[0.0; LANES]; self.width];
        fast(
            #[inline(always)]
            || {
                for (number, block) in self.blocks().enumerate() {
                    add_columns(&mut back, &v(number, &combine(block, by)), block, |x| x);
                }
            },
        );
        back.iter().map(total).collect()
    }

    /// The sum over all rows of what `of` makes of the number of a block and its strip of X `by`.
    pub fn sum(&self, by: &[f64], of: impl Fn(usize, &Strip) -> Strip) -> f64 {
        let mut sum = [0.0; LANES];
        fast(
            #[inline(always)]
            || {
                for (number, block) in self.blocks().enumerate() {
                    // times the column of ones
                    add_columns(std::array::from_mut(&mut sum), &of(number, &combine(block, by)), block, |x| x);
                }
            },
        );
        total(&sum)
    }

    /// How many blocks there are.
    pub fn count(&self) -> usize {
        self.strips.len() / self.width
    }

    /// The lower triangle of X' diag(w) X, row after row: i + 1 numbers of row i, where `w` makes a strip of w of the number of the
    /// block and its strip of X `by`. Of every `nth` block only, the first among them.
    pub fn gram(&self, nth: usize, by: &[f64], mut w: impl FnMut(usize, &Strip) -> Strip) -> Vec<f64> {
        let mut sums = vec![[0.0; LANES]; self.width * (self.width + 1) / 2];
        fast(
            #[inline(always)]
            || {
                for (number, block) in self.blocks().enumerate().step_by(nth) {
                    let (w, mut rest) = (w(number, &combine(block, by)), sums.as_mut_slice());
                    for (i, column) in block.iter().enumerate() {
                        let (row, below) = std::mem::take(&mut rest).split_at_mut((i + 1).min(self.width));
                        rest = below;
                        add_columns(row, &product(&w, column), block, |x| x);
                    }
                }
            },
        );
        sums.iter().map(total).collect()
    }
}

/// Does the same with the widest instructions that the machine has. The bits are the same on all: a product that is added is
/// rounded once, by the instruction for that where there is one and else, slowly, by the library.
#[inline(always)]
fn fast<R>(work: impl FnOnce() -> R) -> R {
    Arch::new().dispatch(work)
}

/// Adds to each sum the product of `a` and what `of` makes of a column, for as many columns as there are sums.
#[inline(always)]
fn add_columns(sums: &mut [Lanes], a: &Strip, columns: &[Strip], of: impl Fn(f64) -> f64 + Copy) {
    let (tiles, last) = sums.as_chunks_mut::<TILE>();
    let (whole, rest) = columns.split_at((tiles.len() * TILE).min(columns.len()));
    // `for_each` would be a function of its own, without the wide instructions
    for (sums, columns) in tiles.iter_mut().zip(whole.as_chunks::<TILE>().0) {
        add_tile(sums, a, columns, of);
    }
    for (sums, column) in last.iter_mut().zip(rest) {
        add_tile(std::array::from_mut(sums), a, std::array::from_ref(column), of);
    }
}

/// A block of the matrix from the rows of its cells, with the ones in front.
#[inline(always)]
fn fill(block: &mut [Strip], cells: &[f64]) {
    let Some((ones, columns)) = block.split_first_mut() else { return };
    let width = columns.len();
    let rows = cells.len() / width;
    ones.iter_mut().take(rows).for_each(|one| *one = 1.0);
    let groups = cells.chunks_exact(LANES * width);
    let last = groups.remainder().chunks_exact(width);
    for (group, cells) in groups.enumerate() {
        let mut rows = cells.chunks_exact(width);
        let [Some(a), Some(b), Some(c), Some(d)] = std::array::from_fn(|_| rows.next()) else { return };
        turn(columns, group, [a, b, c, d]);
    }
    for (row, cells) in (rows / LANES * LANES..).zip(last) {
        columns.iter_mut().zip(cells).for_each(|(strip, cell)| strip[row] = *cell);
    }
}

/// Takes over as many rows as there are lanes, by squares, so that several cells move at a time.
#[inline(always)]
fn turn(columns: &mut [Strip], group: usize, [a, b, c, d]: [&[f64]; LANES]) {
    let (squares, last) = columns.as_chunks_mut::<LANES>();
    let [(a, a_last), (b, b_last), (c, c_last), (d, d_last)] = [a, b, c, d].map(|row| row.as_chunks::<LANES>());
    for ((((square, a), b), c), d) in squares.iter_mut().zip(a).zip(b).zip(c).zip(d) {
        for (lane, strip) in square.iter_mut().enumerate() {
            strip.as_chunks_mut::<LANES>().0[group] = [a[lane], b[lane], c[lane], d[lane]];
        }
    }
    for ((((strip, a), b), c), d) in last.iter_mut().zip(a_last).zip(b_last).zip(c_last).zip(d_last) {
        strip.as_chunks_mut::<LANES>().0[group] = [*a, *b, *c, *d];
    }
}

#[inline(always)]
fn combine(block: &[Strip], by: &[f64]) -> Strip {
    let mut sum = ZEROS;
    for (part, sums) in sum.as_chunks_mut::<PART>().0.iter_mut().enumerate() {
        let mut own = [0.0; PART];
        for (column, by) in block.iter().zip(by) {
            let cells = &column.as_chunks::<PART>().0[part];
            own = std::array::from_fn(|row| by.mul_add(cells[row], own[row]));
        }
        *sums = own;
    }
    sum
}

#[inline(always)]
fn product(a: &Strip, b: &Strip) -> Strip {
    let mut product = ZEROS;
    for ((product, a), b) in product.iter_mut().zip(a).zip(b) {
        *product = a * b;
    }
    product
}

/// Several columns at a time, so that `a` is read once and no sum waits for its last addition.
#[inline(always)]
fn add_tile<const N: usize>(sums: &mut [Lanes; N], a: &Strip, columns: &[Strip; N], of: impl Fn(f64) -> f64) {
    let mut own = *sums;
    let columns = columns.each_ref().map(|column| column.as_chunks::<LANES>().0);
    for (row, a) in a.as_chunks::<LANES>().0.iter().enumerate() {
        for (own, column) in own.iter_mut().zip(&columns) {
            *own = std::array::from_fn(|lane| a[lane].mul_add(of(column[row][lane]), own[lane]));
        }
    }
    *sums = own;
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
            let weights = |block: usize| std::array::from_fn(|row| w.get(block * ROWS + row).copied().unwrap_or(0.0));
            let (blocks, sizes, at_once) = Blocks::new(x.view(), weights, weights);
            let back = blocks.there_and_back(&by, |block, strip| product(&weights(block), strip));
            let times: Vec<f64> = (0..rows).map(|i| (0..=columns).map(|j| by[j] * cell(i, j)).sum()).collect();
            blocks.times(&by).iter().flatten().zip(&times).for_each(|(found, wanted)| near(*found, *wanted));
            let gram = blocks.gram(1, &by, |block, strip| product(&weights(block), strip));
            let mut gram = gram.into_iter();
            for i in 0..=columns {
                near(back[i], sum(&|row| w[row] * times[row] * cell(row, i)));
                near(sizes[i], sum(&|row| w[row] * cell(row, i).abs()));
                near(at_once[i], sum(&|row| w[row] * cell(row, i)));
                (0..=i).for_each(|j| {
                    near(gram.next().unwrap(), sum(&|row| w[row] * times[row] * cell(row, i) * cell(row, j)));
                });
            }
            assert_eq!((gram.next(), blocks.width()), (None, columns + 1));
        }
    }
}
