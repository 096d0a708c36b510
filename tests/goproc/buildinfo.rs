//! Build info of real executables, as every kind of build leaves it, against `go version -m`.

use anyhow::Context as _;
use anyhow::Result;
use anyhow::ensure;
use leakwatch_goproc::buildinfo;
use leakwatch_goproc::buildinfo::BuildInfo;
use std::collections::HashSet;
use std::fs;
use std::fs::File;
use std::path::Path;
use std::process::Command;

const PROGRAM: &str = "package main\n\nfunc main() { println(\"hello\") }\n";

fn go(directory: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Result<String> {
    let output = Command::new("go")
        .args(arguments)
        .envs(environment.iter().copied())
        .env("GOTOOLCHAIN", "local")
        .env("GOPROXY", "off")
        .env("GOWORK", "off")
        // Whatever is usual on this machine.
        .env("GOFLAGS", "-buildvcs=true")
        .current_dir(directory)
        .output()
        .context("start go")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "go {arguments:?} {environment:?}: {errors}");
    Ok(String::from_utf8(output.stdout)?)
}

/// What Go itself says about an executable.
fn judged(directory: &Path, executable: &Path) -> Result<BuildInfo> {
    let name = executable.to_str().context("a UTF-8 path")?;
    let text = go(directory, &["version", "-m", name], &[])?;
    let version = text
        .lines()
        .next()
        .and_then(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let field = |name: &str, index: usize| {
        let mut rows = text.lines().map(|line| line.trim_start().split('\t'));
        rows.find_map(|mut row| {
            (row.next() == Some(name))
                .then(|| row.nth(index).filter(|field| !field.is_empty()).map(str::to_owned))
                .flatten()
        })
    };
    let setting = |name: &str| {
        let start = format!("build\t{name}=");
        text.lines()
            .find_map(|line| line.trim_start().strip_prefix(&start).map(str::to_owned))
    };
    Ok(BuildInfo {
        version: version.context("a version")?.to_owned(),
        main_package: field("path", 0),
        main_module: field("mod", 0),
        main_version: field("mod", 1),
        revision: setting("vcs.revision"),
        modified: setting("vcs.modified").map(|value| value.parse()).transpose()?,
    })
}

#[test]
fn every_kind_of_build() -> Result<()> {
    let directory = tempfile::tempdir()?;
    fs::write(directory.path().join("main.go"), PROGRAM)?;
    fs::write(directory.path().join("go.mod"), "module example.org/hello\n\ngo 1.19\n")?;
    // Inside of a checkout Go records the commit.
    for arguments in [
        &["init", "--quiet"][..],
        &["add", "main.go", "go.mod"],
        &[
            "-c",
            "user.name=test",
            "-c",
            "user.email=test@example.org",
            "commit",
            "--quiet",
            "-m",
            "all",
        ],
    ] {
        let status = Command::new("git")
            .args(arguments)
            .current_dir(directory.path())
            .status()?;
        ensure!(status.success(), "git {arguments:?}");
    }
    let stripped = ["-ldflags", "-s -w"];
    let mut ids = HashSet::new();
    for (flags, environment) in [
        (&[][..], &[][..]),
        (&stripped, &[]),
        (&["-trimpath", "-buildvcs=false"], &[]),
        (&["-buildmode=pie"], &[]),
        (&["-buildmode=pie", "-ldflags", "-s -w"], &[]),
        (&[], &[("GOARCH", "386"), ("CGO_ENABLED", "0")]),
        (&stripped, &[("GOARCH", "arm64"), ("CGO_ENABLED", "0")]),
        // big endian
        (&[], &[("GOARCH", "s390x"), ("CGO_ENABLED", "0")]),
    ] {
        let executable = directory.path().join("hello");
        let mut arguments = vec!["build", "-o", "hello"];
        arguments.extend(flags);
        go(directory.path(), &arguments, environment)?;
        let wanted = judged(directory.path(), &executable)?;
        ensure!(wanted.main_module.as_deref() == Some("example.org/hello"), "{wanted:?}");
        ensure!(
            wanted.revision.is_some() != flags.contains(&"-buildvcs=false"),
            "{wanted:?}"
        );
        let what = format!("{flags:?} {environment:?}");
        let found = buildinfo::read(&File::open(&executable)?).with_context(|| what.clone())?;
        assert_eq!(found.as_ref(), Some(&wanted), "{what}");
        let id = leakwatch_goproc::build_id::read(&File::open(&executable)?).with_context(|| what.clone())?;
        ensure!(ids.insert(id), "{what} has the build id of another");

        // The same without section headers, as packers and some strippers leave it.
        let mut bytes = fs::read(&executable)?;
        let sections = match bytes.get(4) {
            Some(1) => 32..36,
            _ => 40..48,
        };
        bytes.get_mut(sections).context("an ELF header")?.fill(0);
        let found = buildinfo::read(bytes.as_slice()).with_context(|| what.clone())?;
        assert_eq!(found, Some(wanted), "{what} without sections");
    }
    Ok(())
}

#[test]
fn a_binary_stripped_by_binutils() -> Result<()> {
    let directory = tempfile::tempdir()?;
    fs::write(directory.path().join("main.go"), PROGRAM)?;
    fs::write(directory.path().join("go.mod"), "module example.org/hello\n\ngo 1.19\n")?;
    go(directory.path(), &["build", "-o", "hello"], &[])?;
    let executable = directory.path().join("hello");
    match Command::new("strip").arg(&executable).status() {
        Ok(status) => ensure!(status.success(), "strip: {status}"),
        Err(error) => {
            println!("SKIP no strip: {error}");
            return Ok(());
        }
    }
    let wanted = judged(directory.path(), &executable)?;
    assert_eq!(buildinfo::read(&File::open(&executable)?)?, Some(wanted));
    Ok(())
}

#[test]
fn programs_in_other_languages_are_not_go() -> Result<()> {
    for path in [Path::new("/bin/sh"), &std::env::current_exe()?] {
        assert_eq!(buildinfo::read(&File::open(path)?)?, None, "{}", path.display());
    }
    Ok(())
}
