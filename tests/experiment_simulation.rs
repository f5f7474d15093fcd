//! The A/B test on simulated trades whose truth is known. Pnl is t-distributed with 4 degrees of freedom and correlated
//! within a session; the ML policy lets 30 % of the trades go. `VIGIE_LONG=1` runs as many experiments as it takes to
//! tell the figures that docs/statistics.md quotes; without it, enough to notice that something is broken.
#![expect(clippy::unwrap_used, reason = "what the tests share may fail loudly as well")]

#[path = "common/long.rs"]
mod long;
#[path = "common/trades.rs"]
mod trades;

use long::cases;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use trades::{day, opening, outcome, trade_id};
use vigie::{
    config::Config,
    domain::{Arm, Timestamp},
    stats::{
        compare::welch,
        normal,
        power::Reading,
        ratio::SampleRatio,
        sequential::{HARM_SHAPE, Plan, crossing_power, reflection_constant, wang_tsiatis},
        sharpe::{Day, studentised},
    },
    trials::experiment::{
        Assignment, Criteria, EvidenceMetric, Experiment, ExperimentOptions, Horizon, Measure, TestEvidence,
        TestReport, TestStanding, TestVerdict, View,
    },
};

const SESSIONS: usize = 100;
const PER_SESSION: usize = 20;
const SKIPPED: f64 = 0.3;

/// What the policy is worth, and whether trades of the ML arm get lost.
#[derive(Clone, Copy)]
struct World {
    /// True gain of win rate.
    gain: f64,
    /// Chance that a signal of the ML arm is never recorded.
    lost: f64,
}

const NULL: World = World { gain: 0.0, lost: 0.0 };

struct Market {
    rng: Pcg64,
    world: World,
}

impl Market {
    fn new(world: World, seed: u64) -> Self {
        Self { rng: Pcg64::seed_from_u64(seed), world }
    }

    fn uniform(&mut self) -> f64 {
        self.rng.random::<f64>()
    }

    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// t with 4 degrees of freedom, variance 2.
    fn heavy(&mut self) -> f64 {
        let squares: f64 = (0..4).map(|_| self.normal().powi(2)).sum();
        self.normal() / (squares / 4.0).sqrt()
    }

    /// Pnl of one trade at the strategy's size, and the ML policy's size.
    fn trade(&mut self, session: f64) -> (f64, f64) {
        let pnl = 100.0 * (session + self.heavy());
        let win_if_skipped = 0.5 - self.world.gain * (1.0 - SKIPPED) / SKIPPED;
        let skip = 2.0 * SKIPPED * if pnl > 0.0 { win_if_skipped } else { 1.0 - win_if_skipped };
        let size = if self.uniform() < skip { 0.0 } else { 1.0 };
        (pnl, size)
    }
}

fn criteria(metrics: &[EvidenceMetric], evidence: View) -> Criteria {
    let options = ExperimentOptions {
        planned_sessions: SESSIONS,
        metrics: metrics.to_vec(),
        evidence,
        resamples: 400,
        ..Config::builtin().unwrap().experiment.clone()
    };
    Criteria::new(options).unwrap()
}

/// Trades `SESSIONS` sessions and calls `look` when each closes.
fn run(world: World, seed: u64, mut look: impl FnMut(&Experiment, Timestamp)) -> Experiment {
    let mut market = Market::new(world, seed);
    let mut experiment = Experiment::new(opening(0));
    for session in 0..SESSIONS {
        let shared = 0.3 * market.normal();
        for n in 0..PER_SESSION {
            let trade_id = trade_id(session, n);
            let (pnl, ml_size) = market.trade(shared);
            let arm = if market.uniform() < 0.5 { Arm::Ml } else { Arm::Baseline };
            if arm == Arm::Ml && market.uniform() < market.world.lost {
                continue;
            }
            let (at, day) = (opening(session), day(session));
            let assignment = Assignment {
                trade_id: trade_id.clone(),
                at,
                day,
                arm,
                allocation: 0.5,
                ml_size,
                alone: arm == Arm::Baseline,
            };
            experiment.assign(assignment);
            let slippage = market.normal().round();
            if arm == Arm::Baseline || ml_size > 0.0 {
                experiment.outcome(&trade_id, &outcome(pnl, slippage));
            }
        }
        while experiment.close_next(day(session + 1), 5).is_some() {}
        look(&experiment, opening(session + 1));
    }
    experiment
}

