//! Builds the daemon and becomes it.

use std::ffi::OsString;
use std::process::Command;
use xtask::build;
use xtask::tools;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Arguments for `leakwatch agent`
    #[arg(last = true)]
    agent: Vec<OsString>,
}

pub(crate) fn main(arguments: &Arguments) -> anyhow::Result<()> {
    let daemon = build::main()?;
    tools::say(format!("starting {} agent", daemon.display()));
    tools::become_command(Command::new(&daemon).arg("agent").args(&arguments.agent))
}
