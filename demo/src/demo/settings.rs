//! How the daemon of a demonstration is configured.

/// What differs from the built-in configuration, as TOML. It is told before the demonstration begins.
pub const SETTINGS: &str = "\
# a busy machine must not turn answers into baselines: the story would depend on it
server.deadline_us = 1000000
# a year of nine signals a day has few trades to test on
training.min_test_trades = 100
# repeated less often, to be done in a second or two
validation.bootstrap = 60
validation.null = 60
validation.importance = 5
monitor.budget_resamples = 40
# the simulated market has moods of weeks: over windows of a hundred signals they look like faults, and a test at every
# day is taken for one
monitor.window = 400
health.score_psi = 2.0
health.act_level = 0.0005
log.level = \"info\"
";