fn share(of: usize, all: usize) -> (f64, f64) {
    let p = of as f64 / all as f64;
    (p, (p * (1.0 - p) / all as f64).sqrt())
}

fn shown(name: &str, (p, error): (f64, f64)) {
    println!("{name:<72} {:6.2} % ± {:.2}", 100.0 * p, 100.0 * error);
}

/// Whether a share is at most `limit`, give or take the noise of the number of experiments.
fn at_most((p, _): (f64, f64), limit: f64, all: usize) -> bool {
    p <= limit + 3.0 * (limit * (1.0 - limit) / all as f64).sqrt()
}

fn proven(standing: &TestStanding, level: f64) -> bool {
    standing.metrics.iter().any(|metric| metric.p <= level)
}

#[test]
fn without_an_effect_looking_at_every_close_claims_one_in_at_most_five_per_cent() {
    let n = cases(16, 2000);
    let both = [EvidenceMetric::MeanPnl, EvidenceMetric::WinRate];
    let judges = [criteria(&both, View::Paired), criteria(&both, View::Randomised)];
    let (mut claimed, mut shipped, mut naive) = ([0; 2], [0; 2], [0; 2]);
    let (mut harmed, mut invalid, mut futile) = (0, 0, 0);
    for seed in 0..n {
        let (mut claims, mut ships, mut naives) = ([false; 2], [false; 2], [false; 2]);
        let (mut harm, mut srm, mut futility) = (false, false, false);
        run(NULL, seed as u64, |experiment, now| {
            for (place, judge) in judges.iter().enumerate() {
                let standing = judge.assess(experiment, now);
                claims[place] |= proven(&standing, 0.05);
                match judge.decide(&standing).verdict {
                    TestVerdict::Ship(_) => ships[place] = true,
                    TestVerdict::StopForHarm(_) => harm = true,
                    TestVerdict::Invalid(_) => srm = true,
                    TestVerdict::Futile(_) => futility |= place == 0 && standing.sessions < SESSIONS,
                    TestVerdict::Continue(_) | TestVerdict::Over(_) => {}
                }
            }
            if experiment.sessions().len() >= 10 {
                let paired = TestEvidence::of(View::Paired, experiment.sessions()).mean_pnl.unwrap();
                naives[0] |= paired.fixed_horizon(0.95).is_some_and(|found| found.test.p < 0.05);
                let arms = TestEvidence::of(View::Randomised, experiment.sessions()).sessions;
                let all = |ml: bool| -> Vec<f64> {
                    arms.iter().flat_map(|day| if ml { &day.ml } else { &day.baseline }).copied().collect()
                };
                naives[1] |= welch(&all(true), &all(false), 0.95).is_some_and(|found| found.test.p < 0.05);
            }
        });
        for place in 0..2 {
            claimed[place] += usize::from(claims[place]);
            shipped[place] += usize::from(ships[place]);
            naive[place] += usize::from(naives[place]);
        }
        harmed += usize::from(harm);
        invalid += usize::from(srm);
        futile += usize::from(futility);
    }
    println!("{n} experiments without an effect, {SESSIONS} sessions of {PER_SESSION} trades, judged at every close");
    for (place, view) in ["paired", "randomised"].iter().enumerate() {
        shown(&format!("{view}: significant either way, Holm over two metrics"), share(claimed[place], n));
        shown(&format!("{view}: shipped"), share(shipped[place], n));
        shown(&format!("{view}: a fixed-horizon test looked at every close is significant"), share(naive[place], n));
        assert!(at_most(share(claimed[place], n), 0.05, n), "{view}: {} of {n}", claimed[place]);
        assert!(at_most(share(shipped[place], n), 0.025, n), "{view}: {} of {n}", shipped[place]);
        assert!(share(naive[place], n).0 > 0.12, "{view}: {} of {n}", naive[place]);
    }
    shown("stopped for harm that is none", share(harmed, n));
    shown("sample-ratio alarm at any close", share(invalid, n));
    shown("paired: futile before the planned end", share(futile, n));
    assert!(at_most(share(harmed, n), 0.05, n), "{harmed} of {n}");
    assert!(at_most(share(invalid, n), 0.001, n), "{invalid} of {n}");
}

