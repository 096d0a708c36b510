//! The Go toolchain as tests use it: to build the programs below `tests/programs` and as the independent judge of what
//! a profile says.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

/// Builds `tests/programs/NAME`; `None`, saying so, where there is no Go toolchain.
pub(crate) fn build(name: &str) -> Option<PathBuf> {
    build_experiment(name, "")
}

/// The same with experiments of the toolchain switched on.
pub(crate) fn build_experiment(name: &str, experiment: &str) -> Option<PathBuf> {
    if Command::new("go").arg("version").output().is_err() {
        eprintln!("SKIP no Go toolchain: `go` is not in PATH");
        return None;
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/programs")
        .join(name)
        .join("main.go");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let binary = target.join(format!("{name}{experiment}"));
    // Another test may be running the binary of the same name: built aside, it replaces only the name.
    let fresh = tempfile::tempdir_in(target).unwrap();
    let built = fresh.path().join(name);
    run(Command::new("go")
        .arg("build")
        .arg("-o")
        .arg(&built)
        .arg(&source)
        .env("GOEXPERIMENT", experiment));
    std::fs::rename(&built, &binary).unwrap();
    Some(binary)
}

/// Runs a command to its end and returns its standard output.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command
        .env("GOTOOLCHAIN", "local")
        .env("GOPROXY", "off")
        .env("GO111MODULE", "off")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}
