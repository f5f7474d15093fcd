//! What is asked for by which path.

use std::sync::Arc;

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Path, Request, State},
    http::{StatusCode, Uri, header},
    middleware::from_fn_with_state,
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{
    answer::{json_text, refusal},
    ask::{Asker, Order},
    assets,
    events::{self, Wanted},
    guard::{Guard, watch},
    hub::Hub,
    live,
    metrics::Metrics,
    wire::PATIENCE,
};

/// Bytes that an order may have.
const ORDER_BYTES: usize = 4 << 10;
/// Signals of one list.
const SIGNALS: usize = 200;

/// What the paths share.
#[derive(Debug)]
pub struct Site {
    /// What is known of the daemon.
    pub hub: Arc<Hub>,
    /// Asks it for more.
    pub asker: Asker,
    /// What Prometheus is told.
    pub metrics: Metrics,
}

/// All paths, watched by `guard`.
pub fn routes(site: Site, guard: Guard) -> Router {
    Router::new()
        .route("/", get(|| async { assets::get("index.html") }))
        .route("/assets/{*name}", get(|Path(name): Path<String>| async move { assets::get(&name) }))
        .route(
            "/live",
            get(|State(site): State<Arc<Site>>, request: Request| async move { live::open(&site.hub, &request) }),
        )
        .route("/api/events", get(listed))
        .route("/api/events.jsonl", get(|site, uri| exported(site, uri, Form::Lines)))
        .route("/api/events.csv", get(|site, uri| exported(site, uri, Form::Sheet)))
        .route("/api/decisions", get(decisions))
        .route("/api/models", get(|site| asked(site, json!({ "type": "models" }))))
        .route("/api/drift", get(|site| asked(site, json!({ "type": "drift" }))))
        .route("/api/training", get(|site| asked(site, json!({ "type": "training" }))))
        .route("/api/experiment", get(|site, uri| queried(site, uri, "experiment")))
        .route("/api/model", get(|site, uri| queried(site, uri, "model")))
        .route("/api/phases", get(|site, uri| queried(site, uri, "phases")))
        .route("/api/signals", get(|site, uri| queried(site, uri, "signals")))
        .route("/api/order", post(order))
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .fallback(|| async { refusal(StatusCode::NOT_FOUND, "not_found", "there is nothing under this path") })
        .with_state(Arc::new(site))
        .layer(from_fn_with_state(Arc::new(guard), watch))
}

async fn asked(State(site): State<Arc<Site>>, request: Value) -> Response {
    match site.asker.ask(&request).await {
        Ok(answer) => json_text(&*answer),
        Err(error) => error.into_response(),
    }
}

/// What a question may say: names of texts, of whole numbers, and of what is either so or not.
fn fields(kind: &str) -> (&'static [&'static str], &'static [&'static str], &'static [&'static str]) {
    match kind {
        "experiment" => (&["version"], &[], &["looks"]),
        "model" => (&["version", "against"], &[], &[]),
        "phases" => (&["symbol", "target"], &[], &[]),
        _ => (&[], &["seq"], &[]),
    }
}

async fn queried(site: State<Arc<Site>>, uri: Uri, kind: &'static str) -> Response {
    let (texts, numbers, facts) = fields(kind);
    let mut request = json!({ "type": kind });
    if kind == "signals" {
        request["limit"] = json!(SIGNALS);
    }
    for (name, value) in events::query(&uri) {
        let known = |names: &[&str]| names.contains(&&*name);
        let field = match value.parse::<u64>() {
            Ok(number) if known(numbers) => json!(number),
            _ if known(texts) => Value::String(value),
            _ if known(facts) && value == "true" => Value::Bool(true),
            _ => {
                let all: Vec<&str> = [texts, numbers, facts].concat();
                return refusal(
                    StatusCode::BAD_REQUEST,
                    "query",
                    &format!("only these are understood: {}", all.join(", ")),
                );
            }
        };
        request[name] = field;
    }
    asked(site, request).await
}

async fn listed(State(site): State<Arc<Site>>, uri: Uri) -> Response {
    match Wanted::of(&uri) {
        Ok(wanted) => json_text(events::page(&site.hub.seen(), &wanted)),
        Err(why) => refusal(StatusCode::BAD_REQUEST, "query", why),
    }
}

/// How events are exported.
#[derive(Debug, Clone, Copy)]
enum Form {
    Lines,
    Sheet,
}

async fn exported(State(site): State<Arc<Site>>, uri: Uri, form: Form) -> Response {
    let wanted = match Wanted::of(&uri) {
        Ok(wanted) => wanted,
        Err(why) => return refusal(StatusCode::BAD_REQUEST, "query", why),
    };
    let found = events::matching(&site.hub.seen(), &wanted);
    let (kind, name, text) = match form {
        Form::Lines => ("application/x-ndjson", "attachment; filename=\"vigie-events.jsonl\"", events::lines(&found)),
        Form::Sheet => ("text/csv; charset=utf-8", "attachment; filename=\"vigie-events.csv\"", events::sheet(&found)),
    };
    ([(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, name)], text).into_response()
}

async fn decisions(State(site): State<Arc<Site>>) -> Response {
    let seen = site.hub.seen();
    let lines: Vec<&str> = seen.decisions.iter().map(|decision| &*decision.text).collect();
    json_text(format!(r#"{{"decisions":[{}]}}"#, lines.join(",")))
}

async fn order(State(site): State<Arc<Site>>, request: Request) -> Response {
    let body: Body = request.into_body();
    let bytes = match timeout(PATIENCE, to_bytes(body, ORDER_BYTES)).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(_)) => return refusal(StatusCode::PAYLOAD_TOO_LARGE, "body", "an order has at most 4096 bytes"),
        Err(_) => return refusal(StatusCode::REQUEST_TIMEOUT, "body", "the order did not come in time"),
    };
    let order: Order = match serde_json::from_slice(&bytes) {
        Ok(order) => order,
        Err(error) => return refusal(StatusCode::BAD_REQUEST, "order", &error.to_string()),
    };
    let request = match order.request() {
        Ok(request) => request,
        Err(why) => return refusal(StatusCode::BAD_REQUEST, "order", why),
    };
    let done = site.asker.order(&request).await;
    site.hub.bell.notify_one();
    match done {
        Ok(done) => json_text(done.to_string()),
        Err(error) => error.into_response(),
    }
}

async fn metrics(State(site): State<Arc<Site>>) -> Response {
    match site.metrics.text() {
        Ok(text) => ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text)
            .into_response(),
        Err(error) => refusal(StatusCode::INTERNAL_SERVER_ERROR, "metrics", &error.to_string()),
    }
}

async fn ready(State(site): State<Arc<Site>>) -> Response {
    let seen = site.hub.seen();
    if let Some(why) = &seen.silence {
        let why = if why.is_empty() { "the daemon was not asked yet" } else { why };
        return refusal(StatusCode::SERVICE_UNAVAILABLE, "no_daemon", why);
    }
    let knows_serving = seen.status.as_ref().is_some_and(|(status, _)| status.get("guardian").is_some());
    if !knows_serving {
        return refusal(
            StatusCode::SERVICE_UNAVAILABLE,
            "no_guardian",
            "what is served is not known: the guardian is restarting",
        );
    }
    "ready\n".into_response()
}
