//! Versions on trial as a fold over what happens: when a test is judged, what it keeps, and how it is told once it is over.
#![expect(clippy::unwrap_used, reason = "what the tests share may fail loudly as well")]

#[path = "common/trades.rs"]
mod trades;

use std::{collections::BTreeMap, sync::Arc};

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use trades::{day, opening, outcome, trade_id};
use vigie::{
    config::Config,
    domain::{
        Arm, Decision, EventKind, Opinion, Probability, Reason, Split, VersionId,
        event::By,
        lifecycle::{State, Transition},
    },
    lifecycle::open_trades::AnsweredSignal,
    models::{Labeller, Question, Stake, Target, targets::Pricing},
    trials::{
        experiment::{Criteria, ExperimentOptions, TestVerdict},
        promotion::{after_test, to_test},
        running::{Keep, TrialNews, Trials},
        trial_view::Case,
    },
};

const PLANNED: usize = 12;

fn version() -> VersionId {
    "ES/1".parse().unwrap()
}

fn options() -> ExperimentOptions {
    ExperimentOptions {
        planned_sessions: PLANNED,
        first_look: 3,
        min_days: 2.0,
        min_trades: 20,
        ..Config::builtin().unwrap().experiment.clone()
    }
}

fn moved(step: Transition, reason: &str, evidence: BTreeMap<Box<str>, f64>) -> TrialNews {
    let by = By::Daemon("ab_router".into());
    TrialNews::Event(EventKind::Moved {
        version: version(),
        step,
        reason: reason.to_owned(),
        by,
        overridden: false,
        evidence,
    })
}

/// A version at the beginning of its test.
fn under_test(keep: Keep) -> Trials {
    let mut trials = Trials::keeping(keep);
    trials.take(opening(0), &TrialNews::Event(EventKind::Trained { version: version(), evidence: BTreeMap::new() }));
    for step in [Transition::Validate, Transition::Stage] {
        trials.take(opening(0), &moved(step, "", BTreeMap::new()));
    }
    trials.take(opening(0), &moved(Transition::StartTest, "", options().terms().numbers()));
    trials
}

/// The `n`-th signal of a session, alternately in either arm; the model lets every other pair go.
fn entry(session: usize, n: usize) -> (Arc<AnsweredSignal>, f64) {
    let (arm, liked) = (if n.is_multiple_of(2) { Arm::Ml } else { Arm::Baseline }, (n / 2).is_multiple_of(2));
    let id = trade_id(session, n);
    let size = if liked { 1.0 } else { 0.0 };
    let mut decision = Decision::baseline(id.clone(), None, Some(version()), Reason::AbTest);
    if arm == Arm::Ml {
        decision = Decision { arm, size, ..decision };
    }
    let split = Some(Split { arm, share: 0.5 });
    let opinions = vec![Opinion { version: version(), split, score: Probability::new(0.6).ok(), size }];
    let entry = AnsweredSignal {
        trade_id: id,
        at: opening(session),
        day: day(session),
        symbol: None,
        confidence: None,
        decision,
        traded: None,
        opinions,
        daily_loss_limit: None,
        stake: Default::default(),
        side: None,
        by_echo: false,
    };
    // what it lets go loses
    let noise = ((session * 7 + n * 3) % 5) as f64;
    (Arc::new(entry), if liked { 100.0 + noise } else { -60.0 - noise })
}

/// Trades `sessions`; of trade 1 of `late` nothing is told before the end. `judge` looks after each day. Says what the
/// first verdict was that is no waiting, and after how many sessions.
fn trade(sessions: usize, late: Option<usize>) -> (Trials, Option<(String, usize)>) {
    let mut trials = under_test(Keep::ALL);
    let criteria = Criteria::new(options()).unwrap();
    let mut first = None;
    let mut look = |trials: &mut Trials, today: usize| {
        trials.close_due(day(today), 30);
        while let Some((standing, ruling)) = trials.judge_next(&version(), &criteria, opening(today)) {
            if first.is_none() && !matches!(ruling.verdict, TestVerdict::Continue(_)) {
                first = Some((ruling.verdict.name().to_owned(), standing.sessions));
            }
        }
    };
    for session in 0..sessions {
        look(&mut trials, session);
        for n in 0..8 {
            let (entry, pnl) = entry(session, n);
            trials.take(opening(session), &TrialNews::Scored(Arc::clone(&entry)));
            if late != Some(session) || n != 1 {
                trials.take(opening(session), &TrialNews::Closed(entry, outcome(pnl, 0.0)));
            }
        }
    }
    if let Some(session) = late {
        look(&mut trials, sessions);
        let (entry, pnl) = entry(session, 1);
        trials.take(opening(sessions), &TrialNews::Closed(entry, outcome(pnl, 0.0)));
    }
    look(&mut trials, sessions);
    (trials, first)
}

