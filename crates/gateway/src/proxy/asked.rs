//! What a request asks for that bounds its cost, read off its body without building a tree.

use std::{borrow::Cow, fmt, sync::LazyLock};

use memchr::memmem::Finder;
use serde::{
    Deserialize,
    de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use crate::{
    limits::{
        ADVICE_TOKENS_MAX, ADVISORS_MAX, CONTEXT_TOKENS_MAX, INPUT_TOKENS_ADDED, MODEL_BYTES_MAX,
        OUTPUT_TOKENS_MAX, SERVER_TOOL_USES_ASKED_MAX, SERVER_TOOL_USES_MAX,
    },
    prices::{Advisor, Bound},
};

/// Where a request may refer to something that is not in it, an image at an address for example. An image that is in it
/// takes more tokens than it has bytes, perhaps.
static SOURCE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"source\""));
/// An escape that stands for an ordinary character hides words from whoever looks for them.
static ESCAPE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\\u00"));

/// Kinds of tools that the API describes and the client runs.
const CLIENT_TOOLS: [&str; 5] = ["custom", "bash_", "text_editor_", "computer_", "memory_"];
const WEB_SEARCH: &str = "web_search";
const ADVISOR: &str = "advisor_";
const STANDARD_SPEED: &str = "standard";

/// What was read of a body. When it could not be read, everything is assumed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) model: Option<String>,
    max_tokens: Option<u64>,
    web_searches: u64,
    advisors: Vec<Advice>,
    /// Whether it may be answered in fast mode, which is asked for with `"speed": "fast"`.
    may_be_fast: bool,
    /// Whether the model may be given what is not in the body.
    is_open_ended: bool,
    body_bytes: usize,
}

/// An advisor that the model may ask, and how often.
#[derive(Debug, PartialEq, Eq)]
struct Advice {
    model: String,
    uses: u64,
    max_tokens: Option<u64>,
}

impl Asked {
    pub(crate) fn of(body: &[u8]) -> Self {
        let mut asked = Self { body_bytes: body.len(), ..Self::default() };
        let read = serde_json::Deserializer::from_slice(body).deserialize_map(Reader(&mut asked));
        if read.is_err() {
            (asked.max_tokens, asked.web_searches) = (None, SERVER_TOOL_USES_MAX);
            (asked.may_be_fast, asked.is_open_ended) = (true, true);
            asked.advise(Advice { model: String::new(), uses: SERVER_TOOL_USES_MAX, max_tokens: None });
        }
        asked.is_open_ended |= SOURCE.find(body).is_some() || hides_words(body);
        asked
    }

    /// The most that it can use. A token is at least a byte.
    pub(crate) fn bound(&self) -> Bound {
        let input = (self.body_bytes as u64).saturating_add(INPUT_TOKENS_ADDED);
        let with_context =
            |is_open_ended, input: u64| if is_open_ended { input.max(CONTEXT_TOKENS_MAX) } else { input };
        let output_tokens = self.max_tokens.unwrap_or(OUTPUT_TOKENS_MAX).min(OUTPUT_TOKENS_MAX);
        // An advisor runs without tools: it reads the request, and what was answered until then.
        let advisor = |advice: &Advice| Advisor {
            model: advice.model.clone(),
            uses: advice.uses,
            input_tokens: with_context(self.is_open_ended, input.saturating_add(output_tokens)),
            output_tokens: advice.max_tokens.unwrap_or(ADVICE_TOKENS_MAX).min(OUTPUT_TOKENS_MAX),
        };
        Bound {
            input_tokens: with_context(self.is_open_ended || !self.advisors.is_empty(), input),
            output_tokens,
            web_searches: self.web_searches,
            may_be_fast: self.may_be_fast,
            advisors: self.advisors.iter().map(advisor).collect(),
        }
    }

    fn offer(&mut self, tool: Tool<'_>) {
        let Some(kind) = tool.kind.as_deref() else { return };
        if CLIENT_TOOLS.iter().any(|client| kind.starts_with(client)) {
            return;
        }
        let uses = tool.max_uses.unwrap_or(SERVER_TOOL_USES_MAX).min(SERVER_TOOL_USES_ASKED_MAX);
        if kind.starts_with(ADVISOR) {
            self.advise(Advice {
                model: named(tool.model).unwrap_or_default(),
                uses,
                max_tokens: tool.max_tokens,
            });
            return;
        }
        self.is_open_ended = true;
        if kind.starts_with(WEB_SEARCH) {
            self.web_searches = self.web_searches.saturating_add(uses);
        }
    }

    /// Adds one. From where there are too many they are one, of any model.
    fn advise(&mut self, advice: Advice) {
        match self.advisors.get_mut(ADVISORS_MAX - 1) {
            None => self.advisors.push(advice),
            Some(last) => {
                let uses = last.uses.saturating_add(advice.uses);
                *last = Advice { model: String::new(), uses, max_tokens: Some(OUTPUT_TOKENS_MAX) };
            }
        }
    }
}

