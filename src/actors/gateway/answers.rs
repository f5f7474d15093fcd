//! The answers that are made here, each of them a type: so a schema can be made of it, and none is put together by hand.
#![deny(clippy::indexing_slicing)]

use serde::Serialize;

use super::{read::Status, signals::ToldSignal};
use crate::{
    actors::{monitor::DriftStatus, trainer::TrainerStatus},
    recall::{
        passport::{Difference, Passport},
        phases::PhasesTold,
        versions::VersionSummary,
    },
    trials::trial_view::Assessment,
};

/// What is said of work that goes on behind the answer.
pub(super) const BEGUN: &str = "it has begun";
/// Something is in the journal.
pub(super) const NOTED: Performed = Performed::Note { done: "noted", durable: true };

/// The answer to `ping`.
#[derive(Debug, Serialize)]
pub(super) struct Pong {
    /// Version of the program.
    pub(super) version: &'static str,
}

/// The answer to `status`.
#[derive(Debug, Serialize)]
pub(super) struct StatusAnswer {
    pub(super) status: Status,
}

/// The answer to `training`.
#[derive(Debug, Serialize)]
pub(super) struct TrainingAnswer {
    pub(super) training: TrainerStatus,
}

/// The answer to `models`.
#[derive(Debug, Serialize)]
pub(super) struct ModelsAnswer {
    pub(super) models: Vec<VersionSummary>,
}

/// The answer to `model`.
#[derive(Debug, Serialize)]
pub(super) struct ModelAnswer {
    pub(super) model: Passport,
    /// With what it differs in from the other version, where one was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) differ: Option<Vec<Difference>>,
}

/// The answer to `phases`.
#[derive(Debug, Serialize)]
pub(super) struct PhasesAnswer {
    pub(super) phases: PhasesTold,
}

/// The answer to `experiment`.
#[derive(Debug, Serialize)]
pub(super) struct ExperimentAnswer {
    pub(super) trials: Vec<Assessment>,
}

/// The answer to `signals`.
#[derive(Debug, Serialize)]
pub(super) struct SignalsAnswer {
    /// Newest last.
    pub(super) signals: Vec<ToldSignal>,
}

/// The answer to `drift`.
#[derive(Debug, Serialize)]
pub(super) struct DriftAnswer {
    pub(super) versions: DriftStatus,
}

/// The answers to orders that others than the guardian carry out.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Performed {
    /// `reload`: a sentence for each version that keeps another policy, and the keys that wait for a restart.
    Reload { done: &'static str, kept: Vec<String>, notes: Vec<String> },
    /// `archive`: its number since the start.
    Archive { archiving: u64, done: &'static str },
    /// `schedule_run`: the name of the job.
    Run { done: &'static str, job: &'static str },
    /// `train`, `validate`, and `reinstate` of a version that is judged first: the number since the start.
    Train { done: &'static str, training: u64 },
    /// `imported` and `backed_up`.
    Note { done: &'static str, durable: bool },
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::protocol::message::{write_ok, write_sorted};

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_is_written_as_an_object_whose_fields_stand_in_the_order_of_their_names() {
        let lists = || vec!["a".to_owned()];
        let performed = [
            (
                Performed::Reload { done: "it", kept: lists(), notes: lists() },
                json!({ "notes": ["a"], "kept": ["a"], "done": "it" }),
            ),
            (Performed::Archive { archiving: 3, done: BEGUN }, json!({ "done": BEGUN, "archiving": 3 })),
            (Performed::Run { job: "review", done: BEGUN }, json!({ "job": "review", "done": BEGUN })),
            (Performed::Train { done: BEGUN, training: 3 }, json!({ "training": 3, "done": BEGUN })),
            (NOTED, json!({ "durable": true, "done": "noted" })),
        ];
        for (told, sorted) in performed {
            assert_eq!(written(|out| write_ok(out, None, &told)), written(|out| write_ok(out, None, &sorted)));
        }
        let models = || {
            let model = VersionSummary {
                version: "ES/1".parse().unwrap(),
                state: crate::domain::lifecycle::State::Staging,
                overridden: false,
                created_at: None,
                kind: None,
                target: None,
                training_rows: None,
                training_span: None,
                parent: None,
                importance: Vec::new(),
                metrics: [("b".into(), 1.0), ("a".into(), f64::NAN)].into(),
                error: None,
            };
            ModelsAnswer { models: vec![model] }
        };
        let id = serde_json::value::RawValue::from_string("7".to_owned()).unwrap();
        let text = written(|out| write_sorted(out, Some(&id), &models()));
        assert_eq!(
            text,
            concat!(
                r#"{"ok":true,"id":7,"models":[{"created_at":null,"importance":[],"kind":null,"metrics":{"a":null,"b":1.0},"#,
                r#""overridden":false,"parent":null,"state":"staging","target":null,"training_rows":null,"training_span":null,"#,
                r#""version":"ES/1"}]}"#,
                "\n"
            )
        );
    }
}
