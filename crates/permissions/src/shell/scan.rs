//! Where quotes and expansions end, as Bash finds it: in one pass, and with an error where versions of Bash differ.

use super::{MAX_DEPTH, Unparsable, lexer};

/// What surrounds an expansion; quotes mean different things there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Plain,
    Double,
    HereDocument,
}

/// What a `$` begins, with the text inside.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Dollar<'a> {
    /// `$(…)`
    Command(&'a str),
    /// `$((…))` and `$[…]`
    Arithmetic(&'a str),
    /// `${…}`
    Parameter(&'a str),
    /// `$name`
    Variable(&'a str),
    /// `$'…'`
    AnsiC(&'a str),
    /// The dollar of `$"…"`.
    Gettext,
    /// A dollar and nothing else.
    Literal,
}

/// What the `$` at `at` begins, and where it ends.
pub(super) fn dollar(
    text: &str,
    at: usize,
    mode: Mode,
    depth: usize,
) -> Result<(Dollar<'_>, usize), Unparsable> {
    if depth > MAX_DEPTH {
        return Err(Unparsable::TooDeep);
    }
    let bytes = text.as_bytes();
    let after = at + 1;
    Ok(match bytes.get(after) {
        Some(b'(') if bytes.get(after + 1) == Some(&b'(') => {
            let end = matched(text, after + 1, b'(', b')', depth + 1)?;
            let inner = &text[after + 1..end - 1];
            (arithmetic(inner)?.map_or(Dollar::Command(inner), Dollar::Arithmetic), end)
        }
        Some(b'(') => {
            let end = lexer::command_end(text, after + 1, depth + 1)?;
            (Dollar::Command(&text[after + 1..end - 1]), end)
        }
        Some(b'{') => {
            let end = parameter(text, after + 1, mode, depth + 1)?;
            (Dollar::Parameter(&text[after + 1..end - 1]), end)
        }
        Some(b'[') => {
            let end = matched(text, after + 1, b'[', b']', depth + 1)?;
            (Dollar::Arithmetic(&text[after + 1..end - 1]), end)
        }
        Some(b'\'') if mode == Mode::Plain => {
            let end = ansi_c(text, after + 1)?;
            (Dollar::AnsiC(&text[after + 1..end - 1]), end)
        }
        Some(b'"') if mode == Mode::Plain => (Dollar::Gettext, after),
        Some(c) if c.is_ascii_alphabetic() || *c == b'_' => {
            let end = after + name_length(&bytes[after..]);
            (Dollar::Variable(&text[after..end]), end)
        }
        Some(c) if c.is_ascii_digit() || b"@*#?-$!".contains(c) => {
            (Dollar::Variable(&text[after..=after]), after + 1)
        }
        _ => (Dollar::Literal, after),
    })
}

/// The end of `'…'`, whose text begins at `at`.
pub(super) fn single(text: &str, at: usize) -> Result<usize, Unparsable> {
    text[at..].find('\'').map(|length| at + length + 1).ok_or(Unparsable::Unclosed("a single quote"))
}

/// The end of `"…"`, whose text begins at `at`.
pub(super) fn double(text: &str, mut at: usize, depth: usize) -> Result<usize, Unparsable> {
    let bytes = text.as_bytes();
    while let Some(byte) = bytes.get(at) {
        at = match byte {
            b'"' => return Ok(at + 1),
            b'\\' => at + 2,
            b'`' => backquote(text, at + 1)?,
            b'$' => dollar(text, at, Mode::Double, depth)?.1,
            _ => at + 1,
        };
    }
    Err(Unparsable::Unclosed("a double quote"))
}

/// The end of `` `…` ``, whose text begins at `at`.
pub(super) fn backquote(text: &str, mut at: usize) -> Result<usize, Unparsable> {
    while let Some(byte) = text.as_bytes().get(at) {
        at = match byte {
            b'`' => return Ok(at + 1),
            b'\\' => at + 2,
            _ => at + 1,
        };
    }
    Err(Unparsable::Unclosed("a backquote"))
}

/// The end of what opened just before `at`, counting what opens and closes in between.
pub(super) fn matched(
    text: &str,
    mut at: usize,
    open: u8,
    close: u8,
    depth: usize,
) -> Result<usize, Unparsable> {
    let mut count = 1_usize;
    while let Some(byte) = text.as_bytes().get(at) {
        at = match byte {
            b'\\' => at + 2,
            b'\'' => single(text, at + 1)?,
            b'"' => double(text, at + 1, depth)?,
            b'`' => backquote(text, at + 1)?,
            b'$' => dollar(text, at, Mode::Plain, depth)?.1,
            byte => {
                if *byte == open {
                    count += 1;
                } else if *byte == close {
                    count -= 1;
                }
                at + 1
            }
        };
        if count == 0 {
            return Ok(at);
        }
    }
    Err(Unparsable::Unclosed("a parenthesis or bracket"))
}

/// How long the variable's name at the beginning is.
pub(super) fn name_length(bytes: &[u8]) -> usize {
    if bytes.first().is_some_and(u8::is_ascii_digit) {
        return 0;
    }
    bytes.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count()
}

/// The end of `$'…'`, whose text begins at `at`.
fn ansi_c(text: &str, mut at: usize) -> Result<usize, Unparsable> {
    while let Some(byte) = text.as_bytes().get(at) {
        at = match byte {
            b'\'' => return Ok(at + 1),
            b'\\' => at + 2,
            _ => at + 1,
        };
    }
    Err(Unparsable::Unclosed("a `$'` quote"))
}

/// The end of `${…}`, whose text begins at `at`.
fn parameter(text: &str, mut at: usize, mode: Mode, depth: usize) -> Result<usize, Unparsable> {
    let bytes = text.as_bytes();
    if matches!(bytes.get(at), Some(b' ' | b'\t' | b'\n' | b'|')) {
        return Err(Unparsable::Ambiguous("a command in `${ …; }`"));
    }
    while let Some(byte) = bytes.get(at) {
        at = match byte {
            b'}' => return Ok(at + 1),
            b'\\' => at + 2,
            // Whether quotes quote here depends on the operator and on the version of Bash.
            b'\'' if mode != Mode::Plain => {
                return Err(Unparsable::Ambiguous("a single quote in `${…}` in double quotes"));
            }
            b'"' if mode == Mode::HereDocument => {
                return Err(Unparsable::Ambiguous("a quote in `${…}` in a here-document"));
            }
            b'<' | b'>' if bytes.get(at + 1) == Some(&b'(') => {
                return Err(Unparsable::Ambiguous("a process substitution in `${…}`"));
            }
            b'\'' => single(text, at + 1)?,
            b'"' => double(text, at + 1, depth)?,
            b'`' => backquote(text, at + 1)?,
            b'$' => dollar(text, at, mode, depth)?.1,
            _ => at + 1,
        };
    }
    Err(Unparsable::Unclosed("`${`"))
}

/// The expression, if `$(…)` around this text is arithmetic and not a subshell in a substitution.
fn arithmetic(inner: &str) -> Result<Option<&str>, Unparsable> {
    let Some(expression) = inner.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) else {
        return Ok(None);
    };
    if expression.contains(['\'', '"', '\\']) && expression.contains(['(', ')']) {
        return Err(Unparsable::Ambiguous("quotes and parentheses in `$((…))`"));
    }
    let mut open = 0_usize;
    for byte in expression.bytes() {
        match byte {
            b'(' => open += 1,
            b')' if open == 0 => return Ok(None),
            b')' => open -= 1,
            _ => {}
        }
    }
    Ok((open == 0).then_some(expression))
}
