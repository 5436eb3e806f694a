//! Shapes: reading a JSON value into a type without losing any of it, and writing it back.
//!
//! Derived deserializers fail as a whole or drop what does not fit. Here each field decides for itself: an
//! optional one of an unexpected type stays in `extra` under its own name, and a value that lacks what its
//! type cannot be without is handed back as it came.

use std::collections::BTreeMap;

use serde_json::{Map, Number, Value};
use uuid::Uuid;

/// The largest integer every `f64` can hold.
const EXACT_MAX: u64 = 1 << 53;

/// A type that a JSON value can be read into.
pub(crate) trait Shape: Sized {
    /// Whether `read` will succeed.
    fn fits(value: &Value) -> bool;
    /// Reads the value, or gives it back untouched.
    fn read(value: Value) -> Result<Self, Value>;
    /// The value again.
    fn write(self) -> Value;
}

/// A type that can be a field of an object.
pub(crate) trait Field: Sized {
    /// Whether the object has what this field needs.
    fn fits(map: &Map<String, Value>, key: &str) -> bool;
    /// Takes the field out of the object; `None` when it does not fit.
    fn take(map: &mut Map<String, Value>, key: &str) -> Option<Self>;
    /// Puts it back.
    fn put(self, map: &mut Map<String, Value>, key: &str);
}

/// A field that must be there.
impl<T: Shape> Field for T {
    fn fits(map: &Map<String, Value>, key: &str) -> bool {
        map.get(key).is_some_and(T::fits)
    }

    fn take(map: &mut Map<String, Value>, key: &str) -> Option<Self> {
        T::read(map.remove(key)?).ok()
    }

    fn put(self, map: &mut Map<String, Value>, key: &str) {
        map.insert(key.to_owned(), self.write());
    }
}

/// A field that may be missing or null.
impl<T: Shape> Field for Option<T> {
    fn fits(_: &Map<String, Value>, _: &str) -> bool {
        true
    }

    fn take(map: &mut Map<String, Value>, key: &str) -> Option<Self> {
        match map.get(key) {
            None => Some(None),
            Some(Value::Null) => {
                map.remove(key);
                Some(None)
            }
            Some(value) if T::fits(value) => Some(T::take(map, key)),
            Some(_) => Some(None),
        }
    }

    fn put(self, map: &mut Map<String, Value>, key: &str) {
        if let Some(value) = self {
            value.put(map, key);
        }
    }
}

/// A flag; missing means no.
impl Field for bool {
    fn fits(_: &Map<String, Value>, _: &str) -> bool {
        true
    }

    fn take(map: &mut Map<String, Value>, key: &str) -> Option<Self> {
        let flag = map.get(key).and_then(Value::as_bool);
        if flag.is_some() {
            map.remove(key);
        }
        Some(flag.unwrap_or_default())
    }

    fn put(self, map: &mut Map<String, Value>, key: &str) {
        if self {
            map.insert(key.to_owned(), self.into());
        }
    }
}

/// A list; missing means empty. It fits as a whole or stays as it came.
impl<T: Shape> Field for Vec<T> {
    fn fits(_: &Map<String, Value>, _: &str) -> bool {
        true
    }

    fn take(map: &mut Map<String, Value>, key: &str) -> Option<Self> {
        let fits = match map.get(key) {
            Some(Value::Array(items)) => items.iter().all(T::fits),
            _ => false,
        };
        match fits.then(|| map.remove(key)).flatten() {
            Some(Value::Array(items)) => {
                Some(items.into_iter().filter_map(|item| T::read(item).ok()).collect())
            }
            _ => Some(Self::new()),
        }
    }

    fn put(self, map: &mut Map<String, Value>, key: &str) {
        if !self.is_empty() {
            map.insert(key.to_owned(), self.into_iter().map(T::write).collect());
        }
    }
}

/// An object used as a table; missing means empty.
impl<T: Shape> Field for BTreeMap<String, T> {
    fn fits(_: &Map<String, Value>, _: &str) -> bool {
        true
    }

