//! The files that counters are read from: which form they have, and how often they are read.
//!
//! What moves with the charge is read whenever the charge has moved. The rest is read with the first sample, then every 5 minutes,
//! and within a minute after the charge has hit a limit, when pressure and swap begin to matter: up to eight files per cgroup and
//! 5 minutes.

use crate::collect::parse;
use crate::identity::cgroup::Version;
use leakwatch_analysis::model::counter::Counter;
use leakwatch_analysis::model::counter::CountersBuilder;
use leakwatch_analysis::model::counter::Unit;
use leakwatch_analysis::model::units::Bytes;
use std::sync::Arc;

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// One number, or `max`.
    Number,
    /// Lines of a key and a number.
    Keyed,
    /// `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`.
    Pressure,
    /// v2 `anon N0=1 N1=2` in bytes, v1 `hierarchical_anon=3 N0=1 N1=2` in pages.
    Numa,
}

/// When a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cadence {
    /// When the charge has moved.
    Moved,
    /// Every 5 minutes.
    Seldom,
}

const V1: [(&str, Form, Cadence); 8] = [
    ("memory.oom_control", Form::Keyed, Cadence::Moved),
    ("memory.failcnt", Form::Number, Cadence::Moved),
    ("memory.memsw.failcnt", Form::Number, Cadence::Moved),
    ("memory.kmem.usage_in_bytes", Form::Number, Cadence::Moved),
    ("memory.max_usage_in_bytes", Form::Number, Cadence::Seldom),
    ("memory.memsw.usage_in_bytes", Form::Number, Cadence::Seldom),
    ("memory.kmem.tcp.usage_in_bytes", Form::Number, Cadence::Seldom),
    ("memory.numa_stat", Form::Numa, Cadence::Seldom),
];

const V2: [(&str, Form, Cadence); 10] = [
    ("memory.events.local", Form::Keyed, Cadence::Moved),
    ("memory.swap.current", Form::Number, Cadence::Moved),
    ("memory.events", Form::Keyed, Cadence::Seldom),
    ("memory.swap.events", Form::Keyed, Cadence::Seldom),
    ("memory.swap.peak", Form::Number, Cadence::Seldom),
    ("memory.swap.high", Form::Number, Cadence::Seldom),
    ("memory.swap.max", Form::Number, Cadence::Seldom),
    ("memory.peak", Form::Number, Cadence::Seldom),
    ("memory.pressure", Form::Pressure, Cadence::Seldom),
    ("memory.numa_stat", Form::Numa, Cadence::Seldom),
];

/// One file with counters.
#[derive(Clone, Debug)]
pub(super) struct CounterFile {
    pub(super) name: &'static str,
    form: Form,
    pub(super) cadence: Cadence,
    /// Keys and counters in the order of the file's lines.
    lines: Vec<(&'static str, Counter)>,
}

/// The files of a version: made once, shared by all cgroups.
#[derive(Clone, Debug)]
pub(in crate::collect) struct CounterFiles {
    pub(super) stat: CounterFile,
    pub(super) others: Vec<CounterFile>,
    version: Version,
    machine: Option<Bytes>,
    page_bytes: u64,
}

impl CounterFiles {
    /// The files of a version. `machine` is the memory of the machine.
    pub(in crate::collect) fn new(version: Version, machine: Option<Bytes>) -> Arc<Self> {
        let file = |(name, form, cadence): (&'static str, Form, Cadence)| CounterFile {
            name,
            form,
            cadence,
            lines: Counter::in_file(version, name).collect(),
        };
        let others = match version {
            Version::V1 => V1.as_slice(),
            Version::V2 => V2.as_slice(),
        };
        Arc::new(Self {
            stat: file(("memory.stat", Form::Keyed, Cadence::Moved)),
            others: others.iter().copied().map(file).collect(),
            version,
            machine,
            page_bytes: u64::try_from(rustix::param::page_size()).unwrap_or(4096),
        })
    }

    /// A file by its name.
    pub(super) fn named(&self, name: &str) -> Option<&CounterFile> {
        self.others.iter().find(|file| file.name == name)
    }

    /// Takes the counters out of a file's text; none if it does not have the documented form. Lines that have no counter are
    /// left out.
    pub(super) fn parse(&self, file: &CounterFile, text: &[u8], found: &mut CountersBuilder) -> Option<()> {
        let mut set = |counter: Counter, value: u64| {
            // v1 says "no limit" with a number.
            let unlimited = self.version == Version::V1
                && counter.unit() == Some(Unit::Limit)
                && parse::limit_v1(value, self.machine).bytes().is_none();
            found.set(counter, if unlimited { u64::MAX } else { value });
        };
        match file.form {
            Form::Number => {
                let (_, counter) = *file.lines.first()?;
                let unlimited = counter.unit() == Some(Unit::Limit) && text.trim_ascii() == b"max";
                set(counter, if unlimited { u64::MAX } else { parse::number(text)? });
                Some(())
            }
            Form::Keyed => parse::keyed(text, &file.lines, set),
            Form::Pressure => parse::pressure(text, &file.lines, set),
            Form::Numa => parse::numa(text, self.page_bytes, &file.lines, set),
        }
    }
}

impl CounterFile {
    /// What the file should have looked like.
    pub(super) fn expected(&self) -> &'static str {
        match self.form {
            Form::Number => "one number",
            Form::Keyed => "lines of a key and a number",
            Form::Pressure => "lines some and full with averages and a total",
            Form::Numa => "lines of a key and a number per node",
        }
    }
}
