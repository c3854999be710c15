//! The tree of mappings, as it is configured.

use std::fmt;

use indexmap::IndexMap;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

/// Mappings by their names, or by the first part of them.
pub type Tree = IndexMap<String, Node>;

/// An expression, or more mappings.
///
/// A number or a truth is an expression too: `42` is `"42"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// The text of an expression.
    Expression(String),
    /// Mappings below this one.
    Branch(Tree),
}

impl From<&str> for Node {
    fn from(expression: &str) -> Self {
        Self::Expression(expression.to_owned())
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NodeVisitor;

        impl<'de> Visitor<'de> for NodeVisitor {
            type Value = Node;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an expression, or more mappings")
            }

            fn visit_str<E>(self, text: &str) -> Result<Node, E> {
                Ok(text.into())
            }

            fn visit_bool<E>(self, truth: bool) -> Result<Node, E> {
                Ok(Node::Expression(truth.to_string()))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Node, E> {
                Ok(Node::Expression(number.to_string()))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Node, E> {
                Ok(Node::Expression(number.to_string()))
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Node, E> {
                if !number.is_finite() {
                    return Err(E::invalid_value(de::Unexpected::Float(number), &self));
                }
                Ok(Node::Expression(ryu_js::Buffer::new().format(number).to_owned()))
            }

            fn visit_unit<E: de::Error>(self) -> Result<Node, E> {
                Err(E::custom(
                    "there is no expression here, and nothing that stands further to the right below",
                ))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Node, A::Error> {
                Err(de::Error::custom("a list is no expression (in YAML, an array is quoted: '[a, b]')"))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
                let mut tree = Tree::new();
                while let Some((key, node)) = map.next_entry()? {
                    tree.insert(key, node);
                }
                Ok(Node::Branch(tree))
            }
        }

        deserializer.deserialize_any(NodeVisitor)
    }
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Expression(text) => serializer.serialize_str(text),
            Self::Branch(tree) => tree.serialize(serializer),
        }
    }
}

/// An expression of the tree.
pub(crate) struct Leaf<'t> {
    /// The keys that lead to it.
    pub(crate) keys: Vec<&'t str>,
    pub(crate) expression: &'t str,
}

impl Leaf<'_> {
    /// The virtual path: the keys with dots between them.
    pub(crate) fn path(&self) -> String {
        self.keys.join(".")
    }
}

/// The expressions of a tree, in its order. It is walked without calls, for a tree can be made as deep as one likes.
pub(crate) fn leaves(tree: &Tree) -> Vec<Leaf<'_>> {
    let mut leaves = Vec::new();
    let mut branches = vec![tree.iter()];
    let mut keys: Vec<&str> = Vec::new();
    while let Some(branch) = branches.last_mut() {
        match branch.next() {
            Some((key, Node::Expression(expression))) => {
                let keys = keys.iter().copied().chain([&**key]).collect();
                leaves.push(Leaf { keys, expression });
            }
            Some((key, Node::Branch(below))) => {
                keys.push(key);
                branches.push(below.iter());
            }
            None => {
                branches.pop();
                keys.pop();
            }
        }
    }
    leaves
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_come_in_order_with_their_paths() {
        let tree: Tree = serde_json::from_str(
            r#"{"b": "1", "a": {"x": {}, "z": {"deep": true}, "y.y": 0.5}, "c": -42, "d": 1e-7}"#,
        )
        .unwrap();
        let flat: Vec<_> =
            leaves(&tree).iter().map(|leaf| (leaf.path(), leaf.expression.to_owned())).collect();
        let expected = [("b", "1"), ("a.z.deep", "true"), ("a.y.y", "0.5"), ("c", "-42"), ("d", "1e-7")];
        assert_eq!(flat, expected.map(|(path, expression)| (path.to_owned(), expression.to_owned())));
    }

    #[test]
    fn lists_and_nulls_are_no_expressions() {
        for text in ["[1]", "null"] {
            assert!(serde_json::from_str::<Node>(text).is_err());
        }
    }
}
