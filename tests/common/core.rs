//! A daemon of values: what the actors decide, by the same functions, without actors, socket or disk. It performs the
//! steps of a demonstration, so that hundreds of them take minutes, and so that a real daemon can be compared with it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what tests and examples share may fail loudly"
)]

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use serde_json::{Value, json};
use vigie::{
    config::{Config, Sections},
    domain::{
        Arm, Event, EventKind, Money, Outcome, Signal, SignalLine, Timestamp, TradeId, VersionId,
        event::{By, Level},
        lifecycle::{State, Transition},
    },
    features::{measured::Needs, pipeline::Pipeline, row::Schema},
    guard::watch::{Judgement, Watch, WatchNews, WatchedVersion},
    lifecycle::{
        happening::Happening,
        open_trades::{AnsweredSignal, OpenTrades},
        roster::Plan,
        watch_news::{closed_news, scored_news},
    },
    models::VersionRecord,
    policy::{
        routing::Splits,
        serving::{Scope, Served, Serving},
    },
    protocol::message::{self, Change, Request, Task},
    recall::{fold::open_trades_keep, learning::settings, scored::Scored, watched::Gathered},
    sim::{
        demo::{Demo, Ledger as Found, Step},
        execution::Answered,
    },
    state::step::{Response, State as Past},
    trials::{
        experiment::Criteria,
        promotion::{EvidenceStep as Promotion, after_test, to_staging, to_test},
        running::Keep,
        trial_view::Case,
    },
    validation::{
        Ledger, ValidationReport,
        arrival::{Arrival, Arrived},
        training::{Birth, History, Order, TrainError, revalidate, train},
    },
};

pub struct Core {
    config: Config,
    pipeline: Pipeline,
    past: Past,
    history: History,
    tried: Ledger,
    records: BTreeMap<VersionId, (VersionRecord, Arc<Served>)>,
    serving: Serving,
    criteria: BTreeMap<VersionId, Arc<Criteria>>,
    events: Vec<(u64, Event)>,
    told: usize,
    seq: u64,
    now: Timestamp,
    trainings: u64,
    pub found: Found,
    row: Vec<f64>,
    entries: HashMap<TradeId, AnsweredSignal>,
    /// What the monitor would read from the journal, and where each trade is in it.
    scored: Vec<Scored>,
    places: HashMap<TradeId, usize>,
    schema: Schema,
    watch: Watch,
    heard: Vec<WatchNews>,
    subjects: BTreeMap<VersionId, WatchedVersion>,
}

impl Core {
    pub fn new(config: Config) -> Self {
        let pipeline = Pipeline::new(config.symbols.clone(), config.calendar.clone(), &config.features).unwrap();
        let past = Past::new(OpenTrades::new(open_trades_keep(&config)), Keep::ALL, None);
        let mut core = Self {
            config,
            pipeline,
            past,
            history: History::default(),
            tried: Ledger::default(),
            records: BTreeMap::new(),
            serving: Serving::default(),
            criteria: BTreeMap::new(),
            events: Vec::new(),
            told: 0,
            seq: 0,
            now: Timestamp::UNIX_EPOCH,
            trainings: 0,
            found: Found::default(),
            row: Vec::new(),
            entries: HashMap::new(),
            scored: Vec::new(),
            places: HashMap::new(),
            schema: Schema::built_in(),
            watch: Watch::default(),
            heard: Vec::new(),
            subjects: BTreeMap::new(),
        };
        core.publish();
        core
    }

    /// Plays `demo` to its end.
    pub fn play(&mut self, demo: &mut Demo) {
        loop {
            let step = demo.next_step();
            if step == Step::Over {
                return;
            }
            self.perform(demo, step);
        }
    }

    fn perform(&mut self, demo: &mut Demo, step: Step) {
        match step {
            Step::Import { lines } => lines.iter().for_each(|line| self.import(line)),
            Step::Score { line, .. } => self.score(demo, &line),
            Step::Record { line } => self.record(&line),
            Step::Settle => {
                self.settle();
                for (seq, event) in &self.events[self.told..] {
                    demo.event(*seq, event);
                }
                self.told = self.events.len();
            }
            Step::Order { line } => {
                let refused = self.order(&line).err();
                demo.ordered(&line, refused.as_deref());
            }
            Step::Assess => demo.assessed(&self.trials()),
            // what the daemon holds is what its journal makes of it, which other tests show
            Step::Kill | Step::Over => {}
        }
    }

