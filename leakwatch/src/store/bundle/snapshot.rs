//! Profiles with exact values, by the numbers of stacks in the table of the bundle.

use super::error::BundleError;
use super::messages;
use crate::store::disk::codec::stacks::Stacks;
use crate::store::disk::codec::varint::Reader;
use crate::store::disk::profiles::ProfileHead;
use leakwatch_analysis::model::profile::ProfileType;
use leakwatch_analysis::model::profile::Snapshot;
use leakwatch_analysis::model::profile::StackValue;
use leakwatch_analysis::model::stack::StackId;
use leakwatch_analysis::model::target::TargetId;

/// `number` says where a stack is in the table of the bundle. The order of stacks is the same in both tables.
pub(super) fn snapshot_to(snapshot: &Snapshot, number: impl Fn(StackId) -> StackId) -> messages::Snapshot {
    let head = ProfileHead {
        base: None,
        depth: 0,
        service: String::new(),
        at: snapshot.at,
        process: snapshot.process,
        source: snapshot.source,
        period: snapshot.period,
        program: snapshot.program.clone(),
        total: snapshot.total,
        losses: snapshot.losses.to_vec(),
    };
    let mut bytes = Vec::new();
    head.encode(&mut bytes);
    let mut before = 0;
    let mut gap = |(stack, _): (StackId, StackValue)| {
        let here = number(stack).number();
        let gap = here.wrapping_sub(before);
        before = here;
        gap
    };
    let values = &snapshot.values;
    let column = |value: fn(&StackValue) -> i64| values.iter().map(|(_, of)| value(&of)).collect();
    messages::Snapshot {
        profile_type: snapshot.profile_type.name().to_owned(),
        head: bytes,
        stacks: values.iter().map(&mut gap).collect(),
        alloc_objects: column(|value| value.alloc_objects),
        alloc_space: column(|value| value.alloc_space),
        inuse_objects: column(|value| value.inuse_objects),
        inuse_space: column(|value| value.inuse_space),
        inuse_variance: values.iter().map(|(_, value)| value.inuse_variance).collect(),
    }
}

/// The profile again. One of a type that only a later version knows is none.
pub(super) fn snapshot_from(
    message: &messages::Snapshot,
    target: &TargetId,
    stacks: &Stacks,
) -> Result<Option<Snapshot>, BundleError> {
    let Some(profile_type) = ProfileType::from_name(&message.profile_type) else {
        return Ok(None);
    };
    let mut reader = Reader::new(&message.head);
    let head = ProfileHead::decode(&mut reader).map_err(BundleError::in_part("profile"))?;
    let count = message.stacks.len();
    let columns = [
        &message.alloc_objects,
        &message.alloc_space,
        &message.inuse_objects,
        &message.inuse_space,
    ];
    if columns.iter().any(|column| column.len() != count) || message.inuse_variance.len() != count {
        return Err(BundleError::inconsistent("profile", "columns of different lengths"));
    }
    let at = |column: &Vec<i64>, place: usize| column.get(place).copied().unwrap_or_default();
    let mut number = 0_u32;
    let mut values = Vec::with_capacity(count);
    for (place, (gap, variance)) in message.stacks.iter().zip(&message.inuse_variance).enumerate() {
        number = number.wrapping_add(*gap);
        let stack = stacks.stack(number);
        let stack = stack.ok_or_else(|| BundleError::inconsistent("profile", "a stack that is not there"))?;
        let [alloc_objects, alloc_space, inuse_objects, inuse_space] = columns.map(|column| at(column, place));
        let value = StackValue {
            alloc_objects,
            alloc_space,
            inuse_objects,
            inuse_space,
            inuse_variance: if variance.is_finite() { *variance } else { 0.0 },
        };
        values.push((stack, value));
    }
    Ok(Some(Snapshot {
        target: target.clone(),
        process: head.process,
        profile_type,
        at: head.at,
        source: head.source,
        values: values.into(),
        total: head.total,
        period: head.period,
        program: head.program,
        losses: head.losses.into(),
    }))
}
