//! What the columns of a CSV file mean: a map, as a file of one's own or one that is built in.

use std::{collections::BTreeMap, fmt, marker::PhantomData, path::Path};

use anyhow::Context;
use jiff::tz::TimeZone;
use serde::{
    Deserialize, Deserializer,
    de::{self, value::MapAccessDeserializer},
};

use super::cell::Twice;
use crate::domain::{Feature, Symbol};

/// The maps that are built in, by name. The same files are in `examples/maps`.
pub(super) const SHIPPED: [(&str, &str); 5] = [
    ("freqtrade", include_str!("../../../examples/maps/freqtrade.toml")),
    ("ninjatrader", include_str!("../../../examples/maps/ninjatrader.toml")),
    ("sierrachart", include_str!("../../../examples/maps/sierrachart.toml")),
    ("tradingview", include_str!("../../../examples/maps/tradingview.toml")),
    ("pandas", include_str!("../../../examples/maps/pandas.toml")),
];

/// What is said on the command line, and goes before the map.
#[derive(Debug, Clone, Default)]
pub(super) struct Said {
    pub zone: Option<TimeZone>,
    pub symbol: Option<Symbol>,
    pub decimal: Option<char>,
    pub time_format: Option<String>,
    pub ambiguous: Option<Twice>,
}

/// What separates columns.
pub(super) const SEPARATORS: [char; 4] = [',', ';', '\t', '|'];

/// A map.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Map {
    /// What separates the columns; without it what fits.
    #[serde(default)]
    pub separator: Option<char>,
    /// The decimal sign; without it the only one that fits all numbers.
    #[serde(default)]
    pub decimal: Option<char>,
    /// The zone of times that name none.
    #[serde(default)]
    pub zone: Option<String>,
    /// Forms of times; the only one that fits all of them is taken.
    #[serde(default = "iso")]
    pub times: Vec<String>,
    /// What a time means that came twice.
    #[serde(default)]
    pub ambiguous: Twice,
    /// What may stand behind a value, apart from it.
    #[serde(default)]
    pub endings: Vec<String>,
    /// Rows that are no closed trade.
    #[serde(default)]
    pub skip: Vec<Rows>,
    /// Where entry and exit are two rows.
    #[serde(default)]
    pub pair: Option<Pair>,
    /// What is known of a trade.
    pub trade: Trade,
    /// The twelve features, by name.
    #[serde(default)]
    pub features: BTreeMap<String, Number>,
    /// Features of one's own, by name.
    #[serde(default)]
    pub extra: BTreeMap<String, Number>,
}

/// Rows by what stands in a column.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rows {
    /// Names that the column may have.
    #[serde(deserialize_with = "one_or_more")]
    pub column: Vec<String>,
    /// What stands there, whatever the case.
    pub words: Vec<String>,
}

/// Two rows a trade.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pair {
    /// The column that both rows of a trade share.
    #[serde(deserialize_with = "one_or_more")]
    pub key: Vec<String>,
    /// The column that tells entry and exit apart.
    #[serde(deserialize_with = "one_or_more")]
    pub role: Vec<String>,
    /// What stands there in the row of the entry.
    pub entry: Vec<String>,
    /// And of the exit.
    pub exit: Vec<String>,
}

/// The columns of a trade.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Trade {
    pub trade_id: Id,
    pub at: Text,
    pub exit_at: Text,
    pub symbol: Name,
    pub side: Direction,
    #[serde(default)]
    pub confidence: Option<Number>,
    #[serde(default)]
    pub entry_price: Option<Number>,
    #[serde(default)]
    pub exit_price: Option<Number>,
    #[serde(default)]
    pub pnl: Option<Number>,
    #[serde(default)]
    pub slippage_ticks: Option<Number>,
    #[serde(default)]
    pub exit_reason: Option<Text>,
    #[serde(default)]
    pub bars_held: Option<Number>,
    #[serde(default)]
    pub mfe_ticks: Option<Number>,
    #[serde(default)]
    pub mae_ticks: Option<Number>,
    #[serde(default)]
    pub mfe_bars: Option<Number>,
}

/// A column as it is written in a map: its name, several that it may have, or a table that says more.
trait Short: Sized {
    fn of(column: Vec<String>) -> Self;
}

