//! What is stored of a trained version: read as it was written, and never served once damaged.

use blake2::{Blake2b128, Digest};
use ndarray::{Array2, ArrayView1};
use rand::RngExt;
use rand_pcg::Pcg64;
use vigie::{
    domain::{Timestamp, TradingCalendar},
    features::{
        Carry, DesignOptions, Instrument, Scaling,
        design::DesignMatrix,
        fit::fit,
        made::InputOptions,
        row::{BUILT_IN, Schema},
    },
    models::{
        DataHash, Kind, Labeller, Logistic, LogisticOptions, ModelRecord, Question, RecordError, References,
        ReliabilityBin, Target, TradePolicy, TrainingSpan, VersionError, VersionRecord, fit_logistic, sizing::Sizing,
        targets::Pricing,
    },
    stats::reference::Reference,
};

fn design(x: &Array2<f64>, options: &DesignOptions) -> DesignMatrix {
    // the built-in inputs are missing in all rows and so are dropped
    let row = |row: ArrayView1<'_, f64>| [vec![None; BUILT_IN], row.iter().copied().map(Some).collect()].concat();
    let rows: Vec<Vec<Option<f64>>> = x.rows().into_iter().map(row).collect();
    let rows: Vec<&[Option<f64>]> = rows.iter().map(Vec::as_slice).collect();
    let schema = Schema::new(&options.extra).unwrap_or_else(|error| unreachable!("{error}"));
    fit(&schema, &rows, options).unwrap_or_else(|error| unreachable!("{error}"))
}

fn reference() -> Reference {
    Reference::of((0..30).map(|n| (n % 7 > 0).then_some(f64::from(n) / 3.0))).unwrap_or_else(|| unreachable!())
}

fn version() -> VersionRecord {
    let mut rng = Pcg64::new(8, 1);
    let x = Array2::from_shape_simple_fn((50, 2), || rng.random::<f64>());
    let y: Vec<bool> = x.rows().into_iter().map(|row| row.sum() + rng.random::<f64>() > 1.5).collect();
    let options = DesignOptions {
        scaling: Scaling::Standardise,
        clip_quantile: 0.0,
        indicator_min_missing: 0.01,
        max_missing: 0.99,
        fill_max_age_hours: 23.0,
        carry: Carry::default(),
        interactions: Vec::new(),
        extra: vec!["a".to_owned(), "b".to_owned()],
        derived: Vec::new(),
    };
    let calendar = TradingCalendar::new(jiff::tz::TimeZone::UTC, jiff::civil::time(17, 0, 0, 0));
    let inputs = InputOptions::new(
        Instrument { tick: 0.1, tick_value: 10.0, stop_ticks: None },
        &calendar,
        &options,
        ["a", "b"],
    );
    let model = fit_logistic(x.view(), &y, &LogisticOptions::default()).unwrap_or_else(|error| unreachable!("{error}"));
    let time = |text: &str| text.parse::<Timestamp>().unwrap_or_else(|error| unreachable!("{error}"));
    VersionRecord {
        id: "ES/2".parse().unwrap_or_else(|error| unreachable!("{error}")),
        target: Target::SignalQuality,
        created_at: time("2016-01-04T02:00:00Z"),
        model: ModelRecord::Logistic(model),
        training: TrainingSpan {
            first: time("2015-01-05T15:02:11.123456789Z"),
            last: time("2015-12-30T20:00:00Z"),
            rows: 50,
            wins: y.iter().filter(|label| **label).count() as u64,
        },
        data_hash: DataHash::of(&["a", "b"], x.view(), &y),
        seed: u64::MAX,
        code_version: "0.1.0".into(),
        parent: "ES/1".parse().ok(),
        metrics: [("test_auc".into(), 0.1 + 0.2)].into(),
        design: design(&x, &options),
        warnings: vec!["vix is missing in all rows".to_owned()],
        kind: Some(Kind::Logistic),
        hyper: [("strength".into(), vec![1.0])].into(),
        importance: vec![("a".into(), 0.75), ("b".into(), 0.25)],
        reference: References { inputs: [("a".into(), reference())].into(), score: Some(reference()) },
        reliability: vec![ReliabilityBin { rows: 10, foretold: 0.1 + 0.2, observed: 0.4 }],
        validation: Some(serde_json::json!({ "overall": 0.5 })),
        question: Some(Question::new(Labeller::bare(Target::SignalQuality), 0.4)),
        standard: None,
        inputs: Some(inputs),
        policy: Some(TradePolicy { blend_weight: 0.5, trade_threshold: 0.4, sizing: Sizing::UNIT }),
    }
}

