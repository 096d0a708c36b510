//! One HTTP exchange over a given connection: a profile's bytes, or why there are none.

use crate::collect::endpoint::locate::Place;
use http::Response;
use http::StatusCode;
use http::header;
use http_body_util::BodyExt as _;
use http_body_util::Empty;
use hyper::body::Body as _;
use hyper::body::Bytes;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use leakwatch_analysis::model::profile::ProfileType;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_analysis::model::reading::Reading;
use std::error::Error;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;

const USER_AGENT: &str = concat!("leakwatch/", env!("CARGO_PKG_VERSION"));

/// Ends the connection's task with the exchange, however that ends.
struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Gets a profile of at most `max_bytes`. The caller bounds the time.
pub(super) async fn get(
    stream: TcpStream,
    place: &Place,
    profile_type: ProfileType,
    max_bytes: usize,
) -> Reading<Vec<u8>> {
    let broken = |error: hyper::Error| {
        let reason = if error.is_parse() || error.is_incomplete_message() || is_cut_off(&error) {
            MissingReason::Malformed
        } else {
            MissingReason::Failed
        };
        Missing::new(reason, format!("{place}{}: {}", profile_type.name(), causes(&error)))
    };
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    // Its errors come back through the request.
    let _connection = AbortOnDrop(tokio::spawn(connection).abort_handle());
    let request = http::Request::get(place.path(profile_type))
        .header(header::HOST, &place.authority)
        .header(header::USER_AGENT, USER_AGENT)
        .header(header::ACCEPT_ENCODING, "identity")
        .body(Empty::<Bytes>::new())
        .map_err(|error| Missing::new(MissingReason::NotConfigured, format!("cannot ask {place}: {error}")))?;
    let response = sender.send_request(request).await.map_err(broken)?;
    judge(&response, place, profile_type)?;
    let too_large = || {
        let detail = format!("{place}{} is larger than {max_bytes} bytes", profile_type.name());
        Missing::new(MissingReason::TooLarge, detail)
    };
    let mut body = response.into_body();
    if body.size_hint().lower() > max_bytes as u64 {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(broken)?.into_data() else {
            continue;
        };
        if bytes.len().saturating_add(data.len()) > max_bytes {
            return Err(too_large());
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

/// Refuses everything but a plain 200.
fn judge(response: &Response<Incoming>, place: &Place, profile_type: ProfileType) -> Reading<()> {
    let status = response.status();
    let name = profile_type.name();
    let text = |name: header::HeaderName| {
        let value = response.headers().get(name)?;
        // From outside, and bound for a log: short and printable.
        Some(
            String::from_utf8_lossy(value.as_bytes())
                .escape_default()
                .take(200)
                .collect::<String>(),
        )
    };
    if status == StatusCode::OK {
        return match text(header::CONTENT_ENCODING) {
            Some(encoding) if encoding != "identity" => Err(Missing::new(
                MissingReason::Malformed,
                format!("{place}{name} is content-encoded as {encoding}, though that was not accepted"),
            )
            .with_fix("serve /debug/pprof/ without compression: profiles are compressed already")),
            _ => Ok(()),
        };
    }
    let detail = format!("{place}{name} answered {status}");
    Err(match status {
        StatusCode::NOT_FOUND if profile_type == ProfileType::GoroutineLeak => Missing::new(
            MissingReason::Unsupported,
            format!("{detail}: the program was built without this profile"),
        )
        .with_fix("build it with Go 1.27 or newer"),
        StatusCode::NOT_FOUND => Missing::new(MissingReason::Unsupported, detail)
            .with_fix("import net/http/pprof into the served mux, or correct the url of the [[go.endpoint]]"),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Missing::new(MissingReason::NotPermitted, detail)
            .with_fix("serve /debug/pprof/ on a loopback port without authentication"),
        status if status.is_redirection() => {
            let location = text(header::LOCATION).unwrap_or_else(|| "nowhere".to_owned());
            Missing::new(
                MissingReason::Failed,
                format!("{detail} to {location}; redirects are not followed"),
            )
            .with_fix("let the url of the [[go.endpoint]] name the final address")
        }
        _ => Missing::new(MissingReason::Failed, detail),
    })
}

/// Whether the body ended before its announced length.
fn is_cut_off(error: &hyper::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<std::io::Error>());
    cause.is_some_and(|cause| cause.kind() == std::io::ErrorKind::UnexpectedEof)
}

/// An error with what caused it.
pub(in crate::collect) fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
