//! What a growth capture says is left of the address space is what the program, and `/proc/PID/smaps_rollup`, say is left; and the daemon
//! finds by it what the calls of an allocator do not tell.

use crate::programs::Program;
use crate::programs::alone;
use crate::programs::compile;
use crate::programs::compile_with;
use leakwatch::capture::lanes::Observer;
use leakwatch::capture::lanes::growth::GrowthSession;
use leakwatch::capture::symbolize::profile::StackRow;
use leakwatch::probes::faults::CallsAt;
use leakwatch_analysis::model::profile::StackValue;
use leakwatch_nativeproc::symbols::Symbols;
use leakwatch_test_support::cgroup::Cgroup;
use leakwatch_test_support::daemon::Daemon;
use leakwatch_test_support::daemon::Options;
use leakwatch_test_support::daemon::text;
use leakwatch_test_support::process::Running;
use leakwatch_test_support::programs::marked_line;
use leakwatch_test_support::wait::wait_until;
use object::Object as _;
use object::ObjectSymbol as _;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const PERIOD: u64 = 7;
const DEADLINE: Duration = Duration::from_mins(15);

/// Adds up the rows by the first function in their stacks that says what it maps.
fn by_function(symbols: &mut Symbols, rows: &[StackRow]) -> BTreeMap<String, StackValue> {
    let mut sums: BTreeMap<String, StackValue> = BTreeMap::new();
    for row in rows {
        let named = row.addresses.iter().find_map(|address| {
            let frames = symbols.frames(*address);
            let found = frames.iter().find(|frame| frame.function.starts_with("from_"))?;
            Some(found.function.to_string())
        });
        sums.entry(named.unwrap_or_default()).or_default().add(&row.value);
    }
    sums
}

/// Anonymous memory of a process in bytes, by the kernel.
fn anonymous(pid: u32) -> Option<f64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Anonymous:"))?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kib * 1024.0)
}

#[test]
fn what_is_left_is_what_the_program_and_the_kernel_say() {
    check_what_is_left(&[CallsAt::Functions, CallsAt::Tracepoints]);
}

