//! How long one row takes to score, by kind of model: `cargo bench --bench models`.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use ndarray::Array2;
use rand::RngExt;
use rand_pcg::Pcg64;
use vigie::models::{BoostingSpec, Compiled, ForestSpec, LogisticSpec, ModelSpec, Values, fit};

/// Rows, columns: as many as a history of some years has.
const SHAPE: (usize, usize) = (10_000, 13);

fn score(criterion: &mut Criterion) {
    let mut rng = Pcg64::new(1, 1);
    let mut uniform = move || rng.random::<f64>();
    let x = Array2::from_shape_simple_fn(SHAPE, || 2.0 * (uniform() + uniform() + uniform() - 1.5));
    let y: Vec<bool> = x.rows().into_iter().map(|row| row.sum() * 0.1 - 0.2 > (1.0 / uniform() - 1.0).ln()).collect();
    let rows: Vec<Vec<f64>> = x.rows().into_iter().map(|row| row.to_vec()).collect();
    let compile = |spec: &ModelSpec| -> Compiled {
        let model = fit(spec, x.view(), Values::Classes(&y), None, None, 1);
        let Ok(Ok(model)) = model.map(|model| model.compile()) else { unreachable!("the data have a model") };
        model
    };
    for (name, spec) in [
        ("logistic", ModelSpec::Logistic(LogisticSpec::default())),
        ("random forest, 100 trees", ModelSpec::RandomForest(ForestSpec::default())),
        ("extra trees, 100 trees", ModelSpec::ExtraTrees(ForestSpec::default())),
        ("boosting, 100 rounds of 8 leaves", ModelSpec::Boosting(BoostingSpec::default())),
    ] {
        let model = compile(&spec);
        let mut next = rows.iter().cycle();
        criterion.bench_function(&format!("score one row: {name}"), |bencher| {
            bencher.iter_batched(|| next.next(), |row| model.score(black_box(row?)), BatchSize::SmallInput);
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(30);
    targets = score
}
criterion_main!(benches);
