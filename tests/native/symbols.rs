//! Code is named by whatever its distributor has left: debugging information in the file, beside it, in a directory by build id, also inside of
//! another root, a compressed symbol table, or a list of what was compiled at run time.

use crate::programs::compile;
use crate::programs::run;
use anyhow::Context as _;
use anyhow::Result;
use leakwatch_analysis::model::stack::Frame;
use leakwatch_nativeproc::symbols::Symbols;
use leakwatch_test_support::process::Running;
use leakwatch_test_support::programs::folder;
use leakwatch_test_support::wait::wait_until;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_mins(2);
const FUNCTION: &str = "named_by_others";

/// Starts a program and names the place that it says.
fn named(command: Command, directory: &Path, prepare: impl FnOnce(u32, u64) -> Result<()>) -> Result<Frame> {
    let program = Running::start(command, &directory.join("output"))?;
    let address = wait_until("an address", DEADLINE, || {
        let output = program.output();
        let digits = output.lines().last().and_then(|line| line.strip_prefix("0x"));
        Ok(digits.and_then(|digits| u64::from_str_radix(digits, 16).ok()))
    })?;
    prepare(program.pid(), address)?;
    let mut symbols = Symbols::of_process(program.pid());
    symbols.frames(address).first().cloned().context("no frame")
}

/// Of the place in the source.
fn line() -> Result<u64> {
    let source = fs::read_to_string(folder().join("native/place.c"))?;
    let before = source.lines().take_while(|line| !line.contains("/* here */")).count();
    Ok(u64::try_from(before)? + 1)
}

#[test]
fn debugging_information_is_found_wherever_it_is() {
    // Whether there are lines, too.
    for (way, tools, lines) in [
        ("in the file", &[][..], true),
        (
            "compressed",
            &["objcopy --compress-debug-sections=zlib place"][..],
            true,
        ),
        (
            "compressed with zstd",
            &["objcopy --compress-debug-sections=zstd place"][..],
            true,
        ),
        (
            "beside it",
            &[
                "objcopy --only-keep-debug place place.debug",
                "strip place",
                "objcopy --add-gnu-debuglink=place.debug place",
            ][..],
            true,
        ),
        (
            "in a directory beside it",
            &[
                "mkdir .debug",
                "objcopy --only-keep-debug place .debug/place.debug",
                "strip place",
                "objcopy --add-gnu-debuglink=.debug/place.debug place",
            ][..],
            true,
        ),
        (
            "a compressed symbol table",
            &[
                "objcopy --only-keep-debug place place.debug",
                "objcopy --strip-debug place.debug mini",
                "xz -k mini",
                "strip place",
                "objcopy --add-section .gnu_debugdata=mini.xz place",
                "rm place.debug mini mini.xz",
            ][..],
            false,
        ),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let executable = compile("place", directory.path()).unwrap();
        for tool in tools {
            run(directory.path(), tool).unwrap();
        }
        let frame = named(Command::new(executable), directory.path(), |_, _| Ok(())).unwrap();
        assert_eq!(&*frame.function, FUNCTION, "{way}: {frame:?}");
        if lines {
            assert_eq!(u64::from(frame.line), line().unwrap(), "{way}: {frame:?}");
            assert!(frame.file.ends_with("place.c"), "{way}: {frame:?}");
        }
    }
}

#[test]
fn debugging_information_in_the_root_of_a_container_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    crate::programs::compile_with("cc", "place.c", "place", &["-static", "-Wl,--build-id"], root).unwrap();
    let notes = run(root, "readelf -n place").unwrap();
    let id = notes.lines().find_map(|line| line.trim().strip_prefix("Build ID: "));
    let (first, rest) = id.unwrap().split_at(2);
    let by_id = format!("usr/lib/debug/.build-id/{first}");
    for tool in [
        &format!("mkdir -p {by_id}"),
        &format!("objcopy --only-keep-debug place {by_id}/{rest}.debug"),
        "strip place",
        &format!("objcopy --add-gnu-debuglink={by_id}/{rest}.debug place"),
    ] {
        run(root, tool).unwrap();
    }
    // A file system that is mounted in the container alone, as those of containers are: no path of the host leads there.
    run(root, "mkdir container").unwrap();
    let script = "mount -t tmpfs none container && cp -r place usr container && exec chroot container /place";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script]).current_dir(root);
    let frame = named(command, root, |_, _| Ok(())).unwrap();
    assert_eq!(
        (&*frame.function, u64::from(frame.line)),
        (FUNCTION, line().unwrap()),
        "{frame:?}"
    );
}

#[test]
fn what_was_compiled_at_run_time_is_named_by_its_list() {
    let directory = tempfile::tempdir().unwrap();
    let executable = compile("place", directory.path()).unwrap();
    let mut command = Command::new(executable);
    command.arg("code");
    let mut list = None;
    let frame = named(command, directory.path(), |pid, address| {
        let path = format!("/tmp/perf-{pid}.map");
        fs::write(&path, format!("{:x} 100 compiled::at_run_time\n", address - 16))?;
        list = Some(path);
        Ok(())
    });
    if let Some(path) = list {
        fs::remove_file(path).unwrap();
    }
    assert_eq!(&*frame.unwrap().function, "compiled::at_run_time");
}
