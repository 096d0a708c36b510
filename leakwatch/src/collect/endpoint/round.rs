//! One process asked once: find its endpoint, get each profile, check what came.

use crate::clock::Clock;
use crate::collect::endpoint::config::EndpointConfig;
use crate::collect::endpoint::connect::connect;
use crate::collect::endpoint::fetch;
use crate::collect::endpoint::listener::Listeners;
use crate::collect::endpoint::locate::Place;
use crate::collect::endpoint::locate::places;
use crate::collect::endpoint::process::OpenProcess;
use crate::collect::endpoint::watched::Watched;
use crate::schedule::reading::Asked;
use leakwatch_analysis::model::decoded::ProfileContent;
use leakwatch_analysis::model::profile::ProfileType;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_analysis::model::reading::Reading;
use leakwatch_analysis::model::target::ProcessKey;
use leakwatch_analysis::model::target::TargetId;
use leakwatch_analysis::model::units::Timestamp;
use leakwatch_analysis::pprof;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// What is to be asked.
pub(super) struct Round {
    pub(super) config: Arc<EndpointConfig>,
    pub(super) clock: Clock,
    /// Held while decoding.
    pub(super) decoding: Arc<Semaphore>,
    pub(super) watched: Watched,
    /// Where the last round found the profiles.
    pub(super) place: Option<Place>,
    /// Ask for leaked goroutines too.
    pub(super) ask_leak: bool,
}

/// What came of it.
pub(super) struct Outcome {
    pub(super) target: TargetId,
    pub(super) process: ProcessKey,
    /// Where the profiles are; `None` if no heap profile was had.
    pub(super) place: Option<Place>,
    /// Each profile asked for, with the instant of its arrival or failure.
    pub(super) profiles: Vec<Taken>,
}

/// A profile, or why there is none.
type Taken = (ProfileType, Timestamp, Reading<Arc<ProfileContent>>);

impl Round {
    pub(super) async fn run(self) -> Outcome {
        let mut profiles = Vec::new();
        let everything = self.watched.asked == Asked::Profiles;
        // The place of all profiles is the one that has this one.
        let place = match self.heap().await {
            Ok((place, heap)) => {
                if everything {
                    profiles.push((ProfileType::Heap, self.clock.now(), Ok(heap)));
                    let goroutines = self.take(&place, ProfileType::Goroutine).await;
                    profiles.push((ProfileType::Goroutine, self.clock.now(), goroutines));
                }
                if self.ask_leak {
                    let leaked = self.leaked_goroutines(&place).await;
                    profiles.push((ProfileType::GoroutineLeak, self.clock.now(), leaked));
                }
                Some(place)
            }
            Err(missing) => {
                let asked: &[ProfileType] = if everything {
                    &[ProfileType::Heap, ProfileType::Goroutine]
                } else {
                    &[ProfileType::GoroutineLeak]
                };
                for &profile_type in asked {
                    profiles.push((profile_type, self.clock.now(), Err(missing.clone())));
                }
                None
            }
        };
        Outcome {
            target: self.watched.target,
            process: self.watched.process,
            place,
            profiles,
        }
    }

    /// The heap profile, from the first place that has one.
    async fn heap(&self) -> Reading<(Place, Arc<ProfileContent>)> {
        let candidates = match &self.place {
            Some(place) => vec![place.clone()],
            None => self.places().await?,
        };
        let count = candidates.len();
        let mut failures: Vec<Missing> = Vec::new();
        for place in candidates {
            match self.take(&place, ProfileType::Heap).await {
                Ok(heap) => return Ok((place, heap)),
                Err(missing) => failures.push(missing),
            }
        }
        Err(summary(count, failures))
    }

