//! The container engines that `tests/daemon/engines.rs` drives, installed where the package manager is Debian's.

use xtask::tools;

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
    if let Err(error) = xtask::debian::ensure_debian_packages(&PROGRAMS) {
        tools::say(format!("the tests with these engines will be skipped: {error:#}"));
    }
}
