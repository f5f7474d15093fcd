//! The report on a period of a journal: each figure is that of the command that measures it, and nothing that stands in a journal
//! gets out of a text.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what the tests share may fail loudly"
)]

mod common;

use std::{collections::BTreeMap, fs};

use common::{
    place::{CONFIG, Place, examples},
    process::{Process, succeed, told, vigie},
};
use serde_json::Value;
use vigie::{
    config::Config,
    domain::{
        Arm, Decision, Event, EventKind, Money, Opinion, Outcome, Reason, Split, Timestamp, TradeId, VersionId,
        event::{By, Level},
        lifecycle::{State as Place_, Transition},
    },
    journal::Write,
    lifecycle::{happening::Happening, open_trades::AnsweredSignal},
    recall::{fold::Folded, period},
    report::{Gathered, Judged, Record, Scope, Summary, Words},
    state::step::State,
    trials::experiment::ImpactOptions,
};

/// Times are those of the messages, half of the signals hear the model, and a test begins to be looked at soon.
const SPLIT: &str = "scoring.ab_share = 0.5\nexperiment.first_look = 2\nexperiment.planned_sessions = 30\n";
/// What tries to get out of a text, as JSON has it.
const EVIL: &str = r#"</td><script>alert('x')</script>\u001b[2J\u202e"#;

fn journal<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [arguments, &["--state", "state", "--config", "config.toml"]].concat()
}

/// The request that tells an example signal under another name and time, and the outcome of its trade.
fn requests(n: usize, line: &str, at: Timestamp) -> [String; 2] {
    let (signal, outcome) = line.split_once(",\"outcome_metrics\"").unwrap();
    let fields = &signal[signal.find("\"symbol\"").unwrap()..];
    let exit = outcome.find("\"pnl\"").unwrap();
    let exit_at = at + std::time::Duration::from_secs(600);
    let score = format!("{{\"type\":\"score\",\"trade_id\":\"P-{n}\",\"at\":\"{at}\",{fields}}}");
    let metrics = format!("{{\"exit_at\":\"{exit_at}\",{}", &outcome[exit..]);
    [score, format!("{{\"type\":\"outcome\",\"trade_id\":\"P-{n}\",\"outcome_metrics\":{metrics}")]
}

