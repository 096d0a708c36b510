//! Each fuzz target for a while, with libFuzzer's coverage and without a nightly compiler: its instrumentation is a pass of LLVM. The
//! fuzzed crates forbid unsafe code, so no sanitizer is missed.

use anyhow::Context as _;
use anyhow::ensure;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use xtask::debian;
use xtask::tools;

/// Flags of `cargo fuzz` but for the sanitizer; overflows and failed assertions are findings.
const FLAGS: [&str; 10] = [
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cllvm-args=-simplifycfg-branch-fold-threshold=0",
    "-Ccodegen-units=1",
    "-Cdebug-assertions",
    "-Cdebuginfo=line-tables-only",
];
/// In the quick tier, and in the slow one.
const SECONDS: u32 = 10;
const LONGER: u32 = 60;
/// libFuzzer is C++.
const PROGRAMS: [(&str, &str); 1] = [("c++", "g++")];

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// For how long each target runs
    #[arg(long, default_value_t = SECONDS)]
    seconds: u32,
    /// These targets only
    targets: Vec<String>,
}

impl Default for Arguments {
    fn default() -> Self {
        Self {
            seconds: SECONDS,
            targets: Vec::new(),
        }
    }
}

pub(crate) fn main(arguments: &Arguments) -> anyhow::Result<()> {
    run(arguments).map(drop)
}

/// All of them in the slow tier; returns how much each has tried.
pub(crate) fn longer() -> anyhow::Result<Vec<String>> {
    run(&Arguments {
        seconds: LONGER,
        targets: Vec::new(),
    })
}

fn run(arguments: &Arguments) -> anyhow::Result<Vec<String>> {
    debian::ensure_debian_packages(&PROGRAMS)?;
    let directory = tools::workspace().join("fuzz");
    let host = tools::host()?;
    tools::step("building the fuzz targets", || {
        let mut cargo = tools::cargo();
        cargo
            .current_dir(&directory)
            .args(["build", "--release", "--bins", "--locked"])
            // Named, so that the flags are not those of build scripts.
            .args(["--target", &host])
            .env("CARGO_TARGET_DIR", target_dir())
            .env("CARGO_ENCODED_RUSTFLAGS", OsString::from(FLAGS.join("\x1f")));
        tools::run(&mut cargo)
    })?;
    let mut targets = targets()?;
    targets.retain(|name| arguments.targets.is_empty() || arguments.targets.contains(name));
    tools::side_by_side(&targets, |name| {
        let executable = target_dir().join(&host).join("release").join(name);
        let what = format!("fuzzing {name} for {} s", arguments.seconds);
        tools::step(&what, || fuzz(name, executable, arguments.seconds))
    })
}

fn target_dir() -> PathBuf {
    tools::workspace().join("target/fuzz")
}

/// The targets' names: one file each.
fn targets() -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(tools::workspace().join("fuzz/fuzz_targets"))? {
        let path = entry?.path();
        names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}

/// New inputs go to a directory of the build: those that are worth keeping are added to `fuzz/corpus` by hand.
fn fuzz(name: &str, executable: PathBuf, seconds: u32) -> anyhow::Result<String> {
    let found = target_dir().join("corpus").join(name);
    fs::create_dir_all(&found).with_context(|| format!("create {}", found.display()))?;
    let corpus = tools::workspace().join("fuzz/corpus").join(name);
    fs::create_dir_all(&corpus).with_context(|| format!("create {}", corpus.display()))?;
    let output = Command::new(executable)
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}/{name}-", target_dir().display()))
        .args(["-rss_limit_mb=2048", "-timeout=60", "-print_final_stats=1"])
        .arg(&found)
        .arg(&corpus)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("start the fuzz target {name}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{name}: {}\n{said}", output.status);
    let runs = said
        .lines()
        .find(|line| line.starts_with("stat::number_of_executed_units"));
    let runs = runs
        .and_then(|line| line.split_whitespace().last())
        .unwrap_or("an unknown number of");
    let told = format!("{name}: {runs} inputs in {seconds} s");
    tools::say(&told);
    Ok(told)
}
