//! A profile decoded where it is taken or read back.

use crate::model::decoded::ProfileContent;
use crate::model::profile::ProfileType;
use crate::model::reading::Missing;
use crate::model::reading::MissingReason;
use crate::model::reading::Reading;
use crate::model::stack::StackTable;
use crate::pprof::bounds::Bounds;
use crate::pprof::codec::decode;
use crate::pprof::error::PprofError;
use crate::pprof::proto::Profile;
use crate::pprof::summary::summarize;
use crate::pprof::validate;
use std::sync::Arc;

/// A profile as it was received, gzipped or plain; refuses what does not decode.
pub fn received(bytes: &[u8], profile_type: ProfileType, bounds: &Bounds) -> Result<ProfileContent, PprofError> {
    content(&decode(bytes, bounds)?, profile_type)
}

/// A profile that this program made.
pub fn made(profile: &Profile, profile_type: ProfileType) -> Reading<Arc<ProfileContent>> {
    let content = validate::validate(profile).and_then(|()| content(profile, profile_type));
    content.map(Arc::new).map_err(|error| missing(&error))
}

/// A profile out of a recording of format 2 or before.
pub fn recorded(pprof: &[u8], profile_type: ProfileType) -> Reading<Arc<ProfileContent>> {
    let content = received(pprof, profile_type, &Bounds::default());
    content.map(Arc::new).map_err(|error| missing(&error))
}

/// Takes a profile apart that was found valid.
fn content(profile: &Profile, profile_type: ProfileType) -> Result<ProfileContent, PprofError> {
    let mut stacks = StackTable::default();
    let summary = summarize(profile, profile_type, &mut stacks)?;
    Ok(ProfileContent { stacks, summary })
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
    use crate::model::decoded::Summary;
    use crate::model::stack::Adopted;
    use crate::model::units::Timestamp;
    use crate::pprof::ProfileBuilder;
    use crate::pprof::encode;
    use crate::pprof::proto;
    use prost::Message as _;
    use std::collections::BTreeMap;

    /// A goroutine profile with these numbers of goroutines, by the functions of their stacks, innermost first.
    fn goroutines(samples: &[(&[&str], i64)]) -> Profile {
        let mut builder = ProfileBuilder::new(ProfileType::Goroutine, 1, "", &(0..1), Timestamp::default());
        for (functions, count) in samples {
            let location_id = functions
                .iter()
                .map(|function| builder.location(1, std::iter::once((*function, "main.go", 1))))
                .collect();
            builder.profile.sample.push(proto::ProfileSample {
                location_id,
                value: vec![*count],
                label: Vec::new(),
            });
        }
        builder.finish()
    }

    /// How many goroutines have which stack.
    fn told(summary: &Summary, stacks: &StackTable) -> BTreeMap<Vec<String>, i64> {
        let frames = |id| stacks.frames(id).map(|frame| frame.function.to_string()).collect();
        let values = summary.values.iter();
        values.map(|(id, value)| (frames(id), value.inuse_objects)).collect()
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
            let made = made(&profile, ProfileType::Goroutine).unwrap();
            let read = recorded(&encode(&profile), ProfileType::Goroutine).unwrap();
            assert_eq!(made, read);
            let received = received(&profile.encode_to_vec(), ProfileType::Goroutine, &Bounds::default());
            assert_eq!(received.unwrap(), *made);
            let expected = summarize(&profile, ProfileType::Goroutine, &mut direct).unwrap();
            let there = made.intern(&mut interned, &mut Adopted::of(&made.stacks));
            assert_eq!(there.total, expected.total);
            assert_eq!(told(&there, &interned), told(&expected, &direct));
        }
    }

    #[test]
    fn what_is_no_profile_is_missing_with_the_reason() {
        let mut dangling = goroutines(&[(&["main.main"], 1)]);
        dangling.sample[0].location_id.push(9);
        let mut untyped = goroutines(&[]);
        untyped.sample_type.clear();
        for profile in [dangling, untyped] {
            let missing = made(&profile, ProfileType::Goroutine).unwrap_err();
            assert_eq!(recorded(&encode(&profile), ProfileType::Goroutine), Err(missing));
        }
    }
}
