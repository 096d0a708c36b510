//! Runs.

use super::entry;
use super::limit_from;
use super::position;
use crate::store::disk::codec::column;
use crate::store::disk::messages;
use leakwatch_analysis::model::run::Course;
use leakwatch_analysis::model::run::CoursePoint;
use leakwatch_analysis::model::run::Run;
use leakwatch_analysis::model::run::RunEnd;
use leakwatch_analysis::model::target::ProcessKey;
use leakwatch_analysis::model::target::TargetId;
use leakwatch_analysis::model::units::Bytes;
use leakwatch_analysis::model::units::Timestamp;

// Numbers on disk are positions in this table: append only.
const ENDS: [RunEnd; 4] = [RunEnd::OomKill, RunEnd::Restart, RunEnd::Gone, RunEnd::Unseen];

pub(in crate::store::disk) fn run_to(run: &Run) -> messages::Run {
    let points = run.course.points();
    let column = |value: &dyn Fn(&CoursePoint) -> Option<u64>| {
        let values: Vec<Option<u64>> = points.iter().map(value).collect();
        let mut bytes = Vec::new();
        column::encode(&mut bytes, &values);
        bytes
    };
    messages::Run {
        service: run.service.clone(),
        target: run.target.as_str().to_owned(),
        pid: run.process.pid,
        start_ticks: run.process.start_ticks,
        exe: run.exe.clone(),
        version: run.version.clone(),
        started_at: run.started_at.unix_nanos(),
        last_at: run.last_at.unix_nanos(),
        end: run.end.map(|end| position(&ENDS, &end)),
        limit: run.limit.bytes().map(|limit| limit.0),
        step_seconds: run.course.step_seconds(),
        points: u32::try_from(points.len()).unwrap_or(0),
        columns: vec![
            column(&|point| Some(point.age_seconds.into())),
            column(&|point| Some(point.memory?.0)),
            column(&|point| Some(point.live_heap?.0)),
            column(&|point| point.goroutines),
            column(&|point| Some(point.work?.0)),
        ],
    }
}

pub(in crate::store::disk) fn run_from(message: messages::Run) -> Option<Run> {
    let points = (message.points as usize).min(Course::CAPACITY);
    let columns = message.columns.iter().map(|bytes| column::decode(bytes, points).ok());
    let columns: Vec<Vec<Option<u64>>> = columns.collect::<Option<_>>()?;
    let at = |column: usize, place: usize| columns.get(column)?.get(place).copied().flatten();
    let point = |place| {
        Some(CoursePoint {
            age_seconds: u32::try_from(at(0, place)?).ok()?,
            memory: at(1, place).map(Bytes),
            live_heap: at(2, place).map(Bytes),
            goroutines: at(3, place),
            work: at(4, place).map(Bytes),
        })
    };
    Some(Run {
        service: message.service,
        target: TargetId::from_text(&message.target),
        process: ProcessKey {
            pid: message.pid,
            start_ticks: message.start_ticks,
        },
        exe: message.exe,
        version: message.version,
        started_at: Timestamp::from_unix_nanos(message.started_at),
        last_at: Timestamp::from_unix_nanos(message.last_at),
        end: message.end.map(|end| entry(&ENDS, end).unwrap_or(RunEnd::Unseen)),
        limit: limit_from(message.limit),
        course: Course::from_points(message.step_seconds, (0..points).filter_map(point)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use leakwatch_analysis::model::sample::Limit;
    use prost::Message as _;

    #[test]
    fn a_run_is_read_as_it_was_written_and_takes_less_than_two_kilobytes() {
        let mut course = Course::default();
        let mut noise = 1_u64;
        for age in (5..500_000).step_by(5) {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            course.push(CoursePoint {
                age_seconds: age,
                memory: Some(Bytes((noise >> 40) * 4096)),
                live_heap: (age % 30 == 0).then_some(Bytes(noise >> 30)),
                goroutines: Some(noise >> 54),
                work: Some(Bytes(u64::from(age) * 1_234_567)),
            });
        }
        let run = Run {
            service: "checkout".into(),
            target: TargetId::from_text("t1-2"),
            process: ProcessKey { pid: 1, start_ticks: 2 },
            exe: "/usr/bin/checkout".into(),
            version: "0123456789abcdef".into(),
            started_at: Timestamp::from_unix_seconds(5),
            last_at: Timestamp::from_unix_seconds(9),
            end: Some(RunEnd::OomKill),
            limit: Limit::Bytes(Bytes(7)),
            course,
        };
        let message = run_to(&run);
        assert!(message.encoded_len() < 2000, "{} bytes", message.encoded_len());
        assert_eq!(run_from(message), Some(run));
    }
}
