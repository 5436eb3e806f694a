//! Secrets on the wire: given once, and shown as a mask from then on.

use engine::SecretChange;
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{borrow::Cow, collections::BTreeMap};

/// What stands for a secret in answers. Sent back in a change, it keeps the secret there is.
pub const MASK: &str = "********";

/// A secret as it is given; nothing ever shows it.
#[derive(Debug)]
pub struct Secret(SecretString);

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(text.into()))
    }
}

/// What is wrong with a field is told together with the field.
impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        MASK.serialize(serializer)
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        "McpSecret".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "writeOnly": true })
    }
}

impl Secret {
    fn is_mask(&self) -> bool {
        secrecy::ExposeSecret::expose_secret(&self.0) == MASK
    }
}

/// Secrets of a new server. Headers are known by their names in lower case.
pub fn given(secrets: BTreeMap<String, Secret>) -> BTreeMap<String, SecretString> {
    secrets.into_iter().map(|(name, secret)| (name, secret.0)).collect()
}

/// What becomes of the secrets of a server.
pub fn changed(secrets: BTreeMap<String, Secret>) -> BTreeMap<String, SecretChange> {
    let change = |secret: Secret| match secret.is_mask() {
        true => SecretChange::Keep,
        false => SecretChange::Set(secret.0),
    };
    secrets.into_iter().map(|(name, secret)| (name, change(secret))).collect()
}

/// The same with names as HTTP has them.
pub fn lower_case<T>(headers: BTreeMap<String, T>) -> BTreeMap<String, T> {
    headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect()
}

/// What is shown of secrets.
pub fn masked<T>(secrets: BTreeMap<String, T>) -> BTreeMap<String, &'static str> {
    secrets.into_keys().map(|name| (name, MASK)).collect()
}
