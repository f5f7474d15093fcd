//! The inference of the A/B test against SciPy, statsmodels and arch, whose figures `tests/fixtures/abstats/make.py`
//! wrote down.
#![expect(clippy::unwrap_used, reason = "what the tests share may fail loudly as well")]

use serde_json::Value;
use vigie::stats::{
    bootstrap::block_length,
    cluster::{DesignEffect, SessionSum, Sums},
    compare::welch,
    interval::Interval,
    multiple::holm,
    power::{Reading, two_arms, two_arms_win_rate},
    proportion::{Share, fisher_exact, newcombe, smallest_expected, two_proportion_z, wilson},
    rank::mann_whitney,
    sequential::{Plan, crossing_probability, reflection_constant, reflection_tail, wang_tsiatis},
    sharpe::sharpe_difference,
    student::{two_sided_p, two_sided_quantile},
};

fn cases(of: &str) -> Vec<Value> {
    let reference: Value = serde_json::from_str(include_str!("fixtures/abstats/reference.json")).unwrap();
    let cases = reference[of].as_array().unwrap().clone();
    assert!(!cases.is_empty());
    cases
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(number).collect()
}

/// Equal to 1e-9, relative to the size of the figure, however small it is.
fn check(what: &str, ours: Option<f64>, theirs: &Value) {
    check_to(1e-9, what, ours, number(theirs));
}

fn check_to(tolerance: f64, what: &str, ours: Option<f64>, theirs: f64) {
    let near = ours.is_some_and(|ours| (ours - theirs).abs() <= tolerance * theirs.abs() + 1e-14);
    assert!(near, "{what}: {ours:?} is not {theirs}");
}

fn check_interval(what: &str, ours: Option<Interval>, theirs: &Value) {
    check(what, ours.map(|interval| interval.low), &theirs[0]);
    check(what, ours.map(|interval| interval.high), &theirs[1]);
}

#[test]
fn shares_equal_statsmodels_and_scipy() {
    for case in cases("proportions") {
        let count = |place: usize| case["table"][place].as_u64().unwrap();
        let [xa, na, xb, nb] = [0, 1, 2, 3].map(count);
        let (a, b) = (Share::of(xa, na).unwrap(), Share::of(xb, nb).unwrap());
        let name = |what: &str| format!("{what} of {}", case["table"]);
        check_interval(&name("Wilson"), wilson(a, 0.95), &case["wilson"]);
        check_interval(&name("Wilson at 90 %"), wilson(b, 0.9), &case["wilson_90"]);
        check_interval(&name("Newcombe"), newcombe(a, b, 0.95), &case["newcombe"]);
        let z = two_proportion_z(a, b);
        if case["z"].is_null() {
            assert_eq!(z, None);
        } else {
            check(&name("z"), z.map(|test| test.statistic), &case["z"]);
            check(&name("p of z"), z.map(|test| test.p), &case["p"]);
        }
        check(&name("Fisher"), fisher_exact([xa, xb], [na, nb]), &case["fisher"]);
        check(&name("smallest expected"), Some(smallest_expected(a, b)), &case["smallest_expected"]);
    }
}

#[test]
fn comparisons_of_two_samples_equal_scipy() {
    for case in cases("samples") {
        let (a, b) = (numbers(&case["a"]), numbers(&case["b"]));
        let comparison = welch(&a, &b, 0.95);
        check("Welch t", comparison.map(|c| c.test.statistic), &case["t"]);
        check("p of Welch t", comparison.map(|c| c.test.p), &case["p"]);
        check_interval("Welch interval", comparison.map(|c| c.interval), &case["interval"]);
        let ranks = mann_whitney(&a, &b);
        check("Mann-Whitney U", ranks.map(|test| test.statistic), &case["u"]);
        check("p of Mann-Whitney", ranks.map(|test| test.p), &case["u_p"]);
    }
    for case in cases("student") {
        let (freedom, t) = (number(&case["freedom"]), number(&case["t"]));
        check(&case.to_string(), two_sided_p(t, freedom), &case["outside"]);
        if let Some(level) = case["level"].as_f64() {
            check_to(1e-9, &case.to_string(), two_sided_quantile(level, freedom), t);
        }
    }
    for case in cases("holm") {
        let (ours, theirs) = (holm(&numbers(&case["p"])).unwrap(), numbers(&case["adjusted"]));
        assert_eq!(ours.len(), theirs.len());
        ours.into_iter().zip(theirs).for_each(|(ours, theirs)| check_to(1e-9, "Holm", Some(ours), theirs));
    }
}

