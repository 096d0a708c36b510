//! The slow tier: tests that take too long for every change. Each runs again when what it depends on has changed, and what came of it
//! is committed in `tests/slow/results.toml`; the quick tier only says which results are old.

use crate::fuzz;
use crate::soak;
use crate::vm;
use anyhow::Context as _;
use anyhow::bail;
use anyhow::ensure;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use xtask::go;
use xtask::inputs;
use xtask::tools;

/// A slow test, and what its outcome depends on.
struct Slow {
    name: &'static str,
    run: Run,
    inputs: &'static [&'static str],
}

/// How it is run.
enum Run {
    /// `cargo test` with these arguments; lines that begin with `FIGURE ` are kept.
    Cargo(&'static [&'static str]),
    /// A part of this program, which answers the figures.
    Here(fn() -> anyhow::Result<Vec<String>>),
}

const TESTS: [Slow; 9] = [
    Slow {
        name: "go-releases",
        run: Run::Cargo(&["-p", "leakwatch-goproc", "--test", "goproc"]),
        inputs: &[
            "leakwatch/goproc",
            "tests/goproc",
            "tests/programs/stuck",
            "tests/support/toolchains.rs",
        ],
    },
    Slow {
        name: "final-heaps",
        run: Run::Cargo(&["--release", "-p", "leakwatch", "--test", "daemon", "final_heap"]),
        inputs: &[
            "leakwatch-ebpf",
            "leakwatch-common",
            "leakwatch/goproc/src",
            "leakwatch/src/probes",
            "leakwatch/src/collect",
            "tests/daemon/final_heap",
            "tests/programs/deathbed",
        ],
    },
    Slow {
        name: "store-kills",
        run: Run::Cargo(&["-p", "leakwatch", "--lib", "store::disk::tests::kills"]),
        inputs: &["leakwatch/src/store/disk"],
    },
    Slow {
        name: "native-accuracy",
        run: Run::Cargo(&["-p", "leakwatch", "--test", "native", "accuracy"]),
        inputs: &[
            "leakwatch-ebpf",
            "leakwatch-common",
            "leakwatch/nativeproc/src",
            "leakwatch/src/capture",
            "leakwatch/src/probes",
            "tests/native/accuracy.rs",
        ],
    },
    Slow {
        name: "native-verdicts",
        run: Run::Cargo(&["-p", "leakwatch", "--test", "native", "verdicts"]),
        inputs: &[
            "leakwatch-ebpf",
            "leakwatch-common",
            "leakwatch/analysis/src",
            "leakwatch/nativeproc/src",
            "leakwatch/src/capture",
            "leakwatch/src/probes",
            "tests/native/verdicts",
            "tests/programs/native",
        ],
    },
    Slow {
        name: "answers",
        run: Run::Cargo(&["-p", "leakwatch", "--test", "answers"]),
        inputs: &[
            "leakwatch-ebpf",
            "leakwatch-common",
            "leakwatch/analysis/src",
            "leakwatch/goproc/src",
            "leakwatch/nativeproc/src",
            "leakwatch/src/capture",
            "leakwatch/src/cli",
            "leakwatch/src/collect",
            "leakwatch/src/engine",
            "tests/answers/main.rs",
            "tests/answers/make.rs",
            "tests/answers/truths.rs",
            "tests/answers/watched.rs",
            "tests/programs/answers",
        ],
    },
    Slow {
        name: "systemd",
        run: Run::Here(vm::systemd::main),
        inputs: &[
            "packaging",
            "leakwatch/Cargo.toml",
            "leakwatch/src/daemon",
            "leakwatch/src/config",
            "leakwatch/src/probes",
            "xtask/src/vm",
            "xtask/src/dist",
        ],
    },
    Slow {
        name: "fuzz",
        run: Run::Here(fuzz::longer),
        inputs: &[
            "fuzz/fuzz_targets",
            "leakwatch/analysis/src/pprof",
            "leakwatch/goproc/src",
            "leakwatch/nativeproc/src",
            "leakwatch/src/collect/parse.rs",
            "leakwatch/src/config",
            "leakwatch/src/identity",
            "leakwatch/src/input",
            "leakwatch/src/store/bundle",
            "leakwatch/src/store/disk/codec",
        ],
    },
    Slow {
        name: "soak",
        run: Run::Here(soak::longer),
        inputs: &[
            "leakwatch-ebpf",
            "leakwatch/src/capture",
            "leakwatch/src/collect",
            "leakwatch/src/engine",
            "leakwatch/src/probes",
            "leakwatch/src/store",
            "bench/src/soak",
        ],
    },
];

/// A line of a test's output that is kept.
const FIGURE: &str = "FIGURE ";

/// What came of a test.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Outcome {
    inputs: String,
    date: String,
    kernel: String,
    figures: Vec<String>,
}

/// Says which results are not those of the sources.
pub(crate) fn warn() -> anyhow::Result<()> {
    let known = read(&fs::read_to_string(path()).unwrap_or_default());
    for test in stale(&known)? {
        tools::say(format!(
            "the slow test {} has not run since its inputs changed: cargo xtask test --slow",
            test.name
        ));
    }
    Ok(())
}

