//! The messages of `perftools.profiles.Profile`, the format of `go tool pprof`, by the field numbers of its public
//! `profile.proto`. Data only; every index in here is hostile until [`decode`](super::decode) has checked it.

/// A set of stacks with values.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Profile {
    /// What each value of a sample means, in order.
    #[prost(message, repeated, tag = "1")]
    pub sample_type: Vec<ValueType>,
    /// The stacks and their values.
    #[prost(message, repeated, tag = "2")]
    pub sample: Vec<ProfileSample>,
    /// Mapped objects; the first is the main binary.
    #[prost(message, repeated, tag = "3")]
    pub mapping: Vec<Mapping>,
    /// Code addresses.
    #[prost(message, repeated, tag = "4")]
    pub location: Vec<Location>,
    /// Functions.
    #[prost(message, repeated, tag = "5")]
    pub function: Vec<Function>,
    /// All text; entry 0 is always empty.
    #[prost(string, repeated, tag = "6")]
    pub string_table: Vec<String>,
    /// Regular expression of frames to drop with everything they call (string index).
    #[prost(int64, tag = "7")]
    pub drop_frames: i64,
    /// Exception to `drop_frames` (string index).
    #[prost(int64, tag = "8")]
    pub keep_frames: i64,
    /// When it was collected, nanoseconds since the Unix epoch.
    #[prost(int64, tag = "9")]
    pub time_nanos: i64,
    /// Time covered in nanoseconds, for profiles that accumulate.
    #[prost(int64, tag = "10")]
    pub duration_nanos: i64,
    /// What `period` counts.
    #[prost(message, optional, tag = "11")]
    pub period_type: Option<ValueType>,
    /// Units between two samples: `runtime.MemProfileRate` in a Go heap profile.
    #[prost(int64, tag = "12")]
    pub period: i64,
    /// Free text (string indices).
    #[prost(int64, repeated, tag = "13")]
    pub comment: Vec<i64>,
    /// Name of the sample type to show first (string index).
    #[prost(int64, tag = "14")]
    pub default_sample_type: i64,
    /// Link to documentation (string index).
    #[prost(int64, tag = "15")]
    pub doc_url: i64,
}

impl Profile {
    /// Text of a string index; empty when there is none, which [`decode`](super::decode) has excluded.
    pub fn text(&self, index: i64) -> &str {
        let index = usize::try_from(index).ok();
        let text = index.and_then(|index| self.string_table.get(index));
        text.map_or("", String::as_str)
    }
}

/// Meaning and unit of a number.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct ValueType {
    /// Name, such as `inuse_space` (string index).
    #[prost(int64, tag = "1")]
    pub r#type: i64,
    /// Unit, such as `bytes` (string index).
    #[prost(int64, tag = "2")]
    pub unit: i64,
}

/// One stack with its values.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ProfileSample {
    /// Ids of the locations, innermost first.
    #[prost(uint64, repeated, tag = "1")]
    pub location_id: Vec<u64>,
    /// One value for each `Profile::sample_type`.
    #[prost(int64, repeated, tag = "2")]
    pub value: Vec<i64>,
    /// Anything else known, such as the object size `bytes` in Go heap profiles.
    #[prost(message, repeated, tag = "3")]
    pub label: Vec<Label>,
}

/// One key with a text or a number.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Label {
    /// Name (string index).
    #[prost(int64, tag = "1")]
    pub key: i64,
    /// Text (string index), 0 for a number.
    #[prost(int64, tag = "2")]
    pub str: i64,
    /// Number, when `str` is 0.
    #[prost(int64, tag = "3")]
    pub num: i64,
    /// Unit of the number (string index).
    #[prost(int64, tag = "4")]
    pub num_unit: i64,
}

/// One mapped object.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Mapping {
    /// Unique, not 0.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// First address.
    #[prost(uint64, tag = "2")]
    pub memory_start: u64,
    /// Address after the last.
    #[prost(uint64, tag = "3")]
    pub memory_limit: u64,
    /// Offset of `memory_start` in the file.
    #[prost(uint64, tag = "4")]
    pub file_offset: u64,
    /// Path of the object (string index).
    #[prost(int64, tag = "5")]
    pub filename: i64,
    /// Build id (string index).
    #[prost(int64, tag = "6")]
    pub build_id: i64,
    /// Whether functions are resolved.
    #[prost(bool, tag = "7")]
    pub has_functions: bool,
    /// Whether file names are resolved.
    #[prost(bool, tag = "8")]
    pub has_filenames: bool,
    /// Whether line numbers are resolved.
    #[prost(bool, tag = "9")]
    pub has_line_numbers: bool,
    /// Whether inlined frames are resolved.
    #[prost(bool, tag = "10")]
    pub has_inline_frames: bool,
}

/// One code address with the source lines it stands for.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Location {
    /// Unique, not 0.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// Id of the mapping, 0 when unknown.
    #[prost(uint64, tag = "2")]
    pub mapping_id: u64,
    /// Address of the instruction.
    #[prost(uint64, tag = "3")]
    pub address: u64,
    /// Source lines; all but the last are inlined, innermost first.
    #[prost(message, repeated, tag = "4")]
    pub line: Vec<Line>,
    /// Whether the linker folded identical functions, so that the names may be those of a twin.
    #[prost(bool, tag = "5")]
    pub is_folded: bool,
}

/// One source line.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Line {
    /// Id of the function.
    #[prost(uint64, tag = "1")]
    pub function_id: u64,
    /// Line number.
    #[prost(int64, tag = "2")]
    pub line: i64,
    /// Column number.
    #[prost(int64, tag = "3")]
    pub column: i64,
}

/// One function.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Function {
    /// Unique, not 0.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// Name for people (string index).
    #[prost(int64, tag = "2")]
    pub name: i64,
    /// Name in the binary (string index).
    #[prost(int64, tag = "3")]
    pub system_name: i64,
    /// Source file (string index).
    #[prost(int64, tag = "4")]
    pub filename: i64,
    /// First line.
    #[prost(int64, tag = "5")]
    pub start_line: i64,
}
