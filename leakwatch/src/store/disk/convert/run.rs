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
use leakwatch_analysis::model::run::ServiceRun;
use leakwatch_analysis::model::target::ProcessKey;
use leakwatch_analysis::model::target::TargetId;
use leakwatch_analysis::model::units::Bytes;
use leakwatch_analysis::model::units::Timestamp;

// Numbers on disk are positions in this table: append only.
const ENDS: [RunEnd; 4] = [RunEnd::OomKill, RunEnd::Exit, RunEnd::Unseen, RunEnd::OutOfMemory];

pub(in crate::store) fn run_to(kept: &ServiceRun) -> messages::Run {
    let run = &kept.run;
    let points = &run.course.points;
    let column = |value: &dyn Fn(&CoursePoint) -> Option<u64>| {
        let values: Vec<Option<u64>> = points.iter().map(value).collect();
        let mut bytes = Vec::new();
        column::encode(&mut bytes, &values);
        bytes
    };
    messages::Run {
        service: kept.service.clone(),
        target: kept.target.as_str().to_owned(),
        pid: run.process.pid,
        start_ticks: run.process.start_ticks,
        exe: kept.exe.clone(),
        version: kept.version.clone(),
        started_at: run.started_at.unix_nanos(),
        last_at: kept.last_at.unix_nanos(),
        end: run.ended.map(|(_, end)| position(&ENDS, &end)),
        ended_at: run.ended.map(|(at, _)| at.unix_nanos()),
        limit: run.limit.bytes().map(|limit| limit.0),
        step_seconds: run.course.step_seconds,
        points: u32::try_from(points.len()).unwrap_or(0),
        columns: vec![
            column(&|point| Some(point.age_seconds.into())),
            column(&|point| Some(point.memory?.0)),
            column(&|point| Some(point.live_heap?.0)),
            column(&|point| point.goroutines.map(u64::from)),
            column(&|point| Some(point.work?.0)),
            column(&|point| Some(point.samples.into())),
        ],
    }
}

pub(in crate::store) fn run_from(message: messages::Run) -> Option<ServiceRun> {
    let points = (message.points as usize).min(Course::CAPACITY);
    let columns = message.columns.iter().map(|bytes| column::decode(bytes, points).ok());
    let columns: Vec<Vec<Option<u64>>> = columns.collect::<Option<_>>()?;
    let at = |column: usize, place: usize| columns.get(column)?.get(place).copied().flatten();
    let small = |value: Option<u64>| u32::try_from(value?).ok();
    let point = |place| {
        Some(CoursePoint {
            age_seconds: small(at(0, place))?,
            samples: small(at(5, place)).unwrap_or(1),
            memory: at(1, place).map(Bytes),
            live_heap: at(2, place).map(Bytes),
            goroutines: small(at(3, place)),
            work: at(4, place).map(Bytes),
        })
    };
    let mut points: Vec<CoursePoint> = (0..points).filter_map(point).collect();
    points.sort_by_key(|point| point.age_seconds);
    let last_at = Timestamp::from_unix_nanos(message.last_at);
    let ended_at = message.ended_at.map_or(last_at, Timestamp::from_unix_nanos);
    Some(ServiceRun {
        service: message.service,
        target: TargetId::from_text(&message.target),
        exe: message.exe,
        version: message.version,
        last_at,
        run: Run {
            process: ProcessKey {
                pid: message.pid,
                start_ticks: message.start_ticks,
            },
            started_at: Timestamp::from_unix_nanos(message.started_at),
            limit: limit_from(message.limit),
            ended: message
                .end
                .map(|end| (ended_at, entry(&ENDS, end).unwrap_or(RunEnd::Unseen))),
            course: Course {
                step_seconds: message.step_seconds.max(1),
                points: points.into(),
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use leakwatch_analysis::model::run::RunSample;
    use leakwatch_analysis::model::sample::Limit;
    use prost::Message as _;
    use std::time::Duration;

    #[test]
    fn a_run_is_read_as_it_was_written_and_takes_less_than_two_kilobytes() {
        let mut course = Course::default();
        let mut noise = 1_u64;
        for age in (5..500_000).step_by(5) {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            course.add(
                Duration::from_secs(age),
                RunSample {
                    memory: Some(Bytes((noise >> 40) * 4096)),
                    live_heap: (age % 30 == 0).then_some(Bytes(noise >> 30)),
                    goroutines: u32::try_from(noise >> 54).ok(),
                    work: Some(Bytes(age * 1_234_567)),
                },
            );
        }
        let last_at = Timestamp::from_unix_seconds(9);
        let run = ServiceRun {
            service: "checkout".into(),
            target: TargetId::from_text("t1-2"),
            exe: "/usr/bin/checkout".into(),
            version: "0123456789abcdef".into(),
            last_at,
            run: Run {
                process: ProcessKey { pid: 1, start_ticks: 2 },
                started_at: Timestamp::from_unix_seconds(5),
                ended: Some((last_at, RunEnd::OomKill)),
                limit: Limit::Bytes(Bytes(7)),
                course,
            },
        };
        let message = run_to(&run);
        assert!(message.encoded_len() < 2000, "{} bytes", message.encoded_len());
        assert_eq!(run_from(message), Some(run));
    }
}
