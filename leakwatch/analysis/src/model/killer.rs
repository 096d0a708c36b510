//! Who ended a process by SIGKILL, and what is known of such killers.

use std::fmt;

/// Who sent the signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Killer {
    /// The kernel's OOM killer.
    OomKiller,
    /// The kernel for another reason, while this process ran.
    Kernel {
        /// Process id.
        pid: u32,
        /// Name of the thread.
        comm: String,
    },
    /// A process.
    Process {
        /// Process id.
        pid: u32,
        /// Name of the thread.
        comm: String,
    },
}

/// What kind of killer it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KillerKind {
    /// The kernel's OOM killer.
    OomKiller,
    /// The kernel for another reason.
    Kernel,
    /// A daemon that kills before memory runs out.
    MemoryDaemon,
    /// What runs containers: for a person, a deadline or an eviction. The kernel does not tell which.
    ContainerRuntime,
    /// The service manager, for a unit that is stopped.
    ServiceManager,
    /// Any other process.
    Process,
}

impl KillerKind {
    /// Name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OomKiller => "oom_killer",
            Self::Kernel => "kernel",
            Self::MemoryDaemon => "memory_daemon",
            Self::ContainerRuntime => "container_runtime",
            Self::ServiceManager => "service_manager",
            Self::Process => "process",
        }
    }
}

/// Thread names of known killers as the kernel has them, at most 15 bytes long, and what they are. One may go on: a number, the name of a step.
const KNOWN: [(&str, KillerKind); 13] = [
    ("systemd-oomd", KillerKind::MemoryDaemon),
    ("oomd", KillerKind::MemoryDaemon),
    ("earlyoom", KillerKind::MemoryDaemon),
    ("nohang", KillerKind::MemoryDaemon),
    ("kubelet", KillerKind::ContainerRuntime),
    ("containerd", KillerKind::ContainerRuntime),
    ("runc", KillerKind::ContainerRuntime),
    ("crun", KillerKind::ContainerRuntime),
    ("youki", KillerKind::ContainerRuntime),
    ("conmon", KillerKind::ContainerRuntime),
    ("dockerd", KillerKind::ContainerRuntime),
    ("podman", KillerKind::ContainerRuntime),
    ("systemd", KillerKind::ServiceManager),
];

impl Killer {
    /// What it is, as far as its name tells.
    pub fn kind(&self) -> KillerKind {
        match self {
            Self::OomKiller => KillerKind::OomKiller,
            Self::Kernel { .. } => KillerKind::Kernel,
            Self::Process { comm, .. } => {
                let is_known = |name: &str| {
                    comm.strip_prefix(name)
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '-', '/']))
                };
                let known = KNOWN.iter().find(|(name, _)| is_known(name));
                known.map_or(KillerKind::Process, |(_, kind)| *kind)
            }
        }
    }

    /// Process id and name of the thread that sent it; none of the OOM killer, whose post-mortem has more.
    pub fn sender(&self) -> Option<(u32, &str)> {
        match self {
            Self::OomKiller => None,
            Self::Kernel { pid, comm } | Self::Process { pid, comm } => Some((*pid, comm)),
        }
    }
}

impl fmt::Display for Killer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NOT_OOM: &str = "not by the kernel's OOM killer";
        match (self, self.kind()) {
            (Self::OomKiller, _) => f.write_str("the kernel's OOM killer"),
            (Self::Kernel { pid, comm }, _) => write!(
                f,
                "SIGKILL from the kernel itself while {comm} (pid {pid}) ran, and no OOM kill was reported"
            ),
            (Self::Process { pid, comm }, KillerKind::MemoryDaemon) => write!(
                f,
                "SIGKILL from {comm} (pid {pid}), which kills before memory runs out, {NOT_OOM}"
            ),
            (Self::Process { pid, comm }, KillerKind::ContainerRuntime) => write!(
                f,
                "SIGKILL from {comm} (pid {pid}), {NOT_OOM}: the container was stopped, by a person, a deadline or an eviction, which the kernel does \
                 not tell apart"
            ),
            (Self::Process { pid, comm }, KillerKind::ServiceManager) => write!(
                f,
                "SIGKILL from {comm} (pid {pid}), {NOT_OOM}: the unit was stopped, or did not end in time"
            ),
            (Self::Process { pid, comm }, _) => write!(f, "SIGKILL from {comm} (pid {pid}), {NOT_OOM}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn killers_are_told_apart_by_their_names() {
        for (comm, kind) in [
            ("systemd-oomd", KillerKind::MemoryDaemon),
            ("systemd", KillerKind::ServiceManager),
            ("systemd-udevd", KillerKind::ServiceManager),
            ("containerd-shim", KillerKind::ContainerRuntime),
            ("runc:[2:INIT]", KillerKind::ContainerRuntime),
            ("runcommand", KillerKind::Process),
            ("bash", KillerKind::Process),
            ("", KillerKind::Process),
        ] {
            let killer = Killer::Process {
                pid: 7,
                comm: comm.to_owned(),
            };
            assert_eq!(killer.kind(), kind, "{comm}");
            let text = killer.to_string();
            assert!(
                text.contains("not by the kernel's OOM killer") && text.contains("pid 7"),
                "{text}"
            );
        }
        let kernel = Killer::Kernel {
            pid: 7,
            comm: "systemd-oomd".to_owned(),
        };
        assert_eq!(kernel.kind(), KillerKind::Kernel);
    }
}
