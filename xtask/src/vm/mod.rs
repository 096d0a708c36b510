//! The probes on other kernels: `tests/kernel/probes` runs in emulated machines (no KVM needed) that boot Debian's kernels with cgroup v2.
//! In there the machine's own memory can run out, too.

pub(crate) mod kernels;
mod initramfs;

use anyhow::Context as _;
use anyhow::bail;
use anyhow::ensure;
use kernels::Kernel;
use std::fs;
use std::fs::File;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use xtask::build_ebpf;
use xtask::debian;
use xtask::go;
use xtask::tools;

/// What the init script reports when all went well.
const RESULTS: [&str; 2] = ["RESULT probes 0", "RESULT global 0"];
/// What it reports before it begins.
const BOOTED: &str = "RESULT booted 0";
/// What a kernel writes that has given up.
const PANIC: &str = "Kernel panic";
/// The emulator was seen to damage the processor's flags and to let Debian's 6.12 panic, once in `start_kernel`, long before
/// anything of ours: such a run is no test. A panic that is ours comes every time.
const BOOTS: usize = 3;
/// An idle machine needs 15 seconds.
const TIMEOUT_SECONDS: &str = "300";

/// Runs the tests on every kernel.
pub(crate) fn main() -> anyhow::Result<()> {
    let kernels = prepare()?;
    run(&kernels)
}

/// Programs and kernels that are needed, installed or downloaded where missing.
pub(crate) fn prepare() -> anyhow::Result<Vec<Kernel>> {
    ensure!(cfg!(target_arch = "x86_64"), "the kernels to test on are for x86_64");
    let programs = [
        ("qemu-system-x86_64", "qemu-system-x86"),
        ("busybox", "busybox-static"),
        ("cpio", "cpio"),
    ];
    debian::ensure_debian_packages(&programs)?;
    kernels::fetch()
}

/// Boots each kernel and judges what the tests in it report.
pub(crate) fn run(kernels: &[Kernel]) -> anyhow::Result<()> {
    build_ebpf::ensure()?;
    let dir = tools::workspace().join("target/vm");
    fs::create_dir_all(&dir).with_context(|| format!("create {}", dir.display()))?;
    let initramfs = tools::step("packing the tests for the virtual machines", || {
        initramfs::pack(&dir, &test_program()?, &victim(&dir)?)
    })?;
    tools::side_by_side(kernels, |kernel| {
        tools::step(&format!("testing the probes on Linux {}", kernel.name), || {
            boot(kernel, &initramfs, &dir.join(format!("{}.log", kernel.name)))
        })
    })
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

/// Builds the Go program that is killed.
fn victim(dir: &Path) -> anyhow::Result<PathBuf> {
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

fn boot(kernel: &Kernel, initramfs: &Path, log: &Path) -> anyhow::Result<()> {
    let mut console = console(kernel, initramfs, log)?;
    for _ in 1..BOOTS {
        // Not a line of its own: the firmware clears the screen before it.
        if console.contains(BOOTED) && !console.contains(PANIC) {
            break;
        }
        tools::say(format!(
            "Linux {} did not come to the end of the tests: once more",
            kernel.name
        ));
        console = self::console(kernel, initramfs, log)?;
    }
    let missing = RESULTS.iter().find(|result| !reports(&console, result));
    if let Some(result) = missing {
        let lines: Vec<&str> = console.lines().collect();
        tools::say(
            lines
                .get(lines.len().saturating_sub(60)..)
                .unwrap_or_default()
                .join("\n"),
        );
        bail!(
            "Linux {} did not report {result:?}; its console is in {}",
            kernel.name,
            log.display()
        );
    }
    Ok(())
}

fn reports(console: &str, result: &str) -> bool {
    console.lines().any(|line| line.trim_end() == result)
}

/// Runs a machine until it powers itself off, and returns what it wrote.
fn console(kernel: &Kernel, initramfs: &Path, log: &Path) -> anyhow::Result<String> {
    let output = File::create(log).with_context(|| format!("create {}", log.display()))?;
    // Its exit code says nothing: the machine powers itself off.
    let options = "-accel tcg -cpu max -smp 1 -m 384 -no-reboot -nodefaults -nographic -serial stdio";
    Command::new("timeout")
        .args([TIMEOUT_SECONDS, "qemu-system-x86_64"])
        // One processor: with two emulated ones Linux 6.1 was seen to lock up, both waiting for each other.
        .args(options.split(' '))
        .args(["-append", "console=ttyS0 quiet loglevel=1 softlockup_panic=1 panic=-1"])
        .arg("-kernel")
        .arg(&kernel.image)
        .arg("-initrd")
        .arg(initramfs)
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .status()
        .context("start qemu-system-x86_64")?;
    Ok(String::from_utf8_lossy(&fs::read(log)?).into_owned())
}
