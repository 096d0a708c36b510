//! Post-mortems, complete in themselves: profiles with their stacks.

use super::verdict::verdict_from;
use super::verdict::verdict_to;
use crate::input;
use crate::input::Input;
use crate::input::TakenProfile;
use crate::store::disk::messages;
use crate::store::post_mortem::OtherProcess;
use crate::store::post_mortem::PostMortem;
use leakwatch_analysis::model::decoded::ProfileContent;
use leakwatch_analysis::model::decoded::Summary;
use leakwatch_analysis::model::profile::Snapshot;
use leakwatch_analysis::model::sample::ProcessSample;
use leakwatch_analysis::model::sample::Sample;
use leakwatch_analysis::model::stack::StackId;
use leakwatch_analysis::model::stack::StackTable;
use leakwatch_analysis::model::target::TargetId;
use std::sync::Arc;
use std::time::Duration;

pub(in crate::store) fn post_mortem_to(post_mortem: &PostMortem) -> messages::PostMortem {
    let sample = Sample {
        target: post_mortem.target.clone().unwrap_or_else(|| TargetId::from_text("")),
        at: post_mortem.kill.at,
        cgroup: post_mortem.last_memory.clone(),
        new_processes: Vec::new(),
        processes: post_mortem
            .other_processes
            .iter()
            .map(|other| ProcessSample {
                key: other.key,
                memory: other.memory.clone(),
            })
            .collect(),
    };
    messages::PostMortem {
        id: post_mortem.id.clone(),
        kill: input::to_bytes(&Input::OomKill(Box::new(post_mortem.kill.clone()))),
        target: post_mortem.target.as_ref().map(|target| target.as_str().to_owned()),
        last_sample_age_nanos: post_mortem
            .last_sample_age
            .map(|age| u64::try_from(age.as_nanos()).unwrap_or(u64::MAX)),
        sample: input::to_bytes(&Input::Sample(sample)),
        comms: post_mortem
            .other_processes
            .iter()
            .map(|other| other.comm.clone())
            .collect(),
        profiles: post_mortem
            .profiles
            .iter()
            .map(|snapshot| input::to_bytes(&Input::Profile(taken(snapshot, &post_mortem.stacks))))
            .collect(),
        verdict: post_mortem.verdict.as_ref().map(verdict_to),
        final_state: post_mortem
            .final_state
            .as_ref()
            .map(|state| input::to_bytes(&Input::FinalState(Box::new(state.clone())))),
    }
}

/// A snapshot with the stacks that it uses and no others.
fn taken(snapshot: &Snapshot, stacks: &StackTable) -> TakenProfile {
    let used = stacks.used(snapshot.values.stacks());
    let (table, moved) = stacks.compacted(&used);
    let here = |stack| moved.stack(stack).unwrap_or(StackId::EMPTY);
    TakenProfile {
        at: snapshot.at,
        target: snapshot.target.clone(),
        process: snapshot.process,
        profile_type: snapshot.profile_type,
        source: snapshot.source,
        profile: Ok(Arc::new(ProfileContent {
            stacks: table,
            summary: Summary {
                values: snapshot
                    .values
                    .iter()
                    .map(|(stack, value)| (here(stack), value))
                    .collect(),
                total: snapshot.total,
                period: snapshot.period,
                program: snapshot.program.clone(),
                losses: snapshot.losses.to_vec(),
            },
        })),
    }
}

/// A post-mortem without its profiles, and these: whoever keeps it looks their stacks up among his.
pub(in crate::store) fn post_mortem_from(message: messages::PostMortem) -> Option<(PostMortem, Vec<TakenProfile>)> {
    let Input::OomKill(kill) = input::from_bytes(&message.kill)? else {
        return None;
    };
    let Input::Sample(sample) = input::from_bytes(&message.sample)? else {
        return None;
    };
    let others = sample.processes.into_iter().zip(message.comms);
    let profile = |bytes: &Vec<u8>| match input::from_bytes(bytes)? {
        Input::Profile(taken) => Some(taken),
        _ => None,
    };
    let profiles = message.profiles.iter().filter_map(profile).collect();
    let final_state = message.final_state.as_deref().and_then(input::from_bytes);
    let post_mortem = PostMortem {
        id: message.id,
        kill: *kill,
        target: message.target.as_deref().map(TargetId::from_text),
        last_sample_age: message.last_sample_age_nanos.map(Duration::from_nanos),
        last_memory: sample.cgroup,
        other_processes: others
            .map(|(process, comm)| OtherProcess {
                key: process.key,
                comm,
                memory: process.memory,
            })
            .collect(),
        profiles: Vec::new(),
        stacks: Arc::default(),
        verdict: message.verdict.and_then(verdict_from),
        final_state: final_state.and_then(|input| match input {
            Input::FinalState(state) => Some(*state),
            _ => None,
        }),
        awaits_final_state: false,
        // The catalog knows.
        pinned: false,
    };
    Some((post_mortem, profiles))
}
