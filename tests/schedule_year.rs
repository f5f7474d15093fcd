//! A year on the schedule: the market of the demonstration, a journal, and every run by the functions that the daemon calls, over both
//! changes of the clocks and a week off. `cargo test --test schedule_year -- --nocapture` prints each run.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use std::collections::BTreeMap;

use common::place::{CONFIG, Place};
use jiff::{SignedDuration, civil::date, tz::TimeZone};
use vigie::{
    config::Config,
    domain::{SignalLine, Symbol, Timestamp, lifecycle::State},
    journal::{Store, Write},
    recall::{
        learning::{Job, work},
        quality, retraining, review,
        versions::roster,
    },
    schedule::{Past, Why, due},
    sim::{Scenario, Sessions, SimulationOptions, Trade, Venue, wire},
    validation::training::Order,
};

/// A run, as it is told.
#[derive(Debug, Clone)]
struct Run {
    job: &'static str,
    due: Timestamp,
    began: Timestamp,
    why: Why,
    found: String,
}

fn config() -> Config {
    let less = CONFIG.replace("min_test_trades = 100", "min_test_trades = 50");
    let levels = "training.min_trades = 250\nlevels.linear_min_trades = 250\n";
    Config::parse("test", &format!("{less}{levels}")).unwrap()
}

/// Past trades in the order in which they were closed.
fn trades(config: &Config) -> Vec<(Timestamp, Write)> {
    let symbol = Symbol::new("ES").unwrap();
    let instrument = config.symbols[&symbol];
    let options = SimulationOptions {
        start: date(2025, 1, 2),
        signals_per_session: 4.0,
        ..SimulationOptions::of(Scenario::Happy, 7, 12)
    };
    let venue = Venue { symbol, instrument, calendar: config.calendar.clone() };
    let all = Sessions::new(options, venue).unwrap().flat_map(|session| session.trades);
    let write = |trade: Trade| {
        let line = wire::closed_trade(&trade.signal, &trade.outcome);
        let parsed = SignalLine::parse(line.as_bytes()).unwrap();
        (trade.outcome.exit_at, Write::past_trade(parsed, line.into_bytes(), trade.outcome.exit_at))
    };
    let mut all: Vec<_> = all.filter(|trade| !trade.delivered.lost).map(write).collect();
    all.sort_by_key(|(at, _)| *at);
    all
}

/// What a run of `job` does at `now`: what it found, and what is in the journal behind it.
fn perform(job: &str, store: &mut Store, config: &Config, now: Timestamp) -> String {
    let reader = store.reader().unwrap();
    match job {
        "data_quality" => {
            let checked = quality::check(&reader, config, now).unwrap();
            drop(reader);
            store.apply(&[checked.write]).unwrap();
            checked.news.told(checked.signals)
        }
        "review" => {
            let (review, writes) = review::write(&reader, config, now).unwrap();
            drop(reader);
            store.apply(&writes).unwrap();
            review.line.told()
        }
        _ => {
            let considered = retraining::consider(&reader, config).unwrap();
            let mut told = Vec::new();
            for (symbol, considered) in considered {
                let mut line = retraining::told(&symbol, &considered);
                if considered.is_due() {
                    let order = Order { symbol, model: None, target: None, days: None };
                    let job = Job::Train { order, dry_run: false, keep: false };
                    let product = work(&job, &reader, config, now, &mut |_, _| ()).unwrap();
                    let writes = product.writes(&job, &roster(&reader).unwrap(), now).unwrap();
                    store.apply(&writes).unwrap();
                    line += &format!("; {} was trained: {}", product.version, product.report.summary());
                }
                told.push(line);
            }
            told.join(". ")
        }
    }
}

