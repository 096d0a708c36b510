//! leakwatch: finds memory leaks and explains OOM kills without touching the programs it watches.
//!
//! Modules in the order the data flows:
//! kernel hooks → `probes`, cgroup files and endpoints → `collect` → one [`input::Input`] enum → `engine` →
//! `store` → `leakwatch-analysis` → `dto` → `api` and `cli`.
#![forbid(unsafe_code)]

pub mod size_text;
pub mod config;
pub mod state;
pub mod previous_run;
pub mod self_stats;
pub mod clock;
pub mod identity;
pub mod probes;
pub mod capture;
pub mod capabilities;
pub mod input;
pub mod collect;
pub mod engine;
pub mod store;
pub mod query;
pub mod schedule;
pub mod dto;
pub mod webhook;
pub mod api;
pub mod daemon;
pub mod cli;
