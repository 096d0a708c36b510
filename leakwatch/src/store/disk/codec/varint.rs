//! Numbers in few bytes: LEB128 varints, and signed differences folded into them (zigzag). Reading never goes beyond its input.

/// What was read makes no sense, or there is too little of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CodecError {
    /// The bytes end in the middle of something.
    #[error("cut off")]
    Truncated,
    /// A number is longer than 64 bits.
    #[error("a number is too long")]
    LongNumber,
    /// A count or a length is beyond its bound.
    #[error("more than {bound} {what}")]
    OverBound {
        /// Of what there are too many.
        what: &'static str,
        /// The bound.
        bound: usize,
    },
    /// Parts that belong together do not fit.
    #[error("inconsistent {0}")]
    Inconsistent(&'static str),
    /// It does not decompress.
    #[error("it does not decompress")]
    Compression,
}

/// Appends a number.
pub(crate) fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push((number & 0x7f) as u8);
}

/// A difference as a number whose size follows that of the difference.
#[expect(clippy::cast_sign_loss, reason = "the bits are folded, not the value")]
pub(crate) const fn zigzag(difference: i64) -> u64 {
    ((difference << 1) ^ (difference >> 63)) as u64
}

/// The difference again.
#[expect(clippy::cast_possible_wrap, reason = "the bits are unfolded, not the value")]
pub(crate) const fn unzigzag(folded: u64) -> i64 {
    ((folded >> 1) as i64) ^ -((folded & 1) as i64)
}

/// The difference of two numbers, wrapping around: each pair has exactly one.
#[expect(clippy::cast_possible_wrap, reason = "differences wrap around by design")]
pub(crate) const fn difference(from: u64, to: u64) -> i64 {
    to.wrapping_sub(from) as i64
}

/// The number that is so far from another.
#[expect(clippy::cast_sign_loss, reason = "differences wrap around by design")]
pub(crate) const fn moved(from: u64, difference: i64) -> u64 {
    from.wrapping_add(difference as u64)
}

/// Bytes that are read from the front.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Of all these bytes.
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether all was read.
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is left.
    pub(crate) const fn rest(self) -> &'a [u8] {
        self.0
    }

    /// The next byte.
    pub(crate) fn byte(&mut self) -> Result<u8, CodecError> {
        let (first, rest) = self.0.split_first().ok_or(CodecError::Truncated)?;
        self.0 = rest;
        Ok(*first)
    }

    /// The next number.
    pub(crate) fn number(&mut self) -> Result<u64, CodecError> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(CodecError::LongNumber);
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(CodecError::LongNumber)
    }

    /// The next difference.
    pub(crate) fn signed(&mut self) -> Result<i64, CodecError> {
        self.number().map(unzigzag)
    }

    /// The next number, which counts something that is bounded.
    pub(crate) fn count(&mut self, what: &'static str, bound: usize) -> Result<usize, CodecError> {
        let count = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        if count > bound {
            return Err(CodecError::OverBound { what, bound });
        }
        Ok(count)
    }

    /// The next bytes.
    pub(crate) fn bytes(&mut self, count: usize) -> Result<&'a [u8], CodecError> {
        let (bytes, rest) = self.0.split_at_checked(count).ok_or(CodecError::Truncated)?;
        self.0 = rest;
        Ok(bytes)
    }

    /// The next bytes, with their number before them.
    pub(crate) fn sized(&mut self) -> Result<&'a [u8], CodecError> {
        let count = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        self.bytes(count)
    }
}

/// Appends bytes with their number before them.
pub(crate) fn put_sized(out: &mut Vec<u8>, bytes: &[u8]) {
    put(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_number_is_read_as_it_was_written(numbers in prop::collection::vec(any::<u64>(), 0..50)) {
            let mut out = Vec::new();
            for number in &numbers {
                put(&mut out, *number);
            }
            let mut reader = Reader::new(&out);
            for number in &numbers {
                prop_assert_eq!(reader.number(), Ok(*number));
            }
            prop_assert!(reader.is_empty());
        }

        #[test]
        fn every_pair_has_its_difference(from in any::<u64>(), to in any::<u64>()) {
            prop_assert_eq!(moved(from, unzigzag(zigzag(difference(from, to)))), to);
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        assert_eq!(Reader::new(&[0x80]).number(), Err(CodecError::Truncated));
        assert_eq!(Reader::new(&[0xff; 10]).number(), Err(CodecError::LongNumber));
        assert_eq!(Reader::new(&[0x80; 11]).number(), Err(CodecError::LongNumber));
        assert_eq!(Reader::new(&[5, 1]).sized(), Err(CodecError::Truncated));
    }
}
