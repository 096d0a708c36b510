//! Why a message is no input.

/// Why a message is no input.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::input) enum ConvertError {
    /// It does not say what it must.
    #[error("{0} is absent")]
    Absent(&'static str),
    /// It says something that only a later version knows.
    #[error("{field} has the unknown value {value}")]
    Unknown { field: &'static str, value: String },
}

pub(super) type Converted<T> = Result<T, ConvertError>;

pub(super) fn unknown(field: &'static str, value: impl Into<String>) -> ConvertError {
    ConvertError::Unknown {
        field,
        value: value.into(),
    }
}

pub(super) fn required<T>(value: Option<T>, field: &'static str) -> Converted<T> {
    value.ok_or(ConvertError::Absent(field))
}
