//! One notification handed over by HTTP.

use http::Request;
use http::StatusCode;
use http::Uri;
use http::header;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::error::Error;
use std::fmt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const USER_AGENT: &str = concat!("leakwatch/", env!("CARGO_PKG_VERSION"));

/// What a receiver may answer another time otherwise: it is in a hurry, or is configured again.
const MAY_CHANGE: [StatusCode; 5] = [
    StatusCode::UNAUTHORIZED,
    StatusCode::FORBIDDEN,
    StatusCode::NOT_FOUND,
    StatusCode::REQUEST_TIMEOUT,
    StatusCode::TOO_MANY_REQUESTS,
];

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It was taken.
    Taken,
    /// It never will be: the receiver says that it is wrong.
    Refused(StatusCode),
    /// It may be another time.
    Failed(String),
}

/// Who is told.
#[derive(Clone, Debug)]
pub(super) struct Receiver {
    url: Uri,
}

impl fmt::Display for Receiver {
    /// Without path and query, which may hold a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}:{}", self.url.host().unwrap_or_default(), self.port())
    }
}

impl Receiver {
    pub(super) fn new(url: Uri) -> Self {
        Self { url }
    }

    fn port(&self) -> u16 {
        self.url.port_u16().unwrap_or(80)
    }

    /// Hands it over. The caller bounds the time.
    pub(super) async fn post(&self, body: Vec<u8>) -> Answer {
        match self.exchange(body).await {
            Ok(status) if status.is_success() => Answer::Taken,
            Ok(status) if status.is_client_error() && !MAY_CHANGE.contains(&status) => Answer::Refused(status),
            Ok(status) => Answer::Failed(status.to_string()),
            Err(error) => Answer::Failed(error.to_string()),
        }
    }

    async fn exchange(&self, body: Vec<u8>) -> Result<StatusCode, Box<dyn Error + Send + Sync>> {
        let host = self.url.host().unwrap_or_default();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((bare, self.port())).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let path = self.url.path_and_query().map_or("/", |path| path.as_str());
        let request = Request::post(path)
            .header(header::HOST, format!("{host}:{}", self.port()))
            .header(header::USER_AGENT, USER_AGENT)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::CONNECTION, "close")
            .body(Full::new(Bytes::from(body)))?;
        // Of the answer only the status counts; dropping the sender and the task closes the connection. What went wrong with the connection
        // comes back through the request.
        let mut driver = JoinSet::new();
        driver.spawn(connection);
        Ok(sender.send_request(request).await?.status())
    }
}
