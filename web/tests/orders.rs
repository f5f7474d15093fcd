//! Who may change something through the page: nobody without the token, and nobody whom another page sent.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use common::{Place, TOKEN, get, long, send};
use serde_json::{Value, json};

fn lock() -> Value {
    json!({ "order": "lock", "reason": "a test", "confirm": "lock" })
}

fn is_locked(place: &Place) -> bool {
    !place.ask(&json!({ "type": "status" }))["status"]["guardian"]["lock"].is_null()
}

fn own(place: &Place) -> Vec<(&'static str, String)> {
    place.own_headers()
}

fn borrowed<'a>(headers: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    headers.iter().map(|(name, value)| (*name, &**value)).collect()
}

#[test]
fn with_the_token_a_page_locks_resumes_and_rolls_back_and_the_journal_keeps_why() {
    let place = Place::new();
    let headers = own(&place);
    let answer = place.order(&lock(), &borrowed(&headers));
    assert!(answer.status == 200 && answer.json()["durable"] == true, "{answer:?}");
    assert!(is_locked(&place));
    let resume = json!({ "order": "resume", "reason": "it is over", "confirm": "resume" });
    assert_eq!(place.order(&resume, &borrowed(&headers)).status, 200);
    assert!(!is_locked(&place));
    let rollback = json!({ "order": "rollback", "version": "ES/1", "reason": "a test", "confirm": "ES/1" });
    assert_eq!(place.order(&rollback, &borrowed(&headers)).status, 200);
    // the daemon's own refusal comes through in its words
    let again = place.order(&rollback, &borrowed(&headers));
    assert!(again.status == 409 && again.json()["error"]["code"] == "refused", "{again:?}");
    let events = common::until("the events", || {
        let events = get(&place.host, "/api/events?kind=locked,resumed,moved&limit=3").json();
        (events["events"][2]["step"] == "roll_back").then_some(events)
    });
    assert!(events["events"][0]["reason"] == "a test" && events["events"][1]["reason"] == "it is over", "{events}");
}

#[test]
fn without_the_token_or_from_another_page_nothing_changes() {
    let place = Place::new();
    let good = own(&place);
    let without = |name: &str| good.iter().filter(|(known, _)| *known != name).cloned().collect::<Vec<_>>();
    let with = |name: &'static str, value: &str| {
        let mut headers = without(name);
        headers.push((name, value.to_owned()));
        headers
    };
    let other_port = format!("http://127.0.0.1:{}", place.host.rsplit(':').next().unwrap().parse::<u16>().unwrap() ^ 1);
    for (headers, status) in [
        (without("Authorization"), 401),
        (with("Authorization", "Bearer 0123456789abcdef0123456789abcdee"), 401),
        (with("Authorization", &format!("Basic {TOKEN}")), 401),
        (with("Authorization", "Bearer "), 401),
        (without("Origin"), 403),
        (with("Origin", "null"), 403),
        (with("Origin", "http://evil.example"), 403),
        (with("Origin", &other_port), 403),
        (with("Origin", &format!("https://{}", place.host)), 403),
        (with("Sec-Fetch-Site", "cross-site"), 403),
        (with("Sec-Fetch-Site", "same-site"), 403),
        (with("Content-Type", "text/plain"), 415),
        (with("Content-Type", "application/x-www-form-urlencoded"), 415),
        (with("Host", "evil.example"), 421),
        (with("Host", "evil.example:8177"), 421),
    ] {
        let answer = place.order(&lock(), &borrowed(&headers));
        assert_eq!(answer.status, status, "{headers:?}: {answer:?}");
        assert!(!answer.head.to_lowercase().contains("access-control-allow"), "{answer:?}");
    }
    let headers = borrowed(&good);
    for (body, status) in [
        (json!({ "order": "lock", "reason": "a test", "confirm": "kill" }), 400),
        (json!({ "order": "lock", "reason": "", "confirm": "lock" }), 400),
        (json!({ "order": "reload", "reason": "a test", "confirm": "reload" }), 400),
        (json!({ "order": "lock", "reason": "a test", "confirm": "lock", "type": "kill" }), 400),
        (json!([1, 2]), 400),
        (json!({ "order": "lock", "reason": "x".repeat(5000), "confirm": "lock" }), 413),
    ] {
        assert_eq!(place.order(&body, &headers).status, status, "{body}");
    }
    for method in ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"] {
        let answer = send(&place.host, method, "/api/order", &headers, b"");
        assert!(answer.status == 405 && !answer.head.contains("access-control"), "{method}: {answer:?}");
    }
    assert!(!is_locked(&place), "something locked");
}

