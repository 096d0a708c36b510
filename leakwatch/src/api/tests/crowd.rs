//! Clients that send half a request, hold streams open or only connect take nothing away from those who ask.

use crate::api::listen::Listeners;
use crate::api::serve::serve;
use crate::api::tests::fixture::Daemon;
use crate::config::Config;
use crate::config::Environment;
use std::net::SocketAddr;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::oneshot;

const HALF_SENT: usize = 200;
const STREAMS: usize = 300;

async fn send(address: SocketAddr, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // One that had to make room meanwhile is closed: then it is told nothing any more.
    let _closed = stream.write_all(text.as_bytes()).await;
    stream
}

async fn status(address: SocketAddr, text: &str) -> String {
    let mut stream = send(address, text).await;
    let mut answer = Vec::new();
    let _closed = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn half_sent_requests_and_streams_do_not_keep_anybody_from_an_answer() {
    let mut config = Config::defaults(&Environment::default());
    config.api.listen = Some("127.0.0.1:0".parse().unwrap());
    config.api.socket = None;
    let listeners = Listeners::bind(&config.api).await.unwrap();
    let address: SocketAddr = listeners.url().unwrap().trim_start_matches("http://").parse().unwrap();
    let daemon = Daemon::with_config(config);
    let (stop, stopped) = oneshot::channel::<()>();
    let served = tokio::spawn(serve(listeners, daemon.router.clone(), async { drop(stopped.await) }));

    let host = "Host: 127.0.0.1\r\n";
    let mut crowd = Vec::new();
    for index in 0..STREAMS.max(HALF_SENT) {
        if index < STREAMS {
            crowd.push(send(address, &format!("GET /api/v1/stream HTTP/1.1\r\n{host}\r\n")).await);
        }
        if index < HALF_SENT {
            let half = match index % 3 {
                0 => String::new(),
                1 => format!("GET /healthz HTTP/1.1\r\n{host}"),
                _ => format!("POST /api/v1/targets/x/captures HTTP/1.1\r\n{host}Content-Length: 10\r\n\r\n{{"),
            };
            crowd.push(send(address, &half).await);
        }
        if index % 20 == 0 {
            let healthy = status(
                address,
                &format!("GET /healthz HTTP/1.1\r\n{host}Connection: close\r\n\r\n"),
            )
            .await;
            assert!(healthy.starts_with("HTTP/1.1 200"), "after {index}: {healthy:?}");
        }
    }
    let refused = status(
        address,
        &format!("GET /api/v1/stream HTTP/1.1\r\n{host}Connection: close\r\n\r\n"),
    )
    .await;
    assert!(refused.starts_with("HTTP/1.1 429"), "{refused}");
    assert!(refused.to_ascii_lowercase().contains("retry-after: "), "{refused}");
    let large = format!(
        "POST /api/v1/targets/x/captures HTTP/1.1\r\n{host}Content-Length: 70000\r\nConnection: close\r\n\r\n{}",
        "x".repeat(70_000)
    );
    let large = status(address, &large).await;
    assert!(large.starts_with("HTTP/1.1 413"), "{large}");
    drop((crowd, stop));
    served.await.unwrap();
}
