//! Commands with a crate of their own, which is built when it is asked for: `cargo xtask bench` and `cargo xtask demo`.

use std::ffi::OsString;
use xtask::tools;

#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Arguments {
    /// Passed on; `--help` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// Runs the executable of `package` in our place.
pub(crate) fn main(package: &str, arguments: &Arguments) -> anyhow::Result<()> {
    start(&["run", "--quiet", "--locked", "--package", package, "--"], arguments)
}

/// The same for a package that computes for minutes.
pub(crate) fn optimised(package: &str, arguments: &Arguments) -> anyhow::Result<()> {
    start(
        &["run", "--quiet", "--locked", "--release", "--package", package, "--"],
        arguments,
    )
}

/// Runs the executable of `package` in our place, with one argument before those that were given.
pub(crate) fn with_first(package: &str, first: OsString, arguments: &Arguments) -> anyhow::Result<()> {
    let mut all = vec![first];
    all.extend(arguments.arguments.iter().cloned());
    main(package, &Arguments { arguments: all })
}

fn start(cargo: &[&str], arguments: &Arguments) -> anyhow::Result<()> {
    tools::become_command(tools::cargo().args(cargo).args(&arguments.arguments))
}