#[test]
fn every_answer_forbids_what_is_not_of_this_page() {
    let place = Place::new();
    for path in ["/", "/assets/app.js", "/assets/uplot.js", "/api/models", "/metrics", "/healthz", "/nothing"] {
        let answer = get(&place.host, path);
        let head = answer.head.to_lowercase();
        assert!(answer.status == 200 || path == "/nothing", "{path}: {answer:?}");
        for header in [
            "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self'",
            "x-content-type-options: nosniff",
            "cross-origin-resource-policy: same-origin",
            "referrer-policy: no-referrer",
        ] {
            assert!(head.contains(header), "{path} lacks {header}: {head}");
        }
        assert!(!head.contains("unsafe") && !head.contains("set-cookie"), "{head}");
    }
    // a name that leads here from elsewhere, as a rebound one does, is not answered
    let rebound = send(&place.host, "GET", "/api/models", &[("Host", "evil.example")], b"");
    assert!(rebound.status == 421 && !rebound.body.contains("ES/1"), "{rebound:?}");
    let framed = send(&place.host, "GET", "/api/models", &[("Sec-Fetch-Site", "cross-site")], b"");
    assert!(framed.status == 403 && !framed.body.contains("ES/1"), "{framed:?}");
}

/// A seeded generator, the xorshift of Marsaglia.
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: u64) -> usize {
        usize::try_from(self.next() % end).unwrap()
    }

    fn bytes(&mut self, most: u64) -> Vec<u8> {
        let count = self.below(most);
        (0..count).map(|_| (self.next() >> 32) as u8).collect()
    }
}

/// A request that no browser sends.
fn hostile(draws: &mut Draws, host: &str) -> Vec<u8> {
    let head = |line: &str| format!("{line}\r\nHost: {host}\r\nConnection: close\r\n");
    let paths = [
        "/../../etc/passwd",
        "/assets/../main.rs",
        "/assets/%2e%2e/%2e%2e/etc/passwd",
        "//evil.example/",
        "/api/events?limit=99999999999999999999",
        "/api/events?before=-1&kind=%00",
        "/api/experiment?version=ES%2F1&version=x",
        "/api/experiment?version=%22%7D%0A%7B",
        "/live?x",
        "/%ff%fe",
        "/\u{202e}",
    ];
    match draws.below(12) {
        0 => draws.bytes(3000),
        1 => format!("{}\r\n", head(&format!("GET {} HTTP/1.1", paths[draws.below(paths.len() as u64)]))).into_bytes(),
        2 => format!("{}X: {}\r\n\r\n", head("GET / HTTP/1.1"), "a".repeat(draws.below(100_000))).into_bytes(),
        3 => format!("{}{}\r\n", head("GET / HTTP/1.1"), "X: y\r\n".repeat(draws.below(2000))).into_bytes(),
        4 => format!("{}Content-Length: -5\r\n\r\n", head("POST /api/order HTTP/1.1")).into_bytes(),
        5 => format!("{}Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nzz\r\n{{}}", head("POST /api/order HTTP/1.1")).into_bytes(),
        6 => {
            let body = draws.bytes(20_000);
            let headers = format!("Origin: http://{host}\r\nContent-Type: application/json\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: {}\r\n\r\n", body.len());
            [(head("POST /api/order HTTP/1.1") + &headers).into_bytes(), body].concat()
        }
        7 => {
            let depth = draws.below(2000);
            let body = "[".repeat(depth) + &"{\"order\":".repeat(3);
            let headers = format!("Origin: http://{host}\r\nContent-Type: application/json\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: {}\r\n\r\n", body.len());
            (head("POST /api/order HTTP/1.1") + &headers + &body).into_bytes()
        }
        8 => format!("GET {} HTTP/1.1\r\nHost: {host}\r\n\r\n", "/a".repeat(draws.below(60_000))).into_bytes(),
        9 => b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        10 => format!("{}Last-Event-ID: {}\r\n\r\n", head("HEAD /live HTTP/1.1"), draws.next()).into_bytes(),
        _ => format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nX: \u{0}\u{7f}\r\n\r\nGET /api/order HTTP/0.9\r\n\r\n").into_bytes(),
    }
}

#[test]
fn hostile_requests_change_nothing_and_the_page_goes_on() {
    let mut place = Place::new();
    let mut draws = Draws(20_261_128);
    for round in 0..long::cases(300, 3000) {
        let request = hostile(&mut draws, &place.host);
        let answer = common::http::raw(&place.host, &request);
        assert!(!answer.body.contains("root:") && !answer.head.contains(" 500 "), "{round}: {answer:?}");
        assert!(place.is_alive(), "{round}: {:?}", String::from_utf8_lossy(&request));
    }
    assert_eq!((get(&place.host, "/healthz").status, get(&place.host, "/readyz").status), (200, 200));
    assert!(!is_locked(&place), "something locked");
    let is_closed = || get(&place.host, "/metrics").body.contains("vigie_web_pages 0.0").then_some(());
    common::until("pages that are closed", is_closed);
}
