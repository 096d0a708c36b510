//! The daemon's executable on this kernel, with real processes, through its HTTP API and command line.

mod verdicts;
mod outside;
mod tool_pprof;
mod at_death;
mod second_daemon;
mod refusals;

const LEAKWATCH: &str = env!("CARGO_BIN_EXE_leakwatch");
