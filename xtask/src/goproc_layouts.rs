//! The table of the Go runtime's layouts: builds one program with every release and asks its debug information.
//!
//! Offsets that differ between releases go into the table; those that the reader takes for granted are checked here, so
//! that a release which moves one of them cannot enter the table unnoticed.

use anyhow::Context as _;
use anyhow::bail;
use anyhow::ensure;
use gimli::AttributeValue;
use gimli::EndianSlice;
use gimli::LittleEndian;
use leakwatch_test_support::toolchains;
use leakwatch_test_support::toolchains::Form;
use object::Object as _;
use object::ObjectSection as _;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use xtask::tools;

/// One patch release of each minor release. Patch releases have not moved any of these fields so far.
const RELEASES: [&str; 9] = [
    "go1.19.13",
    "go1.20.14",
    "go1.21.13",
    "go1.22.12",
    "go1.23.12",
    "go1.24.13",
    "go1.25.7",
    "go1.26.8",
    "go1.27.3",
];

const TABLE: &str = "leakwatch/goproc/src/layout/table.rs";

/// Structure, field, offset: what the reader relies on in every release.
const CONSTANT: [(&str, &str, u64); 33] = [
    ("runtime.g", "stack.lo", 0),
    ("runtime.g", "stack.hi", 8),
    ("runtime.g", "m", 48),
    ("runtime.g", "sched.sp", 56),
    ("runtime.g", "sched.pc", 64),
    ("runtime.g", "sched.g", 72),
    ("runtime.bucket", "allnext", 8),
    ("runtime.bucket", "typ", 16),
    ("runtime.bucket", "size", 32),
    ("runtime.bucket", "nstk", 40),
    ("runtime.memRecord", "active", 0),
    ("runtime.memRecordCycle", "allocs", 0),
    ("runtime.memRecordCycle", "frees", 8),
    ("runtime.moduledata", "pcHeader", 0),
    ("runtime.moduledata", "funcnametab", 8),
    ("runtime.moduledata", "pclntable", 104),
    ("runtime.moduledata", "ftab", 128),
    ("runtime.moduledata", "minpc", 160),
    ("runtime.moduledata", "text", 176),
    ("runtime.moduledata", "etext", 184),
    ("runtime.moduledata", "noptrdata", 192),
    ("runtime.moduledata", "data", 208),
    ("runtime.moduledata", "bss", 224),
    ("runtime.moduledata", "noptrbss", 240),
    ("runtime.gcControllerState", "gcPercent", 0),
    ("runtime.gcControllerState", "memoryLimit", 8),
    ("runtime.gcControllerState", "heapMinimum", 16),
    ("runtime.mstats", "heapStats.stats", 0),
    ("runtime.heapStatsDelta", "committed", 0),
    ("runtime.heapStatsDelta", "released", 8),
    ("runtime.heapStatsDelta", "inHeap", 16),
    ("runtime.heapStatsDelta", "inStacks", 24),
    ("runtime.heapStatsDelta", "inWorkBufs", 32),
];

/// The same for what has been so since Go 1.22: spans, types of objects, and goroutines that wait.
const CONSTANT_SINCE_22: [(&str, &str, u64); 20] = [
    ("runtime.mheap", "sweepgen", 65_856),
    ("runtime.mheap", "allspans", 65_864),
    ("runtime.mspan", "startAddr", 24),
    ("runtime.mspan", "npages", 32),
    ("runtime.mspan", "freeindex", 48),
    ("runtime.mspan", "nelems", 50),
    ("runtime.mspan", "allocBits", 64),
    ("runtime.mspan", "sweepgen", 88),
    ("runtime.mspan", "spanclass", 98),
    ("runtime.mspan", "state", 99),
    ("runtime.mspan", "elemsize", 104),
    ("runtime.mspan", "limit", 112),
    ("runtime.mspan", "specials", 128),
    ("runtime.mspan", "largeType", 152),
    ("runtime.sudog", "g", 0),
    ("runtime.special", "next", 0),
    ("runtime.special", "offset", 8),
    ("runtime.moduledata", "types", 296),
    ("internal/abi.Type", "TFlag", 20),
    ("internal/abi.Type", "Str", 40),
];

