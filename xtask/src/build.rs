//! Builds the daemon with the eBPF object inside.

use crate::build_ebpf;
use crate::tools;
use std::path::PathBuf;

/// Returns the path of the daemon.
pub fn main() -> anyhow::Result<PathBuf> {
    build_ebpf::ensure()?;
    tools::step("building the daemon", || {
        tools::run(tools::cargo().args(["build", "--release", "--locked", "--package", "leakwatch"]))
    })?;
    Ok(tools::target_dir().join("release/leakwatch"))
}