macro_rules! source {
    ($(#[$doc:meta])* $name:ident { $($(#[$attribute:meta])* $field:ident: $of:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq)]
        pub(super) struct $name {
            /// Names that the column may have; the first that is there counts.
            pub column: Vec<String>,
            $($(#[$attribute])* pub $field: $of),*
        }

        impl Short for $name {
            fn of(column: Vec<String>) -> Self {
                Self { column, ..Self::default() }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                #[derive(Deserialize)]
                #[serde(deny_unknown_fields)]
                struct Long {
                    #[serde(default, deserialize_with = "one_or_more")]
                    column: Vec<String>,
                    $(#[serde(default)] $field: $of),*
                }
                impl From<Long> for $name {
                    fn from(long: Long) -> Self {
                        Self { column: long.column, $($field: long.$field),* }
                    }
                }
                deserializer.deserialize_any(Shorthand::<$name, Long>(PhantomData))
            }
        }
    };
}

source! {
    /// What names a trade.
    Id {
        /// The name is made of this, the symbol, the side, the times, and the account.
        made: Option<String>,
        /// The column of the account, where the file has one: two accounts may make the same trade.
        account: Option<String>,
    }
}
source! {
    /// A text.
    Text {
        /// Whether the column may be lacking.
        optional: bool,
        /// Other words for what stands there.
        names: BTreeMap<String, String>,
    }
}
source! {
    /// The symbol.
    Name {
        /// It is this one, where there is no column.
        value: Option<String>,
        /// What stands before it.
        after: Vec<String>,
        /// It ends before the first of these.
        until: Vec<String>,
        /// Whether it is that of a contract, whose month is left out.
        future: bool,
        /// Other characters for some that a symbol may not have.
        replace: BTreeMap<String, String>,
        /// Other names, for what is left.
        names: BTreeMap<String, String>,
    }
}
source! {
    /// Long or short.
    Direction {
        /// What stands there for long, whatever the case.
        long: Vec<String>,
        /// And for short.
        short: Vec<String>,
    }
}
source! {
    /// A number.
    Number {
        /// Whether the column may be lacking.
        optional: bool,
        /// What it is multiplied by; 1 without it.
        scale: Option<f64>,
        /// Columns whose numbers are subtracted, such as a commission that is not in the pnl.
        minus: Vec<String>,
    }
}

struct Shorthand<T, L>(PhantomData<(T, L)>);

impl<'de, T: Short + From<L>, L: Deserialize<'de>> de::Visitor<'de> for Shorthand<T, L> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a column, a list of such names, or a table with `column`")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<T, E> {
        Ok(T::of(vec![name.to_owned()]))
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, names: A) -> Result<T, A::Error> {
        Vec::deserialize(de::value::SeqAccessDeserializer::new(names)).map(T::of)
    }

    fn visit_map<A: de::MapAccess<'de>>(self, table: A) -> Result<T, A::Error> {
        L::deserialize(MapAccessDeserializer::new(table)).map(T::from)
    }
}

fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    struct Names;
    impl<'de> de::Visitor<'de> for Names {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("the name of a column, or a list of such names")
        }

        fn visit_str<E: de::Error>(self, name: &str) -> Result<Vec<String>, E> {
            Ok(vec![name.to_owned()])
        }

        fn visit_seq<A: de::SeqAccess<'de>>(self, names: A) -> Result<Vec<String>, A::Error> {
            Vec::deserialize(de::value::SeqAccessDeserializer::new(names))
        }
    }
    deserializer.deserialize_any(Names)
}

fn iso() -> Vec<String> {
    vec!["iso".to_owned()]
}

