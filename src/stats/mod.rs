//! Statistics: functions of numbers, checked against published values and reference libraries.

pub mod histogram;
pub mod normal;