#[test]
fn each_figure_is_that_of_status_impact_and_experiment_while_the_daemon_runs() {
    let place = Place::with_model(Place_::AbTest);
    place.file("config.toml", &format!("{CONFIG}{SPLIT}"));
    let daemon = Process::start(&place, &["--clock", "event"]);
    let mut wire = daemon.connect();
    let lines = examples();
    for day in 0..6 {
        for n in 0..8 {
            let at: Timestamp = format!("2026-11-{:02}T15:{:02}:00Z", 2 + day, 5 * n).parse().unwrap();
            let number = 8 * day + n;
            let [score, outcome] = requests(number, &lines[number], at);
            let size = wire.ask_ok(score)["size"].as_f64().unwrap();
            if size > 0.0 {
                wire.ask_ok(outcome);
            } else {
                wire.ask_ok(format!("{{\"type\":\"skip\",\"trade_id\":\"P-{number}\",\"reason\":\"size 0\"}}"));
            }
        }
    }
    let report = told(&place, &journal(&["report", "--json"]), 0);
    let status = told(&place, &["status", "--json", "--socket", "state/vigie.sock"], 0);
    assert_eq!(report["answers"]["signals"], 48);
    for (reason, count) in report["answers"]["by_reason"].as_object().unwrap() {
        assert_eq!(status["scorer"]["by_reason"][reason], *count, "{reason}");
    }
    assert_eq!(status["counts"]["decisions"], report["answers"]["signals"]);
    assert_eq!(report["health"][0]["level"], status["guardian"]["levels"][0]);
    assert!(report["health"][0]["level"]["accuracy"].is_f64(), "{report}");
    let latest = |of: &Value| of["max"].as_u64().unwrap();
    assert_eq!(latest(&report["latency_us"]), status["scorer"]["max_us"].as_f64().unwrap() as u64);

    let impact = told(&place, &journal(&["impact", "--json"]), 0);
    let money = &report["money"][0];
    for part in ["impact", "counts", "notes"] {
        assert_eq!(money[part], impact[part], "{part}");
    }
    let made = |group: usize| money["groups"][group]["pnl"].as_f64().unwrap();
    assert_eq!(
        (made(0), made(1)),
        (impact["impact"]["ml"]["pnl"].as_f64().unwrap(), impact["impact"]["baseline"]["pnl"].as_f64().unwrap())
    );
    assert!((made(3) - made(0) - made(1) - made(2)).abs() < 1e-9 && made(0) != 0.0 && made(1) != 0.0, "{money}");
    let sum = |place: usize| -> f64 {
        money["days"].as_array().unwrap().iter().map(|day| day[1][place].as_f64().unwrap()).sum()
    };
    assert!((sum(0) - made(0)).abs() < 1e-6 && (sum(2) - made(3)).abs() < 1e-6, "the curve ends at the figure");

    let experiment = told(&place, &["experiment", "ES/1", "--json", "--socket", "state/vigie.sock"], 0);
    let (test, trial) = (&report["tests"][0]["assessment"], &experiment["trials"][0]);
    // it is as old as the last record, which is a little older than now
    for part in ["sessions", "trades", "open_trades", "views", "in_ml", "sample_ratio", "ruling"] {
        assert_eq!(test["report"][part], trial["report"][part], "{part}");
    }
    assert!(test["report"]["sessions"].as_u64().unwrap() >= 5, "{test}");
    assert_eq!(
        report["tests"][0]["looks"].as_array().unwrap().len() as u64,
        test["report"]["sessions"].as_u64().unwrap()
    );

    // of a period what fired in it, as `impact` tells it of the same
    let later = told(&place, &journal(&["report", "--json", "--since", "2026-11-05"]), 0);
    let since = told(&place, &journal(&["impact", "--json", "--since", "2026-11-05"]), 0);
    let all = &later["money"][0]["groups"][3];
    for part in ["signals", "taken", "pnl"] {
        assert_eq!(all[part], since["impact"]["ml"][part], "{part}");
    }
    assert_eq!(later["answers"]["signals"], 24);
    let early = told(&place, &journal(&["report", "--json", "--until", "2026-11-05"]), 0);
    assert_eq!(early["answers"]["signals"], 24);
    assert_eq!(early["tests"][0]["looks"].as_array().unwrap().len(), 3, "the third day had closed by then");
    let other = told(&place, &journal(&["report", "--json", "--symbol", "NQ"]), 0);
    assert_eq!((&other["money"], &other["tests"]), (&serde_json::json!([]), &serde_json::json!([])));

    // in words
    let page = place.folder().join("page.html");
    let said = succeed(&place, &journal(&["report", "--html", "page.html", "--currency", "USD"]));
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(said.starts_with("48 signals were answered, and a model was heard in "), "{said}");
    let html = fs::read_to_string(page).unwrap();
    assert!(html.contains("made (USD)") && html.contains("A/B test 1 of ES/1"), "{html}");
    for width in ["40", "60", "120"] {
        let text = succeed(&place, &journal(&["report", "--width", width]));
        let text = String::from_utf8(text.stdout).unwrap();
        let longest = text.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(
            longest <= width.parse().unwrap() && text.contains("ES: what was made"),
            "{longest} of {width}: {text}"
        );
    }
    daemon.stop();
}