#[test]
fn sessions_that_close_together_are_judged_one_by_one_and_never_beyond_the_plan() {
    let (_, in_time) = trade(PLANNED + 3, None);
    let (verdict, sessions) = in_time.clone().unwrap();
    assert!(verdict == "ship" && sessions < PLANNED, "{in_time:?}");
    // one outcome told late holds back all sessions behind it until the plan is over
    for late in [0, sessions - 1, PLANNED - 1] {
        let (trials, first) = trade(PLANNED + 3, Some(late));
        assert_eq!(trials.test(&version()).unwrap().sessions().len(), PLANNED + 3);
        assert_eq!(first, in_time, "{late}");
    }
}

#[test]
fn a_version_that_comes_back_after_its_test_is_tried_anew_from_its_first_session() {
    let (mut trials, first) = trade(PLANNED + 3, None);
    let back = PLANNED + 5;
    let steps = [Transition::ArchiveTest, Transition::Reinstate, Transition::Validate, Transition::Stage]
        .map(|step| (step, ""));
    steps.into_iter().for_each(|(step, why)| trials.take(opening(back), &moved(step, why, BTreeMap::new())));
    assert!(trials.ending(&version()).is_some());
    trials.take(opening(back), &moved(Transition::StartTest, "", options().terms().numbers()));
    assert!(trials.ending(&version()).is_none(), "its test is under way");
    let criteria = Criteria::new(options()).unwrap();
    let mut verdicts = Vec::new();
    for session in back..back + PLANNED {
        for n in 0..8 {
            let (entry, pnl) = entry(session, n);
            trials.take(opening(session), &TrialNews::Scored(Arc::clone(&entry)));
            trials.take(opening(session), &TrialNews::Closed(entry, outcome(pnl, 0.0)));
        }
        trials.close_due(day(session + 1), 30);
        while let Some((standing, ruling)) = trials.judge_next(&version(), &criteria, opening(session + 1)) {
            verdicts.push((ruling.verdict.name().to_owned(), standing.sessions));
        }
    }
    assert_eq!(verdicts.iter().map(|(_, sessions)| *sessions).collect::<Vec<_>>(), (1..=PLANNED).collect::<Vec<_>>());
    assert_eq!(verdicts.into_iter().find(|(verdict, _)| verdict != "continue"), first);
}

#[test]
fn beyond_the_plan_a_test_stands_as_it_did_at_its_end() {
    let (trials, _) = trade(PLANNED + 3, Some(0));
    let criteria = Criteria::new(options()).unwrap();
    let standing = criteria.assess(trials.test(&version()).unwrap(), opening(PLANNED + 3));
    assert_eq!((standing.sessions, standing.trades), (PLANNED, 8 * PLANNED));
    assert!(standing.metrics.iter().all(|metric| metric.p < 0.05), "{standing:?}");
    assert!(standing.harm.iter().all(|harm| harm.boundary.is_some()), "{standing:?}");
}

#[test]
fn a_fold_from_the_past_judges_what_closed_last_and_nothing_that_was_judged_before() {
    let (live, _) = trade(5, None);
    let mut past = under_test(Keep::ALL);
    for session in 0..5 {
        past.close_due(day(session), 30);
        for n in 0..8 {
            let (entry, pnl) = entry(session, n);
            past.take(opening(session), &TrialNews::Scored(Arc::clone(&entry)));
            past.take(opening(session), &TrialNews::Closed(entry, outcome(pnl, 0.0)));
        }
    }
    past.close_due(day(5), 30);
    past.judge_again();
    let criteria = Criteria::new(options()).unwrap();
    let (standing, _) = past.judge_next(&version(), &criteria, opening(5)).unwrap();
    assert_eq!(standing.sessions, 5);
    assert_eq!(past.judge_next(&version(), &criteria, opening(5)), None);
    assert_eq!(past, live);
}

