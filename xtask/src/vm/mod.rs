//! The probes on other kernels: `tests/kernel/probes` runs in emulated machines (no KVM needed) that boot Debian's kernels with cgroup v2.
//! In there the machine's own memory can run out, too.

pub(crate) mod kernels;
mod initramfs;
mod machine;
mod matrix;
mod rootfs;
pub(crate) mod systemd;
mod victim;

use anyhow::Context as _;
use anyhow::bail;
use kernels::Kernel;
use machine::Machine;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use xtask::build_ebpf;
use xtask::tools;

/// What the init script reports when all went well.
const RESULTS: [&str; 3] = ["RESULT matrix 0", "RESULT probes 0", "RESULT global 0"];
/// An idle machine needs two to four minutes.
const SECONDS: u32 = 900;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Instead: the Debian package on a machine with systemd
    #[arg(long)]
    systemd: bool,
    /// Write the table of what works on which kernel to docs/kernels.md, instead of comparing it
    #[arg(long, conflicts_with = "systemd")]
    write: bool,
    /// The program to pack for it, instead of building one
    #[arg(long, value_name = "FILE", requires = "systemd")]
    executable: Option<PathBuf>,
}

/// Runs the tests on every kernel.
pub(crate) fn main(arguments: &Arguments) -> anyhow::Result<()> {
    if arguments.systemd {
        return systemd::with(arguments.executable.as_deref()).map(drop);
    }
    let kernels = kernels::prepare()?;
    run(&kernels, arguments.write)
}

/// Boots each kernel and judges what the tests in it report.
pub(crate) fn run(kernels: &[Kernel], write: bool) -> anyhow::Result<()> {
    build_ebpf::ensure()?;
    let dir = tools::workspace().join("target/vm");
    fs::create_dir_all(&dir).with_context(|| format!("create {}", dir.display()))?;
    let initramfs = tools::step("packing the tests for the virtual machines", || {
        initramfs::pack(&dir, &test_program()?, &victim::build(&dir)?)
    })?;
    let consoles = tools::side_by_side(kernels, |kernel| {
        tools::step(&format!("testing the probes on Linux {}", kernel.name), || {
            boot(kernel, &initramfs, &dir.join(format!("{}.log", kernel.name)))
        })
    })?;
    let said: Vec<_> = consoles.iter().map(|console| matrix::read(console)).collect();
    matrix::keep(&said, write)
}

/// Builds `tests/kernel` and returns its path.
fn test_program() -> anyhow::Result<PathBuf> {
    let mut cargo = tools::cargo();
    cargo.args([
        "test",
        "--locked",
        "--package",
        "leakwatch",
        "--test",
        "kernel",
        "--no-run",
        "--message-format=json",
    ]);
    let messages = tools::output(&mut cargo)?;
    let program = messages.lines().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        // The daemon is built along with its tests and is named, too.
        let is_test = message.pointer("/target/kind/0")?.as_str()? == "test";
        is_test.then(|| message.get("executable")?.as_str().map(PathBuf::from))?
    });
    program.context("cargo names no test program")
}

/// Returns what it wrote.
fn boot(kernel: &Kernel, initramfs: &Path, log: &Path) -> anyhow::Result<String> {
    let machine = Machine {
        kernel: &kernel.image,
        initramfs,
        mebibytes: 384,
        command_line: "loglevel=1 softlockup_panic=1",
        seconds: SECONDS,
    };
    let console = machine.run(log)?;
    let missing = RESULTS.iter().find(|result| !machine::reports(&console, result));
    if let Some(result) = missing {
        tools::say(machine::tail(&console));
        bail!(
            "Linux {} did not report {result:?}; its console is in {}",
            kernel.name,
            log.display()
        );
    }
    Ok(console)
}
