//! `vigie status`: how is the daemon?

mod check;
mod rules;

use clap::Args;
use serde_json::{Map, Value, json};

pub(super) use self::rules::other_rule;
use self::{
    check::{Standing, Verdict},
    rules::other_rules,
};
use super::{
    Failed, Outcome, PATIENCE, SocketArgs,
    terminal::{self, tell},
};
use crate::domain::Timestamp;

const EXAMPLES: &str = "\
Examples:
  vigie status
  vigie status --json | jq .counts
  vigie status --check                       one line for a monitoring system: ends with 0, 1, 2 or 3";

/// Show the state and the counters of the running daemon
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Status {
    /// Print everything as one JSON object
    #[arg(long, conflicts_with = "check")]
    json: bool,
    /// Print one line for a monitoring system, and end as its plugins do: 0 all is well, 1 warning (an alarm holds, a lock that will end by
    /// itself, a part that does not answer), 2 critical (a lock or an emergency keeps models silent, the journal cannot be written, no
    /// daemon answers), 3 nobody can say
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    socket: SocketArgs,
}

impl Status {
    /// Runs the command.
    ///
    /// # Errors
    /// When no daemon answers.
    pub fn run(self) -> Outcome {
        let answer = self.socket.client().request(&json!({ "type": "status" }), PATIENCE);
        let status = |answer: &Map<String, Value>| answer.get("status").cloned().unwrap_or_default();
        if self.check {
            let verdict = match &answer {
                Ok(answer) => Verdict::of(&status(answer)),
                Err(error) => Verdict::of_no_answer(error),
            };
            tell(&verdict)?;
            return if verdict.standing == Standing::Ok {
                Ok(())
            } else {
                Err(Failed::Checked(verdict.standing as u8))
            };
        }
        let status = status(&answer?);
        if self.json {
            tell(&status)?;
        } else {
            tell(describe(&status).trim_end())?;
        }
        Ok(())
    }
}

