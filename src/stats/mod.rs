//! Statistics: functions of numbers, checked against published values and reference libraries.

pub mod adwin;
pub mod association;
pub mod binary;
pub mod bootstrap;
pub mod cluster;
pub mod compare;
pub mod confseq;
pub mod describe;
pub mod detector;
pub mod drift;
pub mod histogram;
pub mod interval;
pub mod logit;
pub mod multiple;
pub mod normal;
pub mod overfit;
pub mod power;
pub mod proportion;
pub mod rank;
pub mod reference;
pub mod risk;
pub mod sequential;
pub mod sharpe;
pub mod student;
