//! Growing one tree on binned columns from a gradient and a curvature a row.
//!
//! A leaf of the sums G and H is worth v = -G / (H + l2), and lowers the loss by -(2 G v + (H + l2) v^2) / 2 (Chen and
//! Guestrin 2016). With G = -sum w y, H = sum w and l2 = 0 that is the weighted mean of y and the fall of the squared
//! error, so that forests and boosting grow alike.

use rand::RngExt;
use rand_pcg::Pcg64;

use super::{
    bins::Bins,
    split::{Candidate, Cell, Limits, Sums, best_cut, random_cut},
    tree::{MAX_DEPTH, Tree},
};

/// The rows that a tree grows on.
pub(super) struct Rows {
    /// Their numbers, ascending.
    pub rows: Vec<u32>,
    /// Gradient and curvature of each.
    pub slopes: Vec<[f64; 2]>,
}

/// A grown tree.
pub(super) struct Grown {
    pub tree: Tree,
    /// Of each leaf its rows, as a range of [`Rows::rows`] as the growth left them, and its value.
    pub leaves: Vec<(std::ops::Range<usize>, f64)>,
}

/// Grows trees on the same columns, one after the other.
pub(super) struct Grower<'a> {
    bins: &'a Bins,
    limits: Limits<'a>,
    /// Fall of the loss by each column's splits, over all trees.
    pub gains: Vec<f64>,
    order: Vec<usize>,
    scratch: Vec<Cell>,
    right: Rows,
}

/// A node that is a leaf so far.
struct Open {
    node: usize,
    range: std::ops::Range<usize>,
    depth: u32,
    sums: Sums,
    histogram: Vec<Cell>,
    best: Option<Candidate>,
}

/// A node of the tree as it grows; its children, once it is split.
struct Node {
    split: Option<(u16, f64, usize)>,
    value: f64,
}

impl<'a> Grower<'a> {
    /// A grower on `bins`.
    pub fn new(bins: &'a Bins, limits: Limits<'a>) -> Self {
        let columns = bins.columns.len();
        let gains = vec![0.0; columns];
        let right = Rows { rows: Vec::new(), slopes: Vec::new() };
        Self { bins, limits, gains, order: (0..columns).collect(), scratch: Vec::new(), right }
    }

    /// Grows a tree, and brings the rows into the order of its leaves. Every leaf is worth `scale` times its best value.
    pub fn grow(&mut self, rows: &mut Rows, scale: f64, rng: &mut Pcg64) -> Grown {
        let sums = Sums::of(&rows.slopes);
        let histogram = if self.shares() { self.histogram(rows, 0..rows.rows.len()) } else { Vec::new() };
        let root = Open { node: 0, range: 0..rows.rows.len(), depth: 0, sums, histogram, best: None };
        let mut nodes = vec![Node { split: None, value: sums.value(self.limits.l2) }];
        let mut open = vec![self.examine(rows, root, rng)];
        let mut leaves = Vec::new();
        let mut room = self.limits.max_leaves.map_or(u32::MAX, |leaves| leaves.saturating_sub(1));
        while let Some(mut leaf) = self.take(&mut open) {
            let Some(cut) = leaf.best.take().filter(|_| room > 0) else {
                let value = nodes.get(leaf.node).map_or(0.0, |node| node.value * scale);
                leaves.push((leaf.range, value));
                continue;
            };
            room -= 1;
            let first = nodes.len();
            if let Some(gain) = self.gains.get_mut(cut.column) {
                *gain += cut.gain;
            }
            if let Some(node) = nodes.get_mut(leaf.node) {
                node.split = Some((cut.column as u16, cut.threshold, first));
            }
            nodes.extend([cut.left.value, cut.right.value].map(|value| Node { split: None, value }));
            for child in self.divide(rows, leaf, &cut, first) {
                let child = self.examine(rows, child, rng);
                open.push(child);
            }
        }
        Grown { tree: breadth_first(&nodes, scale), leaves }
    }

    /// Whether every split looks at all columns, so that a histogram serves a node's children too.
    fn shares(&self) -> bool {
        self.limits.columns_per_split >= self.bins.columns.len()
    }

    /// The leaf to be treated next: with a limit on leaves the one that gains most, else the latest.
    fn take(&self, open: &mut Vec<Open>) -> Option<Open> {
        if self.limits.max_leaves.is_none() {
            return open.pop();
        }
        let gain = |leaf: &Open| leaf.best.as_ref().map_or(0.0, |best| best.gain);
        let best = open.iter().enumerate().max_by(|a, b| gain(a.1).total_cmp(&gain(b.1)).then(b.0.cmp(&a.0)))?.0;
        Some(open.remove(best))
    }