    fn import(&mut self, line: &str) {
        let SignalLine { signal, outcome, .. } = match message::decode(line.as_bytes()).body.unwrap() {
            Request::Import(import) => import.parsed,
            other => panic!("{other:?}"),
        };
        self.seq += 2;
        self.found.outcomes += 1;
        let outcome = outcome.unwrap();
        self.now = self.now.max(outcome.exit_at);
        let row = self.pipeline.inputs(&signal).unwrap().to_vec();
        self.note(&signal, None, row);
        self.closed_at_own_size(&signal.trade_id, outcome);
        self.arrive(signal, false);
    }

    fn arrive(&mut self, signal: Signal, live: bool) {
        self.history.arrivals.push(Arrival { signal: Arrived::Kept(self.history.signals.len()), live });
        self.history.signals.push(signal);
    }

    /// What the journal would hold of a signal, for the monitor.
    fn note(&mut self, signal: &Signal, entry: Option<&AnsweredSignal>, row: Vec<Option<f64>>) {
        self.places.entry(signal.trade_id.clone()).or_insert(self.scored.len());
        self.scored.push(Scored {
            signal: signal.clone(),
            received_at: entry.map_or(signal.at, |_| self.now),
            seq: self.seq,
            decision: entry.map(|entry| entry.decision.clone()),
            row,
            opinions: entry.map(|entry| entry.opinions.clone()).unwrap_or_default(),
            outcome: None,
            closed_seq: None,
            pnl: None,
        });
    }

    /// An outcome with its pnl at the strategy's own size, as everything that learns from it sees it. Whether it is new.
    fn closed_at_own_size(&mut self, trade_id: &TradeId, mut outcome: Outcome) -> bool {
        if self.history.outcomes.contains_key(trade_id) {
            return false;
        }
        if let Some(entry) = self.entries.get(trade_id) {
            let own = outcome.pnl.and_then(|pnl| entry.at_own_size(pnl.get()));
            outcome.pnl = own.and_then(|pnl| Money::new(pnl).ok());
        }
        let scored = &mut self.scored[self.places[trade_id]];
        scored.pnl = outcome.pnl.map(|pnl| pnl.get());
        scored.closed_seq = Some(self.seq);
        scored.outcome = Some((self.now.max(outcome.exit_at), outcome.clone()));
        self.history.outcomes.insert(trade_id.clone(), outcome);
        true
    }

    fn score(&mut self, demo: &mut Demo, line: &str) {
        let Request::Score(request) = message::decode(line.as_bytes()).body.unwrap() else { panic!("{line}") };
        let signal = request.signal;
        self.pass_to(signal.at);
        let first =
            self.past.risk.open_trades.entry(&signal.trade_id).map(|entry| entry.opinions.clone()).unwrap_or_default();
        let seen = self.pipeline.look(&signal).unwrap();
        let inputs_row = seen.values.to_vec();
        let scored = self.serving.answer(&self.config.policy, &signal, &seen, None, &first, &mut self.row);
        self.pipeline.keep(&signal);
        self.seq += 1;
        self.found.take(self.seq, Some(&scored.decision));
        let instrument = self.config.symbols.get(&signal.symbol);
        let (arm, size) = (scored.decision.arm, scored.decision.size);
        let entry =
            AnsweredSignal::of_signal(&signal, &self.config.calendar, instrument, scored.decision, scored.opinions);
        self.take(Happening::Scored { at: self.now, entry: Box::new(entry.clone()) });
        let trade_id = signal.trade_id.clone();
        if self.places.contains_key(&trade_id) {
            self.history.arrivals.push(Arrival { signal: Arrived::Repeat(Box::new(signal.clone())), live: true });
        } else {
            self.note(&signal, Some(&entry), inputs_row.clone());
            self.arrive(signal.clone(), true);
        }
        if arm == Arm::Ml {
            self.history.heard.insert(trade_id.clone());
        }
        let news = scored_news(self.now, &entry, inputs_row, signal.trend());
        self.entries.entry(trade_id.clone()).or_insert(entry);
        self.hear(news.unwrap_or(WatchNews::Time(self.now)));
        demo.answered(&trade_id, Answered { arm, size });
        assert!(arm == Arm::Ml || size == 1.0);
    }

