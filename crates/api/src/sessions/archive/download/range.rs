//! `Range` and `If-Range` (RFC 9110): one range of bytes; anything else is passed over, as the RFC allows.

use apidoc::RequestHeader;
use std::ops::Range;

/// Which bytes are wanted; `None` when the header does not name one range of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteRange(Option<Wanted>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// From here to there, which belongs to it, or to the end.
    From(u64, Option<u64>),
    /// So many at the end.
    Last(u64),
}

/// The range is only wanted while this is what there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IfRange(pub String);

/// None of what is wanted is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RangeError;

impl ByteRange {
    /// The range within so many bytes; `None` for all of them.
    pub fn of(self, size: u64) -> Result<Option<Range<u64>>, RangeError> {
        let range = match self.0 {
            None => return Ok(None),
            Some(Wanted::From(start, end)) => start..end.map_or(size, |end| end.saturating_add(1).min(size)),
            Some(Wanted::Last(count)) => size.saturating_sub(count)..size,
        };
        if range.is_empty() { Err(RangeError) } else { Ok(Some(range)) }
    }
}

fn wanted(value: &str) -> Option<Wanted> {
    let (unit, set) = value.split_once('=')?;
    let (start, end) = set.trim().split_once('-')?;
    let number = |text: &str| text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
    match (unit.eq_ignore_ascii_case("bytes"), start, end) {
        (false, ..) => None,
        (true, "", end) => Some(Wanted::Last(number(end)?)),
        (true, start, "") => Some(Wanted::From(number(start)?, None)),
        (true, start, end) => {
            let (start, end) = (number(start)?, number(end)?);
            (start <= end).then_some(Wanted::From(start, Some(end)))
        }
    }
}

impl RequestHeader for ByteRange {
    const NAME: &'static str = "Range";
    const ABOUT: &'static str = "`bytes=first-last`, `bytes=first-` or `bytes=-count` (RFC 9110).";
    const LENGTH_MAX: u32 = 1024;

    fn parse(value: &str) -> Result<Self, String> {
        Ok(Self(wanted(value)))
    }
}

impl RequestHeader for IfRange {
    const NAME: &'static str = "If-Range";
    const ABOUT: &'static str =
        "The `ETag` of the archive that the range is wanted of; of another one all of it comes.";
    const LENGTH_MAX: u32 = 1024;

    fn parse(value: &str) -> Result<Self, String> {
        Ok(Self(value.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_what_the_rfc_makes_of_them() {
        let table = [
            ("bytes=0-0", Ok(Some(0..1))),
            ("bytes=2-4", Ok(Some(2..5))),
            ("Bytes=7-", Ok(Some(7..10))),
            ("bytes=7-99999999999", Ok(Some(7..10))),
            ("bytes=0-18446744073709551615", Ok(Some(0..10))),
            ("bytes=-3", Ok(Some(7..10))),
            ("bytes=-30", Ok(Some(0..10))),
            ("bytes=10-", Err(RangeError)),
            ("bytes=10-12", Err(RangeError)),
            ("bytes=-0", Err(RangeError)),
            ("bytes=4-2", Ok(None)),
            ("bytes=0-1,4-5", Ok(None)),
            ("bytes=+1-2", Ok(None)),
            ("bytes=-", Ok(None)),
            ("bytes=99999999999999999999-", Ok(None)),
            ("items=0-1", Ok(None)),
            ("bytes", Ok(None)),
        ];
        for (header, range) in table {
            assert_eq!(ByteRange::parse(header).unwrap().of(10), range, "{header}");
        }
    }
}
