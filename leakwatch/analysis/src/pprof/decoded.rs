//! A profile decoded where it is taken or read back, together with its original bytes.

use crate::model::decoded::DecodedProfile;
use crate::model::decoded::ProfileContent;
use crate::model::profile::ProfileType;
use crate::model::reading::Missing;
use crate::model::reading::MissingReason;
use crate::model::stack::StackTable;
use crate::pprof::bounds::Bounds;
use crate::pprof::codec::compress;
use crate::pprof::codec::decode;
use crate::pprof::codec::is_gzip;
use crate::pprof::error::PprofError;
use crate::pprof::proto::Profile;
use crate::pprof::summary::summarize;
use crate::pprof::validate;
use prost::Message as _;
use std::sync::Arc;

/// A profile as it was received, gzipped or plain; refuses what does not decode.
pub fn received(bytes: Vec<u8>, profile_type: ProfileType, bounds: &Bounds) -> Result<DecodedProfile, PprofError> {
    let profile = decode(&bytes, bounds)?;
    if !is_gzip(&bytes) {
        return Ok(made(&profile, profile_type));
    }
    Ok(DecodedProfile {
        content: Ok(Arc::new(content(&profile, profile_type)?)),
        pprof: bytes.into(),
    })
}

/// A profile that this program made. One that would not decode again is not taken as decoded either: a recording of it has to lead to
/// the same answers.
pub fn made(profile: &Profile, profile_type: ProfileType) -> DecodedProfile {
    let bounds = Bounds::default();
    let plain = profile.encode_to_vec();
    let pprof = compress(&plain);
    let content = bounds
        .check_size(plain.len(), pprof.len())
        .and_then(|()| bounds.check(&plain))
        .and_then(|()| validate::validate(profile))
        .and_then(|()| content(profile, profile_type));
    DecodedProfile {
        pprof: pprof.into(),
        content: content.map(Arc::new).map_err(|error| missing(&error)),
    }
}

/// A profile out of a recording.
pub fn recorded(pprof: Arc<[u8]>, profile_type: ProfileType) -> DecodedProfile {
    let content = decode(&pprof, &Bounds::default()).and_then(|profile| content(&profile, profile_type));
    DecodedProfile {
        pprof,
        content: content.map(Arc::new).map_err(|error| missing(&error)),
    }
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
    use crate::model::units::Timestamp;
    use crate::pprof::ProfileBuilder;
    use crate::pprof::encode;
    use crate::pprof::proto;

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
            let made = made(&profile, ProfileType::Goroutine);
            let read = recorded(Arc::clone(&made.pprof), ProfileType::Goroutine);
            assert_eq!(made, read);
            assert_eq!(made.pprof[..], encode(&profile)[..]);
            let received = received(profile.encode_to_vec(), ProfileType::Goroutine, &Bounds::default());
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
            let made = made(&profile, ProfileType::Goroutine);
            assert!(made.content.is_err());
            assert_eq!(made, recorded(Arc::clone(&made.pprof), ProfileType::Goroutine));
            received(made.pprof.to_vec(), ProfileType::Goroutine, &Bounds::default()).unwrap_err();
        }
    }
}
