//! What a person decides goes to the engine; the answer waits until readers see it.

use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::input::Input;
use crate::store::view::View;
use std::time::Duration;
use tokio::time::sleep;
use tokio::time::timeout;

/// How long a decision may take to come into force before the client is told to look again.
const DEADLINE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(10);

/// Hands an input to the engine, and answers with what `seen` finds in the first view where it is in force.
pub(crate) async fn in_force<T>(
    context: &Context,
    input: Input,
    seen: impl Fn(&View) -> Result<Option<T>, ApiError>,
) -> Result<T, ApiError> {
    let unavailable = |reason: &str| ApiError::Unavailable {
        reason: reason.to_owned(),
    };
    let told = timeout(DEADLINE, async {
        let sent = context.inputs.send(input).await;
        sent.map_err(|_closed| unavailable("the daemon is shutting down"))?;
        loop {
            if let Some(found) = seen(&context.view())? {
                return Ok(found);
            }
            sleep(POLL).await;
        }
    });
    told.await
        .map_err(|_elapsed| unavailable("it was taken but is not in force yet, look again"))?
}
