//! `vigie work`: what the daemon's child process runs. It reads its assignment from standard input, and tells progress and
//! product on standard output, a line of JSON each. It writes to nothing else.

use std::io::{self, Read, Write as _};

use clap::Args;
use rustix::process::{Resource, Rlimit, Signal, getrlimit, nice, set_parent_process_death_signal, setrlimit};

use super::Outcome;
use crate::{
    config::Config,
    journal::Reader,
    recall::learning::{Assignment, CACHE_BYTES, ChildMessage, Refused, work},
    validation::Stage,
};

/// Longest assignment, in bytes.
const MAX_BYTES: u64 = 4 << 20;
/// Progress is told in steps of this share.
const STEP: f64 = 0.01;

/// Do a training for the daemon
#[derive(Debug, Args)]
#[command(hide = true)]
pub struct Work {}

impl Work {
    /// Runs the command.
    ///
    /// # Errors
    /// When the assignment cannot be read or nobody listens.
    pub fn run(self) -> Outcome {
        let mut text = String::new();
        io::stdin().take(MAX_BYTES).read_to_string(&mut text)?;
        let assignment: Assignment = serde_json::from_str(&text)?;
        limit(&assignment)?;
        let told = match done(&assignment) {
            Ok(told) => told,
            Err(refused) => ChildMessage::Refused(refused),
        };
        say(&told)?;
        Ok(())
    }
}

/// It ends with its parent, takes no more memory than it may, and steps back behind what serves.
fn limit(assignment: &Assignment) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // what the daemon itself may not exceed its child may not either
    let most = getrlimit(Resource::As).maximum.unwrap_or(u64::MAX);
    let memory = Some(assignment.memory_bytes.min(most));
    setrlimit(Resource::As, Rlimit { current: memory, maximum: memory })?;
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    // a sandbox may forbid it: then it runs beside the others, in the same limits
    let _it_is_only_polite = nice(assignment.nice);
    Ok(())
}

fn done(assignment: &Assignment) -> Result<ChildMessage, Refused> {
    let config = Config::parse("the daemon", &assignment.config);
    let config = config.map_err(|errors| Refused::new("config", errors))?;
    let reader = Reader::open_path(&assignment.journal, config.journal.cache_bytes.max(CACHE_BYTES));
    let reader = reader.map_err(|error| Refused::new("journal", error))?;
    reader.check_archive().map_err(|error| Refused::new("journal", error))?;
    let mut last = f64::NEG_INFINITY;
    let mut progress = |share: f64, stage: Stage| {
        if share >= last + STEP {
            last = share;
            // when nobody listens any more the product will find out
            let _a_parent_that_is_gone_ends_this = say(&ChildMessage::Progress { share, stage: stage.to_string() });
        }
    };
    let product = work(&assignment.job, &reader, &config, assignment.at, &mut progress)?;
    Ok(ChildMessage::Product(Box::new(product)))
}

fn say(told: &ChildMessage) -> io::Result<()> {
    let mut output = io::stdout().lock();
    serde_json::to_writer(&mut output, told)?;
    output.write_all(b"\n")?;
    output.flush()
}
