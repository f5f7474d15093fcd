//! From a signal to the numbers a model sees: the twelve formulas, and the design matrix fitted on the training part.
//!
//! Pure: no clock, no file. What is missing stays missing until the design matrix fills it, and is then marked.

mod columns;
pub mod derived;
pub mod design;
pub mod fill;
pub mod fit;
mod fit_error;
pub mod formulas;
pub mod made;
pub mod measured;
pub mod memory;
pub mod pipeline;
pub mod quality;
pub mod quality_news;
mod quality_report;
pub mod quantity;
pub mod ranges;
mod record;
pub mod row;
pub mod table;
pub mod vocabulary;

use serde::{Deserialize, Serialize};

use self::derived::DerivedInput;
use crate::domain::{FEATURES, Feature};

/// What must be known of a traded instrument.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Instrument {
    /// Smallest price step, in points, above 0.
    pub tick: f64,
    /// What one tick of one contract is worth, in account currency, above 0.
    pub tick_value: f64,
    /// How far the stop is of a signal that does not say, in ticks, above 0: `targets.stop_ticks`. `None` where that is not
    /// known either.
    #[serde(default)]
    pub stop_ticks: Option<f64>,
}

/// How columns are put on one scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scaling {
    /// Mean 0, standard deviation 1 on the training part.
    Standardise,
    /// 0 to 1 on the training part.
    MinMax,
}

/// Most derived inputs of a configuration: with 64 extras their places are still among those that [`fill::Places`] holds.
pub const MOST_DERIVED: usize = 32;

/// How a design matrix is made; the section `[features]` of the configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DesignOptions {
    /// How columns are scaled.
    pub scaling: Scaling,
    /// Values beyond this training quantile on either side are clipped to it; 0 to below 0.5, 0 clips at the extremes.
    pub clip_quantile: f64,
    /// Share of missing values from which a column gets a missing indicator, 0 to 1.
    pub indicator_min_missing: f64,
    /// Share of missing values beyond which a column is dropped, 0 to 1.
    pub max_missing: f64,
    /// Age beyond which no known value is carried forward, in hours, above 0.
    pub fill_max_age_hours: f64,
    /// The same of each input; the section `[carry]`.
    pub carry: Carry,
    /// Pairs of input names whose products become columns.
    pub interactions: Vec<(String, String)>,
    /// Names of further inputs that ride along under `extra`.
    pub extra: Vec<String>,
    /// Inputs that are worked out of the snapshot, at most [`MOST_DERIVED`] in the configuration.
    #[serde(default)]
    pub derived: Vec<DerivedInput>,
}

/// How old a value may be that stands in for a missing one, by input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Carry {
    /// Of each feature in the order of [`Feature::ALL`], in minutes, at least 0.
    pub minutes: [f64; FEATURES],
    /// Of each declared extra, in minutes, at least 0.
    pub extra_minutes: f64,
}

impl Default for Carry {
    /// No limit of its own for any input.
    fn default() -> Self {
        Self { minutes: [f64::INFINITY; FEATURES], extra_minutes: f64::INFINITY }
    }
}

impl DesignOptions {
    /// How old a value of the input `name` may be that stands in for a missing one, in hours.
    pub fn max_age_hours(&self, name: &str) -> f64 {
        let feature = Feature::ALL.into_iter().zip(self.carry.minutes).find(|(feature, _)| feature.name() == name);
        let own = feature.map_or(self.carry.extra_minutes, |(_, minutes)| minutes) / 60.0;
        own.min(self.fill_max_age_hours)
    }
}
