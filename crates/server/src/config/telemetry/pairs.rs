//! Lists of `name=value` with commas between and values percent-encoded, as OpenTelemetry writes headers and attributes.

use percent_encoding::percent_decode_str;

const ATTRIBUTES: &str = "key=value with commas between, values percent-encoded";
const HEADERS: &str =
    "name=value with commas between, names and values as HTTP has them, values percent-encoded";

/// Attributes of a resource.
pub(super) fn attributes(text: &str) -> Result<Vec<(String, String)>, String> {
    pairs(text).ok_or_else(|| ATTRIBUTES.to_owned())
}

/// Headers of requests to a collector.
pub(super) fn headers(text: &str) -> Result<Vec<(String, String)>, String> {
    let is_token =
        |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
    let is_value = |value: &str| value.bytes().all(|b| matches!(b, b' '..=b'~' | b'\t'));
    let all = pairs(text).filter(|all| all.iter().all(|(name, value)| is_token(name) && is_value(value)));
    all.ok_or_else(|| HEADERS.to_owned())
}

fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(pair).collect()
}

fn pair(part: &str) -> Option<(String, String)> {
    let (name, value) = part.split_once('=')?;
    let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
    let name = name.trim();
    (!name.is_empty()).then(|| (name.to_owned(), value.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_read_as_the_standard_writes_them() {
        let read = headers("Authorization=Bearer%20abc, x-tenant = a=b ,").unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(read, [pair("Authorization", "Bearer abc"), pair("x-tenant", "a=b")]);
        for wrong in ["token", "=x", "a b=c", "a=b%0Ac", "a=b%FF"] {
            assert!(headers(wrong).is_err(), "{wrong}");
        }
        assert_eq!(attributes("service.namespace=prod").unwrap(), [pair("service.namespace", "prod")]);
    }
}
