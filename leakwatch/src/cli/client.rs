//! A client of the API over the unix socket or TCP: one request, one connection.

use crate::cli::error::CliError;
use crate::config::Config;
use crate::config::Environment;
use crate::config::error::ConfigError;
use crate::config::token::Token;
use crate::dto::problem::Problem;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use http::Request;
use http::Uri;
use http::header;
use http_body_util::BodyExt as _;
use http_body_util::Full;
use http_body_util::Limited;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio::net::UnixStream;
use tokio::time::timeout;

const TIMEOUT: Duration = Duration::from_mins(1);
/// More than any answer of a daemon within its bounds.
const MAX_ANSWER: usize = 256 << 20;

type Cause = Box<dyn std::error::Error + Send + Sync>;

enum Endpoint {
    Unix(PathBuf),
    Tcp { authority: String, port: u16, host: String },
}

/// A client of one daemon.
pub(crate) struct Client {
    endpoint: Endpoint,
    authorization: Option<String>,
    /// Where programs that speak no unix sockets find the daemon.
    url: Option<String>,
}

impl Client {
    /// By flag, by `LEAKWATCH_ENDPOINT`, else where the daemon of this host listens by its configuration.
    pub(crate) fn new(
        flag: Option<&str>,
        config: Result<&Config, &ConfigError>,
        environment: &Environment,
    ) -> Result<Self, CliError> {
        let named = flag.or_else(|| environment.variables.get("LEAKWATCH_ENDPOINT").map(String::as_str));
        // Who names the endpoint needs no configuration, and may be unable to read the daemon's.
        let api = config.ok().map(|config| &config.api);
        let token = api.and_then(|api| api.token.as_ref()).map(Token::bearer);
        if let Some(url) = named {
            let (endpoint, authorization) = parse(url)?;
            let url = match &endpoint {
                Endpoint::Tcp { authority, .. } => Some(format!("http://{authority}")),
                Endpoint::Unix(_) => None,
            };
            return Ok(Self {
                endpoint,
                authorization: authorization.or(token),
                url,
            });
        }
        let socket = api.map_or_else(|| Some(environment.default_socket()), |api| api.socket.clone());
        let address = api.map_or(Some(Config::DEFAULT_LISTEN), |api| api.listen);
        let endpoint = match (socket.filter(|path| path.exists()), address) {
            (Some(path), _) => Endpoint::Unix(path),
            (None, Some(mut address)) => {
                if address.ip().is_unspecified() {
                    address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
                }
                Endpoint::Tcp {
                    authority: address.to_string(),
                    port: address.port(),
                    host: address.ip().to_string(),
                }
            }
            (None, None) => Endpoint::Unix(environment.default_socket()),
        };
        Ok(Self {
            endpoint,
            authorization: token,
            url: address.map(|address| format!("http://{address}")),
        })
    }

    /// Where other programs on this host find it, if it listens on an address.
    pub(crate) fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }

    /// Where the daemon is.
    pub(crate) fn name(&self) -> String {
        match &self.endpoint {
            Endpoint::Unix(path) => format!("unix://{}", path.display()),
            Endpoint::Tcp { authority, .. } => format!("http://{authority}"),
        }
    }

    /// The body of a route, understood.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, CliError> {
        self.json(Method::GET, path, Bytes::new()).await
    }

    /// Sends a body; answers the one that comes back.
    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, CliError> {
        let body = serde_json::to_vec(body).map_err(|error| self.not_understood(path, error.into()))?;
        self.json(Method::POST, path, body.into()).await
    }

    /// Deletes; answers the body that comes back.
    pub(crate) async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, CliError> {
        self.json(Method::DELETE, path, Bytes::new()).await
    }

    async fn json<T: DeserializeOwned>(&self, method: Method, path: &str, body: Bytes) -> Result<T, CliError> {
        let body = self.send(method, path, body).await?;
        serde_json::from_slice(&body).map_err(|error| self.not_understood(path, error.into()))
    }

    /// The body of a route as it is.
    pub(crate) async fn bytes(&self, path: &str) -> Result<Bytes, CliError> {
        self.send(Method::GET, path, Bytes::new()).await
    }

    async fn send(&self, method: Method, path: &str, body: Bytes) -> Result<Bytes, CliError> {
        let asked = timeout(TIMEOUT, self.ask(method, path, body)).await;
        let (status, body) = asked
            .map_err(Cause::from)
            .and_then(|answer| answer)
            .map_err(|source: Cause| CliError::Unreachable {
                endpoint: self.name(),
                source,
            })?;
        if status.is_success() {
            return Ok(body);
        }
        let problem: Problem =
            serde_json::from_slice(&body).map_err(|error| self.not_understood(path, error.into()))?;
        Err(CliError::Refused {
            status: status.as_u16(),
            detail: problem.detail,
        })
    }

    fn not_understood(&self, path: &str, source: Cause) -> CliError {
        CliError::Answer {
            endpoint: self.name(),
            path: path.to_owned(),
            source,
        }
    }

    async fn ask(&self, method: Method, path: &str, body: Bytes) -> Result<(http::StatusCode, Bytes), Cause> {
        let request = Request::builder().method(method).uri(path);
        match &self.endpoint {
            Endpoint::Unix(socket) => {
                let request = request.header(header::HOST, "localhost");
                self.over(UnixStream::connect(socket).await?, request, body).await
            }
            Endpoint::Tcp { authority, host, port } => {
                let request = request.header(header::HOST, authority);
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                self.over(stream, request, body).await
            }
        }
    }

    async fn over<S>(
        &self,
        stream: S,
        mut request: http::request::Builder,
        body: Bytes,
    ) -> Result<(http::StatusCode, Bytes), Cause>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::new(body))?;
        let answer = async {
            let response = sender.send_request(request).await?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await?;
            Ok::<_, Cause>((status, body.to_bytes()))
        };
        // The connection has to be driven until the answer is complete, and is of no use afterwards.
        tokio::select! {
            answer = answer => answer,
            ended = async { connection.await?; std::future::pending::<Result<_, Cause>>().await } => ended,
        }
    }
}

