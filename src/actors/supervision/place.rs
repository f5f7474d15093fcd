//! The places at which a part may panic and is caught: one name for each making, installation, handler, future and thread.
//! `tests/supervision.rs` plants a panic at every one of them.

/// A place at which a panic is caught and counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the table below says what each is")]
pub enum Place {
    ScorerMake,
    ScorerFold,
    ScorerInstall,
    ScorerScore,
    ScorerObserve,
    GuardianMake,
    GuardianLoad,
    GuardianInstall,
    GuardianOutcome,
    GuardianRecall,
    GuardianPastClosed,
    GuardianSkip,
    GuardianContest,
    GuardianContradiction,
    GuardianSettle,
    GuardianUnread,
    GuardianOrder,
    GuardianKillFile,
    GuardianOrderRead,
    GuardianAdvance,
    GuardianCommitted,
    GuardianRegister,
    GuardianFinding,
    GuardianVerify,
    GuardianVerifyRead,
    GuardianLock,
    GuardianLockEnd,
    GuardianObserve,
    GuardianSave,
    GuardianInDoubt,
    GuardianForget,
    RouterMake,
    RouterFold,
    RouterInstall,
    RouterLook,
    RouterCriteria,
    RouterCriteriaWork,
    RouterMade,
    RouterAsk,
    RouterAnswered,
    RouterAssess,
    RouterObserve,
    TrainerMake,
    TrainerInstall,
    TrainerAsk,
    TrainerObserve,
    TrainerThread,
    TrainerEnd,
    JournalTurn,
    JournalApply,
    JournalCommit,
    JournalNote,
    JournalOpen,
    JournalRead,
    MonitorMake,
    MonitorFold,
    MonitorTold,
    MonitorTick,
    KeeperLook,
    KeeperFold,
    Archiving,
    GatewayScore,
    GatewayAnswer,
    GatewayRecord,
    GatewayRead,
    GatewayCopy,
    GatewayAlerts,
    SubscriberTell,
    SubscriberPage,
    DaemonServe,
    DaemonRounds,
    DaemonReload,
    DaemonReloadRead,
    DaemonLock,
    DiskJob,
    ServingJob,
    ApartJob,
    WatchdogBeat,
    Connection,
}