fn describe(status: &Value) -> String {
    let text = |pointer: &str| match status.pointer(pointer) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => "-".to_owned(),
        Some(Value::Number(number)) if number.is_f64() => format!("{:.1}", number.as_f64().unwrap_or_default()),
        Some(value) => value.to_string(),
    };
    let journal = match status.pointer("/journal/error") {
        Some(Value::String(error)) => format!("FAILING: {error}"),
        _ => "in order".to_owned(),
    };
    let lock = match status.pointer("/guardian/lock") {
        Some(Value::String(reason)) => match status.pointer("/guardian/lock_until").and_then(Value::as_str) {
            Some(until) => format!("LOCKED to the baseline until {until}: {reason}"),
            None => format!("LOCKED to the baseline: {reason}"),
        },
        Some(_) => match silenced(status).as_slice() {
            [] => "as the versions below say".to_owned(),
            symbols => format!(
                "{}: SILENCED by the emergency below until `vigie resume`; else as the versions below say",
                symbols.join(", ")
            ),
        },
        None => "LOCKED to the baseline: the guardian is restarting".to_owned(),
    };
    let emergencies = status.pointer("/guardian/emergencies").and_then(Value::as_array);
    let emergencies: Vec<&str> = emergencies.into_iter().flatten().filter_map(Value::as_str).collect();
    let mut rows: Vec<Vec<String>> = [
        ("vigie", format!("{}, up {} s, configuration {}", text("/version"), text("/uptime_s"), text("/config_hash"))),
        ("serving", lock),
        (
            "journal",
            format!(
                "{journal}, {} waiting, {} dropped, {} commits",
                text("/journal/waiting"),
                text("/journal/dropped"),
                text("/journal/commits")
            ),
        ),
        ("size", size(status)),
        ("archive", archive(status)),
        ("signals", format!("{} stored, {} with a decision", text("/counts/signals"), text("/counts/decisions"))),
        ("outcomes", format!("{} stored, {} skips", text("/counts/outcomes"), text("/counts/skips"))),
        ("answers", format!("{} since the start, {} requests at fault", text("/scorer/answered"), text("/rejected"))),
        (
            "latency",
            format!(
                "p50 {} us, p99 {} us, longest {} us",
                text("/scorer/p50_us"),
                text("/scorer/p99_us"),
                text("/scorer/max_us")
            ),
        ),
        ("sockets", format!("{} open, {} refused", text("/connections"), text("/refused"))),
        ("restarts", text("/restarts")),
    ]
    .into_iter()
    .filter(|(name, value)| *name != "archive" || !value.is_empty())
    .map(|(name, value)| vec![name.to_owned(), value])
    .collect();
    let after_serving = 2;
    for emergency in emergencies.iter().rev() {
        rows.insert(after_serving, vec!["".to_owned(), (*emergency).to_owned()]);
    }
    if status.pointer("/drill") == Some(&Value::Bool(true)) {
        rows.insert(0, vec!["DRILL".to_owned(), "nothing it says is to be traded on".to_owned()]);
    }
    if let Some(running) = status.pointer("/training").filter(|running| running.is_object()) {
        let percent = 100.0 * running.get("share").and_then(Value::as_f64).unwrap_or_default();
        let what = ["job", "stage"].map(|name| running.get(name).and_then(Value::as_str).unwrap_or("-"));
        rows.push(vec!["training".to_owned(), format!("{}, {percent:.0} % done: {}", what[0], what[1])]);
    }
    if let Some(running) = status.get("archiving").filter(|order| order.get("running") == Some(&Value::Bool(true))) {
        let percent = 100.0 * running.get("share").and_then(Value::as_f64).unwrap_or_default();
        let stage = running.get("stage").and_then(Value::as_str).unwrap_or("-");
        rows.push(vec!["archiving".to_owned(), format!("{percent:.0} % done: {stage}")]);
    }
    if status.pointer("/guardian/day_pnl").is_some() {
        let [made, most] = ["pnl", "loss_limit"].map(|figure| text(&format!("/guardian/day_{figure}")));
        rows.push(vec!["day".to_owned(), format!("the account made {made} so far; a loss beyond {most} silences all")]);
    }
    for (version, why) in status.pointer("/monitor/unwatched").and_then(Value::as_object).into_iter().flatten() {
        rows.push(vec!["unwatched".to_owned(), format!("{version}: {}", why.as_str().unwrap_or("-"))]);
    }
    rows.extend(jobs(status));
    if let Some(Value::Object(reasons)) = status.pointer("/scorer/by_reason") {
        rows.extend(reasons.iter().map(|(reason, count)| vec![format!("  {reason}"), count.to_string()]));
    }
    for version in status.pointer("/guardian/versions").and_then(Value::as_array).into_iter().flatten() {
        let field = |name: &str| version.get(name).and_then(Value::as_str).unwrap_or("-").to_owned();
        let flag = |name: &str| version.get(name) == Some(&Value::Bool(true));
        let marks = [(flag("scoring"), ", scoring"), (flag("overridden"), ", a gate was overridden")];
        let marks: String = marks.into_iter().filter_map(|(set, mark)| set.then_some(mark)).collect();
        rows.push(vec![field("version"), format!("{}{marks}{}", field("state"), level(status, &field("version")))]);
    }
    terminal::table(&rows)
}

/// How large the journal is, what is added a day, and how old its last backup is.
fn size(status: &Value) -> String {
    let number = |name: &str| status.pointer(&format!("/storage/{name}")).and_then(Value::as_f64);
    let mib = |bytes: f64| format!("{:.1} MiB", bytes / f64::from(1 << 20));
    let size = number("bytes").map_or_else(|| "-".to_owned(), mib);
    let growth = number("growth_bytes_a_day").map_or_else(String::new, |bytes| format!(", {} more a day", mib(bytes)));
    let backup = match number("backup/age_s") {
        None => "no backup".to_owned(),
        Some(age) if age < 172_800.0 => format!("last backup {:.0} h ago", (age / 3600.0).max(0.0)),
        Some(age) => format!("last backup {:.0} days ago", age / 86_400.0),
    };
    format!("{size}{growth}, {backup}")
}

