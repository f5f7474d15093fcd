//! Statistics: functions of numbers, checked against published values and reference libraries.

pub mod association;
pub mod binary;
pub mod describe;
pub mod histogram;
pub mod logit;
pub mod normal;
pub mod overfit;
pub mod risk;
