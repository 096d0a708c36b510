//! The HTTP API: routes over a read handle on the store. The only module that serves HTTP; it computes nothing, it looks
//! things up, converts them with `dto` and refuses what it cannot understand.

pub mod context;
mod error;
mod parameter;
mod page;
mod lookup;
mod targets;
mod investigation;

use crate::api::context::Context;
use axum::Router;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// All routes, without the checks of [`serve`].
pub fn router(context: Context) -> Router {
    let (router, _document) = routes().split_for_parts();
    router.with_state(context)
}

fn routes() -> OpenApiRouter<Context> {
    OpenApiRouter::new()
        .routes(routes!(targets::list))
        .routes(routes!(targets::one))
        .routes(routes!(investigation::get))
        .routes(routes!(investigation::answer))
}
