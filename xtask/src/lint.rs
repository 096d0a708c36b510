//! Formatting, dependencies, clippy on both targets and documentation; every warning is an error.

use crate::deny;
use xtask::build_ebpf;
use xtask::tools;

pub(crate) fn main() -> anyhow::Result<()> {
    tools::step("checking the format", || {
        tools::run(tools::cargo().args(["fmt", "--all", "--check"]))
    })?;
    deny::main()?;
    tools::step("clippy, host", || {
        tools::run(tools::cargo().args([
            "clippy",
            "--workspace",
            "--all-targets",
            "--locked",
            "--",
            "-D",
            "warnings",
        ]))
    })?;
    tools::step("clippy, bpf target", || {
        tools::run(build_ebpf::cargo("clippy")?.args(["--release", "--", "-D", "warnings"]))
    })?;
    tools::step("documentation", || {
        let mut doc = tools::cargo();
        tools::run(
            doc.args(["doc", "--workspace", "--no-deps", "--locked"])
                .env("RUSTDOCFLAGS", "-D warnings"),
        )
    })
}
