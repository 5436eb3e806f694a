//! Reads the directives of a prompt into steps.

use std::num::NonZeroU32;

use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::Value;

use crate::step::{Block, DirectiveError, Fault, Iteration, MAX_GENERATED_BYTES, Step, Tokens, Wanted};

const BIG_ALPHABET: &str = "0123456789abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ\n";
const BIG_CHUNK_CHARS: usize = 4_096;
const DELTA: &str = "abcdefg ";

/// The steps of a prompt, or `None` when it has no directive.
pub(crate) fn parse(prompt: &str) -> Result<Option<Vec<Step>>, DirectiveError> {
    let mut steps = Vec::new();
    let mut step = Step::default();
    let mut found = false;
    let mut rest = prompt;
    while let Some(start) = rest.find("[[") {
        rest = &rest[start + 2..];
        let Some((name, after_name)) = split_name(rest) else { continue };
        let parsed = match name {
            "tool" | "tool!" => parse_tool(name, after_name)?,
            _ => split_argument(after_name),
        };
        // An opening without its end is text the user has not finished, or that something has cut short.
        let Some((argument, after)) = parsed else { continue };
        if name == "next" {
            steps.push(std::mem::take(&mut step));
        } else if !apply(&mut step, name, argument)? {
            continue;
        }
        found = true;
        rest = after;
    }
    if !found {
        return Ok(None);
    }
    steps.push(step);
    Ok(Some(steps))
}

/// What stands after the name of a directive.
enum Argument<'a> {
    Text(&'a str),
    Tool(Block),
}

fn split_name(rest: &str) -> Option<(&str, &str)> {
    let letters = rest.bytes().take_while(|byte| byte.is_ascii_lowercase() || *byte == b'_').count();
    let len = letters + usize::from(rest[letters..].starts_with('!'));
    let (name, after) = rest.split_at(len);
    if letters == 0 {
        return None;
    }
    match after.strip_prefix(':') {
        Some(argument) => Some((name, argument)),
        None if after.starts_with("]]") => Some((name, after)),
        None => None,
    }
}

fn split_argument(rest: &str) -> Option<(Argument<'_>, &str)> {
    rest.split_once("]]").map(|(argument, after)| (Argument::Text(argument), after))
}

/// Reads `NAME {JSON}]]`: the JSON may hold `]]`, so its end is found by reading it.
fn parse_tool<'a>(directive: &str, rest: &'a str) -> Result<Option<(Argument<'a>, &'a str)>, DirectiveError> {
    let rest = rest.trim_start();
    let len = rest.find(|c: char| c.is_whitespace() || c == '{' || c == ']').unwrap_or(rest.len());
    let (name, rest) = rest.split_at(len);
    if name.is_empty() {
        return Err(wrong(directive, "a tool name is missing"));
    }
    let mut rest = rest.trim_start();
    let mut input = Value::Object(serde_json::Map::new());
    if rest.starts_with('{') {
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
        match values.next() {
            Some(Ok(value)) => input = value,
            Some(Err(error)) if !error.is_eof() => return Err(wrong(directive, error)),
            Some(Err(_)) | None => return Ok(None),
        }
        rest = &rest[values.byte_offset()..];
    }
    let Some((_, after)) = rest.split_once("]]") else { return Ok(None) };
    let wanted = if directive.ends_with('!') { Wanted::Always } else { Wanted::IfOffered };
    Ok(Some((Argument::Tool(Block::ToolUse { name: name.to_owned(), input, wanted }), after)))
}

