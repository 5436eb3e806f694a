//! Other things a path may mean than its bytes: to a tool that decodes it, to an eye, to another file system.

use percent_encoding::percent_decode_str;
use std::path::Path;
use unicode_normalization::UnicodeNormalization;
use unicode_security::skeleton;

/// The texts that this one may be taken for, itself not among them. The restricted is denied under each.
pub(crate) fn other_readings(text: &str) -> Vec<String> {
    let mut readings = vec![];
    let mut add = |reading: String| {
        if reading != text && !readings.contains(&reading) {
            readings.push(reading);
        }
    };
    if text.contains('%') {
        // Twice, because some decode twice.
        let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let once = decode(text);
        add(decode(&once));
        add(once);
    }
    if !text.is_ascii() {
        // What looks like a path we know, and what is one to whoever normalises.
        add(look_alike(text));
        let visible: String = text.nfkc().filter(|c| !is_invisible(*c)).collect();
        add(look_alike(&visible));
        add(visible);
    }
    let parts = text.split('/');
    if parts.clone().any(|part| part.ends_with(['.', ' ']) && part != "." && part != "..") {
        let trimmed: Vec<&str> = parts
            .map(|part| if part == "." || part == ".." { part } else { part.trim_end_matches(['.', ' ']) })
            .collect();
        add(trimmed.join("/"));
    }
    if text.contains('\\') {
        add(text.replace('\\', "/"));
        add(text.replace('\\', ""));
    }
    readings
}

/// `~`, `~/…`, `~+/…` and `~user/…` as the shell expands them; the home of a user is looked up. `None` if it begins
/// with none of these.
pub(crate) fn expand_home(text: &str, home: &Path, cwd: &Path) -> Option<String> {
    let rest = text.strip_prefix('~')?;
    let (user, below) = rest.split_once('/').map_or((rest, ""), |(user, below)| (user, below));
    let home = match user {
        "" => home.to_owned(),
        "+" => cwd.to_owned(),
        user => nix::unistd::User::from_name(user).ok().flatten()?.dir,
    };
    Some(format!("{}/{below}", home.display()))
}

/// The text with every character beyond ASCII replaced by the one it looks like.
fn look_alike(text: &str) -> String {
    let mut buffer = [0; 4];
    let mut seen = String::with_capacity(text.len());
    for c in text.chars() {
        match c.is_ascii() {
            true => seen.push(c),
            false => seen.extend(skeleton(c.encode_utf8(&mut buffer))),
        }
    }
    seen
}

/// Characters that show nothing, so that a name with them looks like the name without.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{e0000}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_also_what_it_may_be_taken_for() {
        for (text, reading) in [
            ("/etc/%70asswd", "/etc/passwd"),
            ("/etc/%2570asswd", "/etc/passwd"),
            ("/etc/p\u{430}sswd", "/etc/passwd"),
            ("/etc/pass\u{200b}wd", "/etc/passwd"),
            ("/etc/ｐasswd", "/etc/passwd"),
            ("/etc/passwd.", "/etc/passwd"),
            ("/etc/passwd ", "/etc/passwd"),
            ("\\etc\\passwd", "/etc/passwd"),
        ] {
            let readings = other_readings(text);
            assert!(readings.iter().any(|one| one == reading), "{text}: {readings:?}");
        }
        assert!(other_readings("/home/me/plain-file.txt").is_empty());
        assert!(other_readings("../x/./y").is_empty());
    }
}
