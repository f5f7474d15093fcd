//! How long a score and a fit take: `cargo bench --bench score`.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use ndarray::Array2;
use rand::RngExt;
use rand_pcg::Pcg64;
use vigie::models::{LogisticOptions, ModelRecord, Solver, fit_logistic};

/// `n` rows of `k` standardised columns with a weak signal (the best possible AUC is near 0.6).
fn data(n: usize, k: usize) -> (Array2<f64>, Vec<bool>) {
    let mut rng = Pcg64::new(1, 1);
    let mut uniform = move || rng.random::<f64>();
    let x = Array2::from_shape_simple_fn((n, k), || 2.0 * (uniform() + uniform() + uniform() - 1.5));
    let y = x.rows().into_iter().map(|row| row.sum() * 0.1 - 0.2 > (1.0 / uniform() - 1.0).ln()).collect();
    (x, y)
}

fn score(criterion: &mut Criterion) {
    let (x, y) = data(2_000, 13);
    let Ok(Ok(model)) =
        fit_logistic(x.view(), &y, &LogisticOptions::default()).map(|fit| ModelRecord::Logistic(fit).compile())
    else {
        unreachable!("the data have a model");
    };
    let rows: Vec<Vec<f64>> = x.rows().into_iter().map(|row| row.to_vec()).collect();
    let mut next = rows.iter().cycle();
    criterion.bench_function("score one row of 13 columns", |bencher| {
        bencher.iter_batched(|| next.next(), |row| model.score(black_box(row?)), BatchSize::SmallInput);
    });
}

fn fit(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fit 12 columns");
    group.sample_size(20);
    for n in [2_000, 10_000] {
        let (x, y) = data(n, 12);
        for solver in [Solver::Newton, Solver::Smartcore] {
            let options = LogisticOptions { solver, ..LogisticOptions::default() };
            group.bench_function(format!("{n} rows, {solver:?}"), |bencher| {
                bencher.iter(|| fit_logistic(black_box(x.view()), &y, &options));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, score, fit);
criterion_main!(benches);
