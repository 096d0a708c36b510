//! What a Go process cannot tell, or must not be believed, is refused with the reason; what it can tell is still read.

use anyhow::Context as _;
use anyhow::Result;
use anyhow::ensure;
use leakwatch_goproc::attach::AttachError;
use leakwatch_goproc::attach::GoProcess;
use leakwatch_goproc::attach::NoGc;
use leakwatch_goproc::attach::NoHeap;
use leakwatch_goproc::gc::GcError;
use leakwatch_goproc::heap::HeapError;
use leakwatch_goproc::heap::RecordFormat;
use leakwatch_goproc::heap::View;
use leakwatch_goproc::os::OpenError;
use leakwatch_test_support::process::Running;
use leakwatch_test_support::toolchains;
use leakwatch_test_support::toolchains::Form;
use leakwatch_test_support::wait::wait_until;
use rustix::process::Signal;
use rustix::thread::CapabilitySet;
use rustix::thread::CapabilitySets;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_mins(3);

fn start(executable: &Path, arguments: &[&str], directory: &TempDir) -> Result<Running> {
    let mut command = Command::new(executable);
    command.args(arguments).env("GOGC", "off").env_remove("GOMEMLIMIT");
    let process = Running::start(command, &directory.path().join("log"))?;
    wait_until("the program to be ready", DEADLINE, || {
        Ok(process.output().contains("ready").then_some(()))
    })?;
    Ok(process)
}

#[test]
fn without_a_profile_the_reason_and_the_rest_is_told() -> Result<()> {
    let directory = tempfile::tempdir()?;
    for release in toolchains::releases() {
        for form in [Form::Plain, Form::StrippedPie] {
            let executable = toolchains::build("unprofiled", release, form, directory.path())?;
            let target = start(&executable, &[], &directory)?;
            let mut process = GoProcess::attach(target.pid())?;
            let refusal = process.heap(&mut Vec::<Vec<u64>>::new()).expect_err("no profile");
            ensure!(refusal == NoHeap::NotLinked, "{release} {form:?}: {refusal:?}");
            ensure!(refusal.to_string().contains("net/http/pprof"), "{refusal}");
            let numbers = process.gc()?;
            ensure!(
                (62 << 20..70 << 20).contains(&numbers.heap_marked),
                "{release} {form:?}: {numbers:?}"
            );
        }
    }
    Ok(())
}

#[test]
fn a_rate_of_zero_is_told() -> Result<()> {
    let directory = tempfile::tempdir()?;
    for release in toolchains::releases() {
        let executable = toolchains::build("goproc-target", release, Form::StrippedPie, directory.path())?;
        let target = start(&executable, &["-rate", "0"], &directory)?;
        let refusal = GoProcess::attach(target.pid())?.heap(&mut Vec::<Vec<u64>>::new());
        ensure!(refusal == Err(NoHeap::RateZero { rate: 0 }), "{release}: {refusal:?}");
    }
    Ok(())
}

#[test]
fn an_unknown_version_is_read_as_far_as_memory_tells() -> Result<()> {
    let directory = tempfile::tempdir()?;
    for (release, unknown) in [("go1.27.3", "go1.99.3"), ("go1.24.13", "go1.99.13")] {
        let known = toolchains::build("goproc-target", release, Form::Stripped, directory.path())?;
        let executable = toolchains::relabelled(&known, release, unknown)?;
        let target = start(&executable, &["-objects", "200000"], &directory)?;
        let mut process = GoProcess::attach(target.pid())?;
        // The counters tell their layout themselves.
        let heap = process.heap(&mut Vec::<Vec<u64>>::new())?;
        let index = process.heap_reader().context("read")?.index();
        let bytes = heap.in_use(View::LastGc, index).bytes;
        ensure!((100 << 20..400 << 20).contains(&bytes), "{release}: {bytes}");
        // The collector's numbers do not.
        let version = unknown.to_owned();
        ensure!(process.gc() == Err(NoGc::UnknownVersion { version }), "{release}");
    }
    Ok(())
}

/// Some allocation before `main` is always sampled: the test wipes the counters of its program to have none.
#[test]
fn an_unknown_version_that_has_counted_nothing_is_refused() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let known = toolchains::build("goproc-target", "go1.24.13", Form::Plain, directory.path())?;
    let executable = toolchains::relabelled(&known, "go1.24.13", "go1.99.13")?;
    let arguments = ["-rate", "1000000000000", "-objects", "0", "-static", "0"];
    let target = start(&executable, &arguments, &directory)?;
    let mut process = GoProcess::attach(target.pid())?;
    process.heap(&mut Vec::<Vec<u64>>::new())?;
    let reader = process.heap_reader().context("read")?;
    ensure!(
        reader.format() == Some(RecordFormat::ObjectsAndBytes),
        "{:?}",
        reader.format()
    );
    let index = reader.index();
    let memory = File::options()
        .write(true)
        .open(format!("/proc/{}/mem", target.pid()))?;
    for id in index.ids() {
        let record = index.address(id).context("address")? + 48 + 8 * index.depth(id).context("depth")? as u64;
        memory.write_all_at(&[0; 128], record)?;
    }
    let refusal = GoProcess::attach(target.pid())?.heap(&mut Vec::<Vec<u64>>::new());
    let version = "go1.99.13".to_owned();
    ensure!(
        refusal == Err(HeapError::UnknownLayout { version }.into()),
        "{refusal:?}"
    );
    Ok(())
}

