//! Types that stay open: what a newer CLI adds is kept and sent on, not refused.

use serde::{Deserialize, Deserializer};

/// Reads `null` as the default, because the CLI writes it for "none" wherever it likes.
pub(crate) fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// An enum of words on the wire with room for words of tomorrow.
macro_rules! open_enum {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$variant_meta])* $variant,)*
            /// A word this crate does not know, as it is on the wire.
            Other(String),
        }

        impl $name {
            /// Every word this crate knows.
            pub const KNOWN: &'static [&'static str] = &[$($word),*];

            /// The word on the wire.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $word,)*
                    Self::Other(word) => word,
                }
            }
        }

        impl From<&str> for $name {
            fn from(word: &str) -> Self {
                match word {
                    $($word => Self::$variant,)*
                    other => Self::Other(other.to_owned()),
                }
            }
        }

        impl From<String> for $name {
            fn from(word: String) -> Self {
                match word.as_str() {
                    $($word => Self::$variant,)*
                    _ => Self::Other(word),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer).map(Self::from)
            }
        }
    };
}

/// A struct read from the agent: missing and null fields are defaults, unknown ones are kept in `other`.
macro_rules! open_struct {
    ($($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* })*) => {$(
        #[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
        #[non_exhaustive]
        $(#[$meta])*
        pub struct $name {
            $(
                $(#[$field_meta])*
                #[serde(default, deserialize_with = "crate::open::null_as_default")]
                pub $field: $type,
            )*
            /// Fields this crate does not know.
            #[serde(flatten)]
            pub other: serde_json::Map<String, serde_json::Value>,
        }
    )*};
}

pub(crate) use {open_enum, open_struct};

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value, json, to_value};

    open_enum! {
        /// A colour.
        Colour {
            /// Red.
            Red = "red",
        }
    }
    open_struct! {
        /// A thing.
        #[serde(rename_all = "camelCase")]
        Thing {
            /// How many.
            the_count: u64,
            /// Its colour.
            colour: Option<Colour>,
        }
    }

    #[test]
    fn a_word_of_tomorrow_is_kept() {
        assert_eq!(Colour::from("red"), Colour::Red);
        assert_eq!(to_value(Colour::from("mauve".to_owned())).unwrap(), "mauve");
        assert_eq!(Colour::KNOWN, ["red"]);
    }

    #[test]
    fn fields_of_tomorrow_are_kept_and_null_is_no_offence() {
        let raw = json!({ "theCount": null, "colour": "red", "new": { "a": [1] } });
        let thing: Thing = from_value(raw).unwrap();
        assert_eq!((thing.the_count, thing.colour.clone()), (0, Some(Colour::Red)));
        let back: Value = to_value(thing).unwrap();
        assert_eq!(back, json!({ "theCount": 0, "colour": "red", "new": { "a": [1] } }));
    }
}
