//! How the programs are made: by the compilers and interpreters of the machine.

use anyhow::Context as _;
use anyhow::Result;
use leakwatch_test_support::process::run;
use leakwatch_test_support::programs::Go;
use leakwatch_test_support::programs::folder;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

/// The link, beside the directories of the rows.
pub(crate) const IN_MEMORY: &str = "in-memory";

/// A program and its arguments.
pub(crate) type CommandLine = Vec<OsString>;

/// A Go program of its own folder.
pub(crate) fn go(name: &str, arguments: &[&str], directory: &Path) -> Result<CommandLine> {
    let executable = Go::on_path().build(name, directory)?;
    let arguments = arguments.iter().copied().chain(["-listen=127.0.0.1:0"]);
    Ok(command(executable, arguments))
}

/// A variant of `services`.
pub(crate) fn service(variant: &str, directory: &Path) -> Result<CommandLine> {
    build_service(variant, &[], directory)
}

/// `services` in which the linker has turned heap profiling off.
pub(crate) fn service_without_profile(directory: &Path) -> Result<CommandLine> {
    build_service("basket", &["-tags=unprofiled"], directory)
}

fn build_service(variant: &str, flags: &[&str], directory: &Path) -> Result<CommandLine> {
    let executable = named_by_row(directory)?;
    run(Command::new("go")
        .arg("build")
        .args(flags)
        .arg("-o")
        .arg(&executable)
        .arg(".")
        .current_dir(folder().join("answers/services"))
        .envs([
            ("CGO_ENABLED", "0"),
            ("GOTOOLCHAIN", "local"),
            ("GOPROXY", "off"),
            ("GOWORK", "off"),
        ]))?;
    Ok(command(executable, [format!("-variant={variant}")]))
}

/// C called from Go.
pub(crate) fn cgo(directory: &Path) -> Result<CommandLine> {
    let executable = named_by_row(directory)?;
    run(Command::new("go")
        .args(["build", "-o"])
        .arg(&executable)
        .current_dir(folder().join("native/cgo"))
        .envs([
            ("CGO_ENABLED", "1"),
            ("GOTOOLCHAIN", "local"),
            ("GOPROXY", "off"),
            ("GOWORK", "off"),
        ]))?;
    Ok(vec![executable.into()])
}

/// One file of C or C++.
pub(crate) fn c(source: &str, arguments: &[&str], directory: &Path) -> Result<CommandLine> {
    let executable = named_by_row(directory)?;
    compile(&[folder().join(source)], &executable)?;
    Ok(command(executable, arguments))
}

/// `need.c` with 20 MiB.
pub(crate) fn c_need(directory: &Path) -> Result<CommandLine> {
    c("answers/need.c", &["20"], directory)
}

/// `lookup.c` with its library below a path where modules of others are.
pub(crate) fn dependency(directory: &Path) -> Result<CommandLine> {
    let modules = directory.join("go/pkg/mod/github.com/acme/engine@v1.14.53");
    fs::create_dir_all(&modules)?;
    let answers = folder().join("answers");
    fs::copy(answers.join("engine.c"), modules.join("engine.c"))?;
    let executable = named_by_row(directory)?;
    compile(&[answers.join("lookup.c"), modules.join("engine.c")], &executable)?;
    Ok(vec![executable.into()])
}

/// `leak.c` as it is shipped: without any name.
pub(crate) fn stripped(directory: &Path) -> Result<CommandLine> {
    let executable = named_by_row(directory)?;
    compile(&[folder().join("native/leak.c")], &executable)?;
    run(Command::new("strip").arg(&executable))?;
    Ok(vec![executable.into()])
}

/// `records.rs`.
pub(crate) fn rust(directory: &Path) -> Result<CommandLine> {
    let executable = named_by_row(directory)?;
    run(Command::new("rustc")
        .args(["-O", "-g", "--edition=2024", "-o"])
        .arg(&executable)
        .arg(folder().join("native/records.rs")))?;
    Ok(vec![executable.into()])
}

/// A script in the interpreter of the machine.
pub(crate) fn python(script: &str, arguments: &[&str], directory: &Path) -> Result<CommandLine> {
    // The interpreter itself: what is on PATH may be a shell script in its place.
    let executable = run(Command::new("python3").args(["-c", "import sys; print(sys.executable)"]))?;
    let own = named_by_row(directory)?.with_extension("py");
    fs::copy(folder().join("answers").join(script), &own)?;
    Ok(command(
        PathBuf::from(executable.trim()),
        [&[own.display().to_string().as_str()], arguments].concat(),
    ))
}

/// Files in memory: the test has put a link to a directory there.
pub(crate) fn files_in_memory(directory: &Path) -> Result<CommandLine> {
    let files = directory.with_file_name(IN_MEMORY);
    python("keeps_files.py", &[&files.display().to_string()], directory)
}

/// The same file names again and again, on a disk.
pub(crate) fn page_cache(directory: &Path) -> Result<CommandLine> {
    let files = directory.join("on-disk");
    fs::create_dir_all(&files)?;
    python("keeps_files.py", &[&files.display().to_string(), "400"], directory)
}

/// `thrashes.py`, with nearly all of 128 MiB taken.
pub(crate) fn thrashes(directory: &Path) -> Result<CommandLine> {
    python(
        "thrashes.py",
        &[&directory.join("pages").display().to_string(), "122"],
        directory,
    )
}

/// `remembers.js` with so many MiB of heap.
pub(crate) fn node(heap: u32) -> Result<CommandLine> {
    run(Command::new("node").arg("--version"))?;
    let script = folder().join("answers/remembers.js").display().to_string();
    Ok(command(
        PathBuf::from("/usr/bin/env"),
        ["node", &format!("--max-old-space-size={heap}"), &script],
    ))
}

/// `Remembers.java`.
pub(crate) fn jvm(directory: &Path) -> Result<CommandLine> {
    run(Command::new("javac")
        .arg("-d")
        .arg(directory)
        .arg(folder().join("answers/Remembers.java")))?;
    let classes = directory.display().to_string();
    Ok(command(
        PathBuf::from("/usr/bin/env"),
        ["java", "-Xms16m", "-Xmx320m", "-cp", &classes, "Remembers"],
    ))
}

/// A command that is started again a second after it has ended, as a supervisor does.
pub(crate) fn again(line: CommandLine) -> CommandLine {
    let script = r#"while :; do "$@"; sleep 1; done"#;
    let mut supervised = command(PathBuf::from("/bin/sh"), ["-c", script, "sh"]);
    supervised.extend(line);
    supervised
}

/// Where the executable of a row goes. Programs of one name are replicas of one service, and these are not.
fn named_by_row(directory: &Path) -> Result<PathBuf> {
    Ok(directory.join(directory.file_name().context("a name")?))
}

fn command<S: Into<OsString>>(program: PathBuf, arguments: impl IntoIterator<Item = S>) -> CommandLine {
    std::iter::once(program.into_os_string())
        .chain(arguments.into_iter().map(Into::into))
        .collect()
}

fn compile(sources: &[PathBuf], executable: &Path) -> Result<()> {
    let cxx = sources
        .iter()
        .any(|source| source.extension().is_some_and(|it| it == "cc"));
    run(Command::new(if cxx { "c++" } else { "cc" })
        .args(["-O2", "-g", "-fomit-frame-pointer", "-o"])
        .arg(executable)
        .args(sources))
    .map(drop)
}
