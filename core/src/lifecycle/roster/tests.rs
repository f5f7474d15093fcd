//! The steps of versions, and what a roster makes of them in either order.

use super::*;
use crate::{domain::event::By, lifecycle::gates::Check};

fn id(text: &str) -> VersionId {
    text.parse().unwrap()
}

fn trained(versions: &[&str]) -> Roster {
    let mut roster = Roster::default();
    for version in versions {
        roster.apply(&EventKind::Trained { version: id(version), evidence: BTreeMap::new() });
    }
    roster
}

fn take(roster: &mut Roster, steps: Vec<(VersionId, Transition)>) {
    for (version, step) in steps {
        let (reason, by) = (String::new(), By::Uid(0));
        roster.apply(&EventKind::Moved { version, step, reason, by, overridden: true, evidence: BTreeMap::new() });
    }
}

fn promote(roster: &mut Roster, version: &str, target: State) {
    let steps = roster.promote(&id(version), Some(target), true, &[]).unwrap();
    take(roster, steps);
}

#[test]
fn no_gate_is_passed_without_saying_so() {
    let roster = trained(&["ES/1"]);
    assert!(matches!(roster.promote(&id("ES/1"), None, false, &[]), Err(Refusal::Gate { next: State::Validated, .. })));
    assert_eq!(roster.promote(&id("ES/1"), None, true, &[]).unwrap(), [(id("ES/1"), Transition::Validate)]);
    assert!(matches!(roster.promote(&id("ES/2"), None, true, &[]), Err(Refusal::Unknown(_))));
}

#[test]
fn a_way_that_leads_nowhere_is_refused_with_where_the_version_stands() {
    let mut roster = trained(&["ES/1"]);
    promote(&mut roster, "ES/1", State::AbTest);
    let said = |target| roster.promote(&id("ES/1"), Some(target), true, &[]).unwrap_err().to_string();
    assert_eq!(said(State::AbTest), "ES/1 is ab_test: it is there already");
    assert!(said(State::Staging).starts_with("ES/1 is ab_test: no step leads from there"), "{}", said(State::Staging));
}

#[test]
fn a_gate_that_was_passed_opens_and_one_that_failed_says_by_how_much() {
    let mut roster = trained(&["ES/1"]);
    promote(&mut roster, "ES/1", State::Staging);
    let checks = vec![Check { name: "hours", value: Some(3.0), threshold: 24.0, passed: false }];
    let mut gate = Gate { next: State::AbTest, passed: false, says: "fails".to_owned(), checks };
    let refusal = roster.promote(&id("ES/1"), None, false, std::slice::from_ref(&gate)).unwrap_err().to_string();
    assert!(refusal.contains("hours 3.0000 against 24 fails"), "{refusal}");
    gate.passed = true;
    let gates = [gate];
    assert_eq!(roster.promote(&id("ES/1"), None, false, &gates).unwrap(), [(id("ES/1"), Transition::StartTest)]);
    let beyond = roster.promote(&id("ES/1"), Some(State::Production), false, &gates);
    assert!(matches!(beyond, Err(Refusal::Gate { next: State::Production, .. })));
    assert!(matches!(roster.advance(&id("ES/1"), Transition::Promote), Err(Refusal::NoWay { .. })));
}

#[test]
fn what_its_validation_passed_goes_to_staging_and_what_was_pushed_past_it_does_not() {
    let validate = |overridden| EventKind::Moved {
        version: id("ES/1"),
        step: Transition::Validate,
        reason: String::new(),
        by: By::Daemon("trainer".into()),
        overridden,
        evidence: BTreeMap::new(),
    };
    let mut roster = trained(&["ES/1"]);
    roster.apply(&validate(false));
    assert_eq!(roster.promote(&id("ES/1"), None, false, &[]).unwrap(), [(id("ES/1"), Transition::Stage)]);
    let further = roster.promote(&id("ES/1"), Some(State::AbTest), false, &[]);
    assert!(matches!(further, Err(Refusal::Gate { next: State::AbTest, .. })), "{further:?}");
    let mut roster = trained(&["ES/1"]);
    roster.apply(&validate(true));
    assert!(matches!(roster.promote(&id("ES/1"), None, false, &[]), Err(Refusal::Gate { next: State::Staging, .. })));
    // what came back since is validated as any other, and the mark stays
    promote(&mut roster, "ES/1", State::Production);
    for step in [Transition::RollBack, Transition::Revalidate] {
        take(&mut roster, vec![(id("ES/1"), step)]);
    }
    roster.apply(&validate(false));
    assert_eq!(roster.promote(&id("ES/1"), None, false, &[]).unwrap(), [(id("ES/1"), Transition::Stage)]);
    assert!(roster.standing(&id("ES/1")).unwrap().overridden);
}

