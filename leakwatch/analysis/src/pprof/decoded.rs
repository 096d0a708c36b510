//! A profile together with what it says: decoded once, where it is taken or read back, so that whoever keeps it has only to look its
//! stacks up among those it knows.

use super::Bounds;
use super::PprofError;
use super::decode;
use super::is_gzip;
use super::proto::Profile;
use super::summarize;
use super::summary::Summary;
use super::validate;
use crate::profile::ProfileType;
use crate::sample::Missing;
use crate::sample::MissingReason;
use crate::sample::Reading;
use crate::stack::StackTable;
use prost::Message as _;
use std::sync::Arc;

/// A profile on its way from where it was taken to the history it becomes a part of.
#[derive(Clone, Debug, PartialEq)]
pub struct DecodedProfile {
    /// The gzipped `profile.proto`, for recordings and for clients.
    pub pprof: Arc<[u8]>,
    /// What it says, or why it does not decode.
    pub content: Reading<Arc<ProfileContent>>,
}

/// Values by stack, in a table of stacks of the profile's own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProfileContent {
    stacks: StackTable,
    summary: Summary,
}

impl DecodedProfile {
    /// A profile as it was received, gzipped or plain; refuses what does not decode.
    pub fn received(bytes: Vec<u8>, profile_type: ProfileType, bounds: &Bounds) -> Result<Self, PprofError> {
        let profile = decode(&bytes, bounds)?;
        let content = ProfileContent::of(&profile, profile_type)?;
        if is_gzip(&bytes) {
            return Ok(Self {
                pprof: bytes.into(),
                content: Ok(Arc::new(content)),
            });
        }
        drop(bytes);
        Ok(Self::made(&profile, profile_type))
    }

    /// A profile that this program made. What would not decode again is not taken as decoded either: a recording of it has to lead to
    /// the same answers.
    pub fn made(profile: &Profile, profile_type: ProfileType) -> Self {
        let bounds = Bounds::default();
        let plain = profile.encode_to_vec();
        let pprof = super::compress(&plain);
        let content = bounds
            .check_size(plain.len(), pprof.len())
            .and_then(|()| bounds.check(&plain))
            .and_then(|()| validate::validate(profile))
            .and_then(|()| ProfileContent::of(profile, profile_type));
        Self {
            pprof: pprof.into(),
            content: content.map(Arc::new).map_err(|error| missing(&error)),
        }
    }

    /// A profile out of a recording.
    pub fn recorded(pprof: Arc<[u8]>, profile_type: ProfileType) -> Self {
        let content = decode(&pprof, &Bounds::default()).and_then(|profile| ProfileContent::of(&profile, profile_type));
        Self {
            pprof,
            content: content.map(Arc::new).map_err(|error| missing(&error)),
        }
    }
}

impl Default for DecodedProfile {
    /// No bytes that say nothing.
    fn default() -> Self {
        Self {
            pprof: Arc::from([]),
            content: Ok(Arc::default()),
        }
    }
}

impl ProfileContent {
    /// Takes a profile apart that [`decode`] has found valid.
    fn of(profile: &Profile, profile_type: ProfileType) -> Result<Self, PprofError> {
        let mut stacks = StackTable::default();
        let summary = summarize(profile, profile_type, &mut stacks)?;
        Ok(Self { stacks, summary })
    }

    /// The same with the stacks of another table, which gets those that it does not have yet. What does not fit there is counted as
    /// dropped.
    pub fn intern(&self, stacks: &mut StackTable) -> Summary {
        let ids = stacks.absorb(&self.stacks);
        let mut summary = Summary {
            values: Vec::with_capacity(self.summary.values.len()),
            ..self.summary
        };
        for (stack, value) in &self.summary.values {
            match ids.get(stack.index()).copied().flatten() {
                Some(id) => summary.values.push((id, *value)),
                None => summary.dropped += 1,
            }
        }
        summary.values.sort_unstable_by_key(|(stack, _)| *stack);
        summary
    }
}

fn missing(error: &PprofError) -> Missing {
    let reason = match error {
        PprofError::TooLarge { .. } => MissingReason::TooLarge,
        _ => MissingReason::Malformed,
    };
    Missing::new(reason, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pprof::ProfileBuilder;
    use crate::pprof::encode;
    use crate::pprof::proto;
    use crate::units::Timestamp;

    /// A goroutine profile with these numbers of goroutines, by the functions of their stacks, innermost first.
    fn goroutines(samples: &[(&[&str], i64)]) -> Profile {
        let mut builder = ProfileBuilder::new(ProfileType::Goroutine, 1, "", &(0..1), Timestamp::default());
        for (functions, count) in samples {
            let location_id = functions
                .iter()
                .map(|function| builder.location(1, std::iter::once((*function, "main.go", 1))))
                .collect();
            builder.profile.sample.push(proto::Sample {
                location_id,
                value: vec![*count],
                label: Vec::new(),
            });
        }
        builder.finish()
    }

    #[test]
    fn interned_content_is_what_the_profile_itself_says_there() {
        let first = goroutines(&[(&["main.wait", "main.main"], 3), (&["main.leaf", "main.main"], 1)]);
        let second = goroutines(&[
            (&["main.new", "main.main"], 5),
            (&["main.leaf", "main.main"], 2),
            (&[], 7),
            (&["main.leaf", "main.main"], 4),
        ]);
        let (mut direct, mut interned) = (StackTable::default(), StackTable::default());
        for profile in [first, second] {
            let made = DecodedProfile::made(&profile, ProfileType::Goroutine);
            let read = DecodedProfile::recorded(Arc::clone(&made.pprof), ProfileType::Goroutine);
            assert_eq!(made, read);
            assert_eq!(made.pprof[..], encode(&profile)[..]);
            let received =
                DecodedProfile::received(profile.encode_to_vec(), ProfileType::Goroutine, &Bounds::default());
            assert_eq!(received.unwrap(), made);
            let expected = summarize(&profile, ProfileType::Goroutine, &mut direct).unwrap();
            assert_eq!(made.content.unwrap().intern(&mut interned), expected);
        }
        assert_eq!(interned, direct);
    }

    #[test]
    fn what_would_not_decode_again_is_not_decoded_when_it_is_made() {
        let overflowing = goroutines(&[(&["main.main"], i64::MAX), (&["main.main"], i64::MAX)]);
        let mut dangling = goroutines(&[(&["main.main"], 1)]);
        dangling.sample[0].location_id.push(9);
        let mut untyped = goroutines(&[]);
        untyped.sample_type.clear();
        for profile in [overflowing, dangling, untyped] {
            let made = DecodedProfile::made(&profile, ProfileType::Goroutine);
            assert!(made.content.is_err());
            assert_eq!(
                made,
                DecodedProfile::recorded(Arc::clone(&made.pprof), ProfileType::Goroutine)
            );
            DecodedProfile::received(made.pprof.to_vec(), ProfileType::Goroutine, &Bounds::default()).unwrap_err();
        }
    }
}
