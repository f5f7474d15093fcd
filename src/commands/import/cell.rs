//! What a cell of a CSV file says: a number, a moment, a name. Functions of text; nothing is guessed that could be read two ways.

use jiff::{
    Timestamp,
    civil::DateTime,
    fmt::strtime::BrokenDownTime,
    tz::{AmbiguousOffset, TimeZone},
};

/// Words for a value that is not there.
const NOTHING: [&str; 8] = ["", "nan", "na", "n/a", "none", "null", "nat", "-"];
/// Signs of money.
const CURRENCIES: [char; 5] = ['$', '€', '£', '¥', '₿'];
/// Letters of the name of a currency, such as USD or USDT.
const LONGEST_CURRENCY: usize = 4;

/// What a local time means that the clocks showed twice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(super) enum Twice {
    /// It is a fault
    #[default]
    Refuse,
    /// The first time
    Earlier,
    /// The second time
    Later,
}

/// Whether a cell holds nothing.
pub(super) fn is_nothing(text: &str) -> bool {
    let text = text.trim();
    NOTHING.iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// The number in a cell whose decimal sign is `decimal`; `None` where there is none. Money may have a sign or name of its currency,
/// and stand in brackets when it is a loss. Groups of three digits may be set apart.
///
/// # Errors
/// Why it is no number.
pub(super) fn number(text: &str, decimal: char) -> Result<Option<f64>, String> {
    if is_nothing(text) {
        return Ok(None);
    }
    let wrong = || format!("{text:?} is no number with the decimal sign {decimal:?}");
    let mut rest = text.trim();
    let mut negative = false;
    if let Some(inner) = rest.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')) {
        (rest, negative) = (inner.trim(), true);
    }
    // the sign stands before the currency or behind it
    for _ in 0..2 {
        if let Some(behind) = rest.strip_prefix(['-', '\u{2212}']) {
            if negative {
                return Err(wrong());
            }
            (rest, negative) = (behind.trim_start(), true);
        } else if let Some(behind) = rest.strip_prefix('+') {
            rest = behind.trim_start();
        }
        rest = without_currency(rest);
    }
    let digits = plain(rest, decimal).ok_or_else(wrong)?;
    let number: f64 = digits.parse().map_err(|_| wrong())?;
    if !number.is_finite() {
        return Err(format!("{text:?} is too large for a number"));
    }
    Ok(Some(if negative { -number } else { number }))
}

/// `text` without a currency at one of its ends.
fn without_currency(text: &str) -> &str {
    let text = text.trim_matches(CURRENCIES).trim();
    let name =
        |part: &str| (3..=LONGEST_CURRENCY).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_uppercase());
    let is_digit = |c: char| c.is_ascii_digit();
    let begin = text.find(|c: char| !c.is_ascii_uppercase()).unwrap_or(text.len());
    let end = text.rfind(is_digit).map_or(text.len(), |last| last + 1);
    match (text.get(..begin), text.get(end..)) {
        (Some(head), _) if name(head) => text.get(begin..).unwrap_or_default().trim_start(),
        (_, Some(tail)) if name(tail.trim()) => text.get(..end).unwrap_or_default(),
        _ => text,
    }
}

/// Digits with a point, as Rust reads them: groups joined, `decimal` a point.
fn plain(text: &str, decimal: char) -> Option<String> {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (text.get(..at)?, text.get(at..)?),
        None => (text, ""),
    };
    let (whole, fraction) = mantissa.split_once(decimal).map_or((mantissa, None), |(whole, rest)| (whole, Some(rest)));
    let is_group_sign = |c: char| matches!(c, ' ' | '\u{a0}' | '\u{202f}' | '\'' | '’' | ',' | '.') && c != decimal;
    let signs: Vec<char> = whole.chars().filter(|c| is_group_sign(*c)).collect();
    let one_sign = signs.windows(2).all(|pair| pair.first() == pair.last());
    let groups: Vec<&str> = whole.split(is_group_sign).collect();
    let well_grouped = groups.len() == 1
        || (groups.first().is_some_and(|first| (1..=3).contains(&first.len()))
            && groups.iter().skip(1).all(|group| group.len() == 3));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let fits = one_sign && well_grouped && groups.iter().all(|group| digits(group));
    let fraction = fraction.unwrap_or_default();
    let some_digit = !whole.is_empty() || !fraction.is_empty();
    (fits && some_digit && digits(fraction)).then(|| format!("0{}.{fraction}0{exponent}", groups.concat()))
}

