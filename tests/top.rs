//! `vigie top` in a terminal: what it shows in a window of a size, and that the terminal is given back however it ends.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use common::{
    place::{Place, model},
    process::{Process, vigie},
    terminal::Terminal,
    wire::{LOCK, RESUME, score},
};
use vigie::domain::lifecycle::State;

/// A daemon with a version in production, and what it is to be seen with: two signals and two alerts.
fn busy() -> (Place, Process) {
    let place = Place::with_model(State::Production);
    for (version, state) in [("NQ/1", State::AbTest), ("YM/1", State::Staging)] {
        let record = vigie::models::VersionRecord { id: version.parse().unwrap(), ..model().clone() };
        place.register(version, record.to_bytes().unwrap(), state);
    }
    let daemon = Process::start(&place, &[]);
    let mut wire = daemon.connect();
    for trade in ["T-1", "T-2"] {
        wire.ask_ok(score(trade));
        wire.ask_ok(LOCK);
        wire.ask_ok(RESUME);
    }
    (place, daemon)
}

fn quiet() -> (Place, Process) {
    let place = Place::with_model(State::Production);
    let daemon = Process::start(&place, &[]);
    (place, daemon)
}

#[test]
fn windows_of_any_size_show_alerts_and_a_signal_and_follow_a_change_of_size() {
    let (place, daemon) = busy();
    let mut terminal = Terminal::start(&place, (60, 20), &[]);
    for size in [(60, 20), (120, 40), (60, 20), (40, 12)] {
        terminal.resize(size);
        let lines = terminal.until(&format!("{size:?}"), |screen| {
            let lines = screen.lines();
            let has = |what: &str| lines.iter().any(|line| line.contains(what));
            let parts = ["serving    ES/1 in production", "alerts", "critical locked", "ES/1  production", "T-2"];
            // a line that is wrapped or cut differently is one of another size; the lowest window has no room for a signal
            let parts =
                if size.1 < 20 { ["serving    ES/1", "signals", "alerts", "criti", "ES/1  production"] } else { parts };
            (screen.drawn_at(size) && parts.iter().all(|part| has(part))).then_some(lines.clone())
        });
        assert!(lines.iter().all(|line| line.chars().count() <= size.0), "{lines:#?}");
        let locks = lines.iter().filter(|line| line.contains(" criti")).count();
        assert_eq!(locks, 2, "{lines:#?}");
    }
    let wire = &mut daemon.connect();
    wire.ask_ok(LOCK);
    terminal.shows("LOCKED to the baseline");
    wire.ask_ok(RESUME);
    terminal.shows("serving    ES/1 in production");
    terminal.types("q");
    terminal.ended(0);
}

#[test]
fn the_terminal_is_given_back_at_each_end() {
    let (place, _daemon) = quiet();
    for end in ["q", "Q", "\u{3}", "\u{1c}", "\u{4}"] {
        let mut terminal = Terminal::start(&place, (80, 24), &[]);
        terminal.is_in_use();
        terminal.types(end);
        terminal.ended(0);
    }
    for signal in ["TERM", "QUIT", "HUP", "INT"] {
        let mut terminal = Terminal::start(&place, (80, 24), &[]);
        terminal.is_in_use();
        terminal.signals(signal);
        terminal.ended(0);
    }
}

#[test]
fn a_panic_gives_the_terminal_back_and_is_read_on_it() {
    let (place, _daemon) = quiet();
    for (thread, code) in [("drawing", 101), ("asking", 1)] {
        let mut terminal = Terminal::start(&place, (80, 24), &[("VIGIE_TOP_PANICS", thread)]);
        terminal.ended(code);
        let lines = terminal.screen().lines().join("\n");
        assert!(lines.contains("planted"), "{lines}");
    }
}

