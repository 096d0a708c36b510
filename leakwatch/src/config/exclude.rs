//! What is not watched: by the path of a cgroup, or by a label of a target.

use std::fmt;
use wildmatch::WildMatch;

/// What begins a rule about a label.
const LABELS: [&str; 2] = ["service=", "name="];

/// Rules, of which one is enough.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exclude(Vec<Rule>);

/// One rule.
#[derive(Clone, Debug, PartialEq)]
enum Rule {
    /// Glob over the path of the cgroup, or of one that it is in.
    Path(WildMatch),
    /// Glob over the name of the service.
    Service(WildMatch),
    /// Glob over the name of the target: of the unit, of the container, of the cgroup.
    Name(WildMatch),
}

impl Exclude {
    /// Takes the texts apart; the error is what is wrong with one.
    pub fn parse(texts: &[String]) -> Result<Self, String> {
        texts
            .iter()
            .map(|text| Rule::parse(text))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether there are no rules.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a cgroup is excluded by its own path. Those below an excluded one are as well: that is for who knows their parents, or for
    /// [`Exclude::covers`].
    pub fn has_path(&self, path: &str) -> bool {
        self.0
            .iter()
            .any(|rule| matches!(rule, Rule::Path(glob) if glob.matches(path)))
    }

    /// Whether a cgroup is excluded by its path or by that of one that it is in.
    pub fn covers(&self, path: &str) -> bool {
        let ends = path.match_indices('/').map(|(end, _)| end).filter(|end| *end > 0);
        let mut paths = ends.chain([path.len()]).filter_map(|end| path.get(..end));
        !self.is_empty() && paths.any(|path| self.has_path(path))
    }

    /// Whether a target is excluded by a label.
    pub fn has_label(&self, name: &str, service: &str) -> bool {
        self.0.iter().any(|rule| match rule {
            Rule::Path(_) => false,
            Rule::Service(glob) => glob.matches(service),
            Rule::Name(glob) => glob.matches(name),
        })
    }

    /// As they are written.
    pub(crate) fn texts(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(ToString::to_string)
    }
}

impl Rule {
    fn parse(text: &str) -> Result<Self, String> {
        let [service, name] = LABELS.map(|label| text.strip_prefix(label).filter(|glob| !glob.is_empty()));
        match (service, name) {
            (Some(glob), _) => Ok(Self::Service(WildMatch::new(glob))),
            (_, Some(glob)) => Ok(Self::Name(WildMatch::new(glob))),
            _ if text.starts_with('/') && text.len() > 1 => Ok(Self::Path(WildMatch::new(text.trim_end_matches('/')))),
            _ => Err(format!(
                "{text:?} is neither a cgroup path nor service=GLOB or name=GLOB"
            )),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(glob) => write!(f, "{glob}"),
            Self::Service(glob) => write!(f, "service={glob}"),
            Self::Name(glob) => write!(f, "name={glob}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(texts: &[&str]) -> Exclude {
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        Exclude::parse(&texts).unwrap()
    }

    #[test]
    fn a_path_covers_what_is_below_it_and_nothing_beside_it() {
        for (rule, path, expected) in [
            ("/system.slice", "/system.slice", true),
            ("/system.slice/", "/system.slice/cron.service", true),
            ("/system.slice", "/system.slice2/cron.service", false),
            ("/system.slice/*.service", "/system.slice/cron.service", true),
            ("/system.slice/*.service", "/system.slice/cron.service/worker", true),
            ("/system.slice/cr?n.service", "/system.slice/cron.service", true),
            ("/system.slice/*.service", "/system.slice", false),
        ] {
            assert_eq!(rules(&[rule]).covers(path), expected, "{rule} {path}");
            assert!(!rules(&[rule]).has_label("cron.service", "cron"), "{rule}");
        }
        assert!(!Exclude::default().covers("/a"));
    }

    #[test]
    fn a_label_is_matched_as_a_whole() {
        let excluded = rules(&["service=batch-*", "name=a?"]);
        for (name, service, expected) in [
            ("x", "batch-7", true),
            ("x", "my-batch-7", false),
            ("a1", "x", true),
            ("a12", "x", false),
        ] {
            assert_eq!(excluded.has_label(name, service), expected, "{name} {service}");
        }
        assert!(!excluded.covers("/batch-7"));
    }

    #[test]
    fn what_is_printed_is_what_was_read_and_anything_else_is_refused() {
        let texts = ["/a/*", "service=x*", "name=?"];
        assert_eq!(rules(&texts).texts().collect::<Vec<_>>(), texts);
        for text in ["", "/", "a/b", "service=", "image=x"] {
            assert!(Exclude::parse(&[text.to_owned()]).is_err(), "{text:?}");
        }
    }
}