#[test]
fn a_version_is_read_as_it_was_written() {
    let version = version();
    let bytes = version.to_bytes().unwrap();
    assert_eq!(VersionRecord::from_bytes(&bytes).unwrap(), version);
    assert_eq!(VersionRecord::from_bytes(&bytes).unwrap().to_bytes().unwrap(), bytes);
}

/// The version above as a record of an earlier format, which had none of the fields that came later.
fn of_format(format: u32, later: &[&str]) -> VersionRecord {
    let mut now = serde_json::to_value(version()).unwrap_or_else(|error| unreachable!("{error}"));
    for later in later {
        assert!(now.as_object_mut().is_some_and(|fields| fields.remove(*later).is_some()), "{later}");
    }
    let text = now.to_string();
    let checksum: [u8; 16] = Blake2b128::digest(&text).into();
    let checksum: String = checksum.iter().map(|byte| format!("{byte:02x}")).collect();
    let old = format!("{{\"format\":{format},\"checksum\":\"{checksum}\",\"version\":{text}}}");
    VersionRecord::from_bytes(old.as_bytes()).unwrap_or_else(|error| unreachable!("{error}"))
}

#[test]
fn a_version_of_the_first_format_is_still_read() {
    let later = [
        "kind",
        "hyper",
        "importance",
        "reference",
        "reliability",
        "validation",
        "question",
        "standard",
        "inputs",
        "policy",
    ];
    let read = of_format(1, &later);
    assert_eq!((read.kind, read.validation.clone(), read.model.clone()), (None, None, version().model));
    // the base rate of its training part is where it says yes
    let asked = Question::new(Labeller::bare(Target::SignalQuality), read.training.wins as f64 / 50.0);
    assert_eq!((read.question, read.question()), (None, asked));
    assert_eq!(version().question().decision_point, 0.4);
}

#[test]
fn what_labels_are_priced_by_is_stored_and_an_older_record_goes_by_the_configuration() {
    let asked = of_format(3, &["standard", "inputs", "policy"]).question();
    assert_eq!(asked.labeller.pricing(), None);
    let es = Instrument { tick: 0.25, tick_value: 12.5, stop_ticks: Some(8.0) };
    let priced = Question::new(Labeller::bare(Target::SignalQuality).priced(es), 0.4);
    let newer = VersionRecord { question: Some(priced), ..version() };
    let bytes = newer.to_bytes().unwrap();
    assert_eq!(VersionRecord::from_bytes(&bytes).unwrap().question().labeller.pricing(), Some(Pricing::of(es)));
}

#[test]
fn a_version_of_the_third_format_does_not_say_what_its_inputs_were_made_by() {
    let older = of_format(3, &["standard", "inputs", "policy"]);
    assert_eq!(older, VersionRecord { inputs: None, standard: None, policy: None, ..version() });
}

#[test]
fn no_damaged_byte_of_a_stored_version_goes_unnoticed() {
    let bytes = version().to_bytes().unwrap();
    for place in 0..bytes.len() {
        for flip in [1, 0x20, 0x80] {
            let mut damaged = bytes.clone();
            damaged[place] ^= flip;
            assert!(VersionRecord::from_bytes(&damaged).is_err(), "byte {place} ^ {flip}");
        }
        assert!(VersionRecord::from_bytes(&bytes[..place]).is_err(), "cut at {place}");
    }
}