#[test]
fn a_new_version_in_production_archives_the_old_one() {
    let mut roster = trained(&["ES/1", "ES/2", "NQ/1"]);
    promote(&mut roster, "ES/1", State::Production);
    promote(&mut roster, "NQ/1", State::Staging);
    promote(&mut roster, "ES/2", State::AbTest);
    let plan = roster.plan();
    assert_eq!(
        plan.values().next().unwrap(),
        &Plan { production: Some(id("ES/1")), test: Some(id("ES/2")), shadows: vec![] }
    );
    promote(&mut roster, "ES/2", State::Production);
    assert_eq!(roster.standing(&id("ES/1")).unwrap().state, State::Archived);
    assert!(roster.standing(&id("ES/2")).unwrap().overridden);
    assert_eq!(roster.next_number(&id("ES/1").symbol), 3);
}

#[test]
fn only_one_version_of_a_symbol_is_under_test() {
    let mut roster = trained(&["ES/1", "ES/2"]);
    promote(&mut roster, "ES/1", State::AbTest);
    let refused = roster.promote(&id("ES/2"), Some(State::AbTest), true, &[]);
    assert_eq!(refused, Err(Refusal::TestRunning { other: id("ES/1") }));
}

#[test]
fn what_was_rolled_back_has_no_way_forward() {
    let mut roster = trained(&["ES/1"]);
    promote(&mut roster, "ES/1", State::Production);
    let step = roster.roll_back(&id("ES/1")).unwrap();
    take(&mut roster, vec![(id("ES/1"), step)]);
    assert_eq!(roster.standing(&id("ES/1")).unwrap().state, State::RolledBack);
    assert!(matches!(roster.promote(&id("ES/1"), None, true, &[]), Err(Refusal::NoWay { .. })));
    assert!(matches!(roster.roll_back(&id("ES/1")), Err(Refusal::NoWay { .. })));
}

#[test]
fn a_version_that_was_rolled_back_while_it_was_being_replaced_is_rolled_back() {
    let mut roster = trained(&["ES/1", "ES/2"]);
    promote(&mut roster, "ES/1", State::Production);
    promote(&mut roster, "ES/2", State::AbTest);
    let step = roster.roll_back(&id("ES/1")).unwrap();
    promote(&mut roster, "ES/2", State::Production);
    take(&mut roster, vec![(id("ES/1"), step)]);
    assert_eq!(roster.standing(&id("ES/1")).unwrap().state, State::RolledBack);
    assert_eq!(roster.plan().remove(&id("ES/1").symbol).unwrap().production, Some(id("ES/2")));
}

#[test]
fn a_step_out_of_service_holds_wherever_the_version_stands_by_then() {
    for withdrawal in [Transition::RollBackTest, Transition::ArchiveStaging] {
        let mut roster = trained(&["ES/1"]);
        promote(&mut roster, "ES/1", State::Production);
        take(&mut roster, vec![(id("ES/1"), withdrawal)]);
        assert_eq!(roster.plan().remove(&id("ES/1").symbol).unwrap().production, None, "{withdrawal:?}");
        // and the step forward that comes after it is passed over
        let mut roster = trained(&["ES/1"]);
        promote(&mut roster, "ES/1", withdrawal.edge().0);
        take(&mut roster, vec![(id("ES/1"), withdrawal), (id("ES/1"), Transition::Promote)]);
        assert_eq!(roster.standing(&id("ES/1")).unwrap().state, withdrawal.edge().1);
    }
}

