//! The gateway when something fails: the daemon frozen, killed, talking nonsense, and clients that are hostile or slow. A signal
//! is answered within its deadline, neutrally, and never with an HTTP error.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::UnixStream,
    thread,
    time::{Duration, Instant},
};

use common::{
    Answer, Place,
    gateway::{Fake, Gateway},
    get,
    http::{connect, raw},
    long, signal, until,
};
use serde_json::{Value, json};

/// What a busy machine may add to a deadline before a test calls it broken.
const SCHEDULING: Duration = Duration::from_millis(300);

#[expect(clippy::disallowed_methods, reason = "a deadline is measured")]
fn timed<T>(what: impl FnOnce() -> T) -> (T, Duration) {
    let begin = Instant::now();
    let done = what();
    (done, begin.elapsed())
}

fn assert_neutral(said: &Answer, reason: &str) {
    let body = said.json();
    assert_eq!(said.status, 200, "{said:?}");
    let neutral = json!([false, 7, "T-1", "baseline", 0.62, 0.5, 1.0, null, reason]);
    let fields = ["ok", "id", "trade_id", "arm", "confidence", "score", "size", "model", "reason"];
    assert_eq!(Value::from(fields.map(|name| body[name].clone()).to_vec()), neutral, "{said:?}");
    assert!(body["error"]["code"].is_string() && body["error"]["message"].is_string(), "{said:?}");
}

fn asked(deadline: Duration) -> Value {
    let mut body = signal("T-1");
    (body["id"], body["deadline_us"]) = (json!(7), json!(deadline.as_micros() as u64));
    body
}

/// The sound answer to a line, to be broken.
fn sound(line: &str) -> String {
    let request: Value = serde_json::from_str(line).unwrap();
    format!(
        r#"{{"ok":true,"id":{},"trade_id":{},"arm":"ml","confidence":0.685,"score":0.75,"size":1.5,"model":"ES/14","reason":"ab_test"}}"#,
        request["id"], request["trade_id"]
    )
}

fn fake(make: impl Fn(&str) -> Vec<u8> + Send + Clone + 'static) -> Fake {
    Fake::new(move |mut connection: BufReader<UnixStream>| {
        let mut line = String::new();
        while connection.read_line(&mut line).is_ok_and(|count| count > 0) {
            let _may_be_closed = connection.get_mut().write_all(&make(&line));
            line.clear();
        }
    })
}

#[test]
fn a_daemon_that_is_frozen_killed_or_away_costs_no_more_than_the_deadline() {
    let mut place = Place::new();
    let gateway = Gateway::new(&place.socket());
    let long = Duration::from_secs(10);
    assert_eq!(gateway.ask(0, "/v1/score", &asked(long)).json()["arm"], "ml");
    place.signal_daemon("STOP");
    for deadline in [50, 5, 200].map(Duration::from_millis) {
        let (said, took) = timed(|| gateway.ask(0, "/v1/score", &asked(deadline)));
        assert_neutral(&said, "deadline");
        assert!(took < deadline + SCHEDULING, "{took:?}");
    }
    place.signal_daemon("CONT");
    place.signal_daemon("KILL");
    place.stop_daemon();
    for _ in 0..20 {
        let (said, took) = timed(|| gateway.ask(0, "/v1/score", &asked(long)));
        assert_neutral(&said, "unreachable");
        assert!(took < SCHEDULING, "{took:?}");
    }
    let outcome = json!({ "trade_id": "T-1", "outcome_metrics": { "exit_at": "2026-11-02T15:40:00Z", "pnl": 1, "exit_reason": "time" } });
    let said = gateway.ask(0, "/v1/outcome", &outcome);
    assert!(said.status == 503 && said.json()["error"]["code"] == "unreachable", "{said:?}");
    assert!(gateway.log().contains("no answer"), "{}", gateway.log());
    place.start_daemon();
    // a connection that is new to the daemon may have waited, so it may count as late
    until("an answer after the restart", || {
        (gateway.ask(0, "/v1/score", &asked(long)).json()["ok"] == true).then_some(())
    });
    assert!(gateway.log().contains("answers again"), "{}", gateway.log());
}

