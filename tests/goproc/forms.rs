//! Executables as they are seldom built: without section headers, linked with C, not optimised, static and position-independent.
//! And the advice for those that do not profile.

use crate::heap::Target;
use crate::oracle;
use crate::stacks;
use anyhow::Context as _;
use anyhow::Result;
use anyhow::ensure;
use leakwatch_goproc::attach::GoProcess;
use leakwatch_goproc::attach::NoHeap;
use leakwatch_goproc::heap::View;
use leakwatch_test_support::process::Running;
use leakwatch_test_support::programs;
use leakwatch_test_support::toolchains;
use leakwatch_test_support::toolchains::Form;
use leakwatch_test_support::wait::wait_until;
use std::process::Command;
use std::time::Duration;

#[test]
fn unusual_executables_are_read_like_others() -> Result<()> {
    let directory = tempfile::tempdir()?;
    for release in toolchains::newest_or_all() {
        for form in [Form::Headerless, Form::Cgo, Form::Unoptimised, Form::StaticPie] {
            let executable = toolchains::build("goproc-target", release, form, directory.path())?;
            let arguments = ["-rate", "1", "-stacks", "3000", "-depth", "900"];
            let target = Target::start(&executable, &arguments, "off", &directory.path().join("log"))?;
            let mut process = GoProcess::attach(target.process.pid())?;
            let what = format!("{release} {form:?}: {:?}", process.heap_variables());
            let buckets = oracle::compare(&target.client, &mut process).context(what.clone())?;
            ensure!(buckets >= 3000, "{what}: {buckets} buckets");
            let goroutines = stacks::compare(&target.client, &mut process).context(what.clone())?;
            let numbers = process.gc().context(what)?;
            eprintln!(
                "{release} {form:?}: {buckets} buckets and {} goroutines equal, {} collections",
                goroutines.values().sum::<u64>(),
                numbers.collections
            );
        }
    }
    Ok(())
}

/// What the reason for a missing heap profile advises makes it appear.
#[test]
fn the_advised_line_makes_the_heap_readable() -> Result<()> {
    let directory = tempfile::tempdir()?;
    for release in toolchains::releases() {
        ensure!(
            NoHeap::NotLinked.to_string().contains(programs::ADVISED),
            "{}",
            NoHeap::NotLinked
        );
        let folder = programs::without_endpoint("unprofiled", directory.path())?;
        let executable = toolchains::build_folder(&folder, release, Form::Stripped, directory.path())?;
        let process = Running::start(Command::new(executable), &directory.path().join("log"))?;
        wait_until("the program to be ready", Duration::from_mins(3), || {
            Ok(process.output().contains("ready").then_some(()))
        })?;
        let mut process = GoProcess::attach(process.pid())?;
        let snapshot = process
            .heap(&mut Vec::<Vec<u64>>::new())
            .with_context(|| format!("{release}, advised"))?;
        let index = process.heap_reader().context("read")?.index();
        let bytes = snapshot.in_use(View::Now, index).bytes;
        ensure!(bytes > 16 << 20, "{release}: {bytes}");
    }
    Ok(())
}