/// When a cell says that something was, read by `form`: a format of strftime, or `iso`, `unix_s` or `unix_ms`.
///
/// # Errors
/// [`NoTime`].
pub(super) fn moment(text: &str, form: &str, zone: Option<&TimeZone>, twice: Twice) -> Result<Timestamp, NoTime> {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let other = || NoTime::Other;
    match form {
        "unix_s" => {
            let seconds = text.parse().map_err(|_| other())?;
            Timestamp::from_second(seconds).map_err(|_| other())
        }
        "unix_ms" => {
            let milliseconds = text.parse().map_err(|_| other())?;
            Timestamp::from_millisecond(milliseconds).map_err(|_| other())
        }
        "iso" => match text.parse::<Timestamp>() {
            Ok(at) => Ok(at),
            Err(_) => local(text.parse().map_err(|_| other())?, zone, twice),
        },
        _ => {
            let parts = BrokenDownTime::parse(form, &text).map_err(|_| other())?;
            if parts.offset().is_some() {
                return parts.to_timestamp().map_err(|_| other());
            }
            let date = parts.to_date().map_err(|_| other())?;
            local(parts.to_datetime().unwrap_or_else(|_| date.at(0, 0, 0, 0)), zone, twice)
        }
    }
}

/// Why a cell is no moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NoTime {
    /// It is written in another form.
    Other,
    /// It names no zone, and none is known.
    NoZone,
    /// The clocks of the zone showed it twice, or never: in words.
    Clocks(String),
}

fn local(at: DateTime, zone: Option<&TimeZone>, twice: Twice) -> Result<Timestamp, NoTime> {
    let zone = zone.ok_or(NoTime::NoZone)?;
    let name = zone.iana_name().unwrap_or("the zone");
    let ambiguous = zone.to_ambiguous_timestamp(at);
    let found = match (ambiguous.offset(), twice) {
        (AmbiguousOffset::Gap { .. }, _) => {
            let why = format!("the clocks of {name} never showed {at}, they were put forward; is this the right zone?");
            return Err(NoTime::Clocks(why));
        }
        (AmbiguousOffset::Fold { .. }, Twice::Refuse) => {
            let why = format!(
                "the clocks of {name} showed {at} twice, they were put back; --ambiguous earlier or later says which it is"
            );
            return Err(NoTime::Clocks(why));
        }
        (AmbiguousOffset::Fold { .. }, Twice::Earlier) => ambiguous.earlier(),
        (AmbiguousOffset::Fold { .. }, Twice::Later) => ambiguous.later(),
        (AmbiguousOffset::Unambiguous { .. }, _) => ambiguous.compatible(),
    };
    found.map_err(|_| NoTime::Other)
}

/// `text` without one of `endings` that stands apart at its end.
pub(super) fn without_ending<'a>(text: &'a str, endings: &[String]) -> &'a str {
    let text = text.trim();
    let cut = endings.iter().find_map(|ending| text.strip_suffix(ending.as_str()).filter(|rest| rest.ends_with(' ')));
    cut.map_or(text, str::trim_end)
}

