//! The configuration from outside: what it holds, what it refuses and how it says so, what a reload may change.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is how a test fails")]

use std::{fs, path::Path, time::Duration};

use annotate_snippets::Renderer;
use proptest::{prelude::*, test_runner::RngSeed};
use vigie::{
    config::{BUILTIN, Config, ConfigErrors, ConfigFault, LoadError, LogLevel, MAX_BYTES, load},
    domain::{Symbol, TradingDay},
    features::Scaling,
    guard::emergency::{EmergencyOptions, RULES},
    models::{levels::Thresholds, sizing::SizingRule},
    validation::{ValidationOptions, options::Overall},
};

/// A file in which every key differs from its default.
const ALL_DIFFERENT: &str = r#"
[symbols.CL]
tick = 0.01
tick_value = 10
[targets]
stop_ticks = 12.0
[trading_day]
zone = "Europe/Paris"
start = "18:30"
[server]
max_connections = 32
reserved_connections = 2
max_in_flight = 128
max_line_bytes = 32768
half_line_timeout_ms = 4000
write_timeout_ms = 3000
deadline_us = 9000
max_ahead_ms = 100
drain_ms = 500
[access]
trader_users = ["trader", "1001"]
trader_groups = ["desk"]
operator_users = ["ops"]
[account]
paper = true
[scoring]
blend_weight = 0.25
trade_threshold = 0.6
ab_share = 0.4
holdback = 0
[sizing]
rule = "kelly"
min = 0.5
max = 2
kelly_fraction = 0.25
[features]
extra = ["order_imbalance"]
derived = [["book", "imbalance(bid_size, ask_size)"]]
scaling = "min_max"
clip_quantile = 0
indicator_min_missing = 0.02
max_missing = 0.9
fill_max_age_hours = 12
interactions = [["recent_momentum", "order_imbalance"], ["confidence", "session_time"]]
[carry]
max_filled_share = 0.5
required = ["bid_ask_spread"]
vwap_trend_signal = 16
sierra_pattern_strength = 16
dow_trend_regime = 121
gamma_levels_proximity = 121
level_proximity = 1441
es_nq_correlation = 121
volume_confirmation = 16
options_flow_bias = 121
market_volatility = 121
session_time = 1
bid_ask_spread = 6
recent_momentum = 6
extra = 121
[training]
model = "boosting"
target = "pnl"
min_trades = 600
test_share = 0.25
min_test_trades = 300
decision_point = 0.4
strengths = [0.5, 2]
leaves = [5, 50]
solver = "smartcore"
allow_levels = ["random_forest"]
seed = 11
[validation]
validation_share = 0.09
folds = 6
embargo_hours = 21.6
steps = 11
first_step_share = 0.36
groups = 11
judged_groups = 3
bootstrap = 201
null = 201
importance = 31
block_pairs = 9
max_gap = 0.09
max_cv_deviation = 0.045
max_curve_step = 0.027
min_feature_stability = 0.72
top_features = 6
max_overfitting = 0.45
min_gain_probability = 0.855
max_p_value = 0.045
max_single_skill = 0.72
min_accuracy = 0.63
min_f1 = 0.54
min_precision = 0.585
min_correlation = 0.45
max_bootstrap_deviation = 0.045
min_importance_stability = 0.72
min_month_trades = 21
min_good_months = 0.54
min_regime_trades = 51
regime_slack = 0.045
min_good_paths = 0.45
min_score = 0.63
performance_weight = 0.315
overfitting_weight = 0.315
stability_weight = 0.27
[levels]
linear_min_trades = 501
boosting_min_trades = 2001
neural_min_trades = 5001
plateau_trainings = 4
plateau_rise = 0.009
significance = 0.045
forest_gain = 0.045
boosting_gain = 0.09
[trainer]
wall_s = 60
memory_mib = 512
nice = 5
[lifecycle]
automatic = false
stage_validated = false
verify_s = 30
[staging]
min_hours = 48
min_trades = 60
max_drawdown_ratio = 1.1
[experiment]
evidence = "randomised"
metrics = ["win_rate"]
level = 0.04
planned_sessions = 80
first_look = 12
min_days = 8
min_trades = 120
min_win_rate_gain = 0.02
min_sharpe_gain = 0.2
max_drawdown_ratio = 1.05
harm_level = 0.03
sample_ratio_level = 0.002
outcome_wait_days = 6
power = 0.9
resamples = 500
seed = 8
holdback_sessions = 200
max_trades = 100000
[journal]
queue = 4096
batch = 512
linger_ms = 11
cache_mib = 32
retry_ms = 100
known_ids = 1000
[supervision]
max_restarts = 5
window_s = 120
[guardian]
accuracy_window = 120
accuracy_min_trades = 60
min_accuracy = 0.45
max_loss_streak = 12
daily_loss_factor = 1.5
daily_loss_limit = 500.0
longest_window = 500
false_alarms_per_year = 1.5
literal = true
max_trade_pnl = 50000.0
[monitor]
window = 120
scopes = 65
adwin_delta = 0.0018
adwin_every = 2
pnl_slack = 0.09
pnl_threshold = 13.5
pnl_min_trades = 31
win_rate_shift = 0.09
win_rate_threshold = 3.6
false_alarms_per_quarter = 0.9
budget_resamples = 201
budget_block = 45.0
novelty = 0.09
max_open = 10000
clock_tolerance_s = 61
[health]
min_trades = 51
act_level = 0.0045
accuracy_drop = 0.045
small_fall = 0.045
large_fall = 0.09
alert_budget = 0.9
share_budget = 0.45
retrain_budget = 0.18
rollback_budget = 0.01125
years = 4001
score_psi = 0.225
variance_factor = 3.6
[gradual]
decline_days = 4
cooldown_days = 6
[schedule]
data_quality = false
data_quality_at = "01:00"
review = false
review_at = "01:30"
review_day = "saturday"
retraining = false
retraining_at = "05:00"
retraining_day = "saturday"
quiet_from = "09:00"
quiet_until = "16:00"
min_new_trades = 150
min_composite = 0.9
[log]
level = "debug"
"#;

