//! Why bytes are not a usable profile.

/// Why bytes are not a usable profile.
#[derive(Debug, thiserror::Error)]
pub enum PprofError {
    /// More of something than the bound allows.
    #[error("profile has more than {bound} {what}")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// The bound that was passed.
        bound: usize,
    },
    /// The gzip stream is damaged or cut off.
    #[error("profile is not valid gzip")]
    Gzip(#[source] std::io::Error),
    /// The bytes are not protobuf.
    #[error("profile is not protobuf: a field is cut off or of a wire type that the format does not use")]
    Wire,
    /// A field does not have its type.
    #[error("profile is not a profile.proto message")]
    Decode(#[source] prost::DecodeError),
    /// The string table is absent or does not start with an empty string.
    #[error("entry 0 of the string table is not the empty string")]
    StringTable,
    /// A string index is out of range.
    #[error("{what} refers to string {index} of {strings}")]
    StringIndex {
        /// Whose text.
        what: &'static str,
        /// The index.
        index: i64,
        /// Number of strings.
        strings: usize,
    },
    /// A reference to something that is not there.
    #[error("{what} {id} does not exist")]
    UnknownId {
        /// What is referred to.
        what: &'static str,
        /// The id.
        id: u64,
    },
    /// An id is 0 or given twice.
    #[error("id {id} of a {what} is zero or not unique")]
    BadId {
        /// What carries the id.
        what: &'static str,
        /// The id.
        id: u64,
    },
    /// A sample does not have one value for each sample type.
    #[error("a sample has {found} values for {expected} sample types")]
    ValueCount {
        /// Number of sample types.
        expected: usize,
        /// Number of values.
        found: usize,
    },
    /// Values so large that their sum has no meaning.
    #[error("values of {what} add up to more than 2^62")]
    Overflow {
        /// The sample type.
        what: String,
    },
    /// The profile is of another type: it lacks the values asked for.
    #[error("profile has no sample type {expected} but {found}")]
    SampleType {
        /// Name of the sample type asked for.
        expected: &'static str,
        /// Names of those that are there.
        found: String,
    },
}
