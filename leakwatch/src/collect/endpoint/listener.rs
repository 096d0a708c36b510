//! The TCP sockets on which a process listens: `/proc/PID/net/tcp` and `tcp6`, which are of its network namespace,
//! matched with the sockets it holds.

use crate::collect::endpoint::process::OpenProcess;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_analysis::model::reading::Reading;
use procfs::FromBufReadSI as _;
use procfs::net::TcpNetEntries;
use std::io::BufReader;
use std::net::IpAddr;
use std::net::SocketAddr;

/// All listening sockets of a process's network namespace.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    /// Those the process holds.
    own: Vec<SocketAddr>,
    /// Those it does not hold.
    foreign: Vec<SocketAddr>,
}

impl Listeners {
    /// Reads the listening sockets.
    pub(super) fn of(process: &OpenProcess) -> Reading<Self> {
        let sockets = process.sockets()?;
        let mut listeners = Self::default();
        for name in ["net/tcp", "net/tcp6"] {
            let file = match process.file(name) {
                Ok(file) => file,
                // A kernel without IPv6 has no such file; a process that exited is noticed at the other one.
                Err(_) if name == "net/tcp6" => continue,
                Err(missing) => return Err(missing),
            };
            let rows = listening_rows(BufReader::new(file)).map_err(|error| {
                Missing::new(MissingReason::Failed, format!("cannot read /proc/PID/{name}: {error}"))
            })?;
            let entries = TcpNetEntries::from_buf_read(rows.as_bytes(), procfs::current_system_info())
                .map_err(|error| Missing::new(MissingReason::Malformed, format!("/proc/PID/{name}: {error}")))?;
            for entry in entries.0 {
                let address = SocketAddr::new(entry.local_address.ip().to_canonical(), entry.local_address.port());
                if sockets.contains(&entry.inode) {
                    listeners.own.push(address);
                } else {
                    listeners.foreign.push(address);
                }
            }
        }
        listeners.own.sort_unstable();
        listeners.own.dedup();
        Ok(listeners)
    }

    #[cfg(test)]
    pub(super) fn for_test(own: &[&str], foreign: &[&str]) -> Self {
        let parse = |list: &[&str]| list.iter().map(|at| at.parse().unwrap()).collect();
        Self {
            own: parse(own),
            foreign: parse(foreign),
        }
    }

    /// What the process listens on, sorted.
    pub(super) fn own(&self) -> &[SocketAddr] {
        &self.own
    }

    /// Whether a connection to `address` can only reach the process: it listens there, and nobody else listens as
    /// closely (several processes may share a port by `SO_REUSEPORT`).
    pub(super) fn only_own(&self, address: SocketAddr) -> bool {
        let closest = |listeners: &[SocketAddr]| listeners.iter().filter_map(|at| closeness(*at, address)).max();
        match (closest(&self.own), closest(&self.foreign)) {
            (Some(own), foreign) => foreign.is_none_or(|foreign| foreign < own),
            (None, _) => false,
        }
    }
}

/// How closely a listening socket fits a destination; the kernel prefers the closest. `None` if it does not.
fn closeness(listener: SocketAddr, destination: SocketAddr) -> Option<u8> {
    if listener.port() != destination.port() {
        return None;
    }
    match (listener.ip(), destination.ip()) {
        (own, other) if own == other => Some(2),
        (own, other) if own.is_unspecified() && own.is_ipv4() == other.is_ipv4() => Some(1),
        // `[::]` takes IPv4 connections too, unless the program forbade it, and then the connection is refused.
        (IpAddr::V6(own), IpAddr::V4(_)) if own.is_unspecified() => Some(0),
        _ => None,
    }
}

/// The header and the listening rows, which come first (`tcp_seq_next` of `net/ipv4/tcp_ipv4.c`): a host with 100,000
/// connections has them all in this file.
fn listening_rows(mut file: impl std::io::BufRead) -> std::io::Result<String> {
    let mut rows = String::new();
    file.read_line(&mut rows)?;
    for line in file.lines() {
        let line = line?;
        if line.split_whitespace().nth(3) != Some("0A") {
            break;
        }
        rows.push_str(&line);
        rows.push('\n');
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listening_rows_are_read() {
        let table = "  sl  local_address rem_address   st\n   0: 0100007F:1F90 00000000:0000 0A x\n   1: 0100007F:1F90 0100007F:9999 01 x\nnever read";
        assert_eq!(listening_rows(table.as_bytes()).unwrap().lines().count(), 2);
    }

    #[test]
    fn a_port_shared_with_another_process_is_not_only_own() {
        let to = "127.0.0.1:6060".parse().unwrap();
        for (own, foreign, expected) in [
            (vec!["127.0.0.1:6060"], vec![], true),
            (vec!["0.0.0.0:6060"], vec![], true),
            (vec!["[::]:6060"], vec![], true),
            (vec!["[::1]:6060"], vec![], false),
            (vec!["127.0.0.1:6061"], vec![], false),
            (vec!["127.0.0.1:6060"], vec!["0.0.0.0:6060"], true),
            (vec!["0.0.0.0:6060"], vec!["127.0.0.1:6060"], false),
            (vec!["127.0.0.1:6060"], vec!["127.0.0.1:6060"], false),
            (vec!["[::]:6060"], vec!["0.0.0.0:6060"], false),
            (vec!["[::]:6060"], vec!["127.0.0.1:6061"], true),
        ] {
            assert_eq!(
                Listeners::for_test(&own, &foreign).only_own(to),
                expected,
                "{own:?} {foreign:?}"
            );
        }
    }
}