fn parse(text: &str) -> Config {
    Config::parse("config.toml", text).unwrap_or_else(|errors| panic!("{text}\n{errors}"))
}

fn faults(text: &str) -> ConfigErrors {
    Config::parse("config.toml", text).expect_err(text)
}

/// Asserts that `text` has exactly the faults `expected`, as they are printed, without the file's name.
fn check(text: &str, expected: &[&str]) {
    let expected: Vec<_> = expected.iter().map(|line| format!("config.toml:{line}")).collect();
    assert_eq!(faults(text).to_string(), expected.join("\n"), "{text}");
}

/// The `key = value` lines of [`ALL_DIFFERENT`], each with its section's header.
fn differences() -> Vec<(String, String)> {
    let (mut header, mut changes) = ("", Vec::new());
    for line in ALL_DIFFERENT.lines().filter(|line| !line.is_empty()) {
        if line.starts_with('[') {
            header = line;
        } else {
            let key = format!("{}.{}", header.trim_matches(['[', ']']), line.split_once(" = ").unwrap().0);
            changes.push((key, format!("{header}\n{line}\n")));
        }
    }
    changes
}

#[test]
fn the_built_in_file_is_valid_and_is_what_an_empty_one_means() {
    let builtin = Config::builtin().unwrap();
    assert_eq!(parse(BUILTIN), builtin);
    assert_eq!(parse("# nothing\n[server]\n[symbols]\n"), builtin);
}

#[test]
fn the_defaults_are_those_of_the_strategy() {
    let config = Config::builtin().unwrap();
    let symbols: Vec<_> = config.symbols.iter().map(|(s, i)| (s.as_str(), i.tick, i.tick_value)).collect();
    assert_eq!(symbols, [("ES", 0.25, 12.5), ("MES", 0.25, 1.25), ("MNQ", 0.25, 0.5), ("NQ", 0.25, 5.0)]);
    let policy = config.policy;
    assert_eq!((policy.blend_weight, policy.trade_threshold, policy.holdback), (0.5, 0.5, 0.1));
    assert_eq!((policy.sizing.rule, policy.sizing.min, policy.sizing.max), (SizingRule::Unit, 0.0, 1.0));
    assert_eq!((config.server.max_connections, config.server.reserved_connections), (64, 1));
    assert_eq!(config.server.deadline, Duration::from_millis(10));
    assert_eq!((config.journal.cache_bytes, config.journal.retry), (8 << 20, Duration::from_millis(250)));
    assert_eq!((config.training.min_trades, config.training.min_test_trades, config.training.seed), (500, 200, 7));
    assert_eq!((config.features.scaling, config.log_level), (Scaling::Standardise, LogLevel::Info));
    let day: TradingDay = config.calendar.day_of("2015-01-05T23:00:00Z".parse().unwrap());
    assert_eq!(day.to_string(), "2015-01-06");
}

