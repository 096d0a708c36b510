//! Serving connections: bounded in number, each bounded in the time it may take to ask.

use crate::api::body::MAX_BODY_BYTES;
use crate::api::error::ApiError;
use crate::api::guard::Transport;
use crate::api::listen::Listeners;
use crate::api::places::Place;
use crate::api::places::Places;
use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse as _;
use axum::response::Response;
use http_body_util::BodyExt as _;
use http_body_util::LengthLimitError;
use http_body_util::Limited;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use hyper_util::service::TowerToHyperService;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::net::UnixListener;
use tokio::sync::Semaphore;
use tokio::sync::watch;
use tokio::time::timeout;
use tower::ServiceExt as _;

/// Connections at once. Beyond them the oldest that only waits makes room for the newest.
const MAX_CONNECTIONS: usize = 128;
/// A request whose body is not there by then is refused.
const BODY_DEADLINE: Duration = Duration::from_secs(5);
/// What is said to who comes while all connections are being answered, as text: there is no place for more.
const NO_PLACE: &[u8] =
    b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
/// Time to say it in.
const REFUSAL_DEADLINE: Duration = Duration::from_secs(1);
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
        places: Places::new(MAX_CONNECTIONS),
        refusals: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
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
    places: Arc<Places>,
    /// Connections that are being refused.
    refusals: Arc<Semaphore>,
    stopped: watch::Receiver<bool>,
}

impl Server {
    async fn accept_tcp(&self, listener: &TcpListener) {
        while !*self.stopped.borrow() {
            match listener.accept().await {
                Ok((stream, _peer)) => {
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(%error, "nodelay was not set");
                    }
                    self.spawn(stream, Transport::Tcp);
                }
                Err(error) => accept_failed(&error).await,
            }
        }
    }

    async fn accept_unix(&self, listener: &UnixListener) {
        while !*self.stopped.borrow() {
            match listener.accept().await {
                Ok((stream, _peer)) => self.spawn(stream, Transport::Unix),
                Err(error) => accept_failed(&error).await,
            }
        }
    }

    fn spawn<S>(&self, stream: S, transport: Transport)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let Some(place) = self.places.take() else {
            return self.refuse(stream);
        };
        let (router, place) = (self.router.clone(), Arc::new(place));
        let of_service = Arc::clone(&place);
        let service = tower::service_fn(move |request: hyper::Request<Incoming>| {
            answer(router.clone(), request, transport, Arc::clone(&of_service))
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
                // Dropped as it is: nobody waits for an answer on it.
                () = place.needed() => Ok(()),
                _stop = stopped.changed() => {
                    connection.as_mut().graceful_shutdown();
                    // Dropped with it: what a stream holds keeps the engine from its end.
                    timeout(LAST_ANSWERS, connection).await.unwrap_or(Ok(()))
                }
            };
            if let Err(error) = served {
                tracing::trace!(%error, "a connection ended early");
            }
            drop((place, stopped));
        });
    }

    /// Says that there is no place. Beyond so many refusals at once connections are closed without a word.
    fn refuse<S>(&self, mut stream: S)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let Ok(permit) = Arc::clone(&self.refusals).try_acquire_owned() else {
            return;
        };
        tokio::spawn(async move {
            let said = timeout(REFUSAL_DEADLINE, stream.write_all(NO_PLACE)).await;
            tracing::trace!(?said, "a connection was refused");
            drop((stream, permit));
        });
    }
}

/// Takes in the whole request before anything is counted or computed for it: half a request holds up nobody.
async fn answer(
    router: Router,
    request: hyper::Request<Incoming>,
    transport: Transport,
    place: Arc<Place>,
) -> Result<Response, Infallible> {
    let (parts, body) = request.into_parts();
    let body = timeout(BODY_DEADLINE, Limited::new(body, MAX_BODY_BYTES).collect()).await;
    let answering = place.answer();
    let body = match body {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            return Ok(ApiError::TooLarge { max: MAX_BODY_BYTES }.into_response());
        }
        Ok(Err(_)) | Err(_) => {
            let reason = format!("its body is not there within {} s", BODY_DEADLINE.as_secs());
            return Ok(ApiError::BadRequest { reason }.into_response());
        }
    };
    let mut request = hyper::Request::from_parts(parts, Body::from(body));
    request.extensions_mut().insert(transport);
    let response = router.oneshot(request).await?;
    // A stream is an answer as long as it lasts.
    Ok(response.map(|body| {
        Body::new(body.map_frame(move |frame| {
            let _under_way = &answering;
            frame
        }))
    }))
}

async fn accept_failed(error: &io::Error) {
    tracing::warn!(%error, "a connection could not be accepted");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}
