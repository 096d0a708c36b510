//! How the programs are made: by the compilers of several languages, against allocators of the distribution unpacked beside the system.

use crate::programs::compile_with;
use anyhow::Context as _;
use anyhow::Result;
use leakwatch_test_support::debian::cache;
use leakwatch_test_support::debian::unpacked;
use leakwatch_test_support::process::run;
use leakwatch_test_support::programs::folder;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Where packages of the distribution have their libraries.
pub(super) const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";

/// A program and its arguments.
pub(crate) type CommandLine = Vec<OsString>;

/// `NAME.c` on the C library of the system.
pub(super) fn c(name: &str, directory: &Path) -> Result<CommandLine> {
    let executable = compile_with("cc", &format!("{name}.c"), name, &[], directory)?;
    Ok(vec![executable.into()])
}

/// `leak.c` with the C library of the system inside.
pub(super) fn static_c(directory: &Path) -> Result<CommandLine> {
    let executable = compile_with("cc", "leak.c", "static", &["-static"], directory)?;
    Ok(vec![executable.into()])
}

/// `leak.cc`.
pub(super) fn cxx(directory: &Path) -> Result<CommandLine> {
    let executable = compile_with("c++", "leak.cc", "operator-new", &[], directory)?;
    Ok(vec![executable.into()])
}

/// `leak.c`, linked with a library that brings another allocator.
pub(super) fn on_library(package: &str, library: &str, directory: &Path) -> Result<CommandLine> {
    let libraries = unpacked(package)?.join(LIBRARIES);
    let library = libraries.join(library).display().to_string();
    let found_at = format!("-Wl,-rpath,{}", libraries.display());
    let flags = ["-Wl,--no-as-needed", &library, &found_at];
    let executable = compile_with("cc", "leak.c", &format!("leak-{package}"), &flags, directory)?;
    Ok(vec![executable.into()])
}

/// `leak.c` with musl inside. Its compiler is the system's with other paths.
pub(super) fn on_musl(directory: &Path) -> Result<CommandLine> {
    let root = unpacked("musl-dev")?;
    let libraries = root.join("usr/lib/x86_64-linux-musl");
    let specs = fs::read_to_string(libraries.join("musl-gcc.specs")).context("musl-gcc.specs")?;
    let specs = specs
        .replace("/usr/lib/x86_64-linux-musl", &libraries.display().to_string())
        .replace("/usr/include", &root.join("usr/include").display().to_string());
    let changed = directory.join("musl-gcc.specs");
    fs::write(&changed, specs)?;
    let specs = format!("-specs={}", changed.display());
    let executable = compile_with("cc", "leak.c", "musl", &["-static", &specs], directory)?;
    Ok(vec![executable.into()])
}

/// `jemalloc`, in Rust. It compiles its allocator, once.
pub(super) fn on_jemalloc() -> Result<CommandLine> {
    let target = cache()?.join("jemalloc");
    run(Command::new("cargo")
        .args(["build", "--quiet", "--release", "--locked", "--target-dir"])
        .arg(&target)
        .current_dir(folder().join("native/jemalloc")))?;
    Ok(vec![target.join("release/ledger").into()])
}

/// `cgo`: C called from Go, built by a release of Go, or by the one that is there (`local`).
pub(crate) fn cgo(release: &str, directory: &Path) -> Result<CommandLine> {
    let executable = directory.join(format!("cgo-{release}"));
    run(Command::new("go")
        .args(["build", "-o"])
        .arg(&executable)
        .current_dir(folder().join("native/cgo"))
        .env("CGO_ENABLED", "1")
        .env("GOTOOLCHAIN", release)
        .env("GOWORK", "off"))?;
    Ok(vec![executable.into()])
}

/// `extension.py` in the distribution's interpreter, calling `extension.c`.
pub(super) fn python(directory: &Path) -> Result<CommandLine> {
    let flags = ["-shared", "-fPIC"];
    let extension = compile_with("cc", "extension.c", "extension.so", &flags, directory)?;
    let interpreter = unpacked("python3.11-minimal")?.join("usr/bin/python3.11");
    let modules = ["libpython3.11-minimal", "libpython3.11-stdlib"]
        .into_iter()
        .map(|package| Ok(unpacked(package)?.join("usr/lib/python3.11").display().to_string()))
        .collect::<Result<Vec<_>>>()?;
    // What it loads is in two packages; the modules in C lie below the second.
    let path = format!(
        "PYTHONPATH={}:{}/lib-dynload",
        modules.join(":"),
        modules.join("/lib-dynload:")
    );
    let mut command = with_libraries(&["libffi8", "libexpat1"])?;
    command.extend([
        path.into(),
        "PYTHONDONTWRITEBYTECODE=1".into(),
        interpreter.into(),
        "-S".into(),
    ]);
    command.extend([folder().join("native/extension.py").into(), extension.into()]);
    Ok(command)
}

/// The start of a command that finds the shared libraries of some packages. It becomes the command that follows.
pub(super) fn with_libraries(packages: &[&str]) -> Result<CommandLine> {
    let mut path = OsString::from("LD_LIBRARY_PATH=");
    for package in packages {
        path.push(unpacked(package)?.join(LIBRARIES));
        path.push(":");
    }
    Ok(vec!["/usr/bin/env".into(), path])
}