#[test]
fn a_daemon_that_is_killed_in_the_middle_of_an_answer_is_neutral() {
    for count in [0, 1, 40] {
        let fake = Fake::new(move |mut connection: BufReader<UnixStream>| {
            let mut line = String::new();
            connection.read_line(&mut line).unwrap();
            connection.get_mut().write_all(&sound(&line).as_bytes()[..count]).unwrap();
        });
        let gateway = Gateway::new(&fake.socket);
        let (said, took) = timed(|| gateway.ask(0, "/v1/score", &asked(Duration::from_secs(10))));
        assert_neutral(&said, "unreachable");
        assert!(took < SCHEDULING, "{took:?}");
    }
    // one that holds on to the half
    let fake = fake(|line| sound(line).as_bytes()[..40].to_vec());
    let gateway = Gateway::new(&fake.socket);
    let (said, took) = timed(|| gateway.ask(0, "/v1/score", &asked(Duration::from_millis(50))));
    assert_neutral(&said, "deadline");
    assert!(took < Duration::from_millis(50) + SCHEDULING, "{took:?}");
}

/// Makes an answer of a line.
type Make = Box<dyn Fn(&str) -> Vec<u8> + Send + Sync>;

#[test]
fn what_makes_no_sense_is_neutral() {
    let swap = |old: &'static str, new: &'static str| move |line: &str| sound(line).replace(old, new).into_bytes();
    let with = |make: Make| make;
    let broken: Vec<Make> = vec![
        with(Box::new(|_| b"\x00\xff garbage".to_vec())),
        with(Box::new(|_| b"[1]".to_vec())),
        with(Box::new(|_| b"".to_vec())),
        with(Box::new(|line| (sound(line) + "{}").into_bytes())),
        with(Box::new(|_| b"[".repeat(60_000))),
        with(Box::new(|_| b"x".repeat(2 << 20))),
        with(Box::new(|line| sound(line).replace("ab_test", "\u{0}").into_bytes())),
        with(Box::new(|line| {
            sound(line).into_bytes().iter().map(|byte| if *byte == b'_' { 0xc3 } else { *byte }).collect()
        })),
        with(Box::new(swap("}", ""))),
        with(Box::new(swap("ab_test", "\\ud800"))),
        with(Box::new(swap("\"size\":1.5", "\"size\":NaN"))),
        with(Box::new(swap("\"size\":1.5", "\"size\":1e999"))),
        with(Box::new(swap("\"size\":1.5", "\"size\":-1"))),
        with(Box::new(swap("\"size\":1.5", "\"size\":10.5"))),
        with(Box::new(swap("\"size\":1.5", "\"size\":\"1\""))),
        with(Box::new(swap("\"size\":1.5", "\"size\":1.5,\"size\":2"))),
        with(Box::new(swap("\"size\":1.5", "\"size\":1.5,\"siz\\u0065\":2"))),
        with(Box::new(swap(",\"size\":1.5", ""))),
        with(Box::new(swap("0.685", "2"))),
        with(Box::new(swap("0.685", "null"))),
        with(Box::new(swap("0.75", "true"))),
        with(Box::new(swap("\"ml\"", "\"both\""))),
        with(Box::new(swap("\"ES/14\"", "14"))),
        with(Box::new(swap("T-1", "T-2"))),
        with(Box::new(swap(",\"reason\":\"ab_test\"", ""))),
        with(Box::new(swap("\"id\":", "\"id\":1"))),
        with(Box::new(swap("\"id\":", "\"di\":"))),
        with(Box::new(swap("true", "false"))),
    ];
    for (number, make) in broken.into_iter().enumerate() {
        let make = std::sync::Arc::new(make);
        let fake = fake(move |line| [make(line), b"\n".to_vec()].concat());
        let gateway = Gateway::new(&fake.socket);
        let said = gateway.ask(0, "/v1/score", &asked(Duration::from_secs(10)));
        assert_neutral(&said, "unreachable");
        assert!(!said.body.contains("1.5") && !said.body.contains("T-2"), "{number}: {said:?}");
    }
}

