//! What the rules cannot watch in a version, in words.

use super::{
    accuracy::{self, is_rarely_below},
    options::EmergencyOptions,
};
use crate::models::{Standard, standard::Share};

/// Of a version whose policy took no trade of its test part: what watches it.
pub const NO_TRADE: &str = "its policy took no trade of its test part: no streak and no decline of it can be found, and accuracy and harm watch it \
                            only by trades that do not hear it (scoring.holdback, or the other arm of its test); without such trades \
                            nothing watches it";

/// What the rules cannot watch in a version that was validated as `standard`, in words; nothing when they watch all.
pub fn unwatched(options: &EmergencyOptions, standard: Option<&Standard>) -> Vec<String> {
    let Some(standard) = standard else {
        let why = "its record holds no validation by its own question: the lines hold as they are written, with their false \
                   alarms, until it is trained again";
        return vec![why.to_owned()];
    };
    if standard.wins.is_none() {
        return vec![NO_TRADE.to_owned()];
    }
    let mut missing = Vec::new();
    let no_room = |share: &Share, which: &str| {
        let Share { rate, error, trades } = share;
        format!(
            "its score was right in {:.1} % of {trades} test trades{which}, give or take {:.1}: that leaves no room above \
             {:.0} % for a line, so a fall of its accuracy is found only when it is far below that; streak and harm watch it",
            100.0 * rate,
            100.0 * error,
            100.0 * options.number(&accuracy::MIN)
        )
    };
    match options.line(standard) {
        _ if options.literal => {}
        None => missing.push(no_room(&standard.right, "")),
        Some(line) if !is_rarely_below(options, standard, standard.yes.rate, standard.yes.error, line as f64) => {
            missing.push(no_room(&standard.yes, " to which it said yes, and few others are closed in production"));
        }
        Some(_) => {}
    }
    missing
}
