//! Finds the model a request asks for without reading the rest of it.

use std::fmt;

use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};

/// The `model` of a request's body, if it has one. It usually comes first, so little of the body is read.
pub(crate) fn of(body: &[u8]) -> Option<String> {
    let mut model = None;
    // The end is always an error: either found, which stops the reading, or not there.
    let _stopped = serde_json::Deserializer::from_slice(body).deserialize_map(Search(&mut model));
    model
}

struct Search<'a>(&'a mut Option<String>);

impl<'de> Visitor<'de> for Search<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body of a request")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            if key == "model" {
                *self.0 = Some(map.next_value()?);
                return Err(A::Error::custom("found"));
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn the_model_is_found_wherever_it_stands() {
        assert_eq!(of(br#"{"model":"a","messages":[broken"#).as_deref(), Some("a"));
        assert_eq!(of(br#"{"messages":[{"model":"b"}],"model":"a"}"#).as_deref(), Some("a"));
        for body in ["", "{}", "[]", "{\"model\":3}", "{\"messages\":[{\"model\":\"b\"}]}"] {
            assert_eq!(of(body.as_bytes()), None, "{body}");
        }
    }
}