    /// Finds the best split of a leaf.
    fn examine(&mut self, rows: &Rows, mut leaf: Open, rng: &mut Pcg64) -> Open {
        let limits = self.limits;
        if leaf.depth >= limits.max_depth.min(MAX_DEPTH) || leaf.sums.rows < 2 * limits.min_leaf {
            leaf.histogram = Vec::new();
            return leaf;
        }
        let mut best: Option<Candidate> = None;
        let mut visited = 0;
        for place in 0..self.order.len() {
            if visited >= limits.columns_per_split {
                break;
            }
            if !self.shares() {
                let other = rng.random_range(place..self.order.len());
                self.order.swap(place, other);
            }
            let column = self.order[place];
            let cells = if self.shares() {
                &leaf.histogram[self.bins.offsets[column]..self.bins.offsets[column + 1]]
            } else {
                count(&mut self.scratch, self.bins, column, rows, leaf.range.clone());
                &self.scratch
            };
            let cuts = &self.bins.columns[column].cuts;
            let sign = limits.monotone.get(column).copied().unwrap_or(0);
            let found = if limits.random_cuts {
                random_cut(cells, cuts, &leaf.sums, &limits, rng)
            } else {
                best_cut(cells, cuts, &leaf.sums, &limits, sign)
            };
            // a column that is constant in the leaf does not count as drawn
            visited += usize::from(cells.iter().filter(|cell| cell.rows > 0).nth(1).is_some());
            if let Some(found) = found.filter(|found| best.as_ref().is_none_or(|best| found.gain > best.gain)) {
                best = Some(Candidate { column, ..found });
            }
        }
        leaf.best = best;
        leaf
    }

    /// Brings the rows of `leaf` to the two sides of the cut, keeping their order, and makes a leaf of each.
    fn divide(&mut self, rows: &mut Rows, leaf: Open, cut: &Candidate, first: usize) -> [Open; 2] {
        let bins = &self.bins.columns[cut.column].bins;
        let (mut to, end) = (leaf.range.start, leaf.range.end);
        self.right.rows.clear();
        self.right.slopes.clear();
        for from in leaf.range.clone() {
            let (row, slope) = (rows.rows[from], rows.slopes[from]);
            if usize::from(bins[row as usize]) <= cut.bin {
                rows.rows[to] = row;
                rows.slopes[to] = slope;
                to += 1;
            } else {
                self.right.rows.push(row);
                self.right.slopes.push(slope);
            }
        }
        rows.rows[to..end].copy_from_slice(&self.right.rows);
        rows.slopes[to..end].copy_from_slice(&self.right.slopes);
        let (left, right) = (leaf.range.start..to, to..end);
        let (mut of_left, mut of_right) = (Vec::new(), Vec::new());
        if self.shares() {
            let left_is_smaller = left.len() <= right.len();
            let smaller = self.histogram(rows, if left_is_smaller { left.clone() } else { right.clone() });
            let mut larger = leaf.histogram;
            larger.iter_mut().zip(&smaller).for_each(|(whole, part)| whole.take(part));
            (of_left, of_right) = if left_is_smaller { (smaller, larger) } else { (larger, smaller) };
        }
        let depth = leaf.depth + 1;
        [
            Open { node: first, range: left, depth, sums: cut.left.sums, histogram: of_left, best: None },
            Open { node: first + 1, range: right, depth, sums: cut.right.sums, histogram: of_right, best: None },
        ]
    }

    fn histogram(&self, rows: &Rows, range: std::ops::Range<usize>) -> Vec<Cell> {
        let mut cells = vec![Cell::default(); self.bins.offsets.last().copied().unwrap_or(0)];
        for (column, offset) in self.bins.columns.iter().zip(self.bins.offsets.windows(2)) {
            fill(&mut cells[offset[0]..offset[1]], &column.bins, rows, range.clone());
        }
        cells
    }
}

/// The histogram of one column in `cells`.
fn count(cells: &mut Vec<Cell>, bins: &Bins, column: usize, rows: &Rows, range: std::ops::Range<usize>) {
    let column = &bins.columns[column];
    cells.clear();
    cells.resize(column.len(), Cell::default());
    fill(cells, &column.bins, rows, range);
}

fn fill(cells: &mut [Cell], bins: &[u8], rows: &Rows, range: std::ops::Range<usize>) {
    for (&row, &[gradient, curvature]) in rows.rows[range.clone()].iter().zip(&rows.slopes[range]) {
        let cell = &mut cells[usize::from(bins[row as usize])];
        cell.gradient += gradient;
        cell.curvature += curvature;
        cell.rows += 1;
    }
}

