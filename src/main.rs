//! The command line of vigie.

use std::process::ExitCode;

use clap::Parser;
use vigie::commands::{self, Command, Vigie};

fn main() -> ExitCode {
    if let Err(error) = commands::begin() {
        return commands::exit_code(Err(error.into()));
    }
    let Vigie { command } = match Vigie::try_parse() {
        Ok(parsed) => parsed,
        Err(error) => return commands::misused(&error),
    };
    command.stand_back();
    commands::exit_code(match command {
        Command::Run(run) => run.run(),
        Command::Check(check) => check.run(),
        Command::Init(init) => init.run(),
        Command::Import(import) => import.run(),
        Command::Features(features) => features.run(),
        Command::Train(train) => train.run(),
        Command::Score(score) => score.run(),
        Command::Status(status) => status.run(),
        Command::Top(top) => top.run(),
        Command::Models(models) => models.run(),
        Command::Replay(replay) => replay.run(),
        Command::Simulate(simulate) => simulate.run(),
        Command::Promote(promote) => promote.run(),
        Command::Rollback(rollback) => rollback.run(),
        Command::Lock(lock) => lock.run(),
        Command::Kill(kill) => kill.run(),
        Command::Resume(resume) => resume.run(),
        Command::Experiment(experiment) => experiment.run(),
        Command::Power(power) => power.run(),
        Command::Impact(impact) => impact.run(),
        Command::Report(report) => report.run(),
        Command::Tune(tune) => tune.run(),
        Command::Reload(reload) => reload.run(),
        Command::Validate(validate) => validate.run(),
        Command::Reinstate(reinstate) => reinstate.run(),
        Command::Compare(compare) => compare.run(),
        Command::Phases(phases) => phases.run(),
        Command::Schedule(schedule) => schedule.run(),
        Command::Dataset(dataset) => dataset.run(),
        Command::Discover(discover) => discover.run(),
        Command::Regimes(regimes) => regimes.run(),
        Command::Drill(drill) => drill.run(),
        Command::Drift(drift) => drift.run(),
        Command::Export(export) => export.run(),
        Command::Alerts(alerts) => alerts.run(),
        Command::Events(events) => events.run(),
        Command::Archive(archive) => archive.run(),
        Command::Backup(backup) => backup.run(),
        Command::Restore(restore) => restore.run(),
        Command::Demo(demo) => demo.run(),
        Command::Web(web) => web.run(),
        Command::Notify(notify) => notify.run(),
        Command::Work(work) => work.run(),
    })
}
