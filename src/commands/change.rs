//! Commands that change what is served. Each goes through the socket, is carried out by the guardian and is kept in the
//! journal with the uid and the reason.

use std::{thread::sleep, time::Duration};

use clap::Args;
use serde_json::{Map, Value, json};

use super::{Outcome, PATIENCE, SocketArgs, named, terminal::tell};
use crate::{
    clock::Stopwatch,
    domain::{Timestamp, VersionId},
    protocol::client::{Client, ClientError},
};

/// How long an order is sent again that the daemon cannot take at this moment, and the pause between.
const INSISTENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(100);

const LOCK_EXAMPLES: &str = "\
Examples:
  vigie lock --reason 'spreads are wide'
  vigie lock --for 2h --reason 'the central bank speaks'
  vigie lock --until 16:30-05:00 --reason 'news at four'
  vigie lock --until 2026-11-29T16:30:00Z --reason 'until the close'";

const RESUME_EXAMPLES: &str = "\
Examples:
  vigie resume --reason 'the news is out, spreads are normal'
  vigie resume --same-day --reason 'paper account, the day loss was a typing error'";

/// What every change has.
#[derive(Debug, Args)]
struct Ordered {
    /// Why, in your words; it is kept for ever
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Print the answer as one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    socket: SocketArgs,
}

/// Move a version one step forward, or on to a state: validated, staging, ab_test, production
///
/// Every step has a gate. Without --override a gate that failed or was not run is not passed; with it the version is
/// marked for ever.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  vigie promote ES/1 --to production --override --reason 'paper account, trying it out'"
)]
pub struct Promote {
    /// The version, such as ES/14
    version: VersionId,
    /// How far
    #[arg(long, value_name = "STATE", value_parser = ["validated", "staging", "ab_test", "production"])]
    to: Option<String>,
    /// Pass gates that failed or were not run
    #[arg(long = "override")]
    overridden: bool,
    #[command(flatten)]
    ordered: Ordered,
}

/// Take a version out of service, at once
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  vigie rollback ES/1 --reason 'slippage looks wrong since the open'")]
pub struct Rollback {
    /// The version, such as ES/14
    version: VersionId,
    #[command(flatten)]
    ordered: Ordered,
}

/// Serve nothing but the baseline, at once, until `vigie resume` or a time
///
/// With an end the lock ends by itself then, also after a restart. A longer lock is never shortened by a second one, and an
/// emergency or a fault meanwhile stays until `vigie resume`. When the clock is in doubt, it stays locked.
#[derive(Debug, Args)]
#[command(after_help = LOCK_EXAMPLES)]
pub struct Lock {
    /// End by itself at this time, with its offset; a time of day is the next such time
    #[arg(long, value_name = "TIME", value_parser = named::time_ahead)]
    until: Option<Timestamp>,
    /// End by itself after so long, such as 90m, 2h or 1h30m
    #[arg(long = "for", value_name = "DURATION", value_parser = named::duration, conflicts_with = "until")]
    length: Option<u64>,
    #[command(flatten)]
    ordered: Ordered,
}

/// Serve nothing but the baseline and take every model that speaks out of service, at once
///
/// A resume lifts the lock, but the models stay out: only a new validation brings them back. The same is done by the
/// signal SIGUSR1 and by a file named `kill` in the state folder, which need no socket.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  vigie kill --reason 'it trades against the news'\n  touch vigie-state/kill")]
pub struct Kill {
    #[command(flatten)]
    ordered: Ordered,
}

/// Lift a lock or an emergency
///
/// An emergency of the whole account, such as the loss of a day, is lifted when its trading day is over. On a paper account
/// (account.paper in the configuration) --same-day lifts it before; the resume is marked for ever.
#[derive(Debug, Args)]
#[command(after_help = RESUME_EXAMPLES)]
pub struct Resume {
    /// Lift an emergency of the account before its trading day is over; on a real account it is refused
    #[arg(long)]
    same_day: bool,
    #[command(flatten)]
    ordered: Ordered,
}