/// A closed trade of a version that watches, whose signal gives a stop or not.
fn watched(trials: &mut Trials, n: usize, stop_ticks: Option<f64>) {
    let (known, _) = entry(n / 8, n % 8);
    let pricing = Some(Pricing { tick_value: 12.5, stop_ticks: None });
    let stake = Stake { stop_ticks, contracts: Some(1.0), pricing };
    let decision = Decision::baseline(known.trade_id.clone(), None, None, Reason::NoModel);
    let opinions = known.opinions.iter().map(|opinion| Opinion { split: None, size: 1.0, ..opinion.clone() }).collect();
    let entry = Arc::new(AnsweredSignal { stake, decision, opinions, ..(*known).clone() });
    trials.take(opening(n / 8), &TrialNews::Scored(Arc::clone(&entry)));
    let pnl = if n.is_multiple_of(3) { -50.0 } else { 60.0 };
    trials.take(opening(n / 8), &TrialNews::Closed(entry, outcome(pnl, 0.0)));
}

#[test]
fn a_version_whose_label_the_messages_do_not_give_is_kept_in_staging_and_its_gate_names_the_field() {
    let in_staging = || {
        let mut trials = Trials::keeping(Keep::ALL);
        trials
            .take(opening(0), &TrialNews::Event(EventKind::Trained { version: version(), evidence: BTreeMap::new() }));
        for step in [Transition::Validate, Transition::Stage] {
            trials.take(opening(0), &moved(step, "", BTreeMap::new()));
        }
        trials.ask(&version(), Question::new(Labeller::bare(Target::SignalQuality), 0.5));
        trials
    };
    let gate = |trials: &Trials| {
        let case =
            Case::of(trials, &version(), &options(), &Config::builtin().unwrap().staging, opening(20), None).unwrap();
        case.gate().unwrap()
    };
    for (missing, passes) in [(0, true), (4, true), (8, false), (80, false)] {
        let mut trials = in_staging();
        (0..80).for_each(|n| watched(&mut trials, n, (n >= missing).then_some(8.0)));
        let due = to_test(&trials, &Config::builtin().unwrap().staging, opening(20));
        let gate = gate(&trials);
        assert_eq!((due.len(), gate.passed), (usize::from(passes), passes), "{missing}: {gate}");
        let named = gate.to_string().contains("they lack execution_context.risk_parameters.stop_ticks");
        assert_eq!(named, !passes, "{gate}");
    }
    // of so few nobody knows, and what asks for profit needs no stop
    let mut few = in_staging();
    (0..19).for_each(|n| watched(&mut few, n, None));
    assert!(few.conditions(&version()).is_empty());
    few.ask(&version(), Question::default());
    (19..80).for_each(|n| watched(&mut few, n, None));
    assert_eq!(few.unlabelled(&version()).map(|found| found.without), Some(19));
}

#[test]
fn a_version_whose_share_a_decline_has_cut_is_not_promoted_by_its_test_until_it_has_recovered() {
    let shared = |share: f64| {
        let by = By::Daemon("guardian".into());
        TrialNews::Event(EventKind::Shared { version: version(), share, reason: String::new(), by })
    };
    let (mut trials, first) = trade(PLANNED - 1, None);
    assert_eq!(first.unwrap().0, "ship");
    let criteria = Criteria::new(options()).unwrap();
    trials.take(opening(PLANNED - 1), &shared(0.5));
    trials.judge_again();
    let (_, ruling) = trials.judge_next(&version(), &criteria, opening(PLANNED - 1)).unwrap();
    assert!(matches!(&ruling.verdict, TestVerdict::Continue(why) if why.contains("all holds but share")), "{ruling:?}");
    let case =
        Case::of(&trials, &version(), &options(), &Config::builtin().unwrap().staging, opening(PLANNED - 1), None)
            .unwrap();
    assert!(!case.gate().unwrap().passed && case.assess().unwrap().text.contains("share"));
    trials.take(opening(PLANNED - 1), &shared(1.0));
    trials.judge_again();
    let (_, ruling) = trials.judge_next(&version(), &criteria, opening(PLANNED - 1)).unwrap();
    assert!(matches!(ruling.verdict, TestVerdict::Ship(_)), "{ruling:?}");
    // and what was taken from it is not given back by a promotion
    trials.take(opening(PLANNED - 1), &shared(0.25));
    trials.take(opening(PLANNED - 1), &moved(Transition::Promote, "", BTreeMap::new()));
    assert_eq!(trials.roster().share(&version()), 0.25);
}