/// Field of the table, structure, its member.
type Field = (&'static str, &'static str, &'static str);

/// The parts of a table's entry, each with its type.
const FIELDS: [(&str, &[Field]); 4] = [
    (
        "goroutine: GoroutineLayout",
        &[
            ("sched", "runtime.g", "sched"),
            ("syscall_sp", "runtime.g", "syscallsp"),
            ("syscall_pc", "runtime.g", "syscallpc"),
            ("status", "runtime.g", "atomicstatus"),
            ("id", "runtime.g", "goid"),
            ("wait_since", "runtime.g", "waitsince"),
            ("wait_reason", "runtime.g", "waitreason"),
            ("created_at", "runtime.g", "gopc"),
            ("start", "runtime.g", "startpc"),
        ],
    ),
    (
        "gc_controller: GcControllerLayout",
        &[
            ("heap_goal", "runtime.gcControllerState", "gcPercentHeapGoal"),
            ("heap_live", "runtime.gcControllerState", "heapLive"),
            ("heap_marked", "runtime.gcControllerState", "heapMarked"),
            ("heap_in_use", "runtime.gcControllerState", "heapInUse"),
            ("heap_released", "runtime.gcControllerState", "heapReleased"),
            ("heap_free", "runtime.gcControllerState", "heapFree"),
            ("total_alloc", "runtime.gcControllerState", "totalAlloc"),
            ("total_free", "runtime.gcControllerState", "totalFree"),
            ("mapped_ready", "runtime.gcControllerState", "mappedReady"),
        ],
    ),
    (
        "memstats: MemstatsLayout",
        &[
            ("stacks_sys", "runtime.mstats", "stacks_sys"),
            ("mspan_sys", "runtime.mstats", "mspan_sys"),
            ("mcache_sys", "runtime.mstats", "mcache_sys"),
            ("buckhash_sys", "runtime.mstats", "buckhash_sys"),
            ("gc_misc_sys", "runtime.mstats", "gcMiscSys"),
            ("other_sys", "runtime.mstats", "other_sys"),
            ("last_gc_unix", "runtime.mstats", "last_gc_unix"),
            ("pause_total_ns", "runtime.mstats", "pause_total_ns"),
            ("pause_end", "runtime.mstats", "pause_end"),
            ("numgc", "runtime.mstats", "numgc"),
            ("numforcedgc", "runtime.mstats", "numforcedgc"),
        ],
    ),
    (
        "waiting: WaitingLayout",
        &[
            // Go 1.26 keeps these two also where its own search for leaks does not see them.
            ("sudog_elem", "runtime.sudog", "elem.vu|elem"),
            ("sudog_channel", "runtime.sudog", "c.vu|c"),
            ("sudog_waitlink", "runtime.sudog", "waitlink.vu|waitlink"),
            ("goroutine_waiting", "runtime.g", "waiting"),
            ("goroutine_param", "runtime.g", "param"),
            ("special_kind", "runtime.special", "kind"),
            ("processor_scratch", "runtime.p", "gcw"),
            ("processor_scratch_end", "runtime.p", "runSafePointFn"),
            ("module_next", "runtime.moduledata", "next"),
        ],
    ),
];

/// Sizes of structures in the same part.
const SIZES: [(&str, &str); 3] = [
    ("sudog_size", "runtime.sudog"),
    ("special_size", "runtime.special"),
    ("heap_size", "runtime.mheap"),
];

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Compare with the checked-in table instead of writing it
    #[arg(long)]
    check: bool,
}

