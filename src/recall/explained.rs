//! What moved the scores of a past signal. The journal keeps what came and what was said, not what was carried forward: that is
//! made again from the signals before, and told only where it gives the score that was recorded.
#![deny(clippy::indexing_slicing)]

use jiff::SignedDuration;
use serde::Serialize;

use super::{in_time::pipeline, versions};
use crate::{
    config::Config,
    domain::{Probability, VersionId},
    features::pipeline::Pipeline,
    journal::{Reader, Source, StoreError, Stored, StoredSignal},
    policy::serving::Explained,
};

/// Records that are looked through at first for what was carried forward, and at most.
const FIRST_RECORDS: u64 = 512;
const MOST_RECORDS: u64 = 20_000;

/// What moved the score of one version.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VersionExplained {
    /// Which.
    pub version: VersionId,
    /// What its score rests on. `None` where that cannot be told, with the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explained: Option<Explained>,
    /// Why it is not told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown: Option<String>,
}

/// What moved the score of each version that had one of `stored`, in the order of its opinions.
///
/// # Errors
/// When the storage cannot be read. A version that cannot be read any more is told of.
pub fn explained(reader: &Reader, config: &Config, stored: &StoredSignal) -> Result<Vec<VersionExplained>, StoreError> {
    let opinions = &stored.record.opinions;
    if opinions.iter().all(|opinion| opinion.score.is_none()) {
        return Ok(Vec::new());
    }
    let mut pipeline = before(reader, config, stored)?;
    let schema = pipeline.as_ref().map(|pipeline| pipeline.schema().clone());
    let seen = pipeline.as_mut().and_then(|pipeline| pipeline.look(&stored.signal).ok());
    let of = |version: &VersionId, recorded: Probability| {
        let (Some(seen), Some(schema)) = (&seen, &schema) else {
            return Err("its symbol is not configured any more".to_owned());
        };
        let served = versions::served(reader, version, schema, config).map_err(|error| error.to_string())?;
        let found = served.explain(seen).filter(|found| found.score == recorded);
        found.ok_or_else(|| {
            "its inputs cannot be made again as they were: the configuration or the order of the signals was another one"
                .to_owned()
        })
    };
    let scored = opinions.iter().filter_map(|opinion| Some((&opinion.version, opinion.score?)));
    let told = scored.map(|(version, recorded)| {
        let (explained, unknown) = match of(version, recorded) {
            Ok(explained) => (Some(explained), None),
            Err(why) => (None, Some(why)),
        };
        VersionExplained { version: version.clone(), explained, unknown }
    });
    Ok(told.collect())
}

/// What was carried forward when `stored` came: by the signals that were recorded before it, as far back as a value is used and
/// [`MOST_RECORDS`] reach. `None` where no inputs can be made.
fn before(reader: &Reader, config: &Config, stored: &StoredSignal) -> Result<Option<Pipeline>, StoreError> {
    let mut records = FIRST_RECORDS;
    loop {
        let Ok(mut pipeline) = pipeline(config) else { return Ok(None) };
        let ages = pipeline.schema().names().map(|name| 3600.0 * config.features.max_age_hours(name));
        let longest = SignedDuration::try_from_secs_f64(ages.fold(0.0, f64::max)).unwrap_or(SignedDuration::MAX);
        let from = stored.seq.saturating_sub(records);
        let mut oldest = None;
        for found in reader.recorded(from)? {
            match found {
                Ok((seq, _)) if seq >= stored.seq => break,
                Ok((_, Ok(Stored::Signal(known)))) => {
                    oldest.get_or_insert(known.signal.at);
                    if known.record.source == Source::Live && !known.lies_ahead() {
                        pipeline.remember(&known.signal);
                    }
                }
                Ok(_) | Err(StoreError::BadRecord(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let is_enough = oldest.is_some_and(|oldest| stored.signal.at.duration_since(oldest) > longest);
        if (is_enough && pipeline.remembers_enough(&stored.signal.symbol)) || from == 0 || records >= MOST_RECORDS {
            return Ok(Some(pipeline));
        }
        records *= 4;
    }
}
