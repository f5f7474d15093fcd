//! Where log lines go: standard error, through a thread of their own. Who logs never waits: when the sink does not keep
//! up, lines are dropped and counted.

use std::{
    fs,
    io::{self, IsTerminal, Write},
    path::PathBuf,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use tracing::{Event, Level, Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    Layer, Registry,
    fmt::{
        FmtContext, FormatEvent, FormatFields, MakeWriter,
        format::{DefaultFields, Format, Writer},
    },
    layer::SubscriberExt,
    registry::LookupSpan,
    reload,
    util::SubscriberInitExt,
};

use super::terminal::{colours, harmless_line};
use crate::{config::LogLevel, journal, panics};

/// Lines that may wait for the sink.
const QUEUE: usize = 1024;
/// How long an end waits for the lines that were said before it.
const LAST_LINES: Duration = Duration::from_secs(1);
/// What the lines of a drill begin with.
const DRILL: &str = "DRILL ";

/// Changes the level while the daemon runs.
pub(super) type LevelHandle = reload::Handle<LevelFilter, Registry>;

/// A log that was started. When it is dropped the lines that were said before are written, unless the sink stands still.
pub(super) struct Log {
    /// Changes the level.
    pub(super) level: LevelHandle,
    lines: Arc<Lines>,
}

/// How many lines were handed over, and how many of them are written.
#[derive(Default)]
struct Lines {
    handed_over: AtomicU64,
    written: Mutex<u64>,
    bell: Condvar,
}

impl Drop for Log {
    fn drop(&mut self) {
        let last = self.lines.handed_over.load(Ordering::SeqCst);
        let written = self.lines.written.lock().unwrap_or_else(PoisonError::into_inner);
        let _a_sink_that_stands_still =
            self.lines.bell.wait_timeout_while(written, LAST_LINES, |written| *written < last);
    }
}

impl Lines {
    fn count_written(&self) {
        *self.written.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.bell.notify_all();
    }
}

/// Starts logging. Under a service manager each line begins with its priority and has no time, since the manager's
/// journal keeps both; on a terminal it has a time, and colours unless NO_COLOR is set. Those of a drill say so.
///
/// A panic of the database leaves `opening` behind: a second one ends the process at once, and the next start has to know.
pub(super) fn start(level: LogLevel, drill: bool, opening: PathBuf) -> anyhow::Result<Log> {
    let (sender, waiting) = sync_channel(QUEUE);
    let dropped = Arc::new(AtomicU64::new(0));
    let lost = Arc::clone(&dropped);
    let lines = Arc::new(Lines::default());
    let written = Arc::clone(&lines);
    thread::Builder::new().name("log".to_owned()).spawn(move || drain(&waiting, &written, &lost))?;
    let (filter, level) = reload::Layer::new(filter(level));
    let managed = std::env::var_os("JOURNAL_STREAM").is_some();
    let mark = if drill { DRILL } else { "" };
    // a priority is the first thing in its line
    let colours = !managed && io::stderr().is_terminal() && colours();
    let sink = Sink { sender, lines: Arc::clone(&lines), dropped, mark: if managed { "" } else { mark }, colours };
    let layer = tracing_subscriber::fmt::layer().with_writer(sink).with_ansi(colours);
    let layer: Box<dyn Layer<Registry> + Send + Sync> = if managed {
        layer
            .with_ansi(false)
            .event_format(Prioritised { format: Format::default().without_time().with_level(false), mark })
            .with_filter(filter)
            .boxed()
    } else {
        layer.with_target(false).with_filter(filter).boxed()
    };
    tracing_subscriber::registry().with(layer).init();
    std::panic::set_hook(Box::new(move |panic| {
        if journal::is_of_the_database(panic) {
            let _the_disk_may_be_full = fs::write(&opening, "The database panicked.\n");
        }
        let thread = thread::current();
        let thread = thread.name().unwrap_or("unnamed");
        if panics::are_caught() {
            // who catches it tells of it
            tracing::debug!(thread, "{panic}");
        } else {
            tracing::error!(thread, "{panic}");
        }
    }));
    Ok(Log { level, lines })
}

/// The filter of a configured level.
pub(super) fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

fn drain(waiting: &Receiver<Vec<u8>>, lines: &Lines, dropped: &AtomicU64) {
    while let Ok(line) = waiting.recv() {
        let _nobody_listens = io::stderr().write_all(&line);
        lines.count_written();
        let lost = dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let _nobody_listens =
                writeln!(io::stderr(), "<4>{lost} log lines were dropped because this sink did not keep up");
        }
    }
}

#[derive(Clone)]
struct Sink {
    sender: SyncSender<Vec<u8>>,
    lines: Arc<Lines>,
    dropped: Arc<AtomicU64>,
    /// What each line begins with.
    mark: &'static str,
    /// Whether lines have colours.
    colours: bool,
}

/// One line on its way; handed over when it is dropped.
struct Line<'a> {
    sink: &'a Sink,
    bytes: Vec<u8>,
}

impl<'a> MakeWriter<'a> for Sink {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { sink: self, bytes: self.mark.as_bytes().to_vec() }
    }
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        let line = harmless_line(&self.bytes, self.sink.colours);
        if self.sink.sender.try_send(line).is_ok() {
            self.sink.lines.handed_over.fetch_add(1, Ordering::SeqCst);
        } else {
            self.sink.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Puts the priority of syslog before each line, as service managers read it, and then a mark.
struct Prioritised<F> {
    format: F,
    mark: &'static str,
}

impl<S, F> FormatEvent<S, DefaultFields> for Prioritised<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    F: FormatEvent<S, DefaultFields>,
    DefaultFields: for<'w> FormatFields<'w>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, DefaultFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        let priority = match *event.metadata().level() {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            Level::DEBUG | Level::TRACE => 7,
        };
        write!(writer, "<{priority}>{}", self.mark)?;
        self.format.format_event(context, writer, event)
    }
}