    fn record(&mut self, line: &str) {
        match message::decode(line.as_bytes()).body.unwrap() {
            Request::Outcome(request) => {
                self.pass_to(request.outcome.exit_at);
                if !self.closed_at_own_size(&request.trade_id, request.outcome.clone()) {
                    return;
                }
                self.found.outcomes += 1;
                self.seq += 1;
                let news = closed_news(self.now, &self.entries[&request.trade_id], &request.outcome);
                let (trade_id, outcome) = (request.trade_id, Box::new(request.outcome));
                let kinds = self.take(Happening::Closed { at: self.now, trade_id, echo: None, outcome });
                self.happen(kinds);
                self.hear(news);
            }
            Request::Skip(skip) => {
                self.seq += 1;
                self.take(Happening::Skipped { at: self.now, trade_id: skip.trade_id });
            }
            other => panic!("{other:?}"),
        }
    }

    /// Moves the time on as a replay does: each trading day that ends in between is judged at its end. What follows from
    /// the messages of a day is done when the demonstration says so.
    fn pass_to(&mut self, at: Timestamp) {
        if at > self.now && self.now > Timestamp::UNIX_EPOCH {
            let mut day = self.config.calendar.day_of(self.now).date();
            while !self.serving.splits.is_empty() {
                day = day.tomorrow().unwrap();
                match self.config.calendar.opening(day) {
                    Some(opening) if opening < at => {
                        self.now = opening;
                        self.hear(WatchNews::Time(opening));
                        self.settle();
                    }
                    _ => break,
                }
            }
        }
        self.now = self.now.max(at);
    }

    fn take(&mut self, happening: Happening) -> Vec<EventKind> {
        self.past.step(&self.config.rules(), happening).events
    }

    fn happen(&mut self, kinds: Vec<EventKind>) {
        for kind in kinds {
            self.seq += 1;
            self.tried.apply(&kind);
            let event = Event { at: self.now, kind };
            self.events.push((self.seq, event.clone()));
            self.take(Happening::Event(event));
        }
        self.publish();
    }

    fn publish(&mut self) {
        let roster = self.past.trials.roster();
        let load = |version: &VersionId| self.records.get(version).map(|(_, served)| Arc::clone(served));
        let share = |version: &VersionId| (version.clone(), roster.share(version));
        let (mut scopes, mut splits) = (BTreeMap::new(), BTreeMap::new());
        for (symbol, plan) in roster.plan() {
            let split = Splits::new(plan.test.as_ref().map(share), plan.production.as_ref().map(share));
            splits.insert(symbol.clone(), split);
            let scope = Scope {
                production: plan.production.as_ref().and_then(load),
                test: plan.test.as_ref().and_then(load),
                shadows: plan.shadows.iter().filter_map(load).collect(),
                silenced: roster.silenced(&symbol).is_some(),
            };
            scopes.insert(symbol, scope);
        }
        let epoch = self.serving.epoch + 1;
        self.serving = Serving::new(epoch, roster.lock(), scopes, splits);
    }

    /// The monitor hears of it, and what it finds of a day that has closed is acted on.
    fn hear(&mut self, news: WatchNews) {
        self.keep_up();
        if !matches!(news, WatchNews::Time(_)) {
            self.heard.push(news.clone());
        }
        let judged = self.watch.hear(&self.config.monitoring.watch, &self.config.calendar, news);
        judged.into_iter().for_each(|judgement| self.judged(judgement));
    }

