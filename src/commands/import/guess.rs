//! `vigie import --guess`: a map is proposed for a file, and it is said what could not be guessed.

use std::{collections::BTreeSet, io::Write as _, path::PathBuf};

use anyhow::{Context as _, anyhow};
use indicatif::ProgressBar;

use super::{
    cell,
    map::{Map, SHIPPED, Said},
    sheet::Sheet,
    table::{TableArgs, trades, whole},
};
use crate::{
    commands::{
        Outcome,
        terminal::{tell, warn},
    },
    config::Config,
};

/// What columns are called, by field, in small letters and digits only; what fits best comes first.
const WORDS: [(&str, &[&str]); 14] = [
    ("trade_id", &["tradeid", "id", "tradeno", "ticket", "orderid", "positionid", "dealid"]),
    (
        "at",
        &[
            "at",
            "entryat",
            "entrytime",
            "entrydatetime",
            "entrytimestamp",
            "entrydate",
            "opentime",
            "opendate",
            "opendatetime",
            "openedat",
            "timeopen",
            "signaltime",
            "boughttimestamp",
        ],
    ),
    (
        "exit_at",
        &[
            "exitat",
            "exittime",
            "exitdatetime",
            "exittimestamp",
            "exitdate",
            "closetime",
            "closedate",
            "closedatetime",
            "closedat",
            "timeclose",
            "soldtimestamp",
        ],
    ),
    ("symbol", &["symbol", "instrument", "ticker", "pair", "market", "contract", "asset", "root"]),
    ("side", &["side", "direction", "marketpos", "tradetype", "longshort", "buysell", "position", "type", "isshort"]),
    ("confidence", &["confidence"]),
    ("entry_price", &["entryprice", "avgentryprice", "openprice", "openrate", "pricein"]),
    ("exit_price", &["exitprice", "avgexitprice", "closeprice", "closerate", "priceout"]),
    (
        "pnl",
        &[
            "pnl",
            "netpnl",
            "netprofit",
            "netpl",
            "profitabs",
            "profit",
            "profitlossc",
            "profitloss",
            "pl",
            "realizedpnl",
        ],
    ),
    ("slippage_ticks", &["slippageticks"]),
    ("exit_reason", &["exitreason", "exitname", "reason", "exittype"]),
    ("bars_held", &["barsheld", "bars", "durationbars"]),
    ("mfe_ticks", &["mfeticks"]),
    ("mae_ticks", &["maeticks"]),
];
/// Without these there is no trade.
const NEEDED: [&str; 4] = ["at", "exit_at", "symbol", "side"];
/// Forms of times that are tried.
const FORMS: [&str; 15] = [
    "iso",
    "unix_s",
    "unix_ms",
    "%m/%d/%Y %I:%M:%S %p",
    "%d/%m/%Y %I:%M:%S %p",
    "%m/%d/%Y %I:%M %p",
    "%m/%d/%Y %H:%M:%S",
    "%d/%m/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M",
    "%d/%m/%Y %H:%M",
    "%d.%m.%Y %H:%M:%S",
    "%d.%m.%Y %H:%M",
    "%d-%m-%Y %H:%M:%S",
    "%Y/%m/%d %H:%M:%S",
    "%Y.%m.%d %H:%M:%S",
];

/// A map as text, and what could not be guessed.
#[derive(Debug, PartialEq, Eq)]
struct Proposal {
    map: String,
    /// What was guessed, in words.
    guessed: Vec<String>,
    open: Vec<String>,
}

/// Runs `vigie import --guess`.
pub(super) fn propose(files: &[PathBuf], args: &TableArgs, config: &Config) -> Outcome {
    let [file] = files else {
        return Err(anyhow!("--guess looks at one file; {} were named", files.len()).into());
    };
    let bytes = whole(file, &ProgressBar::hidden())?;
    let name = file.display().to_string();
    let Proposal { map, guessed, open } = match known(&bytes, args, config) {
        Some(proposal) => proposal,
        None => guess(&bytes, &name, &args.said()).map_err(|why| anyhow!("{name}: {why}"))?,
    };
    match &args.out {
        Some(path) => {
            let file = std::fs::OpenOptions::new().write(true).create_new(true).open(path);
            let mut file = file.with_context(|| format!("{} cannot be made", path.display()))?;
            file.write_all(map.as_bytes()).with_context(|| format!("{} cannot be written", path.display()))?;
            tell(format_args!("{} is written", path.display()))?;
        }
        None => tell(map.trim_end())?,
    }
    guessed.iter().for_each(|guessed| warn(format_args!("guessed: {guessed}")));
    open.iter().for_each(|open| warn(format_args!("not guessed: {open}")));
    if !guessed.is_empty() {
        warn("--zone, --decimal, --time-format and --symbol overrule a guess, and so does each line of the map");
    }
    Ok(())
}