/// The true differences of a world, from a sample so large that its error does not matter.
fn truth(world: World) -> [f64; 4] {
    let sessions = cases(20_000, 200_000);
    let mut market = Market::new(world, 999_983);
    let (mut days, mut totals, mut kept) = (Vec::new(), [0.0; 2], 0.0);
    let trades = sessions * PER_SESSION;
    for _ in 0..sessions {
        let shared = 0.3 * market.normal();
        let mut today = [0.0; 2];
        for _ in 0..PER_SESSION {
            let (pnl, size) = market.trade(shared);
            // half the trades of a session are in one arm
            if market.uniform() < 0.5 {
                today[0] += pnl * size;
                today[1] += pnl;
            }
            totals[0] += pnl * size;
            totals[1] += pnl;
            kept += size;
        }
        days.push(today);
    }
    let sharpe = |place: usize| {
        let series: Vec<f64> = days.iter().map(|day| day[place]).collect();
        vigie::stats::risk::sharpe(&series, 252.0).unwrap()
    };
    if world.gain == 0.0 {
        return [0.0; 4];
    }
    let per_signal = (totals[0] - totals[1]) / trades as f64;
    [world.gain, per_signal, totals[0] / kept - totals[1] / trades as f64, sharpe(0) - sharpe(1)]
}

