//! The web page in Chromium against a daemon that watches a leak, a kill, a deploy, and names that would be markup: what
//! `ui/e2e/run.mjs` checks.

use crate::LEAKWATCH;
use anyhow::Context as _;
use anyhow::Result;
use anyhow::ensure;
use leakwatch_test_support::cgroup::Cgroup;
use leakwatch_test_support::daemon::Daemon;
use leakwatch_test_support::daemon::Options;
use leakwatch_test_support::process::Running;
use leakwatch_test_support::programs::Go;
use leakwatch_test_support::wait::wait_until;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;

const MIB: u64 = 1 << 20;
/// For all checks: the machine may be slow and have much else to do.
const DEADLINE: Duration = Duration::from_mins(20);
/// A file, a command and a service of this name; it also turns the direction of writing around.
const HOSTILE: &str = "<img src=x onerror=hostile=1>\u{202e}exe.shop";

/// False, and a line that says so, where what runs the checks is not installed.
#[expect(
    clippy::print_stdout,
    reason = "the output of a test is where a person looks for what it skipped"
)]
fn is_there(program: &str) -> bool {
    let mut command = Command::new(program);
    let there = command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    let there = there.status().is_ok();
    if !there {
        println!("SKIP the web page in a browser: {program} is not installed");
    }
    there
}

/// A program that is started again when it is killed, from then on as the other build.
struct Supervised<'a> {
    cgroup: &'a Cgroup,
    directory: &'a Path,
    process: Running,
}

impl<'a> Supervised<'a> {
    /// It is killed within seconds the first time, and has minutes the second time.
    fn start(cgroup: &'a Cgroup, directory: &'a Path, build: &str, rate: &str) -> Result<Self> {
        let executable = directory.join(HOSTILE);
        // Another file of this name: the one that runs cannot be written to.
        fs::remove_file(&executable).or_else(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        })?;
        fs::copy(directory.join(build), &executable)?;
        let arguments = ["-variant=cache-leak", rate];
        let process = Running::start_in(cgroup, &executable, arguments, &directory.join("hostile.log"))?;
        Ok(Self {
            cgroup,
            directory,
            process,
        })
    }

    fn supervise(&mut self) -> Result<()> {
        if self.process.ended()?.is_some() {
            *self = Self::start(self.cgroup, self.directory, "new/markets", "-rate=50000")?;
        }
        Ok(())
    }
}

#[test]
fn the_page_does_in_a_browser_what_it_says() -> Result<()> {
    let ui = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ui");
    if !is_there("node") || !is_there("chromium") {
        return Ok(());
    }
    ensure!(
        ui.join("node_modules").is_dir(),
        "the page's packages are not installed: cd ui && npm install"
    );
    let directory = TempDir::new()?;
    for (build, stripped) in [("old", false), ("new", true)] {
        let into = directory.path().join(build);
        fs::create_dir(&into)?;
        if stripped {
            Go::on_path().build_stripped("markets", &into)?;
        } else {
            Go::on_path().build("markets", &into)?;
        }
    }
    let parent = Cgroup::create("page")?;
    let daemon = Daemon::start(&Options {
        executable: Path::new(LEAKWATCH),
        only: parent.path(),
        interval_seconds: 1,
        config: "[go]\ndiscover_endpoints = true\n[source]\nurl_template = \"https://git.example.org/markets/{path}#L{line}\"\n",
        arguments: &[],
    })?;
    let replicas = [("shop-1", "steady"), ("shop-2", "cache-leak"), ("shop-3", "steady")];
    let mut running = Vec::new();
    for (name, variant) in replicas {
        let cgroup = parent.child(name, Some(1024 * MIB))?;
        let program = directory.path().join("old/markets");
        let arguments = [
            format!("-variant={variant}"),
            "-rate=600000".to_owned(),
            "-noise=0.3".to_owned(),
            "-listen=127.0.0.1:0".to_owned(),
        ];
        let log = directory.path().join(name).with_extension("log");
        running.push((Running::start_in(&cgroup, &program, arguments, &log)?, cgroup));
    }
    let small = parent.child("<img src=x onerror=hostile=1>", Some(64 * MIB))?;
    let mut victim = Supervised::start(&small, directory.path(), "old/markets", "-rate=2000000")?;

    let mut node = Command::new("node");
    node.arg(ui.join("e2e/run.mjs"));
    node.args([daemon.client().base(), "--hostile", "--versions"]);
    let mut checks = Running::start(node, &directory.path().join("checks.log"))?;
    let ended = wait_until("the checks in the browser", DEADLINE, || {
        victim.supervise()?;
        checks.ended()
    });
    let told = || format!("the checks:\n{}\nthe daemon:\n{}", checks.output(), daemon.log());
    let status = ended.with_context(told)?;
    ensure!(status.success(), "{}", told());
    Ok(())
}