fn named(model: Option<Cow<'_, str>>) -> Option<String> {
    model.filter(|model| model.len() <= MODEL_BYTES_MAX).map(Cow::into_owned)
}

/// Whether an escape stands for a character that needs none.
fn hides_words(body: &[u8]) -> bool {
    let is_plain = |digit: &u8| (b'2'..=b'7').contains(digit);
    ESCAPE.find_iter(body).any(|at| body.get(at + ESCAPE.needle().len()).is_some_and(is_plain))
}

#[derive(Debug, Deserialize)]
struct Tool<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Option<Cow<'a, str>>,
    #[serde(default)]
    max_uses: Option<u64>,
    #[serde(borrow, default)]
    model: Option<Cow<'a, str>>,
    #[serde(default)]
    max_tokens: Option<u64>,
}

/// Reads the body's own fields. One that is there twice counts at its most.
struct Reader<'a>(&'a mut Asked);

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body of a request")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let asked = self.0;
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            match &*key {
                "model" => asked.model = named(map.next_value()?),
                "max_tokens" => asked.max_tokens = asked.max_tokens.max(map.next_value()?),
                "speed" => {
                    let speed = map.next_value::<Option<Cow<'de, str>>>()?;
                    asked.may_be_fast |= speed.is_some_and(|speed| speed != STANDARD_SPEED);
                }
                "tools" => map.next_value_seed(Tools(asked))?,
                "mcp_servers" => {
                    let servers = map.next_value::<Option<Vec<IgnoredAny>>>()?;
                    asked.is_open_ended |= servers.is_some_and(|servers| !servers.is_empty());
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// Reads tools one by one: a body has room for millions.
struct Tools<'a>(&'a mut Asked);

impl<'de> DeserializeSeed<'de> for Tools<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for Tools<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the tools of a request")
    }

    fn visit_none<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut tools: A) -> Result<(), A::Error> {
        while let Some(tool) = tools.next_element()? {
            self.0.offer(tool);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(body: &str) -> Asked {
        Asked::of(body.as_bytes())
    }

    #[test]
    fn what_bounds_a_request_is_found_wherever_it_stands() {
        let body =
            r#"{"messages":[{"model":"b","max_tokens":9}],"max_tokens":7,"model":"a","x":"max_tokens"}"#;
        let asked = asked(body);
        assert_eq!(asked.model.as_deref(), Some("a"));
        let input_tokens = body.len() as u64 + INPUT_TOKENS_ADDED;
        assert_eq!(
            asked.bound(),
            Bound { input_tokens, output_tokens: 7, web_searches: 0, may_be_fast: false, advisors: vec![] }
        );
    }

    #[test]
    fn what_cannot_be_read_is_assumed_at_its_most() {
        let most = Bound {
            input_tokens: CONTEXT_TOKENS_MAX,
            output_tokens: OUTPUT_TOKENS_MAX,
            web_searches: 10,
            may_be_fast: true,
            advisors: vec![Advisor {
                model: String::new(),
                uses: 10,
                input_tokens: OUTPUT_TOKENS_MAX + INPUT_TOKENS_ADDED,
                output_tokens: ADVICE_TOKENS_MAX,
            }],
        };
        let unreadable =
            ["", "[]", r#"{"model":3}"#, r#"{"max_tokens":7"#, r#"{"max_tokens":-1}"#, r#"{"speed":1}"#];
        for body in unreadable {
            let asked = asked(body);
            let mut bound = asked.bound();
            bound.advisors[0].input_tokens -= body.len() as u64;
            assert_eq!((asked.model.as_deref(), &bound), (None, &most), "{body}");
        }
        assert_eq!(asked(r#"{"model":"a","#).model.as_deref(), Some("a"));
        assert_eq!(asked("{}").bound().output_tokens, OUTPUT_TOKENS_MAX);
        let absurd = asked(r#"{"max_tokens":18446744073709551615}"#);
        assert_eq!(absurd.bound().output_tokens, OUTPUT_TOKENS_MAX);
        assert_eq!(asked(r#"{"max_tokens":9,"max_tokens":1}"#).bound().output_tokens, 9);
    }

    #[test]
    fn what_is_not_in_the_body_may_fill_the_context_window() {
        let image =
            r#"{"messages":[{"content":[{"type":"image","source":{"type":"url","url":"https://a/b"}}]}]}"#;
        let hidden = r#"{"messages":[{"content":[{"type":"image","s\u006furce":{"type":"file"}}]}]}"#;
        let servers = r#"{"mcp_servers":[{"type":"url"}]}"#;
        let fetch = r#"{"tools":[{"type":"web_fetch_20250910","name":"web_fetch"}]}"#;
        for body in [image, hidden, servers, fetch] {
            assert_eq!(asked(&body.replace("\\\\", "\\")).bound().input_tokens, CONTEXT_TOKENS_MAX, "{body}");
        }
        let of_the_client = r#"{"tools":[{"name":"Bash"},{"type":"custom","name":"x"},{"type":"bash_20250124","name":"bash"}],
            "mcp_servers":[],"messages":[{"content":"a \\"source\\" of \\u001b colour"}]}"#;
        assert!(!asked(&of_the_client.replace("\\\\", "\\")).is_open_ended);
    }

    #[test]
    fn searches_are_bounded_by_what_the_tool_says() {
        let searches = |tools: &str| asked(&format!(r#"{{"tools":[{tools}]}}"#)).bound().web_searches;
        assert_eq!(searches(r#"{"type":"web_search_20250305","name":"web_search","max_uses":8}"#), 8);
        assert_eq!(searches(r#"{"type":"web_search_20250305","name":"web_search"}"#), SERVER_TOOL_USES_MAX);
        assert_eq!(searches(r#"{"name":"web_search","input_schema":{"type":"object"}}"#), 0);
        let endless = r#"{"type":"web_search_20250305","max_uses":18446744073709551615}"#;
        assert_eq!(searches(endless), SERVER_TOOL_USES_ASKED_MAX);
    }

    #[test]
    fn an_advisor_is_bounded_by_its_tool_and_by_what_it_can_read() {
        let bound = |tool: &str, rest: &str| {
            let body = format!(r#"{{"max_tokens":500,"tools":[{tool}]{rest}}}"#);
            (asked(&body).bound(), body.len() as u64)
        };
        let tool = r#"{"type":"advisor_20260301","name":"advisor","model":"claude-opus-4-6","max_uses":3,"max_tokens":2048}"#;
        let (asked, bytes) = bound(tool, "");
        let advisor = Advisor {
            model: "claude-opus-4-6".to_owned(),
            uses: 3,
            input_tokens: bytes + INPUT_TOKENS_ADDED + 500,
            output_tokens: 2_048,
        };
        assert_eq!(asked.advisors, [advisor]);
        // Advice is not in the body.
        assert_eq!((asked.input_tokens, asked.web_searches), (CONTEXT_TOKENS_MAX, 0));

        let open = r#","mcp_servers":[{"type":"url"}]"#;
        let (asked, _) = bound(&format!(r#"{tool},{{"type":"advisor_20990101"}}"#), open);
        assert!(asked.advisors.iter().all(|advisor| advisor.input_tokens == CONTEXT_TOKENS_MAX));
        let unbounded = &asked.advisors[1];
        assert_eq!((unbounded.model.as_str(), unbounded.uses), ("", SERVER_TOOL_USES_MAX));
        assert_eq!(unbounded.output_tokens, ADVICE_TOKENS_MAX);

        let endless = tool.replace(":3,", ":18446744073709551615,").replace("2048", "18446744073709551615");
        let (asked, _) = bound(&endless, "");
        assert_eq!(asked.advisors[0].uses, SERVER_TOOL_USES_ASKED_MAX);
        assert_eq!(asked.advisors[0].output_tokens, OUTPUT_TOKENS_MAX);
        let own = r#"{"name":"advisor","model":"x","input_schema":{}}"#;
        assert_eq!(bound(own, "").0.advisors, []);
    }

    #[test]
    fn advisors_without_number_are_one_of_any_model() {
        let tool = r#"{"type":"advisor_20260301","model":"m","max_uses":3,"max_tokens":1}"#;
        let asked = asked(&format!(r#"{{"tools":[{}]}}"#, vec![tool; 10_000].join(",")));
        let advisors = asked.bound().advisors;
        assert_eq!(advisors.len(), ADVISORS_MAX);
        let (last, each) = advisors.split_last().unwrap();
        assert!(each.iter().all(|advisor| (advisor.model.as_str(), advisor.uses) == ("m", 3)));
        let left = 3 * (10_000 - ADVISORS_MAX as u64 + 1);
        assert_eq!((last.model.as_str(), last.uses, last.output_tokens), ("", left, OUTPUT_TOKENS_MAX));
    }

    #[test]
    fn a_name_that_no_model_has_names_none() {
        let named = |bytes| asked(&format!(r#"{{"model":"{}"}}"#, "m".repeat(bytes))).model.is_some();
        assert!(named(MODEL_BYTES_MAX) && !named(MODEL_BYTES_MAX + 1));
        assert_eq!(asked(r#"{"tools":null,"model":"m"}"#).model.as_deref(), Some("m"));
    }

    #[test]
    fn only_who_asks_for_fast_mode_may_pay_for_it() {
        let is_fast = |body: &str| asked(body).bound().may_be_fast;
        for standard in
            ["{}", r#"{"speed":null}"#, r#"{"speed":"standard"}"#, r#"{"metadata":{"speed":"fast"}}"#]
        {
            assert!(!is_fast(standard), "{standard}");
        }
        for fast in [
            r#"{"speed":"fast"}"#,
            r#"{"sp\u0065ed":"f\u0061st"}"#,
            r#"{"speed":"fast","speed":"standard"}"#,
            r#"{"speed":"ludicrous"}"#,
        ] {
            assert!(is_fast(fast), "{fast}");
        }
    }
}
