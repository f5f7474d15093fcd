//! Fits models to the data that `bench/fit.py` writes and prints `model,rows,seconds,auc`, a line each: CPU seconds of
//! the fit, AUC on the test part. Run by that script, which puts other libraries beside it.
//!
//! `fit_models COLUMNS TRAIN TEST [ONLY]`: files of little-endian doubles, a row after the other: its columns and the label.

use std::{env, error::Error, fs};

use ndarray::Array2;
use vigie::{
    models::{BoostingSpec, ForestSpec, LogisticSpec, ModelSpec, Solver, Values, fit},
    stats::binary::roc_auc,
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let mut next = || arguments.next().ok_or("usage: fit_models COLUMNS TRAIN TEST [ONLY]");
    let columns = next()?.parse()?;
    let (x, y) = read(&next()?, columns)?;
    let (test_x, test_y) = read(&next()?, columns)?;
    let only = next().unwrap_or_default();
    let logistic = |solver| ModelSpec::Logistic(LogisticSpec { solver, ..LogisticSpec::default() });
    for (name, spec) in [
        ("vigie logistic", logistic(Solver::Newton)),
        ("vigie logistic, smartcore", logistic(Solver::Smartcore)),
        ("vigie random forest", ModelSpec::RandomForest(ForestSpec::default())),
        ("vigie extra trees", ModelSpec::ExtraTrees(ForestSpec::default())),
        ("vigie boosting", ModelSpec::Boosting(BoostingSpec::default())),
    ] {
        if !name.contains(&only) {
            continue;
        }
        // the kernel counts in ticks, so what is short is repeated
        let (mut model, mut repeats, before) = (None, 0, cpu_seconds()?);
        let mut seconds = 0.0;
        while seconds < 0.3 {
            model = Some(fit(&spec, x.view(), Values::Classes(&y), None, None, 1)?);
            repeats += 1;
            seconds = cpu_seconds()? - before;
        }
        let compiled = model.ok_or("no model")?.compile()?;
        let score = |row: ndarray::ArrayView1<'_, f64>| compiled.value(row.as_slice().unwrap_or_default());
        let scores: Vec<f64> = test_x.rows().into_iter().map(score).collect::<Option<_>>().ok_or("no score")?;
        let auc = roc_auc(&test_y, &scores).ok_or("no AUC")?;
        println!("{name},{},{:.5},{auc:.4}", y.len(), seconds / f64::from(repeats));
    }
    Ok(())
}

fn read(path: &str, columns: usize) -> Result<(Array2<f64>, Vec<bool>), Box<dyn Error>> {
    let bytes = fs::read(path)?;
    let (doubles, _) = bytes.as_chunks::<8>();
    let cells: Vec<f64> = doubles.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect();
    let rows = cells.len() / (columns + 1);
    let y = cells.chunks_exact(columns + 1).filter_map(|row| row.last()).map(|label| *label > 0.5).collect();
    let x = cells.chunks_exact(columns + 1).flat_map(|row| row.iter().take(columns).copied()).collect();
    Ok((Array2::from_shape_vec((rows, columns), x)?, y))
}

/// CPU time of this thread so far; a fit uses no other.
fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    let stat = fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds: f64 = stat.split(' ').next().ok_or("schedstat is empty")?.parse()?;
    Ok(nanoseconds / 1e9)
}
