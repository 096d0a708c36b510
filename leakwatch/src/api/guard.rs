//! Who may ask: checks that every request passes before it reaches a route.
//!
//! Over TCP a web page in the user's browser could reach the daemon, so names that an attacker can point at us (`Host`)
//! and requests of other pages (`Origin`) are refused; and where a token is configured, it has to be shown. The unix
//! socket is guarded by its file permissions instead.

use crate::api::error::ApiError;
use crate::api::ui;
use crate::config::live::Live;
use crate::config::token::Token;
use axum::extract::Request;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header;
use axum::http::uri::Authority;
use axum::middleware::Next;
use axum::response::IntoResponse;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Requests answered at once; an answer takes milliseconds and at most a few MiB.
const MAX_REQUESTS: usize = 64;
/// An answer that takes longer is of no use to whoever waits for it.
const DEADLINE: Duration = Duration::from_secs(30);
/// Routes that orchestrators ask without credentials.
const OPEN_ROUTES: [&str; 2] = ["/healthz", "/readyz"];

/// How a request came in; put into its extensions by the server. Without it a request counts as TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    /// Guarded by file permissions.
    Unix,
    /// Guarded by the checks here.
    Tcp,
}

/// What is checked.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    config: Live,
    requests: Arc<Semaphore>,
}

impl Guard {
    pub(crate) fn new(config: Live) -> Self {
        Self {
            config,
            requests: Arc::new(Semaphore::new(MAX_REQUESTS)),
        }
    }

    fn check(&self, request: &Request) -> Result<(), ApiError> {
        if request.extensions().get::<Transport>() == Some(&Transport::Unix) {
            return Ok(());
        }
        let config = self.config.config();
        let host = check_host(request.headers(), &config.api.hosts)?;
        check_origin(request.headers(), &host)?;
        let path = request.uri().path();
        if OPEN_ROUTES.contains(&path) || ui::PATHS.contains(&path) {
            return Ok(());
        }
        match &config.api.token {
            Some(token) if !shows(request.headers(), token) => Err(ApiError::Unauthorized),
            _ => Ok(()),
        }
    }
}

fn check_host(headers: &HeaderMap, hosts: &[String]) -> Result<Authority, ApiError> {
    let text = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let text = text.ok_or_else(|| ApiError::BadRequest {
        reason: "a `Host` header is needed".to_owned(),
    })?;
    let forbidden = || ApiError::Forbidden {
        header: "Host",
        value: text.to_owned(),
    };
    let authority: Authority = text.parse().map_err(|_error| forbidden())?;
    if is_ours(authority.host(), hosts) {
        Ok(authority)
    } else {
        Err(forbidden())
    }
}

/// DNS rebinding needs a name: an address literal cannot be pointed elsewhere.
fn is_ours(host: &str, hosts: &[String]) -> bool {
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    bare.parse::<IpAddr>().is_ok()
        || bare.eq_ignore_ascii_case("localhost")
        || hosts.iter().any(|name| name.eq_ignore_ascii_case(bare))
}

/// Checks, counts and times every request.
pub(crate) async fn guard(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    if let Err(refusal) = guard.check(&request) {
        return refusal.into_response();
    }
    let Ok(_permit) = guard.requests.try_acquire() else {
        return ApiError::TooMany { retry_after_seconds: 1 }.into_response();
    };
    match timeout(DEADLINE, next.run(request)).await {
        Ok(response) => response,
        Err(_elapsed) => ApiError::Unavailable {
            reason: format!("no answer within {} s", DEADLINE.as_secs()),
        }
        .into_response(),
    }
}

/// A page may ask only if it came from here.
fn check_origin(headers: &HeaderMap, host: &Authority) -> Result<(), ApiError> {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return Ok(());
    };
    let text = origin.to_str().unwrap_or("(unprintable)");
    let authority = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    let same = authority
        .and_then(|text| text.parse::<Authority>().ok())
        .is_some_and(|origin| origin == *host);
    if same {
        Ok(())
    } else {
        Err(ApiError::Forbidden {
            header: "Origin",
            value: text.to_owned(),
        })
    }
}

/// Bearer, or Basic with the token as the password and any user.
fn shows(headers: &HeaderMap, token: &Token) -> bool {
    let Some(authorization) = headers.get(header::AUTHORIZATION) else {
        return false;
    };
    let Ok(text) = authorization.to_str() else { return false };
    let Some((scheme, credentials)) = text.split_once(' ') else {
        return false;
    };
    let credentials = credentials.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return token.matches(credentials.as_bytes());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return false;
    }
    let Ok(decoded) = STANDARD.decode(credentials) else {
        return false;
    };
    let mut parts = decoded.splitn(2, |byte| *byte == b':');
    parts.next().is_some() && parts.next().is_some_and(|password| token.matches(password))
}
