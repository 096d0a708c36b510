//! `cargo xtask soak`, which is a benchmark, and its longer run for the slow tier.

use crate::forward;
use anyhow::bail;
use std::ffi::OsString;
use xtask::go;
use xtask::tools;

/// A line of its output that is kept.
const FIGURE: &str = "FIGURE ";
const MINUTES: &str = "30";

/// In our place.
pub(crate) fn main(arguments: &forward::Arguments) -> anyhow::Result<()> {
    forward::with_first("leakwatch-bench", OsString::from("soak"), arguments)
}

/// Half an hour; returns the figures.
pub(crate) fn longer() -> anyhow::Result<Vec<String>> {
    let mut cargo = tools::cargo();
    cargo.args([
        "run",
        "--quiet",
        "--locked",
        "--package",
        "leakwatch-bench",
        "--",
        "soak",
    ]);
    cargo.args(["--minutes", MINUTES]).env("PATH", go::path_with_go()?);
    cargo.stderr(std::process::Stdio::inherit());
    let output = cargo.output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        bail!("the soak failed: {}\n{said}", output.status);
    }
    let figures = said.lines().filter_map(|line| line.strip_prefix(FIGURE));
    Ok(figures.map(str::to_owned).collect())
}