#[test]
fn intervals_hold_the_truth_as_often_as_they_say() {
    let n = cases(16, 2000);
    let worlds = [World { gain: 0.05, lost: 0.0 }, NULL];
    for world in cases(&worlds[..1], &worlds[..]) {
        let world = *world;
        let [win_rate, per_signal, per_taken, sharpe] = truth(world);
        println!(
            "{n} experiments, true gain of win rate {}; share of the 95 % intervals that hold the truth",
            world.gain
        );
        let judge = criteria(&[EvidenceMetric::MeanPnl], View::Paired);
        let mut held: std::collections::BTreeMap<String, (usize, usize)> = Default::default();
        let (mut repeated, mut for_ever) = ([0; 4], [0; 2]);
        let (mut widths, mut sequence_widths) = (Vec::new(), Vec::new());
        for seed in 0..n {
            let (mut always, mut ever) = ([true; 4], [true; 2]);
            let experiment = run(world, 50_000 + seed as u64, |experiment, _| {
                let closed = experiment.sessions().len();
                let Some(critical) = judge.plan().critical(closed, 0.05) else { return };
                let sequence = vigie::stats::confseq::ConfidenceSequence::tuned(SESSIONS, 0.05).unwrap();
                for (place, view) in [View::Paired, View::Randomised].into_iter().enumerate() {
                    let evidence = TestEvidence::of(view, experiment.sessions());
                    for (metric, (sums, truth)) in
                        [(evidence.mean_pnl, per_signal), (evidence.win_rate, win_rate)].into_iter().enumerate()
                    {
                        let interval = sums.unwrap().inverted_interval(critical);
                        always[2 * place + metric] &= interval.is_none_or(|interval| interval.contains(truth));
                    }
                    ever[place] &= sequence.interval(&evidence.mean_pnl.unwrap()).unwrap().contains(per_signal);
                }
            });
            (0..4).for_each(|place| repeated[place] += usize::from(always[place]));
            (0..2).for_each(|place| for_ever[place] += usize::from(ever[place]));
            let report = TestReport::of(&judge, &experiment, opening(SESSIONS));
            for view in &report.views {
                for metric in &view.metrics {
                    let truth = match metric.measure {
                        Measure::WinRate => win_rate,
                        Measure::PnlPerSignal => per_signal,
                        Measure::PnlPerTaken => per_taken,
                        Measure::Sharpe => sharpe,
                        Measure::Slippage => 0.0,
                        Measure::DrawdownRatio | Measure::SharpeEven | Measure::DrawdownEven => continue,
                    };
                    // tables with a small cell would be named apart, and there are none
                    let name = format!("{}: {:?}, {}", view.view.name(), metric.measure, metric.method);
                    let entry = held.entry(name).or_default();
                    entry.0 += usize::from(metric.interval.is_some_and(|interval| interval.contains(truth)));
                    entry.1 += 1;
                }
                let width = |horizon: Horizon| {
                    let of = |m: &&vigie::trials::experiment::Metric| {
                        m.measure == Measure::PnlPerSignal && m.horizon == horizon
                    };
                    view.metrics.iter().find(of).and_then(|metric| metric.interval).unwrap().width()
                };
                if view.view == View::Paired {
                    widths.push(width(Horizon::Sequential) / width(Horizon::Fixed));
                    sequence_widths.push(width(Horizon::OpenEnded) / width(Horizon::Fixed));
                }
            }
        }
        for (name, (inside, all)) in &held {
            shown(name, share(*inside, *all));
            assert!(at_most(share(all - inside, *all), 0.07, *all), "{name}: {inside} of {all}");
        }
        for (place, name) in
            ["paired pnl", "paired win rate", "randomised pnl", "randomised win rate"].iter().enumerate()
        {
            shown(&format!("{name}: repeated intervals, all closes together"), share(repeated[place], n));
            assert!(at_most(share(n - repeated[place], n), 0.05, n), "{name}: {} of {n}", repeated[place]);
        }
        for (place, name) in ["paired", "randomised"].iter().enumerate() {
            shown(&format!("{name}: confidence sequence from 10 sessions on"), share(for_ever[place], n));
            assert!(at_most(share(n - for_ever[place], n), 0.06, n), "{name}: {} of {n}", for_ever[place]);
        }
        let mean = |all: &[f64]| all.iter().sum::<f64>() / all.len() as f64;
        let (repeated, sequence) = (mean(&widths), mean(&sequence_widths));
        println!(
            "width at the planned end against one look: repeated {repeated:.3}, confidence sequence {sequence:.3}"
        );
        assert!(repeated <= 1.2 && sequence <= 1.6, "{repeated} {sequence}");
    }
}

#[test]
fn the_paired_view_finds_what_the_randomised_one_cannot() {
    let n = cases(5, 400);
    let judges = [View::Paired, View::Randomised].map(|view| criteria(&[EvidenceMetric::WinRate], view));
    let decider = criteria(&[EvidenceMetric::MeanPnl, EvidenceMetric::WinRate], View::Paired);
    let mut found_at_10 = [0; 2];
    let gains = [0.10, 0.05, 0.03];
    for gain in cases(&gains[..1], &gains[..]) {
        let gain = *gain;
        let (mut found, mut shipped, mut sessions) = ([0; 2], 0, 0);
        let mut needed = [0.0; 2];
        for seed in 0..n {
            let mut finds = [false; 2];
            let mut ship = None;
            let experiment = run(World { gain, lost: 0.0 }, 90_000 + seed as u64, |experiment, now| {
                for (place, judge) in judges.iter().enumerate() {
                    finds[place] |= judge.assess(experiment, now).metrics[0].p <= 0.05;
                }
                let ruling = decider.decide(&decider.assess(experiment, now));
                if matches!(ruling.verdict, TestVerdict::Ship(_)) && ship.is_none() {
                    ship = Some(experiment.sessions().len());
                }
            });
            (0..2).for_each(|place| found[place] += usize::from(finds[place]));
            shipped += usize::from(ship.is_some());
            sessions += ship.unwrap_or(0);
            for (place, view) in TestReport::of(&judges[0], &experiment, opening(SESSIONS)).views.iter().enumerate() {
                needed[place] += view.power[0].trades_needed / n as f64;
            }
        }
        let points = 100.0 * gain;
        shown(&format!("+{points:.0} points: paired evidence of the win rate"), share(found[0], n));
        shown(&format!("+{points:.0} points: randomised evidence of the win rate"), share(found[1], n));
        shown(&format!("+{points:.0} points: shipped on paired evidence"), share(shipped, n));
        println!("    after {:.0} sessions on average", sessions as f64 / shipped.max(1) as f64);
        println!("    trades for +3 points at 80 %: paired {:.0}, randomised {:.0}", needed[0], needed[1]);
        assert!(needed[0] * 3.0 <= needed[1], "{needed:?}");
        if gain == gains[0] {
            found_at_10 = found;
        }
    }
    // with +10 points both find it by 2,000 trades
    assert!(found_at_10[0] * 10 >= n * 9, "{found_at_10:?} of {n}");
}

