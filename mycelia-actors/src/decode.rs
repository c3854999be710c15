//! Messages from parameters and bodies, by serde.
//!
//! ```text
//!   users/{id}  7          struct PutUser { id: u64, name: String }     fields by name: from the path, and from the body
//!   {"name": "Ada"}
//!   users/{id}             struct GetUser(u64)                          the only parameter
//!   a/{x}/b/{y}            struct Move(u32, u32)                        parameters by position
//!   users   {...}          anything                                     without parameters, whatever the body is
//! ```
//!
//! Parameters are percent-decoded once, here; the router has checked that they are UTF-8 then.

use std::borrow::Cow;
use std::fmt;

use mycelia_router::{Params, ParamsIter};
use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

/// Makes a message. Allocates nothing but what the message itself needs.
#[inline]
pub(crate) fn decode<M: DeserializeOwned>(
    params: &Params<'_, '_>,
    body: Option<&Value>,
) -> Result<M, String> {
    let source = Source { params: Some(params).filter(|params| !params.is_empty()), body };
    M::deserialize(&source).map_err(|fault| explain::<M>(&source, fault))
}

/// The text of a fault, with the way to the field that it is about: which is looked for only now.
#[cold]
fn explain<M: DeserializeOwned>(source: &Source<'_>, fault: Fault) -> String {
    let mut text = match serde_path_to_error::deserialize::<_, M>(source) {
        Err(error) if fault.about == About::Something && is_way(error.path()) => {
            format!("field `{}`: {}", error.path(), fault.text)
        }
        _ => fault.text,
    };
    // It may repeat a value, which may be as long as a body.
    if let Some((end, _)) = text.char_indices().nth(LONGEST_TEXT) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// How many characters the text of a fault has at most.
const LONGEST_TEXT: usize = 500;

/// Whether a path leads to some field. (Its first step is unknown where the key itself was refused.)
fn is_way(path: &Path) -> bool {
    path.iter().next().is_some_and(|step| !matches!(step, Segment::Unknown))
}

/// What was wrong.
#[derive(Debug)]
struct Fault {
    text: String,
    about: About,
}

/// What the text of a fault says already.
#[derive(Debug, PartialEq, Eq)]
enum About {
    /// Not which field.
    Something,
    /// Which parameter.
    Param,
    /// Which parameter no field takes.
    Untaken,
}

impl Fault {
    #[cold]
    fn with_fields(mut self, fields: &[&str]) -> Self {
        if self.about == About::Untaken && !fields.is_empty() {
            self.text = format!("{}; the message has `{}`", self.text, fields.join("`, `"));
            self.about = About::Param;
        }
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self { text: text.to_string(), about: About::Something }
    }
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Self {
        de::Error::custom(error)
    }
}

/// All that a message is made from. (It is passed by reference: copied, it would be read in larger pieces than it was just
/// written in, which stalls.)
struct Source<'a> {
    /// At least one.
    params: Option<&'a Params<'a, 'a>>,
    body: Option<&'a Value>,
}

impl<'a> Source<'a> {
    /// For a message that is one value: the only parameter, or the body.
    fn single(&self) -> Result<Field<'a>, Fault> {
        match (self.params, self.body) {
            (None, Some(body)) => Ok(Field::Json(body)),
            (None, None) => Err(de::Error::custom("there is no body")),
            (Some(params), None) if params.len() == 1 => {
                let (name, raw) = params.iter().next().unwrap_or_default();
                Ok(Field::Param(Param { name, raw }))
            }
            _ => Err(de::Error::custom(
                "one value is wanted, and there are several: give the message named fields",
            )),
        }
    }

    #[inline]
    fn fields(&self) -> Result<Fields<'a>, Fault> {
        let body = match self.body {
            None | Some(Value::Null) => None,
            Some(Value::Object(fields)) => Some(fields.iter()),
            Some(_) => return Err(de::Error::custom("beside parameters, the body must be an object")),
        };
        let unread = self.params.map(|params| params.iter());
        Ok(Fields { params: self.params, unread, body, value: None })
    }
}

macro_rules! single {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            self.single()?.$method(visitor)
        }
    )*};
}

impl<'a, 'de: 'a> Deserializer<'de> for &'a Source<'de> {
    type Error = Fault;

