//! A connection to a process's own listening socket, also inside its network namespace.

use crate::collect::endpoint::listener::Listeners;
use crate::collect::endpoint::locate::Place;
use crate::collect::endpoint::locate::belongs;
use crate::collect::endpoint::process::OpenProcess;
use crate::collect::endpoint::watched::Watched;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_analysis::model::reading::Reading;
use rustix::thread::LinkNameSpaceType;
use rustix::thread::move_into_link_name_space;
use std::fs::File;
use std::io;
use std::net::TcpStream;
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;
use tokio::sync::oneshot;

/// Connects, if the process still lives and still listens there. Done by a thread of its own, because a thread that has
/// entered another network namespace must not be used for anything else.
pub(super) async fn connect(watched: &Watched, place: &Place, timeout: Duration) -> Reading<tokio::net::TcpStream> {
    let (watched, place) = (watched.clone(), place.clone());
    let (sender, receiver) = oneshot::channel();
    let spawned = std::thread::Builder::new().name("endpoint".to_owned()).spawn(move || {
        // Nobody listens any more when the whole request took too long.
        let _unheard = sender.send(connect_blocking(&watched, &place, timeout));
    });
    spawned.map_err(|error| failed(format!("cannot start a thread: {error}")))?;
    let stream = receiver
        .await
        .map_err(|_error| failed("the connecting thread ended early".to_owned()))??;
    tokio::net::TcpStream::from_std(stream).map_err(|error| failed(format!("cannot use the connection: {error}")))
}

fn connect_blocking(watched: &Watched, place: &Place, timeout: Duration) -> Reading<TcpStream> {
    let process = OpenProcess::open(watched.process)?;
    let place = belongs(place.clone(), watched, &Listeners::of(&process)?)?;
    enter(&process.file("ns/net")?).map_err(|error| not_entered(watched.process.pid, &error))?;
    TcpStream::connect_timeout(&place.address, timeout)
        .and_then(|stream| stream.set_nonblocking(true).map(|()| stream))
        .map_err(|error| refused(&place, &error))
}

/// Moves the calling thread into a network namespace, unless it is there.
fn enter(namespace: &File) -> io::Result<()> {
    let (own, other) = (std::fs::metadata("/proc/thread-self/ns/net")?, namespace.metadata()?);
    if (own.dev(), own.ino()) == (other.dev(), other.ino()) {
        return Ok(());
    }
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
    Ok(())
}

fn failed(detail: String) -> Missing {
    Missing::new(MissingReason::Failed, detail)
}

fn not_entered(pid: u32, error: &io::Error) -> Missing {
    let detail = format!("cannot enter the network namespace of process {pid}: {error}");
    if error.kind() == io::ErrorKind::PermissionDenied {
        Missing::new(MissingReason::NotPermitted, detail).with_fix("run the daemon as root or with CAP_SYS_ADMIN")
    } else {
        failed(detail)
    }
}

fn refused(place: &Place, error: &io::Error) -> Missing {
    let reason = match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => MissingReason::Timeout,
        _ => MissingReason::Failed,
    };
    Missing::new(reason, format!("cannot connect to {place}: {error}"))
}
