//! A kernel hook: which tracepoint, which programs, which ring, and what is not known without it. Each is one row of
//! [`super::hooks::HOOKS`] and one file beside it.

use super::error::ProbeError;
use super::event::ProbeEvent;
use super::final_heap::WalkBounds;
use super::host::HostFacts;
use super::load;
use super::loss::RecordLosses;
use super::scope::OomCallers;
use crate::clock::Clock;
use aya::Ebpf;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::Reading;
use leakwatch_common::config::ProbeConfig;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::mpsc::Sender;

/// One hook.
pub struct Hook {
    /// The tracepoint. Also the name of its capability.
    pub name: &'static str,
    /// What is not known where it is not attached.
    pub without: &'static str,
    /// What to do about that, unless the reason says something better.
    pub fix: &'static str,
    /// The programs that this host allows, or what it lacks.
    pub(super) programs: fn(&HostFacts, &ProbeConfig) -> Reading<Programs>,
    /// Where its records come from.
    pub(super) ring: Ring,
    /// Takes the ring out of the object, and makes what drains it and decodes its records.
    pub(super) drain: fn(&mut Source<'_>, Ring) -> Result<Draining, ProbeError>,
}

impl std::fmt::Debug for Hook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// The ring buffer of a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ring {
    /// Its map.
    pub(super) map: &'static str,
    /// Its size: a power of two of whole pages.
    pub(super) bytes: u32,
}

/// Programs of a hook, and how they are attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Programs {
    /// One on a raw tracepoint: it gets what the kernel's code passes to it.
    RawTracepoint {
        /// Its name in the object.
        program: &'static str,
        /// The tracepoint, without its category.
        tracepoint: &'static str,
    },
    /// Several, each on a raw tracepoint of its own; all of them or none.
    RawTracepoints(&'static [(&'static str, &'static str)]),
    /// One on a tracepoint: it gets the fields of the tracepoint's format.
    Tracepoint {
        /// Its name in the object.
        program: &'static str,
        /// The tracepoint's category.
        category: &'static str,
        /// The tracepoint.
        tracepoint: &'static str,
    },
    /// One on a raw tracepoint that goes on in others by tail calls.
    TailCalls {
        /// The first one.
        program: &'static str,
        /// The tracepoint, without its category.
        tracepoint: &'static str,
        /// The map of the others, and the others in its order.
        parts: (&'static str, &'static [&'static str]),
    },
}

/// What a hook's drain is made from.
pub(super) struct Source<'a> {
    pub(super) ebpf: &'a mut Ebpf,
    pub(super) clock: Clock,
    pub(super) oom_callers: &'a OomCallers,
    pub(super) walk_bounds: WalkBounds,
    pub(super) losses: &'a Arc<RecordLosses>,
    pub(super) events: &'a Sender<ProbeEvent>,
}

/// Drains a ring until the receiver of events is dropped.
pub(super) type Draining = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

/// A hook and whether it is in place.
#[derive(Clone, Debug)]
pub struct AttachedHook {
    /// Which.
    pub hook: &'static Hook,
    /// Attached, or why not.
    pub attached: Reading<()>,
}

impl AttachedHook {
    /// Whether it is attached; else why not, what is not known without it, and what to do about it.
    pub fn explained(&self) -> Reading<()> {
        self.attached.clone().map_err(|missing| Missing {
            detail: format!("{}; without it {}", missing.detail, self.hook.without),
            fix: missing.fix.or_else(|| Some(self.hook.fix.into())),
            ..missing
        })
    }
}

/// Loads the programs of a hook and attaches them.
pub(super) fn attach(ebpf: &mut Ebpf, programs: Programs) -> Reading<()> {
    match programs {
        Programs::RawTracepoint { program, tracepoint } => load::attach_raw_tracepoint(ebpf, program, tracepoint),
        Programs::RawTracepoints(programs) => programs
            .iter()
            .try_for_each(|(program, tracepoint)| load::attach_raw_tracepoint(ebpf, program, tracepoint)),
        Programs::Tracepoint {
            program,
            category,
            tracepoint,
        } => load::attach_tracepoint(ebpf, program, category, tracepoint),
        Programs::TailCalls {
            program,
            tracepoint,
            parts: (map, parts),
        } => {
            for (index, part) in (0..).zip(parts) {
                load::load_part(ebpf, map, index, part)?;
            }
            load::attach_raw_tracepoint(ebpf, program, tracepoint)
        }
    }
}
