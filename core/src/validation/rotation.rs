//! Whether scores and labels belong together: the labels shifted in a circle, by whole trading days.
//!
//! A shift keeps everything that scores and labels remember of their own past, and takes away only what they know of each
//! other. Labels that are shuffled lose their memory with it, and a model of chance beats them too often.

use rand::seq::SliceRandom;
use rand_pcg::Pcg64;

use serde::{Deserialize, Serialize};

use super::example::{Example, Goal};
use crate::stats::describe::{mean, standard_deviation};

/// Test skill of the model's scores against labels that were shifted in a circle by whole trading days. In reports of older
/// versions it is that of models of shuffled labels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Null {
    /// Shifts that were looked at.
    pub refits: usize,
    /// Mean test skill.
    pub mean: f64,
    /// Its standard deviation.
    pub deviation: f64,
    /// Share of the shifts, the real labels counted as one, on which the scores do at least as well as on the real labels.
    pub p_value: f64,
}

/// Places at which a trading day begins that is later than all before it; `rows` are in the order of their signals.
pub(super) fn sessions(rows: &[&Example]) -> Vec<usize> {
    let mut latest = None;
    let mut starts = Vec::new();
    for (place, row) in rows.iter().enumerate() {
        if latest.is_none_or(|latest| row.day > latest) {
            latest = Some(row.day);
            starts.push(place);
        }
    }
    starts
}

/// How the skill of `scores` compares with that on labels shifted by 1, 2, ... trading days, by at most `most` of all
/// possible shifts, drawn at random. `Err` is the number of trading days when there are fewer than `least`.
pub(super) fn rotations(
    goal: Goal,
    rows: &[&Example],
    scores: &[f64],
    least: usize,
    most: usize,
    rng: &mut Pcg64,
) -> Result<Option<Null>, usize> {
    let starts = sessions(rows);
    if starts.len() < least {
        return Err(starts.len());
    }
    let truth: Vec<f64> = rows.iter().map(|row| row.truth).collect();
    let mut shifts: Vec<usize> = starts.into_iter().skip(1).collect();
    if shifts.len() > most {
        shifts.shuffle(rng);
        shifts.truncate(most);
    }
    let shifted = |shift: &usize| {
        let mut labels = truth.clone();
        labels.rotate_left(*shift);
        goal.skill(&labels, scores)
    };
    let skills: Vec<f64> = shifts.iter().filter_map(shifted).collect();
    let null = || {
        let observed = goal.skill(&truth, scores)?;
        let at_least = skills.iter().filter(|skill| **skill >= observed).count();
        let p_value = (at_least + 1) as f64 / (skills.len() + 1) as f64;
        Some(Null { refits: skills.len(), mean: mean(&skills)?, deviation: standard_deviation(&skills)?, p_value })
    };
    Ok(null())
}