    fn take(map: &mut Map<String, Value>, key: &str) -> Option<Self> {
        let fits = match map.get(key) {
            Some(Value::Object(items)) => items.values().all(T::fits),
            _ => false,
        };
        match fits.then(|| map.remove(key)).flatten() {
            Some(Value::Object(items)) => {
                Some(items.into_iter().filter_map(|(name, item)| Some((name, T::read(item).ok()?))).collect())
            }
            _ => Some(Self::new()),
        }
    }

    fn put(self, map: &mut Map<String, Value>, key: &str) {
        if !self.is_empty() {
            let items = self.into_iter().map(|(name, item)| (name, item.write()));
            map.insert(key.to_owned(), Value::Object(items.collect()));
        }
    }
}

impl Shape for Value {
    fn fits(_: &Value) -> bool {
        true
    }

    fn read(value: Value) -> Result<Self, Value> {
        Ok(value)
    }

    fn write(self) -> Value {
        self
    }
}

impl Shape for String {
    fn fits(value: &Value) -> bool {
        value.is_string()
    }

    fn read(value: Value) -> Result<Self, Value> {
        match value {
            Value::String(text) => Ok(text),
            other => Err(other),
        }
    }

    fn write(self) -> Value {
        Value::String(self)
    }
}

impl Shape for u64 {
    fn fits(value: &Value) -> bool {
        value.is_u64()
    }

    fn read(value: Value) -> Result<Self, Value> {
        value.as_u64().ok_or(value)
    }

    fn write(self) -> Value {
        self.into()
    }
}

impl Shape for i64 {
    fn fits(value: &Value) -> bool {
        value.is_i64()
    }

    fn read(value: Value) -> Result<Self, Value> {
        value.as_i64().ok_or(value)
    }

    fn write(self) -> Value {
        self.into()
    }
}

impl Shape for f64 {
    fn fits(value: &Value) -> bool {
        let is_exact = |number: &Number| match number.as_i64() {
            Some(integer) => integer.unsigned_abs() <= EXACT_MAX,
            None => number.is_f64(),
        };
        matches!(value, Value::Number(number) if is_exact(number))
    }

    fn read(value: Value) -> Result<Self, Value> {
        if <Self as Shape>::fits(&value) { value.as_f64().ok_or(value) } else { Err(value) }
    }

    fn write(self) -> Value {
        self.into()
    }
}

/// Ids of prompts. Another host may have used other texts; those stay as they came.
impl Shape for Uuid {
    fn fits(value: &Value) -> bool {
        let text = value.as_str().unwrap_or_default();
        text.len() == 36
            && text.parse::<Self>().is_ok()
            && !text.bytes().any(|byte| byte.is_ascii_uppercase())
    }

    fn read(value: Value) -> Result<Self, Value> {
        let id = value.as_str().and_then(|text| text.parse().ok());
        if <Self as Shape>::fits(&value) { id.ok_or(value) } else { Err(value) }
    }

    fn write(self) -> Value {
        self.to_string().into()
    }
}

impl<T: Shape> Shape for Box<T> {
    fn fits(value: &Value) -> bool {
        T::fits(value)
    }

    fn read(value: Value) -> Result<Self, Value> {
        T::read(value).map(Self::new)
    }

    fn write(self) -> Value {
        T::write(*self)
    }
}

