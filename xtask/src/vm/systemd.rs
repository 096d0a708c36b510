//! The Debian package on a machine with systemd: installed, started, reloaded, upgraded, hung, removed and purged, with the lanes and an OOM kill
//! in between. `scenario.sh` does it and judges each step.

use super::initramfs;
use super::kernels;
use super::machine;
use super::machine::Machine;
use super::rootfs;
use super::victim;
use crate::dist;
use anyhow::Context as _;
use anyhow::bail;
use anyhow::ensure;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use xtask::tools;

const SCENARIO: &str = include_str!("scenario.sh");
/// Runs the scenario when the machine is up, and powers it off whatever comes of it.
const UNIT: &str = "[Unit]
After=basic.target dbus.service
SuccessAction=poweroff-force
FailureAction=poweroff-force
[Service]
Type=oneshot
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0
ExecStart=/bin/sh /scenario/run
TimeoutStartSec=infinity
";
/// The kernel of the release.
const KERNEL: &str = "6.1";
/// Systemd, dpkg and perl live in memory, with the tree itself.
const MEBIBYTES: u32 = 2048;
/// Twice what an idle machine needs.
const SECONDS: u32 = 1200;

/// With the program as it is handed out.
pub(crate) fn main() -> anyhow::Result<Vec<String>> {
    with(None)
}

/// Returns the figures that are worth keeping.
pub(super) fn with(executable: Option<&Path>) -> anyhow::Result<Vec<String>> {
    let kernel = kernels::prepare()?.into_iter().find(|kernel| kernel.name == KERNEL);
    let kernel = kernel.context("no such kernel")?;
    let tree = rootfs::fetch()?;
    let directory = tools::workspace().join("target/vm/systemd");
    fs::create_dir_all(&directory)?;
    let packages = dist::two_revisions(&directory, executable)?;
    let initramfs = tools::step("packing the machine with systemd", || {
        pack(&directory, &tree, &packages)
    })?;
    let log = directory.join("console.log");
    let console = tools::step(&format!("using the package on Linux {KERNEL}"), || {
        run(&kernel, &initramfs, &log)
    })?;
    judge(&console, &log)?;
    let figures = console
        .lines()
        .filter_map(|line| line.trim_end().strip_prefix("FIGURE "));
    Ok(figures.map(str::to_owned).collect())
}

fn run(kernel: &kernels::Kernel, initramfs: &Path, log: &Path) -> anyhow::Result<String> {
    let machine = Machine {
        kernel: &kernel.image,
        initramfs,
        mebibytes: MEBIBYTES,
        command_line: "loglevel=3 rdinit=/sbin/init systemd.show_status=0",
        seconds: SECONDS,
    };
    machine.run(log)
}

/// Every step of the scenario has to be there and to be well.
fn judge(console: &str, log: &Path) -> anyhow::Result<()> {
    let mut well = BTreeSet::new();
    let mut failed = Vec::new();
    for line in console.lines() {
        if let Some((step, outcome)) = line
            .trim_end()
            .strip_prefix("RESULT ")
            .and_then(|line| line.split_once(' '))
        {
            tools::say(format!("{step:<28} {}", if outcome == "0" { "ok" } else { "FAILED" }));
            if outcome == "0" {
                well.insert(step);
            } else {
                failed.push(step);
            }
        }
    }
    if !failed.is_empty() {
        tools::say(machine::tail(console));
        bail!("failed: {}; the console is in {}", failed.join(", "), log.display());
    }
    let missing: Vec<&str> = steps().into_iter().filter(|step| !well.contains(step)).collect();
    ensure!(
        missing.is_empty(),
        "the machine did not get to {}; its console is in {}",
        missing.join(", "),
        log.display()
    );
    Ok(())
}

/// The names in the scenario.
fn steps() -> Vec<&'static str> {
    let lines = SCENARIO.lines().map(str::trim_start);
    let named = lines.filter_map(|line| {
        let mut words = line.split(' ');
        matches!(words.next(), Some("result" | "judge" | "wait_for")).then(|| words.next())?
    });
    // In a loop, and in the functions themselves.
    named.filter(|step| !step.contains('$')).collect()
}

fn pack(directory: &Path, tree: &Path, packages: &[PathBuf; 2]) -> anyhow::Result<PathBuf> {
    let root = directory.join("root");
    if root.exists() {
        fs::remove_dir_all(&root).with_context(|| format!("remove {}", root.display()))?;
    }
    fs::create_dir_all(root.join("scenario"))?;
    tools::run(Command::new("tar").arg("-xf").arg(tree).arg("-C").arg(&root))?;
    for (package, name) in packages.iter().zip(["first.deb", "second.deb"]) {
        fs::copy(package, root.join("scenario").join(name)).with_context(|| format!("copy {}", package.display()))?;
    }
    fs::copy(victim::build(directory)?, root.join("scenario/deathbed"))?;
    fs::write(root.join("scenario/run"), SCENARIO)?;
    let units = root.join("etc/systemd/system");
    fs::create_dir_all(units.join("multi-user.target.wants"))?;
    fs::write(units.join("scenario.service"), UNIT)?;
    link(
        "../scenario.service",
        &units.join("multi-user.target.wants/scenario.service"),
    )?;
    link("/lib/systemd/system/multi-user.target", &units.join("default.target"))?;
    // The console is the scenario's.
    for unit in ["getty@tty1.service", "serial-getty@ttyS0.service"] {
        link("/dev/null", &units.join(unit))?;
    }
    let archive = directory.join("initramfs");
    initramfs::archive_tree(&root, &archive)?;
    Ok(archive)
}

fn link(to: &str, path: &Path) -> anyhow::Result<()> {
    if path.is_symlink() {
        fs::remove_file(path)?;
    }
    symlink(to, path).with_context(|| format!("link {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_has_to_be_well() {
        let steps = steps();
        assert!(steps.len() > 20 && steps.contains(&"installs") && steps.contains(&"watchdog_trips"));
        let all: Vec<String> = steps.iter().map(|step| format!("RESULT {step} 0\r\n")).collect();
        let all = all.concat();
        let log = Path::new("log");
        judge(&all, log).unwrap();
        assert!(judge(&all.replace("RESULT rated 0\r\n", ""), log).is_err());
        assert!(judge(&all.replace("RESULT rated 0", "RESULT rated 1"), log).is_err());
        assert!(judge(&format!("{all}RESULT lane_native 1\r\n"), log).is_err());
    }
}