#[test]
fn it_is_where_system_calls_are_seen_at_their_tracepoints() {
    check_what_is_left(&[CallsAt::Tracepoints]);
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
#[expect(clippy::unwrap_used, reason = "called by tests only")]
#[expect(clippy::print_stdout, reason = "shown with a failure")]
fn check_what_is_left(ways: &[CallsAt]) {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let executable = compile("regions", directory.path()).unwrap();
    let program = Program::start(&executable, &[], directory.path()).unwrap();
    let before = anonymous(program.pid()).unwrap();
    let mut session = GrowthSession::start_at(program.pid(), PERIOD, ways).unwrap();
    assert!(ways.contains(&session.calls_at()));
    let truth = program.run(|| session.poll()).unwrap();
    let after = anonymous(program.pid()).unwrap();
    session.detach();
    println!("{:?}, {:?}", session.calls_at(), session.counts());
    assert_eq!(Observer::losses(&session), []);

    let weight = session.weight() as f64;
    // Four standard deviations, as if the samples were taken by chance; taken evenly they are better.
    let close = |name: &str, estimate: i64, truth: f64| {
        let away = (estimate as f64 - truth).abs();
        assert!(
            away <= 4.0 * (truth.max(weight) * weight).sqrt(),
            "{name}: {estimate} instead of {truth}"
        );
    };
    let mut symbols = Symbols::of_process(program.pid());
    let rows = session.mapped();
    let mapped = by_function(&mut symbols, &rows);
    let rows = session.touched();
    let touched = by_function(&mut symbols, &rows);
    for truth in &truth {
        let name = truth.function.as_str();
        let value = mapped.get(name).copied().unwrap_or_default();
        println!("{name}: {value:?}");
        if name == "from_heap" {
            assert_eq!(value, StackValue::default(), "the heap is no mapping");
        } else {
            assert_eq!(value.alloc_objects, truth.alloc_objects, "{name}");
            assert_eq!(value.inuse_objects, truth.inuse_objects, "{name}");
            close(name, value.inuse_space, truth.inuse_space as f64);
            close(name, value.alloc_space, truth.alloc_space as f64);
        }
        let value = touched.get(name).copied().unwrap_or_default();
        close(name, value.inuse_space, truth.inuse_space as f64);
        close(name, value.alloc_space, truth.alloc_space as f64);
    }
    let total: i64 = rows.iter().map(|row| row.value.inuse_space).sum();
    println!("{total} estimated, {} by the kernel", after - before);
    close("all", total, after - before);
}

/// The verdict, when it is a leak; before the first round there is none.
fn leak(daemon: &Daemon, target: &str) -> Option<Value> {
    let verdict = daemon.investigation(target).ok()?.get("verdict").cloned()?;
    // One run of one program cannot be told from a cache: then its place is told all the same.
    let is_told = text(&verdict, "class").ends_with("_leak") || text(&verdict, "class") == "growing";
    let has_culprit = verdict.get("culprit").is_some_and(|culprit| !culprit.is_null());
    (is_told && has_culprit).then_some(verdict)
}

/// Address and size of a function, by its symbol.
fn function(executable: &Path, name: &str) -> Option<Range<u64>> {
    let data = fs::read(executable).ok()?;
    let elf = object::File::parse(&*data).ok()?;
    let symbol = elf.symbols().find(|symbol| symbol.name() == Ok(name))?;
    Some(symbol.address()..symbol.address() + symbol.size())
}

/// Programs whose allocator cannot be seen, and one that does not leak, under an untouched daemon with default settings.
#[test]
fn leaks_outside_of_an_allocator_are_called_by_name_without_a_question_asked() {
    let directory = tempfile::tempdir().unwrap();
    let root = Cgroup::create("growth").unwrap();
    let start = |name: &str, executable: &Path| {
        let cgroup = root.child(name, None).unwrap();
        let log = directory.path().join(format!("{name}.log"));
        let program = Running::start_in::<&str>(&cgroup, executable, [], &log).unwrap();
        (cgroup, program)
    };
    let mappings = compile("mappings", directory.path()).unwrap();
    let recycle = compile("recycle", directory.path()).unwrap();
    let bump = compile_with("cc", "bump.c", "bump", &["-static"], directory.path()).unwrap();
    let culprit_code = function(&bump, "remember").unwrap();
    let stripped = directory.path().join("stripped");
    let status = Command::new("strip").arg("-o").arg(&stripped).arg(&bump).status();
    assert!(status.unwrap().success());
    let leaking = start("mappings", &mappings);
    let unnamed = start("stripped", &stripped);
    let steady = start("recycle", &recycle);
    let busy = start("busy", &compile("busy", directory.path()).unwrap());
    let daemon = Daemon::start(&Options {
        executable: Path::new(env!("CARGO_BIN_EXE_leakwatch")),
        only: root.path(),
        interval_seconds: 2,
        config: "",
        arguments: &[],
    })
    .unwrap();
    let verdict_of = |cgroup: &Cgroup| {
        let target = daemon.wait_target(cgroup.path()).unwrap();
        wait_until("the verdict", DEADLINE, || Ok(leak(&daemon, &target))).unwrap()
    };

    // Maps and never unmaps: function, file and line.
    let verdict = verdict_of(&leaking.0);
    assert!(
        ["mapping_leak", "growing"].contains(&text(&verdict, "class")),
        "{verdict}"
    );
    let culprit = verdict.get("culprit").unwrap();
    assert_eq!(text(culprit, "function"), "open_session", "{culprit}");
    assert!(text(culprit, "file").ends_with("mappings.c"), "{culprit}");
    let line = marked_line("native", "mappings.c", "leak").unwrap();
    assert_eq!(culprit.get("line").and_then(Value::as_u64), Some(line), "{culprit}");

    // Without symbols: the function by its address, and why the calls of its allocator are not seen.
    let verdict = verdict_of(&unnamed.0);
    assert!(
        ["native_leak", "growing"].contains(&text(&verdict, "class")),
        "{verdict}"
    );
    let culprit = verdict.get("culprit").unwrap();
    assert_eq!(
        text(culprit, "function"),
        format!("{:#x}", culprit_code.start),
        "{culprit}"
    );
    let missing = verdict
        .pointer("/missing/native_profile/detail")
        .and_then(Value::as_str);
    assert!(missing.unwrap().contains("no symbols of an allocator"), "{verdict}");

    // One that allocates so often that its calls are looked at for moments only: who forgets to release, not who happens to touch new pages.
    let verdict = verdict_of(&busy.0);
    assert!(
        ["native_leak", "growing"].contains(&text(&verdict, "class")),
        "{verdict}"
    );
    let culprit = verdict.get("culprit").unwrap();
    assert_eq!(text(culprit, "function"), "remember", "{culprit}");
    let line = marked_line("native", "busy.c", "leak").unwrap();
    assert_eq!(culprit.get("line").and_then(Value::as_u64), Some(line), "{culprit}");

    // What was watched as long and only recycles.
    let target = daemon.wait_target(steady.0.path()).unwrap();
    assert!(leak(&daemon, &target).is_none());
}
