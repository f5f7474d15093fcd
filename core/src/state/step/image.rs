//! A state as bytes, and back. Equal states are equal bytes, so that two can be compared by a digest of them.
//!
//! The bytes have no names of fields: whoever changes what is stored, here or in a part of it, raises the number of the
//! format, which stands first. What is configured is not stored; it is that of the state that is filled.

use std::{collections::BTreeMap, io::Write};

use serde::{Deserialize, Serialize};

use super::{Risk, State};
use crate::{
    domain::{Timestamp, VersionId, trip::Trip},
    features::{fill::LastKnown, memory::MarketMemory},
    guard::{emergency::Emergency, gradual::Gradual},
    lifecycle::open_trades::{AnsweredSignal, OpenTradesImage},
    policy::stale::StaleWatch,
    trials::running::Trials,
};

/// The first byte.
const FORMAT: u8 = 6;

/// Why bytes are not those of a state that can be gone on from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadImage {
    /// They are of another format.
    #[error("its format is {0:?}, and not {FORMAT}")]
    Format(Option<u8>),
    /// They say nothing.
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    /// Its inputs are not those of now.
    #[error("it carries other inputs forward")]
    OtherInputs,
}

#[derive(Serialize)]
struct Written<'a> {
    at: Timestamp,
    open_trades: OpenTradesImage<&'a AnsweredSignal>,
    trials: &'a Trials,
    emergency: &'a Emergency,
    gradual: &'a BTreeMap<VersionId, Gradual>,
    stale: &'a StaleWatch,
    carried: Option<(&'a LastKnown, &'a MarketMemory)>,
    trips: &'a [Trip],
}

#[derive(Deserialize)]
struct Read {
    at: Timestamp,
    open_trades: OpenTradesImage<AnsweredSignal>,
    trials: Trials,
    emergency: Emergency,
    gradual: BTreeMap<VersionId, Gradual>,
    stale: StaleWatch,
    carried: Option<(LastKnown, MarketMemory)>,
    trips: Vec<Trip>,
}

impl State {
    /// The state as it is stored.
    ///
    /// # Errors
    /// [`BadImage::Unreadable`] when a part of it cannot be written.
    pub fn to_bytes(&self) -> Result<Vec<u8>, BadImage> {
        self.write(vec![])
    }

    /// Writes it as it is stored to `out`, piece by piece, and gives that back.
    ///
    /// # Errors
    /// As there, and when `out` takes no more.
    pub fn write<W: Write>(&self, mut out: W) -> Result<W, BadImage> {
        let written = Written {
            at: self.at,
            open_trades: self.risk.open_trades.image(),
            trials: &self.trials,
            emergency: &self.risk.emergency,
            gradual: &self.risk.gradual,
            stale: &self.stale,
            carried: self.pipeline.as_ref().map(|pipeline| pipeline.last_known()),
            trips: &self.risk.trips,
        };
        let unreadable = |error: postcard::Error| BadImage::Unreadable(error.to_string());
        out.write_all(&[FORMAT]).map_err(|error| BadImage::Unreadable(error.to_string()))?;
        postcard::to_io(&written, out).map_err(unreadable)
    }

    /// The state that was stored, with what is configured in this one.
    ///
    /// # Errors
    /// [`BadImage`]; such bytes are of no use.
    pub fn restored(self, bytes: &[u8]) -> Result<Self, BadImage> {
        let (FORMAT, body) = bytes.split_first().map_or((0, bytes), |(format, body)| (*format, body)) else {
            return Err(BadImage::Format(bytes.first().copied()));
        };
        let unreadable = |error: postcard::Error| BadImage::Unreadable(error.to_string());
        let (read, rest): (Read, &[u8]) = postcard::take_from_bytes(body).map_err(unreadable)?;
        if !rest.is_empty() {
            return Err(BadImage::Unreadable(format!("{} bytes stand behind it", rest.len())));
        }
        let pipeline = match (self.pipeline, read.carried) {
            (Some(pipeline), Some(carried)) => Some(pipeline.restored(carried).ok_or(BadImage::OtherInputs)?),
            (None, None) => None,
            _ => return Err(BadImage::OtherInputs),
        };
        Ok(Self {
            at: read.at,
            risk: Risk {
                open_trades: self.risk.open_trades.restored(read.open_trades),
                emergency: read.emergency,
                gradual: read.gradual,
                trips: read.trips,
            },
            trials: read.trials,
            stale: read.stale,
            pipeline,
        })
    }
}
