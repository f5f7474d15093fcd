//! The protocol over HTTP, for traders who cannot open the daemon's socket. See `docs/gateway.md`.
//!
//! A signal is always answered with a decision: the daemon's, or the neutral one within the deadline. It must never pass on what it
//! did not understand, say anything of one trader to another, or send the daemon what is no trader's.

mod check;
mod fields;
mod pool;
mod request;
mod traders;

use std::{
    io::{self, Write as _},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, header, request::Parts},
    response::{IntoResponse as _, Response},
};
use futures_util::StreamExt as _;
use tokio::time::timeout;

pub use self::traders::{NAMED, is_name};
use self::{
    check::{Said, check},
    pool::Pool,
    request::{Asked, Fault, Kind},
    traders::{Trader, Traders, make},
};
use crate::{
    clock::Stopwatch,
    options,
    places::{Most, Seat},
    server,
    wire::PATIENCE,
};

/// Open connections; one that has shown a token is kept.
const CONNECTIONS: Most = Most { strangers: 64, kept: 64 };
/// Connections to the daemon for signals, and for everything else.
const TO_THE_DAEMON: [usize; 2] = [16, 8];
/// Bytes that a body may have, as a line of the daemon's.
const BODY: usize = 64 << 10;
/// How long a body may take.
const BODY_TIME: Duration = Duration::from_secs(5);
/// The most that is kept of a deadline for the way back.
const WAY_BACK: Duration = Duration::from_millis(2);

/// What all requests share.
#[derive(Debug)]
struct Gate {
    /// Under which names this process is asked, without a port, and with one if the proxy has it.
    hosts: Vec<String>,
    traders: Traders,
    signals: Pool,
    records: Pool,
    deadline: Duration,
    last_id: AtomicU64,
    /// Why the daemon does not answer, when that was written to the log.
    silence: Mutex<Option<String>>,
}

/// How a request ended that is not answered by the daemon.
struct Refusal {
    status: StatusCode,
    /// Of a decision.
    reason: String,
    code: String,
    field: Option<String>,
    message: String,
}

/// Makes the token of a trader and prints it.
///
/// # Errors
/// When it cannot be made.
pub fn make_token(options: &options::Trader) -> anyhow::Result<()> {
    let folder = options.traders();
    let token = make(&folder, &options.name, options.prefix.as_deref(), &options.symbols, options.replace)?;
    let mut out = io::stdout().lock();
    writeln!(out, "{token}")?;
    writeln!(io::stderr(), "vigie web: the token of {} is shown this once; restart the gateway", options.name)?;
    Ok(())
}

/// Serves for ever.
///
/// # Errors
/// When the address or the tokens cannot be used.
pub async fn run(options: &options::Gateway) -> anyhow::Result<()> {
    let traders = Traders::load(&options.traders())?;
    let listener = server::listen(options.listen);
    let listener = listener.with_context(|| format!("{} cannot be listened on", options.listen))?;
    let address = listener.local_addr()?;
    let mut hosts: Vec<String> = ["127.0.0.1", "localhost", "[::1]"].map(str::to_owned).into();
    hosts.extend(options.behind.clone());
    if address.is_ipv4() {
        hosts.push(address.ip().to_string());
    }
    let socket = options.socket();
    writeln!(
        io::stdout(),
        "vigie web: http://{address}/v1/ is the gateway to {}, for {}",
        socket.display(),
        traders.names()
    )?;
    let [signals, records] = TO_THE_DAEMON.map(|most| Pool::new(socket.clone(), most));
    let deadline = Duration::from_millis(options.deadline_ms);
    let (last_id, silence) = (AtomicU64::new(0), Mutex::default());
    let gate = Gate { hosts, traders, signals, records, deadline, last_id, silence };
    let routes = Router::new().fallback(handle).with_state(Arc::new(gate));
    server::serve(listener, routes, CONNECTIONS).await;
    Ok(())
}