/// What stands in archived files; empty when nothing does.
fn archive(status: &Value) -> String {
    let Some(archive) = status.pointer("/storage/archive").filter(|archive| archive.is_object()) else {
        return String::new();
    };
    let number = |name: &str| archive.get(name).and_then(Value::as_u64).unwrap_or_default();
    let text = |name: &str| archive.get(name).and_then(Value::as_str).unwrap_or("-");
    let (files, mib) = (number("files"), number("bytes") as f64 / f64::from(1 << 20));
    let missing = archive.get("missing").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let missing: Vec<&str> = missing.iter().filter_map(Value::as_str).collect();
    let lacks = match missing.as_slice() {
        [] => String::new(),
        names => format!("; NOT THERE, or changed: {}", names.join(", ")),
    };
    format!(
        "{} records of {} to {} in {files} files, {mib:.1} MiB{lacks}",
        number("records"),
        text("first_month"),
        text("last_month")
    )
}

/// When each job ran last, and what went wrong in those that failed.
fn jobs(status: &Value) -> Vec<Vec<String>> {
    let jobs = status.get("jobs").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let text = |of: &Value, field: &str| of.get(field).and_then(Value::as_str).unwrap_or("-").to_owned();
    let ago = |run: Option<&Value>| {
        let at = |of: &Value, field: &str| of.get(field)?.as_str()?.parse::<Timestamp>().ok();
        let seconds = at(status, "now")?.duration_since(at(run?, "at")?).as_secs().max(0);
        Some(match seconds {
            ..120 => format!("{seconds} s ago"),
            120..7200 => format!("{} min ago", seconds / 60),
            7200..172_800 => format!("{} h ago", seconds / 3600),
            _ => format!("{} days ago", seconds / 86_400),
        })
    };
    let (ran, never): (Vec<&Value>, Vec<&Value>) =
        jobs.iter().partition(|job| job.get("last").is_some_and(Value::is_object));
    let names = |jobs: &[&Value]| jobs.iter().map(|job| text(job, "name")).collect::<Vec<_>>().join(", ");
    let each = |job: &&Value| format!("{} {}", text(job, "name"), ago(job.get("last")).unwrap_or_default());
    let mut said = ran.iter().map(each).collect::<Vec<_>>().join(", ");
    if !never.is_empty() {
        said += &format!("; not yet: {}", names(&never));
    }
    let mut rows = if jobs.is_empty() { Vec::new() } else { vec![vec!["jobs".to_owned(), said]] };
    for job in ran {
        let count = |field: &str| job.get(field).and_then(Value::as_u64).unwrap_or_default();
        if let Some(failure) = job.get("last_failure").filter(|run| run.is_object()) {
            let (failures, runs, when) = (count("failures"), count("runs"), ago(Some(failure)).unwrap_or_default());
            let why = text(failure, "found");
            let failed = match failures {
                0 => "failed before this start".to_owned(),
                some => format!("failed {some} of {runs} times"),
            };
            rows.push(vec![format!("  {}", text(job, "name")), format!("{failed}, {when}: {why}")]);
        }
    }
    for job in jobs {
        let time = |field: &str| job.get(field).and_then(Value::as_str);
        let waits = time("waits_since").map_or_else(String::new, |since| format!("due since {since}, then "));
        if let Some(next) = time("next") {
            rows.push(vec![format!("  {}", text(job, "name")), format!("{waits}next at {next}")]);
        }
    }
    rows
}

/// The symbols of which no version may speak.
fn silenced(status: &Value) -> Vec<&str> {
    let symbols = status.pointer("/guardian/silenced").and_then(Value::as_array);
    symbols.into_iter().flatten().filter_map(Value::as_str).collect()
}

