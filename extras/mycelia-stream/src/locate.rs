//! Configurations as text: reading them, and the places of their fields.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_path_to_error::{Deserializer as Tracking, Track};
use serde_saphyr::{Location, MessageFormatter, Options, Spanned, UserMessageFormatter};

use crate::config::{ConfigError, ConfigFault};

/// Line and column, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) line: u32,
    pub(crate) column: u32,
}

impl Position {
    fn of(location: Location) -> Option<Self> {
        (location != Location::UNKNOWN)
            .then(|| Self { line: location.line() as u32, column: location.column() as u32 })
    }
}

/// `yes` and `on` are texts, as they are in JSON.
fn options() -> Options {
    let mut options = Options::default();
    options.strict_booleans = true;
    options.with_snippet = false;
    options
}

/// Reads YAML or JSON.
pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, ConfigError> {
    let mut track = Track::new();
    let read = serde_saphyr::with_deserializer_from_str_with_options(text, options(), |deserializer| {
        T::deserialize(Tracking::new(deserializer, &mut track))
    });
    read.map_err(|error| {
        let path = track.path();
        let field: Vec<String> = path
            .iter()
            .map(ToString::to_string)
            // Beyond the document there is no path, and before a key is known neither.
            .filter(|key| key != "." && key != "?")
            .collect();
        let field: Vec<&str> = field.iter().map(String::as_str).collect();
        let position = error.location().and_then(Position::of);
        let message = UserMessageFormatter.format_message(error.without_snippet()).into_owned();
        ConfigError::new(&field, ConfigFault::Format(message)).at(position)
    })
}

/// Where a field's value begins in a text; where it is missing, where that begins which it should be in.
pub(crate) fn locate(text: &str, field: &[String]) -> Option<Position> {
    let tree: Spanned<Place> = serde_saphyr::from_str_with_options(text, options()).ok()?;
    let mut place = &tree;
    for key in field {
        let Place::Branch(below) = &place.value else { break };
        let Some((_, found)) = below.iter().find(|(found, _)| found == key) else { break };
        place = found;
    }
    Position::of(place.referenced)
}

/// A document of which only the places matter.
enum Place {
    Branch(Vec<(String, Spanned<Place>)>),
    Leaf,
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PlaceVisitor;

        impl<'de> Visitor<'de> for PlaceVisitor {
            type Value = Place;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Place, A::Error> {
                let mut below = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    below.push(entry);
                }
                Ok(Place::Branch(below))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Place, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Place::Leaf)
            }

            fn visit_bool<E>(self, _: bool) -> Result<Place, E> {
                Ok(Place::Leaf)
            }

            fn visit_i64<E>(self, _: i64) -> Result<Place, E> {
                Ok(Place::Leaf)
            }

            fn visit_u64<E>(self, _: u64) -> Result<Place, E> {
                Ok(Place::Leaf)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Place, E> {
                Ok(Place::Leaf)
            }

            fn visit_str<E>(self, _: &str) -> Result<Place, E> {
                Ok(Place::Leaf)
            }

            fn visit_unit<E>(self) -> Result<Place, E> {
                Ok(Place::Leaf)
            }
        }

        deserializer.deserialize_any(PlaceVisitor)
    }
}
