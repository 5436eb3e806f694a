//! The project key: the name of the folder in which the CLI keeps the sessions of a working directory.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use unicode_normalization::UnicodeNormalization as _;

/// Longer keys are cut here and get a hash, because names of files are bounded.
const KEY_CHARS_MAX: usize = 200;

/// The key of a working directory: its real path in NFC with everything but ASCII letters and digits
/// turned into `-`; beyond 200 characters it is cut and a hash of the whole path follows.
///
/// Blocking: it resolves symbolic links. A path that does not exist is taken as it is.
///
/// ```
/// # use sdk_runtime::sessions::project_key;
/// assert_eq!(project_key("/nowhere/my app".as_ref()), "-nowhere-my-app");
/// ```
pub fn project_key(cwd: &Path) -> String {
    key_of(&real_path(cwd))
}

/// The real path in NFC.
pub(super) fn real_path(path: &Path) -> String {
    let real = real_path_of_what_exists(path);
    nfc(real.as_os_str())
}

/// The key of a path that is already real.
pub(super) fn key_of(path: &str) -> String {
    // The CLI counts UTF-16 units: a character beyond the basic plane becomes two dashes.
    let dashed: String = path.encode_utf16().map(dashed_unit).collect();
    if dashed.len() <= KEY_CHARS_MAX {
        return dashed;
    }
    format!("{}-{}", &dashed[..KEY_CHARS_MAX], base36(hash(path)))
}

/// What every key of this path begins with when it is too long; other builds of the CLI hash otherwise.
pub(super) fn long_prefix(path: &str) -> Option<String> {
    let key = key_of(path);
    let prefix = key.get(..KEY_CHARS_MAX + 1)?;
    Some(prefix.to_owned())
}

fn nfc(path: &OsStr) -> String {
    path.to_string_lossy().nfc().collect()
}

/// As `realpath` of other languages: what exists is resolved, what does not is kept behind it.
fn real_path_of_what_exists(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    for ancestor in absolute.ancestors() {
        if let Ok(real) = ancestor.canonicalize() {
            let rest = absolute.strip_prefix(ancestor).unwrap_or(Path::new(""));
            return if rest.as_os_str().is_empty() { real } else { real.join(rest) };
        }
    }
    absolute
}

fn dashed_unit(unit: u16) -> char {
    match u8::try_from(unit) {
        Ok(byte) if byte.is_ascii_alphanumeric() => char::from(byte),
        _ => '-',
    }
}

fn hash(path: &str) -> u32 {
    let hash =
        path.encode_utf16().fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    hash.unsigned_abs()
}

fn base36(mut number: u32) -> String {
    let mut digits = Vec::new();
    loop {
        let digit = char::from_digit(number % 36, 36).unwrap_or('0');
        digits.push(digit);
        number /= 36;
        if number == 0 {
            return digits.iter().rev().collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_paths_become_dashes() {
        assert_eq!(key_of("/srv/demo"), "-srv-demo");
        assert_eq!(key_of("/a b/c.d_e"), "-a-b-c-d-e");
        assert_eq!(key_of(""), "");
    }

    /// The values are those of the official SDK for Python.
    #[test]
    fn paths_beyond_two_hundred_characters_are_cut_and_hashed() {
        let a = |count| format!("/{}", "a".repeat(count));
        assert_eq!(key_of(&a(199)), format!("-{}", "a".repeat(199)));
        assert_eq!(key_of(&a(200)), format!("-{}-b6ymvl", "a".repeat(199)));
        let deep = format!("/srv/{}end", "deep/".repeat(60));
        assert_eq!(key_of(&deep), format!("-srv-{}-6vd5h0", "deep-".repeat(39)));
        let wide = format!("/srv/{}", "\u{fc}ber/".repeat(60));
        assert_eq!(key_of(&wide), format!("-srv-{}-df42bd", "-ber-".repeat(39)));
        assert_eq!(long_prefix(&wide).map(|prefix| prefix.len()), Some(201));
        assert_eq!(long_prefix("/short"), None);
    }

    #[test]
    fn decomposed_and_composed_letters_make_one_key() {
        assert_eq!(project_key("/nowhere/cafe\u{301}".as_ref()), project_key("/nowhere/caf\u{e9}".as_ref()));
    }
}
