//! Two profiles compared: one tree, and the functions with the largest differences.

use crate::dto::instant::Instant;
use crate::dto::missing::MissingMap;
use crate::dto::profile::TopRowBody;
use leakwatch_analysis::diff::FunctionDelta;
use leakwatch_analysis::diff::Node;
use leakwatch_analysis::diff::NodeName;
use leakwatch_analysis::diff::Tree;
use leakwatch_analysis::model::stack::Frame;
use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

/// Compare minus base.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Diff)]
pub struct DiffBody {
    /// Profile type.
    pub r#type: String,
    /// Sample type.
    pub value: String,
    /// `bytes` or `count`.
    pub unit: String,
    /// The earlier profile.
    pub base: DiffSideBody,
    /// The later profile.
    pub compare: DiffSideBody,
    /// Root first; pruned nodes are summed into `other`.
    pub tree: NodeBody,
    /// The functions with the largest differences.
    pub top: Vec<FunctionDeltaBody>,
}

/// One of the two profiles.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = DiffSide)]
pub struct DiffSideBody {
    /// When it was taken.
    pub at: Instant,
    /// Sum over all stacks.
    pub total: i64,
}

/// A node of the tree. Values are exact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Node)]
pub struct NodeBody {
    /// Function, `root` or `other`.
    pub name: String,
    /// Source file; `null` in `root` and `other` and where the profile has none.
    pub file: Option<String>,
    /// Line of the call or the allocation; `null` like `file`.
    pub line: Option<u32>,
    /// Value in the base, children included.
    pub base: i64,
    /// Value in the compared profile, children included.
    pub compare: i64,
    /// Value in the base of the stacks that end here.
    pub self_base: i64,
    /// Value in the compared profile of the stacks that end here.
    pub self_compare: i64,
    /// By name, `other` last.
    #[schema(no_recursion)]
    pub children: Vec<Self>,
}

/// One function in both profiles.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = FunctionDelta)]
pub struct FunctionDeltaBody {
    /// Its name.
    pub function: String,
    /// Its source file.
    pub file: Option<String>,
    /// The line that contributes most to the difference.
    pub line: Option<u32>,
    /// Difference of the stacks that end in it.
    pub flat_delta: i64,
    /// Difference of the stacks that contain it.
    pub cum_delta: i64,
    /// Lower end of the 95 % interval of `flat_delta` (of `cum_delta` where nothing ends in the function).
    pub low: Option<i64>,
    /// Upper end of that interval.
    pub high: Option<i64>,
    /// Why fields are `null`.
    #[serde(skip_serializing_if = "MissingMap::is_empty", default)]
    pub missing: MissingMap,
}

impl From<&Tree> for NodeBody {
    fn from(tree: &Tree) -> Self {
        // Children come after their parent, so going backwards every child is complete when its parent takes it.
        let mut built: Vec<Option<Self>> = tree.nodes.iter().map(|node| Some(Self::leaf(node))).collect();
        for (index, node) in tree.nodes.iter().enumerate().rev() {
            let children = node
                .children
                .iter()
                .filter_map(|child| built.get_mut(*child)?.take())
                .collect();
            if let Some(Some(body)) = built.get_mut(index) {
                body.children = children;
            }
        }
        built.into_iter().next().flatten().unwrap_or_else(Self::empty)
    }
}

impl NodeBody {
    fn leaf(node: &Node) -> Self {
        let (name, file, line) = match &node.name {
            NodeName::Root => ("root".to_owned(), None, None),
            NodeName::Other => ("other".to_owned(), None, None),
            NodeName::Frame(frame) => {
                let (file, line) = place(frame);
                (frame.function.to_string(), file, line)
            }
        };
        Self {
            name,
            file,
            line,
            base: node.base,
            compare: node.compare,
            self_base: node.self_base,
            self_compare: node.self_compare,
            children: Vec::new(),
        }
    }

    fn empty() -> Self {
        Self {
            name: "root".to_owned(),
            file: None,
            line: None,
            base: 0,
            compare: 0,
            self_base: 0,
            self_compare: 0,
            children: Vec::new(),
        }
    }
}

impl From<&FunctionDelta> for FunctionDeltaBody {
    fn from(delta: &FunctionDelta) -> Self {
        let mut missing = MissingMap::default();
        let (file, line) = known_place(&delta.frame, &mut missing);
        let shown = if delta.flat.delta == 0 { delta.cum } else { delta.flat };
        let unknown = "the profile does not tell how it was sampled";
        Self {
            function: delta.frame.function.to_string(),
            file,
            line,
            flat_delta: delta.flat.delta,
            cum_delta: delta.cum.delta,
            low: missing.applicable("low", shown.interval.map(|(low, _)| low), unknown),
            high: missing.applicable("high", shown.interval.map(|(_, high)| high), unknown),
            missing,
        }
    }
}

impl From<&FunctionDelta> for TopRowBody {
    /// Of a diff with nothing: the differences are the values.
    fn from(delta: &FunctionDelta) -> Self {
        let mut missing = MissingMap::default();
        let (file, line) = known_place(&delta.frame, &mut missing);
        Self {
            function: delta.frame.function.to_string(),
            file,
            line,
            flat: delta.flat.delta,
            cum: delta.cum.delta,
            missing,
        }
    }
}

fn place(frame: &Frame) -> (Option<String>, Option<u32>) {
    let file = Some(frame.file.to_string()).filter(|file| !file.is_empty());
    (file, Some(frame.line).filter(|line| *line != 0))
}

fn known_place(frame: &Frame, missing: &mut MissingMap) -> (Option<String>, Option<u32>) {
    let (file, line) = place(frame);
    (
        missing.applicable("file", file, "the profile has no file for it"),
        missing.applicable("line", line, "the profile has no line for it"),
    )
}