#[test]
fn a_partial_file_changes_what_it_names_and_nothing_else() {
    let (builtin, changed) = (Config::builtin().unwrap(), parse("[scoring]\nholdback = 0.2\n"));
    assert_eq!(changed.policy.holdback, 0.2);
    let differing: Vec<_> = changed.entries().into_iter().filter(|e| !builtin.entries().contains(e)).collect();
    assert_eq!(differing, [("scoring.holdback".to_owned(), "0.2".to_owned())]);
}

#[test]
fn any_table_of_a_symbol_replaces_all_the_built_in_ones() {
    let config = parse("[symbols.CL]\ntick = 0.01\ntick_value = 10\n[symbols.\"BRK.B\"]\ntick = 1\ntick_value = 1\n");
    let names: Vec<_> = config.symbols.keys().map(Symbol::as_str).collect();
    assert_eq!(names, ["BRK.B", "CL"]);
    assert!(config.to_toml().contains("symbols.\"BRK.B\".tick = 1.0\n"));
    check(
        "[symbols.CL]\ntick = 0.01\n",
        &["1: symbols.CL.tick_value: is missing; it must be a number, above 0 to 1000000"],
    );
    check(
        "[symbols.es]\ntick = 1\n[symbols]\nNQ = 5",
        &[
            "1: symbols.es: symbol \"es\" is not valid: 1 to 16 characters of A-Z 0-9 . _",
            "4: symbols.NQ = 5: must be a table, not a whole number",
        ],
    );
}

#[test]
fn a_value_out_of_its_range_is_told_with_line_value_and_range() {
    check("[scoring]\nblend_weight = 1.7", &["2: scoring.blend_weight = 1.7: must be 0 to 1"]);
    check("[scoring]\n\nholdback = nan", &["3: scoring.holdback = nan: must be 0 to 1"]);
    check("scoring.holdback = -inf", &["1: scoring.holdback = -inf: must be 0 to 1"]);
    check("[sizing]\nkelly_fraction = 0", &["2: sizing.kelly_fraction = 0: must be above 0 to 1"]);
    check("[sizing]\nkelly_fraction = 1e999", &["2: sizing.kelly_fraction = 1e999: must be above 0 to 1"]);
    check("[features]\nclip_quantile = 0.5", &["2: features.clip_quantile = 0.5: must be 0 to below 0.5"]);
    check("[server]\nmax_in_flight = -1", &["2: server.max_in_flight = -1: must be 1 to 65536"]);
    let huge = "99999999999999999999999";
    check(&format!("[server]\ndrain_ms = {huge}"), &[&format!("2: server.drain_ms = {huge}: must be 0 to 60000")]);
    check(
        "[trading_day]\nzone = \"Chicago\"\nstart = \"24:00\"",
        &[
            "2: trading_day.zone = \"Chicago\": must be the name of a time zone, such as \"America/Chicago\"",
            "3: trading_day.start = \"24:00\": must be a time of day from \"00:00\" to \"23:59\"",
        ],
    );
    check(
        "[sizing]\nrule = \"units\"",
        &["2: sizing.rule = \"units\": must be \"unit\" or \"bet\" or \"kelly\"; did you mean unit?"],
    );
}

#[test]
fn a_value_of_another_type_is_told_with_both_types() {
    check(
        "[server]\nmax_in_flight = 8.5\ndrain_ms = \"1s\"\n[scoring]\nholdback = true\n[sizing]\nrule = 1",
        &[
            "2: server.max_in_flight = 8.5: must be a whole number, 1 to 65536, not a number with a fraction",
            "3: server.drain_ms = \"1s\": must be a whole number, 0 to 60000, not text in quotes",
            "5: scoring.holdback = true: must be a number, 0 to 1, not true or false",
            "7: sizing.rule = 1: must be one of the words, \"unit\" or \"bet\" or \"kelly\", not a whole number",
        ],
    );
    check("server = 3", &["1: server = 3: must be a section, headed [server], not a whole number"]);
    check("[[log]]\nlevel = \"info\"", &["1: log = [[log]]: must be a section, headed [log], not a list"]);
    check(
        "[log.level]\nfoo = 1",
        &["1: log.level = [log.level]: must be one of the words, \"error\" or \"warn\" or \"info\" or \"debug\" or \
           \"trace\", not a table"],
    );
}

#[test]
fn numbers_may_be_written_in_every_way_that_toml_has() {
    let config = parse("[server]\nmax_line_bytes = 0x1_0000\nmax_in_flight = +1_0\n[sizing]\nkelly_fraction = 1e-3\n");
    assert_eq!(
        (config.server.max_line_bytes, config.server.max_in_flight, config.policy.sizing.kelly_fraction),
        (65_536, 10, 0.001)
    );
}

