//! The daemon, built so that its bytes depend on the source alone.

use anyhow::Context as _;
use std::env;
use std::path::PathBuf;
use xtask::tools;

/// For Debian: with the C library that the figures of what the daemon costs were measured with.
pub(super) const GNU: &str = "x86_64-unknown-linux-gnu";
/// Needs nothing of where it runs.
pub(super) const MUSL: &str = "x86_64-unknown-linux-musl";

/// Returns the path of the program.
pub(super) fn build(target: &str) -> anyhow::Result<PathBuf> {
    let target_dir = tools::target_dir().join("dist-build");
    let mut rustup = std::process::Command::new("rustup");
    // In the workspace, for the toolchain that is pinned there.
    rustup.current_dir(tools::workspace());
    tools::run(rustup.args(["--quiet", "target", "add", target]))?;
    let mut cargo = tools::cargo();
    cargo
        .args([
            "rustc",
            "--release",
            "--locked",
            "--package",
            "leakwatch",
            "--bin",
            "leakwatch",
            "--target",
            target,
        ])
        .arg("--target-dir")
        .arg(&target_dir)
        // As Debian wants it; a daemon that panics says the file and the line without symbols.
        .args(["--", "-Cstrip=symbols"])
        .env("CARGO_ENCODED_RUSTFLAGS", remapped()?.join("\u{1f}"))
        .env("CC_x86_64_unknown_linux_musl", "musl-gcc");
    tools::run(&mut cargo)?;
    Ok(target_dir.join(target).join("release/leakwatch"))
}

/// Where sources are on this machine is in panic messages; it is replaced.
fn remapped() -> anyhow::Result<Vec<String>> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let cargo_home = home
        .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")))
        .context("neither CARGO_HOME nor HOME is set")?;
    let remap = |from: PathBuf, to: &str| format!("--remap-path-prefix={}={to}", from.display());
    Ok(vec![
        remap(tools::workspace(), "/leakwatch"),
        remap(cargo_home, "/cargo"),
    ])
}
