//! The secret that clients over TCP have to know.

use crate::config::error::ConfigError;
use crate::config::origin::Origin;
use std::fmt;
use std::path::Path;
use subtle::ConstantTimeEq;

/// A token. Neither printed nor compared in a time that depends on its content.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// Shorter ones can be guessed: 16 characters of hexadecimal digits are 64 bits.
    pub const MIN_LENGTH: usize = 16;

    /// Reads the first line of a token file.
    pub fn read(path: &Path, origin: &Origin) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::TokenUnreadable {
            origin: origin.clone(),
            path: path.to_owned(),
            source,
        })?;
        let token = text.lines().next().unwrap_or("").trim();
        if token.len() < Self::MIN_LENGTH || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ConfigError::TokenWeak {
                origin: origin.clone(),
                path: path.to_owned(),
                length: token.chars().count(),
                min: Self::MIN_LENGTH,
            });
        }
        Ok(Self(token.to_owned()))
    }

    /// The value of the `Authorization` header of a client that knows it.
    pub(crate) fn bearer(&self) -> String {
        format!("Bearer {}", self.0)
    }

    /// Whether a client knows it.
    pub fn matches(&self, candidate: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(candidate).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}
