//! Splits of trades by time: what they hold, and that no learned-from trade can know a judged one.
//!
//! The random test runs 100,000 cases; `VIGIE_TEST_CASES` asks for another number (a night: 100000000).

use std::collections::BTreeSet;

use jiff::SignedDuration;
use rand::RngExt;
use rand_pcg::Pcg64;
use vigie::{
    domain::Timestamp,
    validation::{
        Life, Lives, Split, SplitError,
        splits::{Combination, Window},
    },
};

fn second(at: i64) -> Timestamp {
    Timestamp::from_second(at).unwrap_or_else(|error| unreachable!("{error}"))
}

fn life(at: i64, exit_at: i64) -> Life {
    Life { at: second(at), exit_at: second(exit_at), known_at: second(exit_at) }
}

fn lives(spans: &[(i64, i64)]) -> Lives {
    let lives = spans.iter().map(|&(at, exit_at)| life(at, exit_at)).collect();
    Lives::new(lives).unwrap_or_else(|error| unreachable!("{error}"))
}

/// `n` trades an hour apart that end as they begin.
fn moments(n: i64) -> Lives {
    lives(&(0..n).map(|i| (i * 3600, i * 3600)).collect::<Vec<_>>())
}

fn split(train: &[usize], test: &[usize]) -> Split {
    Split { train: train.to_vec(), test: test.to_vec() }
}

const NONE: SignedDuration = SignedDuration::ZERO;

#[test]
fn lives_must_be_sorted_and_end_after_they_begin() {
    assert_eq!(Lives::new(vec![life(5, 9), life(3, 9)]), Err(SplitError::Unsorted { row: 1 }));
    let error = Lives::new(vec![life(1, 2), life(5, 4)]).unwrap_err();
    assert_eq!(error, SplitError::EndsBeforeItBegins { row: 1, at: second(5), exit_at: second(4) });
    assert!(Lives::new(vec![life(5, 5), life(5, 6)]).is_ok());
}

#[test]
fn a_time_split_takes_shares_of_the_rows_and_purges_what_reaches_over() {
    let split = moments(20).time_split(0.1, 0.2).unwrap();
    assert_eq!((split.train, split.validation, split.test), ((0..14).collect(), vec![14, 15], vec![16, 17, 18, 19]));

    // rows 4 and 6 are alive when the next part begins, row 1 even when the last one does
    let mut spans: Vec<(i64, i64)> = (0..10).map(|i| (i * 10, i * 10 + 5)).collect();
    (spans[1].1, spans[4].1, spans[6].1) = (90, 50, 71);
    let split = lives(&spans).time_split(0.2, 0.3).unwrap();
    assert_eq!((split.train, split.validation, split.test), (vec![0, 2, 3], vec![5], vec![7, 8, 9]));

    let split = moments(10).time_split(0.0, 0.2).unwrap();
    assert_eq!((split.train.len(), split.validation.len(), split.test.len()), (8, 0, 2));
}

#[test]
fn shares_and_counts_out_of_range_are_refused() {
    let ten = moments(10);
    for (validation, test, part) in [(0.5, 0.5, "validation"), (-0.1, 0.2, "validation"), (0.1, f64::NAN, "validation")]
    {
        let error = ten.time_split(validation, test).unwrap_err();
        assert!(matches!(error, SplitError::Share { part: found, .. } if found == part), "{error}");
    }
    assert_eq!(ten.time_split(0.1, 0.0), Err(SplitError::NothingLeft { part: "test", split: 0 }));
    assert_eq!(ten.time_split(0.01, 0.2), Err(SplitError::NothingLeft { part: "validation", split: 0 }));
    assert_eq!(moments(0).time_split(0.1, 0.2), Err(SplitError::NothingLeft { part: "training", split: 0 }));
    for error in [
        ten.purged_k_fold(1, NONE).unwrap_err(),
        ten.purged_k_fold(11, NONE).unwrap_err(),
        ten.walk_forward(0, 2, Window::Rolling).unwrap_err(),
        ten.walk_forward(9, 2, Window::Expanding).unwrap_err(),
        ten.walk_forward(1, 0, Window::Expanding).unwrap_err(),
        moments(0).walk_forward(1, 1, Window::Expanding).unwrap_err(),
        ten.combinatorial(11, 2, NONE).unwrap_err(),
        ten.combinatorial(5, 5, NONE).unwrap_err(),
    ] {
        assert!(matches!(error, SplitError::Count { .. }), "{error}");
    }
    let before = SignedDuration::from_secs(-1);
    assert_eq!(ten.purged_k_fold(2, before), Err(SplitError::Embargo { embargo: before }));
    // all overlap: nothing is left to learn from
    let together = lives(&[(0, 9), (1, 9), (2, 9), (3, 9)]);
    assert_eq!(together.purged_k_fold(2, NONE), Err(SplitError::NothingLeft { part: "training", split: 0 }));
}

