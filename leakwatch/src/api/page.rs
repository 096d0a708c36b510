//! Paging: `limit` and `cursor`, and how a cursor is written.

use crate::api::error::ApiError;
use crate::api::parameter::Parameters;
use crate::query::page;
use crate::query::page::Cursor;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1_000;

/// The part of a list that `limit` and `cursor` ask for, and the cursor of the next one.
pub(crate) fn of<T>(
    parameters: &Parameters,
    list: Vec<T>,
    id: impl Fn(&T) -> String,
) -> Result<(Vec<T>, Option<String>), ApiError> {
    let limit = limit(parameters)?;
    let after = parameters
        .text("cursor")
        .map(|text| decode(text).ok_or_else(|| no_page(text)))
        .transpose()?;
    let part = page::part(list, after.as_ref(), limit, id);
    Ok((part.items, part.next.as_ref().map(encode)))
}

/// Items of a page.
pub(crate) fn limit(parameters: &Parameters) -> Result<usize, ApiError> {
    Ok(parameters.integer("limit", 1..=MAX_LIMIT)?.unwrap_or(DEFAULT_LIMIT))
}

/// The item that the page before ended with, of a list that is only read as far as it is asked for.
pub(crate) fn after<T>(parameters: &Parameters, item: impl Fn(&str) -> Option<T>) -> Result<Option<T>, ApiError> {
    let named = |text: &str| item(&decode(text)?.last);
    parameters
        .text("cursor")
        .map(|text| named(text).ok_or_else(|| no_page(text)))
        .transpose()
}

/// The cursor of the page that comes after an item.
pub(crate) fn cursor_after(id: &str) -> String {
    encode(&Cursor {
        position: 0,
        last: id.to_owned(),
    })
}

/// A cursor names a page: without this list's `next_cursor` in it, it names none.
fn no_page(cursor: &str) -> ApiError {
    ApiError::not_found("page with the cursor", cursor)
}

fn encode(cursor: &Cursor) -> String {
    URL_SAFE_NO_PAD.encode(format!("{} {}", cursor.position, cursor.last))
}

fn decode(text: &str) -> Option<Cursor> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
    let (position, last) = text.split_once(' ')?;
    Some(Cursor {
        position: position.parse().ok()?,
        last: last.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_its_own_inverse_and_garbage_is_none() {
        let cursor = Cursor {
            position: 7,
            last: "t1-a b".to_owned(),
        };
        assert_eq!(decode(&encode(&cursor)), Some(cursor));
        for text in ["", "!", "AAAA", "////"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}
