//! Files of other programs, through the real `vigie import` into a journal: the example of each, and files with faults.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use std::{fs, path::Path};

use common::{
    place::Place,
    process::{Process, vigie},
};
use serde_json::Value;
use vigie::domain::{Side, TradeId};

/// Id, time, exit, symbol, side, pnl, entry price, exit price and reason of a trade.
type Row = (&'static str, &'static str, &'static str, &'static str, Side, f64, f64, f64, &'static str);

fn example(name: &str) -> String {
    format!("{}/examples/csv/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Runs a command that must end with `code`; what it prints, and what it warns of.
fn run(place: &Place, arguments: &[&str], code: i32) -> (String, String) {
    let output = vigie(place, arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {output:?}");
    (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
}

fn import(place: &Place, file: &str, options: &[&str], code: i32) -> Value {
    let arguments = [&["import", "--json", "--state", "state", "--csv", file][..], options].concat();
    serde_json::from_str(&run(place, &arguments, code).0).unwrap()
}

/// Whether the journal holds these trades and no other ones.
fn holds(place: &Place, rows: &[Row]) {
    let reader = place.reader();
    assert_eq!(reader.signals().unwrap().count(), rows.len());
    assert_eq!(reader.outcomes().unwrap().count(), rows.len());
    for (id, at, exit_at, symbol, side, pnl, entry, exit, reason) in rows {
        let id = TradeId::new(id).unwrap();
        let signal = reader.signal(&id).unwrap().unwrap_or_else(|| panic!("{id} is not there")).signal;
        assert_eq!(
            (signal.at.to_string().as_str(), signal.symbol.as_str(), signal.side),
            (*at, *symbol, *side),
            "{id}"
        );
        let outcome = reader.outcome(&id).unwrap().unwrap().record.outcome;
        assert_eq!((outcome.exit_at.to_string().as_str(), &*outcome.exit_reason), (*exit_at, *reason), "{id}");
        let money = outcome.pnl.map(|pnl| pnl.get());
        assert_eq!((money, outcome.entry_price, outcome.exit_price), (Some(*pnl), Some(*entry), Some(*exit)), "{id}");
    }
}

const CHICAGO: [&str; 2] = ["--zone", "America/Chicago"];

#[test]
fn the_example_of_ninjatrader_is_imported_in_one_command() {
    let place = Place::new();
    let summary = import(&place, &example("ninjatrader.csv"), &[&["--map", "ninjatrader"], &CHICAGO[..]].concat(), 0);
    assert_eq!((&summary["stored"], &summary["left_out"]), (&5.into(), &0.into()));
    use Side::{Long, Short};
    let rows: [Row; 5] = [
        (
            "NT-ES-20250106T153105Z-L-787s-5900.25-5902.75-Sim101",
            "2025-01-06T15:31:05Z",
            "2025-01-06T15:44:12Z",
            "ES",
            Long,
            120.64,
            5900.25,
            5902.75,
            "take_profit",
        ),
        (
            "NT-ES-20250106T160200Z-S-450s-5905.5-5907.5-Sim101",
            "2025-01-06T16:02:00Z",
            "2025-01-06T16:09:30Z",
            "ES",
            Short,
            -104.36,
            5905.5,
            5907.5,
            "stop_loss",
        ),
        (
            "NT-NQ-20250107T191520Z-L-1480s-21300.25-21281.5-Sim101",
            "2025-01-07T19:15:20Z",
            "2025-01-07T19:40:00Z",
            "NQ",
            Long,
            -758.72,
            21300.25,
            21281.5,
            "stop_loss",
        ),
        (
            "NT-NQ-20250113T144500Z-S-2710s-21250-21218.5-Sim101",
            "2025-01-13T14:45:00Z",
            "2025-01-13T15:30:10Z",
            "NQ",
            Short,
            1251.28,
            21250.0,
            21218.5,
            "take_profit",
        ),
        (
            "NT-ES-20250113T205900Z-L-660s-5880-5880-Sim101",
            "2025-01-13T20:59:00Z",
            "2025-01-13T21:10:00Z",
            "ES",
            Long,
            -4.36,
            5880.0,
            5880.0,
            "session_end",
        ),
    ];
    holds(&place, &rows);
    let bars = place.reader().outcome(&TradeId::new(rows[2].0).unwrap()).unwrap().unwrap().record.outcome.bars_held;
    assert_eq!(bars, Some(25.0));
}

#[test]
fn a_report_of_ninjatrader_from_a_european_windows_is_the_same_trades() {
    let (place, other) = (Place::new(), Place::new());
    let text = fs::read_to_string(example("ninjatrader.csv")).unwrap();
    let euro = |cell: &str| {
        let times = [
            ("1/6/2025 9:", "06.01.2025 09:"),
            ("1/6/2025 10:", "06.01.2025 10:"),
            ("1/7/2025 1:", "07.01.2025 13:"),
            ("1/13/2025 8:", "13.01.2025 08:"),
            ("1/13/2025 9:", "13.01.2025 09:"),
            ("1/13/2025 2:", "13.01.2025 14:"),
            ("1/13/2025 3:", "13.01.2025 15:"),
        ];
        let is_time = times.iter().find_map(|(from, to)| Some(format!("{to}{}", cell.strip_prefix(from)?)));
        match is_time {
            Some(time) => time.trim_end_matches(" AM").trim_end_matches(" PM").to_owned(),
            None if cell.contains(['$', '.']) && cell.contains(|c: char| c.is_ascii_digit()) => {
                let number = cell.replace(['$', '"'], "").replace(',', "'").replace('.', ",").replace('\'', ".");
                if number.starts_with('(') { number } else { format!("{number} €") }
            }
            None => cell.to_owned(),
        }
    };
    let line = |line: &str| -> String {
        let line = line.replace("\"$1,251.28\"", "$1251.28").replace("\"$1,300.00\"", "$1300.00");
        line.split(',')
            .map(|cell| if cell.ends_with('.') { cell.to_owned() } else { euro(cell) })
            .collect::<Vec<_>>()
            .join(";")
    };
    let converted: String = text.lines().map(|text| line(text) + "\r\n").collect();
    assert!(converted.contains("(758,72)") && converted.contains("07.01.2025 13:15:20"), "{converted}");
    fs::write(place.folder().join("bericht.csv"), converted).unwrap();
    let options = [&["--map", "ninjatrader"], &CHICAGO[..]].concat();
    assert_eq!(import(&place, "bericht.csv", &options, 0)["stored"], 5);
    import(&other, &example("ninjatrader.csv"), &options, 0);
    let of = |place: &Place| -> Vec<_> {
        let reader = place.reader();
        let outcomes = reader.outcomes().unwrap().map(|outcome| outcome.unwrap().record);
        outcomes.map(|record| (record.trade_id, record.outcome)).collect()
    };
    assert_eq!(of(&place), of(&other));
}

#[test]
fn the_example_of_sierra_chart_is_imported_in_one_command() {
    let place = Place::new();
    let summary = import(&place, &example("sierrachart.txt"), &[&["--map", "sierrachart"], &CHICAGO[..]].concat(), 0);
    assert_eq!((&summary["stored"], &summary["left_out"]), (&4.into(), &1.into()));
    use Side::{Long, Short};
    holds(
        &place,
        &[
            (
                "SC-ES-20250106T153105.25Z-L-786.750s-5900.25-5902.75-Sim1",
                "2025-01-06T15:31:05.25Z",
                "2025-01-06T15:44:12Z",
                "ES",
                Long,
                120.64,
                5900.25,
                5902.75,
                "unknown",
            ),
            (
                "SC-ES-20250106T160200Z-S-450s-5905.5-5907.5-Sim1",
                "2025-01-06T16:02:00Z",
                "2025-01-06T16:09:30Z",
                "ES",
                Short,
                -104.36,
                5905.5,
                5907.5,
                "unknown",
            ),
            (
                "SC-ES-20250106T160200Z-S-780.500s-5905.5-5901-Sim1",
                "2025-01-06T16:02:00Z",
                "2025-01-06T16:15:00.5Z",
                "ES",
                Short,
                220.64,
                5905.5,
                5901.0,
                "unknown",
            ),
            // behind the change of the clocks
            (
                "SC-NQ-20250310T133500Z-L-900s-19800.25-19781.5-Sim1",
                "2025-03-10T13:35:00Z",
                "2025-03-10T13:50:00Z",
                "NQ",
                Long,
                -379.36,
                19800.25,
                19781.5,
                "unknown",
            ),
        ],
    );
}

#[test]
fn the_example_of_tradingview_is_imported_in_one_command() {
    let place = Place::new();
    let options = [&["--map", "tradingview", "--symbol", "ES"], &CHICAGO[..]].concat();
    let summary = import(&place, &example("tradingview.csv"), &options, 0);
    assert_eq!((&summary["stored"], &summary["left_out"]), (&4.into(), &1.into()));
    use Side::{Long, Short};
    holds(
        &place,
        &[
            (
                "TV-ES-20250106T153000Z-L-900s-5900.25-5896.5",
                "2025-01-06T15:30:00Z",
                "2025-01-06T15:45:00Z",
                "ES",
                Long,
                -192.5,
                5900.25,
                5896.5,
                "Stop",
            ),
            (
                "TV-ES-20250106T160000Z-S-600s-5905.5-5907.5",
                "2025-01-06T16:00:00Z",
                "2025-01-06T16:10:00Z",
                "ES",
                Short,
                -105.0,
                5905.5,
                5907.5,
                "Stop",
            ),
            (
                "TV-ES-20250107T191500Z-L-1500s-5961-5965.25",
                "2025-01-07T19:15:00Z",
                "2025-01-07T19:40:00Z",
                "ES",
                Long,
                415.0,
                5961.0,
                5965.25,
                "Close",
            ),
            (
                "TV-ES-20250310T135000Z-S-1200s-5653-5655.5",
                "2025-03-10T13:50:00Z",
                "2025-03-10T14:10:00Z",
                "ES",
                Short,
                -130.0,
                5653.0,
                5655.5,
                "Stop, trailed",
            ),
        ],
    );
    // the columns as they were called before
    let old = fs::read_to_string(example("tradingview.csv")).unwrap();
    let old = old
        .replace("Trade number", "Trade #")
        .replace("Net PnL USD", "Profit USD")
        .replace("Date and time", "Date/Time");
    place.file("old.csv", &old);
    assert_eq!(import(&place, "old.csv", &options, 0)["duplicates"], 4);
}

#[test]
fn the_example_of_freqtrade_is_imported_in_one_command() {
    let place = Place::new();
    let summary = import(&place, &example("freqtrade.csv"), &["--map", "freqtrade"], 0);
    assert_eq!((&summary["stored"], &summary["left_out"]), (&4.into(), &1.into()));
    assert_eq!(summary["unknown_symbols"], serde_json::json!({ "BTC_USDT": 2, "ETH_USDT": 2 }));
    use Side::{Long, Short};
    holds(
        &place,
        &[
            (
                "FT-BTC_USDT-20250106T150500Z-L-12900s-99500.1-100620.4",
                "2025-01-06T15:05:00Z",
                "2025-01-06T18:40:00Z",
                "BTC_USDT",
                Long,
                10.25861,
                99500.1,
                100620.4,
                "take_profit",
            ),
            (
                "FT-ETH_USDT-20250107T021000Z-S-3000s-3680.25-3753.9",
                "2025-01-07T02:10:00Z",
                "2025-01-07T03:00:00Z",
                "ETH_USDT",
                Short,
                -21.01138,
                3680.25,
                3753.9,
                "stop_loss",
            ),
            (
                "FT-ETH_USDT-20250108T110000Z-L-47100s-3340-3339.95",
                "2025-01-08T11:00:00Z",
                "2025-01-09T00:05:00Z",
                "ETH_USDT",
                Long,
                -5.0745e-4,
                3340.0,
                3339.95,
                "signal",
            ),
            (
                "FT-BTC_USDT-20250110T093000Z-S-24900s-94200-93400",
                "2025-01-10T09:30:00Z",
                "2025-01-10T16:25:00Z",
                "BTC_USDT",
                Short,
                7.4925,
                94200.0,
                93400.0,
                "stop_loss",
            ),
        ],
    );
}

#[test]
fn the_example_of_pandas_is_imported_in_one_command() {
    let place = Place::new();
    assert_eq!(import(&place, &example("pandas.csv"), &["--map", "pandas"], 0)["stored"], 4);
    use Side::{Long, Short};
    holds(
        &place,
        &[
            (
                "PD-1",
                "2025-01-06T15:31:05Z",
                "2025-01-06T15:44:12Z",
                "ES",
                Long,
                120.64,
                5900.25,
                5902.75,
                "take_profit",
            ),
            (
                "PD-2",
                "2025-01-06T16:02:00.5Z",
                "2025-01-06T16:09:30Z",
                "ES",
                Short,
                -104.36,
                5905.5,
                5907.5,
                "stop_loss",
            ),
            ("PD-3", "2025-07-07T13:45:00Z", "2025-07-07T14:30:10Z", "NQ", Short, 625.64, 22850.0, 22818.5, "signal"),
            (
                "PD-4",
                "2025-07-08T18:15:20Z",
                "2025-07-08T18:40:00Z",
                "NQ",
                Long,
                -379.36,
                22910.25,
                22891.5,
                "time, end of window",
            ),
        ],
    );
    let signal = |id: &str| place.reader().signal(&TradeId::new(id).unwrap()).unwrap().unwrap().signal;
    let second = signal("PD-2");
    assert_eq!(second.confidence.map(|confidence| confidence.get()), Some(0.55));
    assert_eq!((second.extra["rsi"], second.extra["gap"]), (Some(58.25), Some(1e-5)));
    assert_eq!((signal("PD-3").confidence, signal("PD-3").extra["rsi"]), (None, None));
    let vigie::domain::Inputs::Features(features) = signal("PD-1").inputs else { panic!("features") };
    assert_eq!(features.recent_momentum, Some(0.25));
}

#[test]
fn importing_a_file_again_changes_nothing_also_through_a_daemon_and_in_another_order() {
    let place = Place::new();
    let options = [&["--map", "sierrachart"], &CHICAGO[..]].concat();
    let daemon = Process::start(&place, &[]);
    let file = example("sierrachart.txt");
    assert_eq!(import(&place, &file, &options, 0)["stored"], 4);
    let text = fs::read_to_string(&file).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines[1..].reverse();
    place.file("reversed.txt", &lines.join("\n"));
    let again = import(&place, "reversed.txt", &options, 0);
    assert_eq!((&again["stored"], &again["duplicates"]), (&0.into(), &4.into()));
    drop(daemon);
}

#[test]
fn a_file_with_a_fault_is_not_imported_at_all_and_each_fault_is_named_with_line_and_column() {
    let text = fs::read_to_string(example("ninjatrader.csv")).unwrap();
    let faults: [(&str, &str, &str, &str); 9] = [
        ("$1,251.28", "$1,25x", "wrong_number", ":5: column 13 \"Profit\""),
        ("1/13/2025 2:59:00 PM", "1/13/2025 2:61:00 PM", "wrong_time", ":6: column 9 \"Entry time\""),
        ("Sim101,Example,Short,1", "Sim101,Example,Flat,1", "wrong_side", ":3: column 5 \"Market pos.\""),
        ("ES 03-25,Sim101,Example,Short", "/ES,Sim101,Example,Short", "wrong_symbol", ":3: column 2 \"Instrument\""),
        ("$120.64,$120.64", "\"$9,000,000\",$120.64", "out_of_range", ":2: column 13 \"Profit\""),
        ("1/7/2025 1:40:00 PM", "1/5/2025 1:40:00 PM", "out_of_range", ":4: column 10 \"Exit time\""),
        ("$37.50,$137.50,$16.86,13,", "$37.50", "cells", ":2:"),
        ("1/7/2025 1:15:20 PM", "3/9/2025 2:15:20 AM", "clocks", ":4: column 9 \"Entry time\""),
        (
            "Profit,Cum",
            "Gain,Cum",
            "columns",
            ":1: there is no column \"Profit\" for outcome_metrics.pnl; there are: Trade number",
        ),
    ];
    for (from, to, code, place_of_it) in faults {
        let place = Place::new();
        let damaged = text.replacen(from, to, 1);
        assert_ne!(damaged, text, "{from}");
        place.file("report.csv", &damaged);
        let options = [&["--map", "ninjatrader"], &CHICAGO[..]].concat();
        let summary = import(&place, "report.csv", &options, 1);
        let told = summary["faults"][code]["examples"][0].as_str().unwrap_or_else(|| panic!("{to}: {summary}"));
        assert!(told.contains(&format!("report.csv{place_of_it}")), "{told}");
        assert_eq!((&summary["stored"], &summary["refused_files"][0]), (&0.into(), &"report.csv".into()));
        assert!(!place.state().exists(), "{to}: nothing is taken, and no journal is made");
    }
}

#[test]
fn a_refused_file_leaves_no_doubt_in_the_exit_code_and_in_words() {
    let place = Place::new();
    let text = fs::read_to_string(example("pandas.csv")).unwrap();
    place.file("bad.csv", &text.replacen("120.64", "12x", 1));
    place.file("worse.csv", &text.replacen("long", "flat", 1));
    let good = example("pandas.csv");
    fn command<'a>(files: &[&'a str]) -> Vec<&'a str> {
        [&["import", "--state", "state", "--csv", "--map", "pandas"], files].concat()
    }
    // nothing was taken: it failed
    let (told, said) = run(&place, &command(&["bad.csv", "worse.csv"]), 1);
    assert!(said.contains("nothing was imported: bad.csv, worse.csv is refused as a whole"), "{said}");
    assert!(told.contains("nothing of bad.csv was imported") && told.contains("bad.csv:2: column"), "{told}");
    assert!(!told.contains(" lines: "), "the lines of a refused file are none that were read: {told}");
    assert!(!place.state().exists());
    // one of two was: done, and which was not
    let (told, said) = run(&place, &command(&["bad.csv", &good]), 5);
    assert!(told.contains("4 lines: 4 new, 0 known already, 0 refused"), "{told}");
    assert!(said.contains("nothing of bad.csv was imported") && !said.contains("nothing was imported"), "{said}");
    // also where the other had nothing new
    run(&place, &command(&[&good, "bad.csv"]), 5);
    run(&place, &command(&[&good]), 0);
    let summary = import(&place, "bad.csv", &["--map", "pandas"], 1);
    assert_eq!(
        (&summary["lines"], &summary["rejected"], &summary["refused_files"][0]),
        (&0.into(), &0.into(), &"bad.csv".into())
    );
    let (_, said) = run(&place, &[&command(&["bad.csv"])[..], &["--dry-run"]].concat(), 1);
    assert!(said.contains("nothing would be imported: bad.csv"), "{said}");
    let (_, said) = run(&place, &[&command(&["bad.csv", &good])[..], &["--dry-run"]].concat(), 5);
    assert!(said.contains("bad.csv would be refused as a whole"), "{said}");
}

#[test]
fn a_column_that_is_there_twice_is_a_fault_also_under_a_star() {
    let place = Place::new();
    let text = fs::read_to_string(example("pandas.csv")).unwrap();
    let head = text.lines().next().unwrap();
    for (from, to, told) in [("extra.gap", "extra.rsi", "extra.rsi"), ("pnl", "entry_price", "entry_price")] {
        assert_eq!(head.matches(from).count(), 1, "{head}");
        let text = text.replacen(from, to, 1);
        let named = text.lines().next().unwrap().split(',').zip(1..).filter(|(name, _)| *name == told);
        let numbers: Vec<String> = named.map(|(_, number)| number.to_string()).collect();
        let words = format!("the columns {} are called", numbers.join(" and "));
        place.file("twice.csv", &text);
        let summary = import(&place, "twice.csv", &["--map", "pandas"], 1);
        let fault = summary["faults"]["columns"]["examples"].to_string();
        assert!(numbers.len() == 2 && fault.contains(&words) && fault.contains(told), "{fault}");
    }
}

#[test]
fn reports_that_overlap_and_reports_of_two_accounts_give_each_trade_once() {
    let head = fs::read_to_string(example("ninjatrader.csv")).unwrap().lines().next().unwrap().to_owned();
    let row = |number: u8, account: &str, price: &str, exit: &str, profit: &str| {
        format!(
            "{number},ES 03-25,{account},E,Long,1,{price},5902.75,23/4/2025 09:31:05,23/4/2025 {exit},Entry,Profit target,\
             ${profit},$1,$4.36,$0,$0,$0,$0,$1,$1,$1,13,"
        )
    };
    // two that were held equally long, and one that was held longer
    let first = |account: &str| row(1, account, "5900.25", "09:44:12", "20.00");
    let second = |account: &str, number: u8| row(number, account, "5900.50", "09:44:12", "30.00");
    let longer = |account: &str, number: u8| row(number, account, "5900.25", "09:50:12", "70.00");
    let all = |account: &str| [first(account), second(account, 2), longer(account, 3)].join("\n");
    let report = |rows: &str| format!("{head}\n{rows}\n");
    let files = [
        ("some.csv", report(&[second("Sim101", 1), longer("Sim101", 2)].join("\n"))),
        ("all.csv", report(&all("Sim101"))),
        ("other.csv", report(&all("Sim101-n2"))),
    ];
    for order in [[0, 1, 2], [1, 0, 2], [2, 1, 0]] {
        let place = Place::new();
        for (name, text) in order.map(|which: usize| &files[which]) {
            place.file(name, text);
            import(&place, name, &[&["--map", "ninjatrader"], &CHICAGO[..]].concat(), 0);
        }
        let reader = place.reader();
        let mut made: Vec<f64> =
            reader.outcomes().unwrap().map(|stored| stored.unwrap().record.outcome.pnl.unwrap().get()).collect();
        made.sort_by(f64::total_cmp);
        assert_eq!(made, [20.0, 20.0, 30.0, 30.0, 70.0, 70.0], "{order:?}");
    }
}

#[test]
fn a_zone_must_be_named_and_a_time_that_came_twice_be_decided() {
    let place = Place::new();
    let fault = |options: &[&str], file: &str, code: &str| {
        let summary = import(&place, file, &[&["--map", "ninjatrader"], options].concat(), 1);
        summary["faults"][code]["examples"][0].as_str().unwrap_or_else(|| panic!("{summary}")).to_owned()
    };
    let told = fault(&[], &example("ninjatrader.csv"), "no_zone");
    assert!(told.contains("--zone"), "{told}");
    let text = fs::read_to_string(example("ninjatrader.csv")).unwrap();
    let twice = text.replacen("1/13/2025 2:59:00 PM", "11/2/2025 1:30:00 AM", 1).replacen(
        "1/13/2025 3:10:00 PM",
        "11/2/2025 3:00:00 AM",
        1,
    );
    place.file("twice.csv", &twice);
    let told = fault(&CHICAGO, "twice.csv", "clocks");
    assert!(told.contains("twice.csv:6: column 9 \"Entry time\"") && told.contains("--ambiguous"), "{told}");
    for (which, id, at) in [
        ("earlier", "NT-ES-20251102T063000Z-L-9000s-5880-5880-Sim101", "2025-11-02T06:30:00Z"),
        ("later", "NT-ES-20251102T073000Z-L-5400s-5880-5880-Sim101", "2025-11-02T07:30:00Z"),
    ] {
        let place = Place::new();
        place.file("twice.csv", &twice);
        let options = [&["--map", "ninjatrader", "--ambiguous", which], &CHICAGO[..]].concat();
        assert_eq!(import(&place, "twice.csv", &options, 0)["stored"], 5);
        assert_eq!(place.reader().signal(&TradeId::new(id).unwrap()).unwrap().unwrap().signal.at.to_string(), at);
    }
    // days up to 12 may be months
    let text = text
        .replace(" AM", "")
        .replace(" PM", "")
        .replace("1/13/2025", "1/12/2025")
        .replace("12/2025 2:", "12/2025 12:");
    place.file("days.csv", &text.replace("12/2025 3:", "12/2025 13:"));
    let told = fault(&CHICAGO, "days.csv", "two_ways");
    assert!(told.contains("--time-format"), "{told}");
    let options = [&["--map", "ninjatrader", "--time-format", "%m/%d/%Y %H:%M:%S"], &CHICAGO[..]].concat();
    assert_eq!(import(&place, "days.csv", &options, 0)["stored"], 5);
}

#[test]
fn a_number_that_can_be_read_in_two_ways_is_decided_by_the_file_or_by_somebody() {
    let file = |pnl: &[&str]| {
        let row =
            |(n, pnl): (usize, &&str)| format!("T{n};2025-01-06 15:0{n}:00Z;2025-01-06 16:00:00Z;ES;long;{pnl}\n");
        let rows: String = pnl.iter().enumerate().map(row).collect();
        format!("trade_id;at;exit_at;symbol;side;pnl\n{rows}")
    };
    let pnl = |place: &Place| {
        let stored = place.reader().outcome(&TradeId::new("T0").unwrap()).unwrap().unwrap();
        stored.record.outcome.pnl.map(|pnl| pnl.get())
    };
    let place = Place::new();
    place.file("open.csv", &file(&["1,234", "-7"]));
    let summary = import(&place, "open.csv", &["--map", "pandas"], 1);
    let told = summary["faults"]["two_ways"]["examples"][0].as_str().unwrap_or_else(|| panic!("{summary}")).to_owned();
    assert!(told.contains("open.csv:2: column 6 \"pnl\"") && told.contains("--decimal"), "{told}");
    for (sign, value) in [(",", 1.234), (".", 1234.0)] {
        let place = Place::new();
        place.file("open.csv", &file(&["1,234", "-7"]));
        assert_eq!(import(&place, "open.csv", &["--map", "pandas", "--decimal", sign], 0)["stored"], 2);
        assert_eq!(pnl(&place), Some(value));
    }
    // another number of the file says which it is
    for (other, value) in [("0,5", 1.234), ("1,000.5", 1234.0)] {
        let place = Place::new();
        place.file("told.csv", &file(&["1,234", other]));
        assert_eq!(import(&place, "told.csv", &["--map", "pandas"], 0)["stored"], 2);
        assert_eq!(pnl(&place), Some(value), "{other}");
    }
}

#[test]
fn a_trade_that_stands_twice_in_a_file_is_a_fault_of_it() {
    let place = Place::new();
    let text = fs::read_to_string(example("pandas.csv")).unwrap();
    place.file("twice.csv", &text.replacen("PD-3", "PD-1", 1));
    let summary = import(&place, "twice.csv", &["--map", "pandas"], 1);
    let told = summary["faults"]["twice"]["examples"].to_string();
    assert!(told.contains("twice.csv:4") && told.contains("PD-1 stands on line 2"), "{summary}");
}

#[test]
fn a_dry_run_tells_a_program_the_same() {
    let place = Place::new();
    let (good, options) = (example("ninjatrader.csv"), [&["--dry-run", "--map", "ninjatrader"], &CHICAGO[..]].concat());
    let told = import(&place, &good, &options, 0);
    let file = &told["files"][0];
    assert_eq!((&file["trades"], &file["left_out"], &file["decimal"]), (&5.into(), &0.into(), &".".into()), "{told}");
    assert_eq!(file["first"]["trade"]["outcome_metrics"]["pnl"], 120.64, "{told}");
    let told = import(&place, &good, &["--dry-run", "--map", "ninjatrader"], 1);
    assert_eq!(told["refused"]["refused_files"].as_array().unwrap().len(), 1, "{told}");
}

#[test]
fn what_cannot_be_read_leaves_no_folder_behind() {
    let place = Place::new();
    import(&place, &example("ninjatrader.csv"), &["--map", "ninjatrader"], 1);
    run(&place, &["import", "--state", "state", "nothing.jsonl"], 1);
    assert!(!place.state().exists());
}

#[test]
fn a_trade_within_the_hour_that_came_twice_is_read_in_the_one_way_there_is() {
    let text = fs::read_to_string(example("ninjatrader.csv")).unwrap();
    let twice = text.replacen("1/13/2025 2:59:00 PM", "11/2/2025 1:50:00 AM", 1).replacen(
        "1/13/2025 3:10:00 PM",
        "11/2/2025 1:10:00 AM",
        1,
    );
    for which in ["earlier", "later"] {
        let place = Place::new();
        place.file("twice.csv", &twice);
        let options = [&["--map", "ninjatrader", "--ambiguous", which], &CHICAGO[..]].concat();
        assert_eq!(import(&place, "twice.csv", &options, 0)["stored"], 5);
        let id = TradeId::new("NT-ES-20251102T065000Z-L-1200s-5880-5880-Sim101").unwrap();
        assert_eq!(
            place.reader().outcome(&id).unwrap().unwrap().record.outcome.exit_at.to_string(),
            "2025-11-02T07:10:00Z"
        );
    }
}

#[test]
fn a_dry_run_says_what_would_be_imported_and_makes_nothing() {
    let place = Place::new();
    let file = example("tradingview.csv");
    let arguments = ["import", "--dry-run", "--csv", &file, "--map", "tradingview", "--symbol", "ES", "--zone", "UTC"];
    let (told, _) = run(&place, &arguments, 0);
    assert!(told.contains("4 trades, 1 left out") && told.contains(r#""side":"short""#), "{told}");
    assert!(fs::read_dir(place.folder()).unwrap().next().is_none());
    let (told, _) = run(&place, &["import", "--dry-run", "--csv", &file, "--map", "tradingview", "--zone", "UTC"], 1);
    assert!(told.contains("--symbol"), "{told}");
}

#[test]
fn a_map_is_proposed_for_every_example_and_for_a_file_that_no_map_is_for() {
    for (file, options) in [
        ("ninjatrader.csv", &["--zone", "America/Chicago"][..]),
        ("sierrachart.txt", &["--zone", "America/Chicago"]),
        ("tradingview.csv", &["--zone", "America/Chicago", "--symbol", "ES"]),
        ("freqtrade.csv", &[]),
        ("pandas.csv", &[]),
    ] {
        let (place, by_name) = (Place::new(), Place::new());
        let path = example(file);
        let (told, _) = run(&place, &[&["import", "--guess", &path, "--out", "map.toml"], options].concat(), 0);
        assert!(told.contains("map.toml"), "{told}");
        let name = Path::new(file).file_stem().unwrap().to_str().unwrap();
        let map = fs::read_to_string(place.folder().join("map.toml")).unwrap();
        assert!(map.contains(&format!("`--map {name}`")), "{map}");
        import(&place, &path, &[&["--map", "map.toml"], options].concat(), 0);
        import(&by_name, &path, &[&["--map", name], options].concat(), 0);
        let ids = |place: &Place| -> Vec<_> {
            place.reader().outcomes().unwrap().map(|stored| stored.unwrap().record.trade_id).collect()
        };
        assert_eq!(ids(&place), ids(&by_name));
        // a file that is there stays
        let (_, said) = run(&place, &[&["import", "--guess", &path, "--out", "map.toml"], options].concat(), 1);
        assert!(said.contains("map.toml cannot be made"), "{said}");
        assert_eq!(fs::read_to_string(place.folder().join("map.toml")).unwrap(), map);
    }
    let place = Place::new();
    place.file("own.csv", "When in;Opened at;Closed at;Ticker;Direction;Net profit;RSI\nx;06.01.2025 09:31;06.01.2025 09:41;ES;Buy;-62,50;55,1\n");
    let (map, said) = run(&place, &["import", "--guess", "own.csv"], 0);
    assert!(said.contains("not guessed: zone") && map.contains("at = \"Opened at\""), "{map}{said}");
    place.file("own.toml", &map);
    assert_eq!(import(&place, "own.csv", &["--map", "own.toml", "--zone", "Europe/Berlin"], 0)["stored"], 1);
}

#[test]
fn options_of_csv_files_need_csv_files_and_a_map_that_is_wrong_is_named() {
    let place = Place::new();
    let file = example("pandas.csv");
    let (_, said) = run(&place, &["import", "--zone", "UTC", "x.jsonl"], 1);
    assert!(said.contains("--csv --map"), "{said}");
    run(&place, &["import", "--csv", &file], 2);
    let (_, said) = run(&place, &["import", "--csv", &file, "--map", "nothing"], 1);
    assert!(said.contains("ninjatrader") && !place.state().exists(), "{said}");
    place.file("bad.toml", "[trade]\ntrade_id = \"id\"\nat = 7\n");
    let (_, said) = run(&place, &["import", "--csv", &file, "--map", "bad.toml"], 1);
    assert!(said.contains("bad.toml") && said.contains("line 3"), "{said}");
}

#[test]
fn the_commands_of_the_guide_import_the_examples() {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/import.md")).unwrap();
    let block = text.split("```sh\n").nth(1).unwrap().split("```").next().unwrap();
    let place = Place::new();
    for line in block.lines() {
        let words: Vec<String> = line
            .split(' ')
            .map(|word| match word.strip_prefix("examples/csv/") {
                Some(name) => example(name),
                None => word.to_owned(),
            })
            .collect();
        let arguments: Vec<&str> = words.iter().skip(1).map(String::as_str).chain(["--state", "state"]).collect();
        run(&place, &arguments, 0);
    }
    assert_eq!(place.reader().outcomes().unwrap().count(), 5 + 4 + 4 + 4 + 4);
}
