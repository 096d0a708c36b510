//! The web page's bundle. It is committed, so that building the daemon needs no Node; here it is built, tested and compared with
//! its sources.

use crate::debian;
use crate::node;
use crate::tools;
use anyhow::Context as _;
use anyhow::bail;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

/// What Vite leaves; the names have no hashes, because the daemon names them.
const FILES: [&str; 3] = ["index.html", "leakwatch.css", "leakwatch.js"];

/// Builds the bundle.
pub fn main() -> anyhow::Result<()> {
    install()?;
    tools::step("building the page", || {
        tools::run(npm()?.args(["run", "--silent", "build"]))
    })
}

/// Types, lint and unit tests of the page, and whether the committed bundle is what its sources make.
pub fn check() -> anyhow::Result<()> {
    install()?;
    tools::step("testing the page", || {
        tools::run(npm()?.args(["run", "--silent", "check"]))
    })?;
    let fresh = tools::target_dir().join("ui");
    tools::step("building the page to compare it", || {
        tools::run(
            npm()?
                .args(["run", "--silent", "build", "--", "--emptyOutDir", "--outDir"])
                .arg(&fresh),
        )
    })?;
    for file in FILES {
        if read(&fresh, file)? != read(&directory().join("dist"), file)? {
            bail!("ui/dist/{file} is not what its sources make: cargo xtask ui");
        }
    }
    Ok(())
}

/// How fast the page is, in Chromium.
pub fn bench() -> anyhow::Result<()> {
    debian::ensure_debian_packages(&[("chromium", "chromium")])?;
    install()?;
    tools::run(npm()?.args(["run", "--silent", "bench"]))
}

/// The packages of the lockfile, when they are not there yet.
pub fn install() -> anyhow::Result<()> {
    let installed = directory().join("node_modules/.package-lock.json");
    let modified = |path: PathBuf| std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    if modified(installed) >= modified(directory().join("package-lock.json")) {
        return Ok(());
    }
    // Not `ci`: it refuses a lockfile without a package for another system that the registry does not have.
    tools::step("installing the page's packages", || {
        tools::run(npm()?.args(["install", "--silent", "--no-audit", "--no-fund"]))
    })
}

fn npm() -> anyhow::Result<Command> {
    let mut npm = node::ensure_node()?.npm()?;
    npm.current_dir(directory());
    Ok(npm)
}

fn directory() -> PathBuf {
    tools::workspace().join("ui")
}

fn read(directory: &Path, file: &str) -> anyhow::Result<Vec<u8>> {
    let path = directory.join(file);
    std::fs::read(&path).with_context(|| format!("read {}", path.display()))
}
