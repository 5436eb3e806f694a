//! The W3C trace context a session is started in: one value, checked by the grammar.
//!
//! It is a value and not read from a tracing library, because `tracing-opentelemetry` and its SDK would
//! be half of this crate's dependencies, change their major version every few months, and have to be the
//! host's own copy to see its spans at all. A host that has them writes two lines:
//! `TraceContext::new(&header("traceparent"), Some(&header("tracestate")))`.

use std::fmt;

/// Longest `tracestate` taken, in bytes: what every system has to pass on.
const TRACESTATE_BYTES_MAX: usize = 512;
/// Most members of a `tracestate`.
const TRACESTATE_MEMBERS_MAX: usize = 32;

/// Where in a distributed trace the work of an agent belongs. The agent's own spans, and those of the
/// tools it starts, become children.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    traceparent: String,
    tracestate: Option<String>,
}

/// What is wrong with a trace context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TraceContextError {
    /// Not `version-traceid-parentid-flags` in lower-case hex.
    #[error("read a traceparent")]
    Traceparent,
    /// The ids are all zeros, which means that there is no trace.
    #[error("read a traceparent of zeros")]
    Zeros,
    /// Not a list of at most 32 `key=value` in at most 512 bytes.
    #[error("read a tracestate")]
    Tracestate,
}

impl TraceContext {
    /// Takes the values of the two headers; an empty `tracestate` is none.
    pub fn new(traceparent: &str, tracestate: Option<&str>) -> Result<Self, TraceContextError> {
        check_traceparent(traceparent)?;
        let tracestate = tracestate.map(str::trim).filter(|state| !state.is_empty());
        if tracestate.is_some_and(|state| !is_tracestate(state)) {
            return Err(TraceContextError::Tracestate);
        }
        let (traceparent, tracestate) = (traceparent.to_owned(), tracestate.map(str::to_owned));
        Ok(Self { traceparent, tracestate })
    }

    /// The value of `traceparent`.
    pub fn traceparent(&self) -> &str {
        &self.traceparent
    }

    /// The value of `tracestate`.
    pub fn tracestate(&self) -> Option<&str> {
        self.tracestate.as_deref()
    }

    /// The id of the trace, 32 hex digits.
    pub fn trace_id(&self) -> &str {
        self.traceparent.get(3..35).unwrap_or_default()
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.traceparent)
    }
}

fn check_traceparent(text: &str) -> Result<(), TraceContextError> {
    let is_hex = |part: &str, digits: usize| {
        part.len() == digits && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let mut parts = text.split('-');
    let mut part = |digits| parts.next().filter(|part| is_hex(part, digits));
    let (Some(version), Some(trace), Some(parent), Some(_flags)) = (part(2), part(32), part(16), part(2))
    else {
        return Err(TraceContextError::Traceparent);
    };
    // Version ff is forbidden, and only versions after 00 may bring further parts.
    if version == "ff" || (version == "00" && parts.next().is_some()) {
        return Err(TraceContextError::Traceparent);
    }
    if [trace, parent].iter().any(|id| id.bytes().all(|byte| byte == b'0')) {
        return Err(TraceContextError::Zeros);
    }
    // Later versions may have parts of any form; control characters are no header.
    if text.bytes().all(|byte| (0x21..0x7f).contains(&byte)) {
        Ok(())
    } else {
        Err(TraceContextError::Traceparent)
    }
}

fn is_tracestate(text: &str) -> bool {
    let members: Vec<_> = text.split(',').map(str::trim).filter(|member| !member.is_empty()).collect();
    text.len() <= TRACESTATE_BYTES_MAX
        && members.len() <= TRACESTATE_MEMBERS_MAX
        && members.iter().all(|member| is_member(member))
}

fn is_member(member: &str) -> bool {
    let Some((key, value)) = member.split_once('=') else {
        return false;
    };
    let is_key = |key: &str, first: fn(u8) -> bool, bytes_max: usize| {
        let is_rest = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/');
        let first = key.bytes().next().is_some_and(first);
        first && key.len() <= bytes_max && key.bytes().all(is_rest)
    };
    let is_letter = |byte: u8| byte.is_ascii_lowercase();
    let is_letter_or_digit = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let key_is_good = match key.split_once('@') {
        None => is_key(key, is_letter, 256),
        Some((tenant, system)) => is_key(tenant, is_letter_or_digit, 241) && is_key(system, is_letter, 14),
    };
    let is_value = |byte| matches!(byte, 0x20..=0x7e) && byte != b',' && byte != b'=';
    key_is_good && (1..=256).contains(&value.len()) && value.bytes().all(is_value) && !value.ends_with(' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_context_by_the_grammar_is_taken() {
        let context = TraceContext::new(GOOD, Some("rojo=00f067aa0ba902b7, t61@congo=a b")).unwrap();
        assert_eq!(context.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(context.tracestate(), Some("rojo=00f067aa0ba902b7, t61@congo=a b"));
        assert_eq!(TraceContext::new(GOOD, Some("")).unwrap().tracestate(), None);
        assert!(TraceContext::new(&format!("01{}-what-ever", &GOOD[2..]), None).is_ok(), "a later version");
    }

    #[test]
    fn what_is_not_by_the_grammar_is_refused() {
        let bad = [
            "",
            "00",
            &GOOD[..54],
            &format!("{GOOD}-00"),
            &format!("ff{}", &GOOD[2..]),
            &GOOD.to_uppercase(),
            &format!("{GOOD}\n"),
            "00-4bf92f3577b34da6a3ce929d0e0e4736\0",
        ];
        for text in bad {
            assert_eq!(TraceContext::new(text, None), Err(TraceContextError::Traceparent), "{text:?}");
        }
        let zeros = format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32));
        assert_eq!(TraceContext::new(&zeros, None), Err(TraceContextError::Zeros));
        let many = vec!["a=1"; 33].join(",");
        for state in ["novalue", "UP=1", "a=1\nb=2", "a=b=c", "a@B=1", many.as_str(), &"a=1,".repeat(200)] {
            let made = TraceContext::new(GOOD, Some(state));
            assert_eq!(made, Err(TraceContextError::Tracestate), "{state:?}");
        }
    }
}