#[test]
fn a_year_of_the_demonstrations_market_has_every_run_its_finding_and_its_reason() {
    let place = Place::new();
    let config = config();
    let zone = TimeZone::get("America/Chicago").unwrap();
    let schedule = &config.schedule;
    let jobs = [
        ("data_quality", schedule.data_quality.unwrap()),
        ("review", schedule.review.unwrap()),
        ("retraining", schedule.retraining.unwrap()),
    ];
    let at = |text: &str| -> Timestamp { text.parse().unwrap() };
    let (mut now, end) = (at("2025-01-01T06:00:00Z"), at("2026-01-01T06:00:00Z"));
    // a week off, in which a review and a retraining fall due
    let (off, back) = (at("2025-07-10T12:00:00Z"), at("2025-07-17T22:00:00Z"));
    let mut started = now;
    let mut pasts: BTreeMap<&str, Past> = jobs.iter().map(|(name, _)| (*name, Past::new(now))).collect();
    let mut waiting = trades(&config).into_iter().peekable();
    let (mut store, mut runs) = (place.open(), Vec::<Run>::new());
    while now < end {
        if off <= now && now < back {
            (now, started) = (back, back);
            pasts.values_mut().for_each(|past| *past = past.at_start(now));
        }
        let listed = jobs.iter().map(|(name, appointment)| (*name, *appointment, pasts[name]));
        // one an hour, so that none stands beside another
        if let Some(found) = due(listed, &zone, schedule.quiet, (started, now)) {
            let mut closed = Vec::new();
            while let Some((_, write)) = waiting.next_if(|(closed, _)| *closed <= now) {
                closed.push(write);
            }
            store.apply(&closed).unwrap();
            let past = pasts.get_mut(found.name).unwrap();
            past.begin(found.at);
            past.end();
            let told = perform(found.name, &mut store, &config, now);
            let (job, _) = jobs.iter().find(|(name, _)| *name == found.name).unwrap();
            runs.push(Run { job, due: found.at, began: now, why: found.why, found: told });
        }
        now += SignedDuration::from_hours(1);
    }
    for Run { job, due, began, why, found } in &runs {
        println!("{began:.0} {job}: {found}\n    because {}", why.words(*due));
    }

    let of = |job: &str| -> Vec<&Run> { runs.iter().filter(|run| run.job == job).collect() };
    // 261 weekdays, 52 Sundays, 13 fourth Sundays; of the week off only the latest of each
    assert_eq!((of("data_quality").len(), of("review").len(), of("retraining").len()), (261 - 5 + 1, 52, 13));
    let local = |run: &Run| run.due.to_zoned(zone.clone()).time().hour();
    for (job, hour) in [("data_quality", 2), ("review", 3), ("retraining", 4)] {
        assert!(of(job).iter().all(|run| local(run) == hour), "{job}");
    }
    let caught_up: Vec<_> = runs.iter().filter(|run| run.why == Why::Missed).map(|run| run.job).collect();
    assert_eq!(caught_up, ["review", "retraining", "data_quality"]);
    // both changes of the clocks, on Sundays
    let on = |day: &str| -> Vec<String> {
        let of_day = runs.iter().filter(|run| run.due.to_string().starts_with(day));
        of_day.map(|run| format!("{} {}", run.job, run.due)).collect()
    };
    assert_eq!(on("2025-03-09"), ["review 2025-03-09T08:00:00Z"]);
    assert_eq!(on("2025-11-02"), ["review 2025-11-02T09:00:00Z", "retraining 2025-11-02T10:00:00Z"]);

    let considered: Vec<&str> = of("retraining").iter().map(|run| run.found.as_str()).collect();
    let (trained, not): (Vec<&str>, Vec<&str>) = considered.iter().partition(|found| found.contains("ES due: "));
    assert!(trained[0].contains("no version was trained yet, and") && trained[0].contains("; ES/1 was trained: "));
    assert!(
        trained[1].contains("closed trades have come since ES/1 was trained, at least 200 are enough"),
        "{trained:?}"
    );
    assert!(not[0].contains("closed trades do not suffice (at least 250)"), "{not:?}");
    assert!(not.iter().any(|found| found.contains("would be enough")), "{not:?}");
    let reader = store.reader().unwrap();
    let versions = roster(&reader).unwrap().versions().filter(|(_, stands)| stands.state != State::Trained).count();
    assert_eq!(versions, trained.len());

    let reviews = review::list(&reader).unwrap();
    assert_eq!(reviews.len(), 52);
    assert!(reviews.windows(2).all(|pair| pair[0].until == pair[1].since), "no moment is in none or in two");
    // what a review says later is what it said then
    let last = review::load(&reader, None).unwrap();
    assert_eq!(last.line, reviews[51]);
    assert_eq!(last.report.lead, last.line.lead);
    assert!(last.report.to_text(100).contains(&last.report.title) && last.report.to_html().contains("<html"));

    // the market is in order: what is wrong is told of once, at the first check that could know
    let quality = of("data_quality");
    let news: Vec<&str> =
        quality.iter().map(|run| run.found.as_str()).filter(|found| found.contains(": new: ")).collect();
    assert!(news.len() < 10, "{news:#?}");
}
