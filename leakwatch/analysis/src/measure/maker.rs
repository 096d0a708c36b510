//! Goroutines that a library starts belong to an object of it: a client, a connection, a watcher. Who makes these objects is in the heap profile. Source: the
//! stacks of the profiles; must not judge.

use crate::culprit::Build;
use crate::culprit::Origin;
use crate::culprit::package_of;
use crate::history::TargetHistory;
use crate::measure::site_trend::ProfileTrend;
use crate::measure::site_trend::SiteTrend;
use crate::model::stack::Frame;
use crate::model::stack::StackId;

/// Elements of an import path that name a module where it is hosted: `google.golang.org/grpc`, `github.com/owner`.
const ELEMENTS: usize = 2;
/// Where a repository has an owner before its name (`vcsPaths` in cmd/go/internal/vcs), and `golang.org/x`.
const WITH_OWNERS: [&str; 4] = ["github.com/", "gitlab.com/", "bitbucket.org/", "golang.org/x/"];

/// Own code that makes objects of a library.
#[derive(Clone, Copy, Debug)]
pub struct Maker<'h> {
    /// The innermost frame of own code.
    pub own: &'h Frame,
    /// The function of the library that it calls.
    pub called: &'h Frame,
    /// How its heap grows.
    pub site: &'h SiteTrend,
}

impl<'h> Maker<'h> {
    /// Of the objects that these goroutines belong to: the place that retains most among those whose stacks lead through the library of the
    /// goroutines, and grow.
    pub fn of(history: &'h TargetHistory, heap: &'h ProfileTrend, goroutines: &SiteTrend, rate: f64) -> Option<Self> {
        let build = Build::learn(&history.stacks, [goroutines.stack]);
        let library = module_of(library_of(history, &build, goroutines.stack)?);
        heap.persistent(rate).find_map(|site| {
            let mut called = None;
            for frame in history.stacks.frames(site.stack) {
                if build.origin(frame) == Origin::Own {
                    let called = called?;
                    return Some(Self {
                        own: frame,
                        called,
                        site,
                    });
                }
                called = Some(frame).filter(|frame| module_of(frame) == library);
            }
            None
        })
    }
}

/// Whether no frame of a stack is the program's own code; the innermost frame of the library that it is in.
pub fn library_of<'h>(history: &'h TargetHistory, build: &Build, stack: StackId) -> Option<&'h Frame> {
    let mut library = None;
    for frame in history.stacks.frames(stack) {
        match build.origin(frame) {
            Origin::Own => return None,
            Origin::Library => library = library.or(Some(frame)),
            Origin::Runtime | Origin::Standard => {}
        }
    }
    library
}

/// The repository of a library, as a person knows it.
pub fn repository_of(frame: &Frame) -> &str {
    let package = package_of(&frame.function);
    let has_owner = WITH_OWNERS.iter().any(|host| package.starts_with(host));
    elements(package, ELEMENTS + usize::from(has_owner))
}

/// What all that is hosted together has in common: parts of one library may be in several repositories of an owner.
fn module_of(frame: &Frame) -> &str {
    elements(package_of(&frame.function), ELEMENTS)
}

/// So many elements of an import path.
fn elements(package: &str, count: usize) -> &str {
    let mut ends = package.match_indices('/').map(|(at, _)| at);
    let end = ends.nth(count - 1).unwrap_or(package.len());
    package.get(..end).unwrap_or(package)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_are_named_as_their_hosts_do() {
        for (function, repository) in [
            ("github.com/acme/watch.(*Watcher).loop", "github.com/acme/watch"),
            ("github.com/acme/watch/inner.Loop", "github.com/acme/watch"),
            ("google.golang.org/grpc/internal/grpcsync.run", "google.golang.org/grpc"),
            ("golang.org/x/net/http2.(*Transport).run", "golang.org/x/net"),
            ("gopkg.in/yaml%2ev3.parse", "gopkg.in/yaml%2ev3"),
        ] {
            let frame = Frame {
                function: function.into(),
                file: "".into(),
                line: 1,
            };
            assert_eq!(repository_of(&frame), repository);
        }
    }
}
