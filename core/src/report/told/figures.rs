//! Alerts, answers, times and what is missing.
#![deny(clippy::indexing_slicing)]

use jiff::SignedDuration;

use super::super::{
    Part, Table,
    people::{count, counted, duration, micros, minute, percent},
    spread::Quantiles,
    summary::{AlertLine, Lost, Summary},
};

/// Characters of an alert that are told.
const MESSAGE: usize = 240;

fn table(part: Part, title: &str, help: &str, head: &[&str], rows: Vec<Vec<String>>) -> Table {
    let head = if rows.is_empty() { Vec::new() } else { head.iter().map(|cell| (*cell).to_owned()).collect() };
    Table { part, title: title.to_owned(), help: help.to_owned(), head, rows, notes: Vec::new() }
}

/// Alerts by code.
pub(super) fn alerts(summary: &Summary) -> Option<Table> {
    let row = |line: &AlertLine| {
        let AlertLine { level, code, count: times, first, last, message } = line;
        let cut = if message.chars().count() > MESSAGE { "\u{2026}" } else { "" };
        let message: String = message.chars().take(MESSAGE).collect();
        vec![level.to_string(), code.clone(), count(*times), minute(*first), minute(*last), format!("{message}{cut}")]
    };
    let help = match summary.alerts.as_slice() {
        [] => "There was no alert.",
        _ => "What each code means, and what to do, is in docs/operations.md. Times are UTC.",
    };
    let head = ["level", "code", "times", "first", "last", "the last one says"];
    Some(table(Part::Alerts, "Alerts by code", help, &head, summary.alerts.iter().map(row).collect()))
}

/// Answers by reason.
pub(super) fn answers(summary: &Summary) -> Option<Table> {
    let answers = &summary.answers;
    let mut reasons: Vec<_> = answers.by_reason.iter().collect();
    reasons.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    let all = answers.answers.max(1) as f64;
    let row =
        |(reason, given): (&&str, &u64)| vec![(*reason).to_owned(), count(*given), percent(*given as f64 / all, 1)];
    let help = format!(
        "The {} that were given in the period, one each time a signal came. What a reason means is in docs/protocol.md.",
        counted(answers.answers as usize, "answer", "answers")
    );
    let rows = reasons.into_iter().map(|(reason, given)| row((reason, given))).collect();
    let table = table(Part::Times, "Answers", &help, &["reason", "answers", "share"], rows);
    (answers.answers > 0).then_some(table)
}

/// How long answers took, and how late news came.
pub(super) fn times(summary: &Summary) -> Option<Table> {
    let named = [
        ("an answer took", summary.latency_us),
        ("a signal came after it fired", summary.signals_late_us),
        ("an outcome came after the trade was closed", summary.outcomes_late_us),
    ];
    let row = |(name, found): (&str, Option<Quantiles>)| {
        let Quantiles { count: times, p50, p90, p99, max } = found?;
        let spans = [p50, p90, p99, max].map(micros);
        Some([name.to_owned(), count(times)].into_iter().chain(spans).collect())
    };
    let rows: Vec<Vec<String>> = named.into_iter().filter_map(row).collect();
    let help = match rows.as_slice() {
        [] => "Nothing came that could be late.",
        _ => "How long it took, or how late it came: of half, of nine in ten, of 99 in 100, and of the worst.",
    };
    let head = ["what", "times", "half within", "90 % within", "99 % within", "longest"];
    Some(table(Part::Times, "Latency and lateness", help, &head, rows))
}

/// What is missing, or may be. What is not is said as well.
pub(super) fn lost(summary: &Summary) -> Option<Table> {
    let Lost { unreadable, which, unmatched, without_pnl, unresolved, unclean_starts, away_s, restarts, refused_lines } =
        &summary.lost;
    let rows = [
        (
            "records that cannot be read",
            count(*unreadable),
            "damage, in the whole journal; `vigie backup` checks all of it",
        ),
        ("outcomes without a signal", count(*unmatched), "the signal was never sent here, or under another name"),
        (
            "closed trades without a pnl",
            count(*without_pnl),
            "the trader did not send it; they are in no figure of money",
        ),
        (
            "signals of which nothing more is known",
            count(*unresolved),
            "answered, and open still, or their outcome or skip was never sent",
        ),
        (
            "starts after an end without order",
            count(*unclean_starts),
            "a kill, a crash or a power cut; nothing acknowledged is lost by it",
        ),
        (
            "time in which no daemon ran",
            duration(SignedDuration::from_secs(*away_s)),
            "from the last record before to the next start",
        ),
        ("parts that failed and were made again", count(*restarts), "see the alerts"),
        ("lines of files that were refused", count(*refused_lines), "by `vigie import`"),
    ];
    let rows = rows.into_iter().map(|(what, many, why)| vec![what.to_owned(), many, why.to_owned()]).collect();
    let mut table = table(Part::Lost, "What was lost or damaged", "", &["what", "how many", "what it means"], rows);
    table.notes.clone_from(which);
    if let Some(its) = summary.scope.its_symbol() {
        table.notes.push(format!(
            "trades without a pnl and signals of which nothing is known are those asked about, of {its}; all else here is of the \
             whole daemon"
        ));
    }
    Some(table)
}