/// The map that is built in, if the file is that of a program that is known.
fn known(bytes: &[u8], args: &TableArgs, config: &Config) -> Option<Proposal> {
    let fits = |text: &str| {
        let map = Map::parse(text).ok()?;
        let sheet = Sheet::read(bytes, Some(&map)).ok()?;
        let needed = map.needed();
        (!needed.is_empty() && needed.iter().all(|names| !sheet.columns(names).is_empty())).then_some(map)
    };
    let (name, text, map) = SHIPPED.iter().find_map(|(name, text)| Some((name, text, fits(text)?)))?;
    let open = match trades(bytes, &map, &args.said(), config) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.iter().take(3).map(|fault| format!("line {}: {fault}", fault.line)).collect(),
    };
    let head = format!("# This is what {name} writes: `--map {name}` is this map, and needs no file.\n#\n");
    let guessed = vec![format!("the file is one of {name}, by the names of its columns; --map names another map")];
    Some(Proposal { map: format!("{head}{text}"), guessed, open })
}

fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

fn quoted(text: &str) -> String {
    // what JSON escapes TOML reads as well
    serde_json::Value::from(text).to_string()
}

/// A map by the names of the columns and by what stands in them.
fn guess(bytes: &[u8], name: &str, said: &Said) -> Result<Proposal, String> {
    let sheet = Sheet::read(bytes, None)
        .map_err(|faults| faults.first().map_or_else(String::new, |fault| format!("line {}: {fault}", fault.line)))?;
    if sheet.rows.is_empty() {
        return Err("there is no row behind the head".to_owned());
    }
    let mut open = Vec::new();
    let mut taken: Vec<(&str, usize)> = Vec::new();
    for (field, words) in WORDS {
        let free = |column: &usize| !taken.iter().any(|(_, other)| other == column);
        let of = |word: &&&str| sheet.head.iter().position(|head| plain(head) == ***word);
        if let Some(column) = words.iter().filter_map(|word| of(&word)).find(free) {
            taken.push((field, column));
        }
    }
    let place = |field: &str| taken.iter().find(|(name, _)| *name == field).map(|(_, column)| *column);
    let cells = |column: usize| (0..sheet.rows.len()).map(|row| sheet.cell(row, column)).collect::<Vec<_>>();
    let head = |column: usize| sheet.head.get(column).map_or_else(String::new, |name| quoted(name));
    let mut map =
        format!("# Proposed by `vigie import --guess` from the names of the columns; look it over.\n# {name}\n\n");
    map.push_str(&format!("separator = {}\n", quoted(&sheet.separator.to_string())));
    let numbers: Vec<usize> = ["entry_price", "exit_price", "pnl"].into_iter().filter_map(place).collect();
    map.push_str(&match said.decimal {
        Some(sign) => format!("decimal = \"{sign}\"\n"),
        None => decimal_line(&numbers.iter().flat_map(|column| cells(*column)).collect::<Vec<_>>(), &mut open),
    });
    let times: Vec<&str> = ["at", "exit_at"].into_iter().filter_map(place).flat_map(cells).collect();
    map.push_str(&times_lines(&times, said, &mut open));
    let mut guessed: Vec<String> =
        map.lines().filter(|line| line.contains(" = ") && !line.starts_with('#')).map(str::to_owned).collect();
    map.push_str("\n[trade]\n");
    let ids = place("trade_id").map(cells).unwrap_or_default();
    let are_ids = !ids.is_empty() && ids.iter().collect::<BTreeSet<_>>().len() == ids.len();
    match place("trade_id").filter(|_| are_ids) {
        Some(column) => {
            map.push_str(&format!("trade_id = {}\n", head(column)));
            open.push(format!(
                "trade_id: whether {} is a name that no other file gives to another trade; else write {{ made = \"CSV\" }}",
                head(column)
            ));
        }
        None => {
            let account = sheet.head.iter().position(|name| name.eq_ignore_ascii_case("account"));
            let account = account.map(|column| format!(", account = {}", head(column))).unwrap_or_default();
            map.push_str(&format!(
                "# made of symbol, entry, side, seconds held, prices and account\ntrade_id = {{ made = \"CSV\"{account} }}\n"
            ));
        }
    }
    for (field, _) in WORDS.into_iter().skip(1) {
        match place(field) {
            _ if field == "symbol" && said.symbol.is_some() => {
                let symbol = said.symbol.as_ref().map_or_else(String::new, ToString::to_string);
                map.push_str(&format!("symbol = {{ value = {} }}\n", quoted(&symbol)));
            }
            Some(column) if field == "side" => map.push_str(&side_line(&head(column), &cells(column), &mut open)),
            Some(column) => map.push_str(&format!("{field} = {}\n", head(column))),
            None if field == "symbol" => {
                map.push_str("symbol = {}\n");
                open.push("symbol: no column names it; name it with --symbol".to_owned());
            }
            None if NEEDED.contains(&field) => {
                map.push_str(&format!("# which column?\n{field} = \"?\"\n"));
                open.push(format!("{field}: no column is called so; write its name into the map"));
            }
            None if field == "pnl" => open.push("pnl: no column is called so; nothing is learnt without it".to_owned()),
            None => {}
        }
    }
    let of_trade = map.split_once("[trade]").map_or("", |(_, lines)| lines);
    guessed.extend(of_trade.lines().filter(|line| line.contains(" = ") && !line.contains("\"?\"")).map(str::to_owned));
    if place("pnl").is_some() {
        open.push(
            "pnl: whether it is after costs; if not, write { column = ..., minus = [\"Commission\"] }".to_owned(),
        );
    }
    let others = (0..sheet.head.len()).filter(|column| !taken.iter().any(|(_, other)| other == column));
    let is_number = |text: &&str| cell::number(text, '.').is_ok() || cell::number(text, ',').is_ok();
    let others: Vec<usize> =
        others.filter(|column| !head(*column).eq("\"\"") && cells(*column).iter().all(is_number)).collect();
    map.push_str(
        "\n# Inputs of your own, by a name of a-z 0-9 _; declare each in features.extra of the configuration. Take only what was known\n\
         # when the signal fired: what is known behind it foretells nothing.\n[extra]\n",
    );
    for column in others {
        let name = sheet.head.get(column).map_or_else(String::new, |name| input_name(name));
        map.push_str(&format!("# {name} = {}\n", head(column)));
    }
    Ok(Proposal { map, guessed, open })
}

