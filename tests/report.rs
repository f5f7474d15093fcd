//! The report as a page: nothing unescaped, nothing from outside, nothing that is no number, and every part in it.
#![expect(clippy::unwrap_used, reason = "what the tests share may fail loudly")]

use std::{collections::BTreeMap, fs, path::Path};

use vigie::{
    domain::{
        Event, EventKind, Timestamp,
        event::{By, Level},
        lifecycle::{State, Transition},
    },
    report::{Curve, Ending, Entry, Expectation, Life, Moved, Part, Report, Table, Test, TestPoint},
};

/// What tries to get out of a text.
const EVIL: &str = "</td><script>alert('x')</script>\"&";

fn day(n: usize) -> Timestamp {
    Timestamp::from_second(1_736_170_000 + 86_400 * n as i64).unwrap()
}

fn curve(name: &str, value: impl Fn(usize) -> Option<f64>) -> Curve {
    Curve { name: name.to_owned(), points: (0..240).map(|n| (day(n), value(n))).collect() }
}

fn events() -> Vec<Event> {
    let version = || "ES/1".parse().unwrap();
    let moved = |step, reason: &str| EventKind::Moved {
        version: version(),
        step,
        reason: reason.to_owned(),
        by: By::Daemon("guardian".into()),
        overridden: false,
        evidence: BTreeMap::from([("trades".into(), 412.0), ("win_rate_gain".into(), 0.0812)]),
    };
    let alert =
        |level, message: &str| EventKind::Alert { level, code: "score_drift".into(), message: message.to_owned() };
    let kinds = vec![
        EventKind::Trained { version: version(), evidence: BTreeMap::from([("test_auc".into(), 0.691)]) },
        moved(Transition::Stage, "its validation passed"),
        moved(Transition::StartTest, "50 trades in staging, no worse than the strategy"),
        moved(Transition::Promote, "the evidence crossed its boundary at session 31"),
        alert(Level::Info, "vwap_trend_signal has moved"),
        alert(Level::Warning, EVIL),
        EventKind::Locked { reason: "loss_streak 11 > 10".to_owned(), by: By::Daemon("guardian".into()), until: None },
        alert(Level::Critical, "loss_streak 11 > 10: ES/1 was rolled back; look at it, then `vigie resume`"),
        EventKind::Resumed { reason: EVIL.to_owned(), by: By::Uid(0), same_day: false },
    ];
    kinds.into_iter().enumerate().map(|(n, kind)| Event { at: day(20 * n), kind }).collect()
}

fn table() -> Table {
    Table {
        part: Part::End,
        title: EVIL.to_owned(),
        help: EVIL.to_owned(),
        head: vec!["policy".to_owned(), EVIL.to_owned()],
        rows: vec![vec!["strategy alone".to_owned(), EVIL.to_owned()]],
        notes: vec![EVIL.to_owned()],
    }
}