#[test]
fn harm_is_stopped_early_and_lost_trades_make_the_experiment_invalid() {
    let n = cases(6, 400);
    let judge = criteria(&[EvidenceMetric::MeanPnl], View::Paired);
    let first = |world: World, seed: u64, wanted: fn(&TestVerdict) -> bool| {
        let mut at = None;
        run(world, seed, |experiment, now| {
            let verdict = judge.decide(&judge.assess(experiment, now)).verdict;
            if wanted(&verdict) && at.is_none() {
                at = Some(experiment.sessions().len());
            }
        });
        at
    };
    for (name, world, wanted, short) in [
        ("-10 points stopped for harm", World { gain: -0.10, lost: 0.0 }, harmful as fn(&TestVerdict) -> bool, 7),
        ("20 % of the ML arm's signals lost: invalid", World { gain: 0.0, lost: 0.20 }, invalid, 5),
    ] {
        let found: Vec<usize> = (0..n).filter_map(|seed| first(world, 130_000 + seed as u64, wanted)).collect();
        shown(name, share(found.len(), n));
        println!("    after {:.0} sessions on average", found.iter().sum::<usize>() as f64 / found.len().max(1) as f64);
        // seven in ten; where six experiments are all, chance may take one or two of those
        let least = cases(short, 7);
        assert!(found.len() * 10 >= n * least, "{name}: {} of {n}", found.len());
    }
}

fn harmful(verdict: &TestVerdict) -> bool {
    matches!(verdict, TestVerdict::StopForHarm(_))
}

fn invalid(verdict: &TestVerdict) -> bool {
    matches!(verdict, TestVerdict::Invalid(_))
}

/// Trades until the sample-ratio test has p below `level`, and until chi-square looked at every session has, of at most
/// 60 sessions of `per_session`; the chance of the ML arm is `planned` and truly `real`, both by the session.
fn until_alarm(
    market: &mut Market,
    per_session: usize,
    level: f64,
    planned: impl Fn(usize) -> f64,
    real: impl Fn(usize) -> f64,
) -> [Option<usize>; 2] {
    let (mut ratio, mut variance, mut found) = (SampleRatio::default(), 0.0, [None; 2]);
    for session in 0..60 {
        for n in 0..per_session {
            let share = planned(session);
            ratio.add(market.uniform() < real(session), share);
            variance += share * (1.0 - share);
            if found[0].is_none() && ratio.test().is_some_and(|test| test.p < level) {
                found[0] = Some(session * per_session + n + 1);
            }
        }
        let distance = (ratio.in_ml() as f64 - ratio.expected()).abs() / f64::sqrt(variance);
        if found[1].is_none() && 2.0 * normal::cdf(-distance) < level {
            found[1] = Some((session + 1) * per_session);
        }
    }
    found
}

