//! Debian with systemd as a tree of files, made once and kept in the cache. Of the release that the package is built on, whose C library it needs.

use anyhow::Context as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use xtask::debian;
use xtask::tools;

const MIRROR: &str = "http://deb.debian.org/debian";
/// What the package asks for, and what runs it.
const PACKAGES: &str = "systemd,systemd-sysv,dbus";
/// What nobody reads in there.
const LEFT_OUT: [&str; 3] = ["/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/man/*"];

/// The tree as an archive.
pub(super) fn fetch() -> anyhow::Result<PathBuf> {
    debian::ensure_debian_packages(&[("mmdebstrap", "mmdebstrap")])?;
    let release = release()?;
    let archive = tools::cache_dir()?.join("rootfs").join(format!("{release}.tar"));
    if !archive.exists() {
        tools::step(&format!("making a tree of Debian {release} with systemd"), || {
            fs::create_dir_all(archive.parent().context("no directory")?)?;
            let unfinished = archive.with_extension("unfinished.tar");
            let mut mmdebstrap = Command::new("mmdebstrap");
            mmdebstrap
                .args(["--quiet", "--variant=essential", "--mode=root"])
                .arg(format!("--include={PACKAGES}"))
                .args(LEFT_OUT.map(|path| format!("--dpkgopt=path-exclude={path}")))
                .arg(&release)
                .arg(&unfinished)
                .arg(MIRROR);
            tools::run(&mut mmdebstrap)?;
            Ok(fs::rename(unfinished, &archive)?)
        })?;
    }
    Ok(archive)
}

/// `bookworm`, by `/etc/os-release`.
fn release() -> anyhow::Result<String> {
    let text = fs::read_to_string("/etc/os-release").context("read /etc/os-release")?;
    let name = text.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    name.map(str::to_owned).context("/etc/os-release names no release")
}
