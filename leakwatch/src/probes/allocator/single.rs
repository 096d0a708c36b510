//! The way of attaching that every kernel has: a probe for each entry and one for each return.

use crate::probes::load;
use aya::Ebpf;
use aya::programs::ProgramError;
use aya::programs::UProbe;
use aya::programs::uprobe::UProbeAttachLocation;
use aya::programs::uprobe::UProbeLinkId;
use aya::programs::uprobe::UProbeScope;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::Reading;
use leakwatch_nativeproc::allocator::ProbePoint;
use leakwatch_nativeproc::function::Signature;
use std::num::NonZeroU32;
use std::thread;

/// A program and where it is attached.
pub(super) type SingleLink = (&'static str, UProbeLinkId);

/// The program of a function that frees.
const fn release_of(point: &ProbePoint) -> &'static str {
    if point.placement.moved {
        "release_second"
    } else {
        "release"
    }
}

/// Attaches everything.
pub(super) fn attach(ebpf: &mut Ebpf, pid: NonZeroU32, points: &[ProbePoint]) -> Reading<Vec<SingleLink>> {
    let mut links = Vec::new();
    for (name, point) in in_order(points) {
        let program: &mut UProbe = load::program(ebpf, name)?;
        if program.fd().is_err() {
            load::retrying(|| program.load())?;
        }
        let location = UProbeAttachLocation::AbsoluteOffset(point.file_offset);
        let link = program
            .attach(location, &point.link, UProbeScope::OneProcess(pid))
            .map_err(|error| at(point, &error))?;
        links.push((name, link));
    }
    Ok(links)
}

/// Detaches, entries of allocating functions first.
pub(super) fn detach(ebpf: &mut Ebpf, links: Vec<SingleLink>) {
    let (entries, others): (Vec<_>, Vec<_>) = links.into_iter().partition(|(name, _)| name.starts_with("enter"));
    detach_at_once(ebpf, entries);
    detach_at_once(ebpf, others);
}

/// The kernel lets every detach wait until no processor runs the probe: they wait at the same time.
fn detach_at_once(ebpf: &mut Ebpf, links: Vec<SingleLink>) {
    let owned: Vec<_> = links
        .into_iter()
        .filter_map(|(name, link)| {
            let program: Reading<&mut UProbe> = load::program(ebpf, name);
            program.ok()?.take_link(link).ok()
        })
        .collect();
    thread::scope(|scope| {
        for link in owned {
            // Where no thread can be had it is dropped right here.
            drop(thread::Builder::new().spawn_scoped(scope, move || drop(link)));
        }
    });
}

/// Every program and its function in the order of attaching: what frees before what allocates, returns before entries, and what
/// frees and allocates before what only allocates. So nothing is ever allocated whose end would not be seen.
fn in_order(points: &[ProbePoint]) -> Vec<(&'static str, &ProbePoint)> {
    let of = |wanted: fn(Signature) -> bool| points.iter().filter(move |point| wanted(point.signature));
    let moves = |signature| matches!(signature, Signature::OldSize | Signature::OldProduct);
    let releases = of(|signature| signature == Signature::Release).map(|point| (release_of(point), point));
    let returns = of(|signature| signature != Signature::Release).map(|point| ("leave", point));
    let mut entries: Vec<&ProbePoint> = of(|signature| signature != Signature::Release).collect();
    entries.sort_by_key(|point| !moves(point.signature));
    let entries = entries.into_iter().map(|point| (program_of(point), point));
    releases.chain(returns).chain(entries).collect()
}

const fn program_of(point: &ProbePoint) -> &'static str {
    match point.signature {
        Signature::Size if point.placement.moved => "enter_second",
        Signature::Size => "enter_size",
        Signature::Product => "enter_product",
        Signature::Second => "enter_second",
        Signature::Result => "enter_result",
        Signature::OldSize => "enter_old_size",
        Signature::OldProduct => "enter_old_product",
        Signature::Release => release_of(point),
    }
}

fn at(point: &ProbePoint, error: &ProgramError) -> Missing {
    let mut missing = load::refused(error);
    missing.detail = format!("{} in {}: {}", point.symbol, point.path, missing.detail);
    missing
}
