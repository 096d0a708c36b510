//! Any bytes as a function table with inline trees: every question has an answer or none, without a panic.
#![no_main]

use leakwatch_goproc::pclntab::FunctionIds;
use leakwatch_goproc::pclntab::Pclntab;
use leakwatch_goproc::pclntab::find;
use libfuzzer_sys::fuzz_target;

const TEXT: u64 = 0x40_1000;

fuzz_target!(|bytes: &[u8]| {
    if let Some(offset) = find(bytes) {
        assert!(Pclntab::parse(&bytes[offset..], TEXT).is_ok());
    }
    // The trees come last in the seeds; wherever they are read, they are other bytes of the same input.
    let trees = &bytes[bytes.len().saturating_sub(16)..];
    let Ok(table) = Pclntab::parse(bytes, TEXT).map(|table| table.with_inline_trees(trees)) else { return };
    let ids = FunctionIds::of(&table);
    for function in table.functions().take(64) {
        assert!(function.entry < function.end);
        for pc in [function.entry, function.entry.midpoint(function.end), function.end - 1] {
            assert!(function.contains(pc));
            let calls = table.calls(&function, pc);
            assert_eq!(calls.first(), Some(&table.innermost(&function, pc)));
            assert!(calls.last().is_some_and(|call| !call.inlined && call.id == function.id));
            for call in &calls {
                assert!(!table.frame(&function, call).function.contains('\0'));
                ids.is_elided(call.id, function.id);
            }
            table.stack_depth(&function, pc);
        }
    }
    for pc in TEXT - 1..TEXT + 256 {
        if let Some(function) = table.function_at(pc) {
            assert!(function.contains(pc));
        }
    }
});
