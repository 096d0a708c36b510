//! The command line of leakwatch.
#![forbid(unsafe_code)]

use clap::Parser as _;
use leakwatch::cli;
use leakwatch::cli::args::Cli;
use leakwatch::self_stats;
use std::process::ExitCode;

fn main() -> ExitCode {
    self_stats::configure_allocator();
    run()
}

#[tokio::main]
#[expect(clippy::print_stderr, reason = "errors of the command line go to standard error")]
async fn run() -> ExitCode {
    match cli::run(Cli::parse()).await {
        Ok(exit) => exit.into(),
        Err(error) if error.is_closed_pipe() => ExitCode::SUCCESS,
        Err(error) => {
            let code = error.exit_code();
            eprintln!("leakwatch: {:#}", anyhow::Error::from(error));
            ExitCode::from(code)
        }
    }
}
