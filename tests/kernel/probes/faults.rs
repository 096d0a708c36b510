//! Mappings of this very process, as the probes of a growth capture tell them, in each way that the kernel has of seeing system calls.

use anyhow::Result;
use leakwatch::probes::faults::CallsAt;
use leakwatch::probes::faults::FaultProbes;
use leakwatch::probes::faults::FaultSettings;
use leakwatch_analysis::model::reading::Reading;
use leakwatch_nativeproc::address_space::change::Change;
use leakwatch_nativeproc::code::ProgramCode;
use std::fs;
use std::fs::File;
use std::hint::black_box;
use std::io::ErrorKind;

/// More than any allocator has in stock: mapped, moved and unmapped by itself.
const BYTES: usize = 64 << 20;

/// Before it, programs are not told the registers of user mode.
fn is_older_than_5_15() -> Result<bool> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let mut numbers = release.split('.').map(|number| number.parse().unwrap_or(0));
    Ok((numbers.next(), numbers.next()) < (Some(5), Some(15)))
}

/// Whether the kernel lets nobody, root included, put anything at its functions.
fn is_locked_down() -> bool {
    let functions = File::open("/sys/kernel/tracing/available_filter_functions");
    functions.is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
}

pub(super) fn start(way: CallsAt) -> Reading<FaultProbes> {
    let settings = FaultSettings {
        period: 1_021,
        code: ProgramCode::default(),
    };
    FaultProbes::attach(std::process::id(), &settings, &[way])
}

fn check(way: CallsAt) -> Result<()> {
    let mut probes = match start(way) {
        Ok(probes) => probes,
        Err(missing) => {
            let allowed = is_older_than_5_15()? || (way == CallsAt::Functions && is_locked_down());
            anyhow::ensure!(allowed, "{missing:?}");
            return Ok(());
        }
    };
    let address = |block: &Vec<u8>| block.as_ptr() as usize as u64;
    let mut block: Vec<u8> = black_box(Vec::with_capacity(BYTES));
    let first = address(&block);
    block.reserve_exact(2 * BYTES);
    let second = address(black_box(&block));
    drop(block);

    let mut changes = Vec::new();
    probes.drain_changes(|change| changes.push(change));
    let holds = |range: (u64, u64), address: u64, bytes: usize| {
        (range.0..range.0 + range.1).contains(&address) && range.1 >= bytes as u64 && range.1 < 2 * bytes as u64
    };
    let mut seen = changes.iter();
    let mapped = seen.any(|change| matches!(change, Change::Map { range, .. } if holds(*range, first, BYTES)));
    let moved = seen.any(|change| {
        matches!(change, Change::Move { from, to } if holds(*from, first, BYTES) && holds(*to, second, 2 * BYTES))
    });
    let unmapped = seen.any(|change| matches!(change, Change::Unmap { range } if holds(*range, second, 2 * BYTES)));
    anyhow::ensure!(
        mapped && moved && unmapped,
        "{way:?}: {first:#x} {second:#x} {changes:x?}"
    );
    anyhow::ensure!(probes.losses().is_empty(), "{:?}", probes.losses());
    Ok(())
}

#[test]
fn mappings_are_told_at_the_functions_of_system_calls() -> Result<()> {
    check(CallsAt::Functions)
}

#[test]
fn mappings_are_told_at_the_tracepoints_of_system_calls() -> Result<()> {
    check(CallsAt::Tracepoints)
}
