//! What the page costs the daemon: the round trip of a signal with ten open pages against that with none, by turns in one run. The
//! pages are read live, and each asks what its screen asks, all seven screens among them.
//!
//! In the long form only, with both programs as they are released, on a machine that does nothing else:
//!
//! ```text
//! cargo build --release -p vigie -p vigie-web
//! VIGIE_LONG=1 VIGIE_BIN=target/release/vigie VIGIE_WEB_BIN=target/release/vigie-web \
//!     cargo test --release -p vigie-web --test price -- --nocapture
//! ```
#![expect(clippy::unwrap_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use common::{Place, get, http::Live, long::cases, skip::skipped, until};

/// Round trips of one stretch, and stretches of each kind, by turns.
const TRIPS: usize = 2000;
const TURNS: usize = 8;
/// What the screens ask when they are opened and every few seconds, screen by screen, as `web/assets` has it.
const ASKED: [&[&str]; 7] = [
    &["/api/events?kind=alert&limit=12"],
    &["/api/signals", "/api/signals?seq=LATEST"],
    &["/api/experiment?looks=true", "/api/events?kind=moved&limit=20000"],
    &["/api/models", "/api/model?version=ES%2F1", "/api/events?kind=moved,shared,latched,tried&limit=20000"],
    &["/api/drift", "/api/events?kind=judged&limit=3000", "/api/events?kind=alert&limit=2000"],
    &[
        "/api/training",
        "/api/models",
        "/api/phases?symbol=ES",
        "/api/events?kind=tried,trained,moved,imported&limit=20000",
    ],
    &["/api/events?limit=100"],
];
/// The most that the 99th percentile may be with ten pages, as a multiple of that without.
const MOST: f64 = 1.1;

#[expect(clippy::disallowed_methods, reason = "a round trip is measured")]
fn trips(place: &Place, first: usize) -> Vec<Duration> {
    let mut wire = place.wire();
    let trip = |n| {
        let begin = Instant::now();
        let answer = wire.score(n);
        let took = begin.elapsed();
        assert_eq!(answer["ok"], true, "{answer}");
        took
    };
    (first..first + TRIPS).map(trip).collect()
}

fn percentile(times: &[Duration], share: f64) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    sorted[((sorted.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e6
}

#[test]
fn ten_pages_cost_the_daemon_next_to_nothing() {
    if !cases(false, true) {
        return skipped("measured in the long form only, on a machine that does nothing else");
    }
    let place = Place::new();
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for turn in 0..TURNS {
        without.extend(trips(&place, 2 * turn * TRIPS));
        let latest = place.ask(&serde_json::json!({ "type": "signals", "limit": 1 }))["signals"][0]["seq"].to_string();
        let is_over = Arc::new(AtomicBool::new(false));
        let pages: Vec<_> = (0..10)
            .map(|number| {
                let (mut live, is_over) = (Live::open(&place.host, None), Arc::clone(&is_over));
                let asked = ASKED[number % ASKED.len()].iter().map(|path| path.replace("LATEST", &latest));
                let (host, asked): (_, Vec<String>) = (place.host.clone(), asked.collect());
                thread::spawn(move || {
                    let ask = || asked.iter().for_each(|path| assert_eq!(get(&host, path).status, 200, "{path}"));
                    ask();
                    while !is_over.load(Ordering::Relaxed) {
                        // every other second, oftener than any screen does
                        if live.next().name == "heartbeat" {
                            ask();
                        }
                    }
                })
            })
            .collect();
        until("ten pages", || get(&place.host, "/metrics").body.contains("vigie_web_pages 10.0").then_some(()));
        with.extend(trips(&place, (2 * turn + 1) * TRIPS));
        is_over.store(true, Ordering::Relaxed);
        pages.into_iter().for_each(|page| page.join().unwrap());
        until("no page", || get(&place.host, "/metrics").body.contains("vigie_web_pages 0.0").then_some(()));
    }
    for (share, name) in [(0.5, "p50"), (0.9, "p90"), (0.99, "p99"), (0.999, "p99.9")] {
        let (alone, watched) = (percentile(&without, share), percentile(&with, share));
        eprintln!("{name}: {alone:.0} us without a page, {watched:.0} us with ten, {:.3} times", watched / alone);
    }
    let ratio = percentile(&with, 0.99) / percentile(&without, 0.99);
    assert!(ratio <= MOST, "with ten pages the 99th percentile is {ratio:.3} times that without");
}