#[test]
fn a_period_without_anything_says_so_plainly_and_a_wrong_one_is_refused() {
    let place = Place::new();
    place.file("config.toml", CONFIG);
    place.open().close().unwrap();
    let said = |arguments: &[&str]| String::from_utf8(succeed(&place, &journal(arguments)).stdout).unwrap();
    assert!(said(&["report"]).contains("The journal is empty: nothing was recorded."));
    let kind = EventKind::Stopped;
    let mut store = place.open();
    store.apply(&[Write::Event(Event { at: "2026-11-02T15:00:00Z".parse().unwrap(), kind })]).unwrap();
    store.close().unwrap();
    let words = "The journal holds nothing of this period: it begins at 2026-11-02 15:00 and ends at 2026-11-02 15:00.";
    for period in [["--since", "2026-12-01"], ["--until", "2026-11-01"]] {
        let text = said(&[&["report", "--width", "200"], &period[..]].concat());
        assert!(text.contains(words), "{text}");
        assert!(!text.contains("what was made"), "{text}");
        said(&[&["report", "--html", "page.html"], &period[..]].concat());
        assert!(fs::read_to_string(place.folder().join("page.html")).unwrap().contains(words));
    }
    let text = said(&["report"]);
    for nothing in ["No signal was answered", "There was no alert.", "No version was in staging"] {
        assert!(text.contains(nothing), "{nothing}: {text}");
    }
    for wrong in [
        &["report", "--since", "2026-12-01", "--until", "2026-12-01"][..],
        &["report", "--version", "ES/7"],
        &["report", "--symbol", "ZZ"],
    ] {
        let output = vigie(&place, &journal(wrong)).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{wrong:?}: {output:?}");
    }
    assert_eq!(vigie(&place, &journal(&["report", "--currency", "<b>"])).output().unwrap().status.code(), Some(2));
}

#[test]
fn what_is_hostile_stays_a_text_on_the_page_and_in_the_terminal() {
    let place = Place::with_model(Place_::Production);
    let evil: String = serde_json::from_str(&format!("\"{EVIL}\"")).unwrap();
    let at = |minute: i64| Timestamp::from_second(1_793_631_600 + 60 * minute).unwrap();
    let (by, reason) = (By::Uid(0), evil.clone());
    let version: VersionId = "ES/1".parse().unwrap();
    let kinds = [
        EventKind::Locked { reason: reason.clone(), by: by.clone(), until: None },
        EventKind::Resumed { reason: reason.clone(), by: by.clone(), same_day: false },
        EventKind::Alert { level: Level::Warning, code: evil.as_str().into(), message: evil.clone() },
        EventKind::Moved {
            version,
            step: Transition::RollBack,
            reason,
            by,
            overridden: false,
            evidence: BTreeMap::from([(evil.as_str().into(), 1.0)]),
        },
    ];
    let event = |(n, kind)| Write::Event(Event { at: at(n), kind });
    let mut store = place.open();
    store.apply(&(0..).zip(kinds).map(event).collect::<Vec<_>>()).unwrap();
    store.close().unwrap();
    place.file("config.toml", CONFIG);
    let text = String::from_utf8(succeed(&place, &journal(&["report"])).stdout).unwrap();
    assert!(!text.chars().any(|c| c != '\n' && (c.is_control() || c == '\u{202e}')), "{text}");
    assert!(text.contains("alert('x')</script>\\u001b[2J"), "{text}");
    succeed(&place, &journal(&["report", "--html", "page.html"]));
    let html = fs::read_to_string(place.folder().join("page.html")).unwrap();
    assert!(!html.contains("<script") && !html.contains('\u{1b}') && !html.contains('\u{202e}'), "it got out");
    assert!(html.matches("&lt;script&gt;").count() >= 6, "it is told as it was");
    let away = ["src=", "href=", "url(", "@import", "http:", "https:", "<link", "<script"];
    assert!(away.iter().all(|word| !html.contains(word)), "something is loaded");
}

/// A journal that is told happening by happening, as the fold tells it.
struct Tale<'a> {
    config: &'a Config,
    gathered: Gathered<'a>,
    state: State,
    seq: u64,
}

impl<'a> Tale<'a> {
    fn new(config: &'a Config) -> Self {
        let judged = Judged { rules: config.rules(), experiment: &config.experiment, staging: &config.staging };
        let state = Folded::empty(config).unwrap().state;
        Self { config, gathered: Gathered::new(Scope::default(), judged), state, seq: 0 }
    }