#[test]
fn signals_that_no_trade_could_hear_are_no_evidence() {
    let mut trials = under_test(Keep::ALL);
    for session in 0..6 {
        for n in 0..8 {
            let (known, pnl) = entry(session, n);
            let split = Some(Split { arm: Arm::Baseline, share: 0.0 });
            let decision = Decision::baseline(known.trade_id.clone(), None, Some(version()), Reason::AbTest);
            let opinions = known.opinions.iter().map(|opinion| Opinion { split, ..opinion.clone() }).collect();
            let entry = Arc::new(AnsweredSignal { decision, opinions, ..(*known).clone() });
            trials.take(opening(session), &TrialNews::Scored(Arc::clone(&entry)));
            trials.take(opening(session), &TrialNews::Closed(entry, outcome(pnl, 0.0)));
        }
    }
    trials.close_due(day(7), 30);
    let criteria = Criteria::new(options()).unwrap();
    let standing = criteria.assess(trials.test(&version()).unwrap(), opening(7));
    assert_eq!((standing.sessions, standing.trades), (6, 0));
    assert!(standing.metrics.iter().all(|metric| metric.z.is_none() && metric.p == 1.0), "{standing:?}");
    assert!(standing.harm.iter().all(|harm| harm.z.is_none()), "{standing:?}");
}

#[test]
fn what_a_trial_has_no_room_for_is_left_out_and_counted() {
    let keep = Keep { trades: 10 * PLANNED, holdback_sessions: 2 };
    let mut trials = under_test(keep);
    for n in 0..1_000 {
        trials.take(opening(0), &TrialNews::Scored(entry(0, n).0));
    }
    let test = trials.test(&version()).unwrap();
    assert_eq!((test.open_trades(), test.left_out()), (10, 990));
    // a holdback has no end: its oldest sessions go
    trials.take(opening(0), &moved(Transition::Promote, "", BTreeMap::new()));
    for session in 1..40 {
        trials.close_due(day(session), 5);
        for n in 0..8 {
            let (entry, pnl) = entry(session, n);
            trials.take(opening(session), &TrialNews::Scored(Arc::clone(&entry)));
            trials.take(opening(session), &TrialNews::Closed(entry, outcome(pnl, 0.0)));
        }
    }
    let holdback = trials.holdback(&version()).unwrap();
    assert!(holdback.trades() <= keep.trades, "{}", holdback.trades());
    assert_eq!(holdback.trades() + holdback.given_up(), 38 * 8);
}

