//! Bundles as bytes. Decoding is fallible and bounded: a bundle comes from outside.

use super::Bundle;
use super::error::BundleError;
use super::history::target_from;
use super::history::target_to;
use super::messages;
use super::messages::MAGIC;
use super::snapshot::snapshot_from;
use super::snapshot::snapshot_to;
use crate::input::Head;
use crate::input::head_from_bytes;
use crate::input::head_to_bytes;
use crate::store::disk::codec::block;
use crate::store::disk::codec::stacks;
use crate::store::disk::codec::stacks::Stacks;
use crate::store::disk::convert;
use crate::store::disk::messages::CountedLoss;
use leakwatch_analysis::history::SnapshotSeries;
use leakwatch_analysis::model::profile::Snapshot;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_analysis::model::stack::StackId;
use leakwatch_analysis::model::target::TargetId;
use leakwatch_analysis::model::units::Timestamp;
use prost::Message as _;
use std::io::Read as _;
use std::io::Write as _;
use std::sync::Arc;

/// Bytes of a bundle before compression at most: twice what profiles may take in memory, and as much besides.
const MAX_BODY: usize = 96 << 20;
/// Rows of a block.
const BLOCK: usize = 120;
const LEVEL: i32 = 6;

/// Whether a file that begins so is a bundle, of whatever version.
pub fn is_bundle(begin: &[u8]) -> bool {
    let [name @ .., _version] = MAGIC;
    begin.starts_with(&name)
}

/// A bundle as bytes.
pub fn encode(bundle: &Bundle) -> Result<Vec<u8>, BundleError> {
    let inconsistent = BundleError::in_part;
    let series = bundle.targets.iter().flat_map(|target| target.history.series());
    let snapshots = series.flat_map(SnapshotSeries::as_slice).chain(&bundle.kept);
    let stack_of = |snapshot: &Snapshot| snapshot.values.stacks().collect::<Vec<_>>();
    let used = bundle.stacks.used(snapshots.flat_map(stack_of));
    let (table, moved) = bundle.stacks.compacted(&used);
    let number = |stack| moved.stack(stack).unwrap_or(StackId::EMPTY);
    let blocks = bundle.rows.chunks(BLOCK).map(block::encode_rows);
    let body = messages::Body {
        made_at: bundle.made_at.unix_nanos(),
        subject: bundle.subject.as_str().to_owned(),
        stacks: stacks::encode(&table, 0, 0).map_err(inconsistent("stacks"))?,
        targets: bundle.targets.iter().map(|target| target_to(target, &number)).collect(),
        events: bundle.events.iter().map(convert::event_to).collect(),
        post_mortems: bundle
            .post_mortems
            .iter()
            .map(|(post_mortem, _)| convert::post_mortem_to(post_mortem))
            .collect(),
        runs: bundle.runs.iter().map(convert::run_to).collect(),
        losses: bundle
            .losses
            .iter()
            .map(|(reason, count)| CountedLoss {
                reason: reason.clone(),
                count: *count,
            })
            .collect(),
        rows: blocks.collect::<Result<_, _>>().map_err(inconsistent("samples"))?,
        kept: bundle
            .kept
            .iter()
            .map(|snapshot| snapshot_to(snapshot, number))
            .collect(),
    };
    if body.encoded_len() > MAX_BODY {
        return Err(BundleError::TooLarge { bound: MAX_BODY });
    }
    let mut bytes = MAGIC.to_vec();
    bytes.extend(head_to_bytes(&bundle.head));
    // Into memory: what can fail is refused by the decoder.
    let compress = || {
        let mut encoder = zstd::Encoder::new(bytes, LEVEL)?;
        encoder.include_checksum(true)?;
        encoder.write_all(&body.encode_to_vec())?;
        encoder.finish()
    };
    compress().map_err(|error: std::io::Error| BundleError::inconsistent("body", error))
}

/// The bundle again.
pub fn decode(bytes: &[u8]) -> Result<Bundle, BundleError> {
    let [_, .., newest] = MAGIC;
    let (magic, rest) = bytes.split_at_checked(MAGIC.len()).ok_or(BundleError::NotABundle)?;
    let found = magic.last().copied().filter(|found| is_bundle(magic) && *found > 0);
    let found = found.ok_or(BundleError::NotABundle)?;
    if found > newest {
        return Err(BundleError::Newer { found, newest });
    }
    let (head, length) = head_from_bytes(rest).ok_or(BundleError::NotABundle)?;
    let body = decompress(rest.get(length..).unwrap_or_default()).ok_or(BundleError::Damaged { bound: MAX_BODY })?;
    understood(head, &body)
}

fn understood(head: Head, body: &[u8]) -> Result<Bundle, BundleError> {
    let body = messages::Body::decode(body)?;
    let mut stacks = Stacks::default();
    stacks.extend(&body.stacks).map_err(BundleError::in_part("stacks"))?;
    let table = Arc::new(stacks.table.clone());
    let targets = body
        .targets
        .into_iter()
        .map(|target| target_from(target, &stacks, &table));
    let targets = targets.collect::<Result<Vec<_>, _>>()?;
    let subject = TargetId::from_text(&body.subject);
    if !targets.iter().any(|target| target.history.target.id() == subject) {
        return Err(BundleError::inconsistent("subject", "it is not among the targets"));
    }
    let rows = body.rows.iter().map(|block| block::decode_rows(block));
    let rows: Vec<Vec<_>> = rows
        .collect::<Result<_, _>>()
        .map_err(BundleError::in_part("samples"))?;
    let kept = body
        .kept
        .iter()
        .map(|message| snapshot_from(message, &subject, &stacks));
    let kept: Vec<Option<Snapshot>> = kept.collect::<Result<_, _>>()?;
    Ok(Bundle {
        head,
        made_at: Timestamp::from_unix_nanos(body.made_at),
        subject,
        targets,
        stacks: table,
        events: body.events.into_iter().filter_map(convert::event_from).collect(),
        post_mortems: body
            .post_mortems
            .into_iter()
            .filter_map(convert::post_mortem_from)
            .collect(),
        runs: body.runs.into_iter().filter_map(convert::run_from).collect(),
        losses: body.losses.into_iter().map(|loss| (loss.reason, loss.count)).collect(),
        rows: rows.into_iter().flatten().collect(),
        kept: kept.into_iter().flatten().collect(),
    })
}

/// A bundle from what stands compressed in it, for tests that make up any bytes.
#[doc(hidden)]
pub fn decode_body(bytes: &[u8]) -> Result<Bundle, BundleError> {
    let head = Head {
        leakwatch: String::new(),
        host: Err(Missing::new(MissingReason::NotConfigured, "there is no head")),
    };
    understood(head, bytes)
}

fn decompress(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    let decoder = zstd::Decoder::new(bytes).ok()?;
    let read = decoder.take(MAX_BODY as u64 + 1).read_to_end(&mut body).ok()?;
    (read <= MAX_BODY).then_some(body)
}
