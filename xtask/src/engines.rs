//! The container engines that `tests/engines.rs` drives, installed where the package manager is Debian's.

use crate::tools;
use std::process::Command;
use std::process::Stdio;

/// Program, and the package that has it.
const PROGRAMS: [(&str, &str); 5] = [
    ("dockerd", "docker.io"),
    ("podman", "podman"),
    ("runc", "runc"),
    ("containerd", "containerd"),
    ("ctr", "containerd"),
];

/// Installs what is missing. Where that is not possible the tests say `SKIP`.
pub(crate) fn ensure_engines() {
    let absent = |program: &str| !on_path(program);
    let mut packages: Vec<&str> = PROGRAMS
        .iter()
        .filter(|(program, _)| absent(program))
        .map(|(_, package)| *package)
        .collect();
    packages.dedup();
    if packages.is_empty() {
        return;
    }
    let installed = tools::step(&format!("installing container engines: {}", packages.join(" ")), || {
        tools::run(apt().arg("update"))?;
        tools::run(apt().args(["install", "-y", "--no-install-recommends"]).args(&packages))
    });
    if let Err(error) = installed {
        tools::say(format!("the tests with these engines will be skipped: {error:#}"));
    }
}

fn apt() -> Command {
    let mut command = Command::new("apt-get");
    // No service is started by installing it: the tests start their own.
    command
        .arg("-q")
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("RUNLEVEL", "1");
    command.stdout(Stdio::null());
    command
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}
