//! What the way over HTTP costs: the round trip of a signal through the gateway against that on the socket, in one run.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use common::{Place, Wire, gateway::Gateway, http::connect, long::cases, signal, skip::skipped};
use serde_json::Value;

/// Round trips of one stretch, and stretches of each kind, by turns.
const TRIPS: usize = 2000;
const TURNS: usize = 6;
/// The most that the way over HTTP may add to the median.
const MOST: Duration = Duration::from_micros(1000);

/// A client that keeps its connection, as those in `clients` do.
struct Http<'a> {
    gateway: &'a Gateway,
    stream: BufReader<TcpStream>,
}

impl<'a> Http<'a> {
    fn new(gateway: &'a Gateway) -> Self {
        let stream = connect(&gateway.host);
        stream.set_nodelay(true).unwrap();
        Self { gateway, stream: BufReader::new(stream) }
    }

    fn ask(&mut self, body: &str) -> Value {
        let (host, bearer) = (&self.gateway.host, self.gateway.bearer(0));
        let head = format!(
            "POST /v1/score HTTP/1.1\r\nHost: {host}\r\nAuthorization: {bearer}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        self.stream.get_mut().write_all((head + body).as_bytes()).unwrap();
        let mut length = 0;
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).unwrap();
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer).unwrap();
        serde_json::from_slice(&answer).unwrap()
    }
}

#[expect(clippy::disallowed_methods, reason = "a round trip is measured")]
fn trips(first: usize, mut ask: impl FnMut(&str) -> Value) -> Vec<Duration> {
    let trip = |number| {
        let body = signal(&format!("P-{number}")).to_string();
        let begin = Instant::now();
        let answer = ask(&body);
        let took = begin.elapsed();
        assert_eq!(answer["ok"], true, "{answer}");
        took
    };
    (first..first + TRIPS).map(trip).collect()
}

fn percentile(times: &[Duration], share: f64) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    sorted[((sorted.len() - 1) as f64 * share) as usize]
}

#[test]
fn the_way_over_http_costs_less_than_a_millisecond() {
    if !cases(false, true) {
        return skipped("measured in the long form only, on a machine that does nothing else");
    }
    let place = Place::new();
    let gateway = Gateway::new(&place.socket());
    let (mut wire, mut http): (Wire, _) = (place.wire(), Http::new(&gateway));
    let (mut on_socket, mut over_http) = (Vec::new(), Vec::new());
    for turn in 0..TURNS {
        on_socket.extend(trips(2 * turn * TRIPS, |body| wire.ask(body)));
        over_http.extend(trips((2 * turn + 1) * TRIPS, |body| http.ask(body)));
    }
    for (share, name) in [(0.5, "p50"), (0.9, "p90"), (0.99, "p99"), (0.999, "p99.9")] {
        let (socket, http) = (percentile(&on_socket, share), percentile(&over_http, share));
        eprintln!("{name}: {} us on the socket, {} us over HTTP", socket.as_micros(), http.as_micros());
    }
    let more = percentile(&over_http, 0.5).saturating_sub(percentile(&on_socket, 0.5));
    assert!(more <= MOST, "the way over HTTP adds {more:?} to the median");
}
