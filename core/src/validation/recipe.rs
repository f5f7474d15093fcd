//! How a model of any kind is made from trades: the design matrix, the fit or fits, and the calibration where the target
//! asks for one. What is validated and what is registered are made here, in the same way.

use ndarray::{Array2, Axis};

use super::{
    example::Examples,
    fitter::{Fitted, NoFit, TrainingSet},
    splits::{Life, Lives},
};
use crate::{
    features::{
        DesignOptions,
        design::DesignMatrix,
        fit::fit_sample,
        table::{Rows, Sample},
    },
    models::{
        Calibration, Compiled, Held, Kind, LogisticOptions, Method, ModelRecord, ModelSpec, Solver, Target, TargetKind,
        Values, average, calibrated, fit, stack,
    },
    stats::describe::{mean, standard_deviation},
};

/// What a row is scored of which no input is known, where a probability is asked for; the service answers so too.
const NEUTRAL: f64 = 0.5;
/// Share of the rows, the latest, that tell boosting when to stop.
const STOPPING_SHARE: f64 = 0.15;
/// Rows below which they cannot tell, and all rounds are made.
const MIN_STOPPING_ROWS: usize = 50;
/// Share of the rows, the latest, that a calibration is fitted to.
const CALIBRATION_SHARE: f64 = 0.25;
/// Folds over which the members of a stack are judged.
const STACK_FOLDS: usize = 4;

/// A way to make a model.
#[derive(Debug, Clone, Copy)]
pub struct Recipe<'a> {
    /// The kind of model.
    pub kind: Kind,
    /// What it predicts.
    pub target: Target,
    /// What fits logistic models.
    pub solver: Solver,
    /// How its columns are made.
    pub design: &'a DesignOptions,
    /// Seed of everything random.
    pub seed: u64,
}

/// A model that was made.
#[derive(Debug, Clone, PartialEq)]
pub struct Learnt {
    /// How a row becomes its columns.
    pub design: DesignMatrix,
    /// The model itself.
    pub model: ModelRecord,
    /// What a row is scored of which no input is known.
    pub unknown: f64,
}

/// Rows as a fit takes them.
struct Data {
    /// Their numbers among the examples; a bootstrap that is not weighed repeats some.
    rows: Vec<usize>,
    lives: Vec<Life>,
    x: Array2<f64>,
    truth: Vec<f64>,
    labels: Vec<bool>,
    weights: Option<Vec<f64>>,
}

