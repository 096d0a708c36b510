//! Which host, since which boot: what tells the data of two nodes apart.

use crate::model::reading::Reading;

/// Identity of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostIdentity {
    /// `/etc/machine-id`: the installation.
    pub machine_id: Reading<String>,
    /// `/proc/sys/kernel/random/boot_id`: this boot of it.
    pub boot_id: Reading<String>,
    /// `/proc/sys/kernel/hostname`: its name in the network, for people.
    pub node_name: Reading<String>,
}
