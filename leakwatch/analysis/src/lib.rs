//! The pure core of leakwatch: samples, profiles and events in, verdicts and investigations out.
//!
//! No I/O, no clock, no unsafe code, no async, no JSON: the same inputs give the same findings, which is what makes
//! `leakwatch replay` possible. Modules are listed in reading order, which is the order the data flows.
#![forbid(unsafe_code)]

pub mod units;
pub mod target;
pub mod sample;
pub mod runtime;
pub mod event;
pub mod death;
pub mod stack;
pub mod profile;
pub mod pprof;
pub mod diff;
pub mod formats;
pub mod history;
pub mod metric;
pub mod verdict;
pub mod investigation;
mod stats;
mod words;
pub mod window;
pub mod pacing;
pub mod trend;
pub mod native_code;
pub mod culprit;
pub mod growth;
pub mod forecast;
pub mod detect;
pub mod investigate;
pub mod service;

pub use investigate::investigate;

#[cfg(test)]
mod simulate;