    fn tell(&mut self, happening: Happening) {
        self.seq += 1;
        self.gathered.hear(self.seq, &happening, &mut self.state);
        self.gathered.record(happening.at(), Record::Other);
        self.state.step(&self.config.rules(), happening);
    }

    fn moved(&mut self, day: i64, step: Transition, evidence: &[(&str, f64)]) {
        let (version, by) = ("ES/1".parse().unwrap(), By::Daemon("ab_router".into()));
        let evidence = evidence.iter().map(|(name, value)| ((*name).into(), *value)).collect();
        let reason = format!("{step:?}");
        let kind = EventKind::Moved { version, step, reason, by, overridden: false, evidence };
        self.tell(Happening::Event(Event { at: at(day, 0), kind }));
    }

    /// A signal in each arm on this day; their outcomes follow with [`closed`](Self::closed).
    fn scored(&mut self, day: i64) {
        for arm in [Arm::Ml, Arm::Baseline] {
            let version: VersionId = "ES/1".parse().unwrap();
            let decision = Decision::baseline(name(day, arm), None, Some(version.clone()), Reason::AbTest);
            let decision = if arm == Arm::Ml { Decision { arm, ..decision } } else { decision };
            let split = Some(Split { arm, share: 0.5 });
            let size = if arm == Arm::Ml { 1.0 } else { 0.5 };
            let entry = AnsweredSignal {
                trade_id: name(day, arm),
                at: at(day, 1),
                day: self.config.calendar.day_of(at(day, 1)),
                symbol: Some(version.symbol.clone()),
                confidence: None,
                decision,
                traded: None,
                opinions: vec![Opinion { version, split, score: None, size }],
                daily_loss_limit: None,
                stake: Default::default(),
                side: None,
                by_echo: false,
            };
            self.tell(Happening::Scored { at: at(day, 1), entry: Box::new(entry) });
        }
    }

    fn closed(&mut self, day: i64, told_on: i64) {
        for arm in [Arm::Ml, Arm::Baseline] {
            let outcome = Box::new(Outcome::of(at(day, 2), Money::new(if day % 2 == 0 { 10.0 } else { -25.0 }).ok()));
            self.tell(Happening::Closed { at: at(told_on, 2), trade_id: name(day, arm), echo: None, outcome });
        }
    }

    fn end(mut self) -> Summary {
        let options = ImpactOptions { confidence: 0.95, resamples: 100, seed: 1 };
        self.gathered.end(&mut self.state, &options)
    }
}

fn at(day: i64, hour: i64) -> Timestamp {
    Timestamp::from_second(1_793_631_600 + 86_400 * day + 3_600 * hour).unwrap()
}

fn name(day: i64, arm: Arm) -> TradeId {
    TradeId::new(format!("{}-{day}", arm.name())).unwrap()
}

