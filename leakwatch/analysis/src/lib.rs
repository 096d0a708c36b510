//! The pure core of leakwatch: samples, profiles and events in, verdicts and investigations out.
//!
//! No I/O, no clock, no unsafe code, no async, no JSON: the same inputs give the same findings, which is what makes
//! `leakwatch replay` possible.
#![forbid(unsafe_code)]

// Modules are listed in reading order, here and in every folder: each uses only those listed before it.
pub mod model;
pub mod short_name;
mod format;
pub mod pprof;
pub mod diff;
pub mod export;
pub mod culprit;
pub mod stats;
pub mod history;
pub mod ledger;
pub mod measure;
pub mod detect;
pub mod odds;
pub mod verdict;
pub mod investigate;
pub mod service;

pub use investigate::investigate;

#[cfg(test)]
mod simulate;