/// How close a version is to an emergency.
fn level(status: &Value, version: &str) -> String {
    let levels = status.pointer("/guardian/levels").and_then(Value::as_array);
    let is_its = |level: &&Value| level.get("version").and_then(Value::as_str) == Some(version);
    let Some(level) = levels.into_iter().flatten().find(is_its) else { return String::new() };
    let told = status.pointer("/monitor/unwatched").and_then(|all| all.get(version)?.as_str()).unwrap_or_default();
    let count = |name: &str| level.get(name).and_then(Value::as_u64).unwrap_or_default();
    let percent = |name: &str| level.get(name).and_then(Value::as_f64).map(|share| format!("{:.1} %", 100.0 * share));
    let accuracy = percent("accuracy").map_or_else(String::new, |accuracy| format!("{accuracy} right over "));
    let expected = percent("expected_accuracy").map_or_else(String::new, |share| {
        format!(", where {share} are expected by its validation of trades so answered")
    });
    let unlabelled = match count("unlabelled") {
        0 => String::new(),
        some => format!(" ({some} more without a label)"),
    };
    let (labelled, heard) = (count("labelled"), count("trades"));
    let streak = format!("{} lost in a row of {} allowed", count("loss_streak"), count("streak_limit"));
    let amount = |name: &str| level.get(name).and_then(Value::as_f64).unwrap_or_default();
    let (followed, others) = (count("gain_trades"), count("would_gain_trades"));
    let would = match others {
        0 => String::new(),
        some => format!(
            ", and in {some} that did not following it would have made {:+.2} against what the strategy made",
            amount("would_gain")
        ),
    };
    format!(
        ", {accuracy}{labelled} scored trades by its own target{expected}{unlabelled}, {streak} among the latest {heard} that it influenced; of the \
         latest {} that it scored, it influenced {followed}, which made {:.2}, {:+.2} against what the strategy would have made of them (skipped trades are not among them){would}{}",
        followed + others,
        amount("made"),
        amount("gain"),
        unwatched(level, told)
    ) + &other_rules(level)
}

