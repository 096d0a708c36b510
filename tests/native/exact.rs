//! With every call taken, the totals of each stack are the program's own.

use crate::programs::Program;
use crate::programs::Truth;
use crate::programs::compile;
use leakwatch::capture::session::Session;
use leakwatch::native::profile::StackRow;
use leakwatch::native::symbols::Symbols;

/// The function that called the allocator, and the one that called it.
fn callers(row: &StackRow, symbols: &mut Symbols) -> Vec<String> {
    let addresses = row.addresses.iter().take(2);
    addresses
        .filter_map(|address| Some(symbols.frames(*address).first()?.function.to_string()))
        .collect()
}

#[test]
fn a_million_pairs_from_200_stacks_are_counted_exactly() {
    let directory = tempfile::tempdir().unwrap();
    let executable = compile("pairs", &[], directory.path()).unwrap();
    let program = Program::start(&executable, &["1000000", "1"], directory.path()).unwrap();
    let mut session = Session::start(program.pid(), 1).unwrap();
    let truth = program.run(|| session.poll()).unwrap();
    session.detach();
    let rows = session.rows();
    println!("losses {:?}, counts {:?}", session.losses(), session.counts());
    assert_eq!(session.losses(), []);
    assert_eq!(truth.len(), 200);
    assert_eq!(truth.iter().map(|truth| truth.alloc_objects).sum::<i64>(), 1_000_000);

    let mut symbols = Symbols::of_process(program.pid());
    let mut counted: Vec<Truth> = Vec::new();
    for row in &rows {
        let callers = callers(row, &mut symbols);
        let [function, caller] = callers.as_slice() else {
            panic!("a stack of {row:?}: {callers:?}");
        };
        if function.starts_with("from_") {
            assert_eq!(caller, "main");
            assert!(symbols.frames(row.addresses[0])[0].file.ends_with("pairs.c"));
            counted.push(Truth {
                function: function.clone(),
                alloc_objects: row.value.alloc_objects,
                alloc_space: row.value.alloc_space,
                inuse_objects: row.value.inuse_objects,
                inuse_space: row.value.inuse_space,
            });
        }
    }
    let by_name = |truth: &Truth| truth.function.clone();
    let mut truth = truth;
    truth.sort_by_key(by_name);
    counted.sort_by_key(by_name);
    assert_eq!(counted, truth);
}
