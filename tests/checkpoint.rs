//! Checkpoints: what a start goes on from is what the whole log comes to, at every moment of a life, and what cannot be gone on
//! from is passed over. A false one is found and locks.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use std::collections::BTreeMap;

use common::{
    daemon::{Daemon, Setup, Trap},
    life::{answered, at, closed, event, outcome, place},
    place::{CONFIG, Place},
    wait::until,
    wire::score,
};
use vigie::{
    config::Config,
    domain::{EventKind, lifecycle::State},
    journal::{Reader, Source, Write},
    recall::{
        checkpoint::{self, forget, newest, writes},
        fold::{Folded, Slot},
    },
};

fn config() -> Config {
    Config::parse("test", CONFIG).unwrap()
}

fn folded(reader: &Reader, config: &Config, last: u64) -> Folded {
    let mut folded = Folded::empty(config).unwrap();
    folded.go_on(reader, config, last).unwrap();
    folded
}

fn write(place: &Place, batches: impl IntoIterator<Item = Vec<Write>>) {
    let mut store = place.open();
    batches.into_iter().for_each(|batch| drop(store.apply(&batch).unwrap()));
    store.close().unwrap();
}

/// Numbers of a checkpoint that tests look for.
fn begun(place: &Place, config: &Config) -> Option<u64> {
    newest(&place.reader(), config).unwrap().map(|folded| folded.seq)
}

#[test]
fn a_checkpoint_at_any_moment_and_what_came_since_are_what_the_whole_log_comes_to() {
    for seed in 0..6 {
        let (place, config) = (place(seed), config());
        let reader = place.reader();
        let last = reader.last_seq().unwrap();
        let whole = folded(&reader, &config, last).state.to_bytes().unwrap();
        // what the log came to grows with it, and no two moments are the same by chance
        let mut before = folded(&reader, &config, 0);
        for moment in 1..=last {
            before.go_on(&reader, &config, moment).unwrap();
            let bytes = before.state.to_bytes().unwrap();
            let mut after = Folded::empty(&config).unwrap();
            after.state = after.state.restored(&bytes).unwrap();
            assert_eq!(after.state.to_bytes().unwrap(), bytes, "seed {seed}, number {moment}");
            after.seq = moment;
            after.go_on(&reader, &config, last).unwrap();
            assert!(after.state.to_bytes().unwrap() == whole, "seed {seed}: gone on from number {moment} of {last}");
        }
        let (trials, days) = (&before.state.trials, before.state.risk.gradual.len());
        assert!(trials.test(&"ES/2".parse().unwrap()).is_some_and(|test| !test.sessions().is_empty()), "seed {seed}");
        assert!(trials.holdback(&"ES/1".parse().unwrap()).is_some() && days <= 2, "seed {seed}");
    }
}

/// The number of the fold, and what two lives come to by it.
const COMES_TO: (u32, &str) = (7, "52ccdff88b8e24c7");

#[test]
fn what_lives_come_to_changes_with_the_number_of_the_fold_only() {
    let mut come_to = String::new();
    for seed in 0..2 {
        let (place, config) = (place(seed), config());
        let reader = place.reader();
        let digest = checkpoint::digest_of(&folded(&reader, &config, reader.last_seq().unwrap()).state).unwrap();
        come_to.extend(digest[..4].iter().map(|byte| format!("{byte:02x}")));
    }
    let found = (checkpoint::FOLD, come_to.as_str());
    assert_eq!(
        found, COMES_TO,
        "what happened comes to something else: raise FOLD in src/recall/checkpoint.rs and write it here"
    );
}

#[test]
fn what_is_written_is_read_and_the_newest_that_is_whole_and_fits_is_gone_on_from() {
    let (place, config) = (place(7), config());
    let last = place.reader().last_seq().unwrap();
    assert_eq!(begun(&place, &config), None);
    let (early, late) = (folded(&place.reader(), &config, 50), folded(&place.reader(), &config, 90));
    let whole = folded(&place.reader(), &config, last).state.to_bytes().unwrap();
    let comes_to_the_same = || {
        let state = checkpoint::state(&place.reader(), &config).unwrap().state;
        assert!(state.to_bytes().unwrap() == whole);
    };
    write(&place, writes(&early, &config, Slot::A).unwrap());
    write(&place, writes(&late, &config, Slot::B).unwrap());
    assert_eq!(begun(&place, &config), Some(90));
    comes_to_the_same();
    // another configuration folds otherwise, where it differs in what a fold reads
    for (more, fits) in
        [("guardian.max_loss_streak = 7\n", None), ("log.level = \"warn\"\nserver.max_in_flight = 7\n", Some(90))]
    {
        let other = Config::parse("test", &format!("{CONFIG}{more}")).unwrap();
        assert_eq!(begun(&place, &other), fits, "{more}");
    }
    // a part that is not the one that was written, and a write that was cut short
    let damaged = vec![Write::Checkpoint { name: "state.b.0".to_owned(), bytes: vec![1, 2, 3] }];
    write(&place, vec![damaged]);
    assert_eq!(begun(&place, &config), Some(50));
    comes_to_the_same();
    let mut cut_short: Vec<_> = writes(&late, &config, Slot::A).unwrap().collect();
    cut_short.pop();
    write(&place, cut_short);
    assert_eq!(begun(&place, &config), None);
    comes_to_the_same();
    write(&place, writes(&late, &config, Slot::A).unwrap());
    assert_eq!(begun(&place, &config), Some(90));
    write(&place, vec![forget(Slot::A)]);
    assert_eq!(begun(&place, &config), None);
    comes_to_the_same();
}

