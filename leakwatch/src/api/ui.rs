//! `/`: the web page for browsers, and a text that points at the API for everybody else.
//!
//! The page is built from `ui/` and committed there, so that building the daemon needs no Node. It holds nothing but code:
//! it is served without a token, and asks for one when the API wants it.

use axum::http::HeaderMap;
use axum::http::HeaderValue;
use axum::http::header;
use axum::response::IntoResponse;
use axum::response::Response;

/// Where the page and its parts are.
pub(crate) const PATHS: [&str; 3] = ["/", SCRIPT_PATH, STYLE_PATH];
pub(crate) const SCRIPT_PATH: &str = "/leakwatch.js";
pub(crate) const STYLE_PATH: &str = "/leakwatch.css";

const PAGE: &str = include_str!("../../../ui/dist/index.html");
const SCRIPT: &str = include_str!("../../../ui/dist/leakwatch.js");
const STYLE: &str = include_str!("../../../ui/dist/leakwatch.css");
const INDEX: &str = include_str!("index.txt");

/// Nothing but the page's own files runs or is asked for, and no other page may frame it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The web page, or a text that points at the API.
#[utoipa::path(
    get,
    path = "/",
    tag = "daemon",
    responses((status = 200, description = "the web page where HTML is accepted, else a text", content(
        (String = "text/html"),
        (String = "text/plain"),
    )))
)]
pub(crate) async fn index(headers: HeaderMap) -> Response {
    let accepted = headers.get_all(header::ACCEPT).iter();
    let mut response = if accepts_html(accepted.filter_map(|value| value.to_str().ok())) {
        file("text/html; charset=utf-8", PAGE)
    } else {
        file("text/plain; charset=utf-8", INDEX)
    };
    response
        .headers_mut()
        .insert(header::VARY, HeaderValue::from_static("accept"));
    response
}

/// The page's script.
pub(crate) async fn script() -> Response {
    file("text/javascript; charset=utf-8", SCRIPT)
}

/// The page's style sheet.
pub(crate) async fn style() -> Response {
    file("text/css; charset=utf-8", STYLE)
}

/// Browsers name HTML; `curl` accepts anything, and a person who reads its output wants text.
fn accepts_html<'a>(mut accepted: impl Iterator<Item = &'a str>) -> bool {
    accepted.any(|value| {
        value
            .split(',')
            .filter_map(|entry| entry.split(';').next())
            .any(|kind| kind.trim().eq_ignore_ascii_case("text/html"))
    })
}

fn file(content_type: &'static str, body: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
        // Another version of the daemon has another page: ask each time, the tag saves the transfer.
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    (headers, body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_get_the_page_and_others_the_text() {
        for (accept, expected) in [
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", true),
            ("application/json, TEXT/HTML;q=0.1", true),
            ("*/*", false),
            ("text/plain", false),
            ("", false),
        ] {
            assert_eq!(accepts_html([accept].into_iter()), expected, "{accept}");
        }
    }

    #[test]
    fn the_page_asks_for_the_files_that_are_served() {
        for path in [SCRIPT_PATH, STYLE_PATH] {
            assert!(PAGE.contains(&format!("\".{path}\"")), "{path}");
        }
        assert!(
            !PAGE.contains("<script>") && !PAGE.contains("<style"),
            "the policy forbids inline code"
        );
    }
}
