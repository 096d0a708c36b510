//! The vocabulary: what is taken in (samples, events, profiles) and what is answered (verdicts, investigations), as plain data.
//! Modules are listed in the order in which they build on one another.

pub mod units;
pub mod reading;
pub mod host;
pub mod runtime;
pub mod heap_bound;
pub mod target;
pub mod counter;
pub mod sample;
pub mod killer;
pub mod event;
pub mod run;
pub mod shared_log;
pub mod stack;
pub mod stack_value;
pub mod values;
pub mod profile;
pub mod decoded;
pub mod final_heap;
pub mod metric;
pub mod verdict;
pub mod investigation;
pub mod ruling;
