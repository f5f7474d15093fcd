//! Walking trees: all nodes of all trees in one array, siblings side by side, eight trees in step.
//!
//! A walk has no branch that depends on the data: a leaf leads back to itself, and a group of trees takes as many steps
//! as its deepest needs. That keeps the processor from guessing wrong at every node.
#![deny(clippy::indexing_slicing)]

use super::tree::{Tree, TreeError};

/// Trees walked in step.
const LANES: usize = 8;

/// Checked trees of one model, laid out to be walked.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Trees {
    width: usize,
    nodes: Box<[Node]>,
    /// Of a leaf; 0 for a split.
    values: Box<[f64]>,
    groups: Box<[Group]>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Node {
    /// The row goes right where its column is above; infinite for a leaf.
    threshold: f64,
    column: u32,
    /// The left child; the right one follows. A leaf stands here itself.
    left: u32,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Group {
    roots: [u32; LANES],
    len: usize,
    depth: u32,
}

impl Trees {
    /// Checks and lays out the trees of a model of `width` columns.
    ///
    /// # Errors
    /// The number of the first tree that is not sound, and what is wrong with it.
    pub fn new(trees: &[Tree], width: usize) -> Result<Self, (usize, TreeError)> {
        let (mut nodes, mut values, mut groups) = (Vec::new(), Vec::new(), Vec::new());
        for (chunk, first) in trees.chunks(LANES).zip((0..).step_by(LANES)) {
            let mut group = Group { roots: [0; LANES], len: chunk.len(), depth: 0 };
            for ((tree, root), number) in chunk.iter().zip(&mut group.roots).zip(first..) {
                let shape = tree.check(width).map_err(|error| (number, error))?;
                let too_many = |_| TreeError::Length { columns: nodes.len(), numbers: nodes.len() };
                let base =
                    u32::try_from(nodes.len() + tree.columns.len()).map_err(too_many).map_err(|e| (number, e))?
                        - shape.left.len() as u32;
                *root = base;
                group.depth = group.depth.max(shape.depth);
                for ((column, number), left) in tree.columns.iter().zip(&tree.numbers).zip(shape.left) {
                    let (threshold, value) = if column.is_some() { (*number, 0.0) } else { (f64::INFINITY, *number) };
                    nodes.push(Node { threshold, column: column.unwrap_or(0).into(), left: base + left });
                    values.push(value);
                }
            }
            groups.push(group);
        }
        Ok(Self { width, nodes: nodes.into(), values: values.into(), groups: groups.into() })
    }

    /// Number of columns a row has.
    pub fn width(&self) -> usize {
        self.width
    }

    /// `start` and the leaves that `x`, a row of finite numbers, falls into, added up tree by tree. `None` for a row
    /// of too few columns.
    pub fn sum(&self, x: &[f64], start: f64) -> Option<f64> {
        let mut sum = start;
        for group in &self.groups {
            let mut at = group.roots;
            for _ in 0..group.depth {
                for at in at.iter_mut().take(group.len) {
                    let node = self.nodes.get(*at as usize)?;
                    *at = node.left + u32::from(*x.get(node.column as usize)? > node.threshold);
                }
            }
            for at in at.iter().take(group.len) {
                sum += self.values.get(*at as usize)?;
            }
        }
        Some(sum)
    }
}
