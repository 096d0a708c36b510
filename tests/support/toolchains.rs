//! Programs built by several releases of Go and in several forms, for what depends on the release.

use anyhow::Context as _;
use anyhow::Result;
use anyhow::ensure;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

/// Every minor release there is a layout for, one patch release of each.
const ALL: [&str; 8] = [
    "go1.19.13",
    "go1.21.13",
    "go1.22.12",
    "go1.23.12",
    "go1.24.13",
    "go1.25.7",
    "go1.26.8",
    "go1.27.3",
];

/// Together they have every layout of a goroutine, of a memory record and of an inline tree that the others have.
const QUICK: [&str; 3] = ["go1.19.13", "go1.24.13", "go1.27.3"];

/// How a program is linked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As `go build` does.
    Plain,
    /// With debug information that is not compressed.
    Debug,
    /// Without symbols and debug information.
    Stripped,
    /// Position-independent, with symbols.
    Pie,
    /// Position-independent, without symbols and debug information.
    StrippedPie,
}

/// The releases to test: all with `LEAKWATCH_SLOW_TESTS=1`, a few that differ most otherwise.
pub fn releases() -> &'static [&'static str] {
    match std::env::var_os("LEAKWATCH_SLOW_TESTS") {
        Some(value) if value == "1" => &ALL,
        _ => &QUICK,
    }
}

/// Builds `tests/programs/NAME` into `directory`; the toolchain comes through the module proxy and is kept by Go.
pub fn build(name: &str, release: &str, form: Form, directory: &Path) -> Result<PathBuf> {
    let executable = directory.join(format!("{name}-{release}-{form:?}"));
    let (mode, flags) = match form {
        Form::Plain => ("exe", ""),
        Form::Debug => ("exe", "-compressdwarf=false"),
        Form::Stripped => ("exe", "-s -w"),
        Form::Pie => ("pie", ""),
        Form::StrippedPie => ("pie", "-s -w"),
    };
    let folder = super::programs::folder().join(name);
    // Go 1.19 takes a folder of its own toolchain for an unknown import when it is told to build `.`.
    let sources = fs::read_dir(&folder)
        .with_context(|| folder.display().to_string())?
        .map(|entry| Ok(entry?.file_name()))
        .collect::<Result<Vec<_>>>()?;
    let output = Command::new("go")
        .args(["build", "-buildmode", mode, "-ldflags", flags, "-o"])
        .arg(&executable)
        .args(
            sources
                .iter()
                .filter(|file| Path::new(file).extension().is_some_and(|kind| kind == "go")),
        )
        .current_dir(&folder)
        .env("GOTOOLCHAIN", release)
        .env("CGO_ENABLED", "0")
        .env("GOFLAGS", "-mod=mod")
        .env("GOWORK", "off")
        .output()
        .context("run go; `cargo xtask test` brings one where there is none")?;
    ensure!(
        output.status.success(),
        "{release} build {name}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(executable)
}

/// A copy whose build info names another version, of the same length.
pub fn relabelled(executable: &Path, from: &str, to: &str) -> Result<PathBuf> {
    let mut bytes = fs::read(executable)?;
    let find = |bytes: &[u8], text: &[u8]| bytes.windows(text.len()).position(|window| window == text);
    let record = find(&bytes, b"\xff Go buildinf:").context("build info")?;
    let rest = bytes.get(record..).unwrap_or_default();
    let version = record + find(rest, from.as_bytes()).context("version")?;
    let place = bytes.get_mut(version..version + to.len()).context("version")?;
    place.copy_from_slice(to.as_bytes());
    let copy = executable.with_extension(to);
    fs::write(&copy, bytes)?;
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755))?;
    Ok(copy)
}
