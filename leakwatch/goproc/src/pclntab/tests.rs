//! A table whose every answer is known, and the same table damaged.

use super::*;
use crate::pclntab::sample;
use proptest::prelude::*;

fn frame(function: &str, file: &str, line: u32) -> Frame {
    Frame {
        function: function.to_owned(),
        file: file.to_owned(),
        line,
    }
}

#[test]
fn functions_are_found_by_address_and_by_name() {
    let table = sample::table();
    for (name, entry, end) in [
        ("main.outer", sample::OUTER, sample::WRAPPER),
        ("main.wrapper", sample::WRAPPER, sample::SWITCH),
        ("runtime.goexit", sample::GOEXIT, sample::END),
    ] {
        let function = table.function_named(name).unwrap();
        assert_eq!((function.entry, function.end), (entry, end));
        assert_eq!(table.full_name(&function).as_deref(), Some(name));
        for pc in [entry, end - 1] {
            assert_eq!(table.function_at(pc), Some(function));
        }
    }
    assert_eq!(table.functions().count(), 4);
    for pc in [0, sample::TEXT - 1, sample::END, u64::MAX] {
        assert_eq!(table.function_at(pc), None);
    }
    // A name that no function has, one that is only inlined, parts of names.
    for name in ["main.other", "main.inner[go.shape.int]", "main.out", "outer", ""] {
        assert_eq!(table.function_named(name), None, "{name}");
    }
}

#[test]
fn inlined_calls_are_expanded() {
    let table = sample::table();
    let inner = frame("main.inner[...]", "/src/inner.go", 300);
    let outer = |line| frame("main.outer", "/src/outer.go", line);
    assert_eq!(table.frames(sample::OUTER + 15), [outer(10)]);
    assert_eq!(table.frames(sample::OUTER + 16), [inner.clone(), outer(10)]);
    assert_eq!(table.frames(sample::OUTER + 47), [inner, outer(10)]);
    assert_eq!(table.frames(sample::OUTER + 48), [outer(12)]);
    assert_eq!(table.frames(sample::END), []);
    let without = Pclntab::parse(sample::bytes(), sample::TEXT).unwrap();
    assert_eq!(
        without.frames(sample::OUTER + 16),
        [frame("main.outer", "/src/inner.go", 300)]
    );
}

#[test]
fn depth_flags_and_numbers_are_read() {
    let table = sample::table();
    let outer = table.function_named("main.outer").unwrap();
    assert_eq!(table.stack_depth(&outer, sample::OUTER + 3), Some(0));
    assert_eq!(table.stack_depth(&outer, sample::OUTER + 4), Some(24));
    assert_eq!(table.stack_depth(&outer, sample::WRAPPER), None);
    assert!(!outer.is_top_frame() && !outer.writes_sp());
    assert!(table.function_named("runtime.goexit").unwrap().is_top_frame());
    assert!(table.function_named("runtime.systemstack_switch").unwrap().writes_sp());
    let ids = FunctionIds::of(&table);
    assert_eq!(ids.wrapper, Some(24));
    assert!(ids.is_elided(24, 0) && !ids.is_elided(0, 0));
}

#[test]
fn tables_that_are_none_are_refused() {
    let parse = |bytes: &[u8]| Pclntab::parse(bytes.to_vec(), 0).map(|_| ());
    let with = |at: usize, value: u8| {
        let mut bytes = sample::bytes();
        bytes[at] = value;
        parse(&bytes)
    };
    assert_eq!(parse(&[]), Err(PclntabError::TooShort { bytes: 0 }));
    assert_eq!(parse(&sample::bytes()[..40]), Err(PclntabError::TooShort { bytes: 40 }));
    assert!(matches!(with(0, 0xf2), Err(PclntabError::Magic { .. })));
    assert!(matches!(with(6, 2), Err(PclntabError::Architecture { quantum: 2, .. })));
    assert!(matches!(with(7, 4), Err(PclntabError::Architecture { pointer: 4, .. })));
    assert!(matches!(with(15, 1), Err(PclntabError::Functions { .. })));
    assert!(matches!(with(8, 0), Err(PclntabError::Functions { functions: 0 })));
    assert!(matches!(
        with(39, 1),
        Err(PclntabError::Table {
            table: "function names",
            ..
        })
    ));
    assert!(matches!(with(65, 0xff), Err(PclntabError::Table { .. })));
}

#[test]
fn the_table_is_found_among_other_bytes() {
    for before in [0, 8, 4096] {
        let mut bytes = vec![0xff; before];
        bytes.extend(sample::bytes());
        assert_eq!(find(&bytes), Some(before));
    }
    // Where no table can lie, and where only its first bytes are.
    assert_eq!(find(&[&[0; 4][..], &sample::bytes()].concat()), None);
    assert_eq!(find(&[0xf1, 0xff, 0xff, 0xff, 0, 0, 1, 8]), None);
}

/// The fuzzers start from this table.
#[test]
fn the_seed_of_the_fuzzers_is_this_table() {
    let seed = include_bytes!("../../../../fuzz/corpus/pclntab/four-functions");
    assert_eq!(seed[..], [sample::bytes(), sample::inline_trees()].concat());
}

/// Asks everything there is to ask.
fn ask(table: &Pclntab<Vec<u8>>) {
    let ids = FunctionIds::of(table);
    for function in table.functions().take(100) {
        assert!(function.entry < function.end);
        assert!(table.full_name(&function).is_none_or(|name| !name.contains('\0')));
        for pc in [function.entry, function.entry + 20, function.end - 1] {
            let calls = table.calls(&function, pc);
            assert!((1..=257).contains(&calls.len()));
            assert!(
                calls
                    .iter()
                    .all(|call| !ids.is_elided(call.id, call.id) || ids.wrapper == Some(call.id))
            );
            table.stack_depth(&function, pc);
            table.frames(pc);
        }
    }
    for pc in sample::TEXT - 2..sample::END + 2 {
        if let Some(function) = table.function_at(pc) {
            assert!(function.contains(pc));
        }
    }
}

proptest! {
    /// A damaged table answers something or nothing, soon.
    #[test]
    fn damage_is_survived(
        changes in proptest::collection::vec((0_usize..1000, any::<u8>()), 1..8),
        tree in proptest::collection::vec(any::<u8>(), 0..40),
        length in 72_usize..1000,
        text in prop_oneof![Just(sample::TEXT), any::<u64>()],
    ) {
        let mut bytes = sample::bytes();
        for (at, value) in changes {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        bytes.truncate(length);
        find(&bytes);
        if let Ok(table) = Pclntab::parse(bytes, text) {
            ask(&table.with_inline_trees(tree));
        }
    }

    /// Bytes that are no table at all.
    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        find(&bytes);
        let header = [0xf0, 0xff, 0xff, 0xff, 0, 0, 1, 8];
        for bytes in [bytes.clone(), [&header[..], &bytes].concat()] {
            if let Ok(table) = Pclntab::parse(bytes, sample::TEXT) {
                ask(&table);
            }
        }
    }
}
