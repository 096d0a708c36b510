//! What language runtimes tell about a process, read from its memory. One folder per runtime.

pub mod go;
