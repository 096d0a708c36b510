//! The Go programs of `tests/programs`: built once, with their truth read from marks in the source.

use anyhow::Context as _;
use anyhow::Result;
use anyhow::ensure;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

/// The folder of all programs.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../programs")
}

/// Builds `tests/programs/NAME` with the `go` on `PATH` into `directory`. Static, so that it runs in an empty container.
pub fn build(name: &str, directory: &Path) -> Result<PathBuf> {
    let executable = directory.join(name);
    let output = Command::new("go")
        .args(["build", "-o"])
        .arg(&executable)
        .arg(".")
        .current_dir(folder().join(name))
        .env("CGO_ENABLED", "0")
        .env("GOFLAGS", "-mod=mod")
        .env("GOWORK", "off")
        .output()
        .context("run go; `cargo xtask test` brings one where there is none")?;
    ensure!(
        output.status.success(),
        "go build {name}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(executable)
}

/// Number of the line that carries the comment `// truth: MARK`.
pub fn marked_line(program: &str, file: &str, mark: &str) -> Result<u64> {
    let path = folder().join(program).join(file);
    let source = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let comment = format!("// truth: {mark}");
    let (_, number) = source
        .lines()
        .zip(1..)
        .find(|(line, _)| line.ends_with(&comment))
        .with_context(|| format!("{} has no line marked {mark}", path.display()))?;
    Ok(number)
}

/// Runs `go tool pprof` without touching the user's saved profiles, and answers its standard output.
pub fn pprof(arguments: &[&str], scratch: &Path) -> Result<String> {
    let output = Command::new("go")
        .args(["tool", "pprof"])
        .args(arguments)
        .env("PPROF_TMPDIR", scratch)
        .env("PPROF_NO_BROWSER", "1")
        .output()?;
    ensure!(
        output.status.success(),
        "go tool pprof {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}