/// Of a place: the part it belongs to, what happens there, and the name of the future that goes on with it, if there is one.
type Row = (Place, &'static str, &'static str, Option<&'static str>);

const ROWS: [Row; 79] = [
    (Place::ScorerMake, "scorer", "make", None),
    (Place::ScorerFold, "scorer", "fold", None),
    (Place::ScorerInstall, "scorer", "install", None),
    (Place::ScorerScore, "scorer", "score", None),
    (Place::ScorerObserve, "scorer", "observe", None),
    (Place::GuardianMake, "guardian", "make", None),
    (Place::GuardianLoad, "guardian", "load", None),
    (Place::GuardianInstall, "guardian", "install", None),
    (Place::GuardianOutcome, "guardian", "outcome", Some("outcome/future")),
    (Place::GuardianRecall, "guardian", "recall", None),
    (Place::GuardianPastClosed, "guardian", "past_closed", Some("past_closed/future")),
    (Place::GuardianSkip, "guardian", "skip", Some("skip/future")),
    (Place::GuardianContest, "guardian", "contest", Some("contest/future")),
    (Place::GuardianContradiction, "guardian", "contradiction", Some("contradiction/future")),
    (Place::GuardianSettle, "guardian", "settle", Some("settle/future")),
    (Place::GuardianUnread, "guardian", "unread", Some("unread/future")),
    (Place::GuardianOrder, "guardian", "order", Some("order/future")),
    (Place::GuardianKillFile, "guardian", "kill-file", None),
    (Place::GuardianOrderRead, "guardian", "order/read", None),
    (Place::GuardianAdvance, "guardian", "advance", Some("advance/future")),
    (Place::GuardianCommitted, "guardian", "committed", None),
    (Place::GuardianRegister, "guardian", "register", Some("register/future")),
    (Place::GuardianFinding, "guardian", "finding", None),
    (Place::GuardianVerify, "guardian", "verify", Some("verify/future")),
    (Place::GuardianVerifyRead, "guardian", "verify/read", None),
    (Place::GuardianLock, "guardian", "lock", Some("lock/future")),
    (Place::GuardianLockEnd, "guardian", "lock_end", Some("lock_end/future")),
    (Place::GuardianObserve, "guardian", "observe", None),
    (Place::GuardianSave, "guardian", "save", None),
    (Place::GuardianInDoubt, "guardian", "in_doubt", None),
    (Place::GuardianForget, "guardian", "forget", None),
    (Place::RouterMake, "ab_router", "make", None),
    (Place::RouterFold, "ab_router", "fold", None),
    (Place::RouterInstall, "ab_router", "install", None),
    (Place::RouterLook, "ab_router", "look", None),
    (Place::RouterCriteria, "ab_router", "criteria", None),
    (Place::RouterCriteriaWork, "ab_router", "criteria/work", None),
    (Place::RouterMade, "ab_router", "made", None),
    (Place::RouterAsk, "ab_router", "ask", None),
    (Place::RouterAnswered, "ab_router", "answered", None),
    (Place::RouterAssess, "ab_router", "assess", None),
    (Place::RouterObserve, "ab_router", "observe", None),
    (Place::TrainerMake, "trainer", "make", None),
    (Place::TrainerInstall, "trainer", "install", None),
    (Place::TrainerAsk, "trainer", "ask", None),
    (Place::TrainerObserve, "trainer", "observe", None),
    (Place::TrainerThread, "trainer", "thread", None),
    (Place::TrainerEnd, "trainer", "end", None),
    (Place::JournalTurn, "journal", "turn", None),
    (Place::JournalApply, "journal", "apply", None),
    (Place::JournalCommit, "journal", "commit", None),
    (Place::JournalNote, "journal", "note", None),
    (Place::JournalOpen, "journal", "open", None),
    (Place::JournalRead, "journal", "read", None),
    (Place::MonitorMake, "monitor", "make", None),
    (Place::MonitorFold, "monitor", "fold", None),
    (Place::MonitorTold, "monitor", "told", None),
    (Place::MonitorTick, "monitor", "tick", None),
    (Place::KeeperLook, "keeper", "look", None),
    (Place::KeeperFold, "keeper", "fold", None),
    (Place::Archiving, "archivist", "archive", None),
    (Place::GatewayScore, "gateway", "score", None),
    (Place::GatewayAnswer, "gateway", "answer", None),
    (Place::GatewayRecord, "gateway", "record", None),
    (Place::GatewayRead, "gateway", "read", None),
    (Place::GatewayCopy, "gateway", "copy", None),
    (Place::GatewayAlerts, "gateway", "alerts", None),
    (Place::SubscriberTell, "subscriber", "tell", None),
    (Place::SubscriberPage, "subscriber", "page", None),
    (Place::DaemonServe, "daemon", "serve", None),
    (Place::DaemonRounds, "daemon", "rounds", None),
    (Place::DaemonReload, "daemon", "reload", None),
    (Place::DaemonReloadRead, "daemon", "reload/read", None),
    (Place::DaemonLock, "daemon", "lock", None),
    (Place::DiskJob, "jobs", "disk", None),
    (Place::ServingJob, "jobs", "serving", None),
    (Place::ApartJob, "jobs", "apart", None),
    (Place::WatchdogBeat, "watchdog", "beat", None),
    (Place::Connection, "connection", "run", None),
];

impl Place {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        ROWS.iter().map(|(place, ..)| *place)
    }

    fn row(self) -> &'static Row {
        const UNKNOWN: Row = (Place::Connection, "unknown", "unknown", None);
        ROWS.get(self as usize).unwrap_or(&UNKNOWN)
    }

    /// The part that it belongs to, as `status` and the events name it.
    pub fn actor(self) -> &'static str {
        self.row().1
    }

    /// What happens there.
    pub fn name(self) -> &'static str {
        self.row().2
    }

    /// The name of the future that its handler returns, if it returns one.
    pub fn future(self) -> Option<&'static str> {
        self.row().3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_has_the_row_of_its_own_number_and_a_name_of_its_own() {
        let mut names = std::collections::BTreeSet::new();
        for (number, (place, actor, name, future)) in ROWS.iter().enumerate() {
            assert_eq!(*place as usize, number, "{place:?}");
            assert!(names.insert((actor, *name)), "{place:?}");
            assert!(future.is_none_or(|future| names.insert((actor, future))), "{place:?}");
        }
        // the last of the enumeration
        assert_eq!(Place::Connection as usize + 1, ROWS.len());
    }
}
