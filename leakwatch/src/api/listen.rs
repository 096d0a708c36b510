//! Where the API listens: a TCP address and a unix socket. Every refusal names what is in the way and the way out.

use crate::config::ApiConfig;
use rustix::fs::Gid;
use rustix::fs::chown;
use std::fs::DirBuilder;
use std::fs::Permissions;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use tokio::net::TcpListener;
use tokio::net::UnixListener;

/// The group whose members may use the unix socket.
const GROUP: &str = "leakwatch";
const GROUP_FILE: &str = "/etc/group";

/// Why the API cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Something listens on the address already.
    #[error("{address} is in use by another program: stop it, or choose another address with --listen (or `off`)")]
    AddressInUse {
        /// The address.
        address: SocketAddr,
    },
    /// The address cannot be listened on for another reason.
    #[error("cannot listen on {address}: choose another address with --listen (or `off`)")]
    Address {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A daemon answers on the socket.
    #[error("another daemon answers on {path}: stop it, or choose another path with --socket (or `off`)", path = path.display())]
    SocketInUse {
        /// The socket.
        path: PathBuf,
    },
    /// Something that is no socket is in the way.
    #[error("{path} is not a socket: remove it, or choose another path with --socket (or `off`)", path = path.display())]
    NotASocket {
        /// What is in the way.
        path: PathBuf,
    },
    /// The socket cannot be made.
    #[error("cannot make the unix socket {path}: run as root, or choose another path with --socket (or `off`)", path = path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Neither address nor socket is configured.
    #[error("the API listens nowhere: set `api.listen` or `api.socket`")]
    Nowhere,
}

/// Open listeners.
#[derive(Debug)]
pub struct Listeners {
    pub(crate) tcp: Option<TcpListener>,
    pub(crate) unix: Option<(UnixListener, SocketFile)>,
    /// What the user should know.
    pub notes: Vec<String>,
}

/// The file of a unix socket, removed when the daemon ends.
#[derive(Debug)]
pub(crate) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            tracing::debug!(path = %self.0.display(), %error, "the socket could not be removed");
        }
    }
}

impl Listeners {
    /// Opens what is configured. A stale socket of a daemon that died is replaced.
    pub async fn bind(config: &ApiConfig) -> Result<Self, ListenError> {
        let mut listeners = Self {
            tcp: None,
            unix: None,
            notes: Vec::new(),
        };
        if let Some(address) = config.listen {
            listeners.tcp = Some(bind_tcp(address).await?);
        }
        if let Some(path) = &config.socket {
            listeners.unix = Some(bind_unix(path, &mut listeners.notes).await?);
        }
        if listeners.tcp.is_none() && listeners.unix.is_none() {
            return Err(ListenError::Nowhere);
        }
        Ok(listeners)
    }

    /// The URL of the TCP listener, with the port the system chose.
    pub fn url(&self) -> Option<String> {
        let address = self.tcp.as_ref().and_then(|listener| listener.local_addr().ok())?;
        Some(format!("http://{address}"))
    }

    /// The path of the unix socket.
    pub fn socket(&self) -> Option<&Path> {
        self.unix.as_ref().map(|(_, file)| file.0.as_path())
    }
}

async fn bind_tcp(address: SocketAddr) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address).await.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => ListenError::AddressInUse { address },
        _ => ListenError::Address { address, source },
    })
}

async fn bind_unix(path: &Path, notes: &mut Vec<String>) -> Result<(UnixListener, SocketFile), ListenError> {
    let failed = |source| ListenError::Socket {
        path: path.to_owned(),
        source,
    };
    if let Some(directory) = path.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(directory)
            .map_err(failed)?;
    }
    clear_stale(path).await?;
    let listener = UnixListener::bind(path).map_err(failed)?;
    let file = SocketFile(path.to_owned());
    // Until here only the owner may connect, whatever the umask: connecting takes the write permission.
    let group = group_id(&std::fs::read_to_string(GROUP_FILE).unwrap_or_default(), GROUP);
    let shared =
        group.is_some_and(|group| belongs_to(path, group) || chown(path, None, Some(Gid::from_raw(group))).is_ok());
    let mode = if shared { 0o660 } else { 0o600 };
    std::fs::set_permissions(path, Permissions::from_mode(mode)).map_err(failed)?;
    if !shared {
        let path = path.display();
        notes.push(format!(
            "only the owner may use {path}: make a group `{GROUP}` and restart to share it"
        ));
    }
    Ok((listener, file))
}

/// Started with the group of its own, the daemon need not be allowed to give files away.
fn belongs_to(path: &Path, group: u32) -> bool {
    std::fs::metadata(path).is_ok_and(|file| file.gid() == group)
}

/// Removes the socket of a daemon that died. Two daemons starting at once are kept apart by the state directory's lock.
async fn clear_stale(path: &Path) -> Result<(), ListenError> {
    let failed = |source| ListenError::Socket {
        path: path.to_owned(),
        source,
    };
    let metadata = match std::fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(failed(source)),
    };
    if !metadata.file_type().is_socket() {
        return Err(ListenError::NotASocket { path: path.to_owned() });
    }
    match tokio::net::UnixStream::connect(path).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path).map_err(failed),
        Err(source) => Err(failed(source)),
        Ok(_answered) => Err(ListenError::SocketInUse { path: path.to_owned() }),
    }
}

/// The id of a group in the text of `/etc/group`.
fn group_id(text: &str, name: &str) -> Option<u32> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name))
            .then(|| fields.nth(1)?.parse().ok())
            .flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(listen: Option<SocketAddr>, socket: Option<PathBuf>) -> ApiConfig {
        ApiConfig {
            listen,
            socket,
            token_file: None,
            token: None,
            hosts: Vec::new(),
        }
    }

    #[tokio::test]
    async fn a_busy_port_is_named_with_the_way_out() {
        let busy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = busy.local_addr().unwrap();
        let refusal = Listeners::bind(&config(Some(address), None)).await.unwrap_err();
        assert!(matches!(refusal, ListenError::AddressInUse { .. }));
        assert!(refusal.to_string().contains("--listen"), "{refusal}");
        assert!(matches!(
            Listeners::bind(&config(None, None)).await,
            Err(ListenError::Nowhere)
        ));
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_a_living_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run/api.sock");
        std::fs::create_dir(directory.path().join("run")).unwrap();
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "a dead daemon leaves its socket");
        let living = Listeners::bind(&config(None, Some(path.clone()))).await.unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert!(
            mode == 0o660 || (mode == 0o600 && living.notes.len() == 1),
            "mode {mode:o}"
        );
        let refusal = Listeners::bind(&config(None, Some(path.clone()))).await.unwrap_err();
        assert!(matches!(refusal, ListenError::SocketInUse { .. }), "{refusal}");
        drop(living);
        assert!(!path.exists(), "a daemon that ends removes its socket");
        std::fs::write(&path, "precious").unwrap();
        let refusal = Listeners::bind(&config(None, Some(path.clone()))).await.unwrap_err();
        assert!(matches!(refusal, ListenError::NotASocket { .. }), "{refusal}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    }

    #[test]
    fn the_group_is_found_by_its_whole_name() {
        let text = "root:x:0:\nleakwatchers:x:7:\nleakwatch:x:998:u\nbroken\n";
        assert_eq!(group_id(text, "leakwatch"), Some(998));
        assert_eq!(group_id(text, "broken"), None);
    }
}
