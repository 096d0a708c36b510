//! The quick tier: everything that a change must pass, cheapest first. A test that cannot run here prints `SKIP reason`; the number of those is pinned.

use crate::engines;
use crate::fuzz;
use crate::lint;
use crate::minutes::Minutes;
use crate::noop;
use crate::slow;
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
use xtask::node;
use xtask::tools;
use xtask::ui;

/// Where everything can run (root, a kernel with BTF), nothing is skipped.
const EXPECTED_SKIPS: usize = 0;
/// Most tests wait for something that a daemon finds out in its own time: with one for each processor the machine would idle.
const TESTS_AT_ONCE: &str = "4";
/// What takes debugging information out of programs and compresses it, what judges the rules and the unit that are shipped, and the browser
/// that the page is shown to.
const TOOLS: [(&str, &str); 5] = [
    ("objcopy", "binutils"),
    ("xz", "xz-utils"),
    ("promtool", "prometheus"),
    ("systemd-analyze", "systemd"),
    ("chromium", "chromium"),
];

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Do not fail when tests were skipped
    #[arg(long)]
    allow_skips: bool,
    /// The slow tier instead, or some of its tests: those whose inputs have changed, writing down what came of them
    #[arg(long, value_name = "NAME", num_args = 0..)]
    slow: Option<Vec<String>>,
}

pub(crate) fn main(arguments: &Arguments) -> anyhow::Result<()> {
    if let Some(names) = &arguments.slow {
        slow::check(names)?;
        prepare()?;
        return slow::main(names);
    }
    let mut minutes = Minutes::default();
    let done = quick_tier(arguments, &mut minutes);
    minutes.report();
    slow::warn()?;
    done
}

/// Cheapest first; what fails ends it.
fn quick_tier(arguments: &Arguments, minutes: &mut Minutes) -> anyhow::Result<()> {
    minutes.part("lint", || {
        tidy::main()?;
        lint::main()
    })?;
    minutes.part("eBPF objects", build_ebpf::check)?;
    minutes.part("fuzz", || fuzz::main(&fuzz::Arguments::default()))?;
    let mut skips = minutes.part("tests", run_tests)?;
    minutes.part("web page", ui::check)?;
    minutes.part("no-op build", noop::main)?;
    minutes.part("other kernels", || {
        match vm::kernels::prepare() {
            Ok(kernels) => vm::run(&kernels, false)?,
            Err(error) => skips.push(format!("SKIP the probes on other kernels: {error:#}")),
        }
        Ok(())
    })?;
    for skip in &skips {
        tools::say(skip);
    }
    if skips.len() != EXPECTED_SKIPS && !arguments.allow_skips {
        bail!("{} tests were skipped, expected {EXPECTED_SKIPS}", skips.len());
    }
    Ok(())
}

/// Installs what tests need beside the compiler.
fn prepare() -> anyhow::Result<()> {
    debian::ensure_debian_packages(&TOOLS)?;
    engines::ensure_engines();
    ui::install()?;
    go::ensure_go().map(drop)
}

fn run_tests() -> anyhow::Result<Vec<String>> {
    prepare()?;
    let mut tests = tools::cargo();
    let path = node::ensure_node()?.before(go::path_with_go()?)?;
    tests.env("PATH", path).env("RUST_TEST_THREADS", TESTS_AT_ONCE);
    tests.args([
        "test",
        "--workspace",
        "--locked",
        "--no-fail-fast",
        "--",
        "--show-output",
    ]);
    tools::step("testing the workspace", || run_and_collect_skips(&mut tests))
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