#[test]
fn the_sample_ratio_looked_at_after_every_trade_raises_a_false_alarm_no_more_often_than_its_level() {
    let n = cases(1000, 40_000);
    let mut market = Market::new(NULL, 23);
    for level in [0.001, 0.05] {
        for per_session in [5, 9, 20] {
            for (name, planned) in [
                ("half", (|_| 0.5) as fn(usize) -> f64),
                ("a fifth, then half, then nearly all", |session| [0.2, 0.5, 0.9][session / 20]),
            ] {
                let mut alarms = [0; 2];
                for _ in 0..n {
                    let found = until_alarm(&mut market, per_session, level, planned, planned);
                    (0..2).for_each(|place| alarms[place] += usize::from(found[place].is_some()));
                }
                let [ours, naive] = alarms.map(|alarms| share(alarms, n));
                shown(&format!("sample ratio at {level}, {name}, 60 sessions of {per_session}: false alarms"), ours);
                shown("    chi-square at every session", naive);
                assert!(at_most(ours, level, n), "{level} {name} {per_session}: {ours:?}");
                // at 0.1 % a thousand experiments are too few to tell
                assert!(level < 0.01 || naive.0 > 0.2, "{level} {name} {per_session}: {naive:?}");
            }
        }
    }
}

#[test]
fn arms_of_55_and_45_where_both_should_be_50_are_found_within_about_as_many_trades_as_one_look_takes() {
    let n = cases(100, 2000);
    let mut market = Market::new(NULL, 29);
    for (name, real, most) in [
        ("50 planned, 55 received", 0.55, 2000),
        ("50 planned, 60 received", 0.60, 520),
        ("half of one arm lost", 1.0 / 3.0, 190),
        ("one arm all lost", 0.0, 20),
    ] {
        let all = (0..n).map(|_| until_alarm(&mut market, 100, 0.001, |_| 0.5, |_| real)[0].unwrap_or(usize::MAX));
        let mut trades: Vec<usize> = all.collect();
        trades.sort_unstable();
        println!("{name}: found after {} trades, in 80 % within {}", trades[n / 2], trades[n * 4 / 5]);
        assert!(trades[n / 2] <= most, "{name}: {}", trades[n / 2]);
    }
}

#[test]
fn the_harm_boundary_is_crossed_by_chance_as_often_as_it_says() {
    let n = cases(3000, 100_000);
    let plan = Plan::new(60, 10).unwrap();
    for alpha in [0.025, 0.05] {
        let constant = wang_tsiatis(plan, HARM_SHAPE, alpha).unwrap();
        let mut market = Market::new(NULL, 17);
        let mut crossed = 0;
        for _ in 0..n {
            let mut sum = 0.0;
            let mut out = false;
            for k in 1..=60 {
                sum += market.normal();
                let t = k as f64 / 60.0;
                out |= k >= 10 && sum / (k as f64).sqrt() <= -constant * t.powf(HARM_SHAPE - 0.5);
            }
            crossed += usize::from(out);
        }
        let (p, _) = share(crossed, n);
        shown(
            &format!("harm boundary of {alpha} with constant {constant:.4}, normal sessions"),
            (p, share(crossed, n).1),
        );
        let error = (alpha * (1.0 - alpha) / n as f64).sqrt();
        assert!((p - alpha).abs() < 3.5 * error, "{p} is not {alpha}");
    }
}

/// What of all trades it takes until the alarm at 0.001 when an arm loses the share `lost` of its trades.
fn until_seen(market: &mut Market, lost: f64, most: usize) -> Option<usize> {
    let (mut ratio, real) = (SampleRatio::default(), (1.0 - lost) / (2.0 - lost));
    (1..=most).find(|_| {
        ratio.add(market.uniform() < real, 0.5);
        ratio.test().is_some_and(|test| test.p < 0.001)
    })
}

#[test]
fn an_arm_that_loses_a_few_trades_of_a_hundred_is_found_in_the_end() {
    let n = cases(5, 200);
    let mut market = Market::new(NULL, 31);
    for (lost, most) in [(0.02, 320_000), (0.05, 60_000), (0.1, 15_000)] {
        let mut trades: Vec<usize> =
            (0..n).map(|_| until_seen(&mut market, lost, 2 * most).unwrap_or(usize::MAX)).collect();
        trades.sort_unstable();
        println!("{:.0} % of an arm lost: found after {} trades at the median", 100.0 * lost, trades[n / 2]);
        assert!(trades[n / 2] <= most, "{lost}: {}", trades[n / 2]);
    }
}