fn sample() -> Report {
    let wave = |n: usize, scale: f64| scale * (n as f64 / 9.0).sin();
    let inputs = ["vwap_trend_signal", "options_flow_bias", "market_volatility", "confidence"];
    Report {
        title: "The life of a model on ES".to_owned(),
        notice: Some("SYNTHETIC: of a market that never was".to_owned()),
        lead: "One version was trained, tested and promoted, and taken down within the outcome that broke a rule."
            .to_owned(),
        facts: [("scenario", "drift"), ("seed", "7"), ("written by", EVIL)]
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
            .into(),
        span: Some((day(0), day(239))),
        story: vec![(day(3), "ES/1 was trained on 812 trades.".to_owned()), (day(9), EVIL.to_owned())],
        lives: vec![
            Life {
                version: "ES/1".to_owned(),
                stages: vec![
                    (State::Trained, day(0), day(1)),
                    (State::Staging, day(1), day(8)),
                    (State::AbTest, day(8), day(50)),
                    (State::Production, day(50), day(150)),
                    (State::RolledBack, day(150), day(239)),
                ],
            },
            Life { version: EVIL.to_owned(), stages: vec![(State::Rejected, day(100), day(239))] },
        ],
        locks: vec![(day(150), day(170))],
        marks: vec![(day(50), "promoted".to_owned()), (day(55), EVIL.to_owned()), (day(150), "rolled back".to_owned())],
        equity: vec![
            curve("strategy alone", |n| Some(20.0 * n as f64 + wave(n, 900.0))),
            curve("what was traded", |n| Some(42.0 * n as f64 + wave(n + 3, 700.0))),
            curve(EVIL, |n| (n > 40 && !(100..110).contains(&n)).then(|| 55.0 * n as f64 + wave(n, 500.0))),
        ],
        tests: vec![Test {
            version: "ES/1".to_owned(),
            number: 1,
            begun: day(8),
            outcome: "Promoted at session 31 of 60.".to_owned(),
            planned: 60,
            points: (1..=31)
                .map(|session| {
                    let boundary = 2.2414 / (session as f64 / 60.0).sqrt();
                    TestPoint {
                        session,
                        win_rate: (session > 1).then(|| 0.1 * session as f64 + wave(session, 0.4)),
                        money: (session > 1).then(|| 0.08 * session as f64 + wave(session, 0.3)),
                        success: (session >= 10).then_some(boundary),
                        harm: (session >= 10).then_some(-2.4),
                    }
                })
                .collect(),
            figures: Some(table()),
        }],
        accuracy: vec![curve("ES/1", |n| (n > 20).then(|| 0.66 - n as f64 / 2000.0 + wave(n, 0.03)))],
        accuracy_limits: vec![(0.5, "emergency".to_owned())],
        accuracy_marks: vec![(day(150), 0.24, EVIL.to_owned())],
        accuracy_notes: vec![EVIL.to_owned()],
        drift: inputs
            .iter()
            .enumerate()
            .map(|(row, input)| {
                let psi = |n: usize| 0.03 + if n > 140 { (n - 140) as f64 * 0.001 * row as f64 } else { 0.0 };
                Moved { input: (*input).to_owned(), readings: (20..240).map(|n| (day(n), Some(psi(n)))).collect() }
            })
            .collect(),
        drift_what: EVIL.to_owned(),
        drift_limits: (0.1, 0.25),
        entries: events().iter().zip(1..).filter_map(|(event, seq)| Entry::of(seq, event)).collect(),
        checks: vec![
            Expectation {
                what: "a version is promoted".to_owned(),
                found: "ES/1 on 2025-03-04".to_owned(),
                ending: Ending::AsTold,
            },
            Expectation { what: EVIL.to_owned(), found: EVIL.to_owned(), ending: Ending::Worse },
        ],
        tables: [
            Part::Money,
            Part::Versions,
            Part::Tests,
            Part::Health,
            Part::Alerts,
            Part::Times,
            Part::Lost,
            Part::End,
        ]
        .map(|part| Table { part, title: format!("{part:?}"), ..table() })
        .into(),
        composite: vec![curve("ES/1", |n| Some(1.0 + wave(n, 0.1)))],
        entries_left_out: 3,
        unit: EVIL.to_owned(),
        next: vec![("vigie demo --scenario crash".to_owned(), "an emergency in the middle".to_owned())],
    }
}

/// The tags of a page in their order, each closed in turn; void ones are passed over.
fn check_balance(html: &str) {
    let mut open = Vec::new();
    for part in html.split('<').skip(1) {
        let tag: String = part.chars().take_while(|c| !c.is_whitespace() && *c != '>').collect();
        match tag.strip_prefix('/') {
            Some(closed) => assert_eq!(open.pop().as_deref(), Some(closed), "near {part}"),
            None if tag == "meta" || tag.starts_with('!') => {}
            None => open.push(tag),
        }
    }
    assert_eq!(open, Vec::<String>::new());
}

#[test]
fn whatever_a_text_says_it_stays_a_text() {
    let html = sample().to_html();
    assert!(!html.contains("<script") && !html.contains("alert('x')"), "it got out");
    assert!(html.matches("&lt;script&gt;").count() >= 10, "it is told as it was");
    check_balance(&html);
}