pub(crate) fn main(arguments: &Arguments) -> anyhow::Result<()> {
    let directory = tempfile::tempdir().context("create a directory for the programs")?;
    let mut entries = String::new();
    for release in RELEASES {
        let program = toolchains::build("layouts", release, Form::Debug, directory.path())?;
        let entry = describe(release, &program).with_context(|| format!("the debug information of {release}"))?;
        entries.push_str(&entry);
    }
    let path = tools::workspace().join(TABLE);
    let generated = format!(
        "//! Generated by `cargo xtask goproc-layouts` from the debug information of {} to {}: never edited.\n\
         // tidy: long because it has an entry for each release\n\n\
         use super::gc::GcControllerLayout;\nuse super::gc::MemstatsLayout;\nuse super::goroutine::GoroutineLayout;\n\
         use super::record::RecordFormat;\nuse super::release::Layout;\nuse super::waiting::WaitingLayout;\n\npub(super) const TABLE: &[Layout] = &[\n{entries}];\n",
        RELEASES.first().copied().unwrap_or_default(),
        RELEASES.last().copied().unwrap_or_default(),
    );
    if !arguments.check {
        std::fs::write(&path, generated).with_context(|| format!("write {}", path.display()))?;
        return tools::run(Command::new("rustfmt").args(["--edition", "2024"]).arg(&path));
    }
    let fresh = directory.path().join("table.rs");
    std::fs::write(&fresh, generated).with_context(|| format!("write {}", fresh.display()))?;
    let settings = tools::workspace().join("rustfmt.toml");
    tools::run(
        Command::new("rustfmt")
            .args(["--edition", "2024", "--config-path"])
            .arg(settings)
            .arg(&fresh),
    )?;
    ensure!(
        std::fs::read(&fresh)? == std::fs::read(&path)?,
        "{TABLE} is not what the Go releases say: run `cargo xtask goproc-layouts`"
    );
    Ok(())
}

/// The table's entry of one release.
fn describe(release: &str, program: &Path) -> anyhow::Result<String> {
    let bytes = std::fs::read(program)?;
    let structures = Structures::read(&bytes)?;
    for (structure, field, offset) in CONSTANT {
        let found = structures.offset(structure, field)?;
        ensure!(
            found == offset,
            "{structure}.{field} is at {found}, the reader expects {offset}"
        );
    }
    let minor: u32 = release.split('.').nth(1).context("minor release")?.parse()?;
    for (structure, field, offset) in CONSTANT_SINCE_22.into_iter().filter(|_| minor >= 22) {
        let found = structures.offset(structure, field)?;
        ensure!(
            found == offset,
            "{structure}.{field} is at {found}, the reader expects {offset}"
        );
    }
    let bucket = structures.size("runtime.bucket")?;
    ensure!(bucket == 48, "runtime.bucket has {bucket} bytes, the reader expects 48");
    let cycle = structures.size("runtime.memRecordCycle")?;
    let format = match cycle {
        32 => "ObjectsAndBytes",
        16 => "Objects",
        _ => bail!("runtime.memRecordCycle has {cycle} bytes: a layout that the reader does not know"),
    };
    let mut entry = format!("Layout {{ minor: {minor}, record: RecordFormat::{format},");
    write!(entry, "gofunc: {},", structures.offset("runtime.moduledata", "gofunc")?)?;
    for (part, fields) in FIELDS {
        write!(entry, "{part} {{")?;
        if part.starts_with("memstats") {
            let stride = structures.size("runtime.heapStatsDelta")?;
            write!(entry, "heap_stats_stride: {stride},")?;
        }
        if part.starts_with("waiting") {
            for (name, structure) in SIZES {
                write!(entry, "{name}: {},", structures.size(structure)?)?;
            }
        }
        for (name, structure, member) in fields {
            write!(entry, "{name}: {},", structures.first_offset(structure, member)?)?;
        }
        entry.push_str("},");
    }
    entry.push_str("},\n");
    Ok(entry)
}

/// One type of the debug information.
#[derive(Debug, Default)]
struct Type {
    size: Option<u64>,
    /// What a typedef stands for.
    target: Option<usize>,
    /// Name, offset, type.
    members: Vec<(String, u64, Option<usize>)>,
}

/// All structures and typedefs, by their place in the debug information.
struct Structures {
    types: BTreeMap<usize, Type>,
    by_name: BTreeMap<String, usize>,
}

type Reader<'b> = EndianSlice<'b, LittleEndian>;

