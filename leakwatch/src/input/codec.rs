//! Inputs to frames and back, without a file.

use crate::input::Head;
use crate::input::Input;
use crate::input::Skipped;
use crate::input::convert;
use crate::input::convert::ConvertError;
use crate::input::messages;
use prost::Message as _;

/// A frame that says nothing that can be understood.
#[derive(Debug, thiserror::Error)]
pub(super) enum CodecError {
    #[error("it is no message: {0}")]
    NoMessage(#[from] prost::DecodeError),
    #[error(transparent)]
    Incomplete(#[from] ConvertError),
}

/// The frame of the head, with its length.
pub(super) fn encode_head(head: &Head) -> Vec<u8> {
    convert::head_to(head).encode_length_delimited_to_vec()
}

/// The frame of an input, with its length.
pub(super) fn encode(input: &Input) -> Vec<u8> {
    convert::to_message(input).encode_length_delimited_to_vec()
}

/// An input as a recording has it, for whoever keeps it elsewhere.
pub(crate) fn to_bytes(input: &Input) -> Vec<u8> {
    encode(input)
}

/// The input again; none if these bytes are none that this version knows.
pub(crate) fn from_bytes(frame: &[u8]) -> Option<Input> {
    let envelope = messages::Envelope::decode_length_delimited(frame).ok()?;
    convert::from_message(envelope, &mut Skipped::default()).ok()
}

/// The head of a file of another kind, as a recording has it.
pub(crate) fn head_to_bytes(head: &Head) -> Vec<u8> {
    encode_head(head)
}

/// The head again, and how many bytes it takes; none if these bytes are none.
pub(crate) fn head_from_bytes(bytes: &[u8]) -> Option<(Head, usize)> {
    let mut rest = bytes;
    let head = messages::Head::decode_length_delimited(&mut rest).ok()?;
    Some((convert::head_from(head), bytes.len() - rest.len()))
}

/// The head in a frame without its length.
pub(super) fn decode_head(frame: &[u8]) -> Result<Head, CodecError> {
    Ok(convert::head_from(messages::Head::decode(frame)?))
}

/// The input in a frame without its length; none, and counted, for one that only a later version knows.
pub(super) fn decode(frame: &[u8], skipped: &mut Skipped) -> Result<Option<Input>, CodecError> {
    let envelope = messages::Envelope::decode(frame)?;
    // What was understood takes as many bytes as it was written in; the rest was not understood.
    let has_more = envelope.encoded_len() < frame.len();
    match convert::from_message(envelope, skipped) {
        Ok(input) => {
            skipped.fields += u64::from(has_more);
            Ok(Some(input))
        }
        Err(ConvertError::Unknown { field, value }) => {
            tracing::debug!(field, value, "an input of a later version is skipped");
            skipped.inputs += 1;
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}