#[test]
fn a_page_needs_nothing_from_outside_and_runs_nothing() {
    let html = sample().to_html();
    for foreign in ["http:", "https:", "src=", "href=", "url(", "@import", "<script", "<link", "<iframe", "onload"] {
        assert!(!html.contains(foreign), "{foreign}");
    }
    let page = Path::new(env!("CARGO_TARGET_TMPDIR")).join("report.html");
    fs::write(&page, html).unwrap();
}

#[test]
fn what_is_not_there_is_left_out_and_no_number_is_none() {
    check_balance(&Report::default().to_html());
    let mut report = sample();
    // lines without any value, of one value, and of the same value
    let flat = |value| curve("flat", move |n| (n < 1 || value > 0.0).then_some(value));
    report.equity = vec![flat(0.0), flat(3.0), Curve::default()];
    report.accuracy = vec![curve("none", |_| None)];
    report.tests[0].points.clear();
    report.drift[0].readings.clear();
    report.span = Some((day(0), day(0)));
    let html = report.to_html();
    check_balance(&html);
    let is_no_number = |word: &&str| ["NaN", "inf", "infinity", "None"].contains(word);
    let words = html.split(|letter: char| !letter.is_ascii_alphanumeric());
    assert_eq!(words.filter(is_no_number).collect::<Vec<_>>(), [""; 0]);
}

/// A text of a chart and the room it takes.
#[derive(Debug)]
struct Label {
    text: String,
    left: f64,
    right: f64,
    /// Of the line it stands on.
    baseline: f64,
    size: f64,
}

impl Label {
    /// From the inside of `<text ...>...`.
    fn of(element: &str) -> Self {
        let attribute = |name: &str| {
            let from = element.find(&format!(" {name}=\"")).unwrap() + name.len() + 3;
            element[from..].split('"').next().unwrap().to_owned()
        };
        let mut text = element.split('>').nth(1).unwrap().to_owned();
        for (escape, letter) in [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")] {
            text = text.replace(escape, letter);
        }
        let size = if matches!(attribute("class").as_str(), "mark") { 12.0 } else { 11.0 };
        // letters of the widest of the fonts that are named are six tenths of their size wide, about
        let width = 0.6 * size * text.chars().count() as f64;
        let (x, baseline): (f64, f64) = (attribute("x").parse().unwrap(), attribute("y").parse().unwrap());
        let left = match attribute("text-anchor").as_str() {
            "start" => x,
            "middle" => x - width / 2.0,
            _ => x - width,
        };
        Self { text, left, right: left + width, baseline, size }
    }

    fn overlaps(&self, other: &Self) -> bool {
        let (top, bottom) = (self.baseline - 0.8 * self.size, self.baseline + 0.2 * self.size);
        let (other_top, other_bottom) = (other.baseline - 0.8 * other.size, other.baseline + 0.2 * other.size);
        self.left < other.right && other.left < self.right && top < other_bottom && other_top < bottom
    }
}

/// The texts of each chart, and how wide and high that is.
fn charts(html: &str) -> Vec<(f64, f64, Vec<Label>)> {
    let chart = |svg: &str| {
        let view = svg.split("viewBox=\"0 0 ").nth(1).unwrap().split('"').next().unwrap();
        let (width, height) = view.split_once(' ').unwrap();
        let labels = svg.split("<text").skip(1).map(|element| Label::of(element.split('<').next().unwrap())).collect();
        (width.parse().unwrap(), height.parse().unwrap(), labels)
    };
    html.split("<svg").skip(1).map(|svg| chart(svg.split("</svg>").next().unwrap())).collect()
}

