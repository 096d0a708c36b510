//! With every call taken, the totals of each stack are the program's own.

use crate::programs::Program;
use crate::programs::Truth;
use crate::programs::alone;
use crate::programs::compile;
use crate::programs::counted;
use leakwatch::capture::lanes::DutyCycle as _;
use leakwatch::capture::lanes::native::Session;
use leakwatch::probes::allocator::Programs;
use leakwatch_nativeproc::symbols::Symbols;

#[test]
fn a_million_pairs_from_200_stacks_are_counted_exactly() {
    all_is_counted_exactly(Programs::Best, "pairs", &["1000000", "1"], 200);
}

#[test]
fn they_are_where_the_kernel_has_no_sessions() {
    all_is_counted_exactly(Programs::Single, "pairs", &["200000", "1"], 200);
}

#[test]
fn every_kind_of_function_is_counted_exactly() {
    for programs in [Programs::Best, Programs::Single] {
        all_is_counted_exactly(programs, "kinds", &["3000"], 9);
    }
}

#[expect(clippy::unwrap_used, clippy::print_stdout, reason = "called by tests only")]
fn all_is_counted_exactly(programs: Programs, name: &str, arguments: &[&str], functions: usize) {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let executable = compile(name, directory.path()).unwrap();
    let program = Program::start(&executable, arguments, directory.path()).unwrap();
    let mut session = Session::start_with(program.pid(), 1, programs).unwrap();
    let truth = program.run(|| session.poll()).unwrap();
    session.detach();
    let rows = session.rows();
    println!(
        "{:?}: {:?} ns for a pair, {:?}",
        session.attach_mode(),
        program.nanoseconds_per_pair(),
        session.counts()
    );
    assert_eq!(session.losses(), []);
    assert_eq!(truth.len(), functions);

    let mut symbols = Symbols::of_process(program.pid());
    let mut counted = counted(&rows, &mut symbols);
    let by_name = |truth: &Truth| truth.function.clone();
    let mut truth = truth;
    truth.sort_by_key(by_name);
    counted.sort_by_key(by_name);
    assert_eq!(counted, truth);
}
