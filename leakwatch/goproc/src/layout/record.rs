//! How the counters of a memory bucket are laid out (`runtime.memRecord`, runtime/mprof.go).

/// How the counters are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordFormat {
    /// Up to Go 1.26: each cycle counts objects and bytes.
    ObjectsAndBytes,
    /// Go 1.27: each cycle counts objects; bytes are objects times size.
    Objects,
}

impl RecordFormat {
    /// Bytes of one cycle (`memRecordCycle`).
    pub const fn cycle_size(self) -> usize {
        match self {
            Self::ObjectsAndBytes => 32,
            Self::Objects => 16,
        }
    }

    /// Bytes of all four cycles (`memRecord`).
    pub const fn record_size(self) -> usize {
        4 * self.cycle_size()
    }
}
