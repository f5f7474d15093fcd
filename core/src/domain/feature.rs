//! The twelve features of Battle Navale, as names with a range. Their formulas live in `features::formulas`.

use serde::{Deserialize, Serialize};

/// How many features the strategy names.
pub const FEATURES: usize = 12;

/// One of the twelve, in the order in which they stand in every vector and file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Feature {
    /// Price against the session's volume-weighted mean, 0 to 1.
    VwapTrendSignal,
    /// The strongest bar pattern, 0 to 1.
    SierraPatternStrength,
    /// Down, range, up: -1, 0, 1.
    DowTrendRegime,
    /// Nearness of a gamma wall, 0 to 1.
    GammaLevelsProximity,
    /// Nearness of a value-area or previous-session level, 0 to 1.
    LevelProximity,
    /// Correlation with the Nasdaq future, -1 to 1.
    EsNqCorrelation,
    /// Recent against average volume, 0 to 1.
    VolumeConfirmation,
    /// Bias of the options flow, -1 to 1.
    OptionsFlowBias,
    /// Volatility, 0 to 1.
    MarketVolatility,
    /// Share of the session gone by, 0 to 1.
    SessionTime,
    /// Spread beyond one tick, 0 to 1.
    BidAskSpread,
    /// Move of the last five minutes, -1 to 1.
    RecentMomentum,
}

impl Feature {
    /// All twelve, in order.
    pub const ALL: [Self; FEATURES] = [
        Self::VwapTrendSignal,
        Self::SierraPatternStrength,
        Self::DowTrendRegime,
        Self::GammaLevelsProximity,
        Self::LevelProximity,
        Self::EsNqCorrelation,
        Self::VolumeConfirmation,
        Self::OptionsFlowBias,
        Self::MarketVolatility,
        Self::SessionTime,
        Self::BidAskSpread,
        Self::RecentMomentum,
    ];

    /// The name used in files, on the wire and in `config.toml`.
    pub fn name(self) -> &'static str {
        match self {
            Self::VwapTrendSignal => "vwap_trend_signal",
            Self::SierraPatternStrength => "sierra_pattern_strength",
            Self::DowTrendRegime => "dow_trend_regime",
            Self::GammaLevelsProximity => "gamma_levels_proximity",
            Self::LevelProximity => "level_proximity",
            Self::EsNqCorrelation => "es_nq_correlation",
            Self::VolumeConfirmation => "volume_confirmation",
            Self::OptionsFlowBias => "options_flow_bias",
            Self::MarketVolatility => "market_volatility",
            Self::SessionTime => "session_time",
            Self::BidAskSpread => "bid_ask_spread",
            Self::RecentMomentum => "recent_momentum",
        }
    }

    /// The lowest value it can take; the highest is 1 for all.
    pub fn lowest(self) -> f64 {
        match self {
            Self::DowTrendRegime | Self::EsNqCorrelation | Self::OptionsFlowBias | Self::RecentMomentum => -1.0,
            _ => 0.0,
        }
    }
}

/// The twelve values of one signal; a missing one is `None`, never a number that stands for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "each field is the Feature of the same name")]
pub struct FeatureVector {
    pub vwap_trend_signal: Option<f64>,
    pub sierra_pattern_strength: Option<f64>,
    pub dow_trend_regime: Option<f64>,
    pub gamma_levels_proximity: Option<f64>,
    pub level_proximity: Option<f64>,
    pub es_nq_correlation: Option<f64>,
    pub volume_confirmation: Option<f64>,
    pub options_flow_bias: Option<f64>,
    pub market_volatility: Option<f64>,
    pub session_time: Option<f64>,
    pub bid_ask_spread: Option<f64>,
    pub recent_momentum: Option<f64>,
}

impl FeatureVector {
    /// The values in the order of [`Feature::ALL`].
    pub fn to_array(&self) -> [Option<f64>; FEATURES] {
        [
            self.vwap_trend_signal,
            self.sierra_pattern_strength,
            self.dow_trend_regime,
            self.gamma_levels_proximity,
            self.level_proximity,
            self.es_nq_correlation,
            self.volume_confirmation,
            self.options_flow_bias,
            self.market_volatility,
            self.session_time,
            self.bid_ask_spread,
            self.recent_momentum,
        ]
    }

    /// The first value outside its range, if there is one.
    pub fn out_of_range(&self) -> Option<(Feature, f64)> {
        let values = Feature::ALL.into_iter().zip(self.to_array());
        values
            .filter_map(|(feature, value)| Some((feature, value?)))
            .find(|(feature, value)| !(feature.lowest()..=1.0).contains(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fields_and_order_agree() {
        let named = serde_json::to_value(FeatureVector::default()).unwrap();
        for (index, feature) in Feature::ALL.into_iter().enumerate() {
            assert!(named.get(feature.name()).is_some(), "{feature:?}");
            assert_eq!(serde_json::to_value(feature).unwrap(), feature.name());
            let one = serde_json::json!({ feature.name(): 0.25 });
            let vector: FeatureVector = serde_json::from_value(one).unwrap();
            assert_eq!(vector.to_array().iter().position(Option::is_some), Some(index));
        }
    }

    #[test]
    fn a_value_outside_its_range_is_named() {
        let vector = FeatureVector { recent_momentum: Some(-1.0), session_time: Some(-0.1), ..Default::default() };
        assert_eq!(vector.out_of_range(), Some((Feature::SessionTime, -0.1)));
    }
}
