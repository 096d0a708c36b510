//! Who is watched: identities that survive pid reuse and re-created cgroups.

use crate::model::reading::Missing;
use crate::model::runtime::Runtime;
use crate::model::units::Timestamp;
use std::fmt;
use std::sync::Arc;

/// Identity of a cgroup: the inode of its directory and its path below the hierarchy's root (`/kubepods/...`, `/` is the root).
/// A path alone can be re-created, an inode alone can be reused.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CgroupKey {
    /// Inode of the cgroup's directory in the hierarchy that has the memory controller; the kernel's cgroup id (`kernfs_node.id`).
    pub inode: u64,
    /// Absolute path below the root of that hierarchy.
    pub path: String,
}

impl CgroupKey {
    /// A number that differs much between cgroups that were made one after the other, whose inodes are neighbours: what is done for all of them now and then
    /// is not done for all at once.
    pub const fn spread(inode: u64) -> u32 {
        // A multiplication spreads them (Knuth's constant).
        (inode.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32
    }
}

/// Opaque identifier of a target, stable for the life of its cgroup. Derived from the [`CgroupKey`], safe in URLs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetId(Arc<str>);

impl TargetId {
    /// Parses an id as a client sent it; any text is an id, unknown ones are simply not found.
    pub fn from_text(text: &str) -> Self {
        Self(text.into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same, shared.
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

impl From<&CgroupKey> for TargetId {
    fn from(key: &CgroupKey) -> Self {
        // FNV-1a over the path: two cgroups that got the same inode one after the other still differ.
        let hash = key.path.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self(format!("t{:x}-{:08x}", key.inode, hash & 0xffff_ffff).into())
    }
}

impl fmt::Display for TargetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Identity of a process: a pid is reused, (pid, start time) is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessKey {
    /// Process id (thread group id) in the daemon's pid namespace.
    pub pid: u32,
    /// `/proc/PID/stat` field 22: clock ticks between boot and the start of the process.
    pub start_ticks: u64,
}

impl fmt::Display for ProcessKey {
    /// The opaque process id of the API: `PID-STARTTICKS`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.pid, self.start_ticks)
    }
}

/// What a target is, recognised from its cgroup path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TargetKind {
    /// A container of a known engine.
    Container,
    /// A systemd service unit.
    Service,
    /// Any other leaf cgroup with processes.
    Cgroup,
}

impl TargetKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Container, Self::Service, Self::Cgroup];

    /// Name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Service => "service",
            Self::Cgroup => "cgroup",
        }
    }
}

/// A container engine, recognised from the cgroup path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ContainerRuntime {
    /// containerd (`cri-containerd-ID.scope`, or a bare id below `kubepods`).
    Containerd,
    /// CRI-O (`crio-ID.scope`).
    CriO,
    /// Docker Engine (`docker-ID.scope`, `/docker/ID`).
    Docker,
    /// Podman (`libpod-ID`).
    Podman,
}

/// The container a target is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// The full id, 64 hexadecimal digits for every engine known here unless the user chose another.
    pub id: String,
    /// The engine, when the path tells.
    pub runtime: Option<ContainerRuntime>,
    /// Uid of the Kubernetes pod, when the path tells.
    pub pod_uid: Option<String>,
}

/// A watched cgroup and what is known about it from the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Identity.
    pub cgroup: CgroupKey,
    /// What it is.
    pub kind: TargetKind,
    /// Short human name: container name or short id, unit name, or last path component.
    pub name: String,
    /// The service it is a replica of.
    pub service: String,
    /// Set for containers.
    pub container: Option<Container>,
    /// Creation of the cgroup directory; else first seen.
    pub started_at: Timestamp,
}

impl Target {
    /// The opaque id of the API.
    pub fn id(&self) -> TargetId {
        TargetId::from(&self.cgroup)
    }
}

/// What is known about a process from the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Identity.
    pub key: ProcessKey,
    /// Start of the process on the daemon's time axis.
    pub started_at: Timestamp,
    /// `/proc/PID/comm`.
    pub comm: String,
    /// Target of `/proc/PID/exe`, in the mount namespace of the process; without a ` (deleted)` suffix.
    pub exe: Result<String, Missing>,
    /// What an interpreter runs (script, module, jar, main class); none for other programs and where the command line does not tell.
    pub program: Option<String>,
    /// Its language runtime.
    pub runtime: Result<Runtime, Missing>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recreated_cgroup_is_another_target() {
        let first = CgroupKey {
            inode: 41,
            path: "/a".into(),
        };
        let again = CgroupKey {
            inode: 42,
            path: "/a".into(),
        };
        let moved = CgroupKey {
            inode: 41,
            path: "/b".into(),
        };
        assert_ne!(TargetId::from(&first), TargetId::from(&again));
        assert_ne!(TargetId::from(&first), TargetId::from(&moved));
        assert_eq!(TargetId::from(&first), TargetId::from(&first));
    }
}
