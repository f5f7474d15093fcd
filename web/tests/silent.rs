//! Connections that show no token keep nobody out: not a trader, not a page that is open, not who gives an order.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use common::{
    TOKEN,
    gateway::Gateway,
    get,
    http::{Live, connect, send},
    signal, until,
};

/// More than there are places of any kind.
const MANY: usize = 300;
/// What a busy machine may need; a place that is held by silence is free after 10 s.
const SOON: Duration = Duration::from_secs(3);

/// Connections that say nothing, begin a head, or show a wrong token and keep the connection.
fn strangers(host: &str, path: &str) -> Vec<TcpStream> {
    let wrong = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer wrong\r\n\r\n");
    let texts = ["", "POST /v1/score HTTP/1.1\r\nHo", &wrong];
    let open = |number: usize| {
        let mut stream = connect(host);
        // one that gave way may be closed already
        let _may_be_closed = stream.write_all(texts[number % texts.len()].as_bytes());
        stream
    };
    (0..MANY).map(open).collect()
}

#[expect(clippy::disallowed_methods, reason = "how long the next one waits is what is tested")]
fn soon<T>(what: &str, act: impl FnOnce() -> T) -> T {
    let begin = Instant::now();
    let done = act();
    assert!(begin.elapsed() < SOON, "{what}: {:?}", begin.elapsed());
    done
}

/// The trader's own connection, which asks again and again.
fn ask(stream: &mut TcpStream, host: &str, bearer: &str) -> String {
    let body = signal("T-1").to_string();
    let head = format!("POST /v1/score HTTP/1.1\r\nHost: {host}\r\nAuthorization: {bearer}\r\n");
    stream.write_all(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes()).unwrap();
    let mut reader = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    while !head.ends_with("\r\n\r\n") {
        let mut line = String::new();
        assert!(reader.read_line(&mut line).unwrap() > 0, "closed after {head:?}");
        if let Some(count) = line.to_lowercase().strip_prefix("content-length: ") {
            length = count.trim().parse().unwrap();
        }
        head += &line;
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    head + &String::from_utf8(body).unwrap()
}

fn descriptors(id: u32) -> usize {
    fs::read_dir(format!("/proc/{id}/fd")).unwrap().count()
}

#[test]
fn a_trader_is_answered_while_strangers_hold_connections() {
    let gateway = Gateway::new(Path::new("/nowhere/vigie.sock"));
    let (host, bearer) = (&gateway.host, gateway.bearer(0));
    let mut own = connect(host);
    assert!(ask(&mut own, host, &bearer).contains("unreachable"));
    let held = strangers(host, "/v1/status");
    for number in 0..5 {
        let said = soon("a new connection", || gateway.ask(0, "/v1/score", &signal("T-1")));
        assert_eq!((said.status, &said.json()["confidence"]), (200, &0.62.into()), "{said:?}");
        let again = soon("a connection of before", || ask(&mut own, host, &bearer));
        assert!(again.contains("unreachable"), "{number}: {again}");
    }
    let open = descriptors(gateway.id());
    assert!((64..64 + 64 + 24).contains(&open), "{open} descriptors");
    drop(held);
}

#[test]
fn of_the_connections_with_a_token_those_beyond_the_limit_are_answered_and_closed() {
    let gateway = Gateway::new(Path::new("/nowhere/vigie.sock"));
    let (host, bearer) = (&gateway.host, gateway.bearer(0));
    let (mut kept, closing): (Vec<_>, Vec<_>) = (0..70)
        .map(|_| {
            let mut stream = connect(host);
            let said = soon("a trader", || ask(&mut stream, host, &bearer));
            (stream, said.to_lowercase().contains("connection: close"))
        })
        .unzip();
    assert_eq!(closing.iter().filter(|is_last| !**is_last).count(), 64, "{closing:?}");
    assert!(ask(&mut kept[0], host, &bearer).contains("unreachable"));
    // one that leaves makes room for another
    drop(kept.remove(1));
    let room = |_| {
        let mut stream = connect(host);
        let is_kept = !ask(&mut stream, host, &bearer).to_lowercase().contains("connection: close");
        is_kept.then_some(stream)
    };
    assert!((0..100).find_map(room).is_some());
}

/// `vigie-web` for a daemon that is not there.
struct Page {
    child: Child,
    host: String,
    _folder: tempfile::TempDir,
}

impl Page {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_vigie-web"));
        command.args(["--listen", "127.0.0.1:0", "--socket", "/nowhere/vigie.sock"]).env("VIGIE_WEB_TOKEN", TOKEN);
        let mut child = command.current_dir(folder.path()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let host = line.split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned();
        Self { child, host, _folder: folder }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _status = self.child.wait();
    }
}

#[test]
fn a_page_opens_stays_open_and_gives_orders_while_strangers_hold_connections() {
    let page = Page::new();
    let host = &page.host;
    let mut live = Live::open(host, None);
    assert_eq!(live.next().name, "snapshot");
    let held = strangers(host, "/metrics");
    for _ in 0..5 {
        assert_eq!(soon("a page", || get(host, "/")).status, 200);
        let origin = format!("http://{host}");
        let bearer = format!("Bearer {TOKEN}");
        let headers = [("Origin", &*origin), ("Content-Type", "application/json"), ("Authorization", &*bearer)];
        let body = br#"{"order":"kill","reason":"a test","confirm":"kill"}"#;
        let said = soon("an order", || send(host, "POST", "/api/order", &headers, body));
        // the daemon is not there, and that is what the answer says
        assert!(said.status >= 500 && said.body.contains("error"), "{said:?}");
        assert!(!live.next_of("heartbeat").name.is_empty());
    }
    let open = descriptors(page.child.id());
    assert!((64..64 + 64 + 24).contains(&open), "{open} descriptors");
    drop(held);
}

#[test]
fn readers_that_hold_all_streams_keep_no_page_out() {
    let page = Page::new();
    let host = &page.host;
    let mut first = Live::open(host, None);
    assert_eq!(first.next().name, "snapshot");
    let held: Vec<Live> = (0..60).map(|_| Live::open(host, None)).collect();
    let mut opened = Live::open(host, None);
    assert_eq!(soon("a page", || opened.next()).name, "snapshot");
    until("the newest 48", || get(host, "/metrics").body.contains("vigie_web_pages 48.0").then_some(()));
    assert!(soon("an end", || first.has_ended()), "the one that was opened first gave way");
    drop(held);
}