/// A struct read from an object. `T` must be there, `Option<T>`, `bool`, `Vec<T>` and tables may be missing.
macro_rules! shape {
    ($(#[$meta:meta])* pub struct $name:ident {
        $($(#[$doc:meta])* $field:ident: $type:ty = $key:literal,)*
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq)]
        #[non_exhaustive]
        pub struct $name {
            $($(#[$doc])* pub $field: $type,)*
            /// Fields this crate does not know, and known ones of an unexpected type.
            pub extra: serde_json::Map<String, serde_json::Value>,
        }

        impl $crate::message::shape::Shape for $name {
            fn fits(value: &serde_json::Value) -> bool {
                value.as_object().is_some_and(|_map| {
                    true $(&& <$type as $crate::message::shape::Field>::fits(_map, $key))*
                })
            }

            fn read(value: serde_json::Value) -> Result<Self, serde_json::Value> {
                if !Self::fits(&value) {
                    return Err(value);
                }
                let serde_json::Value::Object(mut extra) = value else {
                    return Err(value);
                };
                $(
                    let Some($field) = <$type as $crate::message::shape::Field>::take(&mut extra, $key)
                    else {
                        return Err(serde_json::Value::Object(extra));
                    };
                )*
                Ok(Self { $($field,)* extra })
            }

            fn write(self) -> serde_json::Value {
                let mut map = self.extra;
                $($crate::message::shape::Field::put(self.$field, &mut map, $key);)*
                serde_json::Value::Object(map)
            }
        }
    };
}

/// The same for a whole frame, which has an id and a session beside its own fields.
macro_rules! frame {
    ($(#[$meta:meta])* pub struct $name:ident {
        $($(#[$doc:meta])* $field:ident: $type:ty = $key:literal,)*
    }) => {
        $crate::message::shape::shape! {
            $(#[$meta])*
            pub struct $name {
                $($(#[$doc])* $field: $type = $key,)*
                /// Id of the frame.
                uuid: Option<String> = "uuid",
                /// The session it belongs to.
                session_id: Option<String> = "session_id",
            }
        }
    };
}

/// An enum whose variant is named by one field of the object; what none of them takes is kept as it came.
macro_rules! tagged {
    ($(#[$meta:meta])* pub enum $name:ident by $tag:literal {
        $($(#[$doc:meta])* $variant:ident($type:ty) = $kind:literal,)*
    } else $other:expr) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$doc])* $variant($type),)*
            /// Something this crate does not know, or whose shape it did not expect, as it came.
            Other(serde_json::Value),
        }

        impl $name {
            fn read_tagged(mut value: serde_json::Value) -> Self {
                let Some(map) = value.as_object_mut() else {
                    return Self::Other(value);
                };
                let Some(serde_json::Value::String(kind)) = map.get($tag) else {
                    return Self::Other(value);
                };
                match kind.as_str() {
                    $($kind => {
                        map.remove($tag);
                        match <$type as $crate::message::shape::Shape>::read(value) {
                            Ok(read) => Self::$variant(read),
                            Err(mut value) => {
                                value[$tag] = $kind.into();
                                Self::Other(value)
                            }
                        }
                    })*
                    _ => ($other)(value),
                }
            }
        }

        impl $crate::message::shape::Shape for $name {
            fn fits(_: &serde_json::Value) -> bool {
                true
            }

            fn read(value: serde_json::Value) -> Result<Self, serde_json::Value> {
                Ok(Self::read_tagged(value))
            }

            fn write(self) -> serde_json::Value {
                match self {
                    $(Self::$variant(inner) => {
                        let mut value = $crate::message::shape::Shape::write(inner);
                        $crate::message::shape::tag(&mut value, $tag, $kind);
                        value
                    })*
                    Self::Other(value) => value,
                }
            }
        }
    };
}

/// A word of the agent's vocabulary, as an open enum that is a shape too; the words are their own description.
macro_rules! words {
    ($(#[$meta:meta])* pub enum $name:ident { $($variant:ident = $text:literal,)* }) => {
        $crate::open::open_enum! {
            $(#[$meta])*
            $name { $(#[doc = concat!("`", $text, "`")] $variant = $text,)* }
        }

        impl $crate::message::shape::Shape for $name {
            fn fits(value: &serde_json::Value) -> bool {
                value.is_string()
            }

            fn read(value: serde_json::Value) -> Result<Self, serde_json::Value> {
                match value.as_str() {
                    Some(word) => Ok(word.into()),
                    None => Err(value),
                }
            }

            fn write(self) -> serde_json::Value {
                self.as_str().into()
            }
        }
    };
}

pub(crate) use {frame, shape, tagged, words};

/// Names the variant in a written object, unless it names itself.
pub(crate) fn tag(value: &mut Value, tag: &str, kind: &str) {
    if let Value::Object(map) = value
        && !map.contains_key(tag)
    {
        map.insert(tag.to_owned(), kind.into());
    }
}