    /// Looks for the process's endpoint.
    async fn places(&self) -> Reading<Vec<Place>> {
        let (config, watched) = (Arc::clone(&self.config), self.watched.clone());
        let looked = tokio::task::spawn_blocking(move || {
            let process = OpenProcess::open(watched.process)?;
            places(&config, &watched, &Listeners::of(&process)?)
        });
        looked.await.unwrap_or_else(|error| Err(died(&error)))
    }

    async fn leaked_goroutines(&self, place: &Place) -> Reading<Arc<ProfileContent>> {
        let version = &self.watched.go_version;
        if !has_goroutine_leak(version) {
            return Err(Missing::new(
                MissingReason::Unsupported,
                format!("{version} has no profile of leaked goroutines"),
            )
            .with_fix("build the program with Go 1.27 or newer"));
        }
        self.take(place, ProfileType::GoroutineLeak).await
    }

    /// Gets one profile and decodes it, so that nothing invalid goes further.
    async fn take(&self, place: &Place, profile_type: ProfileType) -> Reading<Arc<ProfileContent>> {
        let limit = self.config.total_timeout;
        let exchange = async {
            let stream = connect(&self.watched, place, self.config.connect_timeout).await?;
            fetch::get(stream, place, profile_type, self.config.bounds.max_compressed_bytes).await
        };
        let bytes = tokio::time::timeout(limit, exchange).await.map_err(|_elapsed| {
            let detail = format!("{place}{} did not answer within {limit:?}", profile_type.name());
            Missing::new(MissingReason::Timeout, detail)
        })??;
        let _permit = self.decoding.acquire().await;
        let bounds = self.config.bounds;
        let decoded = tokio::task::spawn_blocking(move || pprof::received(&bytes, profile_type, &bounds));
        let decoded = decoded.await.map_err(|error| died(&error))?;
        decoded
            .map(Arc::new)
            .map_err(|error| refused(place, profile_type, &error))
    }
}

fn refused(place: &Place, profile_type: ProfileType, error: &pprof::PprofError) -> Missing {
    let reason = match error {
        pprof::PprofError::TooLarge { .. } => MissingReason::TooLarge,
        _ => MissingReason::Malformed,
    };
    let detail = format!("{place}{}: {}", profile_type.name(), fetch::causes(error));
    Missing::new(reason, detail)
}

/// One reason for all places that were tried.
fn summary(count: usize, mut failures: Vec<Missing>) -> Missing {
    if count == 1
        && let Some(only) = failures.pop()
    {
        return only;
    }
    let details: Vec<String> = failures.into_iter().map(|missing| missing.detail).collect();
    Missing::new(
        MissingReason::Unsupported,
        format!("no port of the process serves profiles: {}", details.join("; ")),
    )
    .with_fix("import net/http/pprof into a server on a loopback port, or add a [[go.endpoint]] with its url")
}

fn died(error: &tokio::task::JoinError) -> Missing {
    Missing::new(MissingReason::Failed, format!("collecting failed: {error}"))
}

/// Whether a program of this Go version may have the profile: from Go 1.27, or in 1.26 by an experiment that the version
/// names (`go1.26.1 X:goroutineleakprofile`). Unknown forms may have it; a 404 tells.
fn has_goroutine_leak(version: &str) -> bool {
    let minor = version
        .split_whitespace()
        .find_map(|word| word.strip_prefix("go1."))
        .map(|rest| rest.chars().take_while(char::is_ascii_digit).collect::<String>())
        .and_then(|digits| digits.parse::<u32>().ok());
    version.contains("goroutineleakprofile") || minor.is_none_or(|minor| minor >= 27)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_leak_profile_is_asked_for_where_it_can_exist() {
        for (version, expected) in [
            ("go1.26.8", false),
            ("go1.9", false),
            ("go1.26.1 X:goroutineleakprofile", true),
            ("go1.27rc1", true),
            ("go1.30.2", true),
            ("devel go1.28-abcdef Mon", true),
            ("devel +abcdef", true),
        ] {
            assert_eq!(has_goroutine_leak(version), expected, "{version}");
        }
    }
}
