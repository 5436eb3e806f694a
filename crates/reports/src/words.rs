//! Figures as people read them.

use domain::MicroUsd;
use jiff::Timestamp;

/// An instant, in UTC.
pub(crate) fn instant(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// An instant, if there was one.
pub(crate) fn instant_if(at: Option<Timestamp>) -> Option<String> {
    at.map(instant)
}

/// How long something took.
pub(crate) fn duration(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0 => format!("{ms} ms"),
        1..60 => format!("{seconds}.{} s", ms % 1000 / 100),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// An amount, to the last micro-dollar.
pub(crate) fn money(amount: MicroUsd) -> String {
    amount.to_string()
}

/// A count, its thousands apart.
pub(crate) fn count(figure: u64) -> String {
    let digits = figure.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push('\u{a0}');
        }
        grouped.push(digit);
    }
    grouped
}

/// A word of the API as people write it.
pub(crate) fn word(word: &str) -> String {
    word.replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        assert_eq!(duration(999), "999 ms");
        assert_eq!(duration(59_950), "59.9 s");
        assert_eq!(duration(61_000), "1 min 1 s");
        assert_eq!(duration(7_320_000), "2 h 2 min");
        assert_eq!(count(0), "0");
        assert_eq!(count(1_234_567), "1\u{a0}234\u{a0}567");
        assert_eq!(instant(Timestamp::UNIX_EPOCH), "1970-01-01 00:00:00 UTC");
    }
}