#[test]
fn a_stopped_command_gives_the_terminal_back_and_takes_it_again() {
    let (place, _daemon) = quiet();
    let mut terminal = Terminal::start(&place, (80, 24), &[]);
    for _ in 0..2 {
        terminal.is_in_use();
        terminal.types("\u{1a}");
        terminal.shows("stopped");
        terminal.is_given_back();
        terminal.types("\n");
    }
    terminal.is_in_use();
    // stopped without being asked, it has no time to give anything back; but it takes all again
    terminal.signals("STOP");
    terminal.shows("stopped");
    // another command set its own modes meanwhile
    terminal.set_cooked();
    terminal.types("\n");
    terminal.is_in_use();
    terminal.types("q");
    terminal.ended(0);
}

#[test]
fn where_no_shell_could_let_it_go_on_it_does_not_stop() {
    let (place, _daemon) = quiet();
    let mut terminal = Terminal::start(&place, (80, 24), &[("NO_JOBS", "1")]);
    terminal.is_in_use();
    terminal.types("\u{1a}");
    terminal.types("q");
    terminal.ended(0);
}

#[test]
fn a_daemon_that_stands_still_or_is_gone_is_dated_and_keys_are_obeyed() {
    let (place, mut daemon) = quiet();
    let mut terminal = Terminal::start(&place, (80, 24), &[]);
    terminal.is_in_use();
    daemon.signal("STOP");
    terminal.until("a frozen daemon", |screen| {
        let first = screen.lines().first()?.clone();
        (first.contains("AWAY for 4 s; below is as of ") && screen.has("serving    ES/1 in production")).then_some(())
    });
    // far less than the time for which an answer is waited
    assert!(terminal.answers_a_key("q") < std::time::Duration::from_millis(1_000));
    terminal.ended(0);
    daemon.signal("CONT");

    let mut terminal = Terminal::start(&place, (80, 24), &[]);
    terminal.is_in_use();
    daemon.kill();
    terminal.shows("no daemon answers at");
    assert!(terminal.screen().has("AWAY") && terminal.screen().has("below is as of"));
    let _daemon = Process::start(&place, &[]);
    terminal.until("the daemon that is back", |screen| (!screen.has("AWAY") && screen.has("serving")).then_some(()));
    terminal.types("q");
    terminal.ended(0);
}

#[test]
fn without_colours_none_is_sent() {
    let (place, _daemon) = quiet();
    for (no_color, coloured) in [("1", false), ("", true)] {
        let mut terminal = Terminal::start(&place, (80, 24), &[("NO_COLOR", no_color)]);
        terminal.shows("serving    ES/1 in production");
        terminal.types("q");
        terminal.ended(0);
        assert_eq!(terminal.screen().styled, coloured);
    }
}

#[test]
fn a_terminal_that_cannot_be_drawn_on_is_refused_in_words() {
    let (place, _daemon) = quiet();
    for term in ["dumb", ""] {
        let mut terminal = Terminal::start(&place, (80, 24), &[("TERM", term)]);
        terminal.ended(1);
        let screen = terminal.screen();
        let told = screen.lines().join(" ");
        assert!(told.contains("cannot be drawn on") && told.contains("vigie top --once"), "{told}");
        assert!(!screen.was_alternate, "{told}");
    }
}

#[test]
fn one_picture_needs_no_terminal() {
    let (place, daemon) = quiet();
    let mut command = vigie(&place, &["top", "--once", "--width", "60", "--socket"]);
    command.arg(place.socket()).env_remove("TERM");
    let output = command.output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && told.contains("serving    ES/1 in production"), "{told}");
    assert!(!told.contains('\u{1b}') && told.lines().all(|line| line.chars().count() <= 60), "{told}");
    assert!(told.contains("no signal has been answered"), "{told}");
    let watched = vigie(&place, &["top"]).output().unwrap();
    let why = String::from_utf8(watched.stderr).unwrap();
    assert!(!watched.status.success() && why.contains("this is no terminal"), "{why}");
    daemon.stop();
    assert_eq!(command.output().unwrap().status.code(), Some(4));
}
