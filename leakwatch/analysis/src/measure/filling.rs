//! What fills a cgroup: the largest part of its charge. Source: the newest sample of the history; must not judge.

use crate::format;
use crate::history::TargetHistory;
use crate::ledger::Total;
use crate::model::units::Bytes;

/// The largest part of a charge.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Filling {
    /// Its name in `memory.stat`.
    pub name: &'static str,
    /// Bytes of it.
    pub bytes: f64,
    /// Bytes of all parts.
    pub charge: f64,
}

impl Filling {
    /// By the newest sample; none where its parts are not known.
    pub fn of(history: &TargetHistory) -> Option<Self> {
        let point = history.points.all().last()?;
        let charge = point.charge.bytes()?.as_f64();
        let parts = Total::ALL
            .into_iter()
            .filter_map(|total| Some((total.kernel_name, total.at(point)?)));
        let (name, bytes) = parts.max_by_key(|(_, bytes)| *bytes)?;
        Some(Self {
            name,
            bytes: bytes.as_f64(),
            charge,
        })
    }

    /// Its part of the charge.
    pub fn share(&self) -> f64 {
        self.bytes / self.charge.max(1.0)
    }

    /// `97.0 MiB of anonymous memory, most of it of app (process 100)`.
    pub fn words(&self, history: &TargetHistory) -> String {
        let what = match self.name {
            "shmem" => "shared memory (tmpfs)",
            "kernel" => "memory of the kernel",
            "file" => "page cache",
            _ => "anonymous memory",
        };
        let amount = format!("{} of {what}", format::bytes(self.bytes));
        let holder = history.main_process().filter(|_| self.name == "anon");
        let anon = |memory: Bytes| memory.as_f64() * 2.0 >= self.bytes;
        match holder.and_then(|record| Some((record, record.memory.as_ref().ok()?.anon))) {
            Some((record, memory)) if anon(memory) => {
                let process = &record.process;
                format!("{amount}, most of it of {} (process {})", process.comm, process.key.pid)
            }
            _ => amount,
        }
    }
}
