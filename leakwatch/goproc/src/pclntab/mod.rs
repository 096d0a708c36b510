//! The table of functions, source lines and stack depths that every Go binary carries, stripped or not
//! (`runtime.pclntab`; Go 1.18 to 1.27).
//!
//! Its addresses are those of the linked file: whoever looks up an address of a running process subtracts the load bias.
//! So one table serves all processes of a binary. The bytes come from the file that a process executes and are hostile:
//! every read is checked, every walk is bounded, and what is damaged is absent. Must not know ELF or processes.

mod bytes;
mod error;
mod functab;
mod function;
mod header;
mod ids;
mod inline;
mod name;
mod runtime;
mod value;
#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;

pub use bytes::TableBytes;
pub use error::PclntabError;
pub use function::Function;
pub use header::Format;
pub use header::Header;
pub use header::find;
pub use ids::FunctionIds;
pub use inline::Call;
pub use inline::Frame;
pub use name::printed_name;

pub(crate) use bytes::find_texts;

use std::sync::OnceLock;

/// A parsed table over bytes that it may own, share or borrow.
#[derive(Debug, Clone)]
pub struct Pclntab<B> {
    table: B,
    inline_trees: Option<B>,
    text_start: u64,
    header: Header,
    runtime: OnceLock<runtime::RuntimeFunctions>,
}

impl<B: TableBytes> Pclntab<B> {
    /// Checks the header and takes the bytes, which start with it and may go on behind the table.
    ///
    /// `text_start` is the linked address of the first instruction: `moduledata.text` less the load bias, or
    /// [`Header::text_start`] where that is not zero.
    pub fn parse(table: B, text_start: u64) -> Result<Self, PclntabError> {
        let header = Header::parse(&table)?;
        Ok(Self {
            table,
            inline_trees: None,
            text_start,
            header,
            runtime: OnceLock::new(),
        })
    }

    /// Adds the bytes at `moduledata.gofunc`, which may go on behind what belongs to it. Without them inlined calls are
    /// not seen, and their lines are attributed to the function around them.
    #[must_use]
    pub fn with_inline_trees(self, gofunc: B) -> Self {
        Self {
            inline_trees: Some(gofunc),
            ..self
        }
    }

    /// The header.
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Linked address of the first instruction.
    pub const fn text_start(&self) -> u64 {
        self.text_start
    }

    fn bytes(&self) -> &B {
        &self.table
    }
}
