//! The Go programs of `tests/programs`: built once, with their truth read from marks in the source.

use crate::process::run;
use anyhow::Context as _;
use anyhow::Result;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

/// The folder of all programs.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../programs")
}

/// What leakwatch advises to a program whose heap cannot be read.
pub const ADVISED: &str = "func init() { runtime.MemProfile(nil, false) }";

/// Copies the program NAME into a folder in `directory`: without an endpoint for its profiles, and with the one line that
/// makes the linker keep profiling.
pub fn without_endpoint(name: &str, directory: &Path) -> Result<PathBuf> {
    let copy = directory.join(format!("{name}-without-endpoint"));
    fs::create_dir_all(&copy)?;
    for entry in fs::read_dir(folder().join(name))? {
        let entry = entry?;
        let source = fs::read_to_string(entry.path())?;
        // As many lines as before: the truth is told by their numbers.
        let source = source.replace("_ \"net/http/pprof\"", "");
        fs::write(copy.join(entry.file_name()), source)?;
    }
    let line = format!("package main\n\nimport \"runtime\"\n\n{ADVISED}\n");
    fs::write(copy.join("profiling.go"), line)?;
    Ok(copy)
}

/// A Go toolchain.
#[derive(Clone, Debug)]
pub struct Go(PathBuf);

impl Go {
    /// The `go` on `PATH`; `cargo xtask test` puts one there where there is none.
    pub fn on_path() -> Self {
        Self(PathBuf::from("go"))
    }

    /// A certain `go`.
    pub fn at(executable: PathBuf) -> Self {
        Self(executable)
    }

    /// Builds `tests/programs/NAME` into a directory. Static, so that it runs in an empty container.
    pub fn build(&self, name: &str, directory: &Path) -> Result<PathBuf> {
        self.build_with(name, "", &[], directory)
    }

    /// The same with an experiment of the toolchain (`GOEXPERIMENT`) switched on.
    pub fn build_experiment(&self, name: &str, experiment: &str, directory: &Path) -> Result<PathBuf> {
        self.build_with(name, experiment, &[], directory)
    }

    /// The same without symbols and debugging information, as programs are shipped.
    pub fn build_stripped(&self, name: &str, directory: &Path) -> Result<PathBuf> {
        self.build_with(name, "", &["-ldflags=-s -w"], directory)
    }

    fn build_with(&self, name: &str, experiment: &str, flags: &[&str], directory: &Path) -> Result<PathBuf> {
        let executable = directory.join(name);
        let mut command = Command::new(&self.0);
        command.arg("build").args(flags).arg("-o").arg(&executable).arg(".");
        command.current_dir(folder().join(name)).env("CGO_ENABLED", "0");
        command.env("GOEXPERIMENT", experiment);
        output(&mut command)?;
        Ok(executable)
    }

    /// Runs `go tool pprof` and answers what it prints. What it saves goes to the scratch directory.
    pub fn pprof(&self, arguments: &[&str], scratch: &Path) -> Result<String> {
        let mut command = Command::new(&self.0);
        command
            .args(["tool", "pprof"])
            .args(arguments)
            .env("PPROF_TMPDIR", scratch);
        output(&mut command)
    }
}

/// Runs a `go` command to its end. Nothing is downloaded: the programs need the standard library alone.
fn output(command: &mut Command) -> Result<String> {
    run(command
        .env("GOTOOLCHAIN", "local")
        .env("GOPROXY", "off")
        .env("GOWORK", "off"))
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