#[test]
fn unknown_keys_and_sections_are_refused_with_the_nearest_one() {
    check(
        "holdback = 0.1\n[scorng]\nholdback = 0.2\n[scoring]\nhold_back = 0.3\nlevel = 1\nq = 1\n[server.limits]\nx = 1\n\
         [log]\nhold_bak = 1",
        &[
            "1: holdback: there is no such key; did you mean scoring.holdback?",
            "2: scorng: there is no such section; did you mean scoring?",
            "5: scoring.hold_back: there is no such key; did you mean holdback?",
            "6: scoring.level: there is no such key; did you mean experiment.level?",
            "7: scoring.q: there is no such key",
            "8: server.limits: there is no such section",
            "11: log.hold_bak: there is no such key; did you mean scoring.holdback?",
        ],
    );
    check(
        "[symbols.CL]\ntick = 1\ntick_value = 1\ntik = 1",
        &["4: symbols.CL.tik: there is no such key; did you mean tick?"],
    );
}

#[test]
fn keys_that_do_not_go_together_are_both_named() {
    check("[sizing]\nmax = 1.5\nmin = 2\n", &["3: sizing.min = 2: must not be above sizing.max = 1.5"]);
    check(
        "[scoring]\nab_share = 0\n",
        &[
            "2: scoring.ab_share = 0: must be above 0 for tests to be decided by lifecycle.automatic = true (the default)",
        ],
    );
    assert!(Config::parse("test", "[scoring]\nab_share = 0\n[lifecycle]\nautomatic = false\n").is_ok());
    check(
        "[server]\nmax_connections = 1\n[journal]\nqueue = 512\n",
        &[
            "2: server.reserved_connections = 1 (the default): must be below server.max_connections = 1",
            "4: journal.batch = 1024 (the default): must not be above journal.queue = 512",
        ],
    );
    check(
        "[training]\nmin_test_trades = 501\n[features]\nmax_missing = 0\n",
        &[
            "2: training.min_test_trades = 501: must not be above training.min_trades = 500 (the default)",
            "4: features.indicator_min_missing = 0.01 (the default): must not be above features.max_missing = 0",
        ],
    );
    // a test that can never ship
    check(
        "[experiment]\nplanned_sessions = 6\nfirst_look = 3\n",
        &["2: experiment.planned_sessions = 6: is too short for any proof at experiment.level = 0.05 (the default)"],
    );
    check(
        "[experiment]\nmin_days = 30\nplanned_sessions = 15\n",
        &["2: experiment.min_days = 30: must not be longer than, at five sessions a week, \
             experiment.planned_sessions = 15"],
    );
    // a key that is at fault by itself is not compared
    check("[sizing]\nmin = 2\nmax = 11\n", &["3: sizing.max = 11: must be 0 to 10"]);
}

#[test]
fn each_item_of_a_list_is_checked() {
    check(
        "[features]\nextra = [\n  \"ok\",\n  \"Bad\",\n  7,\n  \"ok\",\n  \"session_time\",\n]\n",
        &[
            "4: features.extra[1] = \"Bad\": must be a name of a-z 0-9 _ that begins with a letter, at most 40 long",
            "5: features.extra[2] = 7: must be text in quotes, a name of a-z 0-9 _ that begins with a letter, at most \
             40 long, not a whole number",
            "6: features.extra[3] = \"ok\": is given twice",
            "7: features.extra[4] = \"session_time\": is an input that every model has already",
        ],
    );
    let pair = "a pair of names among the twelve features, \"confidence\" and what is in extra and derived";
    check(
        "[features]\ninteractions = [[\"confidence\"], [\"confidence\", \"sesion_time\"], 1,\n \
         [\"confidence\", \"session_time\"],\n [\"session_time\", \"confidence\"]]",
        &[
            &format!("2: features.interactions[0] = [\"confidence\"]: must be {pair}"),
            &format!(
                "2: features.interactions[1] = [\"confidence\", \"sesion_time\"]: must be {pair}; did you mean \
                 session_time?"
            ),
            &format!("2: features.interactions[2] = 1: must be a list, {pair}, not a whole number"),
            "4: features.interactions[4] = [\"session_time\", \"confidence\"]: is given twice; their order does not \
             matter",
        ],
    );
    // what a faulty `extra` may have meant is not held against `interactions`
    let errors = faults("[features]\nextra = [\"A\"]\ninteractions = [[\"A\", \"confidence\"]]");
    assert_eq!(errors.iter().map(|e| e.key.as_str()).collect::<Vec<_>>(), ["features.extra[0]"]);
    let many: Vec<_> = (0..65).map(|i| format!("\"x{i}\"")).collect();
    let errors = faults(&format!("[features]\nextra = [{}]", many.join(",")));
    assert!(errors.to_string().contains("...: must be at most 64 items, each a name"), "{errors}");
}