#[test]
fn a_version_that_could_not_be_served_is_neither_written_nor_read() {
    let with = |change: &dyn Fn(&mut VersionRecord)| {
        let mut version = version();
        change(&mut version);
        version.to_bytes().unwrap_err()
    };
    let model = |change: fn(&mut Logistic)| {
        with(&|version| {
            let ModelRecord::Logistic(model) = &mut version.model else { panic!("a logistic model") };
            change(model);
        })
    };
    let cause = |error: VersionError| match error {
        VersionError::Model { error, .. } => error,
        other => unreachable!("{other}"),
    };
    let narrow = model(|m| m.weights.truncate(1));
    assert!(matches!(narrow, VersionError::Width { model: 1, design: 2, .. }), "{narrow}");
    assert_eq!(cause(model(|m| m.weights.clear())), RecordError::NoWeights);
    let infinite = RecordError::NonFinite { what: "weight 1".to_owned(), value: f64::INFINITY };
    assert_eq!(cause(model(|m| m.weights[1] = f64::INFINITY)), infinite);
    assert!(matches!(cause(model(|m| m.intercept = f64::NAN)), RecordError::NonFinite { .. }));
    assert!(matches!(
        with(&|v| {
            v.metrics.insert("sharpe".into(), f64::NAN);
        }),
        VersionError::Metric { name, .. } if &*name == "sharpe"
    ));
    assert!(matches!(with(&|v| v.training.wins = v.training.rows), VersionError::Training { .. }));
    assert!(matches!(with(&|v| v.training.last = Timestamp::UNIX_EPOCH), VersionError::Training { .. }));

    let policy = |change: fn(&mut TradePolicy)| with(&|version| version.policy.iter_mut().for_each(change));
    for (wrong, expected) in [
        (policy(|of| of.trade_threshold = 1.5), "trade_threshold"),
        (policy(|of| of.sizing.min = 3.0), "sizing.min"),
        (policy(|of| of.sizing.max = f64::INFINITY), "sizing.max"),
    ] {
        assert!(matches!(wrong, VersionError::Policy { name, .. } if name == expected), "{wrong}");
    }

    let text = String::from_utf8(version().to_bytes().unwrap()).unwrap();
    let newer = text.replacen("\"format\":6", "\"format\":7", 1).replacen("\"version\"", "\"content\"", 1);
    assert_eq!(VersionRecord::from_bytes(newer.as_bytes()), Err(VersionError::Format { found: 7, read: 6 }));
    let changed = text.replacen("ES/2", "ES/3", 1);
    assert_eq!(VersionRecord::from_bytes(changed.as_bytes()), Err(VersionError::Checksum));
}

#[test]
fn a_data_hash_can_be_recomputed_elsewhere_and_tells_data_apart() {
    let x = ndarray::array![[1.0, -0.0], [0.5, 2.0]];
    let hash = DataHash::of(&["a", "bc"], x.view(), &[true, false]);
    // Python: h = hashlib.blake2b(digest_size=16); h.update(struct.pack("<QQQ1sQ2s4d2?", 2, 2, 1, b"a", 2, b"bc",
    // 1.0, 0.0, 0.5, 2.0, True, False)); h.hexdigest()
    assert_eq!(hash.to_string(), "568661f466c0dce3f5107c7f533e90e2");
    assert_eq!(hash, "568661f466c0dce3f5107c7f533e90e2".parse().unwrap());
    assert_eq!(hash, DataHash::of(&["a", "bc"], x.t().to_owned().t(), &[true, false]));
    assert_ne!(hash, DataHash::of(&["ab", "c"], x.view(), &[true, false]));
    assert_ne!(hash, DataHash::of(&["a", "bc"], x.view(), &[false, true]));
    for bad in ["", "+0f6ee6d0f6ee6d00f6ee6d00f6ee6d0", "zz", &"0".repeat(33)] {
        assert!(bad.parse::<DataHash>().is_err(), "{bad}");
    }
}

#[test]
fn training_trades_have_won_only_where_the_target_asks_for_a_profit() {
    let mut record = version();
    for target in Target::ALL {
        record.target = target;
        let asks = matches!(target, Target::Profitability | Target::ConfidenceScore);
        let said = record.trained_on();
        assert_eq!(said.ends_with("of them won"), asks, "{said}");
        assert!(asks || said.contains(target.name()), "{said}");
    }
}
