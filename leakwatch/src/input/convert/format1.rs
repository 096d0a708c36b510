//! What recordings of format 1 said as arrays.

use crate::input::convert::error::ConvertError;
use crate::input::convert::error::Converted;
use crate::input::convert::field::missing_from;
use crate::input::convert::field::number_from;
use crate::input::messages;
use leakwatch_analysis::model::counter::Counter;
use leakwatch_analysis::model::counter::Counters;
use leakwatch_analysis::model::counter::CountersBuilder;

const STAT: [Counter; 7] = [
    Counter::Anon,
    Counter::File,
    Counter::Shmem,
    Counter::ActiveFile,
    Counter::InactiveFile,
    Counter::Kernel,
    Counter::SlabReclaimable,
];

/// `max` was the sum of all kinds of limit hits.
const EVENTS: [Counter; 2] = [Counter::LocalOomKill, Counter::LocalMax];

/// An array of exactly `N` numbers.
pub(super) fn numbers<const N: usize>(numbers: &[u64]) -> Converted<[u64; N]> {
    numbers
        .try_into()
        .map_err(|_length| ConvertError::Absent("a number of a record"))
}

/// The counters of a sample.
pub(super) fn counters(memory: messages::CgroupMemory) -> Converted<Counters> {
    let mut counters = CountersBuilder::new(None);
    match memory.stat_missing {
        Some(missing) => counters.fail("memory.stat", missing_from(missing)),
        None => set(&mut counters, STAT, numbers(&memory.stat)?),
    }
    match memory.events_missing {
        Some(missing) => counters.fail("memory.events.local", missing_from(missing)),
        None => set(&mut counters, EVENTS, numbers(&memory.events)?),
    }
    match number_from(memory.swap, "swap", |value| Some(value.cast_unsigned()))? {
        Ok(swap) => counters.set(Counter::Swap, swap),
        Err(missing) => counters.fail("memory.swap.current", missing),
    }
    Ok(counters.build())
}

fn set<const N: usize>(into: &mut CountersBuilder, counters: [Counter; N], values: [u64; N]) {
    for (counter, value) in counters.into_iter().zip(values) {
        into.set(counter, value);
    }
}