impl Map {
    /// The map that is built in under `name`, or the one in the file of that name.
    ///
    /// # Errors
    /// When there is neither, or the file is no map; the message names line and key.
    pub(super) fn load(name: &Path) -> anyhow::Result<Self> {
        let built_in = SHIPPED.iter().find(|(shipped, _)| name == Path::new(shipped));
        if let Some((shipped, text)) = built_in {
            return Self::parse(text).with_context(|| format!("the map {shipped}"));
        }
        let text = std::fs::read_to_string(name).with_context(|| {
            let shipped: Vec<&str> = SHIPPED.iter().map(|(name, _)| *name).collect();
            format!("{} cannot be read, and the maps that are built in are {}", name.display(), shipped.join(", "))
        })?;
        Self::parse(&text).with_context(|| name.display().to_string())
    }

    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let map: Self = toml::from_str(text)?;
        map.check().map_err(anyhow::Error::msg)?;
        Ok(map)
    }

    fn check(&self) -> Result<(), String> {
        if let Some(sign) = self.decimal.filter(|sign| !['.', ','].contains(sign)) {
            return Err(format!("decimal = {sign:?}: it must be \".\" or \",\""));
        }
        if let Some(sign) = self.separator.filter(|sign| !SEPARATORS.contains(sign)) {
            return Err(format!("separator = {sign:?}: it must be one of , ; | and the tab"));
        }
        if self.times.is_empty() {
            return Err("times: at least one form is needed, such as \"iso\"".to_owned());
        }
        let trade = &self.trade;
        match (&trade.trade_id.made, trade.trade_id.column.is_empty()) {
            (None, true) => return Err("trade.trade_id: a column is needed, or `made`".to_owned()),
            (Some(_), false) => return Err("trade.trade_id: give a column or `made`, not both".to_owned()),
            (None, false) if trade.trade_id.account.is_some() => {
                return Err("trade.trade_id: `account` is a part of a name that is `made`, not of a column".to_owned());
            }
            _ => {}
        }
        let columns = [("at", &trade.at.column), ("exit_at", &trade.exit_at.column), ("side", &trade.side.column)];
        if let Some((name, _)) = columns.iter().find(|(_, column)| column.is_empty()) {
            return Err(format!("trade.{name}: a column is needed"));
        }
        if trade.side.long.iter().chain(&trade.side.short).next().is_some()
            && (trade.side.long.is_empty() || trade.side.short.is_empty())
        {
            return Err("trade.side: give words for both, long and short".to_owned());
        }
        if let Some(value) = &trade.symbol.value {
            Symbol::new(value).map_err(|error| format!("trade.symbol: {error}"))?;
        }
        if let Some((field, _)) = self.numbers().find(|(_, n)| n.scale.is_some_and(|scale| !scale.is_normal())) {
            return Err(format!("{field}: scale must be a number other than 0"));
        }
        let unknown = |name: &&String| !Feature::ALL.iter().any(|feature| feature.name() == **name) && *name != "*";
        if let Some(name) = self.features.keys().find(unknown) {
            return Err(format!(
                "features.{name}: it is none of the twelve features; those of your own stand in [extra]"
            ));
        }
        Ok(())
    }

    /// The columns without which nothing can be read, each by the names that it may have.
    pub(super) fn needed(&self) -> Vec<&[String]> {
        let trade = &self.trade;
        let pair = self.pair.iter().flat_map(|pair| [&pair.key, &pair.role]);
        let columns = [&trade.trade_id.column, &trade.at.column, &trade.exit_at.column, &trade.symbol.column];
        let numbers = self.numbers().filter(|(_, number)| !number.optional).map(|(_, number)| number.column.as_slice());
        let all = columns.into_iter().chain([&trade.side.column]).chain(pair).map(Vec::as_slice).chain(numbers);
        all.filter(|names| !names.is_empty()).collect()
    }

    /// Every number that it reads, by the path of its field in a line of JSON.
    pub(super) fn numbers(&self) -> impl Iterator<Item = (String, &Number)> {
        let trade = &self.trade;
        let of_trade = [
            ("confidence", &trade.confidence),
            ("outcome_metrics.entry_price", &trade.entry_price),
            ("outcome_metrics.exit_price", &trade.exit_price),
            ("outcome_metrics.pnl", &trade.pnl),
            ("outcome_metrics.slippage_ticks", &trade.slippage_ticks),
            ("outcome_metrics.bars_held", &trade.bars_held),
            ("outcome_metrics.mfe_ticks", &trade.mfe_ticks),
            ("outcome_metrics.mae_ticks", &trade.mae_ticks),
            ("outcome_metrics.mfe_bars", &trade.mfe_bars),
        ];
        let of_trade = of_trade.into_iter().filter_map(|(name, number)| Some((name.to_owned(), number.as_ref()?)));
        let features = self.features.iter().map(|(name, number)| (format!("features.{name}"), number));
        let extra = self.extra.iter().map(|(name, number)| (format!("extra.{name}"), number));
        of_trade.chain(features).chain(extra)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_map_that_is_built_in_can_be_read_and_says_what_it_is() {
        for (name, text) in SHIPPED {
            let map = Map::load(Path::new(name)).unwrap();
            assert!(map.numbers().any(|(field, _)| field == "outcome_metrics.pnl"), "{name}");
            assert!(text.starts_with("# "), "{name}");
        }
        assert!(Map::load(Path::new("no-such-map")).unwrap_err().to_string().contains("tradingview"));
    }

    #[test]
    fn a_fault_in_a_map_is_named() {
        let whole =
            "[trade]\ntrade_id = \"id\"\nat = \"in\"\nexit_at = \"out\"\nsymbol = \"s\"\nside = \"d\"\npnl = \"p\"\n";
        assert!(Map::parse(whole).is_ok());
        for (from, to, named) in [
            ("pnl", "pln", "pln"),
            ("\"id\"", "{ made = \"X\", column = \"id\" }", "not both"),
            ("\"id\"", "{}", "trade.trade_id"),
            ("at = \"in\"\n", "", "`at`"),
            ("\"d\"", "{ column = \"d\", long = [\"L\"] }", "both, long and short"),
            ("\"s\"", "{ value = \"es\" }", "symbol"),
            ("\"p\"", "7", "the name of a column"),
            ("\"p\"", "{ column = \"p\", sacle = 2.0 }", "sacle"),
            ("\"p\"", "{ column = \"p\", scale = 0.0 }", "scale"),
            ("[trade]", "decimal = \"x\"\n[trade]", "decimal"),
            ("[trade]", "separator = \"x\"\n[trade]", "separator"),
            ("[trade]", "times = []\n[trade]", "times"),
            ("[trade]", "[features]\nmine = \"x\"\n[trade]", "features.mine"),
        ] {
            let map = whole.replacen(from, to, 1);
            assert_ne!(map, whole);
            let error = format!("{:#}", Map::parse(&map).unwrap_err());
            assert!(error.contains(named), "{map}: {error}");
        }
    }
}
