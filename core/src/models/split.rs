//! Where to cut one column of one node.

use rand::RngExt;
use rand_pcg::Pcg64;

/// When a tree stops growing, and where it may split.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits<'a> {
    /// Most leaves; the best leaf is split first. Without a limit all are split that can be.
    pub max_leaves: Option<u32>,
    /// Most splits above a leaf.
    pub max_depth: u32,
    /// Fewest rows of a leaf.
    pub min_leaf: u32,
    /// Smallest curvature of a leaf.
    pub min_curvature: f64,
    /// Penalty on the square of a leaf's value.
    pub l2: f64,
    /// Columns drawn for each split; all of them where there are no more.
    pub columns_per_split: usize,
    /// Whether one cut is drawn a column in place of the best.
    pub random_cuts: bool,
    /// Per column +1 where the value must not fall, -1 where it must not rise, else 0. Empty is all 0.
    pub monotone: &'a [i8],
}

/// Share of the loss that a split must save: below it stands rounding.
const ROUNDING: f64 = 1e-12;

/// What the rows of one bin add up to.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cell {
    pub gradient: f64,
    pub curvature: f64,
    pub rows: u32,
}

/// What the rows of a node add up to, and between which values its leaves must stay.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sums {
    pub gradient: f64,
    pub curvature: f64,
    pub rows: u32,
    pub lowest: f64,
    pub highest: f64,
}

/// One side of a split.
#[derive(Debug, Clone, Copy)]
pub(super) struct Side {
    pub sums: Sums,
    pub value: f64,
}

/// A split that could be made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    pub column: usize,
    /// The last bin that goes left.
    pub bin: usize,
    /// The last value that goes left.
    pub threshold: f64,
    /// Fall of twice the loss.
    pub gain: f64,
    pub left: Side,
    pub right: Side,
}

impl Cell {
    /// Takes a part away from the whole.
    pub fn take(&mut self, part: &Self) {
        self.gradient -= part.gradient;
        self.curvature -= part.curvature;
        self.rows -= part.rows;
    }
}

impl Sums {
    /// Of all rows.
    pub fn of(slopes: &[[f64; 2]]) -> Self {
        let (gradient, curvature) = slopes.iter().fold((0.0, 0.0), |(g, h), slope| (g + slope[0], h + slope[1]));
        let (lowest, highest) = (f64::NEG_INFINITY, f64::INFINITY);
        Self { gradient, curvature, rows: slopes.len() as u32, lowest, highest }
    }

    /// The best value of a leaf; 0 where no row counts.
    pub fn value(&self, l2: f64) -> f64 {
        let curvature = self.curvature + l2;
        let value = if curvature > 0.0 { -self.gradient / curvature } else { 0.0 };
        value.max(self.lowest).min(self.highest)
    }

    fn side(self, l2: f64) -> Side {
        Side { value: self.value(l2), sums: self }
    }
}

impl Side {
    /// How far the leaf lowers twice the loss.
    fn merit(&self, l2: f64) -> f64 {
        -(2.0 * self.sums.gradient * self.value + (self.sums.curvature + l2) * self.value * self.value)
    }
}

/// The cut of a column that lowers the loss most; `sign` is its monotone constraint. The column is left for the caller
/// to name.
pub(super) fn best_cut(cells: &[Cell], cuts: &[f64], node: &Sums, limits: &Limits<'_>, sign: i8) -> Option<Candidate> {
    let own = node.side(limits.l2).merit(limits.l2);
    let mut best: Option<Candidate> = None;
    let mut left = Cell::default();
    for (bin, (cell, &threshold)) in cells.iter().zip(cuts).enumerate() {
        // an empty bin moves no row
        if cell.rows == 0 {
            continue;
        }
        left.gradient += cell.gradient;
        left.curvature += cell.curvature;
        left.rows += cell.rows;
        if node.rows - left.rows < limits.min_leaf {
            break;
        }
        if let Some(found) =
            judge(&left, node, own, limits, sign).filter(|f| best.as_ref().is_none_or(|b| f.gain > b.gain))
        {
            best = Some(Candidate { bin, threshold, ..found });
        }
    }
    best
}

/// A cut drawn between the lowest and the highest value in the node (Geurts, Ernst and Wehenkel 2006), as far as bins
/// tell them.
pub(super) fn random_cut(
    cells: &[Cell],
    cuts: &[f64],
    node: &Sums,
    limits: &Limits<'_>,
    rng: &mut Pcg64,
) -> Option<Candidate> {
    let first = cells.iter().position(|cell| cell.rows > 0)?;
    let last = cells.iter().rposition(|cell| cell.rows > 0)?;
    let inner = cuts.get(first..last).filter(|inner| !inner.is_empty())?;
    let (low, high) = (*inner.first()?, *inner.last()?);
    let drawn = low + (high - low) * rng.random::<f64>();
    let bin = first + inner.partition_point(|cut| *cut < drawn).min(inner.len() - 1);
    let mut left = Cell::default();
    for cell in cells.get(first..=bin)? {
        left.gradient += cell.gradient;
        left.curvature += cell.curvature;
        left.rows += cell.rows;
    }
    let found = judge(&left, node, node.side(limits.l2).merit(limits.l2), limits, 0)?;
    Some(Candidate { bin, threshold: *cuts.get(bin)?, ..found })
}

/// The split that leaves `left` on the left side, unless it breaks a limit or gains nothing.
fn judge(left: &Cell, node: &Sums, own: f64, limits: &Limits<'_>, sign: i8) -> Option<Candidate> {
    let side = |gradient, curvature, rows| Sums { gradient, curvature, rows, ..*node };
    let right = side(node.gradient - left.gradient, node.curvature - left.curvature, node.rows - left.rows);
    let left = side(left.gradient, left.curvature, left.rows);
    let too_small = |side: &Sums| side.rows < limits.min_leaf || side.curvature < limits.min_curvature;
    if too_small(&left) || too_small(&right) {
        return None;
    }
    let (mut left, mut right) = (left.side(limits.l2), right.side(limits.l2));
    if f64::from(sign) * (right.value - left.value) < 0.0 {
        return None;
    }
    let (merit_left, merit_right) = (left.merit(limits.l2), right.merit(limits.l2));
    let gain = merit_left + merit_right - own;
    if gain.is_nan() || gain <= ROUNDING * (merit_left + merit_right).abs() {
        return None;
    }
    // what grows below one side may not pass what grows below the other
    let middle = (left.value + right.value) / 2.0;
    match sign {
        1 => (left.sums.highest, right.sums.lowest) = (middle, middle),
        -1 => (left.sums.lowest, right.sums.highest) = (middle, middle),
        _ => {}
    }
    Some(Candidate { column: 0, bin: 0, threshold: 0.0, gain, left, right })
}