/// What no rule watches in a version, but for what is `told` of it already.
fn unwatched(level: &Value, told: &str) -> String {
    let words = level.get("unwatched").and_then(Value::as_array);
    let words = words.into_iter().flatten().filter_map(Value::as_str).filter(|word| !told.contains(word));
    words.map(|word| format!("; {word}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_following_it_made_says_of_how_many_trades_and_whether_they_heard_it() {
        let level = json!({
            "version": "ES/1", "trades": 800, "labelled": 100, "unlabelled": 0, "loss_streak": 1, "streak_limit": 11,
            "accuracy": 0.333, "expected_accuracy": 0.3512, "made": 34835.0, "gain": -12.5, "gain_trades": 500, "would_gain": 3898.48,
            "would_gain_trades": 300,
        });
        let said = level_of(&json!({ "guardian": { "levels": [level] } }));
        let says = "of the latest 800 that it scored, it influenced 500, which made 34835.00, -12.50 against what the strategy would have made of \
                    them (skipped trades are not among them), and in 300 that did not following it would have made +3898.48 against what \
                    the strategy made";
        let right = "33.3 % right over 100 scored trades by its own target, where 35.1 % are expected by its validation of trades so \
                     answered";
        assert!(said.contains(right), "{said}");
        assert!(said.ends_with(says) && said.contains("among the latest 800 that it influenced"), "{said}");
    }

    #[test]
    fn what_nothing_watches_is_said_once() {
        let why = "its policy took no trade";
        let status = json!({
            "guardian": {
                "versions": [{ "version": "ES/1", "state": "production" }],
                "levels": [{ "version": "ES/1", "unwatched": [why, "another"] }],
            },
            "monitor": { "unwatched": { "ES/1": why } },
        });
        let told = describe(&status);
        assert_eq!((told.matches(why).count(), told.matches("; another").count()), (1, 1), "{told}");
    }

    fn level_of(status: &Value) -> String {
        level(status, "ES/1")
    }

    #[test]
    fn the_size_is_told_with_what_is_added_a_day_and_the_age_of_the_backup() {
        for (storage, expected) in [
            (json!({ "bytes": 5_242_880, "growth_bytes_a_day": null, "backup": null }), "5.0 MiB, no backup"),
            (
                json!({ "bytes": 5_242_880, "growth_bytes_a_day": 1_572_864, "backup": { "age_s": 7300.0 } }),
                "5.0 MiB, 1.5 MiB more a day, last backup 2 h ago",
            ),
            (json!({ "bytes": 1, "backup": { "age_s": 864_000.0 } }), "0.0 MiB, last backup 10 days ago"),
            (Value::Null, "-, no backup"),
        ] {
            assert_eq!(size(&json!({ "storage": storage })), expected);
        }
    }

    #[test]
    fn the_archive_is_told_with_its_months_and_what_is_missing_of_it() {
        let row = |storage: Value| {
            let told = describe(&json!({ "storage": storage, "guardian": {} }));
            told.lines().find_map(|line| line.strip_prefix("archive ")).map(|line| line.trim().to_owned())
        };
        let mut archive = json!({ "files": 2, "records": 3000, "bytes": 1_572_864, "first_month": "2025-01",
            "last_month": "2025-02", "last_number": 3100, "missing": [] });
        let whole = "3000 records of 2025-01 to 2025-02 in 2 files, 1.5 MiB";
        assert_eq!(row(json!({ "archive": archive })), Some(whole.to_owned()));
        archive["missing"] = json!(["2025-01-1-9-aa.parquet"]);
        let lacks = format!("{whole}; NOT THERE, or changed: 2025-01-1-9-aa.parquet");
        assert_eq!(row(json!({ "archive": archive })), Some(lacks));
        assert_eq!(row(json!({ "archive": null })), None);
    }

    #[test]
    fn the_jobs_are_told_with_when_they_ran_last_and_why_those_failed_that_did() {
        let run = |at: &str, found: &str| json!({ "at": at, "took_us": 12, "found": found });
        let job = |name: &str, failures: u64, last: Value, failed: Value| json!({ "name": name, "runs": 40, "failures": failures, "last": last, "last_failure": failed });
        let fine = job("kill_file", 0, run("2025-09-01T12:00:00Z", "it is not there"), Value::Null);
        let (same, why) = (run("2025-09-01T11:59:00Z", "it is the same"), run("2025-09-01T10:00:00Z", "it differs"));
        let (before, mut daily) = (run("2025-08-30T11:59:00Z", "no room"), job("daily", 0, Value::Null, Value::Null));
        daily["next"] = json!("2025-09-02T07:00:00Z");
        let mut late = daily.clone();
        (late["name"], late["waits_since"]) = (json!("late"), json!("2025-09-01T07:00:00Z"));
        let status = json!({ "now": "2025-09-01T12:00:01Z", "jobs": [fine, job("verify", 2, same, why),
            job("archive", 0, before.clone(), before), daily, late] });
        let expected = [
            ["jobs", "kill_file 1 s ago, verify 61 s ago, archive 2 days ago; not yet: daily, late"],
            ["  verify", "failed 2 of 40 times, 2 h ago: it differs"],
            ["  archive", "failed before this start, 2 days ago: no room"],
            ["  daily", "next at 2025-09-02T07:00:00Z"],
            ["  late", "due since 2025-09-01T07:00:00Z, then next at 2025-09-02T07:00:00Z"],
        ]
        .map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(jobs(&status), expected);
        assert_eq!(jobs(&json!({})), Vec::<Vec<String>>::new());
    }

    #[test]
    fn the_symbols_that_an_emergency_silences_are_named_where_it_says_what_is_served() {
        let serving = |guardian: Value| {
            let told = describe(&json!({ "guardian": guardian }));
            told.lines()
                .find_map(|line| line.strip_prefix("serving"))
                .map(|line| line.trim().to_owned())
                .unwrap_or_default()
        };
        let emergencies = json!(["emergency of ES/2: loss_streak 11 > 10"]);
        let one = json!({ "lock": null, "silenced": ["ES"], "emergencies": emergencies });
        assert_eq!(
            serving(one),
            "ES: SILENCED by the emergency below until `vigie resume`; else as the versions below say"
        );
        assert_eq!(serving(json!({ "lock": null, "silenced": [] })), "as the versions below say");
        assert_eq!(serving(json!({ "lock": "a test", "silenced": ["ES"] })), "LOCKED to the baseline: a test");
        let timed = json!({ "lock": "a test", "lock_until": "2026-11-29T16:30:00Z" });
        assert_eq!(serving(timed), "LOCKED to the baseline until 2026-11-29T16:30:00Z: a test");
    }
}
