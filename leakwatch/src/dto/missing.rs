//! Why a field is `null`: the `missing` map beside it.

use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_analysis::model::reading::Reading;
use serde::Deserialize;
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Machine-readable reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The kernel, the cgroup version or the program does not offer it.
    Unsupported,
    /// The daemon may not read it.
    NotPermitted,
    /// The cgroup or process vanished.
    Gone,
    /// Nothing was configured to collect it.
    NotConfigured,
    /// It was read but does not have the documented form.
    Malformed,
    /// It did not arrive in time.
    Timeout,
    /// It was larger than the bound.
    TooLarge,
    /// It will be there later.
    NotYet,
    /// Reading failed in another way.
    Failed,
    /// There is no such value here: no limit, no container, nobody to blame.
    NotApplicable,
}

impl From<MissingReason> for Reason {
    fn from(reason: MissingReason) -> Self {
        match reason {
            MissingReason::Unsupported => Self::Unsupported,
            MissingReason::NotPermitted => Self::NotPermitted,
            MissingReason::Gone => Self::Gone,
            MissingReason::NotConfigured => Self::NotConfigured,
            MissingReason::Malformed => Self::Malformed,
            MissingReason::Timeout => Self::Timeout,
            MissingReason::TooLarge => Self::TooLarge,
            MissingReason::NotYet => Self::NotYet,
            MissingReason::Failed => Self::Failed,
        }
    }
}

/// Why one field is absent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Missing)]
pub struct MissingBody {
    /// Machine-readable reason.
    pub reason: Reason,
    /// What happened.
    pub detail: String,
    /// What to do about it; `null` when nothing can be done.
    pub fix: Option<String>,
}

impl From<&Missing> for MissingBody {
    fn from(missing: &Missing) -> Self {
        Self {
            reason: missing.reason.into(),
            detail: missing.detail.clone(),
            fix: missing.fix.clone(),
        }
    }
}

/// Absent fields by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct MissingMap(pub BTreeMap<String, MissingBody>);

impl MissingMap {
    /// The value of a reading; a missing one is noted under `field`.
    pub fn take<T, U>(&mut self, field: &str, reading: Result<T, &Missing>, convert: impl FnOnce(T) -> U) -> Option<U> {
        match reading {
            Ok(value) => Some(convert(value)),
            Err(missing) => {
                self.note(field, missing.into());
                None
            }
        }
    }

    /// The same for an owned reading.
    pub fn take_owned<T, U>(&mut self, field: &str, reading: Reading<T>, convert: impl FnOnce(T) -> U) -> Option<U> {
        match reading {
            Ok(value) => Some(convert(value)),
            Err(missing) => self.take(field, Err(&missing), convert),
        }
    }

    /// A value that does not exist in this case.
    pub fn applicable<T>(&mut self, field: &str, value: Option<T>, why_not: &str) -> Option<T> {
        if value.is_none() {
            self.note(
                field,
                MissingBody {
                    reason: Reason::NotApplicable,
                    detail: why_not.to_owned(),
                    fix: None,
                },
            );
        }
        value
    }

    /// Notes why a field is absent; the first reason stays.
    pub fn note(&mut self, field: &str, missing: MissingBody) {
        self.0.entry(field.to_owned()).or_insert(missing);
    }

    /// Whether nothing is absent.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> FromIterator<(&'a str, &'a Missing)> for MissingMap {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a Missing)>>(entries: I) -> Self {
        Self(
            entries
                .into_iter()
                .map(|(field, missing)| (field.to_owned(), missing.into()))
                .collect(),
        )
    }
}
