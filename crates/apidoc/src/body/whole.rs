//! Whole numbers that are written with a fraction: `3.0` is an integer to JSON Schema, and so to the document, and no
//! integer to serde.

/// Beyond it a float does not say which integer is meant.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// The text with the number that serde stumbled over as an integer; `None` when that is not what was wrong. Only where
/// an integer is asked for is anything rewritten: other values stay as they were sent.
pub(super) fn rewrite(json: &[u8], error: &serde_json::Error) -> Option<Vec<u8>> {
    if !error.to_string().starts_with("invalid type: floating point") {
        return None;
    }
    // The error is where the number ends.
    let lines_before = json.split_inclusive(|byte| *byte == b'\n').take(error.line().checked_sub(1)?);
    let end = lines_before.map(<[u8]>::len).sum::<usize>() + error.column();
    let (head, tail) = json.split_at_checked(end)?;
    let is_of_number = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
    let length = head.iter().rev().take_while(|byte| is_of_number(byte)).count();
    let (head, number) = head.split_at(end - length);
    let number: f64 = std::str::from_utf8(number).ok()?.parse().ok()?;
    let is_whole = number.fract() == 0.0 && number.abs() <= WHOLE_MAX;
    is_whole.then(|| [head, format!("{number:.0}").as_bytes(), tail].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only whether it parses matters")]
    struct Numbers {
        first: u8,
        other: Option<i64>,
        any: Option<serde_json::Value>,
    }

    #[test]
    fn whole_numbers_lose_their_fraction_where_an_integer_is_asked_for() {
        let table = [
            (r#"{"first":3.0}"#, Some(r#"{"first":3}"#)),
            (r#"{"first":3.00,"other":1}"#, Some(r#"{"first":3,"other":1}"#)),
            ("{\n \"first\" : 1e2\n}", Some("{\n \"first\" : 100\n}")),
            (
                "{\"any\":1.0,\n\"first\":0,\n\"other\": -5.0E0 }",
                Some("{\"any\":1.0,\n\"first\":0,\n\"other\": -5 }"),
            ),
            (r#"{"first":3.5}"#, None),
            (r#"{"first":"3.0"}"#, None),
            (r#"{"other":1e300}"#, None),
            (r#"{"first":3.0"#, Some(r#"{"first":3"#)),
        ];
        for (json, wanted) in table {
            let error = serde_json::from_str::<Numbers>(json).unwrap_err();
            let rewritten = rewrite(json.as_bytes(), &error).map(|bytes| String::from_utf8(bytes).unwrap());
            assert_eq!(rewritten.as_deref(), wanted, "{json}: {error}");
        }
    }
}
