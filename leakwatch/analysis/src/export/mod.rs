//! A profile or a diff in the forms of other tools, as plain data: text where the format is text, structs where the
//! caller makes JSON of them. The flame graph is [`Diff::tree`](crate::diff::Diff::tree), the table
//! [`Diff::top`](crate::diff::Diff::top).

mod folded;
mod pprof;
mod speedscope;

pub use folded::folded;
pub use pprof::pprof;
pub use pprof::pprof_diff;
pub use speedscope::Speedscope;
pub use speedscope::speedscope;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diff::Diff;
    use crate::model::profile::SampleType;
    use crate::model::profile::StackValue;
    use crate::model::stack::Frame;
    use crate::model::stack::StackId;
    use crate::model::stack::StackTable;

    fn stack(table: &mut StackTable, names: &[&str], line: u32) -> StackId {
        let frames: Vec<Frame> = names
            .iter()
            .map(|name| Frame {
                function: (*name).into(),
                file: "main.go".into(),
                line,
            })
            .collect();
        table.intern(&frames).unwrap()
    }

    fn value(inuse_space: i64) -> StackValue {
        StackValue {
            inuse_space,
            ..StackValue::default()
        }
    }

    #[test]
    fn folded_stacks_add_lines_up_and_keep_hostile_names_on_their_line() {
        let mut table = StackTable::default();
        let values = [
            (stack(&mut table, &["main.leaf", "main.main"], 1), value(3)),
            (stack(&mut table, &["main.leaf", "main.main"], 2), value(4)),
            (stack(&mut table, &["a;b\n9", "main.main"], 1), value(5)),
            (stack(&mut table, &["main.freed"], 1), value(0)),
        ];
        let alone = Diff::new(&table, SampleType::InuseSpace, [], values.iter().copied());
        assert_eq!(folded(&alone), "main.main;a:b 9 5\nmain.main;main.leaf 7\n");
        let diff = Diff::new(
            &table,
            SampleType::InuseSpace,
            values[..1].iter().copied(),
            values[1..].iter().copied(),
        );
        assert_eq!(folded(&diff), "main.main;a:b 9 0 5\nmain.main;main.leaf 3 4\n");
    }

    #[test]
    fn speedscope_shares_frames_and_its_weights_add_up() {
        let mut table = StackTable::default();
        let values = [
            (stack(&mut table, &["main.leaf", "main.main"], 1), value(3)),
            (stack(&mut table, &["main.main"], 1), value(4)),
            (stack(&mut table, &["main.freed"], 1), value(0)),
        ];
        let diff = Diff::new(&table, SampleType::InuseSpace, [], values.iter().copied());
        let file = speedscope(&diff);
        let names: Vec<&str> = file.frames.iter().map(|frame| &*frame.function).collect();
        assert_eq!(names, ["main.main", "main.leaf"]);
        assert_eq!((file.samples, file.weights), (vec![vec![0], vec![0, 1]], vec![4, 3]));
        assert_eq!((file.end_value, file.unit), (7, "bytes"));
    }
}
