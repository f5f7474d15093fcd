//! The check of the checkpoint that the daemon began from: the log is folded from its beginning, slice by slice.

use std::sync::Arc;

use super::{Keeper, KeeperNews, SLICE, Undone};
use crate::{
    actors::jobs::{Running, names},
    config::Config,
    recall::{
        checkpoint::{digest_of, forget},
        fold::{Begun, Folded, READS, Slot},
    },
};

/// The fold from the beginning that a checkpoint is compared with.
pub(super) struct FoldComparison {
    against: Begun,
    folded: Option<Box<(Folded, Arc<Config>)>>,
    pub(super) running: Running,
}

/// What came of a comparison.
enum Compared {
    /// There is more to fold.
    NotYet,
    Same,
    Differs,
    /// What is in force is not what the daemon began with.
    Void,
}

impl Keeper {
    /// It is begun, again after a panic.
    pub(super) fn begin_check(&mut self) {
        self.check = self.unchecked.map(|against| FoldComparison {
            against,
            folded: None,
            running: self.jobs.begin(names::CHECKPOINT_CHECK),
        });
    }

    /// Goes on with the fold from the beginning, and compares it when it has come as far as the checkpoint.
    pub(super) fn check(&mut self) -> Result<(), Undone> {
        let Some(mut check) = self.check.take() else { return Ok(()) };
        let compared = self.compare(&mut check);
        if matches!(&compared, Ok(compared) if !matches!(compared, Compared::NotYet)) {
            self.unchecked = None;
        }
        match compared {
            Err(undone) => {
                self.check = Some(check);
                return Err(undone);
            }
            Ok(Compared::NotYet) => self.check = Some(check),
            Ok(Compared::Same) => check.running.end(Ok("it is the same".into())),
            Ok(Compared::Differs) => check.running.end(Err("it differs, and serving is locked".to_owned())),
            Ok(Compared::Void) => check.running.end(Ok("not compared: the configuration has changed".into())),
        }
        Ok(())
    }

    fn compare(&mut self, check: &mut FoldComparison) -> Result<Compared, Undone> {
        let config = self.config.load_full();
        let FoldComparison { against: Begun { seq, digest: expected, .. }, folded, .. } = check;
        if folded.is_none() {
            // damage that it meets is seen to where the journal is written
            let reader = self.journal.read_blocking().map_err(|error| error.to_string())?;
            reader.audit().map_err(|error| error.to_string())?;
            *folded = Some(Box::new((Folded::empty(&config)?, Arc::clone(&config))));
        }
        let Some((folded, by)) = folded.as_deref_mut() else { return Ok(Compared::NotYet) };
        if by.hash_of(&READS) != config.hash_of(&READS) {
            return Ok(Compared::Void); // what is in force now is not what the daemon began with
        }
        let reader = self.journal.read_blocking().map_err(|error| error.to_string())?;
        let slice = (*seq).min(folded.seq + SLICE);
        self.fold(|| folded.go_on(&reader, &config, slice))?;
        if let Some(fault) = folded.doubt.take() {
            // what the daemon began from may be right; a repeated outcome of an archived trade cannot be recognised
            self.is_doubted = true;
            self.tell(KeeperNews::Differs(fault));
            return Ok(Compared::Differs);
        }
        if folded.seq < *seq {
            return Ok(Compared::NotYet);
        }
        let found = digest_of(&folded.state)?;
        if found == *expected && folded.unreadable == 0 {
            tracing::info!(number = *seq, "the checkpoint is what the log comes to from its beginning");
            return Ok(Compared::Same);
        }
        let why = if folded.unreadable == 0 { "" } else { ", where records cannot be read any more" };
        let doubt = format!(
            "the checkpoint at number {seq}, which the daemon began from, is not what the log comes to from its \
             beginning{why}: the next start reads all of the log; look at what is in service, and resume after that"
        );
        self.is_doubted = true;
        self.tell(KeeperNews::Differs(doubt));
        self.write([Slot::A, Slot::B, Slot::Base].map(forget))?;
        Ok(Compared::Differs)
    }
}
