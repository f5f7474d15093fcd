//! One decision tree, as it is stored.
//!
//! Nodes stand in breadth-first order, so the children of the j-th split (from 0) are the nodes 2j + 1 and 2j + 2: no
//! pointer is stored, and none can lead astray.

use serde::{Deserialize, Serialize};

/// Most splits between the root and a leaf.
pub const MAX_DEPTH: u32 = 64;

/// A binary tree. A row goes left where its column is at most the threshold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tree {
    /// The column that a node looks at; `None` is a leaf.
    pub columns: Vec<Option<u16>>,
    /// The threshold of a split, the value of a leaf.
    pub numbers: Vec<f64>,
}

/// Why a stored tree is not used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are what the messages name")]
pub enum TreeError {
    /// The two lists do not pair up, or there is nothing.
    #[error("{columns} columns and {numbers} numbers: there must be one each, and at least one")]
    Length { columns: usize, numbers: usize },
    /// A column beyond the last.
    #[error("node {node} looks at column {column} of {width}")]
    Column { node: usize, column: u16, width: usize },
    /// NaN or infinity.
    #[error("the number of node {node} is {value}")]
    NonFinite { node: usize, value: f64 },
    /// Splits without children, children without a parent, or a node that is its own ancestor.
    #[error("{splits} splits cannot hold {nodes} nodes in breadth-first order")]
    Shape { splits: usize, nodes: usize },
    /// Deeper than any tree grown here.
    #[error("node {node} is more than {MAX_DEPTH} splits below the root")]
    Depth { node: usize },
}

/// What a check finds out about a tree.
pub(super) struct Shape {
    /// Splits between the root and the deepest leaf.
    pub depth: u32,
    /// Index of the left child of each node; its own for a leaf. The right child follows the left.
    pub left: Vec<u32>,
}

impl Tree {
    /// A tree of one leaf.
    pub fn leaf(value: f64) -> Self {
        Self { columns: vec![None], numbers: vec![value] }
    }

    /// Number of splits.
    pub fn splits(&self) -> usize {
        self.columns.iter().flatten().count()
    }

    /// Checks everything that walking relies on, in a record that anybody could have written.
    pub(super) fn check(&self, width: usize) -> Result<Shape, TreeError> {
        let (columns, numbers) = (self.columns.len(), self.numbers.len());
        if columns != numbers || columns == 0 {
            return Err(TreeError::Length { columns, numbers });
        }
        let nodes = u32::try_from(columns).map_err(|_| TreeError::Length { columns, numbers })?;
        if let Some((node, &value)) = self.numbers.iter().enumerate().find(|(_, number)| !number.is_finite()) {
            return Err(TreeError::NonFinite { node, value });
        }
        let splits = self.splits();
        let out_of_shape = TreeError::Shape { splits, nodes: columns };
        if 2 * splits + 1 != columns {
            return Err(out_of_shape);
        }
        let mut left = Vec::with_capacity(columns);
        let mut depth_of = vec![0_u32; columns];
        let (mut next, mut deepest) = (1, 0);
        for (node, (at, column)) in (0..nodes).zip(&self.columns).enumerate() {
            let Some(column) = *column else {
                left.push(at);
                continue;
            };
            if usize::from(column) >= width {
                return Err(TreeError::Column { node, column, width });
            }
            let depth = depth_of.get(node).map_or(0, |depth| depth + 1);
            if depth > MAX_DEPTH {
                return Err(TreeError::Depth { node });
            }
            deepest = deepest.max(depth);
            // children stand behind their parent, or a walk could turn round
            match depth_of.get_mut(next as usize..next as usize + 2) {
                Some(children) if next > at => children.fill(depth),
                _ => return Err(out_of_shape),
            }
            left.push(next);
            next += 2;
        }
        Ok(Shape { depth: deepest, left })
    }
}
