//! The probes on what a program's own heap sampler tells: programs of the same object as the allocator probes, attached to static probes,
//! whose semaphores the kernel raises meanwhile (Linux 6.6).

use crate::probes::allocator;
use crate::probes::allocator::AllocatorProbes;
use crate::probes::allocator::AllocatorSettings;
use crate::probes::allocator::CopiedStack;
use crate::probes::allocator::HitCounts;
use crate::probes::allocator::Programs;
use crate::probes::allocator::StackTotals;
use crate::probes::allocator::session::Sessions;
use aya::EbpfLoader;
use aya::maps::Array;
use aya::maps::HashMap;
use aya::maps::MapData;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_analysis::model::reading::Reading;
use leakwatch_bpf::Attachment;
use leakwatch_bpf::Places;
use leakwatch_common::native::NativeCount;
use leakwatch_common::usdt::UsdtArgument;
use leakwatch_common::usdt::UsdtSite;
use leakwatch_common::usdt::usdt_place;
use leakwatch_nativeproc::code::ProgramCode;
use leakwatch_nativeproc::usdt::argument::Argument;
use leakwatch_nativeproc::usdt::argument::Place;
use leakwatch_nativeproc::usdt::probe::Site;
use leakwatch_nativeproc::usdt::probe::Told;
use std::os::fd::AsFd as _;
use std::os::fd::OwnedFd;
use std::path::Path;
use zerocopy::IntoBytes as _;

/// Sampled objects followed: 128 GiB live at a mean of 512 KiB.
const LIVE: u32 = 262_144;
const TOTALS: u32 = 131_072;
/// `UsdtSite` as the words it consists of, which aya takes.
const SITE_WORDS: usize = size_of::<UsdtSite>() / 8;

/// Attached probes.
pub struct UsdtProbes {
    object: AllocatorProbes,
    totals: HashMap<MapData, [u64; 2], [u64; 7]>,
    /// In the order of attaching: what frees first.
    links: Vec<OwnedFd>,
}

impl std::fmt::Debug for UsdtProbes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UsdtProbes")
            .field("links", &self.links.len())
            .finish_non_exhaustive()
    }
}

impl UsdtProbes {
    /// Loads the object and attaches it to the probes of one process.
    pub fn attach(pid: u32, sites: &[Site], code: ProgramCode) -> Reading<Self> {
        let mut loader = EbpfLoader::new();
        loader
            .map_max_entries("USDT_LIVE", LIVE)
            .map_max_entries("USDT_TOTALS", TOTALS)
            .map_max_entries("NATIVE_TOTALS", 1);
        let settings = AllocatorSettings {
            mean_bytes: u64::MAX,
            live_objects: 1,
            code,
            programs: Programs::Best,
        };
        let mut ebpf = AllocatorProbes::load(loader, &settings)?;
        let programs = Sessions::of(allocator::OBJECT, &ebpf)?;
        let mut places: Array<MapData, [u64; SITE_WORDS]> = allocator::take(&mut ebpf, "USDT_SITES")?;
        for (index, site) in (0..).zip(sites) {
            let words = words(&encoded(&site.told));
            places
                .set(index, words, 0)
                .map_err(|error| Missing::new(MissingReason::Failed, error.to_string()))?;
        }
        let mut links = Vec::new();
        for (name, releases) in [("usdt_free", true), ("usdt_alloc", false)] {
            let program = programs.load(name, Attachment::Entry)?;
            for group in grouped(sites, releases) {
                let places = Places {
                    offsets: &group.offsets,
                    cookies: &group.cookies,
                    reference_counters: Some(&group.semaphores),
                };
                let link = leakwatch_bpf::attach(program.as_fd(), Attachment::Entry, group.file, places, pid);
                links.push(link.map_err(|error| {
                    let detail = format!("cannot attach {name} to {}: {error}", group.file.display());
                    Missing::new(MissingReason::Failed, detail)
                })?);
            }
        }
        let totals = allocator::take(&mut ebpf, "USDT_TOTALS")?;
        Ok(Self {
            object: AllocatorProbes::over(ebpf)?,
            totals,
            links,
        })
    }

    /// Detaches, what allocates first. The maps can be read afterwards.
    pub fn detach(&mut self) {
        self.links.drain(..).rev().for_each(drop);
    }

    /// Hands over the stacks that arrived since the last call.
    pub fn drain_stacks(&mut self, take: impl FnMut(CopiedStack<'_>)) {
        self.object.drain_stacks(take);
    }

    /// What was sampled, by stack and class of size; the bytes are those that the samples stand for.
    pub fn totals(&self) -> Vec<StackTotals> {
        let entries = self.totals.iter().filter_map(Result::ok);
        entries
            .map(
                |([fingerprint, size_class], [allocs, alloc_bytes, frees, free_bytes, ..])| StackTotals {
                    fingerprint,
                    size_class,
                    allocs,
                    alloc_bytes,
                    frees,
                    free_bytes,
                    ..StackTotals::default()
                },
            )
            .collect()
    }

    /// Hits since the attach.
    pub fn counts(&self) -> HitCounts {
        let samples = self.object.counts().samples;
        HitCounts {
            entries: samples,
            returns: 0,
            frees: self.object.count(NativeCount::SampledFrees),
            samples,
            taken: 0,
            bytes: 0,
        }
    }

    /// Everything lost since the attach, by reason.
    pub fn losses(&self) -> Vec<(&'static str, u64)> {
        self.object.losses()
    }
}

struct Group<'a> {
    file: &'a Path,
    offsets: Vec<u64>,
    semaphores: Vec<u64>,
    cookies: Vec<u64>,
}

/// The places of one kind by file; a cookie is the index of its place.
fn grouped(sites: &[Site], releases: bool) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for (cookie, site) in (0_u64..).zip(sites) {
        if matches!(site.told, Told::Release(_)) != releases {
            continue;
        }
        let index = groups.iter().position(|group| group.file == site.link);
        let index = index.unwrap_or_else(|| {
            groups.push(Group {
                file: &site.link,
                offsets: Vec::new(),
                semaphores: Vec::new(),
                cookies: Vec::new(),
            });
            groups.len() - 1
        });
        if let Some(group) = groups.get_mut(index) {
            group.offsets.push(site.file_offset);
            group.semaphores.push(site.semaphore_offset);
            group.cookies.push(cookie);
        }
    }
    groups
}

fn encoded(told: &Told) -> UsdtSite {
    match told {
        Told::Allocation(arguments) => UsdtSite {
            arguments: arguments.map(encode),
        },
        Told::Release(address) => UsdtSite {
            arguments: [encode(*address), UsdtArgument::default(), UsdtArgument::default()],
        },
    }
}

fn encode(argument: Argument) -> UsdtArgument {
    let (place, register, value) = match argument.place {
        Place::Constant(value) => (usdt_place::CONSTANT, 0, value),
        Place::Register(register) => (usdt_place::REGISTER, register, 0),
        Place::Memory(register, offset) => (usdt_place::MEMORY, register, offset),
    };
    UsdtArgument {
        place,
        register,
        value: value.cast_unsigned(),
        unused_bits: 64 - 8 * argument.size,
        is_signed: argument.signed.into(),
    }
}

fn words(site: &UsdtSite) -> [u64; SITE_WORDS] {
    let mut words = [0; SITE_WORDS];
    for (word, bytes) in words.iter_mut().zip(site.as_bytes().chunks_exact(8)) {
        *word = bytes.try_into().map_or(0, u64::from_ne_bytes);
    }
    words
}
