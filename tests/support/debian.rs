//! Programs of the distribution as it ships them: unpacked beside the system, not installed, so that no service starts.

use crate::process::run;
use anyhow::Context as _;
use anyhow::Result;
use std::env;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

/// Unpacks a Debian package once and answers where; later calls and runs find it there.
pub fn unpacked(package: &str) -> Result<PathBuf> {
    let root = cache()?.join("packages");
    let unpacked = root.join(package);
    if unpacked.exists() {
        return Ok(unpacked);
    }
    fs::create_dir_all(&root)?;
    // Whole or not at all, also when two tests want the same.
    let scratch = tempfile::tempdir_in(&root)?;
    download(package, scratch.path())?;
    let archive = fs::read_dir(scratch.path())?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .with_context(|| format!("apt-get download {package} has left no archive"))?;
    let files = scratch.path().join("files");
    run(Command::new("dpkg-deb").arg("--extract").arg(archive).arg(&files))?;
    match fs::rename(&files, &unpacked) {
        Err(_) if unpacked.exists() => {}
        renamed => renamed?,
    }
    Ok(unpacked)
}

fn download(package: &str, directory: &Path) -> Result<()> {
    let get = || {
        run(Command::new("apt-get")
            .args(["-q", "download", package])
            .current_dir(directory))
    };
    // The list of packages may never have been fetched, or be old.
    let got = get().or_else(|_| run(Command::new("apt-get").args(["-q", "update"])).and_then(|_| get()));
    got.map(drop)
}

/// Where downloads and what is built of them are kept: `$LEAKWATCH_CACHE`, `$XDG_CACHE_HOME/leakwatch` or `~/.cache/leakwatch`.
pub fn cache() -> Result<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("LEAKWATCH_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|directory| directory.join("leakwatch")))
        .or_else(|| set("HOME").map(|directory| directory.join(".cache/leakwatch")))
        .context("none of LEAKWATCH_CACHE, XDG_CACHE_HOME and HOME is set")
}
