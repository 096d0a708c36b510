//! The lines add up to the charge, whatever the kernel counts.

use super::*;
use crate::model::counter::CgroupVersion;
use crate::model::counter::Counters;
use crate::model::sample::Limit;

const BASE: [(Counter, u64); 5] = [
    (Counter::Anon, 500),
    (Counter::ActiveFile, 20),
    (Counter::InactiveFile, 30),
    (Counter::Shmem, 40),
    (Counter::Kernel, 100),
];

#[expect(clippy::unnecessary_wraps, reason = "a reading, as the fields want it")]
fn memory(version: CgroupVersion, values: &[(Counter, u64)]) -> Reading<CgroupMemory> {
    Ok(CgroupMemory {
        charge: Bytes(1000),
        limit: Limit::Max,
        counters: Counters::new(Some(version), values.iter().copied()),
    })
}

fn size(ledger: &Ledger, kind: LineKind) -> Option<u64> {
    let line = ledger.lines.iter().find(|line| line.kind == kind)?;
    line.bytes.as_ref().ok().map(|bytes| bytes.0)
}

#[test]
fn what_the_kernel_does_not_count_is_in_the_residual() {
    let more = |counter, value| [BASE.as_slice(), &[(counter, value)]].concat();
    for (version, values, residual) in [
        (CgroupVersion::V1, BASE.to_vec(), Some(310)),
        (CgroupVersion::V2, BASE.to_vec(), Some(310)),
        (CgroupVersion::V2, more(Counter::Sock, 10), Some(300)),
        (CgroupVersion::V2, more(Counter::Hugetlb, 400), Some(-90)),
        // A part of the kernel's memory changes nothing.
        (CgroupVersion::V2, more(Counter::Slab, 60), Some(310)),
        (CgroupVersion::V2, BASE[1..].to_vec(), None),
    ] {
        let ledger = Ledger::of_sample(&memory(version, &values));
        assert_eq!(ledger.residual(), residual, "{values:?}");
        for line in &ledger.lines {
            let counted = line.part_of == PartOf::Charge && line.bytes.is_ok();
            assert!(
                counted || residual.is_none() || line.part_of != PartOf::Charge,
                "{line:?}"
            );
        }
    }
}

#[test]
fn the_kernels_memory_is_split_as_far_as_it_is_counted() {
    let parts = [
        (Counter::Slab, 60),
        (Counter::PageTables, 10),
        (Counter::KernelStack, 5),
    ];
    let ledger = Ledger::of_sample(&memory(CgroupVersion::V2, &[BASE.as_slice(), &parts].concat()));
    assert_eq!(size(&ledger, LineKind::Slab), Some(60));
    assert_eq!(size(&ledger, LineKind::KernelOther), Some(25));
    let before_5_18 = Ledger::of_sample(&memory(CgroupVersion::V2, &[&BASE[..4], &parts].concat()));
    assert_eq!(size(&before_5_18, LineKind::Kernel), Some(75));
    assert_eq!(before_5_18.residual(), Some(335));
    let v1 = Ledger::of_sample(&memory(CgroupVersion::V1, &BASE));
    assert_eq!(
        (size(&v1, LineKind::Slab), size(&v1, LineKind::KernelOther)),
        (None, None)
    );
    let absent = Ledger::of_sample(&Err(Missing::new(MissingReason::Gone, "it is gone")));
    assert!(absent.lines.iter().all(|line| line.bytes.is_err()));
    assert_eq!(absent.residual(), None);
}
