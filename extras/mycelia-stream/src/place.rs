//! Where a field is in the text of a configuration.

use std::collections::HashMap;
use std::fmt;

use foldhash::fast::RandomState;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

use crate::yaml;

/// Line and column, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) line: u32,
    pub(crate) column: u32,
}

impl Position {
    pub(crate) fn of(location: Location) -> Option<Self> {
        (location != Location::UNKNOWN)
            .then(|| Self { line: location.line() as u32, column: location.column() as u32 })
    }
}

/// A field, and where its value begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The keys that lead to it; none if it is all of the text, or no text.
    pub(crate) field: Vec<String>,
    pub(crate) position: Option<Position>,
}

impl Place {
    pub(crate) fn of(field: &[&str]) -> Self {
        Self { field: field.iter().map(|&key| key.to_owned()).collect(), position: None }
    }

    pub(crate) fn line_and_column(&self) -> Option<(u32, u32)> {
        self.position.map(|Position { line, column }| (line, column))
    }

    /// Looks it up, if it is not known.
    pub(crate) fn look_up(&mut self, places: &Places) {
        self.position = self.position.or_else(|| places.find(&self.field));
    }
}

/// With a colon behind it, and nothing if nothing is known.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.field.join("."), self.position) {
            (field, Some(Position { line, column })) if !field.is_empty() => {
                write!(f, "{field} (line {line}, column {column}): ")
            }
            (_, Some(Position { line, column })) => write!(f, "line {line}, column {column}: "),
            (field, None) if !field.is_empty() => write!(f, "{field}: "),
            _ => Ok(()),
        }
    }
}

/// The places of all fields of a text.
pub(crate) struct Places(Option<Spanned<Node>>);

/// A document of which only the places matter.
enum Node {
    Branch(HashMap<String, Spanned<Node>, RandomState>),
    Leaf,
}

impl Places {
    /// Of YAML or JSON; of anything else there are none.
    pub(crate) fn read(text: &str) -> Self {
        Self(yaml::read(text))
    }

    /// Where a field's value begins; where it is missing, where that begins which it should be in.
    fn find(&self, field: &[String]) -> Option<Position> {
        let mut place = self.0.as_ref()?;
        for key in field {
            let Node::Branch(below) = &place.value else { break };
            let Some(found) = below.get(key) else { break };
            place = found;
        }
        Position::of(place.referenced)
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NodeVisitor;

        impl<'de> Visitor<'de> for NodeVisitor {
            type Value = Node;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
                let mut below = HashMap::default();
                while let Some((key, place)) = map.next_entry()? {
                    below.insert(key, place);
                }
                Ok(Node::Branch(below))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Node::Leaf)
            }

            fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
                Ok(Node::Leaf)
            }

            fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
                Ok(Node::Leaf)
            }

            fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
                Ok(Node::Leaf)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
                Ok(Node::Leaf)
            }

            fn visit_str<E>(self, _: &str) -> Result<Node, E> {
                Ok(Node::Leaf)
            }

            fn visit_unit<E>(self) -> Result<Node, E> {
                Ok(Node::Leaf)
            }
        }

        deserializer.deserialize_any(NodeVisitor)
    }
}
