//! The rules a decoded profile keeps: every string index and id refers to something, ids are unique, samples are
//! complete, and no sum of values can overflow. The same rules as `CheckValid` of Go's pprof library, and the last.

use crate::pprof::error::PprofError;
use crate::pprof::proto::Profile;
use std::collections::HashSet;

/// Sums of absolute values up to here keep every later sum and difference of two profiles within an `i64`.
const MAX_SUM: u64 = 1 << 62;

/// Checks everything that the rest of the crate relies on.
pub(super) fn validate(profile: &Profile) -> Result<(), PprofError> {
    strings(profile)?;
    let mappings = ids("mapping", profile.mapping.iter().map(|mapping| mapping.id))?;
    let functions = ids("function", profile.function.iter().map(|function| function.id))?;
    let locations = ids("location", profile.location.iter().map(|location| location.id))?;
    for location in &profile.location {
        if location.mapping_id != 0 {
            known("mapping", location.mapping_id, &mappings)?;
        }
        for line in &location.line {
            known("function", line.function_id, &functions)?;
        }
    }
    for sample in &profile.sample {
        if sample.value.len() != profile.sample_type.len() || sample.value.is_empty() {
            return Err(PprofError::ValueCount {
                expected: profile.sample_type.len(),
                found: sample.value.len(),
            });
        }
        for &id in &sample.location_id {
            known("location", id, &locations)?;
        }
    }
    sums(profile)
}

fn strings(profile: &Profile) -> Result<(), PprofError> {
    if profile.string_table.first().is_none_or(|first| !first.is_empty()) {
        return Err(PprofError::StringTable);
    }
    let strings = profile.string_table.len();
    let check = |what: &'static str, indices: &[i64]| {
        for &index in indices {
            if usize::try_from(index).map_or(true, |index| index >= strings) {
                return Err(PprofError::StringIndex { what, index, strings });
            }
        }
        Ok(())
    };
    for kind in profile.sample_type.iter().chain(&profile.period_type) {
        check("a sample or period type", &[kind.r#type, kind.unit])?;
    }
    for label in profile.sample.iter().flat_map(|sample| &sample.label) {
        check("a label", &[label.key, label.str, label.num_unit])?;
    }
    for mapping in &profile.mapping {
        check("a mapping", &[mapping.filename, mapping.build_id])?;
    }
    for function in &profile.function {
        check("a function", &[function.name, function.system_name, function.filename])?;
    }
    check("a comment", &profile.comment)?;
    check(
        "the profile",
        &[
            profile.drop_frames,
            profile.keep_frames,
            profile.default_sample_type,
            profile.doc_url,
        ],
    )
}

fn ids(what: &'static str, ids: impl Iterator<Item = u64>) -> Result<HashSet<u64>, PprofError> {
    let mut seen = HashSet::new();
    for id in ids {
        if id == 0 || !seen.insert(id) {
            return Err(PprofError::BadId { what, id });
        }
    }
    Ok(seen)
}

fn known(what: &'static str, id: u64, ids: &HashSet<u64>) -> Result<(), PprofError> {
    if ids.contains(&id) {
        Ok(())
    } else {
        Err(PprofError::UnknownId { what, id })
    }
}

fn sums(profile: &Profile) -> Result<(), PprofError> {
    for (column, kind) in profile.sample_type.iter().enumerate() {
        let mut sum = 0_u64;
        for sample in &profile.sample {
            sum = sum.saturating_add(sample.value.get(column).map_or(0, |value| value.unsigned_abs()));
        }
        if sum > MAX_SUM {
            return Err(PprofError::Overflow {
                what: profile.text(kind.r#type).to_owned(),
            });
        }
    }
    Ok(())
}
