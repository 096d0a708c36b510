//! The bodies of the API: the only types that know JSON. Field names are the contract and never change silently.
//!
//! Two rules hold in every body: an absent value is `null` and has an entry in the `missing` map beside it, and a number
//! is finite. Data comes from the store and from `leakwatch-analysis`; nothing is computed here that analysis could know.

pub mod instant;
pub mod missing;
pub mod number;
pub mod link;
pub mod problem;
pub mod page;
pub mod verdict;
pub mod target;
pub mod investigation;
pub mod ruling;
pub mod ledger;
pub mod series;
pub mod profile;
pub mod source;
pub mod tree;
pub mod diff;
pub mod event;
pub mod final_state;
pub mod oom_kill;
pub mod notification;
pub mod service;
pub mod run;
pub mod capability;
pub mod capture;
pub mod status;