/// Refuses names that no test has.
pub(crate) fn check(names: &[String]) -> anyhow::Result<()> {
    let known = TESTS.map(|test| test.name);
    match names.iter().find(|name| !known.contains(&name.as_str())) {
        Some(name) => bail!("no slow test is called {name}; there are {}", known.join(", ")),
        None => Ok(()),
    }
}

/// Runs what is stale, of these if any are named, and writes down what came of it. One that fails does not keep the others from being run.
pub(crate) fn main(names: &[String]) -> anyhow::Result<()> {
    let mut known = read(&fs::read_to_string(path()).unwrap_or_default());
    let mut failed = Vec::new();
    for test in stale(&known)? {
        if !names.is_empty() && !names.iter().any(|name| name == test.name) {
            continue;
        }
        match tools::step(&format!("the slow test {}", test.name), || run(test)) {
            Ok(outcome) => known.insert(test.name.to_owned(), outcome),
            Err(error) => {
                tools::say(format!("{error:#}"));
                failed.push(test.name);
                continue;
            }
        };
        let directory = path();
        fs::create_dir_all(directory.parent().context("no directory")?)?;
        fs::write(path(), written(&known)).with_context(|| format!("write {}", path().display()))?;
    }
    ensure!(failed.is_empty(), "slow tests failed: {}", failed.join(", "));
    Ok(())
}

fn path() -> PathBuf {
    tools::workspace().join("tests/slow/results.toml")
}

fn stale(known: &BTreeMap<String, Outcome>) -> anyhow::Result<Vec<&'static Slow>> {
    let mut stale = Vec::new();
    for test in &TESTS {
        let now = inputs::hash(test.inputs)?;
        if known.get(test.name).is_none_or(|outcome| outcome.inputs != now) {
            stale.push(test);
        }
    }
    Ok(stale)
}

fn run(test: &Slow) -> anyhow::Result<Outcome> {
    let figures = match test.run {
        Run::Cargo(arguments) => cargo_test(arguments)?,
        Run::Here(run) => run()?,
    };
    Ok(Outcome {
        inputs: inputs::hash(test.inputs)?,
        date: tools::output(Command::new("date").args(["-u", "+%F"]))?,
        kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
        figures: figures.into_iter().map(|figure| figure.replace('"', "'")).collect(),
    })
}

fn cargo_test(arguments: &[&str]) -> anyhow::Result<Vec<String>> {
    let mut cargo = tools::cargo();
    cargo.args(["test", "--locked"]).args(arguments);
    cargo.args(["--", "--show-output"]);
    cargo.env("LEAKWATCH_SLOW_TESTS", "1").env("PATH", go::path_with_go()?);
    let output = cargo.output().context("start cargo test")?;
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        bail!("{said}\n{}", String::from_utf8_lossy(&output.stderr));
    }
    let kept = said.lines().filter_map(|line| line.strip_prefix(FIGURE));
    Ok(kept.map(str::to_owned).collect())
}

fn written(known: &BTreeMap<String, Outcome>) -> String {
    let mut text = String::from("# Written by `cargo xtask test --slow`.\n");
    for (name, outcome) in known {
        let Outcome {
            inputs,
            date,
            kernel,
            figures,
        } = outcome;
        // A String takes everything.
        let _infallible = write!(
            text,
            "\n[{name}]\ninputs = \"{inputs}\"\ndate = \"{date}\"\nkernel = \"{kernel}\"\nfigures = [\n"
        );
        for figure in figures {
            let _infallible = writeln!(text, "    \"{figure}\",");
        }
        text.push_str("]\n");
    }
    text
}

/// Reads what [`written`] writes: a file of ours, one value a line.
fn read(text: &str) -> BTreeMap<String, Outcome> {
    let mut known: BTreeMap<String, Outcome> = BTreeMap::new();
    let mut name = String::new();
    for line in text.lines() {
        if let Some(section) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section.clone_into(&mut name);
            known.insert(name.clone(), Outcome::default());
        }
        let Some(outcome) = known.get_mut(&name) else { continue };
        let quoted = |line: &str| Some(line.split_once('"')?.1.rsplit_once('"')?.0.to_owned());
        let field = match line.split_once(" = ").map(|(key, _)| key) {
            Some("inputs") => &mut outcome.inputs,
            Some("date") => &mut outcome.date,
            Some("kernel") => &mut outcome.kernel,
            _ => {
                outcome.figures.extend(quoted(line).filter(|_| line.starts_with(' ')));
                continue;
            }
        };
        *field = quoted(line).unwrap_or_default();
    }
    known
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let outcome = |figures: &[&str]| Outcome {
            inputs: "0123".to_owned(),
            date: "2026-01-02".to_owned(),
            kernel: "6.12.0".to_owned(),
            figures: figures.iter().map(|figure| (*figure).to_owned()).collect(),
        };
        let known: BTreeMap<String, Outcome> = [
            ("one".to_owned(), outcome(&["5k: 100 complete", "a = b"])),
            ("two".to_owned(), outcome(&[])),
        ]
        .into();
        assert_eq!(read(&written(&known)), known);
        assert_eq!(read(""), BTreeMap::new());
    }
}