    /// Watches those who are in service now. While all are locked, those who were go on being watched.
    fn keep_up(&mut self) {
        let roster = self.past.trials.roster();
        if roster.lock().is_some() {
            return;
        }
        let of = |plan: Plan| plan.production.into_iter().chain(plan.test).chain(plan.shadows);
        let versions: Vec<VersionId> = roster.plan().into_values().flat_map(of).collect();
        let known: Vec<VersionId> = self.watch.versions().cloned().collect();
        let options = &self.config.monitoring.watch;
        if versions.iter().all(|version| known.contains(version)) {
            if known.len() != versions.len() {
                self.watch.serve(options, &versions, |_| WatchedVersion::default());
            }
            return;
        }
        for version in versions.iter().filter(|version| !known.contains(version)) {
            let (record, served) = &self.records[version];
            let is_its =
                |kind: &EventKind| matches!(kind, EventKind::Trained { version: trained, .. } if trained == version);
            let born = self.events.iter().find(|(_, event)| is_its(&event.kind)).unwrap().0;
            let mut past = Gathered::new(record, served, &self.schema, &self.config, born);
            self.scored.iter().for_each(|scored| past.take(scored));
            let subject = past.judged_against();
            self.subjects.insert(version.clone(), subject);
        }
        self.watch = Watch::default();
        self.watch.serve(options, &versions, |version| self.subjects.get(version).cloned().unwrap_or_default());
        for news in &self.heard {
            // what followed was done when it happened
            let _judged = self.watch.hear(options, &self.config.calendar, news.clone());
        }
    }

    fn judged(&mut self, judgement: Judgement) {
        let response = self.past.risk.judged(&self.config.rules(), self.past.trials.roster(), judgement);
        let Some(Response { version, alerts, lock, train, judged, out, share }) = response else { return };
        let kinds = alerts.into_iter().chain(lock).chain([judged]).chain(out);
        self.happen(kinds.chain(share.into_iter().flat_map(|(told, shared)| [told, shared])).collect());
        if train.is_some() {
            let message = format!("a successor of {version} is being trained: training {}", self.trainings + 1);
            self.happen(vec![EventKind::Alert { level: Level::Warning, code: "retrain".into(), message }]);
            self.train(&Order { symbol: version.symbol, model: None, target: None, days: None });
        }
    }

    /// Takes every step that follows from the evidence.
    fn settle(&mut self) {
        let (today, wait) = (self.config.calendar.day_of(self.now), self.config.experiment.outcome_wait_days);
        self.past.trials.close_due(today, wait);
        let mut steps: Vec<Promotion> = Vec::new();
        for version in self.past.trials.unjudged() {
            let criteria = self.criteria_of(&version);
            while let Some((standing, ruling)) = self.past.trials.judge_next(&version, &criteria, self.now) {
                steps.retain(|step| step.version != version);
                steps.extend(after_test(&version, &standing, &ruling));
                if !steps.is_empty() {
                    break;
                }
            }
        }
        loop {
            if steps.is_empty() {
                steps.extend(to_test(&self.past.trials, &self.config.staging, self.now));
                steps.extend(to_staging(&self.past.trials));
                steps.retain(|step| self.may(step));
            }
            if steps.is_empty() {
                return;
            }
            for step in std::mem::take(&mut steps).into_iter().filter(|step| self.may(step)).collect::<Vec<_>>() {
                self.advance(step);
            }
        }
    }

    fn may(&self, step: &Promotion) -> bool {
        let roster = self.past.trials.roster();
        step.held_back(roster).is_none() && roster.advance(&step.version, step.step).is_ok()
    }

    fn advance(&mut self, step: Promotion) {
        let steps = self.past.trials.roster().advance(&step.version, step.step).unwrap();
        let terms = self.config.experiment.terms();
        let moved = |(version, one): (VersionId, Transition)| {
            let mut evidence = if version == step.version { step.evidence.clone() } else { BTreeMap::new() };
            if one == Transition::StartTest {
                evidence.extend(terms.numbers());
            }
            let (reason, by) = (step.reason.clone(), By::Daemon("ab_router".into()));
            EventKind::Moved { version, step: one, reason, by, overridden: false, evidence }
        };
        let kinds = steps.into_iter().map(moved).collect();
        self.happen(kinds);
    }

    fn criteria_of(&mut self, version: &VersionId) -> Arc<Criteria> {
        let options = &self.config.experiment;
        let new = || Arc::new(Criteria::new(options.clone()).unwrap());
        Arc::clone(self.criteria.entry(version.clone()).or_insert_with(new))
    }