#[test]
fn memory_that_contradicts_the_version_is_refused() -> Result<()> {
    let directory = tempfile::tempdir()?;
    for form in [Form::Plain, Form::Stripped] {
        for (release, pretended, expected, found) in [
            (
                "go1.27.3",
                "go1.24.3",
                RecordFormat::ObjectsAndBytes,
                RecordFormat::Objects,
            ),
            (
                "go1.24.13",
                "go1.27.13",
                RecordFormat::Objects,
                RecordFormat::ObjectsAndBytes,
            ),
        ] {
            let known = toolchains::build("goproc-target", release, form, directory.path())?;
            let executable = toolchains::relabelled(&known, release, pretended)?;
            let target = start(&executable, &["-objects", "200000"], &directory)?;
            let mut process = GoProcess::attach(target.pid())?;
            let refusal = process.heap(&mut Vec::<Vec<u64>>::new());
            let version = pretended.to_owned();
            let layout = HeapError::Layout {
                version,
                expected,
                found,
            };
            ensure!(refusal == Err(layout.into()), "{release} as {pretended}: {refusal:?}");
            let refusal = process.gc();
            ensure!(
                matches!(refusal, Err(NoGc::Gc(GcError::Contradiction { .. }) | NoGc::Locate(_))),
                "{release} as {pretended}: {refusal:?}"
            );
        }
    }
    Ok(())
}

#[test]
fn without_the_right_the_missing_capability_is_named() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let executable = toolchains::build("unprofiled", "go1.24.13", Form::Plain, directory.path())?;
    let target = start(&executable, &[], &directory)?;
    let pid = target.pid();
    // Capabilities belong to the thread.
    let refusal = std::thread::spawn(move || {
        let none = CapabilitySet::empty();
        let sets = CapabilitySets {
            effective: none,
            permitted: none,
            inheritable: none,
        };
        rustix::thread::set_capabilities(None, sets).map(|()| GoProcess::attach(pid))
    });
    let refusal = refusal.join().ok().context("the thread panicked")??;
    let refusal = refusal.err().context("attached without the right")?;
    ensure!(
        matches!(refusal, AttachError::Open(OpenError::Denied { .. })),
        "{refusal:?}"
    );
    ensure!(refusal.to_string().contains("CAP_SYS_PTRACE"), "{refusal}");
    Ok(())
}

#[test]
fn a_process_that_has_ended_is_gone_and_never_mistaken_for_another() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let executable = toolchains::build("goproc-target", "go1.24.13", Form::Plain, directory.path())?;
    let mut target = start(&executable, &[], &directory)?;
    let mut process = GoProcess::attach(target.pid())?;
    process.heap(&mut Vec::<Vec<u64>>::new())?;
    target.signal(Signal::KILL)?;
    target.wait(DEADLINE)?;
    ensure!(process.heap(&mut Vec::<Vec<u64>>::new()) == Err(HeapError::Gone.into()));
    ensure!(process.gc() == Err(GcError::Gone.into()));
    let again = GoProcess::attach(target.pid());
    ensure!(
        matches!(again, Err(AttachError::Open(OpenError::Gone { .. }))),
        "{again:?}"
    );
    Ok(())
}

#[test]
fn a_program_that_is_not_go_is_refused() {
    let mut child = Command::new("sleep").arg("60").spawn().unwrap();
    let refusal = GoProcess::attach(child.id());
    child.kill().unwrap();
    child.wait().unwrap();
    let refusal = refusal.unwrap_err();
    let reason = std::error::Error::source(&refusal).unwrap();
    assert_eq!(reason.to_string(), "not a Go program");
}

#[test]
fn a_list_that_the_program_has_destroyed_is_refused() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let executable = toolchains::build("goproc-target", "go1.27.3", Form::Plain, directory.path())?;
    let target = start(&executable, &["-rate", "1", "-stacks", "100"], &directory)?;
    let mut process = GoProcess::attach(target.pid())?;
    process.heap(&mut Vec::<Vec<u64>>::new())?;
    let index = process.heap_reader().context("read")?.index();
    let address = index.ids().nth(50).and_then(|id| index.address(id)).context("bucket")?;
    // The program does it to itself; here the test does, in the program that it has started.
    let memory = File::options()
        .write(true)
        .open(format!("/proc/{}/mem", target.pid()))?;
    memory.write_all_at(&address.to_le_bytes(), address + 8)?;
    let refusal = GoProcess::attach(target.pid())?.heap(&mut Vec::<Vec<u64>>::new());
    ensure!(refusal == Err(HeapError::Loop { address }.into()), "{refusal:?}");
    Ok(())
}
