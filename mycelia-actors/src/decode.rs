//! Messages from parameters and bodies, by serde.
//!
//! ```text
//!   users/{id}  7          struct PutUser { id: u64, name: String }     fields by name: from the path, and from the body
//!   {"name": "Ada"}
//!   users/{id}             struct GetUser(u64)                          the only parameter
//!   a/{x}/b/{y}            struct Move(u32, u32)                        parameters by position
//!   users   {...}          anything                                     without parameters, whatever the body is
//! ```

use std::borrow::Cow;
use std::fmt;

use mycelia_router::Params;
use serde::de::value::{SeqDeserializer, StrDeserializer};
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::Value;

/// Makes a message. Allocates nothing but what the message itself needs.
#[inline]
pub(crate) fn decode<M: DeserializeOwned>(
    params: &Params<'_, '_>,
    body: Option<&Value>,
) -> Result<M, String> {
    let source = || Source { params: Some(params).filter(|params| !params.is_empty()), body };
    M::deserialize(source()).map_err(|fault| explain::<M>(source(), fault))
}

/// The text of a fault, with the way to the field that it is about: which is looked for only now.
#[cold]
fn explain<M: DeserializeOwned>(source: Source<'_>, fault: Fault) -> String {
    if fault.names_param {
        return fault.text;
    }
    match serde_path_to_error::deserialize::<_, M>(source) {
        Err(error) if error.path().iter().len() > 0 => format!("field `{}`: {}", error.path(), fault.text),
        _ => fault.text,
    }
}

/// What was wrong.
#[derive(Debug)]
struct Fault {
    text: String,
    names_param: bool,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self { text: text.to_string(), names_param: false }
    }
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Self {
        de::Error::custom(error)
    }
}

/// All that a message is made from.
#[derive(Clone, Copy)]
struct Source<'a> {
    /// At least one.
    params: Option<&'a Params<'a, 'a>>,
    body: Option<&'a Value>,
}

impl<'a> Source<'a> {
    /// For a message that is one value: the only parameter, or the body.
    fn single(self) -> Result<Field<'a>, Fault> {
        match (self.params, self.body) {
            (None, body) => Ok(Field::Json(body.unwrap_or(&Value::Null))),
            (Some(params), None) if params.len() == 1 => Ok(Field::Param(Param { params, index: 0 })),
            _ => Err(de::Error::custom(
                "one value is wanted, and there are several: give the message named fields",
            )),
        }
    }

    fn fields(self) -> Result<Fields<'a>, Fault> {
        let body = match self.body {
            None | Some(Value::Null) => None,
            Some(Value::Object(fields)) => Some(fields.iter()),
            Some(_) => return Err(de::Error::custom("beside parameters, the body must be an object")),
        };
        Ok(Fields { params: self.params, next: 0, body, value: None })
    }
}

macro_rules! single {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            self.single()?.$method(visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for Source<'de> {
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
            _ => visitor.visit_map(self.fields()?),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match (self.params, self.body) {
            (Some(params), None) => {
                let params = (0..params.len()).map(|index| Param { params, index });
                visitor.visit_seq(SeqDeserializer::new(params))
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
    next: usize,
    body: Option<serde_json::map::Iter<'a>>,
    value: Option<&'a Value>,
}

impl<'de> MapAccess<'de> for Fields<'de> {
    type Error = Fault;

    #[inline]
    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        if let Some(params) = self.params
            && let Some(name) = params.name(self.next)
        {
            return seed.deserialize(StrDeserializer::new(name)).map(Some);
        }
        let Some((name, value)) = self.body.as_mut().and_then(Iterator::next) else { return Ok(None) };
        if self.params.is_some_and(|params| params.get(name).is_some()) {
            return Err(de::Error::custom(format_args!("`{name}` is in the path and in the body, too")));
        }
        self.value = Some(value);
        seed.deserialize(StrDeserializer::new(name)).map(Some)
    }

    #[inline]
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        if let Some(value) = self.value.take() {
            return Ok(seed.deserialize(value)?);
        }
        let Some(params) = self.params else { unreachable!("a value follows its key") };
        self.next += 1;
        seed.deserialize(Param { params, index: self.next - 1 })
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
    params: &'a Params<'a, 'a>,
    index: usize,
}

impl<'a> Param<'a> {
    /// As it is in the path.
    #[inline]
    fn raw(&self) -> &'a str {
        self.params.at(self.index).unwrap_or_default()
    }

    fn name(&self) -> &'a str {
        self.params.name(self.index).unwrap_or_default()
    }

    /// Percent-decoded.
    fn text(&self) -> Result<Cow<'a, str>, Fault> {
        if !self.raw().contains('%') {
            return Ok(Cow::Borrowed(self.raw()));
        }
        let decoded = self.params.decode(self.name()).map_err(|error| self.fault(error.to_string()))?;
        Ok(decoded.unwrap_or_default())
    }

    #[cold]
    fn no(&self, expected: &str) -> Fault {
        self.fault(format!("parameter `{}` is `{}`, which is no {expected}", self.name(), self.raw()))
    }

    #[cold]
    fn fault(&self, text: String) -> Fault {
        Fault { text, names_param: true }
    }

    /// The visitor's errors do not know which parameter they are about.
    fn named<T>(&self, outcome: Result<T, Fault>) -> Result<T, Fault> {
        outcome.map_err(|fault| match fault.names_param {
            true => fault,
            false => self.fault(format!("parameter `{}` is `{}`: {}", self.name(), self.raw(), fault.text)),
        })
    }
}

macro_rules! parsed {
    ($($method:ident $visit:ident $type:ty,)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            match self.raw().parse::<$type>() {
                Ok(value) => self.named(visitor.$visit(value)),
                Err(_) => Err(self.no(stringify!($type))),
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
        deserialize_f32 visit_f32 f32,
        deserialize_f64 visit_f64 f64,
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

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        char str string identifier unit unit_struct seq tuple tuple_struct map struct
    }
}

impl<'de> IntoDeserializer<'de, Fault> for Param<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}