/// The root of the name of a futures contract: `ESZ25` and `ESZ5` are of `ES`. Other names stay.
pub(super) fn root_of_contract(name: &str) -> &str {
    let digits = name.bytes().rev().take_while(u8::is_ascii_digit).count();
    let Some((before, year)) = name.split_at_checked(name.len() - digits) else { return name };
    let is_month = before.ends_with(['F', 'G', 'H', 'J', 'K', 'M', 'N', 'Q', 'U', 'V', 'X', 'Z']);
    match before.get(..before.len().saturating_sub(1)) {
        Some(root) if is_month && (1..=4).contains(&year.len()) && !root.is_empty() => root,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_programs_and_people_write_them() {
        for (text, decimal, value) in [
            ("12.5", '.', 12.5),
            ("-$18.98", '.', -18.98),
            ("$-18.98", '.', -18.98),
            ("($1,126.02)", '.', -1126.02),
            ("1.126,02 €", ',', 1126.02),
            ("-62,50 €", ',', -62.5),
            ("\u{2212}1\u{202f}126,5", ',', -1126.5),
            ("1'126.5 USD", '.', 1126.5),
            ("USDT 3", '.', 3.0),
            ("1e-05", '.', 1e-5),
            ("-.5", '.', -0.5),
            ("7.", '.', 7.0),
            ("+1,234,567", '.', 1_234_567.0),
            ("1234567.25", '.', 1_234_567.25),
        ] {
            assert_eq!(number(text, decimal), Ok(Some(value)), "{text}");
        }
        for nothing in ["", "  ", "NaN", "n/a", "None", "-"] {
            assert_eq!(number(nothing, '.'), Ok(None), "{nothing:?}");
        }
    }

    #[test]
    fn what_is_no_number_or_could_be_another_is_refused() {
        for (text, decimal) in [
            ("12,5", '.'),
            ("1.234.5", ','),
            ("1,23,456", '.'),
            ("1,234 567", '.'),
            ("12.5.6", '.'),
            ("abc", '.'),
            ("--1", '.'),
            ("(-1)", '.'),
            ("1e999", '.'),
            ("inf", '.'),
            ("12.5 %", '.'),
            (".", '.'),
            ("0x10", '.'),
            ("1,234.567,8", '.'),
        ] {
            assert!(number(text, decimal).is_err(), "{text}: {:?}", number(text, decimal));
        }
    }

    #[test]
    fn moments_are_read_in_every_form_and_their_zone_is_never_guessed() {
        let chicago = TimeZone::get("America/Chicago").unwrap();
        for (text, form, expected) in [
            ("1/6/2025 9:31:05 AM", "%m/%d/%Y %I:%M:%S %p", "2025-01-06T15:31:05Z"),
            ("16/06/2025 09:45:59", "%d/%m/%Y %H:%M:%S", "2025-06-16T14:45:59Z"),
            ("06.01.2025 21:31:05", "%d.%m.%Y %H:%M:%S", "2025-01-07T03:31:05Z"),
            ("2025-01-06  09:31:05.250", "%Y-%m-%d %H:%M:%S%.f", "2025-01-06T15:31:05.25Z"),
            ("2025-01-06", "%Y-%m-%d", "2025-01-06T06:00:00Z"),
            ("2025-01-06 09:31", "iso", "2025-01-06T15:31:00Z"),
            ("2025-01-06 09:31:05+00:00", "iso", "2025-01-06T09:31:05Z"),
            ("2025-01-06T09:31:05.5Z", "iso", "2025-01-06T09:31:05.5Z"),
            ("1736155865", "unix_s", "2025-01-06T09:31:05Z"),
            ("1736155865250", "unix_ms", "2025-01-06T09:31:05.25Z"),
        ] {
            let at = moment(text, form, Some(&chicago), Twice::Refuse);
            assert_eq!(at.map(|at| at.to_string()), Ok(expected.to_owned()), "{text} as {form}");
        }
        assert_eq!(moment("2025-01-06 09:31", "iso", None, Twice::Refuse), Err(NoTime::NoZone));
        assert!(moment("2025-01-06 09:31Z", "iso", None, Twice::Refuse).is_ok());
        assert_eq!(moment("13/25/2025 1:00:00 AM", "%m/%d/%Y %I:%M:%S %p", None, Twice::Refuse), Err(NoTime::Other));
        assert_eq!(moment("Open", "iso", Some(&chicago), Twice::Refuse), Err(NoTime::Other));
    }

    #[test]
    fn a_local_time_that_came_twice_or_never_is_a_fault_until_somebody_decides() {
        let chicago = TimeZone::get("America/Chicago").unwrap();
        let at = |text: &str, twice| moment(text, "iso", Some(&chicago), twice);
        let twice = "2025-11-02 01:30:00";
        assert!(matches!(at(twice, Twice::Refuse), Err(NoTime::Clocks(why)) if why.contains("twice")));
        assert_eq!(at(twice, Twice::Earlier), Ok("2025-11-02T06:30:00Z".parse().unwrap()));
        assert_eq!(at(twice, Twice::Later), Ok("2025-11-02T07:30:00Z".parse().unwrap()));
        for choice in [Twice::Refuse, Twice::Earlier, Twice::Later] {
            let never = at("2025-03-09 02:30:00", choice);
            assert!(matches!(never, Err(NoTime::Clocks(why)) if why.contains("never")));
        }
    }

    #[test]
    fn contracts_have_a_root_and_other_names_are_left_alone() {
        for (name, root) in
            [("ESZ25", "ES"), ("MESZ5", "MES"), ("CLF2025", "CL"), ("ES", "ES"), ("Z5", "Z5"), ("BTC_USDT", "BTC_USDT")]
        {
            assert_eq!(root_of_contract(name), root);
        }
        let endings = ["BP".to_owned(), "F".to_owned()];
        assert_eq!(without_ending("2025-01-06  09:31:05 BP", &endings), "2025-01-06  09:31:05");
        assert_eq!(without_ending("387.40 F", &endings), "387.40");
        assert_eq!(without_ending("NFBP", &endings), "NFBP");
    }
}
