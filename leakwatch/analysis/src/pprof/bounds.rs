//! What a profile may contain, checked on the wire format before anything is allocated for it: two bytes of protobuf
//! can become a 72-byte sample, so that a bound on bytes alone does not bound memory.

use crate::pprof::error::PprofError;

/// Limits of a profile from outside. The defaults hold a Go program of 200,000 heap buckets and keep the memory of a
/// hostile profile below about 256 MiB for the time of its decoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes as received.
    pub max_compressed_bytes: usize,
    /// Bytes after decompression.
    pub max_decompressed_bytes: usize,
    /// Samples.
    pub max_samples: usize,
    /// Locations.
    pub max_locations: usize,
    /// Functions.
    pub max_functions: usize,
    /// Strings.
    pub max_strings: usize,
    /// Mappings, sample types and comments, each.
    pub max_mappings: usize,
    /// Location ids of one sample. Go records at most 1,024.
    pub max_stack_depth: usize,
    /// Location ids, values, labels and lines of the whole profile together.
    pub max_elements: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            max_compressed_bytes: 16 << 20,
            max_decompressed_bytes: 64 << 20,
            max_samples: 262_144,
            max_locations: 262_144,
            max_functions: 262_144,
            max_strings: 262_144,
            max_mappings: 4_096,
            max_stack_depth: 2_048,
            max_elements: 4 << 20,
        }
    }
}

impl Bounds {
    /// For the largest profile that this program itself makes, which is that of a program which was killed.
    pub const fn of_final_heap() -> Self {
        Self {
            max_compressed_bytes: 64 << 20,
            max_decompressed_bytes: 256 << 20,
            max_samples: 1 << 20,
            max_locations: 1 << 18,
            max_functions: 1 << 18,
            max_strings: 1 << 18,
            max_mappings: 4_096,
            max_stack_depth: 2_048,
            max_elements: 16 << 20,
        }
    }
}

/// A count that may not pass its bound.
struct Counter {
    what: &'static str,
    count: usize,
    bound: usize,
}

impl Counter {
    const fn new(what: &'static str, bound: usize) -> Self {
        Self { what, count: 0, bound }
    }

    fn add(&mut self, count: usize) -> Result<(), PprofError> {
        self.count = self.count.saturating_add(count);
        if self.count > self.bound {
            return Err(PprofError::TooLarge {
                what: self.what,
                bound: self.bound,
            });
        }
        Ok(())
    }
}

impl Bounds {
    /// Refuses a profile with more bytes, decompressed or compressed.
    pub(super) fn check_size(&self, decompressed: usize, compressed: usize) -> Result<(), PprofError> {
        for (what, size, bound) in [
            ("compressed bytes", compressed, self.max_compressed_bytes),
            ("decompressed bytes", decompressed, self.max_decompressed_bytes),
        ] {
            if size > bound {
                return Err(PprofError::TooLarge { what, bound });
            }
        }
        Ok(())
    }

    /// Walks the wire format of an uncompressed profile and counts what decoding it would create.
    pub(super) fn check(&self, message: &[u8]) -> Result<(), PprofError> {
        let mut samples = Counter::new("samples", self.max_samples);
        let mut locations = Counter::new("locations", self.max_locations);
        let mut functions = Counter::new("functions", self.max_functions);
        let mut strings = Counter::new("strings", self.max_strings);
        let mut mappings = Counter::new("mappings", self.max_mappings);
        let mut sample_types = Counter::new("sample types", self.max_mappings);
        let mut comments = Counter::new("comments", self.max_mappings);
        let mut elements = Counter::new("elements", self.max_elements);
        for field in Fields(message) {
            let field = field?;
            match field.number {
                2 => {
                    samples.add(1)?;
                    self.check_sample(field.payload, &mut elements)?;
                }
                4 => {
                    locations.add(1)?;
                    for line in Fields(field.payload) {
                        elements.add(usize::from(line?.number == 4))?;
                    }
                }
                5 => functions.add(1)?,
                6 => strings.add(1)?,
                1 => sample_types.add(1)?,
                3 => mappings.add(1)?,
                13 => comments.add(field.numbers())?,
                _ => {}
            }
        }
        Ok(())
    }

    fn check_sample(&self, sample: &[u8], elements: &mut Counter) -> Result<(), PprofError> {
        let mut depth = Counter::new("locations in one stack", self.max_stack_depth);
        for field in Fields(sample) {
            let field = field?;
            match field.number {
                1 => {
                    depth.add(field.numbers())?;
                    elements.add(field.numbers())?;
                }
                2 => elements.add(field.numbers())?,
                3 => elements.add(1)?,
                _ => {}
            }
        }
        Ok(())
    }
}

/// One field of a message.
struct Field<'a> {
    number: u64,
    /// Contents of a length-delimited field, else empty.
    payload: &'a [u8],
}

impl Field<'_> {
    /// How many varints the field holds: the payload's when packed, else 1.
    fn numbers(&self) -> usize {
        self.payload.iter().filter(|byte| **byte < 0x80).count().max(1)
    }
}

/// The fields of a message in wire order.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn bytes(&mut self, length: u64) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(usize::try_from(length).ok()?)?;
        self.0 = rest;
        Some(bytes)
    }

    fn field(&mut self) -> Option<Field<'a>> {
        let key = self.varint()?;
        let payload: &[u8] = match key & 7 {
            0 => {
                self.varint()?;
                &[]
            }
            1 => {
                self.bytes(8)?;
                &[]
            }
            2 => {
                let length = self.varint()?;
                self.bytes(length)?
            }
            5 => {
                self.bytes(4)?;
                &[]
            }
            // Groups are not used by this format and would need recursion.
            _ => return None,
        };
        Some(Field {
            number: key >> 3,
            payload,
        })
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, PprofError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field.ok_or(PprofError::Wire))
    }
}