#[test]
fn the_evidence_ends_at_the_look_that_decided_and_a_second_test_starts_over() {
    let config = Config::parse("test", &format!("{CONFIG}{SPLIT}")).unwrap();
    let mut tale = Tale::new(&config);
    let kind = EventKind::Trained { version: "ES/1".parse().unwrap(), evidence: BTreeMap::new() };
    tale.tell(Happening::Event(Event { at: at(0, 0), kind }));
    for step in [Transition::Validate, Transition::Stage] {
        tale.moved(0, step, &[]);
    }
    let terms: BTreeMap<Box<str>, f64> = config.experiment.terms().numbers();
    let terms: Vec<(&str, f64)> = terms.iter().map(|(name, value)| (&**name, *value)).collect();
    tale.moved(0, Transition::StartTest, &terms);
    // the outcomes of four days come at once, and the look at the third decides
    (0..4).for_each(|day| tale.scored(day));
    (0..4).for_each(|day| tale.closed(day, 4));
    tale.moved(4, Transition::Promote, &[("sessions", 3.0)]);
    tale.moved(5, Transition::RollBack, &[]);
    for step in [Transition::Revalidate, Transition::Validate, Transition::Stage] {
        tale.moved(6, step, &[]);
    }
    tale.moved(6, Transition::StartTest, &terms);
    (6..8).for_each(|day| {
        tale.scored(day);
        tale.closed(day, day);
    });
    tale.scored(8);
    let summary = tale.end();
    let told: Vec<_> = summary.tests.iter().map(|test| (test.number, test.looks.len(), test.ended.is_some())).collect();
    assert_eq!(told, [(1, 3, true), (2, 2, false)]);
    let [first, second] = summary.tests.as_slice() else { panic!("{told:?}") };
    assert_eq!(first.assessment.report.as_ref().unwrap().sessions, 4, "all that had closed by then");
    assert_eq!((first.planned, first.begun, second.begun), (30, at(0, 0), at(6, 0)));
    // before the first look there is no boundary, and the last point is the one that was decided on
    let last = first.looks.last().unwrap();
    assert!(first.looks[0].success.is_none() && last.session == 3 && last.success.is_some() && last.money.is_some());
    let words = Words { unit: "USD", calendar: &config.calendar };
    let report = summary.report(&words);
    assert_eq!(report.tests[0].outcome, "It ended on 2026-11-06: Promote.");
    let note = "the look after session 3 decided; these figures are of all 4 sessions that had closed by then";
    assert_eq!(report.tests[0].figures.as_ref().unwrap().notes.last().map(String::as_str), Some(note));
    assert!(report.tests[1].outcome.starts_with("Under way: "), "{}", report.tests[1].outcome);
    let stays: Vec<_> = summary.versions.iter().map(|stay| (stay.state, stay.until.is_some())).collect();
    let came = [Place_::Staging, Place_::AbTest, Place_::Production, Place_::Staging, Place_::AbTest];
    assert_eq!(stays.iter().map(|stay| stay.0).collect::<Vec<_>>(), came);
    assert_eq!(stays.iter().filter(|stay| !stay.1).count(), 1, "one is under way");
}

#[test]
fn the_line_of_the_accuracy_is_what_the_guardian_says_at_the_close_of_each_day() {
    let place = common::life::place(3);
    let config = Config::parse("test", &format!("{CONFIG}guardian.accuracy_min_trades = 1\n")).unwrap();
    let reader = place.reader();
    let summary = period::summary(&reader, &config, &Scope::default()).unwrap();
    // the levels of the guardian after the last record of each day
    let (mut closes, mut day): (BTreeMap<(String, Timestamp), f64>, Option<Timestamp>) = Default::default();
    let mut folded = Folded::empty(&config).unwrap();
    let last = reader.last_seq().unwrap();
    let fewest = config.guardian.count(&vigie::guard::emergency::accuracy::MIN_TRADES);
    let mut sample = |state: &State, at: Timestamp| {
        for level in state.risk.emergency.levels(&config.guardian) {
            if let Some(accuracy) = level.accuracy.filter(|_| level.labelled >= fewest) {
                closes.insert((level.version.to_string(), at), accuracy);
            }
        }
    };
    folded
        .go_on_telling(&reader, &config, last, &mut |_, happening, state| {
            if matches!(happening, Happening::Came { .. }) {
                return;
            }
            let now = happening.at();
            if day.is_some_and(|before| config.calendar.day_of(before) < config.calendar.day_of(now)) {
                sample(state, day.unwrap());
            }
            day = day.max(Some(now));
        })
        .unwrap();
    sample(&folded.state, day.unwrap());
    let drawn: Vec<(String, Timestamp, f64)> = summary
        .accuracy
        .iter()
        .flat_map(|curve| curve.points.iter().filter_map(|(at, value)| Some((curve.name.clone(), *at, (*value)?))))
        .collect();
    println!("{} points of {} closes", drawn.len(), closes.len());
    assert!(!closes.is_empty(), "no day on which a version is judged");
    for ((version, at), accuracy) in &closes {
        assert!(drawn.contains(&(version.clone(), *at, *accuracy)), "{version} {at}: {accuracy} is not in {drawn:?}");
    }
}
