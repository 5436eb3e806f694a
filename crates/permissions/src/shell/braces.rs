//! Brace expansion: `{rm,-rf}` is two words, and `a{1..3}` three.

use super::{Unparsable, scan};

/// The most words one word may become; one that would become more is not expanded.
const MAX_WORDS: usize = 256;

/// The longest word that is expanded, in bytes, and the most braces it may hold: what bounds the work.
const MAX_BYTES: usize = 4096;
const MAX_BRACES: usize = 64;

/// The words a raw word becomes, or nothing if there would be too many.
pub(super) fn expand(raw: &str) -> Result<Option<Vec<String>>, Unparsable> {
    // Without a comma or a sequence nothing is expanded; that is nearly every long word, such as a program in quotes.
    if !raw.contains('{') || first(raw)?.is_none() {
        return Ok(Some(vec![raw.to_owned()]));
    }
    if raw.len() > MAX_BYTES || raw.matches('{').count() > MAX_BRACES {
        return Ok(None);
    }
    let mut done = vec![];
    // A stack instead of recursion: what is still to be expanded, the leftmost on top.
    let mut waiting = vec![raw.to_owned()];
    while let Some(word) = waiting.pop() {
        match first(&word)? {
            None => done.push(word),
            Some((start, end, Some(alternatives))) => {
                for alternative in alternatives.iter().rev() {
                    waiting.push(format!("{}{alternative}{}", &word[..start], &word[end..]));
                }
            }
            Some((_, _, None)) => return Ok(None),
        }
        if done.len() + waiting.len() > MAX_WORDS {
            return Ok(None);
        }
    }
    Ok(Some(done))
}

/// The first brace expression in a word: where it stands and what stands for it.
type Found = (usize, usize, Option<Vec<String>>);

fn first(word: &str) -> Result<Option<Found>, Unparsable> {
    let bytes = word.as_bytes();
    let mut at = 0;
    let mut tried = 0;
    while at < bytes.len() {
        if bytes[at] == b'{' {
            tried += 1;
            if let Some(found) = expression(word, at)? {
                return Ok(Some(found));
            }
            if tried > MAX_BRACES {
                return Ok(Some((at, at + 1, None)));
            }
        }
        at = after(word, at)?;
    }
    Ok(None)
}

/// The brace expression that begins at `start`, if it is one.
fn expression(word: &str, start: usize) -> Result<Option<Found>, Unparsable> {
    let bytes = word.as_bytes();
    let mut depth = 0_usize;
    let mut commas = vec![start];
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'{' => depth += 1,
            b'}' if depth == 0 => {
                let inner = &word[start + 1..at];
                if commas.len() > 1 {
                    commas.push(at);
                    let alternatives =
                        commas.windows(2).map(|pair| word[pair[0] + 1..pair[1]].to_owned()).collect();
                    return Ok(Some((start, at + 1, Some(alternatives))));
                }
                return Ok(sequence(inner).map(|words| (start, at + 1, words)));
            }
            b'}' => depth -= 1,
            b',' if depth == 0 => commas.push(at),
            _ => {}
        }
        at = after(word, at)?;
    }
    Ok(None)
}

/// What `1..3` or `a..c..2` stands for; the inner option is empty if that is too much.
fn sequence(inner: &str) -> Option<Option<Vec<String>>> {
    let parts: Vec<&str> = inner.split("..").collect();
    let (first, last, step) = match parts[..] {
        [first, last] => (first, last, 1),
        [first, last, step] => (first, last, step.parse::<i64>().ok()?),
        _ => return None,
    };
    let step = step.unsigned_abs().max(1);
    let is_letter = |text: &str| text.len() == 1 && text.as_bytes()[0].is_ascii_alphabetic();
    let (from, to, letters) = if is_letter(first) && is_letter(last) {
        (i64::from(first.as_bytes()[0]), i64::from(last.as_bytes()[0]), true)
    } else {
        let is_number = |text: &str| {
            let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
            !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
        };
        if !is_number(first) || !is_number(last) {
            return None;
        }
        let (Ok(from), Ok(to)) = (first.parse(), last.parse()) else { return Some(None) };
        (from, to, false)
    };
    if from.abs_diff(to) / step >= MAX_WORDS as u64 {
        return Some(None);
    }
    let width = [first, last]
        .iter()
        .filter(|text| text.trim_start_matches('-').starts_with('0'))
        .map(|text| text.len())
        .max();
    let words = (0..=from.abs_diff(to) / step).map(|count| {
        let offset = i64::try_from(count * step).unwrap_or(0);
        let value = if from <= to { from + offset } else { from - offset };
        match (letters, width) {
            (true, _) => char::from(u8::try_from(value).unwrap_or(b'?')).to_string(),
            (false, Some(width)) => format!("{value:0width$}"),
            (false, None) => value.to_string(),
        }
    });
    Some(Some(words.collect()))
}

/// Past what stands at `at`: a quoted text, an expansion or a character.
fn after(word: &str, at: usize) -> Result<usize, Unparsable> {
    Ok(match word.as_bytes()[at] {
        b'\\' => next_character(word, at + 1),
        b'\'' => scan::single(word, at + 1)?,
        b'"' => scan::double(word, at + 1, 0)?,
        b'`' => scan::backquote(word, at + 1)?,
        b'$' => scan::dollar(word, at, scan::Mode::Plain, 0)?.1,
        b'<' | b'>' if word.as_bytes().get(at + 1) == Some(&b'(') => {
            super::lexer::command_end(word, at + 2, 0)?
        }
        _ => next_character(word, at),
    })
}

fn next_character(word: &str, at: usize) -> usize {
    word[at..].chars().next().map_or(word.len(), |character| at + character.len_utf8())
}