#[test]
fn what_is_archived_or_rolled_back_comes_back_marked_and_nothing_else_does() {
    let mut roster = trained(&["ES/1", "ES/2"]);
    promote(&mut roster, "ES/1", State::Production);
    let all = roster.reinstate(&id("ES/1"), State::Production).unwrap_err();
    assert!(all.to_string().starts_with("ES/1 is production: only a version that is archived"), "{all}");
    assert_eq!(roster.reinstate(&id("ES/9"), State::Production), Err(Refusal::Unknown(id("ES/9"))));
    promote(&mut roster, "ES/2", State::Production);
    assert_eq!(roster.standing(&id("ES/1")).unwrap().state, State::Archived);
    let steps = roster.reinstate(&id("ES/1"), State::Production).unwrap();
    let expected = [
        ("ES/1", Transition::Reinstate),
        ("ES/1", Transition::Validate),
        ("ES/1", Transition::Stage),
        ("ES/1", Transition::StartTest),
        ("ES/2", Transition::ArchiveProduction),
        ("ES/1", Transition::Promote),
    ];
    assert_eq!(steps, expected.map(|(version, step)| (id(version), step)));
    take(&mut roster, steps);
    assert!(roster.standing(&id("ES/1")).is_some_and(|it| it.state == State::Production && it.overridden));
    assert_eq!(roster.plan().remove(&id("ES/1").symbol).unwrap().production, Some(id("ES/1")));
    // and what was rolled back, as far as it is told to
    take(&mut roster, vec![(id("ES/1"), Transition::RollBack)]);
    let steps = roster.reinstate(&id("ES/1"), State::Staging).unwrap();
    assert_eq!(steps.first().unwrap().1, Transition::Revalidate);
    take(&mut roster, steps);
    assert_eq!(roster.standing(&id("ES/1")).unwrap().state, State::Staging);
    let refused = roster.reinstate(&id("ES/2"), State::Trained);
    assert!(matches!(refused, Err(Refusal::NoWay { .. })), "to the state in which it begins: {refused:?}");
}

#[test]
fn a_version_under_test_keeps_another_from_coming_back_past_its_test_and_one_in_staging_does_not() {
    let mut roster = trained(&["ES/1", "ES/2", "ES/3", "NQ/1"]);
    promote(&mut roster, "ES/1", State::Staging);
    take(&mut roster, vec![(id("ES/1"), Transition::ArchiveStaging)]);
    promote(&mut roster, "ES/2", State::AbTest);
    promote(&mut roster, "NQ/1", State::AbTest);
    let refused = roster.reinstate(&id("ES/1"), State::Production);
    assert_eq!(refused, Err(Refusal::TestRunning { other: id("ES/2") }));
    assert!(roster.reinstate(&id("ES/1"), State::Staging).is_ok(), "as far as that is in nobody's way");
    take(&mut roster, vec![(id("ES/2"), Transition::RollBackTest)]);
    promote(&mut roster, "ES/3", State::Staging);
    let steps = roster.reinstate(&id("ES/1"), State::Production).unwrap();
    take(&mut roster, steps);
    let plan = roster.plan().remove(&id("ES/1").symbol).unwrap();
    assert_eq!(plan, Plan { production: Some(id("ES/1")), test: None, shadows: vec![id("ES/3")] });
}

#[test]
fn a_withdrawal_and_a_return_come_to_the_later_of_the_two_in_either_order() {
    let before = || {
        let mut roster = trained(&["ES/1"]);
        promote(&mut roster, "ES/1", State::Production);
        take(&mut roster, vec![(id("ES/1"), Transition::RollBack)]);
        roster
    };
    // ordered while it was away, and recorded behind an emergency that took it down again
    let mut roster = before();
    let steps = roster.reinstate(&id("ES/1"), State::Production).unwrap();
    take(&mut roster, steps.clone());
    take(&mut roster, vec![(id("ES/1"), Transition::RollBack)]);
    assert_eq!(roster.standing(&id("ES/1")).unwrap().state, State::RolledBack);
    // a rollback that was told of an archived version, then the return that began before it
    let mut roster = before();
    take(&mut roster, vec![(id("ES/1"), Transition::RollBack)]);
    take(&mut roster, steps);
    assert_eq!(roster.standing(&id("ES/1")).unwrap().state, State::Production);
    // a return from the archive is no way back for what was rolled back meanwhile
    let mut roster = trained(&["ES/1"]);
    promote(&mut roster, "ES/1", State::Staging);
    take(&mut roster, vec![(id("ES/1"), Transition::ArchiveStaging)]);
    let steps = roster.reinstate(&id("ES/1"), State::Staging).unwrap();
    take(&mut roster, vec![(id("ES/1"), Transition::RollBack)]);
    take(&mut roster, steps);
    assert_eq!(roster.standing(&id("ES/1")).unwrap().state, State::RolledBack);
}