#[test]
fn no_two_labels_of_a_chart_overlap_and_all_are_within_it() {
    let mut report = sample();
    // whatever the time between them, at both ends, and at once
    let names =
        ["A/B test", "production", "rolled back", "the market changes", "A/B test", "a word that is longer yet"];
    let gaps = [0, 1, 2, 40, 3, 0, 9, 30, 1, 1, 60, 0, 5, 80, 2, 3, 1, 0];
    let mut at = 0;
    report.marks = gaps
        .iter()
        .zip(names.iter().cycle())
        .map(|(gap, name)| {
            at += gap;
            (day(at), (*name).to_owned())
        })
        .collect();
    for days in [8, 60, 120, 239, 500, 720, 1500, 1900] {
        report.span = Some((day(0), day(days)));
        let html = report.to_html();
        let charts = charts(&html);
        assert_eq!(
            charts.len(),
            14,
            "earnings, drawdown, life, test, accuracy, composite, drift, each wide and narrow"
        );
        let names = charts[0].2.iter().filter(|label| names.contains(&label.text.as_str())).count();
        assert_eq!(names, report.marks.iter().filter(|(at, _)| *at <= day(days)).count(), "{days} days");
        for (width, height, labels) in charts {
            for (n, label) in labels.iter().enumerate() {
                let within = label.left >= 0.0 && label.right <= width && label.baseline <= height;
                assert!(within && label.baseline > 0.7 * label.size, "{days} days: {label:?}");
                let other = labels[..n].iter().find(|other| label.overlaps(other));
                assert!(other.is_none(), "{days} days: {label:?} lies on {other:?}");
            }
        }
    }
}

#[test]
fn each_test_of_a_version_has_a_chart_of_its_own() {
    let mut report = sample();
    let first = report.tests[0].clone();
    let points = first.points.iter().take(4).copied().collect();
    report.tests.push(Test { number: 2, begun: day(170), outcome: "Ended for harm.".to_owned(), points, ..first });
    let html = report.to_html();
    let title = |number, begun| format!("<h2>A/B test {number} of ES/1, begun on {begun}</h2>");
    let (one, two) = (html.find(&title(1, "2025-01-14")).unwrap(), html.find(&title(2, "2025-06-25")).unwrap());
    let promoted = html.find("Promoted at session 31 of 60.").unwrap();
    assert!(one < promoted && promoted < two && two < html.find("Ended for harm.").unwrap());
    assert_eq!(charts(&html).len(), charts(&sample().to_html()).len() + 2);
}

#[test]
fn the_same_value_gives_the_same_page() {
    assert_eq!(sample().to_html(), sample().to_html());
    let html = sample().to_html();
    for part in [
        "The life of the versions",
        "What they earned",
        "A/B test 1 of ES/1, begun on 2025-01-14",
        "Rolling accuracy",
        "Drift of the inputs",
        "Everything that was decided",
        "Composite against validation",
        "3 older lines are left out",
        "What to try next",
        "past a gate",
    ] {
        assert_eq!(html.contains(part), part != "past a gate", "{part}");
    }
}

#[test]
fn where_there_is_no_curve_it_is_said_and_no_legend_stands_alone() {
    let mut report = sample();
    report.tests[0].points.clear();
    report.accuracy = vec![curve("a version", |_| None)];
    report.accuracy_marks.clear();
    report.composite = vec![Curve::default()];
    report.equity = vec![curve("money", |_| None)];
    let html = report.to_html();
    for said in ["so there is no evidence to be drawn", "so there is no curve"] {
        assert!(html.contains(said), "{said}");
    }
    let charts =
        ["evidence of test", "rolling accuracy", "composite against validation", "cumulative profit", "drawdown"];
    for left in ["better beyond chance</span>", "a version</span>", "money</span>"] {
        assert!(!html.contains(left), "a legend without a line: {left}");
    }
    for chart in charts.map(|chart| format!("aria-label=\"{chart}")) {
        assert!(sample().to_html().contains(&chart) && !html.contains(&chart), "a chart without a line: {chart}");
    }
    // a single value is seen
    report.accuracy = vec![curve("a version", |n| (n == 50).then_some(0.6))];
    assert!(report.to_html().contains("<circle class=\"point one\""));
    assert!(sample().to_html().contains("<circle class=\"ring\""), "an emergency is a mark beside the curve");
}
