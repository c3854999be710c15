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
    /// It is the key that matters, not the value.
    is_key: bool,
    pub(crate) position: Option<Position>,
}

impl Place {
    pub(crate) fn of(field: &[&str]) -> Self {
        Self { field: field.iter().map(|&key| key.to_owned()).collect(), is_key: false, position: None }
    }

    pub(crate) fn of_key(field: &[&str]) -> Self {
        Self { is_key: true, ..Self::of(field) }
    }

    pub(crate) fn line_and_column(&self) -> Option<(u32, u32)> {
        self.position.map(|Position { line, column }| (line, column))
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
pub(crate) struct Places<'t> {
    lines: Vec<&'t str>,
    root: Option<Spanned<Node>>,
}

/// A document of which hardly more than the places matters.
enum Node {
    Branch(HashMap<String, (Location, Spanned<Node>), RandomState>),
    Text(String),
    Other,
}

impl<'t> Places<'t> {
    /// Of YAML or JSON; of anything else there are none.
    pub(crate) fn read(text: &'t str) -> Self {
        Self { lines: text.lines().collect(), root: yaml::read(text) }
    }

    /// Where a field is; where it is missing, where that begins which it should be in.
    pub(crate) fn find(&self, place: &Place) -> Option<Position> {
        let (key, value) = self.node(&place.field)?;
        Position::of(if place.is_key { key } else { value.referenced })
    }

    /// Where a line and column of the text in a field are in all of it: if it has that line as it is.
    pub(crate) fn find_in(&self, field: &[impl AsRef<str>], line: u32, column: u32) -> Option<Position> {
        let (value, start) = self.text(field)?;
        let part = value.lines().nth(line as usize - 1)?.trim_end();
        // A block's place is that of its first line which is not empty.
        let empty = value.lines().take_while(|line| line.trim().is_empty()).count() as u32;
        let at = (start.line + line - 1).checked_sub(empty)?;
        let whole = self.line(at)?;
        let before = if line == 1 {
            // Behind a quote, or not.
            let columns = [start.column as usize - 1, start.column as usize];
            columns.into_iter().find(|&from| from_char(whole, from).starts_with(part))?
        } else {
            let indent = whole.trim_end().strip_suffix(part)?;
            indent.trim().is_empty().then(|| indent.chars().count())?
        };
        Some(Position { line: at, column: before as u32 + column })
    }

    /// Whether YAML has joined lines of a field's text into this comment of it. Quoted texts are not looked at: they may have it escaped.
    pub(crate) fn is_joined(&self, field: &[impl AsRef<str>], comment: &str) -> bool {
        let Some((value, start)) = self.text(field) else { return false };
        let from = start.line as usize - 1;
        let is_plain = self
            .line(start.line)
            .is_some_and(|line| !from_char(line, start.column as usize - 1).starts_with(['"', '\'', '*']));
        // No more lines than there are words.
        let most = value.split_whitespace().count();
        is_plain && !self.lines.iter().skip(from).take(most).any(|line| line.contains(comment))
    }

    fn text(&self, field: &[impl AsRef<str>]) -> Option<(&str, Position)> {
        let (_, Spanned { value: Node::Text(value), referenced, .. }) = self.node(field)? else {
            return None;
        };
        Some((value, Position::of(*referenced)?))
    }

    fn line(&self, number: u32) -> Option<&'t str> {
        self.lines.get((number as usize).checked_sub(1)?).copied()
    }

    /// Where its key is, and it.
    fn node(&self, field: &[impl AsRef<str>]) -> Option<(Location, &Spanned<Node>)> {
        let mut found = (Location::UNKNOWN, self.root.as_ref()?);
        for key in field {
            let Node::Branch(below) = &found.1.value else { break };
            let Some((key, node)) = below.get(key.as_ref()) else { break };
            found = (*key, node);
        }
        Some(found)
    }
}

/// What comes behind so many characters.
fn from_char(line: &str, characters: usize) -> &str {
    line.char_indices().nth(characters).map_or("", |(at, _)| &line[at..])
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
                while let Some((key, node)) = map.next_entry::<Spanned<String>, _>()? {
                    below.insert(key.value, (key.referenced, node));
                }
                Ok(Node::Branch(below))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Node::Other)
            }

            fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
                Ok(Node::Other)
            }

            fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
                Ok(Node::Other)
            }

            fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
                Ok(Node::Other)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
                Ok(Node::Other)
            }

            fn visit_str<E>(self, text: &str) -> Result<Node, E> {
                Ok(Node::Text(text.to_owned()))
            }

            fn visit_unit<E>(self) -> Result<Node, E> {
                Ok(Node::Other)
            }
        }

        deserializer.deserialize_any(NodeVisitor)
    }
}
