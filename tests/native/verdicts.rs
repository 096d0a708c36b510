//! Programs on several allocators that leak and one that does not, under an untouched daemon with default settings: the verdict names the
//! leaking function with file and line, without a question asked.

use crate::programs::compile_with;
use leakwatch_test_support::cgroup::Cgroup;
use leakwatch_test_support::daemon::Daemon;
use leakwatch_test_support::daemon::Options;
use leakwatch_test_support::daemon::text;
use leakwatch_test_support::process::Running;
use leakwatch_test_support::programs::marked_line;
use leakwatch_test_support::wait::wait_until;
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_mins(5);

/// A program, and the function that leaks in it.
struct Case {
    name: &'static str,
    compiler: &'static str,
    source: &'static str,
    flags: &'static [&'static str],
    culprit: Option<&'static str>,
}

const CASES: [Case; 4] = [
    Case {
        name: "glibc",
        compiler: "cc",
        source: "leak.c",
        flags: &[],
        culprit: Some("remember"),
    },
    Case {
        name: "static",
        compiler: "cc",
        source: "leak.c",
        flags: &["-static"],
        culprit: Some("remember"),
    },
    Case {
        name: "operator-new",
        compiler: "c++",
        source: "leak.cc",
        flags: &[],
        culprit: Some("Ledger::record(unsigned long)"),
    },
    Case {
        name: "bounded",
        compiler: "cc",
        source: "bounded.c",
        flags: &[],
        culprit: None,
    },
];

#[test]
fn leaks_are_called_by_name_without_a_question_asked() {
    let directory = tempfile::tempdir().unwrap();
    let root = Cgroup::create("native").unwrap();
    let mut running = Vec::new();
    for case in &CASES {
        let executable = compile_with(case.compiler, case.source, case.name, case.flags, directory.path()).unwrap();
        let cgroup = root.child(case.name, None).unwrap();
        let log = directory.path().join(format!("{}.log", case.name));
        let program = Running::start_in::<&str>(&cgroup, &executable, [], &log).unwrap();
        running.push((case, cgroup, program));
    }
    let daemon = Daemon::start(&Options {
        executable: Path::new(env!("CARGO_BIN_EXE_leakwatch")),
        only: root.path(),
        interval_seconds: 2,
        config: "",
        arguments: &[],
    })
    .unwrap();
    for (case, cgroup, _) in &running {
        let target = daemon.wait_target(cgroup.path()).unwrap();
        let Some(function) = case.culprit else { continue };
        let verdict = wait_until(&format!("the verdict of {}", case.name), DEADLINE, || {
            Ok(leak(&daemon, &target))
        })
        .unwrap();
        assert_eq!(text(&verdict, "class"), "native_leak", "{}: {verdict}", case.name);
        let culprit = verdict.get("culprit").unwrap();
        assert_eq!(text(culprit, "function"), function, "{}: {culprit}", case.name);
        assert!(text(culprit, "file").ends_with(case.source), "{}: {culprit}", case.name);
        let line = marked_line("native", case.source, "leak").unwrap();
        assert_eq!(culprit.get("line").and_then(Value::as_u64), Some(line), "{}", case.name);
    }
    // The cache without a leak was watched as long as it took to judge the others.
    for (case, cgroup, _) in running.iter().filter(|(case, ..)| case.culprit.is_none()) {
        let target = daemon.wait_target(cgroup.path()).unwrap();
        assert!(leak(&daemon, &target).is_none(), "{}", case.name);
    }
}

/// The verdict, when it is a leak; before the first round there is none.
fn leak(daemon: &Daemon, target: &str) -> Option<Value> {
    let investigation = daemon.investigation(target).ok()?;
    let verdict = investigation.get("verdict").cloned()?;
    text(&verdict, "class").ends_with("_leak").then_some(verdict)
}