impl Recipe<'_> {
    /// Makes a model of `set`. The same set gives the same model, to the byte.
    ///
    /// # Errors
    /// [`NoFit`] with the reason in words.
    pub fn learn(&self, set: &TrainingSet<'_>) -> Result<Learnt, NoFit> {
        let (examples, sample) = (set.examples, set.sample());
        let design = fit_sample(examples.schema(), examples.table(), &sample, self.design).map_err(refuse)?;
        let data = self.data(set, sample, &design)?;
        let model = if self.target.kind() == TargetKind::CalibratedClass {
            self.with_calibration(examples, &data, set.strength)?
        } else {
            self.uncalibrated(examples, &data, set.strength)?
        };
        let unknown = if self.is_real() { mean(set.truth).unwrap_or_default() } else { NEUTRAL };
        Ok(Learnt { design, model, unknown })
    }

    /// The same, as a validation takes it.
    pub fn fitter(self) -> impl Fn(&TrainingSet<'_>) -> Result<Fitted, NoFit> {
        move |set| self.learn(set)?.fitted()
    }

    fn is_real(&self) -> bool {
        self.target.kind() == TargetKind::Real
    }

    /// A repeated row is one with a weight: less to multiply for the same sums.
    fn data(&self, set: &TrainingSet<'_>, sample: Sample, design: &DesignMatrix) -> Result<Data, NoFit> {
        let knows_weights = !(self.kind == Kind::Logistic && self.solver == Solver::Smartcore);
        let (rows, truth, weights) = if sample.rows.len() < sample.total && knows_weights {
            let truth = set.truth_of(&sample);
            (sample.rows, truth, Some(sample.times))
        } else {
            (set.rows.to_vec(), set.truth.to_vec(), None)
        };
        let x = columns(design, &set.examples.table().rows(&rows))?;
        let lives = set.examples.pick(&rows).map(|example| example.life).collect();
        let labels = truth.iter().map(|truth| *truth >= 0.5).collect();
        Ok(Data { rows, lives, x, truth, labels, weights })
    }

    fn uncalibrated(&self, examples: &Examples, data: &Data, strength: f64) -> Result<ModelRecord, NoFit> {
        let spread = if self.is_real() { standard_deviation(&data.truth) } else { None }.unwrap_or(1.0);
        let members = self.kind.members(self.target.kind(), strength, spread, self.solver);
        let mut fitted = Vec::with_capacity(members.len());
        for spec in &members {
            fitted.push(self.member(spec, data)?);
        }
        match self.kind {
            Kind::Stack => self.stacked(fitted, &members, examples, data),
            Kind::Average => average(fitted).map_err(refuse),
            _ => fitted.pop().ok_or_else(|| NoFit(format!("{} is made of nothing", self.kind))),
        }
    }

    /// One model; boosting is told by the latest rows when to stop.
    fn member(&self, spec: &ModelSpec, data: &Data) -> Result<ModelRecord, NoFit> {
        let real = self.is_real();
        if let ModelSpec::Boosting(_) = spec {
            let (earlier, later) = data.cut(STOPPING_SHARE);
            if later.len() >= MIN_STOPPING_ROWS {
                let (learnt, held) = (data.pick(&earlier), data.pick(&later));
                let held = Held { x: held.x.view(), y: held.values(real) };
                let weights = learnt.weights.as_deref();
                return fit(spec, learnt.x.view(), learnt.values(real), weights, Some(held), self.seed).map_err(refuse);
            }
        }
        fit(spec, data.x.view(), data.values(real), data.weights.as_deref(), None, self.seed).map_err(refuse)
    }

    /// The combiner learns from scores of rows of which their member had seen nothing: not in its fit, and not in the means and
    /// quantiles that its columns are made with.
    fn stacked(
        &self,
        fitted: Vec<ModelRecord>,
        specs: &[ModelSpec],
        examples: &Examples,
        data: &Data,
    ) -> Result<ModelRecord, NoFit> {
        let lives = Lives::new(data.lives.clone()).map_err(refuse)?;
        let mut scores = Array2::zeros((data.truth.len(), specs.len()));
        for fold in lives.purged_k_fold(STACK_FOLDS, jiff::SignedDuration::ZERO).map_err(refuse)? {
            let mut learnt = data.pick(&fold.train);
            let sample = Sample::new(&learnt.repeated());
            let design = fit_sample(examples.schema(), examples.table(), &sample, self.design).map_err(refuse)?;
            learnt.x = columns(&design, &examples.table().rows(&learnt.rows))?;
            let judged = columns(&design, &examples.table().rows(&data.pick(&fold.test).rows))?;
            for (mut column, spec) in scores.columns_mut().into_iter().zip(specs) {
                let member = self.member(spec, &learnt)?.compile().map_err(refuse)?;
                for (&row, inputs) in fold.test.iter().zip(judged.rows()) {
                    let score = inputs.as_slice().and_then(|inputs| member.value(inputs));
                    column[row] = score.ok_or_else(|| NoFit("a member of the stack gave no score".to_owned()))?;
                }
            }
        }
        let options =
            LogisticOptions { tolerance: 1e-10, sample_weights: data.weights.as_deref(), ..LogisticOptions::default() };
        stack(fitted, scores.view(), &data.labels, &options).map_err(refuse)
    }

    /// The calibration learns from the latest rows, which the model has not seen.
    fn with_calibration(&self, examples: &Examples, data: &Data, strength: f64) -> Result<ModelRecord, NoFit> {
        let (earlier, later) = data.cut(CALIBRATION_SHARE);
        let model = self.uncalibrated(examples, &data.pick(&earlier), strength)?;
        let held = data.pick(&later);
        let compiled = model.compile().map_err(refuse)?;
        let score = |row: ndarray::ArrayView1<'_, f64>| compiled.value(row.as_slice()?);
        let scores: Option<Vec<f64>> = held.x.rows().into_iter().map(score).collect();
        let scores = scores.ok_or_else(|| NoFit("a score to be calibrated is not finite".to_owned()))?;
        let method = Method::for_rows(scores.len());
        let calibration = Calibration::fit(method, &scores, &held.labels, held.weights.as_deref()).map_err(refuse)?;
        calibrated(model, calibration).map_err(refuse)
    }
}