/// The stored form of the nodes.
fn breadth_first(nodes: &[Node], scale: f64) -> Tree {
    let mut tree = Tree { columns: Vec::with_capacity(nodes.len()), numbers: Vec::with_capacity(nodes.len()) };
    let mut level = vec![0];
    while !level.is_empty() {
        let mut next = Vec::new();
        for node in level.iter().filter_map(|&at: &usize| nodes.get(at)) {
            match node.split {
                Some((column, threshold, first)) => {
                    tree.columns.push(Some(column));
                    tree.numbers.push(threshold);
                    next.extend([first, first + 1]);
                }
                None => {
                    tree.columns.push(None);
                    tree.numbers.push(node.value * scale);
                }
            }
        }
        level = next;
    }
    tree
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;
    use crate::models::walk::Trees;

    const PLAIN: Limits<'_> = Limits {
        max_leaves: None,
        max_depth: MAX_DEPTH,
        min_leaf: 1,
        min_curvature: 0.0,
        l2: 0.0,
        columns_per_split: usize::MAX,
        random_cuts: false,
        monotone: &[],
    };

    /// Values with ties, and a target of its own for each row.
    fn data(seed: u64, n: usize, k: usize) -> (Array2<f64>, Rows) {
        let mut rng = Pcg64::new(seed.into(), 1);
        let x = Array2::from_shape_simple_fn((n, k), || f64::from(rng.random_range(0..40_u8)) / 8.0);
        let slopes = (0..n).map(|_| [rng.random::<f64>() - 0.5, 0.1 + rng.random::<f64>()]).collect();
        (x, Rows { rows: (0..n as u32).collect(), slopes })
    }

    #[test]
    fn the_first_split_is_the_best_of_all_that_could_be_made() {
        for seed in 0..30 {
            let (x, mut rows) = data(seed, 60, 3);
            let limits = Limits { max_leaves: Some(2), min_leaf: 7, l2: 0.3, ..PLAIN };
            let merit = |side: &[[f64; 2]]| {
                let (g, h) = side.iter().fold((0.0, 0.0), |(g, h), s| (g + s[0], h + s[1]));
                g * g / (h + limits.l2)
            };
            let mut best = 0.0_f64;
            for column in x.columns() {
                for cut in column.iter() {
                    let side = |left: bool| -> Vec<[f64; 2]> {
                        column.iter().zip(&rows.slopes).filter(|(x, _)| (*x <= cut) == left).map(|(_, s)| *s).collect()
                    };
                    let (left, right) = (side(true), side(false));
                    if left.len() >= 7 && right.len() >= 7 {
                        best = best.max(merit(&left) + merit(&right) - merit(&rows.slopes));
                    }
                }
            }
            let bins = Bins::new(x.view());
            let mut grower = Grower::new(&bins, limits);
            let tree = grower.grow(&mut rows, 1.0, &mut Pcg64::new(1, 1)).tree;
            assert_eq!(tree.splits(), 1);
            assert!((grower.gains.iter().sum::<f64>() - best).abs() < 1e-12, "seed {seed}: {:?} {best}", grower.gains);
        }
    }

    #[test]
    fn rows_lie_in_the_leaves_that_a_walk_finds_and_no_limit_is_broken() {
        for (seed, limits) in [
            (1, PLAIN),
            (2, Limits { columns_per_split: 2, random_cuts: true, ..PLAIN }),
            (3, Limits { max_leaves: Some(9), min_leaf: 4, l2: 1.0, ..PLAIN }),
            (4, Limits { max_depth: 3, min_curvature: 2.0, columns_per_split: 1, ..PLAIN }),
        ] {
            let (x, mut rows) = data(seed, 300, 4);
            let bins = Bins::new(x.view());
            let grown = Grower::new(&bins, limits).grow(&mut rows, 0.5, &mut Pcg64::new(1, 1));
            let shape = grown.tree.check(4).unwrap();
            assert!(shape.depth <= limits.max_depth && grown.tree.splits() > 3);
            assert!(limits.max_leaves.is_none_or(|most| grown.leaves.len() <= most as usize));
            let trees = Trees::new(&[grown.tree], 4).unwrap();
            let mut seen = 0;
            for (range, value) in grown.leaves {
                seen += range.len();
                let (g, h) = rows.slopes[range.clone()].iter().fold((0.0, 0.0), |(g, h), s| (g + s[0], h + s[1]));
                assert!(range.len() >= limits.min_leaf as usize && h >= limits.min_curvature - 1e-9);
                assert!((value - 0.5 * -g / (h + limits.l2)).abs() < 1e-9, "{value}");
                for row in &rows.rows[range] {
                    assert_eq!(trees.sum(&x.row(*row as usize).to_vec(), 0.0), Some(value));
                }
            }
            assert_eq!(seen, 300);
        }
    }
}
