//! The jump model against jumpmodels and hmmlearn, against truth that was planted, and against the future.
#![expect(clippy::unwrap_used, reason = "what the tests share may fail loudly")]

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use serde::Deserialize;
use vigie::stats::jump::{JumpError, JumpModel, JumpOptions};

#[path = "common/long.rs"]
mod long;
use long::cases;

/// Made by `fixtures/regimes/jump.py`.
#[derive(Deserialize)]
struct Case {
    name: String,
    penalty: f64,
    rows: Vec<Vec<f64>>,
    truth: Vec<usize>,
    centers: Vec<Vec<f64>>,
    path: Vec<usize>,
    online: Vec<usize>,
    hmm_path: Vec<usize>,
    hmm_online: Vec<usize>,
    fitted_centers: Option<Vec<Vec<f64>>>,
    fitted_loss: f64,
}

fn cases_of_python() -> Vec<Case> {
    serde_json::from_str(include_str!("fixtures/regimes/jump.json")).unwrap()
}

fn options(states: usize, penalty: f64) -> JumpOptions {
    JumpOptions { states, penalty, starts: 20, rounds: 200, seed: 7 }
}

/// Box and Muller.
fn normal(rng: &mut Pcg64) -> f64 {
    let (a, b) = (1.0 - rng.random::<f64>(), rng.random::<f64>());
    (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos()
}

/// A series of two states, `apart` standard deviations from each other in each of two numbers, that last for `stay` rows on
/// average, and its truth.
fn planted(rows: usize, apart: f64, stay: f64, rng: &mut Pcg64) -> (Vec<Vec<f64>>, Vec<usize>) {
    let mut state = 0;
    let mut one = || {
        if rng.random::<f64>() < 1.0 / stay {
            state = 1 - state;
        }
        let centre = if state == 0 { -apart / 2.0 } else { apart / 2.0 };
        (vec![centre + normal(rng), centre + normal(rng)], state)
    };
    (0..rows).map(|_| one()).unzip()
}

#[test]
fn at_fixed_parameters_the_labels_are_those_of_jumpmodels_and_of_hmmlearn() {
    for case in cases_of_python() {
        let model = JumpModel { centers: case.centers.clone(), penalty: case.penalty };
        let path = model.path(&case.rows).0;
        assert_eq!((&path, &path), (&case.path, &case.hmm_path), "{}", case.name);
        let online = model.filtered(&case.rows);
        assert_eq!((&online, &online), (&case.online, &case.hmm_online), "{}", case.name);
        assert_eq!(case.truth.len(), path.len());
    }
}

#[test]
fn a_fit_finds_the_centres_and_the_loss_of_jumpmodels() {
    for case in cases_of_python() {
        let fit = JumpModel::fit(&case.rows, &options(case.centers.len(), case.penalty));
        let Some(centers) = case.fitted_centers else {
            assert!(matches!(fit, Err(JumpError::NoStates { .. })), "{}", case.name);
            continue;
        };
        let fit = fit.unwrap();
        assert!((fit.loss / case.fitted_loss - 1.0).abs() < 1e-9, "{}: {} {}", case.name, fit.loss, case.fitted_loss);
        let found = fit.model.centers.iter().flatten().zip(centers.iter().flatten());
        assert!(found.clone().all(|(a, b)| (a - b).abs() < 1e-9), "{}: {:?}", case.name, fit.model.centers);
        assert_eq!(fit.path, fit.model.path(&case.rows).0);
    }
}

#[test]
fn truncating_the_future_never_changes_a_past_label() {
    let mut rng = Pcg64::seed_from_u64(21);
    let mut later_knew_better = 0;
    for _ in 0..1_000 {
        let (apart, stay) = (rng.random_range(0.2..3.0), rng.random_range(2.0..60.0));
        let (rows, _) = planted(rng.random_range(30..160), apart, stay, &mut rng);
        let penalty = rng.random_range(0.0..20.0);
        let model = JumpModel { centers: vec![vec![-apart / 2.0; 2], vec![apart / 2.0; 2]], penalty };
        let (whole, cut) = (model.filtered(&rows), rng.random_range(1..rows.len()));
        assert_eq!(model.filtered(&rows[..cut]), whole[..cut]);
        later_knew_better += usize::from(model.path(&rows[..cut]).0 != model.path(&rows).0[..cut]);
    }
    // the labels of a whole past do change, so this is no property of the series
    assert!(later_knew_better > 100, "{later_knew_better}");
}

#[test]
fn planted_regimes_are_found_with_a_lag_of_a_few_rows() {
    // standard deviations apart in each number, then the penalty; lag in rows at the median and 90 %, share of right labels
    let rounds = cases(20, 200);
    for (apart, penalty, most_lag, least_right) in [(2.0, 4.0, 3, 0.95), (1.5, 6.0, 5, 0.92), (1.0, 8.0, 13, 0.80)] {
        let mut rng = Pcg64::seed_from_u64(5);
        let (mut lags, mut right, mut all, mut alarms) = (Vec::new(), 0, 0, 0);
        for _ in 0..rounds {
            let (train, _) = planted(1_000, apart, 60.0, &mut rng);
            let fit = JumpModel::fit(&train, &options(2, penalty)).unwrap();
            let (rows, truth) = planted(1_000, apart, 60.0, &mut rng);
            let labels = fit.model.filtered(&rows);
            right += labels.iter().zip(&truth).filter(|(a, b)| a == b).count();
            all += rows.len();
            alarms += labels.windows(2).filter(|pair| pair[0] != pair[1]).count();
            let turns = (1..truth.len()).filter(|place| truth[*place] != truth[*place - 1]);
            for turn in turns {
                let lasts = truth[turn..].iter().take_while(|state| **state == truth[turn]).count();
                let lag = labels[turn..turn + lasts].iter().position(|label| *label == truth[turn]);
                // a regime that ends before it is seen counts as seen at its end
                lags.push(lag.unwrap_or(lasts));
            }
        }
        lags.sort_unstable();
        let (middle, late) = (lags[lags.len() / 2], lags[lags.len() * 9 / 10]);
        let right = right as f64 / all as f64;
        println!(
            "{apart} apart, penalty {penalty}: lag {middle} rows at the median, {late} at 90 %; {:.1} % right; {:.2} changes a true one",
            100.0 * right,
            alarms as f64 / lags.len() as f64
        );
        assert!(middle <= most_lag && right >= least_right, "{apart}: lag {middle}, {right}");
    }
}

#[test]
fn what_cannot_be_fitted_is_refused_in_words() {
    let rows = vec![vec![0.0]; 30];
    let told = |rows: &[Vec<f64>], options: &JumpOptions| JumpModel::fit(rows, options).unwrap_err().to_string();
    assert!(told(&rows, &options(1, 1.0)).contains("the number of states of a jump model is 1"));
    assert!(told(&rows, &options(2, f64::NAN)).contains("the penalty of a jump model is NaN"));
    assert!(told(&rows[..19], &options(2, 1.0)).contains("19 rows are too few for 2 states: it takes at least 20"));
    assert!(told(&rows, &options(2, 1.0)).contains("do not fall into 2 states"));
    let bad = [rows.clone(), vec![vec![f64::INFINITY]]].concat();
    assert!(told(&bad, &options(2, 1.0)).contains("row 30 cannot be used"));
}