    single! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128 deserialize_u8
        deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128 deserialize_f32 deserialize_f64 deserialize_char
        deserialize_str deserialize_string deserialize_bytes deserialize_byte_buf deserialize_identifier
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.params {
            Some(_) => visitor.visit_map(self.fields()?),
            None => Ok(self.body.unwrap_or(&Value::Null).deserialize_any(visitor)?),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match (self.params, self.body) {
            (None, Some(body)) => Ok(body.deserialize_map(visitor)?),
            _ => visitor.visit_map(self.fields()?),
        }
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match (self.params, self.body) {
            (None, Some(body)) => Ok(body.deserialize_struct(name, fields, visitor)?),
            _ => visitor.visit_map(self.fields()?).map_err(|fault| fault.with_fields(fields)),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match (self.params, self.body) {
            (Some(params), None) => {
                let mut unread = Positions(params.iter());
                let made = visitor.visit_seq(&mut unread)?;
                match unread.0.next() {
                    None => Ok(made),
                    Some((name, _)) => {
                        Err(de::Error::custom(format_args!("nothing takes the parameter `{name}`")))
                    }
                }
            }
            _ => self.single()?.deserialize_seq(visitor),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _length: usize, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _length: usize,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.body {
            None => visitor.visit_unit(),
            Some(body) => Ok(body.deserialize_unit(visitor)?),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match (self.params, self.body) {
            (None, None | Some(Value::Null)) => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.single()?.deserialize_enum(name, variants, visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }
}

/// The fields of a message: the parameters, then those of the body.
struct Fields<'a> {
    params: Option<&'a Params<'a, 'a>>,
    unread: Option<ParamsIter<'a, 'a>>,
    body: Option<serde_json::map::Iter<'a>>,
    /// Of the key that was read last.
    value: Option<Field<'a>>,
}

impl<'de> MapAccess<'de> for Fields<'de> {
    type Error = Fault;

    #[inline]
    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        if let Some((name, raw)) = self.unread.as_mut().and_then(Iterator::next) {
            self.value = Some(Field::Param(Param { name, raw }));
            return seed.deserialize(StrDeserializer::new(name)).map(Some);
        }
        let Some((name, value)) = self.body.as_mut().and_then(Iterator::next) else { return Ok(None) };
        if self.params.is_some_and(|params| params.get(name).is_some()) {
            return Err(de::Error::custom(format_args!("`{name}` is in the path and in the body, too")));
        }
        self.value = Some(Field::Json(value));
        seed.deserialize(StrDeserializer::new(name)).map(Some)
    }

    #[inline]
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        match self.value.take() {
            Some(Field::Param(param)) => param.named(seed.deserialize(param)),
            Some(Field::Json(value)) => Ok(seed.deserialize(value)?),
            None => Err(de::Error::custom("a value was asked for before its key")),
        }
    }
}

/// The parameters, as the fields of a message in their order.
struct Positions<'a>(ParamsIter<'a, 'a>);

impl<'de> SeqAccess<'de> for Positions<'de> {
    type Error = Fault;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        match self.0.next() {
            Some((name, raw)) => {
                let param = Param { name, raw };
                param.named(seed.deserialize(param)).map(Some)
            }
            None => Ok(None),
        }
    }
}

/// One value.
enum Field<'a> {
    Param(Param<'a>),
    Json(&'a Value),
}

macro_rules! either {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            match self {
                Self::Param(param) => param.$method(visitor),
                Self::Json(value) => Ok(Deserializer::$method(value, visitor)?),
            }
        }
    )*};
}

impl<'de> Field<'de> {
    either! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128 deserialize_u8
        deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128 deserialize_f32 deserialize_f64 deserialize_char
        deserialize_str deserialize_string deserialize_bytes deserialize_byte_buf deserialize_identifier deserialize_seq
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self {
            Self::Param(param) => Deserializer::deserialize_enum(param, name, variants, visitor),
            Self::Json(value) => Ok(Deserializer::deserialize_enum(value, name, variants, visitor)?),
        }
    }
}

/// One parameter of a path.
#[derive(Clone, Copy)]
struct Param<'a> {
    name: &'a str,
    /// As it is in the path.
    raw: &'a str,
}

impl<'a> Param<'a> {
    /// Percent-decoded.
    fn text(&self) -> Result<Cow<'a, str>, Fault> {
        mycelia_router::decode(self.name, self.raw).map_err(|error| self.fault(error.to_string()))
    }

    /// Reads a value that has no `%` in its text, so that only one that cannot be read as it is may be encoded.
    #[inline]
    fn read<T>(&self, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        parse(self.raw).or_else(|| self.read_decoded(parse))
    }

    #[cold]
    fn read_decoded<T>(&self, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        self.raw.contains('%').then(|| parse(&self.text().ok()?))?
    }

    #[cold]
    fn no(&self, expected: &str) -> Fault {
        self.fault(format!("parameter `{}` is `{}`, which is no {expected}", self.name, self.raw))
    }

    #[cold]
    fn fault(&self, text: String) -> Fault {
        Fault { text, about: About::Param }
    }

    /// The visitor's errors do not know which parameter they are about.
    fn named<T>(&self, outcome: Result<T, Fault>) -> Result<T, Fault> {
        outcome.map_err(|fault| match fault.about {
            About::Param | About::Untaken => fault,
            About::Something => {
                self.fault(format!("parameter `{}` is `{}`: {}", self.name, self.raw, fault.text))
            }
        })
    }
}

macro_rules! parsed {
    ($($method:ident $visit:ident $type:ty,)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            match self.read(|text| text.parse::<$type>().ok()) {
                Some(value) => self.named(visitor.$visit(value)),
                None => Err(self.no(stringify!($type))),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Param<'de> {
    type Error = Fault;

    parsed! {
        deserialize_bool visit_bool bool,
        deserialize_i8 visit_i8 i8,
        deserialize_i16 visit_i16 i16,
        deserialize_i32 visit_i32 i32,
        deserialize_i64 visit_i64 i64,
        deserialize_i128 visit_i128 i128,
        deserialize_u8 visit_u8 u8,
        deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32,
        deserialize_u64 visit_u64 u64,
        deserialize_u128 visit_u128 u128,
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        // What JSON cannot say, a path does not.
        match self.read(|text| text.parse().ok().filter(|value: &f32| value.is_finite())) {
            Some(value) => self.named(visitor.visit_f32(value)),
            None => Err(self.no("f32")),
        }
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.read(|text| text.parse().ok().filter(|value: &f64| value.is_finite())) {
            Some(value) => self.named(visitor.visit_f64(value)),
            None => Err(self.no("f64")),
        }
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.named(match self.text()? {
            Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
            Cow::Owned(text) => visitor.visit_string(text),
        })
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.named(visitor.visit_bytes(self.text()?.as_bytes()))
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.named(visitor.visit_enum(StrDeserializer::new(&self.text()?)))
    }

    /// A parameter that no field takes would be one that the body can contradict.
    #[cold]
    fn deserialize_ignored_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Fault> {
        let text = format!("nothing takes the parameter `{}`", self.name);
        Err(Fault { text, about: About::Untaken })
    }

    forward_to_deserialize_any! {
        char str string identifier unit unit_struct seq tuple tuple_struct map struct
    }
}