#[test]
fn a_refusal_comes_through_and_one_of_the_gateway_itself_has_no_id() {
    let refused = fake(|line| {
        let sound =
            sound(line).replace("true", "false").replace("}", r#","error":{"code":"busy","message":"m","field":"f"}}"#);
        (sound + "\n").into_bytes()
    });
    let said = Gateway::new(&refused.socket).ask(0, "/v1/score", &asked(Duration::from_secs(10)));
    // it refuses and has a size all the same: only the refusal is believed
    assert_neutral(&said, "ab_test");
    assert_eq!(said.json()["error"], json!({ "code": "busy", "message": "m", "field": "f" }));
    let away = fake(|_| {
        b"{\"ok\":false,\"error\":{\"code\":\"forbidden\",\"message\":\"uid 4321\",\"field\":null}}\n".to_vec()
    });
    let said = Gateway::new(&away.socket).ask(0, "/v1/score", &asked(Duration::from_secs(10)));
    assert!(said.status == 200 && said.json()["size"] == 1.0 && said.json()["confidence"] == 0.62, "{said:?}");
    assert!(said.json().get("id").is_none() && said.json()["error"]["code"] == "forbidden", "{said:?}");
    assert!(!said.body.contains("4321"), "{said:?}");
}

#[test]
fn only_what_is_on_disk_is_acknowledged() {
    let outcome = json!({ "trade_id": "T-1", "outcome_metrics": { "exit_at": "2026-11-02T15:40:00Z", "pnl": 1, "exit_reason": "time" } });
    for (answer, status) in [
        (r#"{"ok":true,"id":ID,"trade_id":"T-1","durable":true}"#, 200),
        (r#"{"ok":true,"id":ID,"trade_id":"T-1","duplicate":true}"#, 200),
        (r#"{"ok":true,"id":ID,"trade_id":"T-1","durable":false}"#, 502),
        (r#"{"ok":true,"id":ID,"trade_id":"T-1","durable":"true"}"#, 502),
        (r#"{"ok":true,"id":ID,"trade_id":"T-2","durable":true}"#, 502),
        (r#"{"ok":true,"id":99,"trade_id":"T-1","durable":true}"#, 502),
        (r#"{"ok":true,"trade_id":"T-1","durable":true}"#, 502),
        (r#"{"ok":true,"id":ID}"#, 502),
        ("nonsense", 502),
        (r#"{"ok":false,"id":ID,"error":{"code":"retry","message":"m"}}"#, 503),
        (r#"{"ok":false,"id":ID,"error":{"code":"conflict","message":"m"}}"#, 409),
        (r#"{"ok":false,"error":{"code":"forbidden","message":"m"}}"#, 503),
    ] {
        let fake = fake(move |line| {
            let request: Value = serde_json::from_str(line).unwrap();
            (answer.replace("ID", &request["id"].to_string()) + "\n").into_bytes()
        });
        let said = Gateway::new(&fake.socket).ask(0, "/v1/outcome", &outcome);
        assert_eq!((said.status, said.json()["ok"] == true), (status, status == 200), "{answer}: {said:?}");
    }
}

#[test]
fn an_answer_is_never_that_of_another_request() {
    // the first answer comes after its deadline, and it is the very one that the second request waits for
    let fake = Fake::new(|mut connection: BufReader<UnixStream>| {
        let mut line = String::new();
        connection.read_line(&mut line).unwrap();
        let request: Value = serde_json::from_str(&line).unwrap();
        let next = line
            .replace(&format!("\"id\":{}", request["id"]), &format!("\"id\":{}", request["id"].as_u64().unwrap() + 1));
        let unasked = sound(&next).replace("1.5", "9.0");
        // what is told beside the answer is nobody's
        let _may_be_closed = connection.get_mut().write_all(format!("{}\n{unasked}\n", sound(&line)).as_bytes());
        let _end = connection.read_line(&mut line);
    });
    let gateway = Gateway::new(&fake.socket);
    for _ in 0..3 {
        assert_eq!(gateway.ask(0, "/v1/score", &asked(Duration::from_secs(10))).json()["size"], 1.5);
    }
}

#[test]
fn a_trader_who_asks_too_much_at_once_hinders_nobody_else() {
    let fake = fake(|line| if line.contains("\"two-") { (sound(line) + "\n").into_bytes() } else { Vec::new() });
    let traders: [&[&str]; 2] = [&["one", "--prefix", "one-"], &["two", "--prefix", "two-"]];
    let gateway = Gateway::of(&fake.socket, &traders, &["--deadline-ms", "3000"]);
    thread::scope(|scope| {
        let (sent, received) = std::sync::mpsc::channel();
        for number in 0..12 {
            let (gateway, sent) = (&gateway, sent.clone());
            scope.spawn(move || {
                sent.send(gateway.ask(0, "/v1/score", &signal(&format!("one-{number}"))).json()).unwrap()
            });
        }
        // those for whom there is no room hear it at once
        let first: Vec<Value> = (0..4).map(|_| received.recv().unwrap()).collect();
        assert!(first.iter().all(|said| said["error"]["code"] == "busy" && said["size"] == 1.0), "{first:?}");
        let (said, took) = timed(|| gateway.ask(1, "/v1/score", &signal("two-1")));
        assert!(said.json()["size"] == 1.5 && took < SCHEDULING, "{took:?} {said:?}");
        let last: Vec<Value> = (0..8).map(|_| received.recv().unwrap()).collect();
        assert!(last.iter().all(|said| said["reason"] == "deadline"), "{last:?}");
    });
}

#[test]
fn bodies_and_connections_are_bounded_and_the_slow_are_cut() {
    let fake = fake(|line| (sound(line) + "\n").into_bytes());
    let gateway = Gateway::new(&fake.socket);
    let bearer = gateway.bearer(0);
    let mut body = signal("T-1");
    body["note"] = json!("");
    body["note"] = json!("x".repeat(65_400 - body.to_string().len()));
    assert_eq!(gateway.ask(0, "/v1/score", &body).json()["ok"], true);
    body["note"] = json!(body["note"].as_str().unwrap().to_owned() + &"x".repeat(136));
    assert_eq!(gateway.ask(0, "/v1/score", &body).json()["error"]["code"], "line_too_long");
    body["note"] = json!("x".repeat(70_000));
    let said = gateway.ask(0, "/v1/score", &body);
    assert!(
        said.status == 200 && said.json()["size"] == 1.0 && said.json()["error"]["code"] == "line_too_long",
        "{said:?}"
    );
    assert_eq!(gateway.ask(0, "/v1/outcome", &body).status, 413);
    // chunks without end
    let head = |length: &str| {
        format!("POST /v1/score HTTP/1.1\r\nHost: {}\r\nAuthorization: {bearer}\r\n{length}\r\n\r\n", gateway.host)
    };
    let chunks = head("Transfer-Encoding: chunked") + &format!("4000\r\n{}\r\n", "x".repeat(0x4000)).repeat(50);
    let said = raw(&gateway.host, chunks.as_bytes());
    assert!(said.status == 200 && said.json()["error"]["code"] == "line_too_long", "{said:?}");
    // one that begins and goes no further, once in its head and once in its body, and one that says nothing
    let begun: Vec<_> = ["POST /v1/score HTTP/1.1\r\nHo", &(head("Content-Length: 500") + "{\"trade_id\""), ""]
        .into_iter()
        .map(|text| {
            let mut stream = connect(&gateway.host);
            stream.write_all(text.as_bytes()).unwrap();
            stream
        })
        .collect();
    let (answers, took) = timed(|| {
        begun
            .into_iter()
            .map(|mut stream| {
                let mut answer = Vec::new();
                let _may_be_reset = stream.read_to_end(&mut answer);
                String::from_utf8(answer).unwrap()
            })
            .collect::<Vec<_>>()
    });
    assert!(took < Duration::from_secs(25), "{took:?}");
    assert!(answers[1].starts_with("HTTP/1.1 200") && answers[1].contains("\"reason\":\"deadline\""), "{answers:?}");
    // who holds connections and shows no token keeps nobody waiting, and no descriptor stays
    let idle: Vec<_> = (0..64).map(|_| connect(&gateway.host)).collect();
    let (said, took) = timed(|| gateway.ask(0, "/v1/score", &signal("T-1")));
    assert!(said.json()["ok"] == true && took < Duration::from_secs(3), "{took:?} {said:?}");
    let open = fs::read_dir(format!("/proc/{}/fd", gateway.id())).unwrap().count();
    assert!(open < 64 + 16 + 24, "{open} descriptors");
    drop(idle);
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

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        let count = self.below(most);
        (0..count).map(|_| (self.next() >> 32) as u8).collect()
    }
}

/// A request that no client sends. With `bearer` it is one of a trader who went mad.
fn hostile(draws: &mut Draws, host: &str, bearer: &str) -> Vec<u8> {
    let methods = ["GET", "POST", "PUT", "TRACE", "CONNECT", "post", "OPTIONS", "PRI", "\u{e9}", "POST POST"];
    let kinds = [
        "score",
        "outcome",
        "skip",
        "status",
        "ping",
        "lock",
        "kill",
        "subscribe",
        "%2e%2e/lock",
        "score?type=kill",
        "score#x",
    ];
    let path = format!("/v1/{}", kinds[draws.below(kinds.len())]);
    let head = |method: &str, path: &str| format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
    let with = |body: &[u8]| {
        let headers = format!("Authorization: {bearer}\r\nContent-Length: {}\r\n\r\n", body.len());
        [(head("POST", &path) + &headers).into_bytes(), body.to_vec()].concat()
    };
    let order = r#"{"type":"kill","reason":"x"}"#;
    match draws.below(16) {
        0 => draws.bytes(3000),
        1 => format!("{}\r\n", head(methods[draws.below(methods.len())], &path)).into_bytes(),
        2 => format!("{}X: {}\r\n\r\n", head("POST", &path), "a".repeat(draws.below(100_000))).into_bytes(),
        3 => format!("{}{}\r\n", head("POST", &path), "X: y\r\n".repeat(draws.below(2000))).into_bytes(),
        4 => format!("{}Content-Length: -5\r\n\r\n{order}", head("POST", &path)).into_bytes(),
        5 => format!(
            "{}Authorization: {bearer}\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nzz\r\n{order}",
            head("POST", &path)
        )
        .into_bytes(),
        6 => format!(
            "{}Authorization: {bearer}\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n{order}",
            head("POST", &path)
        )
        .into_bytes(),
        7 => with(&draws.bytes(20_000)),
        8 => with(&[&b"[{\"a\":".repeat(draws.below(9000))[..], b"\xff\xc0\xaf"].concat()),
        9 => with(format!("{order}\n{order}\r\n{order}").as_bytes()),
        10 => with(format!("{{\"type\":\"score\",\"x\":\"\u{2028}\u{0}\",{}", &order[1..]).as_bytes()),
        // a second request hidden behind the first, and in the body of the first
        11 => [with(order.as_bytes()), with(order.as_bytes()), with(b"{}")].concat(),
        12 => with(format!("0\r\n\r\nPOST /v1/kill HTTP/1.1\r\nHost: {host}\r\n\r\n{order}").as_bytes()),
        13 => {
            format!("POST http://evil.example{path} HTTP/1.1\r\nHost: evil.example\r\nAuthorization: {bearer}\r\n\r\n")
                .into_bytes()
        }
        14 => format!("POST {path} HTTP/1.0\r\nAuthorization: {bearer}\r\n\r\n").into_bytes(),
        _ => format!(
            "{}Authorization: {bearer}\r\nExpect: 100-continue\r\nUpgrade: h2c\r\nContent-Length: 10\r\n\r\n",
            head("POST", &path)
        )
        .into_bytes(),
    }
}

#[test]
fn hostile_requests_change_nothing_tell_nothing_and_the_gateway_goes_on() {
    let place = Place::new();
    let traders: [&[&str]; 2] = [&["one", "--prefix", "one-"], &["two", "--prefix", "two-"]];
    let mut gateway = Gateway::of(&place.socket(), &traders, &["--deadline-ms", "10000"]);
    assert_eq!(gateway.ask(0, "/v1/score", &signal("one-1")).json()["arm"], "ml");
    let counts = || place.ask(&json!({ "type": "status" }))["status"]["counts"].take();
    let before = counts();
    let mut draws = Draws(20_261_129);
    for round in 0..long::cases(400, 4000) {
        let bearer = if draws.below(2) == 0 { gateway.bearer(1) } else { "Bearer 0123".to_owned() };
        let request = hostile(&mut draws, &gateway.host, &bearer);
        let said = raw(&gateway.host, &request);
        let whole = format!("{} {}", said.head, said.body);
        assert!(!whole.contains(" 500 ") && !whole.contains("one-"), "{round}: {said:?}");
        assert!(!whole.contains(&gateway.tokens[0]) && !whole.contains(&gateway.tokens[1]), "{round}: {said:?}");
        assert!(gateway.is_alive(), "{round}: {:?}", String::from_utf8_lossy(&request));
    }
    assert_eq!(get(&gateway.host, "/healthz").status, 200);
    assert_eq!(gateway.ask(0, "/v1/score", &signal("one-2")).json()["arm"], "ml");
    let status = place.ask(&json!({ "type": "status" }));
    assert!(status["status"]["guardian"]["lock"].is_null(), "{status}");
    let mut after = counts();
    for (name, more) in [("signals", 1), ("decisions", 1)] {
        assert_eq!(after[name].as_u64(), before[name].as_u64().map(|count| count + more), "{name}");
        after[name] = before[name].clone();
    }
    assert_eq!(after, before, "something was recorded");
}
