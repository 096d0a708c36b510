//! All tests, with the real eBPF object inside. A test that cannot run here prints `SKIP reason`; the number of those is pinned.

use crate::engines;
use crate::tidy;
use crate::vm;
use anyhow::Context as _;
use anyhow::bail;
use std::io::BufRead as _;
use std::io::BufReader;
use std::process::Command;
use std::process::Stdio;
use xtask::build_ebpf;
use xtask::debian;
use xtask::go;
use xtask::tools;
use xtask::ui;

/// Where everything can run (root, a kernel with BTF), nothing is skipped.
const EXPECTED_SKIPS: usize = 0;
/// What takes debugging information out of programs and compresses it.
const TOOLS: [(&str, &str); 2] = [("objcopy", "binutils"), ("xz", "xz-utils")];

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Do not fail when tests were skipped
    #[arg(long)]
    allow_skips: bool,
    /// The slow tier as well: every release of Go, and the table of layouts against each
    #[arg(long)]
    slow: bool,
}

pub(crate) fn main(arguments: &Arguments) -> anyhow::Result<()> {
    tidy::main()?;
    build_ebpf::main()?;
    debian::ensure_debian_packages(&TOOLS)?;
    engines::ensure_engines();
    let mut tests = tools::cargo();
    tests.env("PATH", go::path_with_go()?);
    if arguments.slow {
        tests.env("LEAKWATCH_SLOW_TESTS", "1");
    }
    tests.args([
        "test",
        "--workspace",
        "--locked",
        "--no-fail-fast",
        "--",
        "--show-output",
    ]);
    let mut skips = tools::step("testing the workspace", || run_and_collect_skips(&mut tests))?;
    skips.extend(ui::check()?);
    match vm::prepare() {
        Ok(kernels) => vm::run(&kernels)?,
        Err(error) => skips.push(format!("SKIP the probes on other kernels: {error:#}")),
    }
    for skip in &skips {
        tools::say(skip);
    }
    if skips.len() != EXPECTED_SKIPS && !arguments.allow_skips {
        bail!("{} tests were skipped, expected {EXPECTED_SKIPS}", skips.len());
    }
    Ok(())
}

/// Runs the tests, passing their output on, and returns the lines that say `SKIP reason`.
fn run_and_collect_skips(tests: &mut Command) -> anyhow::Result<Vec<String>> {
    let mut child = tests.stdout(Stdio::piped()).spawn().context("start cargo test")?;
    let stdout = child.stdout.take().context("stdout of cargo test")?;
    let mut skips = Vec::new();
    for line in BufReader::new(stdout).lines() {
        let line = line.context("read the output of cargo test")?;
        eprintln!("{line}");
        if line.starts_with("SKIP ") {
            skips.push(line);
        }
    }
    let status = child.wait().context("wait for cargo test")?;
    if !status.success() {
        bail!("tests failed: {status}");
    }
    Ok(skips)
}
