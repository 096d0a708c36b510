//! Why a bundle cannot be read.

use crate::store::disk::codec::varint::CodecError;

/// A bundle cannot be read, or not be made.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// It is something else.
    #[error("it is not a leakwatch bundle")]
    NotABundle,
    /// It was made by a later version, and would be misunderstood.
    #[error("it has format {found}, this version of leakwatch reads formats up to {newest}: open it with a newer one")]
    Newer {
        /// Its format.
        found: u8,
        /// The newest one that is read.
        newest: u8,
    },
    /// It was cut off or changed on its way, or is too large.
    #[error("it is damaged, cut off or larger than {bound} bytes")]
    Damaged {
        /// What is read at most.
        bound: usize,
    },
    /// It is no message that this version understands.
    #[error("it cannot be understood: {0}")]
    NoMessage(#[from] prost::DecodeError),
    /// A part of it contradicts another.
    #[error("its {what} cannot be understood: {detail}")]
    Inconsistent {
        /// Which part.
        what: &'static str,
        /// Why.
        detail: String,
    },
    /// It would be larger than what is read.
    #[error("it would have more than {bound} bytes")]
    TooLarge {
        /// The bound.
        bound: usize,
    },
}

impl BundleError {
    pub(super) fn in_part(what: &'static str) -> impl Fn(CodecError) -> Self {
        move |error| Self::inconsistent(what, error)
    }

    pub(super) fn inconsistent(what: &'static str, detail: impl std::fmt::Display) -> Self {
        let detail = detail.to_string();
        Self::Inconsistent { what, detail }
    }
}