#[test]
fn the_difference_of_sharpe_ratios_equals_the_original_form_of_jobson_and_korkie() {
    for case in cases("sharpe") {
        let comparison = sharpe_difference(&numbers(&case["a"]), &numbers(&case["b"]), 0.95);
        check("difference", comparison.map(|c| c.difference), &case["difference"]);
        check("z", comparison.map(|c| c.test.statistic), &case["z"]);
        check("p", comparison.map(|c| c.test.p), &case["p"]);
        check_interval("interval", comparison.map(|c| c.interval), &case["interval"]);
    }
}

#[test]
fn block_lengths_equal_arch() {
    for case in cases("blocks") {
        let theirs = number(&case["length"]).max(1.0);
        check_to(1e-9, "block length", block_length(&numbers(&case["series"])), theirs);
    }
}

#[test]
fn inference_over_sessions_equals_cluster_robust_least_squares() {
    for case in cases("clusters") {
        let groups: Vec<Vec<f64>> = case["groups"].as_array().unwrap().iter().map(numbers).collect();
        let session = |group: &Vec<f64>| SessionSum { difference: group.iter().sum(), weight: group.len() as f64 };
        let sums = Sums::of(&groups.iter().map(session).collect::<Vec<_>>()).unwrap();
        let fixed = sums.fixed_horizon(0.95);
        check("estimate", sums.estimate(), &case["estimate"]);
        check("standard error", sums.standard_error(), &case["error"]);
        check("t", fixed.map(|c| c.test.statistic), &case["t"]);
        check("p", fixed.map(|c| c.test.p), &case["p"]);
        check_interval("interval", fixed.map(|c| c.interval), &case["interval"]);
        let effect = DesignEffect::of(groups.iter().map(Vec::as_slice));
        check("intraclass correlation", effect.map(|effect| effect.icc), &case["icc"]);
        check("design effect", effect.map(|effect| effect.effect), &case["effect"]);
    }
}

#[test]
fn the_reflection_formula_equals_the_other_series_and_its_inverse_the_root() {
    for case in cases("reflection_tails") {
        check(&format!("tail at {}", case[0]), Some(reflection_tail(number(&case[0]))), &case[1]);
    }
    for case in cases("reflection_constants") {
        check(&format!("constant at {}", case[0]), reflection_constant(number(&case[0])), &case[1]);
    }
}

#[test]
fn boundary_constants_equal_an_independent_quadrature() {
    for case in cases("wang_tsiatis") {
        let count = |key: &str| case[key].as_u64().unwrap() as usize;
        let (shape, alpha, constant) = (number(&case["shape"]), number(&case["alpha"]), number(&case["constant"]));
        let plan = Plan::new(count("sessions"), count("first")).unwrap();
        check_to(2e-6, &case.to_string(), wang_tsiatis(plan, shape, alpha), constant);
        let chance = crossing_probability(plan, |t| constant * t.powf(shape - 0.5));
        check_to(1e-5, &case.to_string(), Some(chance), alpha);
    }
}

#[test]
fn boundary_constants_are_those_of_the_published_tables() {
    // Jennison and Turnbull (2000), tables 2.1 and 2.3: two-sided 5 %, five looks; here each side at 2.5 %
    let five = Plan::new(5, 1).unwrap();
    for (shape, published) in [(0.5, 2.413), (0.0, 2.040)] {
        let constant = wang_tsiatis(five, shape, 0.025).unwrap();
        assert!((constant - published).abs() < 1e-3, "{shape}: {constant}");
    }
}

#[test]
fn power_and_trades_equal_statsmodels() {
    for case in cases("power_of_shares") {
        let (new, old, per_arm) = (number(&case["rates"][0]), number(&case["rates"][1]), number(&case["per_arm"]));
        let spread = two_arms_win_rate(new, old, 1.0, 0.5).unwrap();
        let drift = (new - old) / (spread / (2.0 * per_arm).sqrt());
        check("power", Reading::FixedHorizon.power(drift, 60.0, 0.05), &case["power"]);
    }
    for case in cases("trades_of_means") {
        let share = 1.0 / (1.0 + number(&case["ratio"]));
        let spread = two_arms(1.0, 1.0, share).unwrap();
        let trades = Reading::FixedHorizon.trades(number(&case["effect"]), spread, 20.0, 0.8, 0.05);
        // their root is found to about 1e-8 only
        check_to(1e-6, "trades", trades.map(|trades| trades * share), number(&case["first_arm"]));
    }
}
