//! The way of attaching since Linux 6.13: one program for entry and return of a function, where the entry decides whether there is a
//! return to pay for, and one link for all functions of a file. aya makes the maps; its object is gone through once more for
//! the programs it cannot load.

use crate::probes::host;
use aya::Ebpf;
use aya::maps::Map;
use aya_obj::Object;
use aya_obj::generated::bpf_insn;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_analysis::model::reading::Reading;
use leakwatch_bpf::Attachment;
use leakwatch_bpf::Places;
use leakwatch_bpf::Refused;
use leakwatch_common::native::KERNEL_FUNCTION_NAMES;
use leakwatch_common::native::KERNEL_FUNCTIONS;
use leakwatch_common::native::request;
use leakwatch_nativeproc::allocator::ProbePoint;
use leakwatch_nativeproc::function::Signature;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::collections::HashSet;
use std::io;
use std::os::fd::AsFd as _;
use std::os::fd::AsRawFd as _;
use std::os::fd::OwnedFd;
use std::os::fd::RawFd;
use std::path::Path;
use std::sync::OnceLock;
use std::thread;

/// `BPF_JMP | BPF_CALL`.
const CALL: u8 = 0x85;
/// `BPF_PSEUDO_KFUNC_CALL`, in the place of the source register.
const OF_KERNEL: u8 = 2;
/// The kernel gives up verifying a program when a signal arrives, whatever it is for, and expects to be asked again.
const ATTEMPTS: u32 = 10;

/// What the programs do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// All that they are for.
    All,
    /// Count the calls.
    Count,
    /// Nothing.
    Nothing,
}

/// The programs and where they are attached.
pub(in crate::probes) struct Sessions {
    object: Object,
    loaded: HashMap<&'static str, OwnedFd>,
    links: Vec<(&'static str, OwnedFd)>,
}

impl Sessions {
    /// Takes the programs of the object that `ebpf` was made from, and lets them use its maps.
    pub(in crate::probes) fn of(object: &[u8], ebpf: &Ebpf) -> Reading<Self> {
        let malformed = |error: &dyn std::fmt::Display| Missing::new(MissingReason::Malformed, error.to_string());
        let numbers = kernel_functions()?;
        let mut object = Object::parse(object).map_err(|error| malformed(&error))?;
        let made: HashMap<&str, RawFd> = ebpf
            .maps()
            .filter_map(|(name, map)| Some((name, descriptor(map)?)))
            .collect();
        let maps = std::mem::take(&mut object.maps);
        let known = maps
            .iter()
            .filter_map(|(name, map)| Some((name.as_str(), *made.get(name.as_str())?, map)));
        let sections: HashSet<usize> = object.functions.keys().map(|(section, _)| *section).collect();
        object
            .relocate_maps(known, &sections)
            .map_err(|error| malformed(&error))?;
        object.relocate_calls(&sections).map_err(|error| malformed(&error))?;
        for function in object.functions.values_mut() {
            for instruction in &mut function.instructions {
                name_kernel_function(instruction, numbers);
            }
        }
        Ok(Self {
            object,
            loaded: HashMap::new(),
            links: Vec::new(),
        })
    }

    /// Loads a first program: only then is it known whether the kernel takes them.
    pub(super) fn try_first(&mut self) -> Reading<()> {
        let first = "session_innermost";
        let program = self.load(first, Attachment::Session)?;
        self.loaded.insert(first, program);
        Ok(())
    }

    /// Attaches everything, what is called most last: until the others are attached it would only cost.
    pub(super) fn attach(&mut self, pid: u32, points: &[ProbePoint], work: Work) -> Reading<()> {
        for Group {
            role,
            file,
            offsets,
            cookies,
        } in grouped(points)
        {
            // A program is loaded for one kind of attachment.
            let (name, attachment) = match (work, role.starts_with("session_release")) {
                (Work::All, true) => (role, Attachment::Entry),
                (Work::All, false) => (role, Attachment::Session),
                (Work::Count, true) => ("count_release", Attachment::Entry),
                (Work::Count, false) => ("count_allocation", Attachment::Entry),
                (Work::Nothing, true) => ("empty_entry", Attachment::Entry),
                (Work::Nothing, false) => ("empty_session", Attachment::Session),
            };
            if !self.loaded.contains_key(name) {
                let program = self.load(name, attachment)?;
                self.loaded.insert(name, program);
            }
            let Some(program) = self.loaded.get(name) else { continue };
            let places = Places {
                offsets: &offsets,
                cookies: &cookies,
                reference_counters: None,
            };
            let link = leakwatch_bpf::attach(program.as_fd(), attachment, file, places, pid).map_err(|error| {
                Missing::new(
                    MissingReason::Failed,
                    format!("cannot attach {name} to {}: {error}", file.display()),
                )
            })?;
            self.links.push((role, link));
        }
        Ok(())
    }

    /// Detaches everything, what is called most first: `malloc`, then what frees. The kernel takes the breakpoints of a link out at
    /// once but lets it wait until no processor runs its program: they wait at the same time.
    pub(super) fn detach(&mut self) {
        self.links.sort_by_key(|(name, _)| hotness(name));
        thread::scope(|scope| {
            for (_, link) in self.links.drain(..) {
                // Where no thread can be had it is dropped right here.
                drop(thread::Builder::new().spawn_scoped(scope, move || drop(link)));
            }
        });
    }