/// Puts a directive into the step; false when there is none of that name.
fn apply(step: &mut Step, name: &str, argument: Argument<'_>) -> Result<bool, DirectiveError> {
    let text = match argument {
        Argument::Text(text) => text,
        Argument::Tool(block) => {
            step.blocks.push(block);
            return Ok(true);
        }
    };
    match name {
        "text" => step.blocks.push(Block::Text(text.to_owned())),
        "think" => step.blocks.push(Block::Thinking(text.to_owned())),
        "recall" => step.blocks.push(Block::Recall),
        "clock" => step.blocks.push(Block::Clock(number(name, text)?)),
        "endless" => step.blocks.push(Block::Endless),
        "big" => {
            let len = generated(name, number(name, text)?, 1)?;
            let repeats = len / BIG_ALPHABET.len() + 1;
            let mut big = BIG_ALPHABET.repeat(repeats);
            big.truncate(len);
            step.blocks.push(Block::Text(big));
            step.chunk_chars.get_or_insert(BIG_CHUNK_CHARS);
        }
        "words" => {
            let count = generated(name, number(name, text)?, 8)?;
            let words: Vec<String> = (0..count).map(|word| format!("w{word}")).collect();
            step.blocks.push(Block::Text(words.join(" ")));
        }
        "deltas" => {
            let count = generated(name, number(name, text)?, DELTA.len())?;
            step.blocks.push(Block::Text(DELTA.repeat(count)));
            step.chunk_chars = Some(DELTA.len());
        }
        "delay" => step.delay_ms = number(name, text)?,
        "first" => step.first_ms = number(name, text)?,
        "chunk_delay" => step.chunk_delay_ms = number(name, text)?,
        "burst" => match NonZeroU32::new(number(name, text)?) {
            None => return Err(wrong(name, "at least 1 is needed")),
            burst => step.burst = burst,
        },
        "chunk" => match number(name, text)? {
            0 => return Err(wrong(name, "at least 1 is needed")),
            chars => step.chunk_chars = Some(chars),
        },
        "cut" => step.cut_after = Some(number(name, text)?),
        "hang" => step.hang = true,
        "no_usage" => step.hides_usage = true,
        "speed" => step.speed = Some(text.to_owned()),
        "stop" => step.stop = Some(text.to_owned()),
        "model" => step.model = Some(text.to_owned()),
        "sse_error" => step.sse_error = Some(text.to_owned()),
        "usage" => step.tokens = tokens(name, text)?,
        "iteration" => step.iterations.push(iteration(name, text)?),
        "header" => step.headers.push(header(text)?),
        "error" => step.fault = Some(fault(text)?),
        _ => return Ok(false),
    }
    Ok(true)
}

/// Reads `KIND [MODEL] COUNTS`.
fn iteration(directive: &str, text: &str) -> Result<Iteration, DirectiveError> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (kind, model, counts) = match words[..] {
        [kind, counts] => (kind, None, counts),
        [kind, model, counts] => (kind, Some(model.to_owned()), counts),
        _ => return Err(wrong(directive, "KIND [MODEL] in=1,out=2 is needed")),
    };
    Ok(Iteration { kind: kind.to_owned(), model, tokens: tokens(directive, counts)? })
}

fn tokens(directive: &str, text: &str) -> Result<Tokens, DirectiveError> {
    let mut tokens = Tokens::default();
    for part in text.split(',') {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        let count = number(directive, value)?;
        match key.trim() {
            "in" => tokens.input = Some(count),
            "out" => tokens.output = Some(count),
            "cr" => tokens.cache_read = count,
            "cw" => tokens.cache_write_5m = count,
            "cw1h" => tokens.cache_write_1h = count,
            "search" => tokens.web_searches = count,
            "think" => tokens.thinking = Some(count),
            other => return Err(wrong(directive, format!("no such count: {other:?}"))),
        }
    }
    Ok(tokens)
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), DirectiveError> {
    let (name, value) = text.split_once('=').ok_or_else(|| wrong("header", "NAME=VALUE is needed"))?;
    let name = name.trim().parse().map_err(|error| wrong("header", error))?;
    let value = value.trim().parse().map_err(|error| wrong("header", error))?;
    Ok((name, value))
}

fn fault(text: &str) -> Result<Fault, DirectiveError> {
    let mut parts = text.split_whitespace();
    let status: u16 = number("error", parts.next().unwrap_or_default())?;
    let status = StatusCode::from_u16(status).map_err(|error| wrong("error", error))?;
    if !status.is_client_error() && !status.is_server_error() {
        return Err(wrong("error", "a status from 400 to 599 is needed"));
    }
    let mut fault = Fault { status, times: None, retry_after: None };
    for part in parts {
        match part.split_once('=') {
            Some(("times", times)) => fault.times = Some(number("error", times)?),
            Some(("retry_after", seconds)) => {
                number::<f64>("error", seconds)?;
                fault.retry_after = Some(seconds.to_owned());
            }
            _ => return Err(wrong("error", format!("no such option: {part:?}"))),
        }
    }
    Ok(fault)
}

fn number<T: std::str::FromStr>(directive: &str, text: &str) -> Result<T, DirectiveError> {
    text.trim().parse().map_err(|_| wrong(directive, format!("{text:?} is not a number that fits")))
}

fn generated(directive: &str, count: usize, bytes_each: usize) -> Result<usize, DirectiveError> {
    match count.checked_mul(bytes_each) {
        Some(bytes) if bytes <= MAX_GENERATED_BYTES => Ok(count),
        _ => Err(wrong(directive, format!("more than {MAX_GENERATED_BYTES} bytes"))),
    }
}

fn wrong(directive: &str, problem: impl ToString) -> DirectiveError {
    DirectiveError { directive: directive.to_owned(), problem: problem.to_string() }
}

#[cfg(test)]
mod tests;