/// A journal of a model that speaks and so many signals that a stop is worth a checkpoint.
fn busy() -> Place {
    let place = Place::with_model(State::Production);
    let signals: Vec<Write> = (0..1500)
        .flat_map(|n| {
            let signal = answered(n, n, "long", Some("ES/1"), &["ES/1"], false);
            let told = closed(n, n, outcome(n, Some(if n % 2 == 0 { 9.0 } else { -8.0 }), None), Source::Live);
            [signal, Write::Outcome(Box::new(told))]
        })
        .collect();
    write(&place, signals.chunks(500).map(<[Write]>::to_vec));
    // every day was judged: a start makes up for none
    let kind = EventKind::Judged {
        version: "ES/1".parse().unwrap(),
        day: config().calendar.day_of(at(6000)),
        composite: Some(1.0),
        degraded: false,
        unstable: false,
        evidence: BTreeMap::new(),
    };
    write(&place, vec![vec![event(1500, kind)]]);
    place
}

#[test]
fn a_stop_leaves_a_checkpoint_from_which_the_next_start_goes_on() {
    let (place, config) = (busy(), config());
    let daemon = Daemon::start(&place);
    assert_eq!(daemon.connect().arm("N-1").0, "ml");
    daemon.stop();
    let kept = begun(&place, &config).expect("a checkpoint");
    // what other parts said meanwhile
    assert!(place.reader().recorded(kept + 1).unwrap().count() < 20);
    let daemon = Daemon::start(&place);
    let mut wire = daemon.connect();
    assert_eq!(wire.arm("N-2").0, "ml");
    assert_eq!(wire.ask_ok(score("N-1"))["arm"], "ml", "the same trade again");
    assert_eq!(wire.arm("T-9").1, "trade_id_reused");
    let checked = until("a comparison", || Some(wire.job("checkpoint_check")).filter(|job| job["runs"] == 1));
    assert_eq!((&checked["failures"], checked["last"]["found"].as_str()), (&0.into(), Some("it is the same")));
    daemon.stop();
    let state = checkpoint::state(&place.reader(), &config).unwrap().state;
    let whole = folded(&place.reader(), &config, place.reader().last_seq().unwrap()).state;
    assert!(state.to_bytes().unwrap() == whole.to_bytes().unwrap());
}

#[test]
fn a_false_checkpoint_is_found_locks_and_is_never_begun_from_again() {
    let (place, config) = (busy(), config());
    let last = place.reader().last_seq().unwrap();
    // it lacks the latest trades, and says that it does not
    let mut short = folded(&place.reader(), &config, last - 20);
    short.seq = last;
    write(&place, writes(&short, &config, Slot::A).unwrap());
    let daemon = Daemon::start(&place);
    let mut wire = daemon.connect();
    let reason =
        until("a lock over the false checkpoint", || wire.status()["guardian"]["lock"].as_str().map(str::to_owned));
    assert!(reason.contains("is not what the log comes to from its beginning"), "{reason}");
    assert_eq!(wire.arm("N-1").1, "locked");
    until("the alert", || place.alerts("checkpoint_differs").pop());
    until("no checkpoint", || begun(&place, &config).is_none().then_some(()));
    let failed = until("a failed job", || Some(wire.job("checkpoint_check")).filter(|job| job["failures"] == 1));
    assert!(failed["last_failure"]["found"].as_str().unwrap().starts_with("it differs"), "{failed}");
    daemon.stop();
    assert_eq!(begun(&place, &config), None);
    let daemon = Daemon::start(&place);
    let mut wire = daemon.connect();
    assert_eq!(wire.arm("N-2").1, "locked", "until a person has looked");
    assert_eq!(place.alerts("checkpoint_differs").len(), 1);
    daemon.stop();
}

/// A daemon whose keeper panics over `what` the next `times`, and soon begins again.
fn panicking(place: &Place, what: &'static str, times: usize) -> Daemon {
    let trap = Trap::default();
    trap.panic_over("keeper", what, times);
    let config = format!(
        "{CONFIG}supervision.max_restarts = 100
supervision.window_s = 1
"
    );
    Daemon::start_with(place, Setup { config, trap, ..Setup::default() })
}

#[test]
fn a_keeper_that_panics_begins_again_from_the_last_checkpoint_and_says_so_once() {
    let (place, config) = (busy(), config());
    for (what, times) in [("look", 2), ("fold", 3)] {
        let daemon = panicking(&place, what, times);
        let mut wire = daemon.connect();
        until("the panics", || (wire.status()["restarts"] == times).then_some(()));
        if what == "fold" {
            // what was half folded is thrown away
            until("a comparison", || (wire.job("checkpoint_check")["last"]["found"] == "it is the same").then_some(()));
            assert_eq!(wire.job("checkpoint_check")["failures"], times);
        }
        assert_eq!(wire.arm(&format!("N-{what}")).0, "ml");
        daemon.stop();
        assert!(begun(&place, &config).is_some(), "{what}: a stop leaves a checkpoint");
    }
    let alerts = place.alerts("checkpoint_failed");
    assert_eq!(alerts.len(), 2, "{alerts:?}");
    assert!(alerts.iter().all(|alert| alert.contains("on purpose") && alert.contains("tried again")), "{alerts:?}");
}

#[test]
fn a_keeper_that_panics_on_and_on_is_given_up_and_the_daemon_serves_on() {
    let (place, config) = (busy(), config());
    let daemon = panicking(&place, "look", 1000);
    let mut wire = daemon.connect();
    let alerts =
        until("that it is given up", || Some(place.alerts("checkpoint_failed")).filter(|told| told.len() == 2));
    assert!(alerts[1].starts_with("no checkpoint is made or checked any more until the next start"), "{alerts:?}");
    assert_eq!((wire.arm("N-1").0.as_str(), wire.status()["restarts"].as_u64()), ("ml", Some(5)));
    daemon.stop();
    assert_eq!(begun(&place, &config), None);
}
