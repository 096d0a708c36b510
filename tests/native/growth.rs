//! What a growth capture says is left of the address space is what the program, and `/proc/PID/smaps_rollup`, say is left.

use crate::programs::Program;
use crate::programs::alone;
use crate::programs::compile;
use leakwatch::capture::growth::GrowthSession;
use leakwatch::capture::lane::Observer;
use leakwatch::native::profile::StackRow;
use leakwatch_analysis::profile::StackValue;
use std::collections::BTreeMap;
use std::fs;

const PERIOD: u64 = 7;

/// Adds up the rows by the first function in their stacks that says what it maps.
fn by_function(session: &mut GrowthSession, rows: &[StackRow]) -> BTreeMap<String, StackValue> {
    let mut sums: BTreeMap<String, StackValue> = BTreeMap::new();
    for row in rows {
        let named = row.addresses.iter().find_map(|address| {
            let frames = session.symbols().frames(*address);
            let found = frames.iter().find(|frame| frame.function.starts_with("from_"))?;
            Some(found.function.to_string())
        });
        sums.entry(named.unwrap_or_default()).or_default().add(&row.value);
    }
    sums
}

/// Anonymous memory of a process in bytes, by the kernel.
fn anonymous(pid: u32) -> f64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Anonymous:")).unwrap();
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kib * 1024.0
}

#[test]
#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn what_is_left_is_what_the_program_and_the_kernel_say() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let executable = compile("regions", directory.path()).unwrap();
    let program = Program::start(&executable, &[], directory.path()).unwrap();
    let before = anonymous(program.pid());
    let mut session = GrowthSession::start(program.pid(), PERIOD).unwrap();
    let truth = program.run(|| session.poll()).unwrap();
    let after = anonymous(program.pid());
    session.detach();
    println!("{:?}", session.counts());
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
    let rows = session.mapped();
    let mapped = by_function(&mut session, &rows);
    let rows = session.touched();
    let touched = by_function(&mut session, &rows);
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
