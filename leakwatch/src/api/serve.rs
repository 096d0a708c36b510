//! Serving connections: bounded in number, each bounded in the time it may take to ask.

use crate::api::guard::Transport;
use crate::api::listen::Listeners;
use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use hyper_util::service::TowerToHyperService;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net::TcpListener;
use tokio::net::UnixListener;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;
use tokio::sync::watch;
use tokio::time::timeout;
use tower::ServiceExt as _;

/// Connections at once; more wait in the kernel's backlog.
const MAX_CONNECTIONS: usize = 128;
/// A client that has not sent its request line and headers by then is dropped; also the end of idle connections.
const HEADER_DEADLINE: Duration = Duration::from_secs(30);
/// After a failed accept (out of descriptors) there is nothing to do but to wait for connections to end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Requests in progress are given so long at the end.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// Serves until `shutdown` completes; requests in progress are answered, event streams are cut.
pub async fn serve(listeners: Listeners, router: Router, shutdown: impl Future<Output = ()>) {
    let (stop, stopped) = watch::channel(false);
    let server = Server {
        router,
        connections: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
        stopped,
    };
    let tcp = async {
        if let Some(listener) = &listeners.tcp {
            server.accept_tcp(listener).await;
        }
        std::future::pending::<()>().await;
    };
    let unix = async {
        if let Some((listener, _file)) = &listeners.unix {
            server.accept_unix(listener).await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = tcp => {}
        () = unix => {}
        () = shutdown => {}
    }
    // Receivers are the connections that are still open; nobody listening is fine.
    stop.send_replace(true);
    drop(server);
    stop.closed().await;
}

struct Server {
    router: Router,
    connections: Arc<Semaphore>,
    stopped: watch::Receiver<bool>,
}

impl Server {
    async fn accept_tcp(&self, listener: &TcpListener) {
        while let Ok(permit) = Arc::clone(&self.connections).acquire_owned().await {
            match listener.accept().await {
                Ok((stream, _peer)) => {
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(%error, "nodelay was not set");
                    }
                    self.spawn(stream, Transport::Tcp, permit);
                }
                Err(error) => accept_failed(&error).await,
            }
        }
    }

    async fn accept_unix(&self, listener: &UnixListener) {
        while let Ok(permit) = Arc::clone(&self.connections).acquire_owned().await {
            match listener.accept().await {
                Ok((stream, _peer)) => self.spawn(stream, Transport::Unix, permit),
                Err(error) => accept_failed(&error).await,
            }
        }
    }

    fn spawn<S>(&self, stream: S, transport: Transport, permit: OwnedSemaphorePermit)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let router = self.router.clone();
        let service = tower::service_fn(move |request: hyper::Request<Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(transport);
            router.clone().oneshot(request)
        });
        let mut stopped = self.stopped.clone();
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_DEADLINE)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
        tokio::spawn(async move {
            let mut connection = std::pin::pin!(connection);
            let served = tokio::select! {
                served = connection.as_mut() => served,
                _stop = stopped.changed() => {
                    connection.as_mut().graceful_shutdown();
                    // Dropped with it: what a stream holds keeps the engine from its end.
                    timeout(LAST_ANSWERS, connection).await.unwrap_or(Ok(()))
                }
            };
            if let Err(error) = served {
                tracing::trace!(%error, "a connection ended early");
            }
            drop((permit, stopped));
        });
    }
}

async fn accept_failed(error: &io::Error) {
    tracing::warn!(%error, "a connection could not be accepted");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}