async fn handle(State(gate): State<Arc<Gate>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    if parts.uri.path() == "/healthz" && parts.method == Method::GET {
        return "ok\n".into_response();
    }
    let kind = Kind::of(parts.uri.path());
    // who posts a signal reads a decision, whatever is wrong
    let is_signal = kind == Some(Kind::Score) && parts.method == Method::POST;
    let mut asked = Asked::default();
    let admitted = gate.admit(&parts, kind);
    let is_last = admitted.is_ok() && parts.extensions.get::<Arc<Seat>>().is_some_and(|seat| !seat.keep());
    let answer = match (admitted, kind) {
        (Ok(trader), Some(kind)) => gate.serve(kind, trader, body, &mut asked).await,
        (admitted, _) => {
            // whatever is answered may be read as a decision, with the strategy's own confidence
            if parts.method == Method::POST && kind.is_none_or(|kind| kind == Kind::Score) {
                asked = Asked::before_fault(&read(body).await.0);
            }
            let nothing = || refusal(StatusCode::NOT_FOUND, "not_found", "there is nothing under this path");
            Err(admitted.err().unwrap_or_else(nothing))
        }
    };
    let (status, text) = match answer {
        Ok(text) => (StatusCode::OK, text),
        Err(Refusal { status, reason, code, field, message }) => {
            let status = if is_signal { StatusCode::OK } else { status };
            let text = match kind {
                Some(Kind::Score) | None => asked.neutral(&reason, &code, field.as_deref(), &message),
                Some(_) => asked.refusal(&code, field.as_deref(), &message),
            };
            (status, text)
        }
    };
    let mut response = (status, text).into_response();
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if is_last {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

impl Gate {
    /// Who asks, if the head of the request is in order.
    fn admit(&self, parts: &Parts, kind: Option<Kind>) -> Result<&Trader, Refusal> {
        let no = |status, code, message| Err(refusal(status, code, message));
        let all = |name: header::HeaderName| parts.headers.get_all(name).iter().collect::<Vec<_>>();
        let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_owned();
        let is_own = |host: &str| {
            let name = host.rsplit_once(':').filter(|(_, port)| port.chars().all(|c| c.is_ascii_digit()));
            self.hosts.iter().any(|own| own == host || name.is_some_and(|(name, _)| own == name))
        };
        if !matches!(all(header::HOST).as_slice(), [host] if is_own(&text(host).to_ascii_lowercase())) {
            return no(
                StatusCode::MISDIRECTED_REQUEST,
                "forbidden",
                "the name in the header Host is not one of this gateway",
            );
        }
        if ["origin", "sec-fetch-site"].iter().any(|name| parts.headers.contains_key(*name)) {
            return no(StatusCode::FORBIDDEN, "forbidden", "no page in a browser has business here");
        }
        if kind.is_some() {
            let may_get = kind.is_some_and(|kind| !kind.is_of_trade());
            if parts.method != Method::POST && !(may_get && parts.method == Method::GET) {
                return no(StatusCode::METHOD_NOT_ALLOWED, "method", "a signal, an outcome and a skip are posted");
            }
            if parts.uri.query().is_some() {
                return no(
                    StatusCode::BAD_REQUEST,
                    "query",
                    "everything stands in the body, and the token in a header",
                );
            }
        }
        let given = all(header::AUTHORIZATION);
        let token = match given.as_slice() {
            [value] => text(value).strip_prefix("Bearer ").map(str::to_owned),
            _ => None,
        };
        let trader = token.and_then(|token| self.traders.of(&token));
        trader.ok_or_else(|| refusal(StatusCode::UNAUTHORIZED, "unauthorized", "the token is missing or wrong"))
    }

    /// The answer to a request of `trader`. What could be read of it is put into `asked`.
    async fn serve(&self, kind: Kind, trader: &Trader, body: Body, asked: &mut Asked) -> Result<String, Refusal> {
        let body = match read(body).await {
            (body, Ok(())) => body,
            (begin, Err(refusal)) => {
                *asked = Asked::before_fault(&begin);
                return Err(refusal);
            }
        };
        // as on the socket: from the moment at which all of it is here
        let arrived = Stopwatch::start();
        let (read, fault) = Asked::read(kind, &body, trader);
        *asked = read;
        if let Err(Fault { code, field, message }) = fault {
            let field = field.map(str::to_owned);
            return Err(Refusal {
                status: status_of(code),
                reason: "invalid_request".into(),
                code: code.into(),
                field,
                message,
            });
        }
        let [for_signals, for_records] = &trader.room;
        let is_signal = kind == Kind::Score;
        let Ok(_place) = (if is_signal { for_signals } else { for_records }).try_acquire() else {
            let what = "too many requests of this trader are under way";
            return Err(refusal(StatusCode::SERVICE_UNAVAILABLE, "busy", what));
        };
        let own = asked.deadline_us.map(Duration::from_micros).unwrap_or(self.deadline);
        let limit = if is_signal { own } else { PATIENCE };
        let way_back = WAY_BACK.min(limit / 4);
        let left = limit.saturating_sub(way_back).saturating_sub(arrived.elapsed());
        if left.is_zero() {
            return Err(late("no answer in time"));
        }
        // the daemon gives up first, and says so
        let for_daemon = left.saturating_sub(way_back / 2).as_micros();
        let for_daemon = u64::try_from(for_daemon).ok().filter(|_| is_signal);
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        let line = asked.line(kind, id, for_daemon);
        if line.len() > BODY + 1 {
            let what = "with its type, id and deadline the line has more than 65536 bytes";
            return Err(refusal(StatusCode::PAYLOAD_TOO_LARGE, "line_too_long", what));
        }
        let pool = if is_signal { &self.signals } else { &self.records };
        let (answer, connection) = match timeout(left, pool.ask(&line)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                self.note(Some(error.to_string()));
                let what = format!("no daemon answers: {error}");
                return Err(refusal(StatusCode::SERVICE_UNAVAILABLE, "unreachable", &what));
            }
            Err(_) => {
                self.note(Some("it is late".to_owned()));
                return Err(late("no answer in time"));
            }
        };
        let said = check(&answer, kind, id, asked, trader).map_err(|why| {
            self.note(Some(format!("it makes no sense: {why}")));
            let what = format!("the daemon's answer makes no sense: {why}");
            refusal(StatusCode::BAD_GATEWAY, "unreachable", &what)
        })?;
        if !matches!(said, Said::TurnedAway(_)) {
            pool.keep(connection);
            self.note(None);
        }
        match said {
            Said::Answer(text) => Ok(text),
            Said::Refused { code, message, field, reason } => {
                let usual = if is_temporary(&code) { "unreachable" } else { "invalid_request" };
                let reason = reason.unwrap_or_else(|| usual.to_owned());
                Err(Refusal { status: status_of(&code), reason, code, field, message })
            }
            Said::TurnedAway(code) => {
                self.note(Some(format!("it takes no request of this user: {code}")));
                // without the id, so that the clients ask ever more rarely
                asked.id = None;
                Err(refusal(StatusCode::SERVICE_UNAVAILABLE, &code, "the daemon takes no request of the gateway"))
            }
        }
    }

    /// Writes to the log when the daemon falls silent, and when it answers again.
    fn note(&self, silence: Option<String>) {
        let Ok(mut known) = self.silence.lock() else { return };
        if *known == silence {
            return;
        }
        let mut log = io::stderr().lock();
        let _nobody_listens = match &silence {
            Some(why) => writeln!(log, "vigie web: the daemon gave no answer to a trader: {why}"),
            None => writeln!(log, "vigie web: the daemon answers again"),
        };
        *known = silence;
    }
}

/// A body, or its beginning and why it is no more.
async fn read(body: Body) -> (Vec<u8>, Result<(), Refusal>) {
    let (mut bytes, mut parts) = (Vec::new(), body.into_data_stream());
    let all = async {
        while let Some(part) = parts.next().await {
            bytes.extend_from_slice(&part.map_err(drop)?);
            if bytes.len() > BODY {
                return Err(());
            }
        }
        Ok(())
    };
    let result = match timeout(BODY_TIME, all).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(())) => {
            let what = "the body has more than 65536 bytes, or breaks off";
            Err(refusal(StatusCode::PAYLOAD_TOO_LARGE, "line_too_long", what))
        }
        Err(_) => Err(late("the body did not come within 5 s")),
    };
    (bytes, result)
}

fn refusal(status: StatusCode, code: &str, message: &str) -> Refusal {
    let (reason, code, message) = ("unreachable".to_owned(), code.to_owned(), message.to_owned());
    Refusal { status, reason, code, field: None, message }
}

fn late(message: &str) -> Refusal {
    Refusal { reason: "deadline".to_owned(), ..refusal(StatusCode::GATEWAY_TIMEOUT, "deadline", message) }
}

fn is_temporary(code: &str) -> bool {
    matches!(code, "retry" | "busy" | "internal_error" | "too_many_connections" | "half_line" | "too_slow" | "deadline")
}

/// What an outcome or a skip that is refused with this code is answered.
fn status_of(code: &str) -> StatusCode {
    match code {
        code if is_temporary(code) => StatusCode::SERVICE_UNAVAILABLE,
        "conflict" | "refused" => StatusCode::CONFLICT,
        "forbidden" => StatusCode::FORBIDDEN,
        "line_too_long" => StatusCode::PAYLOAD_TOO_LARGE,
        _ => StatusCode::BAD_REQUEST,
    }
}
