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
        let library = library_of(history, &build, goroutines.stack)?;
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

/// Whether no frame of a stack is the program's own code; the library that it is in.
pub fn library_of<'h>(history: &'h TargetHistory, build: &Build, stack: StackId) -> Option<&'h str> {
    let mut library = None;
    for frame in history.stacks.frames(stack) {
        match build.origin(frame) {
            Origin::Own => return None,
            Origin::Library => library = library.or(Some(module_of(frame))),
            Origin::Runtime | Origin::Standard => {}
        }
    }
    library
}

fn module_of(frame: &Frame) -> &str {
    let package = package_of(&frame.function);
    let end = package
        .match_indices('/')
        .nth(ELEMENTS - 1)
        .map_or(package.len(), |(at, _)| at);
    package.get(..end).unwrap_or(package)
}
