//! Builds the daemon and becomes it.

use crate::build;
use crate::tools;
use anyhow::Context as _;
use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Arguments for `leakwatch agent`
    #[arg(last = true)]
    agent: Vec<OsString>,
}

pub(crate) fn main(arguments: &Arguments) -> anyhow::Result<()> {
    let daemon = build::main()?;
    tools::say(format!("starting {} agent", daemon.display()));
    let error = Command::new(&daemon).arg("agent").args(&arguments.agent).exec();
    Err(error).with_context(|| format!("start {}", daemon.display()))
}