#[test]
fn a_derived_input_is_a_name_of_its_own_and_an_expression_of_the_vocabulary() {
    let pair = "a pair of a name of a-z 0-9 _ that begins with a letter, at most 64 long, and an expression";
    check(
        "[features]\nextra = [\"tape\"]\nderived = [\n [\"Book\", \"range(3)\"],\n [\"tape\", \"range(3)\"],\n \
         [\"book\", \"log(vix)\"],\n 7,\n [\"ok\", \"range(6)\"],\n [\"ok\", \"range(3)\"],\n \
         [\"zn\", \"other(ZN, ok)\"],\n]\n",
        &[
            &format!("4: features.derived[0] = [\"Book\", \"range(3)\"]: must be {pair}"),
            "5: features.derived[1] = [\"tape\", \"range(3)\"]: \"tape\" is an input already",
            "6: features.derived[2] = [\"book\", \"log(vix)\"]: \"log\" is no function; there are value, ratio, share, \
             imbalance, difference, distance, lag, slope, range, product, extra, other and regime",
            &format!("7: features.derived[3] = 7: must be a list, {pair}, not a whole number"),
            "9: features.derived[5] = [\"ok\", \"range(3)\"]: \"ok\" is derived twice",
            "10: features.derived[6] = [\"zn\", \"other(ZN, ok)\"]: asks for ok of ZN: that must be a symbol of this file and a \
             feature, an extra or an input derived before it",
        ],
    );
    let config = parse(
        "[features]\nderived = [[\"book\", \"imbalance( bid_size,ask_size )\"]]\ninteractions = [[\"book\", \"confidence\"]]\n\
         [carry]\nrequired = [\"book\"]\n",
    );
    let derived = &config.features.derived;
    assert_eq!((derived.len(), derived[0].expression.to_string()), (1, "imbalance(bid_size, ask_size)".to_owned()));
    assert_eq!(config.stale.required, ["book"]);
}

#[test]
fn accounts_that_stand_for_strangers_are_refused() {
    for bad in ["", "-x", "a b", "4294967295", "99999999999", "nobody", "nogroup", "65534", "065534"] {
        let errors = faults(&format!("[access]\ntrader_users = [\"{bad}\"]"));
        assert_eq!(errors.iter().count(), 1, "{bad}");
    }
    let config = parse("[access]\ntrader_users = [\"trader\", \"1000\", \"a@b.c\"]");
    assert_eq!(config.access.trader_users, ["trader", "1000", "a@b.c"]);
}

#[test]
fn text_that_is_not_toml_is_told_by_line_and_the_rest_is_still_checked() {
    check(
        "[scoring]\nholdback = \nblend_weight = 2\n[server\ndrain_ms = 0\n[sizing]\nrule = unit\n",
        &[
            "2: not TOML: string values must be quoted, expected literal string",
            "3: scoring.blend_weight = 2: must be 0 to 1",
            "4: not TOML: unclosed table, expected `]`",
            "7: not TOML: string values must be quoted, expected literal string",
        ],
    );
    check(
        "[features]\nextra = [\"a\"\n[training]\nmin_trades = 500\nseed = 1\n",
        &["3: not TOML: missing comma between array elements, expected `,`"],
    );
}

#[test]
fn a_key_is_not_called_missing_where_it_may_stand_in_text_that_is_not_toml() {
    check("[symbols.CL]\ntick = 1\ntick_value 3\n", &["3: not TOML: key with no value, expected `=`"]);
}

#[test]
fn what_is_given_twice_is_refused() {
    check(
        "[scoring]\nholdback = 0.1\nholdback = 0.2\n[log]\nlevel = \"info\"\n[scoring]\nblend_weight = 0.1\n",
        &["3: key holdback is given twice; keep one of them", "6: section [scoring] is given twice; keep one of them"],
    );
}

#[test]
fn line_ends_of_windows_and_a_byte_order_mark_do_no_harm() {
    assert_eq!(parse("\u{feff}[scoring]\r\nholdback = 0.2\r\n").policy.holdback, 0.2);
    check("\u{feff}[scoring]\r\nholdback = 2\r\n", &["2: scoring.holdback = 2: must be 0 to 1"]);
}