#[test]
fn folds_of_moments_are_those_of_scikit_learn() {
    // KFold(3) on ten rows
    let folds = moments(10).purged_k_fold(3, NONE).unwrap();
    assert_eq!(folds[0], split(&[4, 5, 6, 7, 8, 9], &[0, 1, 2, 3]));
    assert_eq!(folds[1], split(&[0, 1, 2, 3, 7, 8, 9], &[4, 5, 6]));
    assert_eq!(folds[2], split(&[0, 1, 2, 3, 4, 5, 6], &[7, 8, 9]));
}

#[test]
fn a_fold_is_purged_on_both_sides_and_embargoed_after_its_last_exit() {
    // the judged rows 4 and 5 live from 40 to 66
    let mut spans: Vec<(i64, i64)> = (0..12).map(|i| (i * 10, i * 10 + 3)).collect();
    (spans[1].1, spans[2].1, spans[4].1) = (40, 39, 66); // row 1 touches the first signal, row 2 just does not
    let rows = lives(&spans);
    assert_eq!(rows.purged_k_fold(6, NONE).unwrap()[2], split(&[0, 2, 3, 7, 8, 9, 10, 11], &[4, 5]));
    // 14 s after 66 is the signal of row 8, included
    let embargo = SignedDuration::from_secs(14);
    assert_eq!(rows.purged_k_fold(6, embargo).unwrap()[2], split(&[0, 2, 3, 9, 10, 11], &[4, 5]));
}

#[test]
fn walking_forward_judges_every_later_row_once() {
    let steps = moments(11).walk_forward(4, 3, Window::Expanding).unwrap();
    let tests: Vec<usize> = steps.iter().flat_map(|step| step.test.clone()).collect();
    assert_eq!(tests, (4..11).collect::<Vec<_>>());
    assert_eq!(steps[2], split(&[0, 1, 2, 3, 4, 5, 6, 7, 8], &[9, 10]));
    let rolling = moments(11).walk_forward(4, 3, Window::Rolling).unwrap();
    assert_eq!(rolling[0], steps[0]);
    assert_eq!(rolling[2], split(&[5, 6, 7, 8], &[9, 10]));
}

#[test]
fn ten_groups_of_which_two_are_judged_make_45_splits_and_9_paths() {
    let all = moments(100).combinatorial(10, 2, NONE).unwrap();
    assert_eq!((all.len(), all[0].groups.as_slice(), all[44].groups.as_slice()), (45, &[0, 1][..], &[8, 9][..]));
    for row in 0..100 {
        assert_eq!(all.iter().filter(|c| c.split.test.contains(&row)).count(), 9, "row {row}");
    }
    let Combination { groups, split } = &all[10];
    assert_eq!((groups.as_slice(), split.train.len()), (&[1, 3][..], 80));
    assert_eq!(split.test, (10..20).chain(30..40).collect::<Vec<_>>());
}

/// Looks at every pair: no learned-from life meets a judged one or the embargo after it. (The span of a judged block
/// and its embargo are what the code works with; here are only lives.)
fn assert_no_contact(lives: &Lives, split: &Split, embargo: SignedDuration, case: &str) {
    let lives = lives.as_slice();
    for &train in &split.train {
        for &test in &split.test {
            let (learned, judged) = (lives[train], lives[test]);
            let embargoed_until = judged.exit_at.as_second() + embargo.as_secs();
            let after = learned.at.as_second() > embargoed_until;
            let before = learned.exit_at < judged.at;
            assert!(train != test && (before || after), "{case}: {train} meets {test}: {learned:?} {judged:?}");
        }
    }
}

