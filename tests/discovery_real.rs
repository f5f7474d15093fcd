//! The search on the real trades: it is honest when it finds nothing, and it takes less than a minute in a build with optimisation.
#![expect(clippy::unwrap_used, reason = "what the tests share may fail loudly")]

use std::io::Read as _;

use flate2::read::GzDecoder;
use vigie::{
    config::Config,
    discovery::{DiscoveryOptions, Standing, prepare, search},
    domain::{SignalLine, Symbol},
    models::{Kind, Target},
    recall::learning::settings,
    validation::{Recipe, training::History},
};

#[path = "common/real.rs"]
mod real;
#[path = "common/skip.rs"]
mod skip;

#[test]
#[ignore = "a minute or two without optimisation; prints what a search finds in the real trades"]
fn a_search_in_the_real_trades_tells_what_it_finds() {
    let Some(file) = real::data() else { return };
    let mut text = String::new();
    GzDecoder::new(std::fs::File::open(file).unwrap()).read_to_string(&mut text).unwrap();
    let mut history = History::default();
    for line in text.lines() {
        let SignalLine { signal, outcome, .. } = SignalLine::parse(line.as_bytes()).unwrap();
        outcome.into_iter().for_each(|outcome| drop(history.outcomes.insert(signal.trade_id.clone(), outcome)));
        history.signals.push(signal);
    }
    history.signals.sort_by(|a, b| (a.at, &a.trade_id).cmp(&(b.at, &b.trade_id)));
    let config = Config::parse("built-in", "").unwrap();
    for target in [Target::Profitability, Target::Pnl] {
        let prepared = prepare(&Symbol::new("ES").unwrap(), target, &history, &settings(&config)).unwrap();
        let (trades, candidates) = (prepared.examples.len(), prepared.candidates.len());
        let recipe = Recipe {
            kind: Kind::Logistic.for_target(target.kind()),
            target,
            solver: config.training.solver,
            design: &config.features,
            seed: 1,
        };
        let options =
            DiscoveryOptions { false_discovery_rate: 0.1, folds: 5, stable_folds: 4, embargo_hours: 24.0, seed: 1 };
        let found = search(&prepared.examples, &prepared.candidates, &recipe, &options, &mut |_| ()).unwrap();
        println!("{target}: {candidates} candidates, {} usable, {trades} trades", found.tried);
        for finding in found.findings.iter().take(12) {
            let (r, p, q) = (finding.correlation, finding.p, finding.false_discovery_rate);
            println!(
                "{:?} {} r {r:.3?} {:.3?} p {p:.5?} q {q:.3?} {:?}",
                finding.standing, finding.expression, finding.interval, finding.gain
            );
        }
        assert!(trades > 2_000 && candidates > 150 && found.tried > 100);
        // the sizes of the book are unknown throughout
        let book = found.findings.iter().find(|finding| finding.expression.starts_with("imbalance(")).unwrap();
        assert_eq!((book.standing, book.known), (Standing::Unusable, 0.0));
    }
}
