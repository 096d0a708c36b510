//! Fields that messages of several kinds have.

use crate::input::convert::error::Converted;
use crate::input::convert::error::required;
use crate::input::convert::error::unknown;
use crate::input::messages;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_analysis::model::reading::Reading;
use leakwatch_analysis::model::target;
use leakwatch_analysis::model::units::Bytes;

// Numbers on the wire are positions in this table: append only.
const REASONS: [MissingReason; 9] = [
    MissingReason::Unsupported,
    MissingReason::NotPermitted,
    MissingReason::Gone,
    MissingReason::NotConfigured,
    MissingReason::Malformed,
    MissingReason::Timeout,
    MissingReason::TooLarge,
    MissingReason::NotYet,
    MissingReason::Failed,
];

pub(super) fn position<T: PartialEq>(table: &[T], value: &T) -> u32 {
    table
        .iter()
        .position(|entry| entry == value)
        .and_then(|index| u32::try_from(index).ok())
        .unwrap_or(u32::MAX)
}

pub(super) fn entry<T: Copy>(table: &[T], index: u32, field: &'static str) -> Converted<T> {
    table
        .get(index as usize)
        .copied()
        .ok_or_else(|| unknown(field, index.to_string()))
}

pub(super) fn missing_to(missing: &Missing) -> messages::Missing {
    messages::Missing {
        reason: position(&REASONS, &missing.reason),
        detail: missing.detail.clone(),
        fix: missing.fix.clone(),
    }
}

/// A reason of a later version is one of those that have no word here.
pub(super) fn missing_from(missing: messages::Missing) -> Missing {
    Missing {
        reason: entry(&REASONS, missing.reason, "reason").unwrap_or(MissingReason::Failed),
        detail: missing.detail,
        fix: missing.fix,
    }
}

pub(super) fn key_to(key: target::ProcessKey) -> messages::ProcessKey {
    messages::ProcessKey {
        pid: key.pid,
        start_ticks: key.start_ticks,
    }
}

pub(super) fn key_from(key: Option<messages::ProcessKey>) -> Converted<target::ProcessKey> {
    let key = required(key, "process key")?;
    Ok(target::ProcessKey {
        pid: key.pid,
        start_ticks: key.start_ticks,
    })
}

pub(super) fn cgroup_to(cgroup: &target::CgroupKey) -> messages::Cgroup {
    messages::Cgroup {
        inode: cgroup.inode,
        path: cgroup.path.clone(),
    }
}

pub(super) fn cgroup_from(cgroup: messages::Cgroup) -> target::CgroupKey {
    target::CgroupKey {
        inode: cgroup.inode,
        path: cgroup.path,
    }
}

pub(super) fn number_to<T>(reading: &Reading<T>, value: impl Fn(&T) -> i64) -> messages::Number {
    match reading {
        Ok(number) => messages::Number {
            value: value(number),
            missing: None,
        },
        Err(missing) => messages::Number {
            value: 0,
            missing: Some(missing_to(missing)),
        },
    }
}

pub(super) fn number_from<T>(
    number: Option<messages::Number>,
    field: &'static str,
    value: impl Fn(i64) -> Option<T>,
) -> Converted<Reading<T>> {
    let number = required(number, field)?;
    if let Some(missing) = number.missing {
        return Ok(Err(missing_from(missing)));
    }
    value(number.value)
        .map(Ok)
        .ok_or_else(|| unknown(field, number.value.to_string()))
}

// Amounts of memory are far below 2^63 bytes; the bit pattern survives the way there and back in any case.
pub(super) fn bytes_to(reading: &Reading<Bytes>) -> messages::Number {
    number_to(reading, |bytes| bytes.0.cast_signed())
}

pub(super) fn bytes_from(number: Option<messages::Number>, field: &'static str) -> Converted<Reading<Bytes>> {
    number_from(number, field, |value| Some(Bytes(value.cast_unsigned())))
}