/// Without an embargo, a row that is neither learned from nor judged meets a judged one.
fn assert_nothing_lost(lives: &Lives, split: &Split, case: &str) {
    let used: BTreeSet<usize> = split.train.iter().chain(&split.test).copied().collect();
    let lives = lives.as_slice();
    for row in (0..lives.len()).filter(|row| !used.contains(row)) {
        let meets = |judged: &Life| lives[row].at <= judged.exit_at && lives[row].exit_at >= judged.at;
        assert!(split.test.iter().any(|&test| meets(&lives[test])), "{case}: row {row} is lost");
    }
}

/// Trades in random order of exits: moments, ties, and lives as long as the whole history among them.
fn random_lives(rng: &mut Pcg64) -> Lives {
    let n = rng.random_range(2..20);
    let horizon = [10, 60, 400][rng.random_range(0..3)];
    let longest = [1, 20, 400][rng.random_range(0..3)];
    let mut spans: Vec<(i64, i64)> = (0..n)
        .map(|_| {
            let at = rng.random_range(0..horizon);
            (at, at + rng.random_range(0..longest))
        })
        .collect();
    spans.sort_by_key(|span| span.0);
    lives(&spans)
}

fn random_splits(lives: &Lives, rng: &mut Pcg64) -> (Result<Vec<Split>, SplitError>, SignedDuration) {
    let n = lives.as_slice().len();
    let embargo = SignedDuration::from_secs([0, 3, 40][rng.random_range(0..3)]);
    match rng.random_range(0..5) {
        0 => {
            let split = lives.time_split(rng.random_range(0.0..0.4), rng.random_range(0.0..0.5));
            let pairs = split.map(|s| {
                let later = s.validation.iter().chain(&s.test).copied().collect();
                vec![Split { train: s.train, test: later }, Split { train: s.validation, test: s.test }]
            });
            (pairs, NONE)
        }
        1 => (lives.purged_k_fold(rng.random_range(2..=n.min(6)), embargo), embargo),
        2 | 3 => {
            let window = if rng.random() { Window::Expanding } else { Window::Rolling };
            let steps = rng.random_range(1..n);
            (lives.walk_forward(rng.random_range(1..=n - steps), steps, window), NONE)
        }
        _ => {
            let groups = rng.random_range(2..=n.min(5));
            let all = lives.combinatorial(groups, rng.random_range(1..groups), embargo);
            (all.map(|all| all.into_iter().map(|one| one.split).collect()), embargo)
        }
    }
}

#[test]
fn no_learned_from_life_touches_a_judged_one_or_its_embargo() {
    let cases = std::env::var("VIGIE_TEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(100_000_u64);
    let (mut splits, mut purged) = (0_u64, 0_u64);
    for seed in 0..cases {
        let mut rng = Pcg64::new(seed.into(), 7);
        let lives = random_lives(&mut rng);
        let (Ok(made), embargo) = random_splits(&lives, &mut rng) else { continue };
        let case = format!("seed {seed}");
        for split in &made {
            assert_no_contact(&lives, split, embargo, &case);
            splits += 1;
            purged += u64::from(split.train.len() + split.test.len() < lives.as_slice().len());
        }
    }
    // the test would say nothing if hardly a split came about, or none needed a purge
    assert!(splits > cases / 2 && purged > cases / 10, "{splits} splits, {purged} with a purge, in {cases} cases");
}

#[test]
fn a_purge_takes_no_row_without_need() {
    for seed in 0..2_000 {
        let mut rng = Pcg64::new(seed, 8);
        let lives = random_lives(&mut rng);
        let folds = rng.random_range(2..=lives.as_slice().len().min(6));
        for split in lives.purged_k_fold(folds, NONE).into_iter().flatten() {
            assert_nothing_lost(&lives, &split, &format!("seed {seed}"));
        }
    }
}