/// Have the daemon read its configuration again, all or nothing (as SIGHUP does)
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  vigie reload")]
pub struct Reload {
    /// Print the answer as one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    socket: SocketArgs,
}

impl Promote {
    /// Runs the command.
    ///
    /// # Errors
    /// When no daemon answers or it refuses.
    pub fn run(self) -> Outcome {
        let Self { version, to, overridden, ordered } = self;
        let mut request =
            json!({ "type": "promote", "version": version, "reason": ordered.reason, "override": overridden });
        if let (Some(to), Value::Object(fields)) = (to, &mut request) {
            fields.insert("to".to_owned(), to.into());
        }
        order(&mut ordered.socket.client(), &request, ordered.json)
    }
}

impl Rollback {
    /// Runs the command.
    ///
    /// # Errors
    /// When no daemon answers or it refuses.
    pub fn run(self) -> Outcome {
        let Self { version, ordered } = self;
        order(
            &mut ordered.socket.client(),
            &json!({ "type": "rollback", "version": version, "reason": ordered.reason }),
            ordered.json,
        )
    }
}

impl Lock {
    /// Runs the command.
    ///
    /// # Errors
    /// When no daemon answers or it refuses.
    pub fn run(self) -> Outcome {
        let Ordered { reason, json, socket } = self.ordered;
        let mut request = json!({ "type": "lock", "reason": reason });
        if let Value::Object(fields) = &mut request {
            fields.extend(self.until.map(|until| ("until".to_owned(), json!(until))));
            fields.extend(self.length.map(|seconds| ("for_s".to_owned(), json!(seconds))));
        }
        order(&mut socket.client(), &request, json)
    }
}

impl Kill {
    /// Runs the command.
    ///
    /// # Errors
    /// When no daemon answers or it refuses.
    pub fn run(self) -> Outcome {
        let Ordered { reason, json, socket } = self.ordered;
        order(&mut socket.client(), &json!({ "type": "kill", "reason": reason }), json)
    }
}

impl Resume {
    /// Runs the command.
    ///
    /// # Errors
    /// When no daemon answers or it refuses.
    pub fn run(self) -> Outcome {
        let Ordered { reason, json, socket } = self.ordered;
        order(&mut socket.client(), &json!({ "type": "resume", "reason": reason, "same_day": self.same_day }), json)
    }
}

impl Reload {
    /// Runs the command.
    ///
    /// # Errors
    /// When no daemon answers or the new configuration is refused.
    pub fn run(self) -> Outcome {
        order(&mut self.socket.client(), &json!({ "type": "reload" }), self.json)
    }
}

/// Sends an order, and for a while again when the daemon cannot take it at this moment: another one is being carried out,
/// as right after a start, or the journal is being opened again.
///
/// # Errors
/// What the daemon refused, or that none answers.
pub(super) fn send(client: &mut Client, request: &Value) -> Result<Map<String, Value>, ClientError> {
    let watch = Stopwatch::start();
    loop {
        match client.request(request, PATIENCE) {
            Err(ClientError::Refused(error)) if error.code == "retry" && watch.elapsed() < INSISTENCE => sleep(PAUSE),
            answered => return answered,
        }
    }
}

/// Sends an order, and prints what was answered.
///
/// # Errors
/// As of [`send`].
pub(super) fn order(client: &mut Client, request: &Value, as_json: bool) -> Outcome {
    let answer = send(client, request)?;
    if as_json {
        tell(Value::Object(answer))?;
        return Ok(());
    }
    tell(answer.get("done").and_then(Value::as_str).unwrap_or("done"))?;
    if answer.get("durable") == Some(&Value::Bool(false)) {
        tell("it is in force, but not on disk yet: the journal cannot be written; the daemon keeps trying")?;
    }
    let named = |field| answer.get(field).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    for note in named("notes") {
        tell(format_args!("  waits for a restart: {note}"))?;
    }
    for kept in named("kept") {
        tell(format_args!("  {kept}"))?;
    }
    Ok(())
}
