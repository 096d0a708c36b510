//! Whose code a frame is.

/// Whose code a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// The program's own module.
    Own,
    /// Another module.
    Library,
    /// The standard library, except the runtime.
    Standard,
    /// Language runtime, allocator, compiler-made wrappers, C.
    Runtime,
}
