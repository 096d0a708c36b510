//! One emulated machine that runs until it powers itself off. No KVM needed.

use anyhow::Context as _;
use std::fs;
use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;
use xtask::tools;

/// What a kernel writes that has given up.
const PANIC: &str = "Kernel panic";
/// The emulator was seen to damage the processor's flags and to let Debian's 6.12 panic, once in `start_kernel`, long before
/// anything of ours: such a run is no test. A panic that is ours comes every time.
const BOOTS: usize = 3;
/// What the tests report before they begin.
const BOOTED: &str = "RESULT booted 0";

/// What differs between machines.
#[derive(Debug)]
pub(super) struct Machine<'a> {
    pub(super) kernel: &'a Path,
    pub(super) initramfs: &'a Path,
    pub(super) mebibytes: u32,
    /// Beyond the console.
    pub(super) command_line: &'a str,
    pub(super) seconds: u32,
}

impl Machine<'_> {
    /// What it wrote, of a run in which it has booted.
    pub(super) fn run(&self, log: &Path) -> anyhow::Result<String> {
        let mut console = self.once(log)?;
        for _ in 1..BOOTS {
            // Not a line of its own: the firmware clears the screen before it.
            if console.contains(BOOTED) && !console.contains(PANIC) {
                break;
            }
            tools::say("the machine did not come to the end of the tests: once more");
            console = self.once(log)?;
        }
        Ok(console)
    }

    fn once(&self, log: &Path) -> anyhow::Result<String> {
        let output = File::create(log).with_context(|| format!("create {}", log.display()))?;
        // One processor: with two emulated ones Linux 6.1 was seen to lock up, both waiting for each other.
        let options = "-accel tcg -cpu max -smp 1 -no-reboot -nodefaults -nographic -serial stdio";
        let command_line = format!("console=ttyS0 quiet panic=-1 {}", self.command_line);
        // Its exit code says nothing: the machine powers itself off.
        Command::new("timeout")
            .args([&self.seconds.to_string(), "qemu-system-x86_64"])
            .args(options.split(' '))
            .args(["-m", &self.mebibytes.to_string(), "-append", &command_line])
            .arg("-kernel")
            .arg(self.kernel)
            .arg("-initrd")
            .arg(self.initramfs)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .status()
            .context("start qemu-system-x86_64")?;
        Ok(String::from_utf8_lossy(&fs::read(log)?).into_owned())
    }
}

/// The last lines, for a person.
pub(super) fn tail(console: &str) -> String {
    let lines: Vec<&str> = console.lines().collect();
    lines
        .get(lines.len().saturating_sub(60)..)
        .unwrap_or_default()
        .join("\n")
}

/// Whether a line says so.
pub(super) fn reports(console: &str, result: &str) -> bool {
    console.lines().any(|line| line.trim_end() == result)
}
