//! Counters of a cgroup.

use crate::input::Skipped;
use crate::input::convert::error::ConvertError;
use crate::input::convert::error::Converted;
use crate::input::convert::error::required;
use crate::input::convert::field::missing_from;
use crate::input::convert::field::missing_to;
use crate::input::messages;
use leakwatch_analysis::model::counter;
use leakwatch_analysis::model::counter::CgroupVersion;
use leakwatch_analysis::model::counter::Counter;
use leakwatch_analysis::model::counter::CountersBuilder;

pub(super) fn counters_to(counters: &counter::Counters) -> messages::Counters {
    let (numbers, values) = counters
        .iter()
        .map(|(counter, value)| (u32::from(counter.number()), value))
        .unzip();
    let unread = counters
        .unread_files()
        .iter()
        .map(|(name, missing)| messages::UnreadFile {
            name: (*name).to_owned(),
            missing: Some(missing_to(missing)),
        });
    messages::Counters {
        numbers,
        values,
        unread_files: unread.collect(),
        version: match counters.version() {
            None => 0,
            Some(CgroupVersion::V1) => 1,
            Some(CgroupVersion::V2) => 2,
        },
    }
}

pub(super) fn counters_from(message: messages::Counters, skipped: &mut Skipped) -> Converted<counter::Counters> {
    let mut counters = CountersBuilder::new(match message.version {
        1 => Some(CgroupVersion::V1),
        2 => Some(CgroupVersion::V2),
        _ => None,
    });
    if message.numbers.len() != message.values.len() {
        return Err(ConvertError::Absent("a value of a counter"));
    }
    for (number, value) in message.numbers.into_iter().zip(message.values) {
        match Counter::from_number(number) {
            Some(counter) => counters.set(counter, value),
            None => skipped.counters += 1,
        }
    }
    for file in message.unread_files {
        let missing = missing_from(required(file.missing, "why a file was not read")?);
        match counter::file_name(&file.name) {
            Some(name) => counters.fail(name, missing),
            None => skipped.counters += 1,
        }
    }
    Ok(counters.build())
}
