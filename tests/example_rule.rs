//! The emergency rule that docs/adding-a-rule.md adds: that its diff fits the program, and that the rule does what it says.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

/// The file of the rule, as the document has it.
#[path = "fixtures/rule/slippage.rs"]
mod slippage;

use std::{collections::BTreeMap, fs};

use jiff::{civil, tz::TimeZone};
// where the rule looks for them, as a part of the program
use vigie::{
    domain,
    domain::{Money, Probability, Timestamp, TradeId, TradingCalendar, VersionId},
    guard,
    guard::emergency::{ClosedTrade, Emergency, EmergencyOptions, EmergencyRule, RULES, Reported, VersionScore},
    models::Facts,
    state::drill::{Damage, DrillOptions, Past, PastTrade, drill},
};

/// All rules of the program, and that one.
static WITH_IT: &[&EmergencyRule] = &[RULES[0], RULES[1], RULES[2], RULES[3], &slippage::RULE];

fn read(path: &str) -> String {
    let path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What a diff has of one file.
#[derive(Default)]
struct Patch {
    /// Whether it makes the file.
    is_new: bool,
    /// What the file must have, hunk by hunk.
    before: Vec<String>,
    /// What it has then.
    after: Vec<String>,
}

/// The diff of the document, file by file.
fn patches() -> BTreeMap<String, Patch> {
    let document = read("docs/adding-a-rule.md");
    let (_, diff) = document.split_once("\n```diff\n").expect("a diff");
    let (diff, _) = diff.split_once("\n```\n").expect("its end");
    let mut patches: BTreeMap<String, Patch> = BTreeMap::new();
    let (mut is_new, mut file) = (false, String::new());
    for line in diff.lines() {
        if let Some(from) = line.strip_prefix("--- ") {
            is_new = from == "/dev/null";
        } else if let Some(to) = line.strip_prefix("+++ b/") {
            to.clone_into(&mut file);
            patches.insert(file.clone(), Patch { is_new, ..Patch::default() });
        } else if let Some(patch) = patches.get_mut(&file) {
            if line.starts_with("@@ ") {
                patch.before.push(String::new());
                patch.after.push(String::new());
            } else if let (Some(before), Some(after)) = (patch.before.last_mut(), patch.after.last_mut()) {
                let (mark, text) = line.split_at_checked(1).unwrap_or((" ", ""));
                [(before, "+"), (after, "-")].into_iter().filter(|(_, not)| mark != *not).for_each(|(of, _)| {
                    of.push_str(text);
                    of.push('\n');
                });
            }
        }
    }
    patches
}

#[test]
fn the_diff_of_the_document_fits_the_program_and_its_new_file_is_the_rule_that_is_tried_here() {
    let patches = patches();
    assert!(patches.len() > 2, "{:?}", patches.keys());
    for (file, patch) in &patches {
        if patch.is_new {
            assert_eq!(patch.after.concat(), read("tests/fixtures/rule/slippage.rs"), "{file}");
            continue;
        }
        let text = read(file);
        for before in &patch.before {
            assert!(text.contains(before.as_str()), "{file} does not have this:\n{before}");
        }
    }
    let sources: Vec<_> = patches.keys().filter(|file| file.contains("src/")).collect();
    assert_eq!(
        sources,
        ["core/src/guard/emergency/mod.rs", "core/src/guard/emergency/slippage.rs"],
        "what a rule needs"
    );
}

/// A winning trade of ES/1, closed `minute` minutes after noon.
fn trade(minute: i64, slippage_ticks: Option<f64>) -> ClosedTrade {
    let at = Timestamp::from_second(1_420_459_200 + 60 * minute).unwrap();
    let calendar = TradingCalendar::new(TimeZone::UTC, civil::time(22, 0, 0, 0));
    let (at, day) = ClosedTrade::closed_at(at, at, &calendar);
    let said = VersionScore { version: "ES/1".parse().unwrap(), score: Probability::new(0.6).unwrap(), size: 1.0 };
    ClosedTrade {
        trade_id: TradeId::new(format!("T{minute}")).unwrap(),
        at,
        day,
        pnl: Some(Money::new(10.0).unwrap()),
        ml: Some(said.clone()),
        scores: vec![said],
        facts: Facts { pnl: Some(10.0), ..Facts::default() },
        reported: Reported { slippage_ticks, ..Reported::default() },
        daily_loss_limit: None,
    }
}

#[test]
fn how_far_a_version_is_from_the_limit_of_the_rule_stands_among_its_levels() {
    let options = EmergencyOptions::default().with(&slippage::MAX_TRADES, 3.0);
    let mut emergency = Emergency::by(WITH_IT);
    emergency.begin(&"ES/1".parse::<VersionId>().unwrap());
    for (n, ticks) in [9.0, 1.0, 5.0, 6.0].into_iter().enumerate() {
        assert!(emergency.judge(&options, &trade(n as i64, Some(ticks))).is_empty());
    }
    let levels = serde_json::to_value(emergency.levels(&options)).unwrap();
    let rules = levels[0]["rules"].as_array().unwrap();
    let its = rules.iter().find(|level| level["rule"] == "slippage").unwrap();
    assert_eq!((&its["value"], &its["limit"]), (&2.0.into(), &3.0.into()), "{its}");
    assert_eq!((&its["unit"], &its["trips"]), (&"number".into(), &"above".into()), "{its}");
    assert!(rules.iter().any(|level| level["rule"] == "loss_streak" && level["limit"] == 10.0), "{rules:?}");
}

/// Which trade trips, and what is said, with at most three trades in a row that slip by more than four ticks.
fn tripped(slippage: &[Option<f64>]) -> Option<(usize, String)> {
    let options = EmergencyOptions::default().with(&slippage::MAX_TRADES, 3.0);
    let mut emergency = Emergency::by(WITH_IT);
    emergency.begin(&"ES/1".parse::<VersionId>().unwrap());
    slippage.iter().enumerate().find_map(|(n, slippage)| {
        let trips = emergency.judge(&options, &trade(n as i64, *slippage));
        trips.first().map(|trip| (n, trip.to_string()))
    })
}

#[test]
fn it_trips_at_the_fourth_trade_in_a_row_that_slips_too_far() {
    let (far, near) = (Some(4.5), Some(4.0));
    assert_eq!(tripped(&[far; 9]), Some((3, "emergency of ES/1: slippage 4 > 3".to_owned())));
    assert_eq!(tripped(&[far, far, far, near, far, far, far, near]), None);
    assert_eq!(tripped(&[far, far, None, far, far]).map(|(n, _)| n), Some(4));
}

#[test]
fn its_own_scenario_trips_it_and_no_other_rule() {
    let scenario = slippage::RULE.scenario.as_ref().unwrap();
    for says_win in [true, false] {
        let told: Vec<_> = (0..scenario.trades).map(|n| (scenario.outcome)(n, says_win).1.slippage_ticks).collect();
        let (last, said) = tripped(&told).unwrap();
        assert_eq!((last + 1, said.contains("slippage")), (scenario.trades, true));
    }
}

#[test]
fn a_drill_tries_it_beside_the_others() {
    let (config, calendar) = (vigie::config::Config::builtin().unwrap(), trade(0, None).day);
    let options = DrillOptions {
        rules: WITH_IT,
        emergency: config.guardian.clone().with(&slippage::MAX_TRADES, 1.0),
        watch: config.monitoring.watch,
        runs: 2,
        trades: 200,
        block_days: 1.0,
        fall: 0.1,
        shift: 1.0,
        seed: 1,
    };
    // two of four trades slip too far, side by side: one alarm for each four trades
    let past = |n: usize| PastTrade {
        day: calendar,
        score: 0.6,
        size: 1.0,
        pnl: 10.0,
        daily_loss_limit: None,
        facts: Facts::default(),
        reported: Reported { slippage_ticks: Some(if n % 4 < 2 { 9.0 } else { 0.0 }), ..Reported::default() },
        row: Vec::new(),
    };
    let report = drill(&Past::new(Vec::new(), (0..4).map(past).collect()), &options, |_| {}).unwrap();
    let found = report.rules.iter().find(|rule| &*rule.rule == "slippage").unwrap();
    assert_eq!(found.false_alarms, 250.0, "in 1,000 trades");
    assert_eq!(found.delays[&Damage::Fading].found, 1.0);
}
