//! The statistical jump model (Bemporad and others 2018; Nystrup, Lindstroem and Madsen 2020): states of a series, each a centre,
//! of which it pays a penalty to change.
//!
//! It is fitted to a past as a whole, and there the labels may know what came later. In service it is filtered: the label of a row
//! comes of that row and those before it, by [`JumpFilter`], and nothing that comes later changes it.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};

/// Most states of a model.
pub const MOST_STATES: usize = 8;

/// States and what it costs to change between them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JumpModel {
    /// Of each state the mean of its rows; ascending by the first number.
    pub centers: Vec<Vec<f64>>,
    /// Cost of each change, against half the squared distance of a row to its centre; at least 0.
    pub penalty: f64,
}

/// How a model is fitted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct JumpOptions {
    /// How many states, 2 to [`MOST_STATES`].
    pub states: usize,
    /// Cost of each change, at least 0.
    pub penalty: f64,
    /// Drawn starts, of which the best end counts; at least 1.
    pub starts: usize,
    /// Most rounds from one start.
    pub rounds: usize,
    /// Seed of the starts.
    pub seed: u64,
}

/// A model with what it says of the rows it was fitted to.
#[derive(Debug, Clone, PartialEq)]
pub struct JumpFit {
    /// The model.
    pub model: JumpModel,
    /// The state of each row, with what came later in mind.
    pub path: Vec<usize>,
    /// Half the squared distances and the penalties of that path.
    pub loss: f64,
}

/// Labels row by row. It knows only what it was given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JumpFilter {
    /// Of each state the least cost of a path that ends in it, less the least of all.
    costs: Vec<f64>,
}

/// Why there is no model.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are what the messages name")]
pub enum JumpError {
    /// An option out of its range.
    #[error("{what} of a jump model is {value}: it must be {range}")]
    Option { what: &'static str, value: f64, range: &'static str },
    /// Too few rows.
    #[error("{rows} rows are too few for {states} states: it takes at least {need}")]
    TooFewRows { rows: usize, states: usize, need: usize },
    /// A row of another width, or with a number that is not finite.
    #[error("row {row} cannot be used: it must have {width} finite numbers")]
    Row { row: usize, width: usize },
    /// No start ended with rows in every state.
    #[error(
        "the rows do not fall into {states} states at a penalty of {penalty}; take fewer states or a lower penalty"
    )]
    NoStates { states: usize, penalty: f64 },
}

impl JumpModel {
    /// Fits a model to `rows`, oldest first, all of one width: from each start centres and paths follow from each other in turn
    /// until the loss falls no more. The same input gives the same model.
    ///
    /// # Errors
    /// [`JumpError`].
    pub fn fit(rows: &[Vec<f64>], options: &JumpOptions) -> Result<JumpFit, JumpError> {
        check(rows, options)?;
        let mut rng = Pcg64::seed_from_u64(options.seed);
        let mut best: Option<JumpFit> = None;
        for _ in 0..options.starts {
            let centers = start(rows, options.states, &mut rng);
            let Some(fit) = descend(rows, centers, options) else { continue };
            if best.as_ref().is_none_or(|best| fit.loss < best.loss) {
                best = Some(fit);
            }
        }
        let none = JumpError::NoStates { states: options.states, penalty: options.penalty };
        best.map(sorted).ok_or(none)
    }

    /// The path of least cost through `rows`, with what came later in mind, and its cost.
    pub fn path(&self, rows: &[Vec<f64>]) -> (Vec<usize>, f64) {
        let costs: Vec<Vec<f64>> = rows.iter().map(|row| self.distances(row)).collect();
        let mut values: Vec<Vec<f64>> = Vec::with_capacity(rows.len());
        for own in &costs {
            let next = match values.last() {
                Some(last) => self.add(last, own),
                None => own.clone(),
            };
            values.push(next);
        }
        let Some(last) = values.last() else { return (Vec::new(), 0.0) };
        let (mut state, loss) = least(last);
        let mut path = vec![state];
        for value in values.iter().rev().skip(1) {
            let before: Vec<f64> = value
                .iter()
                .enumerate()
                .map(|(from, cost)| if from == state { *cost } else { cost + self.penalty })
                .collect();
            state = least(&before).0;
            path.push(state);
        }
        path.reverse();
        (path, loss)
    }

    /// The label of each row from it and those before it.
    pub fn filtered(&self, rows: &[Vec<f64>]) -> Vec<usize> {
        let mut filter = JumpFilter::default();
        rows.iter().map(|row| filter.step(self, row)).collect()
    }

    /// Half the squared distance to each centre.
    fn distances(&self, row: &[f64]) -> Vec<f64> {
        self.centers.iter().map(|center| half_square(center, row)).collect()
    }

    /// The least costs of paths one row longer.
    fn add(&self, last: &[f64], own: &[f64]) -> Vec<f64> {
        let (_, lowest) = least(last);
        last.iter().zip(own).map(|(stay, own)| own + stay.min(lowest + self.penalty)).collect()
    }
}

