//! With every call taken, the totals of each stack are the program's own.

use crate::programs::Program;
use crate::programs::Truth;
use crate::programs::alone;
use crate::programs::compile;
use crate::programs::counted;
use leakwatch::capture::session::Session;
use leakwatch::native::symbols::Symbols;
use leakwatch::probes::native::Programs;

#[test]
fn a_million_pairs_from_200_stacks_are_counted_exactly() {
    pairs_are_counted_exactly(Programs::Best, "1000000");
}

#[test]
fn they_are_where_the_kernel_has_no_sessions() {
    pairs_are_counted_exactly(Programs::Single, "200000");
}

#[expect(clippy::unwrap_used, clippy::print_stdout, reason = "called by tests only")]
fn pairs_are_counted_exactly(programs: Programs, pairs: &str) {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let executable = compile("pairs", directory.path()).unwrap();
    let program = Program::start(&executable, &[pairs, "1"], directory.path()).unwrap();
    let mut session = Session::start_with(program.pid(), 1, programs).unwrap();
    let truth = program.run(|| session.poll()).unwrap();
    session.detach();
    let rows = session.rows();
    println!(
        "{:?}: {:?} ns for a pair, {:?}",
        session.way(),
        program.price(),
        session.counts()
    );
    assert_eq!(session.losses(), []);
    assert_eq!(truth.len(), 200);
    assert_eq!(
        truth.iter().map(|truth| truth.alloc_objects).sum::<i64>().to_string(),
        pairs
    );

    let mut symbols = Symbols::of_process(program.pid());
    let mut counted = counted(&rows, &mut symbols);
    let by_name = |truth: &Truth| truth.function.clone();
    let mut truth = truth;
    truth.sort_by_key(by_name);
    counted.sort_by_key(by_name);
    assert_eq!(counted, truth);
}