/// The name of an input that is like that of a column.
fn input_name(name: &str) -> String {
    let name: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect();
    let name = name.trim_matches(|c: char| !c.is_ascii_lowercase());
    let name: String = name.chars().take(40).collect();
    if name.is_empty() { "input".to_owned() } else { name }
}

fn decimal_line(cells: &[&str], open: &mut Vec<String>) -> String {
    let read = |sign: char| cells.iter().map(|cell| cell::number(cell, sign)).collect::<Result<Vec<_>, _>>();
    match (read('.'), read(',')) {
        (Ok(points), Ok(commas)) if points != commas => {
            open.push("decimal: the numbers can be read with a point and with a comma; write which".to_owned());
            "# decimal = \".\" or \",\"\n".to_owned()
        }
        (Ok(_), _) => "decimal = \".\"\n".to_owned(),
        (Err(_), Ok(_)) => "decimal = \",\"\n".to_owned(),
        (Err(why), Err(_)) => {
            open.push(format!("decimal: {why}"));
            "# decimal = \".\" or \",\"\n".to_owned()
        }
    }
}

fn times_lines(cells: &[&str], said: &Said, open: &mut Vec<String>) -> String {
    let zone = jiff::tz::TimeZone::UTC;
    let fits = |form: &str| {
        let read = |cell: &&str| cell::moment(cell, form, Some(&zone), cell::Twice::Earlier).is_ok();
        !cells.is_empty() && cells.iter().all(read)
    };
    let forms: Vec<String> = match &said.time_format {
        Some(form) => vec![quoted(form)],
        None => FORMS.iter().filter(|form| fits(form)).map(|form| quoted(form)).collect(),
    };
    match forms.len() {
        0 => open.push("times: their form; write it as strftime has it".to_owned()),
        1 => {}
        _ => open.push(format!("times: {} all fit; leave one", forms.join(", "))),
    }
    let zoned = cells.iter().all(|cell| cell::moment(cell, "iso", None, cell::Twice::Refuse).is_ok());
    let unix = forms.iter().any(|form| form.starts_with("\"unix"));
    let said_zone = said.zone.as_ref().and_then(|zone| zone.iana_name().map(str::to_owned));
    let zone = match said_zone {
        Some(zone) => format!("zone = {}\n", quoted(&zone)),
        None if zoned || unix => String::new(),
        None => {
            open.push(
                "zone: the times name none; write the zone that the program was set to, or use --zone".to_owned(),
            );
            "# zone = \"America/Chicago\"\n".to_owned()
        }
    };
    let forms = if forms.is_empty() { quoted("iso") } else { forms.join(", ") };
    format!("times = [{forms}]\n{zone}")
}