impl Structures {
    fn read(program: &[u8]) -> anyhow::Result<Self> {
        let file = object::read::elf::ElfFile64::<object::LittleEndian>::parse(program)?;
        let dwarf = gimli::Dwarf::load(|section| {
            let data = file.section_by_name(section.name()).map(|section| section.data());
            Ok::<_, object::Error>(EndianSlice::new(data.transpose()?.unwrap_or_default(), LittleEndian))
        })?;
        let mut structures = Self {
            types: BTreeMap::new(),
            by_name: BTreeMap::new(),
        };
        let mut units = dwarf.units();
        while let Some(header) = units.next()? {
            let unit = dwarf.unit(header)?;
            structures.add_unit(&dwarf, &unit)?;
        }
        Ok(structures)
    }

    fn add_unit(&mut self, dwarf: &gimli::Dwarf<Reader<'_>>, unit: &gimli::Unit<Reader<'_>>) -> anyhow::Result<()> {
        let mut current = None;
        let mut entries = unit.entries();
        while let Some(entry) = entries.next_dfs()? {
            let name = || -> anyhow::Result<String> {
                let Some(value) = entry.attr_value(gimli::DW_AT_name) else {
                    return Ok(String::new());
                };
                Ok(dwarf.attr_string(unit, value)?.to_string_lossy().into_owned())
            };
            let number = |attribute| entry.attr_value(attribute).and_then(|value| value.udata_value());
            let referred = entry.attr_value(gimli::DW_AT_type).and_then(|value| match value {
                AttributeValue::DebugInfoRef(offset) => Some(offset.0),
                AttributeValue::UnitRef(offset) => offset.to_debug_info_offset(&unit.header).map(|offset| offset.0),
                _ => None,
            });
            match entry.tag() {
                gimli::DW_TAG_structure_type | gimli::DW_TAG_typedef => {
                    let place = entry.offset().to_debug_info_offset(&unit.header).context("offset")?.0;
                    if entry.tag() == gimli::DW_TAG_structure_type {
                        current = Some(place);
                        self.by_name.insert(name()?, place);
                    }
                    self.types.insert(
                        place,
                        Type {
                            size: number(gimli::DW_AT_byte_size),
                            target: referred,
                            members: Vec::new(),
                        },
                    );
                }
                gimli::DW_TAG_member => {
                    if let Some(structure) = current.and_then(|place| self.types.get_mut(&place)) {
                        let offset = number(gimli::DW_AT_data_member_location).unwrap_or(0);
                        structure.members.push((name()?, offset, referred));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn structure(&self, name: &str) -> anyhow::Result<&Type> {
        let place = self.by_name.get(name).with_context(|| format!("no structure {name}"))?;
        self.types.get(place).context("structure")
    }

    fn size(&self, name: &str) -> anyhow::Result<u64> {
        self.structure(name)?
            .size
            .with_context(|| format!("{name} has no size"))
    }

    /// Offset of the first of several members, divided by `|`, that this release has.
    fn first_offset(&self, name: &str, paths: &str) -> anyhow::Result<u64> {
        let found = paths.split('|').find_map(|path| self.offset(name, path).ok());
        found.with_context(|| format!("{name} has no field {paths}"))
    }

    /// Offset of a member, through the structures on the way: `sched.sp`.
    fn offset(&self, name: &str, path: &str) -> anyhow::Result<u64> {
        let mut structure = self.structure(name)?;
        let mut sum = 0;
        let mut parts = path.split('.').peekable();
        while let Some(part) = parts.next() {
            let member = structure.members.iter().find(|(member, ..)| member == part);
            let (_, offset, kind) = member.with_context(|| format!("{name} has no field {path}"))?;
            sum += offset;
            if parts.peek().is_some() {
                structure = self
                    .resolve(*kind)
                    .with_context(|| format!("type of {part} in {name}"))?;
            }
        }
        Ok(sum)
    }

    /// The structure behind a type.
    fn resolve(&self, place: Option<usize>) -> Option<&Type> {
        let kind = self.types.get(&place?)?;
        kind.target.map_or(Some(kind), |target| self.types.get(&target))
    }
}
