//! A path inside an archive: bytes, as file systems have them, and text wherever they are.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use std::{ffi::OsStr, fmt, os::unix::ffi::OsStrExt};

/// A path or the target of a link. JSON has it as text, or as `{"base64": …}` where it is not UTF-8.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Name(pub(super) Vec<u8>);

impl Name {
    /// The path of what has this name in this folder.
    pub(super) fn join(&self, name: &OsStr) -> Self {
        Self([self.0.as_slice(), b"/", name.as_bytes()].concat())
    }

    /// The names along the path, or why it is none that may be unpacked.
    pub(super) fn parts(&self) -> Result<Vec<&OsStr>, &'static str> {
        if self.0.starts_with(b"/") {
            return Err("is an absolute path");
        }
        if self.0.contains(&0) {
            return Err("has a NUL in its path");
        }
        let parts = self.0.split(|byte| *byte == b'/').map(|part| match part {
            b".." => Err("leads out of its folder"),
            b"" | b"." => Err("has a part in its path that is no name"),
            name => Ok(OsStr::from_bytes(name)),
        });
        parts.collect()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", String::from_utf8_lossy(&self.0).escape_debug())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written<T> {
    Text(T),
    Bytes { base64: T },
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => Written::Bytes { base64: BASE64_STANDARD.encode(&self.0) }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Written::<String>::deserialize(deserializer)? {
            Written::Text(text) => Ok(Self(text.into_bytes())),
            Written::Bytes { base64 } => BASE64_STANDARD.decode(base64).map(Self).map_err(D::Error::custom),
        }
    }
}