#[test]
fn a_report_draws_the_lines_at_fault() {
    let errors = LoadError::from(faults(
        "[scoring]\nholdback = 1.25\n[sizing]\nmin = 3\nmax = 1.5\n[features]\nextra = [\n\t\"é\",\"a\"\n\"b\"]\nx",
    ));
    insta::assert_snapshot!("report_drawn", errors.drawn(&Renderer::plain()));
    insta::assert_snapshot!("report_told", errors.drawn(&Renderer::plain().no_graphics(true)));
    // in colours it is the same text
    let coloured = errors.drawn(&Renderer::styled());
    assert_ne!(coloured, errors.drawn(&Renderer::plain()));
    assert_eq!(without_colours(&coloured), errors.drawn(&Renderer::plain()));
}

/// `text` without the sequences that change colours.
fn without_colours(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once('m').unwrap().1)
}

#[test]
fn a_drawing_of_many_faults_in_a_long_file_is_short() {
    let text: String = (0..40_000).map(|i| format!("x{i} = \"{}\"\n", "y".repeat(i % 7))).collect();
    let drawn = LoadError::from(faults(&text)).drawn(&Renderer::plain());
    assert!(drawn.lines().count() < 800 && drawn.contains("config.toml: and 39900 more"), "{drawn}");
    let long = LoadError::from(faults(&format!("x = \"{}\"\n", "y".repeat(500_000))));
    assert!(long.drawn(&Renderer::plain()).len() < 2_000, "a line is cut to the width of the terminal");
}

#[test]
fn the_effective_values_are_listed_in_one_form() {
    insta::assert_snapshot!("builtin_entries", Config::builtin().unwrap().to_toml());
    assert_eq!(parse("sizing.kelly_fraction = 1").entries(), parse("sizing.kelly_fraction = 1.00").entries());
    let all = parse(ALL_DIFFERENT);
    assert_eq!(parse(&all.to_toml()), all);
    assert_eq!(all.entries().len(), all.to_toml().lines().count());
}

#[test]
fn the_hash_is_of_the_values_and_not_of_their_spelling() {
    let hash = |text: &str| parse(text).hash();
    let builtin = Config::builtin().unwrap().hash();
    assert_eq!(hash(BUILTIN), builtin);
    // hashlib.blake2b(sorted lines of to_toml(), digest_size=8).hexdigest()
    assert_eq!(builtin, GOLDEN_HASH);
    assert_eq!(
        hash("[scoring] # a\nholdback = 0.20\nblend_weight = 1\n[log]\nlevel='warn'"),
        hash("log.level = \"warn\"\n[scoring]\nblend_weight = 1.0\nholdback = 2e-1\n")
    );
}

#[test]
fn every_value_counts_in_the_hash() {
    let changes = differences();
    let builtin = Config::builtin().unwrap();
    let symbols = "symbols.";
    let (mine, all): (Vec<_>, Vec<_>) = (
        changes.iter().map(|(key, _)| key.clone()).filter(|key| !key.starts_with(symbols)).collect(),
        builtin.entries().into_iter().map(|(key, _)| key).filter(|key| !key.starts_with(symbols)).collect(),
    );
    assert_eq!(mine, all, "ALL_DIFFERENT lacks a key");
    let mut hashes = vec![builtin.hash()];
    for (key, text) in changes.iter().filter(|(key, _)| !key.starts_with(symbols)) {
        // this one may not stand without the extra input that it names
        let extra = if key == "features.interactions" { "extra = [\"order_imbalance\"]\n" } else { "" };
        hashes.push(parse(&format!("{text}{extra}")).hash());
    }
    hashes.push(parse("[symbols.CL]\ntick = 0.01\ntick_value = 10").hash());
    hashes.push(parse("[symbols.CL]\ntick = 0.01\ntick_value = 11").hash());
    hashes.push(parse("[symbols.CL]\ntick = 0.02\ntick_value = 10").hash());
    let count = hashes.len();
    hashes.sort();
    hashes.dedup();
    assert_eq!(hashes.len(), count);
}

#[test]
fn the_thresholds_of_rules_and_levels_are_by_default_those_of_the_built_in_file() {
    let config = Config::builtin().unwrap();
    assert_eq!(config.levels, Thresholds::default());
    let defaults = EmergencyOptions::default();
    for key in RULES.iter().flat_map(|rule| rule.keys) {
        assert_eq!(config.guardian.number(key), defaults.number(key), "{}", key.name);
    }
    assert_eq!(EmergencyOptions { thresholds: defaults.thresholds.clone(), ..config.guardian.clone() }, defaults);
    let other = parse(ALL_DIFFERENT);
    for key in RULES.iter().flat_map(|rule| rule.keys) {
        assert_ne!(other.guardian.number(key), defaults.number(key), "{}", key.name);
    }
}

