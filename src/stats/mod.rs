//! Statistics: functions of numbers, checked against published values and reference libraries.

pub mod binary;
pub mod describe;
pub mod logit;
pub mod histogram;
pub mod normal;
pub mod risk;