impl Default for JumpFilter {
    /// Nothing known yet.
    fn default() -> Self {
        Self { costs: Vec::new() }
    }
}

impl JumpFilter {
    /// The label of the next row.
    pub fn step(&mut self, model: &JumpModel, row: &[f64]) -> usize {
        if self.costs.len() == model.centers.len() {
            let (_, lowest) = least(&self.costs);
            for (cost, center) in self.costs.iter_mut().zip(&model.centers) {
                *cost = half_square(center, row) + cost.min(lowest + model.penalty);
            }
        } else {
            self.costs = model.distances(row);
        }
        let (state, lowest) = least(&self.costs);
        self.costs.iter_mut().for_each(|cost| *cost -= lowest);
        state
    }
}

/// The first of the least, and it.
fn least(values: &[f64]) -> (usize, f64) {
    let first = (0, f64::INFINITY);
    values.iter().copied().enumerate().fold(first, |best, value| if value.1 < best.1 { value } else { best })
}

fn half_square(a: &[f64], b: &[f64]) -> f64 {
    0.5 * a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>()
}

fn check(rows: &[Vec<f64>], options: &JumpOptions) -> Result<(), JumpError> {
    let option = |what, value, range| Err(JumpError::Option { what, value, range });
    if !(2..=MOST_STATES).contains(&options.states) {
        return option("the number of states", options.states as f64, "2 to 8");
    }
    if !(options.penalty >= 0.0 && options.penalty.is_finite()) {
        return option("the penalty", options.penalty, "at least 0");
    }
    if options.starts == 0 || options.rounds == 0 {
        return option("the number of starts and rounds", 0.0, "at least 1");
    }
    let (states, need) = (options.states, 10 * options.states);
    if rows.len() < need {
        return Err(JumpError::TooFewRows { rows: rows.len(), states, need });
    }
    let width = rows.first().map_or(0, Vec::len).max(1);
    match rows.iter().position(|row| row.len() != width || !row.iter().all(|value| value.is_finite())) {
        Some(row) => Err(JumpError::Row { row, width }),
        None => Ok(()),
    }
}

/// Centres to begin with: rows drawn so that far ones are likelier (Arthur and Vassilvitskii 2007).
fn start(rows: &[Vec<f64>], states: usize, rng: &mut Pcg64) -> Vec<Vec<f64>> {
    let mut centers: Vec<Vec<f64>> = rows.get(rng.random_range(0..rows.len())).cloned().into_iter().collect();
    while centers.len() < states {
        let near = |row: &Vec<f64>| centers.iter().map(|center| half_square(center, row)).fold(f64::INFINITY, f64::min);
        let weights: Vec<f64> = rows.iter().map(near).collect();
        let mut at = rng.random::<f64>() * weights.iter().sum::<f64>();
        let drawn = weights.iter().position(|weight| {
            at -= weight;
            at < 0.0
        });
        let Some(row) = rows.get(drawn.unwrap_or(rows.len() - 1)) else { break };
        centers.push(row.clone());
    }
    centers
}

/// `None` where a state ends without rows.
fn descend(rows: &[Vec<f64>], centers: Vec<Vec<f64>>, options: &JumpOptions) -> Option<JumpFit> {
    let mut model = JumpModel { centers, penalty: options.penalty };
    let (mut path, mut loss) = model.path(rows);
    for _ in 0..options.rounds {
        let next = JumpModel { centers: means(rows, &path, options.states)?, penalty: options.penalty };
        let (next_path, next_loss) = next.path(rows);
        let same = next_path == path;
        (model, path, loss) = (next, next_path, next_loss);
        if same {
            break;
        }
    }
    (0..options.states).all(|state| path.contains(&state)).then_some(JumpFit { model, path, loss })
}

/// The mean of the rows of each state. `None` where one has none.
fn means(rows: &[Vec<f64>], path: &[usize], states: usize) -> Option<Vec<Vec<f64>>> {
    let mean = |state: usize| {
        let own: Vec<&Vec<f64>> = rows.iter().zip(path).filter(|(_, of)| **of == state).map(|(row, _)| row).collect();
        let width = own.first()?.len();
        let sum = |place: usize| own.iter().filter_map(|row| row.get(place)).sum::<f64>();
        Some((0..width).map(|place| sum(place) / own.len() as f64).collect())
    };
    (0..states).map(mean).collect()
}

/// The states in the order of the first number of their centres.
fn sorted(fit: JumpFit) -> JumpFit {
    let mut order: Vec<usize> = (0..fit.model.centers.len()).collect();
    let first = |state: &usize| fit.model.centers.get(*state).and_then(|center| center.first().copied()).unwrap_or(0.0);
    order.sort_by(|a, b| first(a).total_cmp(&first(b)));
    let centers = order.iter().filter_map(|state| fit.model.centers.get(*state).cloned()).collect();
    let place = |state: &usize| order.iter().position(|of| of == state).unwrap_or(0);
    let path = fit.path.iter().map(place).collect();
    JumpFit { model: JumpModel { centers, penalty: fit.model.penalty }, path, loss: fit.loss }
}