fn parse(url: &str) -> Result<(Endpoint, Option<String>), CliError> {
    let wrong = || {
        CliError::Usage(format!(
            "--endpoint {url:?} is not an address, write unix:///run/leakwatch/api.sock or http://HOST:PORT"
        ))
    };
    if let Some(path) = url.strip_prefix("unix://") {
        return if path.starts_with('/') {
            Ok((Endpoint::Unix(path.into()), None))
        } else {
            Err(wrong())
        };
    }
    let uri: Uri = url.parse().map_err(|_error| wrong())?;
    let authority = uri
        .authority()
        .filter(|_| uri.scheme_str() == Some("http"))
        .ok_or_else(wrong)?;
    if !matches!(uri.path(), "" | "/") {
        return Err(wrong());
    }
    let credentials = authority.as_str().rsplit_once('@').map(|(credentials, _)| credentials);
    let host = authority.host();
    let port = authority.port_u16().unwrap_or(Config::DEFAULT_LISTEN.port());
    let endpoint = Endpoint::Tcp {
        authority: format!("{host}:{port}"),
        port,
        host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
    };
    Ok((
        endpoint,
        credentials.map(|credentials| format!("Basic {}", STANDARD.encode(credentials))),
    ))
}

/// A query from parameters that are given.
pub(crate) fn query<'a>(parameters: impl IntoIterator<Item = (&'a str, Option<&'a str>)>) -> String {
    let given = parameters
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name}={}", encoded(value?))));
    let given: Vec<String> = given.collect();
    if given.is_empty() {
        String::new()
    } else {
        format!("?{}", given.join("&"))
    }
}

/// A text as one part of a path, or as a value in a query.
pub(crate) fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b',' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn endpoints_are_taken_apart() {
        let (endpoint, authorization) = parse("http://user:secret@[::1]:80/").unwrap();
        assert!(matches!(endpoint, Endpoint::Tcp { port: 80, host, .. } if host == "::1"));
        assert_eq!(authorization.as_deref(), Some("Basic dXNlcjpzZWNyZXQ="));
        assert!(
            matches!(parse("unix:///run/a.sock").unwrap().0, Endpoint::Unix(path) if path == Path::new("/run/a.sock"))
        );
        assert!(matches!(
            parse("http://localhost").unwrap().0,
            Endpoint::Tcp { port: 7411, .. }
        ));
        for url in ["localhost:7411", "https://h/", "unix://relative", "http://h/api", ""] {
            assert_eq!(parse(url).err().map(|error| error.exit_code()), Some(2), "{url}");
        }
    }

    #[test]
    fn cgroup_paths_fit_into_one_segment() {
        assert_eq!(encoded("/a b/c.service"), "%2Fa%20b%2Fc.service");
        assert_eq!(query([("a", Some("1&2")), ("b", None)]), "?a=1%262");
        assert_eq!(query([("a", None)]), "");
    }
}
