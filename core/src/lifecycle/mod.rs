//! Which version stands where, which trades are under way, and what follows when a rule trips or a day is judged.

pub mod consequences;
pub mod ending;
pub mod gates;
pub mod happening;
pub mod measures;
pub mod names;
pub mod open_trades;
pub mod roster;
pub mod silence;
pub mod watch_news;
