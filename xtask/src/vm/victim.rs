//! The Go program that is killed in the machines.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use xtask::go;
use xtask::tools;

/// Builds it into a directory.
pub(super) fn build(dir: &Path) -> anyhow::Result<PathBuf> {
    let executable = dir.join("deathbed");
    let mut build = Command::new("go");
    build
        .args(["build", "-ldflags=-s -w", "-o"])
        .arg(&executable)
        .arg(".")
        .current_dir(tools::workspace().join("tests/programs/deathbed"))
        .env("PATH", go::path_with_go()?)
        .env("CGO_ENABLED", "0")
        .env("GOTOOLCHAIN", "local")
        .env("GOWORK", "off");
    tools::run(&mut build)?;
    Ok(executable)
}