#[test]
fn a_test_that_is_over_says_how_it_ended_when_on_whose_word_and_by_which_numbers() {
    let (mut trials, _) = trade(5, None);
    let criteria = Criteria::new(options()).unwrap();
    let test = trials.test(&version()).unwrap();
    let standing = criteria.assess(test, opening(5));
    let mut ruling = criteria.decide(&standing);
    ruling.verdict = TestVerdict::Futile("the gain is too small".to_owned());
    let step = after_test(&version(), &standing, &ruling).unwrap();
    trials.take(opening(5), &moved(step.step, &step.reason, step.evidence));
    let case = |trials: &Trials| {
        let case = Case::of(trials, &version(), &options(), &Config::builtin().unwrap().staging, opening(50), None);
        case.unwrap().assess().unwrap()
    };
    let told = case(&trials);
    let ended = told.ended.unwrap();
    assert_eq!((ended.state, ended.at, &*ended.reason), (State::Archived, opening(5), "futile: the gain is too small"));
    for words in
        ["the test ended at 2015-01-10", "archived by the ab_router: futile: the gain is too small", "against 0.03"]
    {
        assert!(told.text.contains(words), "{words} is not in\n{}", told.text);
    }
    assert!(!told.text.contains("continue"), "{}", told.text);
    assert!(told.gate.is_none());
    // of one that was promoted too, beside its holdback
    let mut shipped = trade(5, None).0;
    shipped.take(opening(5), &moved(Transition::Promote, "ship: it is better", BTreeMap::new()));
    let told = case(&shipped);
    assert_eq!((told.trial, told.ended.unwrap().state), ("holdback", State::Production));
    assert!(told.text.contains("ship: it is better"), "{}", told.text);
}

#[test]
fn outcomes_that_are_never_told_make_no_test_futile_that_had_earned_production() {
    // it can ship only in the last two sessions of its plan, where one untold outcome has it close together with what is beyond
    let options = ExperimentOptions {
        min_trades: 8 * (PLANNED - 1),
        min_sharpe_gain: -1e3,
        max_drawdown_ratio: 1e3,
        ..options()
    };
    let criteria = Criteria::new(options).unwrap();
    let mut rng = Pcg64::seed_from_u64(5);
    let mut beyond = 0;
    for _ in 0..40 {
        let mut trials = under_test(Keep::ALL);
        let mut verdict = None;
        let mut look = |trials: &mut Trials, today: usize| {
            let before = trials.test(&version()).unwrap().sessions().len();
            trials.close_due(day(today), 5);
            let closed = trials.test(&version()).unwrap().sessions().len();
            beyond += usize::from(before < PLANNED - 1 && closed > PLANNED);
            while let Some((_, ruling)) = trials.judge_next(&version(), &criteria, opening(today)) {
                let over = !matches!(ruling.verdict, TestVerdict::Continue(_));
                verdict = verdict.take().or(over.then_some(ruling.verdict));
            }
        };
        for session in 0..PLANNED + 12 {
            look(&mut trials, session);
            for n in 0..8 {
                let (entry, pnl) = entry(session, n);
                trials.take(opening(session), &TrialNews::Scored(Arc::clone(&entry)));
                if rng.random::<f64>() >= 0.02 {
                    trials.take(opening(session), &TrialNews::Closed(entry, outcome(pnl, 0.0)));
                }
            }
        }
        // what each session says when it is looked at by itself
        let test = trials.test(&version()).unwrap();
        let alone = (1..=PLANNED).find_map(|closed| {
            let ruling = criteria.decide(&criteria.assess_after(closed, test, opening(PLANNED + 12)));
            (!matches!(ruling.verdict, TestVerdict::Continue(_))).then_some(ruling.verdict)
        });
        assert_eq!(verdict.as_ref().map(TestVerdict::name), alone.as_ref().map(TestVerdict::name));
        assert!(matches!(verdict, Some(TestVerdict::Ship(_))), "{verdict:?}");
    }
    assert!(beyond >= 5, "sessions beyond the plan closed together with its last ones {beyond} times");
}

#[test]
fn what_a_test_says_when_it_is_over_and_when_it_cannot_be_judged_stands_in_the_contract() {
    let contract = include_str!("../docs/protocol.md");
    for words in ["| `experiment` | trader |", "| `ended` |", "`test_unjudgeable`", "`test_invalid`", "`step_due`"] {
        assert!(contract.contains(words), "{words}");
    }
    let (mut trials, _) = trade(5, None);
    trials.take(opening(5), &moved(Transition::ArchiveTest, "futile: x", BTreeMap::new()));
    let case =
        Case::of(&trials, &version(), &options(), &Config::builtin().unwrap().staging, opening(6), None).unwrap();
    let told = serde_json::to_value(case.assess().unwrap()).unwrap();
    for field in told["ended"].as_object().unwrap().keys() {
        assert!(contract.contains(&format!("`{field}`")), "{field} of `ended` is not in the contract");
    }
}