fn side_line(column: &str, cells: &[&str], open: &mut Vec<String>) -> String {
    let words: BTreeSet<&str> = cells.iter().copied().collect();
    let is = |word: &str, of: &[&str]| of.iter().any(|other| word.to_ascii_lowercase().starts_with(other));
    let list = |words: Vec<&&str>| words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(", ");
    let is_flag = plain(column) == "isshort";
    let (longs, shorts): (&[&str], &[&str]) =
        if is_flag { (&["false", "0"], &["true", "1"]) } else { (&["long", "buy", "1"], &["short", "sell", "-1"]) };
    let (long, short): (Vec<_>, Vec<_>) =
        (words.iter().filter(|w| is(w, longs)).collect(), words.iter().filter(|w| is(w, shorts)).collect());
    let unknown: Vec<&&str> = words.iter().filter(|word| !is(word, longs) && !is(word, shorts)).collect();
    if !unknown.is_empty() {
        open.push(format!("side: what {} mean", list(unknown)));
    }
    let or = |words: String, usual: &str| if words.is_empty() { quoted(usual) } else { words };
    let (long, short) =
        (or(list(long), longs.first().unwrap_or(&"long")), or(list(short), shorts.first().unwrap_or(&"short")));
    format!("side = {{ column = {column}, long = [{long}], short = [{short}] }}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::import::convert::convert;

    const FILE: &str = "Opened At;Closed At;Ticker;Direction;Entry Price;Net Profit;RSI (14);Note\n\
        06.01.2025 09:31:05;06.01.2025 09:41:05;ES;Buy;5.900,25;-62,50;55,1;a\n\
        16.01.2025 09:31:05;16.01.2025 09:41:05;ES;Sell;5.910,25;125,00;45,1;b\n";

    #[test]
    fn a_map_that_is_proposed_reads_the_file_it_was_proposed_for() {
        let Proposal { map, open, guessed } = guess(FILE.as_bytes(), "trades.csv", &Said::default()).unwrap();
        let said = Said { zone: Some(jiff::tz::TimeZone::UTC), ..Said::default() };
        let read = convert(FILE.as_bytes(), &Map::parse(&map).unwrap(), &said, |_| Ok(())).unwrap();
        assert_eq!((read.trades.len(), read.decimal, read.form.as_str()), (2, ',', "%d.%m.%Y %H:%M:%S"));
        assert!(
            read.trades[0].1.contains(r#""pnl":-62.5"#) && read.trades[1].1.contains(r#""side":"short""#),
            "{read:?}"
        );
        assert!(map.contains("# rsi = \"RSI (14)\""), "{map}");
        assert!(!map.contains("Note"), "a text is no input: {map}");
        let named: Vec<&str> = open.iter().filter_map(|open| open.split(':').next()).collect();
        assert_eq!(named, ["zone", "pnl"], "{open:?}");
        for line in [
            "separator = \";\"",
            "decimal = \",\"",
            "at = \"Opened At\"",
            "symbol = \"Ticker\"",
            "pnl = \"Net Profit\"",
        ] {
            assert!(guessed.iter().any(|guessed| guessed == line) && map.contains(line), "{line}: {guessed:?}");
        }
        assert!(!guessed.join(" ").contains("rsi"), "what stands behind # is no guess: {guessed:?}");
    }

    #[test]
    fn what_is_said_overrules_a_guess() {
        let said = Said {
            zone: Some(jiff::tz::TimeZone::get("America/Chicago").unwrap()),
            symbol: Some("NQ".parse().unwrap()),
            decimal: Some('.'),
            time_format: Some("%d.%m.%Y %T".to_owned()),
            ambiguous: None,
        };
        let Proposal { map, open, .. } = guess(FILE.as_bytes(), "x", &said).unwrap();
        for line in [
            "zone = \"America/Chicago\"",
            "symbol = { value = \"NQ\" }",
            "decimal = \".\"",
            "times = [\"%d.%m.%Y %T\"]",
        ] {
            assert!(map.lines().any(|own| own == line), "{line}: {map}");
        }
        assert_eq!(open.len(), 1, "{open:?}");
    }

    #[test]
    fn what_cannot_be_guessed_is_said() {
        let open = |file: &str| guess(file.as_bytes(), "x", &Said::default()).unwrap().open.join("\n");
        let ambiguous = FILE.replace("06.01.2025", "6/1/2025").replace("16.01.2025", "7/1/2025");
        assert!(open(&ambiguous).contains("all fit; leave one"), "{}", open(&ambiguous));
        assert!(open(&FILE.replace("Buy", "Up")).contains("\"Up\""));
        assert!(open(&FILE.replace("Ticker", "X")).contains("--symbol"));
        assert!(open(&FILE.replace("Opened At", "X")).contains("at: no column"));
        assert!(
            open(&FILE.replace("5.900,25;-62,50", "5.900;-62").replace("5.910,25;125,00", "5.910;125"))
                .contains("decimal")
        );
        assert!(guess(b"a,b\n", "x", &Said::default()).is_err());
    }
}
