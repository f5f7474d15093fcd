//! `vigie init`: what it writes starts a real daemon, it never overwrites, and it asks only on a terminal.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use std::{fs, process::Command};

use common::{
    place::Place,
    process::{Process, succeed, told, vigie},
};
use serde_json::{Value, json};

fn text(place: &Place, name: &str) -> String {
    fs::read_to_string(place.folder().join(name)).unwrap()
}

fn ends_with(place: &Place, arguments: &[&str], code: i32) -> String {
    let output = vigie(place, arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn the_file_starts_a_daemon_that_has_it_in_force() {
    let place = Place::new();
    let arguments =
        ["init", "--out", "config.toml", "--symbol", "ES", "--symbol", "CL=0.01:10", "--daily-loss-limit", "600"];
    let output = succeed(&place, &[&arguments[..], &["--zone", "Europe/Berlin", "--start", "22:00"]].concat());
    assert!(String::from_utf8(output.stdout).unwrap().contains("vigie run --config config.toml"));
    let checked = told(&place, &["check", "--json", "config.toml"], 0);
    assert_eq!(
        (&checked["values"]["symbols.CL.tick_value"], &checked["values"]["symbols.NQ.tick"]),
        (&json!("10.0"), &Value::Null)
    );
    let daemon = Process::start(&place, &[]);
    let status = daemon.connect().status();
    assert_eq!(status["config_hash"], checked["hash"], "{status}");
    let signal = r#"{"type":"score","trade_id":"X","at":"2025-01-06T15:00:00Z","symbol":"NQ","side":"long","confidence":0.6,"features":{}}"#;
    assert_eq!(daemon.connect().ask_ok(signal)["reason"], "unknown_symbol");
    daemon.stop();
}

#[test]
fn a_user_who_is_not_known_here_is_named_and_what_is_not_allowed_is_said_of_its_option() {
    let place = Place::new();
    let said =
        ends_with(&place, &["init", "--out", "a.toml", "--trader-user", "no-such-user", "--trader-user", "root"], 0);
    assert!(said.contains("there is no user \"no-such-user\" on this machine"), "{said}");
    assert_eq!(
        ends_with(&place, &["init", "--out", "b.toml", "--trader-user", "root", "--trader-user", "root"], 0),
        ""
    );
    assert_eq!(text(&place, "b.toml").matches("root").count(), 1, "{}", text(&place, "b.toml"));
    let said = ends_with(&place, &["init", "--out", "c.toml", "--daily-loss-limit", "-5"], 1);
    assert!(said.starts_with("vigie: --daily-loss-limit: guardian.daily_loss_limit = -5"), "{said}");
    let said = ends_with(&place, &["init", "--out", "c.toml", "--zone", "Mars"], 1);
    assert!(said.starts_with("vigie: --zone: trading_day.zone"), "{said}");
    assert!(!place.folder().join("c.toml").exists());
}

#[test]
fn a_file_of_signals_with_features_of_their_own_gives_a_configuration_that_learns_from_them() {
    let place = Place::new();
    let mut lines = String::new();
    for n in 0..700 {
        // the trade wins mostly where the input is high
        let (day, rsi) = (n / 5, f64::from(n % 7) / 6.0);
        let at = format!("2025-{:02}-{:02}T{:02}:00:00Z", 1 + day / 28, 1 + day % 28, 14 + n % 5);
        let pnl = if (n * 13) % 10 < 3 + n % 7 { 50.0 } else { -50.0 };
        let line = json!({ "trade_id": format!("T-{n}"), "at": at, "symbol": "ES", "side": "long", "confidence": 0.6, "features": {},
            "extra": { "rsi": rsi, "gap": f64::from(n % 3) }, "outcome_metrics": { "exit_at": at, "pnl": pnl, "exit_reason": "signal" } });
        lines.push_str(&format!("{line}\n"));
    }
    place.file("signals.jsonl", &lines);
    succeed(&place, &["init", "--features-from", "signals.jsonl", "--out", "config.toml"]);
    let written = text(&place, "config.toml");
    assert!(written.contains("extra = [\"gap\", \"rsi\"]") && written.contains("[symbols.ES]"), "{written}");
    assert!(written.contains("none of the 12 built-in features"), "{written}");
    fs::write(
        place.folder().join("config.toml"),
        format!("training.min_test_trades = 100\nvalidation.bootstrap = 2\nvalidation.null = 20\nvalidation.importance = 2\n{written}"),
    )
    .unwrap();
    succeed(&place, &["import", "--state", "state", "signals.jsonl"]);
    let daemon = Process::start(&place, &[]);
    let socket = place.socket();
    let trained = vigie(&place, &["train", "--keep", "--json", "--socket", socket.to_str().unwrap()]).output().unwrap();
    let said: Value = serde_json::from_slice(&trained.stdout).unwrap();
    // the confidence is the same for all: what is told apart is by the features of the file
    assert!(said["metrics"]["test_auc"].as_f64().is_some_and(|auc| auc > 0.6), "{said}");
    daemon.stop();
    let refused = ends_with(&place, &["init", "--features-from", "none.jsonl", "--out", "x.toml"], 1);
    assert!(refused.contains("none.jsonl"), "{refused}");
    place.file("odd.jsonl", &lines.lines().next().unwrap().replace("\"ES\"", "\"CL\""));
    let refused = ends_with(&place, &["init", "--features-from", "odd.jsonl", "--out", "x.toml"], 1);
    assert!(refused.contains("--symbol CL=TICK:VALUE") && !place.folder().join("x.toml").exists(), "{refused}");
}

#[test]
fn a_csv_file_and_its_map_give_a_configuration_with_the_features_of_the_map() {
    let place = Place::new();
    let csv = "ref;opened;closed;what;way;net;rsi 14;gap\n1;06.01.2025 09:31;06.01.2025 09:41;ES;Buy;-62,50;55,1;\n2;07.01.2025 09:31;07.01.2025 09:41;CL;Sell;10,00;;\n";
    let map = "times = [\"%d.%m.%Y %H:%M\"]\n[trade]\ntrade_id = \"ref\"\nat = \"opened\"\nexit_at = \"closed\"\nsymbol = \"what\"\nside = \"way\"\npnl = \"net\"\n[extra]\nrsi = { column = \"rsi 14\", scale = 0.01 }\ngap = \"gap\"\n";
    place.file("trades.csv", csv);
    place.file("map.toml", map);
    let arguments = ["init", "--features-from", "trades.csv", "--map", "map.toml", "--symbol", "CL=0.01:10", "--out"];
    let output = succeed(&place, &[&arguments[..], &["mine.toml"]].concat());
    let written = text(&place, "mine.toml");
    assert!(written.contains("extra = [\"gap\", \"rsi\"]") && written.contains("rsi 50.0 %"), "{written}");
    assert!(written.contains("[symbols.ES]") && written.contains("[symbols.CL]"), "{written}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("never known in any signal: gap") && said.contains("confidence"), "{said}");
    told(&place, &["check", "--json", "mine.toml"], 0);
    // a map that wants a symbol takes the one that is named
    place.file("bare.toml", &map.replace("symbol = \"what\"\n", "symbol = {}\n"));
    let bare = ["init", "--features-from", "trades.csv", "--map", "bare.toml", "--out", "bare-made.toml"];
    assert!(ends_with(&place, &bare, 1).contains("--symbol"));
    succeed(&place, &[&bare[..], &["--symbol", "NQ"]].concat());
    assert!(!text(&place, "bare-made.toml").contains("[symbols.ES]"));
    for (from, to, said) in [
        ("55,1", "55,1x", "trades.csv:2: column 7 \"rsi 14\""),
        ("Buy", "Flat", "neither long nor short"),
        ("rsi 14", "rsi", "there is no column"),
    ] {
        place.file("trades.csv", &csv.replacen(from, to, 1));
        let refused = ends_with(&place, &[&arguments[..], &["x.toml"]].concat(), 1);
        assert!(refused.contains(said), "{refused}");
    }
    // what is missing is named: the map of a CSV file, and features in it
    place.file("trades.csv", csv);
    assert!(ends_with(&place, &["init", "--features-from", "trades.csv", "--out", "x.toml"], 1).contains("--map"));
    place.file("map.toml", map.split("[extra]").next().unwrap());
    let refused = ends_with(&place, &[&arguments[..], &["x.toml"]].concat(), 1);
    assert!(
        refused.contains("map.toml has none under [extra]") && !place.folder().join("x.toml").exists(),
        "{refused}"
    );
    ends_with(&place, &["init", "--map", "pandas"], 2);
}

#[test]
fn a_file_that_is_there_stays_also_a_link_to_nothing() {
    let place = Place::new();
    place.file("vigie.toml", "mine");
    std::os::unix::fs::symlink("nowhere", place.folder().join("link.toml")).unwrap();
    for out in ["vigie.toml", "link.toml"] {
        let refused = ends_with(&place, &["init", "--defaults", "--out", out], 1);
        assert!(refused.contains("is there already"), "{refused}");
    }
    assert_eq!(text(&place, "vigie.toml"), "mine");
    assert!(!place.folder().join("nowhere").exists());
    ends_with(&place, &["init", "--symbol", "es"], 2);
}

#[test]
fn questions_are_asked_on_a_terminal_and_nowhere_else() {
    let place = Place::new();
    // no terminal: the built-in configuration
    succeed(&place, &["init"]);
    assert!(text(&place, "vigie.toml").lines().all(|line| line.is_empty() || line.starts_with('#')));
    let script = "import os, pty, sys\n\
        pid, fd = pty.fork()\n\
        if pid == 0: os.execv(sys.argv[1], ['vigie', 'init', '--out', 'asked.toml'])\n\
        os.write(fd, b'MES\\n\\n250\\n1234\\n')\n\
        said = b''\n\
        try:\n\
        \x20   while chunk := os.read(fd, 4096): said += chunk\n\
        except OSError: pass\n\
        print(said.decode()); sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n";
    let output = Command::new("python3")
        .args(["-c", script, env!("CARGO_BIN_EXE_vigie")])
        .current_dir(place.folder())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && ["1/4", "2/4", "3/4", "4/4"].iter().all(|mark| said.contains(mark)), "{said}");
    let asked = text(&place, "asked.toml");
    assert!(asked.contains("[symbols.MES]") && asked.contains("daily_loss_limit = 250.0"), "{asked}");
    assert!(asked.contains("trader_users = [\"1234\"]") && !asked.contains("[trading_day]"), "{asked}");
}
