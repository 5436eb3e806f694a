//! The hosts that a tool call names.

use super::hosts::NamedHost;
use crate::shell::{Analysis, SimpleCommand, Word};
use serde_json::Value;

/// A host that a call is going to talk to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Named {
    Host(NamedHost),
    /// It cannot be known from what is written.
    Unknown(String),
}

/// Schemes of URLs that lead to a host.
const SCHEMES: [&str; 12] =
    ["http", "https", "ftp", "ftps", "sftp", "ssh", "git", "git+ssh", "ws", "wss", "ldap", "gopher"];
/// Options of curl and wget whose value is neither a URL nor a proxy.
const PLAIN_VALUES: &[&str] = &[
    "-H",
    "--header",
    "-d",
    "--data",
    "--data-raw",
    "--data-binary",
    "--data-urlencode",
    "--json",
    "-F",
    "--form",
    "-o",
    "--output",
    "-X",
    "--request",
    "-u",
    "--user",
    "-A",
    "--user-agent",
    "-b",
    "--cookie",
    "-c",
    "--cookie-jar",
    "-D",
    "--dump-header",
    "-e",
    "--referer",
    "-m",
    "--max-time",
    "--connect-timeout",
    "--retry",
    "--retry-delay",
    "-T",
    "--upload-file",
    "-w",
    "--write-out",
    "-K",
    "--config",
    "-E",
    "--cert",
    "--key",
    "--cacert",
    "-O",
    "-P",
    "-r",
    "--range",
    "-C",
    "--output-dir",
    "--post-data",
    "--post-file",
    "--method",
    "--body-data",
    "-t",
    "--tries",
    "-i",
    "--input-file",
    "-z",
    "-y",
    "-Y",
    "--limit-rate",
    "--max-redirs",
    "--interface",
    "--cookie-jar",
    "--ciphers",
    "--retry-max-time",
    "--resolve",
    "--connect-to",
    "-a",
    "--timeout",
    "-Q",
    "-l",
    "-A",
    "-R",
    "-D",
    "-I",
    "-X",
];

/// What a command line names.
pub(crate) fn of_line(analysis: &Analysis) -> Vec<Named> {
    let mut named = vec![];
    for command in &analysis.commands {
        of_command(command, &mut named);
    }
    named
}

/// Every text in a tool's input that is a URL.
pub(crate) fn of_input(value: &Value) -> Vec<Named> {
    match value {
        Value::String(text) if is_url(text) => vec![of_url(text)],
        Value::Array(items) => items.iter().flat_map(of_input).collect(),
        Value::Object(fields) => fields.values().flat_map(of_input).collect(),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => vec![],
    }
}

/// What a tool that fetches a URL names, whatever it is written like.
pub(crate) fn of_address(text: &str) -> Named {
    let whole = if text.contains("://") {
        text.to_owned()
    } else {
        format!("http://{}", text.trim_start_matches('/'))
    };
    of_url(&whole)
}

fn of_url(text: &str) -> Named {
    NamedHost::of_url(text.trim()).map_or_else(|| Named::Unknown(text.to_owned()), Named::Host)
}

fn is_url(text: &str) -> bool {
    text.trim_start()
        .split_once("://")
        .is_some_and(|(scheme, _)| SCHEMES.contains(&scheme.to_ascii_lowercase().as_str()))
}

fn of_command(command: &SimpleCommand, named: &mut Vec<Named>) {
    for (_, target) in &command.redirects {
        let device =
            target.known().and_then(|path| path.strip_prefix("/dev/tcp/").or(path.strip_prefix("/dev/udp/")));
        named.extend(device.and_then(|rest| rest.split('/').next()).map(host));
    }
    let Some((_, words)) = command.words.split_first() else { return };
    match command.program().unwrap_or_default() {
        "echo" | "printf" => return,
        "curl" | "wget" | "http" | "https" | "xh" | "aria2c" => return fetched(words, named),
        "ssh" | "sftp" | "mosh" | "telnet" | "nc" | "ncat" | "ftp" | "ping" | "ssh-copy-id" => {
            let first = words.iter().find(|word| !head(word).starts_with('-'));
            named.extend(first.map(|word| login(head(word))));
        }
        "scp" | "rsync" => named.extend(words.iter().filter_map(remote)),
        "git" => git(words, named),
        _ => {}
    }
    words.iter().filter_map(|word| urls(head(word))).flatten().for_each(|one| named.push(one));
}

