//! The Debian package, by cargo-deb from the metadata in `leakwatch/Cargo.toml`.

use super::release::Release;
use anyhow::Context as _;
use anyhow::ensure;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use xtask::tools;

const VERSION: &str = "3.8.0";

pub(super) fn make(release: &Release, stage: &Path) -> anyhow::Result<PathBuf> {
    let package = pack(release, stage, 1)?;
    lint(&package)?;
    Ok(package)
}

/// With a revision of one's choice, and unjudged.
pub(super) fn pack(release: &Release, stage: &Path, revision: u32) -> anyhow::Result<PathBuf> {
    let program = ensure_installed()?;
    let package = release
        .out
        .join(format!("leakwatch_{}-{revision}_amd64.deb", release.version));
    let mut deb = Command::new(program);
    deb.current_dir(tools::workspace())
        .args([
            "--package",
            "leakwatch",
            "--no-build",
            "--no-strip",
            "--locked",
            "--quiet",
            "--deb-revision",
        ])
        .arg(revision.to_string())
        .arg("--output")
        .arg(&package)
        .env("SOURCE_DATE_EPOCH", &release.time);
    tools::run(&mut deb).with_context(|| format!("with what is in {}", stage.display()))?;
    Ok(package)
}

/// Debian's own judgement; what is passed over has its reason in `packaging/debian/lintian-overrides`.
fn lint(package: &Path) -> anyhow::Result<()> {
    let mut lintian = Command::new("lintian");
    lintian.args(["--allow-root", "--fail-on", "error,warning", "--tag-display-limit", "0"]);
    tools::run(lintian.arg(package))
}

fn ensure_installed() -> anyhow::Result<PathBuf> {
    let root = tools::cache_dir()?.join("tools/cargo-deb").join(VERSION);
    let cached = root.join("bin/cargo-deb");
    if !is_version(&cached) {
        tools::step(
            &format!("installing cargo-deb {VERSION} into {}", root.display()),
            || {
                let mut install = tools::cargo();
                install
                    .args(["install", "cargo-deb", "--version", VERSION, "--locked", "--root"])
                    .arg(&root)
                    // It packs once; it need not be fast.
                    .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0")
                    .env("CARGO_PROFILE_RELEASE_LTO", "off");
                tools::run(&mut install)
            },
        )?;
    }
    ensure!(is_version(&cached), "{} does not run", cached.display());
    Ok(cached)
}

fn is_version(program: &Path) -> bool {
    let output = Command::new(program).arg("--version").stderr(Stdio::null()).output();
    output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).trim().ends_with(VERSION))
}