    fn trials(&self) -> Value {
        let trials = &self.past.trials;
        let on_trial = |state| matches!(state, State::Staging | State::AbTest | State::Production);
        let versions = trials.roster().versions().filter(|(_, standing)| on_trial(standing.state));
        let assess = |(version, _): (&VersionId, _)| {
            let ready = self.criteria.get(version);
            let Sections { experiment, staging, .. } = &*self.config;
            Case::of(trials, version, experiment, staging, self.now, ready)?.assess().ok()
        };
        json!(versions.filter_map(assess).collect::<Vec<_>>())
    }

    fn order(&mut self, line: &str) -> Result<(), String> {
        match message::decode(line.as_bytes()).body.unwrap() {
            Request::Change(Change::Resume { reason, same_day }) => {
                let today = self.config.calendar.day_of(self.now);
                let same_day =
                    self.past.trials.roster().silence().may_resume(today, same_day, self.config.account.paper)?;
                self.happen(vec![EventKind::Resumed { reason, by: By::Uid(0), same_day }]);
            }
            Request::Task(Task::Train { symbol, model, target, days, .. }) => {
                self.train(&Order { symbol, model, target, days });
            }
            Request::Task(Task::Validate { version, .. }) => self.validate(&version),
            other => panic!("{other:?}"),
        }
        Ok(())
    }

    fn train(&mut self, order: &Order) {
        self.trainings += 1;
        let roster = self.past.trials.roster();
        let symbol = &order.symbol;
        let id = VersionId { symbol: symbol.clone(), number: roster.next_number(symbol) };
        let parent = roster.plan().remove(symbol).and_then(|plan| plan.production);
        let birth = Birth { id: id.clone(), created_at: self.now, parent };
        let done = train(birth, order, &self.history, &settings(&self.config), &self.tried, &mut |_, _| ());
        match done {
            Err(error) => self.refused(&error),
            Ok(trained) => {
                let schema = Schema::built_in();
                let design = trained.record.design.for_schema(&schema).unwrap();
                let needs = Needs::new(design.known_inputs(), &trained.record.importance, &self.config.stale);
                let served = Served::new(
                    id.clone(),
                    design,
                    needs,
                    trained.record.model.compile().unwrap(),
                    [0; 32],
                    (trained.record.question(), trained.record.standard, trained.record.policy),
                );
                let mut kinds = vec![EventKind::Tried(Box::new(trained.trial))];
                let evidence = trained.record.metrics.clone();
                kinds.push(EventKind::Trained { version: id.clone(), evidence });
                kinds.push(judged(&id, &trained.report));
                self.past.risk.emergency.ask(&id, trained.record.question(), trained.record.standard);
                self.records.insert(id, (trained.record, Arc::new(served)));
                self.happen(kinds);
            }
        }
    }

    fn validate(&mut self, version: &VersionId) {
        self.trainings += 1;
        let record = &self.records[version].0;
        match revalidate(record, &self.history, &settings(&self.config), &self.tried, &mut |_, _| ()) {
            Err(error) => self.refused(&error),
            Ok(report) => {
                let EventKind::Moved { reason, by, evidence, .. } = judged(version, &report) else { unreachable!() };
                let again = EventKind::Moved {
                    version: version.clone(),
                    step: Transition::Revalidate,
                    reason,
                    by,
                    overridden: false,
                    evidence,
                };
                self.happen(vec![again, judged(version, &report)]);
            }
        }
    }

    fn refused(&mut self, error: &TrainError) {
        let message = format!("training {} came to nothing: {error}", self.trainings);
        self.happen(vec![EventKind::Alert { level: Level::Warning, code: "training_refused".into(), message }]);
    }
}

fn judged(version: &VersionId, report: &ValidationReport) -> EventKind {
    EventKind::Moved {
        version: version.clone(),
        step: if report.is_deployable() { Transition::Validate } else { Transition::Reject },
        reason: report.summary(),
        by: By::Daemon("trainer".into()),
        overridden: false,
        evidence: report.decided_on(),
    }
}
