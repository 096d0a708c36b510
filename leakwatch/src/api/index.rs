//! `/`: where to go from here.

use axum::response::Html;

/// A page that points at the API.
#[utoipa::path(
    get,
    path = "/",
    tag = "daemon",
    responses((status = 200, description = "the answer", body = String, content_type = "text/html"))
)]
pub(crate) async fn index() -> Html<&'static str> {
    Html(include_str!("index.html"))
}
