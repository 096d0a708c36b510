//! The daemon's executable on this kernel, with real processes, through its HTTP API and command line.

mod cli;
mod ending;
mod endpoint;
mod engines;
mod final_heap;
mod verdicts;
mod nobody_can_wake;
mod outside;
mod page;
mod tool_pprof;
mod endpoint_at_kill;
mod second_daemon;
mod service_manager;
mod refusals;
mod unprivileged;
mod scraping;
mod unit;
mod hostile;
mod fillings;

/// The daemon that cargo built for these tests.
const LEAKWATCH: &str = env!("CARGO_BIN_EXE_leakwatch");