/// Share of tests of `sessions` normal sessions in which an effect of `drift` standard errors at the end is found at `level`.
fn found(market: &mut Market, drift: f64, sessions: usize, level: f64, n: usize) -> f64 {
    let plan = Plan::new(sessions, 2).unwrap();
    let limits: Vec<f64> = (0..=sessions).map(|k| plan.critical(k, level).unwrap_or(f64::INFINITY)).collect();
    let effect = drift / (sessions as f64).sqrt();
    let mut hits = 0;
    for _ in 0..n {
        let (mut sum, mut squares) = (0.0, 0.0_f64);
        hits += usize::from((1..=sessions).any(|k| {
            let difference = effect + market.normal();
            (sum, squares) = (sum + difference, squares + difference * difference);
            sum / squares.sqrt() >= limits[k]
        }));
    }
    hits as f64 / n as f64
}

#[test]
fn the_power_that_is_told_is_the_share_of_simulated_tests_that_find_the_effect() {
    let n = cases(2000, 40_000);
    let mut market = Market::new(NULL, 37);
    let (mut worst, mut before) = (0.0_f64, 0.0_f64);
    let levels = [0.05, 0.025, 0.01];
    for level in cases(&levels[..1], &levels[..]) {
        let constant = reflection_constant(*level).unwrap();
        for sessions in [20, 45, 60, 100, 250] {
            for drift in [1.0, 1.75, 2.5, 3.0, 3.5, 4.0, 5.0] {
                let simulated = found(&mut market, drift, sessions, *level, n);
                let told = Reading::Sequential.power(drift, sessions as f64, *level).unwrap();
                let known = crossing_power(drift, f64::INFINITY, constant);
                println!(
                    "{level}, {sessions} sessions, drift {drift}: simulated {simulated:.3}, told {told:.3}, {known:.3} before"
                );
                (worst, before) = (worst.max((told - simulated).abs()), before.max((known - simulated).abs()));
            }
        }
    }
    println!("farthest off: {worst:.3}, before {before:.3}");
    // three standard errors of a share of one half beside what the formula itself is off
    assert!(worst < 0.013 + 1.5 / (n as f64).sqrt(), "{worst}");
    assert!(before > 0.1, "a variance that is known would do as well: {before}");
}

#[test]
fn the_studentised_bootstrap_of_a_sharpe_ratio_holds_its_level() {
    let n = cases(150, 2000);
    let mut market = Market::new(NULL, 41);
    let resamples = cases(200, 400);
    for (days, kept) in [(60, 1.0), (100, 1.0), (100, 0.25)] {
        // 20 signals a day of which one policy takes all and the other four fifths; of the larger arm `kept` would stay
        let mut inside = 0;
        for seed in 0..n {
            let mut arms = [Vec::new(), Vec::new()];
            for _ in 0..days {
                let shared = 0.3 * market.normal();
                for (side, arm) in arms.iter_mut().enumerate() {
                    let stays = if side == 0 { kept } else { 1.0 };
                    let signals = if side == 0 { (10.0 / kept) as usize } else { 10 };
                    let mut day = Day::default();
                    for _ in 0..signals {
                        let pnl = 0.1 + shared + market.heavy();
                        day.pnl += stays * pnl;
                        day.extra += stays * (1.0 - stays) * pnl * pnl;
                    }
                    arm.push(day);
                }
            }
            let interval = studentised(&arms[0], &arms[1], (resamples, seed as u64), 0.95).unwrap();
            inside += usize::from(interval.contains(0.0));
        }
        let covered = share(inside, n);
        shown(&format!("{days} days, {kept} of the larger arm: intervals that hold no difference"), covered);
        let noise = 3.0 * (0.05 * 0.95 / n as f64).sqrt();
        assert!((covered.0 - 0.95).abs() <= 0.01 + noise, "{days} {kept}: {covered:?}");
    }
}
