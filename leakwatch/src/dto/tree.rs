//! A tree of stacks, of one profile or of two compared.

use crate::dto::source;
use leakwatch_analysis::diff::Node;
use leakwatch_analysis::diff::NodeName;
use leakwatch_analysis::diff::Tree;
use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

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
                let (file, line) = source::file_and_line(frame);
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
