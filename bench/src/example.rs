//! Measured work in a process of its own: an example of the same package, built as the daemon is.

use std::process::Command;
use xtask::tools;

/// Builds an example and runs it to its end.
pub(crate) fn run(name: &str, arguments: &[String]) -> anyhow::Result<()> {
    let build = [
        "build",
        "--release",
        "--locked",
        "-p",
        "leakwatch-bench",
        "--example",
        name,
    ];
    tools::run(tools::cargo().args(build))?;
    let executable = tools::target_dir().join("release/examples").join(name);
    tools::run(Command::new(executable).args(arguments))
}