#[test]
fn a_reload_changes_all_but_what_waits_for_a_restart() {
    let (running, new) = (Config::builtin().unwrap(), parse(ALL_DIFFERENT));
    let frozen = running.frozen_changes(&new);
    let sections = ["trading_day.", "features.", "carry.", "server.", "account.", "journal.", "supervision."];
    let expected: Vec<_> = running.entries().into_iter().map(|(key, _)| key).collect();
    let expected: Vec<_> = expected.into_iter().filter(|k| sections.iter().any(|s| k.starts_with(s))).collect();
    assert_eq!(frozen, expected);
    assert_eq!(frozen.len(), 43);

    let in_force = new.clone().with_frozen_of(&running);
    assert_eq!(running.frozen_changes(&in_force), [""; 0]);
    assert_eq!((&in_force.server, &in_force.policy), (&running.server, &new.policy));
    // the typed values and the listed ones tell the same
    assert_eq!(parse(&in_force.to_toml()), in_force);
    assert_ne!(in_force.hash(), new.hash());
}

#[test]
fn no_more_than_a_hundred_faults_are_listed() {
    let text: String = (0..20_000).map(|i| format!("x{i} = 1\n")).collect();
    let errors = faults(&text);
    assert_eq!(errors.iter().count(), 100);
    assert!(errors.to_string().ends_with("config.toml: and 19900 more"), "{errors}");
}

#[test]
fn files_that_are_no_configuration_are_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.toml");
    let with = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        load(&path)
    };
    assert!(matches!(load(Path::new("/nowhere/vigie.toml")), Err(LoadError::Unreadable { .. })));
    assert!(matches!(load(folder.path()), Err(LoadError::NotAFile { .. })));
    assert!(matches!(load(Path::new("/dev/zero")), Err(LoadError::NotAFile { .. })));
    assert!(matches!(with(b"a = 1\n\xff\n"), Err(LoadError::NotUtf8 { line: 2, .. })));
    let limit = usize::try_from(MAX_BYTES).unwrap();
    assert!(matches!(with(&vec![b'#'; limit + 1]), Err(LoadError::TooLong { .. })));
    assert_eq!(with(&vec![b'#'; limit]).unwrap(), Config::builtin().unwrap());
    let error = with(b"[scoring]\nholdback = 2\n").unwrap_err();
    assert_eq!(error.to_string(), format!("{}:2: scoring.holdback = 2: must be 0 to 1", path.display()));
    let LoadError::Invalid(errors) = error else { panic!("{error}") };
    assert!(matches!(errors.iter().next().unwrap().fault, ConfigFault::OutOfRange { .. }));
}

#[test]
fn nesting_without_end_is_refused() {
    for text in [format!("a = {}", "[".repeat(100_000)), format!("a{} = 1", ".a".repeat(100_000)), "{".repeat(100_000)]
    {
        assert!(faults(&text).iter().count() >= 1);
    }
}

/// Text made of the pieces that configurations are made of, in no order.
fn shuffled() -> impl Strategy<Value = String> {
    let mut pieces: Vec<String> = BUILTIN.split_inclusive(['\n', ' ', '=', '.']).map(str::to_owned).collect();
    pieces.retain(|piece| !piece.trim().is_empty());
    let loose =
        ["\n", "=", "[", "]", "\"", "'", "\"\"\"", "{", "}", ",", ".", "nan", "-", "\\u", "é", "\u{feff}", "\r"];
    pieces.extend(loose.map(str::to_owned));
    pieces.extend(ALL_DIFFERENT.split_inclusive('\n').map(str::to_owned));
    prop::collection::vec(prop::sample::select(pieces), 0..40).prop_map(|pieces| pieces.concat())
}

/// The built-in file with some of its lines changed for others.
fn swapped() -> impl Strategy<Value = String> {
    let lines: Vec<&str> = BUILTIN.lines().chain(ALL_DIFFERENT.lines()).filter(|line| !line.starts_with('#')).collect();
    prop::sample::subsequence(lines, 0..40).prop_map(|lines| lines.join("\n"))
}

