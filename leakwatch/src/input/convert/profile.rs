//! What profiles say.

use crate::input::messages;
use leakwatch_analysis::model::decoded::ProfileContent;
use leakwatch_analysis::model::decoded::Summing;
use leakwatch_analysis::model::profile::ProfileLoss;
use leakwatch_analysis::model::profile::ProfileType;
use leakwatch_analysis::model::profile::Program;
use leakwatch_analysis::model::profile::StackValue;
use leakwatch_analysis::model::reading::Reading;
use leakwatch_analysis::model::stack::Frame;
use leakwatch_analysis::model::stack::StackId;
use leakwatch_analysis::model::stack::StackTable;
use leakwatch_analysis::model::stack::StackTableFull;
use leakwatch_analysis::pprof;
use std::collections::HashMap;
use std::sync::Arc;

pub(super) fn content_to(content: &ProfileContent) -> messages::ProfileContent {
    let summary = &content.summary;
    let mut message = messages::ProfileContent {
        values: Vec::with_capacity(summary.values.len()),
        total: Some(value_to(0, &summary.total)),
        period: summary.period,
        losses: summary.losses.iter().map(loss_to).collect(),
        file: summary.program.file.to_string(),
        build_id: summary.program.build_id.to_string(),
        ..messages::ProfileContent::default()
    };
    let mut texts: HashMap<Arc<str>, u32> = HashMap::new();
    let mut place = |text: &Arc<str>, texts_of: &mut Vec<String>| {
        *texts.entry(Arc::clone(text)).or_insert_with(|| {
            texts_of.push(text.to_string());
            place_of_last(texts_of)
        })
    };
    for frame in content.stacks.all_frames() {
        let function = place(&frame.function, &mut message.texts);
        let file = place(&frame.file, &mut message.texts);
        message.frame_functions.push(function);
        message.frame_files.push(file);
        message.frame_lines.push(frame.line);
    }
    for (caller, frame) in content.stacks.all_stacks() {
        message.stack_callers.push(caller.number());
        message.stack_frames.push(frame);
    }
    let values = summary.values.iter();
    message
        .values
        .extend(values.map(|(stack, value)| value_to(stack.number(), &value)));
    message
}

/// A recording may be damaged: what it refers to and does not have is a stack without frames.
pub(super) fn content_from(message: &messages::ProfileContent) -> ProfileContent {
    let texts: Vec<Arc<str>> = message.texts.iter().map(|text| Arc::from(&**text)).collect();
    let text = |place: Option<&u32>| {
        let place = place.and_then(|place| usize::try_from(*place).ok());
        place.and_then(|place| texts.get(place)).cloned().unwrap_or_default()
    };
    let mut stacks = StackTable::default();
    let frames: Vec<Result<u32, StackTableFull>> = message
        .frame_lines
        .iter()
        .enumerate()
        .map(|(place, line)| {
            stacks.intern_frame(&Frame {
                function: text(message.frame_functions.get(place)),
                file: text(message.frame_files.get(place)),
                line: *line,
            })
        })
        .collect();
    let mut numbers: Vec<Result<StackId, StackTableFull>> = vec![Ok(StackId::EMPTY)];
    for (caller, frame) in message.stack_callers.iter().zip(&message.stack_frames) {
        let caller = at(&numbers, *caller).unwrap_or(Ok(StackId::EMPTY));
        let inlined = frame & StackTable::INLINED;
        let frame = at(&frames, frame & !StackTable::INLINED);
        let stack = match (caller, frame) {
            (Ok(caller), Some(Ok(frame))) => stacks.intern_call(caller, frame | inlined),
            (Err(full), _) | (_, Some(Err(full))) => Err(full),
            (Ok(_), None) => Ok(StackId::EMPTY),
        };
        numbers.push(stack);
    }
    let mut sum = Summing::with_capacity(message.values.len());
    for value in &message.values {
        let stack = at(&numbers, value.stack).unwrap_or(Ok(StackId::EMPTY));
        sum.add(&mut stacks, stack, None, &value_from(value));
    }
    let mut summary = sum.finish(message.period);
    if let Some(total) = &message.total {
        summary.total = value_from(total);
    }
    summary.program = Program {
        file: message.file.as_str().into(),
        build_id: message.build_id.as_str().into(),
    };
    summary.losses.splice(0..0, message.losses.iter().map(loss_from));
    ProfileContent { stacks, summary }
}

/// What a recorded profile says: in its own message, or as pprof where that was not written yet.
pub(super) fn recorded(
    content: Option<&messages::ProfileContent>,
    pprof: &[u8],
    profile_type: ProfileType,
) -> Reading<Arc<ProfileContent>> {
    match content {
        Some(content) => Ok(Arc::new(content_from(content))),
        None => pprof::recorded(pprof, profile_type),
    }
}

fn at<T: Copy>(list: &[T], place: u32) -> Option<T> {
    list.get(usize::try_from(place).ok()?).copied()
}

fn place_of_last(texts: &[String]) -> u32 {
    u32::try_from(texts.len()).unwrap_or(u32::MAX).saturating_sub(1)
}

fn value_to(stack: u32, value: &StackValue) -> messages::StackValue {
    messages::StackValue {
        stack,
        alloc_objects: value.alloc_objects,
        alloc_space: value.alloc_space,
        inuse_objects: value.inuse_objects,
        inuse_space: value.inuse_space,
        inuse_variance: value.inuse_variance,
    }
}

fn value_from(value: &messages::StackValue) -> StackValue {
    StackValue {
        alloc_objects: value.alloc_objects,
        alloc_space: value.alloc_space,
        inuse_objects: value.inuse_objects,
        inuse_space: value.inuse_space,
        inuse_variance: value.inuse_variance,
    }
}

fn loss_to(loss: &ProfileLoss) -> messages::ProfileLoss {
    messages::ProfileLoss {
        reason: loss.reason.to_string(),
        samples: loss.samples,
        value: Some(value_to(0, &loss.value)),
    }
}

fn loss_from(loss: &messages::ProfileLoss) -> ProfileLoss {
    ProfileLoss {
        reason: loss.reason.clone().into(),
        samples: loss.samples,
        value: loss.value.as_ref().map(value_from).unwrap_or_default(),
    }
}
