//! Paging. A cursor names the last item of the page before and its position: if the item has left the list since, paging
//! goes on at the position.

use crate::api::error::ApiError;
use crate::api::parameter::Parameters;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1_000;

/// A part of a list.
pub(crate) struct Part<T> {
    /// The items.
    pub(crate) items: Vec<T>,
    /// Where the next part starts.
    pub(crate) next_cursor: Option<String>,
}

/// The part of a sorted list that `limit` and `cursor` ask for.
pub(crate) fn of<T>(parameters: &Parameters, list: Vec<T>, id: impl Fn(&T) -> String) -> Result<Part<T>, ApiError> {
    let limit = parameters.integer("limit", 1..=MAX_LIMIT)?.unwrap_or(DEFAULT_LIMIT);
    let start = match parameters.text("cursor") {
        None => 0,
        Some(cursor) => {
            let (position, last) = decode(cursor)
                .ok_or_else(|| ApiError::parameter("cursor", "not a cursor of this list, start without one"))?;
            list.iter()
                .position(|item| id(item) == last)
                .map_or(position, |found| found + 1)
        }
    };
    let total = list.len();
    let items: Vec<T> = list.into_iter().skip(start).take(limit).collect();
    let end = start.saturating_add(items.len());
    let next_cursor = match items.last() {
        Some(last) if end < total => Some(encode(end, &id(last))),
        _ => None,
    };
    Ok(Part { items, next_cursor })
}

fn encode(position: usize, last: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("{position} {last}"))
}

fn decode(cursor: &str) -> Option<(usize, String)> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    let (position, last) = text.split_once(' ')?;
    Some((position.parse().ok()?, last.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_its_own_inverse_and_garbage_is_none() {
        assert_eq!(decode(&encode(7, "t1-a b")), Some((7, "t1-a b".to_owned())));
        for cursor in ["", "!", "AAAA", "////"] {
            assert_eq!(decode(cursor), None, "{cursor}");
        }
    }
}