    /// Loads one program for the kernel to run.
    pub(in crate::probes) fn load(&self, name: &str, attachment: Attachment) -> Reading<OwnedFd> {
        let function = self
            .object
            .programs
            .get(name)
            .and_then(|program| self.object.functions.get(&program.function_key()))
            .ok_or_else(|| {
                Missing::new(
                    MissingReason::Malformed,
                    format!("the eBPF object has no program {name}"),
                )
            })?;
        let mut result = leakwatch_bpf::load(name, &function.instructions, attachment);
        for _ in 1..ATTEMPTS {
            match &result {
                Err(refused) if refused.error.kind() == io::ErrorKind::WouldBlock => {
                    result = leakwatch_bpf::load(name, &function.instructions, attachment);
                }
                _ => break,
            }
        }
        result.map_err(|refused| describe(name, &refused))
    }
}

fn describe(name: &str, refused: &Refused) -> Missing {
    let lines: Vec<&str> = refused.log.lines().rev().take(8).collect();
    let lines: Vec<&str> = lines.into_iter().rev().collect();
    Missing::new(
        MissingReason::Failed,
        format!("the kernel refuses {name}: {}: {}", refused.error, lines.join("; ")),
    )
}

/// What is attached by one link.
struct Group<'a> {
    role: &'static str,
    file: &'a Path,
    offsets: Vec<u64>,
    cookies: Vec<u64>,
}

/// By program and file, in the order of attaching.
fn grouped(points: &[ProbePoint]) -> Vec<Group<'_>> {
    let rank = |point: &ProbePoint| Reverse(hotness(program_of(point, points)));
    let mut ordered: Vec<&ProbePoint> = points.iter().collect();
    ordered.sort_by_key(|point| rank(point));
    let mut groups: Vec<Group<'_>> = Vec::new();
    for point in ordered {
        let role = program_of(point, points);
        let index = groups
            .iter()
            .position(|group| group.role == role && group.file == point.link);
        let index = index.unwrap_or_else(|| {
            groups.push(Group {
                role,
                file: &point.link,
                offsets: Vec::new(),
                cookies: Vec::new(),
            });
            groups.len() - 1
        });
        if let Some(group) = groups.get_mut(index) {
            group.offsets.push(point.file_offset);
            group.cookies.push(request_of(point));
        }
    }
    groups
}

/// The lower, the more often a program runs.
fn hotness(name: &str) -> u8 {
    match name {
        "session_innermost" | "session_innermost_second" => 0,
        "session_release" | "session_release_second" => 1,
        _ => 2,
    }
}

fn program_of(point: &ProbePoint, points: &[ProbePoint]) -> &'static str {
    match (point.signature, point.placement.moved) {
        (Signature::Release, false) => "session_release",
        (Signature::Release, true) => "session_release_second",
        (Signature::Size, false) if is_innermost(point, points) => "session_innermost",
        (Signature::Size, true) if is_innermost(point, points) => "session_innermost_second",
        _ => "session_outer",
    }
}

/// How its arguments tell what it is asked for.
const fn request_of(point: &ProbePoint) -> u64 {
    match point.signature {
        Signature::Size if point.placement.moved => request::SECOND,
        Signature::Size | Signature::Release => request::SIZE,
        Signature::Product => request::PRODUCT,
        Signature::Second => request::SECOND,
        Signature::Result => request::RESULT,
        Signature::OldSize => request::OLD_SIZE,
        Signature::OldProduct => request::OLD_PRODUCT,
    }
}

/// Whether a function certainly calls no other one that is probed: an allocator's other functions call its `malloc`, never the other
/// way round. Where two files have it, one may pass its calls on to the other.
fn is_innermost(point: &ProbePoint, points: &[ProbePoint]) -> bool {
    point.symbol.ends_with("malloc") && points.iter().filter(|other| other.symbol == point.symbol).count() == 1
}

/// A call of a helper that does not exist becomes one of the kernel's function.
fn name_kernel_function(instruction: &mut bpf_insn, numbers: [u32; KERNEL_FUNCTION_NAMES.len()]) {
    if instruction.code != CALL || instruction.src_reg() != 0 {
        return;
    }
    let index = usize::try_from(instruction.imm.wrapping_sub(KERNEL_FUNCTIONS)).unwrap_or(usize::MAX);
    if let Some(number) = numbers.get(index) {
        instruction.set_src_reg(OF_KERNEL);
        instruction.imm = number.cast_signed();
    }
}

/// The numbers of the kernel's functions in its type information, looked up once.
fn kernel_functions() -> Reading<[u32; KERNEL_FUNCTION_NAMES.len()]> {
    static NUMBERS: OnceLock<Reading<[u32; KERNEL_FUNCTION_NAMES.len()]>> = OnceLock::new();
    let look = || {
        let btf = host::btf()?;
        let mut numbers = [0; KERNEL_FUNCTION_NAMES.len()];
        for (number, name) in numbers.iter_mut().zip(KERNEL_FUNCTION_NAMES) {
            *number = btf.function(name).ok_or_else(|| {
                Missing::new(MissingReason::Unsupported, format!("the kernel has no {name}"))
                    .with_fix("needs Linux 6.13")
            })?;
        }
        Ok(numbers)
    };
    NUMBERS.get_or_init(look).clone()
}

fn descriptor(map: &Map) -> Option<RawFd> {
    let (Map::Array(data) | Map::HashMap(data) | Map::LruHashMap(data) | Map::PerCpuArray(data) | Map::RingBuf(data)) =
        map
    else {
        return None;
    };
    Some(data.fd().as_fd().as_raw_fd())
}