/// The known text of a word.
fn head(word: &Word) -> &str {
    match word {
        Word::Known(text) | Word::Pattern(text) => text,
        Word::Unknown(unknown) => &unknown.known_prefix,
    }
}

/// URLs that stand anywhere in a text.
fn urls(text: &str) -> Option<Vec<Named>> {
    if !text.contains("://") {
        return None;
    }
    let ends = |c: char| {
        c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '<' | '>' | ')' | ',' | ';' | '=' | '(')
    };
    Some(text.split(ends).filter(|part| is_url(part)).map(of_url).collect())
}

/// `curl` and `wget`: every operand is an address, with or without a scheme.
fn fetched(words: &[Word], named: &mut Vec<Named>) {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let text = head(word);
        if text.starts_with('-') && text.len() > 1 {
            let (option, value) = match text.split_once('=') {
                Some((option, value)) if text.starts_with("--") => (option, Some(value)),
                _ => (text, None),
            };
            match option {
                "--url" | "-x" | "--proxy" | "--preproxy" | "--socks5" | "--doh-url" => {
                    let value = value.or_else(|| words.next().map(head));
                    named.extend(value.map(of_address));
                }
                // They lead elsewhere than the address says.
                "--resolve" | "--connect-to" => {
                    let value = value.or_else(|| words.next().map(head)).unwrap_or_default();
                    named.extend(value.split([':', ',']).filter_map(NamedHost::parse).map(Named::Host));
                }
                option if value.is_none() && takes_next(option) => drop(words.next()),
                _ => {}
            }
            continue;
        }
        named.push(match word {
            Word::Known(text) | Word::Pattern(text) => of_address(text),
            // The host is known if something after it is.
            Word::Unknown(unknown) => match unknown.known_prefix.split_once("://") {
                Some((_, rest)) if rest.contains(['/', '?', '#']) => of_url(&unknown.known_prefix),
                None if unknown.known_prefix.contains('/') => of_address(&unknown.known_prefix),
                _ => Named::Unknown(unknown.written.clone()),
            },
        });
    }
}

/// Whether an option's value is the next word: it is the last of its cluster.
fn takes_next(option: &str) -> bool {
    if option.starts_with("--") {
        return PLAIN_VALUES.contains(&option);
    }
    let mut letters = option.char_indices().skip(1);
    letters
        .find(|(_, letter)| PLAIN_VALUES.contains(&format!("-{letter}").as_str()))
        .is_some_and(|(at, letter)| at + letter.len_utf8() == option.len())
}

/// `git`: what is cloned, fetched from and pushed to, where it is named by address.
fn git(words: &[Word], named: &mut Vec<Named>) {
    const TALKING: [&str; 9] =
        ["clone", "fetch", "pull", "push", "ls-remote", "remote", "submodule", "archive", "init"];
    if words.iter().any(|word| TALKING.contains(&head(word))) {
        named.extend(words.iter().filter(|word| !head(word).contains("://")).filter_map(remote));
    }
}

/// `user@host:path`; no colon, or a slash before it, is a path on this machine.
fn remote(word: &Word) -> Option<Named> {
    let text = head(word);
    let (host, _) = text
        .split_once(':')
        .filter(|(host, _)| !host.contains('/') && !host.starts_with('-') && !host.is_empty())?;
    Some(login(host))
}

/// `user@host`.
fn login(text: &str) -> Named {
    let bare = text.rsplit_once('@').map_or(text, |(_, host)| host);
    if bare.contains("://") { of_url(text) } else { host(bare) }
}

fn host(text: &str) -> Named {
    NamedHost::parse(text).map_or_else(|| Named::Unknown(text.to_owned()), Named::Host)
}