impl Learnt {
    /// What it gives for rows of inputs.
    ///
    /// # Errors
    /// [`NoFit`] for rows of another schema, and for a score that is not finite.
    pub fn scores(&self, compiled: &Compiled, rows: &Rows<'_>) -> Result<Vec<f64>, NoFit> {
        let all = self.design.transform_all(rows).map_err(refuse)?;
        let score = |row: &[f64]| compiled.value(row).ok_or_else(|| NoFit("a score is not finite".to_owned()));
        let mut scores = all.cells.chunks_exact(self.design.width()).map(score).collect::<Result<Vec<f64>, NoFit>>()?;
        for place in all.unknown {
            scores.get_mut(place).into_iter().for_each(|score| *score = self.unknown);
        }
        Ok(scores)
    }

    /// The same, as a validation takes it.
    ///
    /// # Errors
    /// [`NoFit`] for a model that does not compile, which none made here does.
    pub fn fitted(self) -> Result<Fitted, NoFit> {
        let compiled = self.model.compile().map_err(refuse)?;
        let effects = self.effects();
        Ok(Fitted { score: Box::new(move |rows| self.scores(&compiled, rows)), effects })
    }

    /// Per column what it says: the weight where the model is linear, else its importance.
    pub fn effects(&self) -> Vec<(Box<str>, f64)> {
        let sizes = match &self.model {
            ModelRecord::Logistic(model) => Some(model.weights.clone()),
            ModelRecord::Linear(model) => Some(model.weights.clone()),
            other => other.importance(),
        };
        self.design.names().map(Box::from).zip(sizes.unwrap_or_default()).collect()
    }

    /// Share of each column in what the model says, summing to 1; empty where nothing matters.
    pub fn importance(&self) -> Vec<(Box<str>, f64)> {
        self.design.names().map(Box::from).zip(self.model.importance().unwrap_or_default()).collect()
    }
}

impl Data {
    fn values(&self, real: bool) -> Values<'_> {
        if real { Values::Reals(&self.truth) } else { Values::Classes(&self.labels) }
    }

    fn pick(&self, rows: &[usize]) -> Self {
        let of = |values: &[f64]| -> Vec<f64> { rows.iter().filter_map(|row| values.get(*row).copied()).collect() };
        Self {
            rows: rows.iter().filter_map(|row| self.rows.get(*row).copied()).collect(),
            lives: rows.iter().filter_map(|row| self.lives.get(*row).copied()).collect(),
            x: self.x.select(Axis(0), rows),
            truth: of(&self.truth),
            labels: rows.iter().filter_map(|row| self.labels.get(*row).copied()).collect(),
            weights: self.weights.as_deref().map(of),
        }
    }

    /// The numbers of its rows, each as often as it counts.
    fn repeated(&self) -> Vec<usize> {
        let times =
            |place: usize| self.weights.as_ref().and_then(|weights| weights.get(place)).map_or(1, |w| *w as usize);
        self.rows.iter().enumerate().flat_map(|(place, row)| std::iter::repeat_n(*row, times(place))).collect()
    }

    /// The rows before the latest `share` of them, those that were still open then left out, and the latest.
    fn cut(&self, share: f64) -> (Vec<usize>, Vec<usize>) {
        let rows = self.lives.len();
        let place = rows - ((rows as f64 * share).round() as usize).min(rows);
        let from = self.lives.get(place).map(|life| life.at);
        // rows of one signal, of which a bootstrap has several, stand on one side
        let closed = |row: &usize| {
            self.lives.get(*row).is_some_and(|life| from.is_none_or(|from| life.exit_at.max(life.known_at) < from))
        };
        ((0..place).filter(closed).collect(), (place..rows).collect())
    }
}

/// The design's columns of `rows`; one of which nothing is known stands at the centre of each.
pub(super) fn columns(design: &DesignMatrix, rows: &Rows<'_>) -> Result<Array2<f64>, NoFit> {
    let all = design.transform_all(rows).map_err(refuse)?;
    Array2::from_shape_vec((rows.len(), design.width()), all.cells).map_err(refuse)
}

fn refuse(error: impl std::fmt::Display) -> NoFit {
    NoFit(error.to_string())
}
