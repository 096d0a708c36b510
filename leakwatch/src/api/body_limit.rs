//! How large the body of a request may be.

/// The largest request body: an answer of a person is some dozens of bytes.
pub(crate) const MAX_BODY_BYTES: usize = 64 * 1024;
