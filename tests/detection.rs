//! What the detectors do on streams whose truth is known: how often they speak without reason, and how late with one.
#![expect(clippy::unwrap_used, reason = "what the tests share may fail loudly as well")]

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use vigie::stats::{
    adwin::{Adwin, AdwinOptions},
    bootstrap::Resampling,
    budget::{Thresholds, Watch, thresholds},
    detector::{Cusum, CusumOptions, Move, PageHinkley, PageHinkleyOptions},
    normal,
    reference::Reference,
};

const WATCH: Watch = Watch { window: 120, every: 30, quarter: 600 };
const COLUMNS: usize = 4;
const BUDGET: f64 = 0.5;

/// Columns that remember: each value keeps 0.4 of the one before, and all share a part of the news. The third is one of
/// three values, a tenth of the fourth is missing. From the middle on they are shifted by `shift` of their deviations.
fn columns(rng: &mut Pcg64, rows: usize, shift: f64) -> Vec<Vec<Option<f64>>> {
    let mut normal = || normal::quantile(rng.random::<f64>().clamp(1e-12, 1.0 - 1e-12)).unwrap();
    let (mut state, mut table) = ([0.0; COLUMNS], vec![Vec::new(); COLUMNS]);
    for row in 0..rows {
        let shared = normal();
        for (place, column) in table.iter_mut().enumerate() {
            let news = 0.5 * shared + 0.75_f64.sqrt() * normal();
            state[place] = 0.4 * state[place] + 0.84_f64.sqrt() * news;
            let value = state[place] + if row >= rows / 2 { shift } else { 0.0 };
            column.push(match place {
                2 => Some((value.clamp(-1.4, 1.4)).round()),
                3 => (normal() < 1.28).then_some(value.exp()),
                _ => Some(value),
            });
        }
    }
    table
}

fn learnt(rng: &mut Pcg64) -> (Vec<Reference>, Vec<Thresholds>) {
    let history = columns(rng, 1500, 0.0);
    let resampling = Resampling { block: 20.0, resamples: 150, seed: 5 };
    let found = thresholds(&history, &WATCH, BUDGET, &resampling).unwrap();
    let references = history.into_iter().map(|column| Reference::of(column).unwrap()).collect();
    (references, found)
}

#[test]
fn quarters_without_drift_raise_as_many_alarms_as_the_budget_allows_and_a_drift_is_found() {
    let mut rng = Pcg64::seed_from_u64(2);
    let (mut healthy, mut moved, mut quarters) = (Vec::new(), 0, 0);
    for _ in 0..12 {
        let (references, thresholds) = learnt(&mut rng);
        let mut alarms = |shift: f64| {
            let quarter = columns(&mut rng, WATCH.quarter, shift);
            WATCH.alarms(&references, &thresholds, &quarter).unwrap().into_iter().filter(|alarm| *alarm).count()
        };
        let found: Vec<usize> = (0..10).map(|_| alarms(0.0)).collect();
        healthy.push(found.iter().sum::<usize>() as f64 / 10.0);
        moved += (0..4).map(|_| alarms(1.0)).sum::<usize>();
        quarters += 4;
    }
    let mean = healthy.iter().sum::<f64>() / healthy.len() as f64;
    let variance = healthy.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (healthy.len() - 1) as f64;
    let error = (variance / healthy.len() as f64).sqrt();
    let share = moved as f64 / (quarters * COLUMNS) as f64;
    println!(
        "false alarms a quarter {mean:.3} +- {error:.3}, allowed {BUDGET}; a shift by one deviation found {share:.3}"
    );
    assert!((mean - BUDGET).abs() <= 2.0 * error, "{mean} +- {error} of {BUDGET}");
    assert!(share > 0.95, "{share}");
}

/// False alarms per 1,000 trades of a detector of a falling win rate that stays at 55 %, and its median delay, in trades,
/// after a fall to 45 %. `None` for the delay when it is not found in half of the runs.
fn measured(mut fresh: impl FnMut() -> Box<dyn FnMut(bool) -> bool>) -> (f64, Option<usize>) {
    let mut rng = Pcg64::seed_from_u64(9);
    let mut alarms = 0;
    for _ in 0..200 {
        let mut detector = fresh();
        alarms += (0..2000).filter(|_| detector(rng.random::<f64>() < 0.55)).count();
    }
    let mut delays: Vec<usize> = (0..400)
        .map(|_| {
            let mut detector = fresh();
            (0..200).for_each(|_| {
                detector(rng.random::<f64>() < 0.55);
            });
            (0..3000).position(|_| detector(rng.random::<f64>() < 0.45)).unwrap_or(usize::MAX)
        })
        .collect();
    delays.sort_unstable();
    (alarms as f64 / 400.0, Some(delays[200]).filter(|delay| *delay < usize::MAX))
}

#[test]
fn a_win_rate_that_falls_from_55_to_45_per_cent_is_found_at_the_price_that_is_told() {
    let cusum = measured(|| {
        let mut cusum = Cusum::new(CusumOptions { rate: 0.55, error: 0.0, shift: 0.1, threshold: 4.0 }).unwrap();
        Box::new(move |won| cusum.update(won) == Some(Move::Down))
    });
    let page = measured(|| {
        let options =
            PageHinkleyOptions { delta: 0.05, threshold: 15.0, alpha: 1.0, min_values: 30, only: Some(Move::Down) };
        let mut page = PageHinkley::new(options).unwrap();
        Box::new(move |won| page.update(f64::from(u8::from(won))).is_some())
    });
    let adwin = measured(|| {
        let mut adwin = Adwin::new(AdwinOptions { delta: 0.002, clock: 1 }).unwrap();
        Box::new(move |won| adwin.update(f64::from(u8::from(won))))
    });
    println!("false alarms per 1,000 trades and median delay: CUSUM {cusum:?}, Page-Hinkley {page:?}, ADWIN {adwin:?}");
    // Lorden's bound: fewer than exp(-4) alarms a trade
    assert!(cusum.0 < 1000.0 * (-4.0_f64).exp(), "{cusum:?}");
    assert!(cusum.1.unwrap() < 400, "{cusum:?}");
}