/// Whatever `text` is: no panic; if it is taken, its listing means the same; if not, each fault has a line that exists.
fn is_handled(text: &str) -> Result<(), TestCaseError> {
    match Config::parse("fuzz", text) {
        Ok(config) => prop_assert_eq!(Config::parse("again", &config.to_toml()), Ok(config)),
        Err(errors) => {
            let lines = text.split('\n').count();
            prop_assert!(errors.iter().count() > 0);
            prop_assert!(errors.iter().all(|error| (1..=lines).contains(&error.line)), "{}", errors);
            let told: Vec<_> = errors.iter().map(ToString::to_string).collect();
            let errors = LoadError::from(errors);
            let drawn = errors.drawn(&Renderer::plain());
            prop_assert!(told.iter().flat_map(|fault| fault.lines()).all(|line| drawn.contains(line)), "{}", drawn);
            prop_assert!(!errors.drawn(&Renderer::styled().no_graphics(true)).is_empty());
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, rng_seed: RngSeed::Fixed(7), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_it_panic(text in "\\PC*|(?s:.{0,80})") {
        is_handled(&text)?;
    }

    #[test]
    fn no_jumble_of_toml_makes_it_panic(text in shuffled()) {
        is_handled(&text)?;
    }

    #[test]
    fn no_selection_of_lines_makes_it_panic(text in swapped()) {
        is_handled(&text)?;
    }

    #[test]
    fn a_number_is_taken_exactly_within_its_range(x in prop_oneof![-0.5..1.5f64, any::<f64>()]) {
        let text = format!("[scoring]\nholdback = {}", if x.is_nan() { "nan".to_owned() } else { format!("{x:?}") });
        let taken = Config::parse("fuzz", &text);
        let in_range = (0.0..=1.0).contains(&x).then_some(x);
        prop_assert_eq!(taken.ok().map(|config| config.policy.holdback), in_range, "{}", text);
    }
}

/// Of the built-in configuration; changes with every key and default.
const GOLDEN_HASH: &str = "d28f39e93125452b";

#[test]
fn a_tick_waits_for_a_restart_and_a_symbol_does_not() {
    let running = Config::builtin().unwrap();
    let new = parse("[symbols.ES]\ntick = 0.5\ntick_value = 20\n[symbols.CL]\ntick = 0.01\ntick_value = 10");
    assert_eq!(running.frozen_changes(&new), ["symbols.ES.tick"]);
    let in_force = new.with_frozen_of(&running);
    let ticks: Vec<(String, f64, f64)> =
        in_force.symbols.iter().map(|(name, i)| (name.to_string(), i.tick, i.tick_value)).collect();
    assert_eq!(ticks, [("CL".to_owned(), 0.01, 10.0), ("ES".to_owned(), 0.25, 20.0)]);
    assert!(in_force.entries().contains(&("symbols.ES.tick".to_owned(), "0.25".to_owned())));
}

#[test]
fn an_input_that_must_be_measured_is_one_that_there_is() {
    let refused = |text: &str| Config::parse("test", text).unwrap_err().to_string();
    let told = refused("carry.required = [\"confidence\"]");
    assert!(told.contains("carry.required"), "{told}");
    assert!(refused("carry.required = [\"recent_momentm\"]").contains("recent_momentum"));
    assert_eq!(parse("features.extra = [\"tape\"]\ncarry.required = [\"tape\"]").stale.required, ["tape"]);
}

#[test]
fn the_built_in_options_of_a_validation_pass_and_what_is_out_of_range_is_named() {
    Config::builtin().unwrap().validation.check().unwrap();
    type Case = (&'static str, fn(&mut ValidationOptions));
    let cases: [Case; 10] = [
        ("validation_share", |o| o.splits.validation_share = 0.0),
        ("test_share", |o| o.splits.test_share = f64::NAN),
        ("test_share", |o| (o.splits.validation_share, o.splits.test_share) = (0.5, 0.5)),
        ("judged_groups", |o| o.splits.judged_groups = 10),
        ("blocks", |o| o.effort.blocks = 7),
        ("number of strengths", |o| o.strengths = vec![1.0]),
        ("strengths", |o| o.strengths = vec![1.0, 1.0]),
        ("strength", |o| o.strength = Some(-1.0)),
        ("max_gap", |o| o.gates.max_gap = 1.5),
        ("sum of the weights", |o| {
            o.overall = Overall { performance_weight: 0.0, overfitting_weight: 0.0, stability_weight: 0.0, ..o.overall }
        }),
    ];
    for (name, change) in cases {
        let mut options = Config::builtin().unwrap().validation.clone();
        change(&mut options);
        assert_eq!(options.check().unwrap_err().name, name);
    }
}
