//! The hosts that a tool call names.

mod options;

use super::hosts::NamedHost;
use crate::shell::{Analysis, SimpleCommand, Word};
use options::{Argument, Options};
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
/// Commands of the shell that set variables for what comes after them.
const SETTING: [&str; 5] = ["export", "declare", "typeset", "readonly", "local"];

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

/// What a tool that fetches a URL names, whatever it is written like: `https:host` has a host too, and of `host:80/x`
/// the part before the colon is no scheme.
pub(crate) fn of_address(text: &str) -> Named {
    let text = text.trim();
    let has_scheme = text.split_once("://").is_some_and(|(scheme, _)| {
        scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
    });
    match NamedHost::of_url(text) {
        Some(host) => Named::Host(host),
        None if has_scheme => Named::Unknown(text.to_owned()),
        None => of_url(&format!("http://{}", text.trim_start_matches('/'))),
    }
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
    for (name, value) in &command.assignments {
        proxy(name, head(value), named);
    }
    let Some((_, words)) = command.words.split_first() else { return };
    let program = command.program().unwrap_or_default();
    match program {
        "echo" | "printf" => return,
        "scp" | "rsync" => named.extend(words.iter().filter_map(remote)),
        "git" => git(words, named),
        setting if SETTING.contains(&setting) => {
            let settings = words.iter().filter_map(|word| head(word).split_once('='));
            settings.for_each(|(name, value)| proxy(name, value, named));
        }
        _ => {}
    }
    let Some(options) = Options::of(program) else {
        return words.iter().for_each(|word| named.extend(urls(head(word))));
    };
    let arguments = options.read(words);
    match program {
        "curl" | "wget" | "http" | "https" | "xh" | "aria2c" => fetched(program, &arguments, named),
        _ => connected(program, &arguments, named),
    }
}

/// A variable by which programs are told of a proxy.
fn proxy(name: &str, value: &str, named: &mut Vec<Named>) {
    let name = name.to_ascii_lowercase();
    if name.ends_with("_proxy") && name != "no_proxy" && !value.is_empty() {
        named.push(of_address(value));
    }
}

/// The known text of a word.
fn head(word: &Word) -> &str {
    match word {
        Word::Known(text) | Word::Pattern(text) => text,
        Word::Unknown(unknown) => &unknown.known_prefix,
    }
}

/// URLs that stand anywhere in a text.
fn urls(text: &str) -> Vec<Named> {
    if !text.contains("://") {
        return vec![];
    }
    let ends = |c: char| {
        c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '<' | '>' | ')' | ',' | ';' | '=' | '(')
    };
    text.split(ends).filter(|part| is_url(part)).map(of_url).collect()
}

/// `curl`, `wget` and the like: every operand is an address, with or without a scheme.
fn fetched(program: &str, arguments: &[Argument], named: &mut Vec<Named>) {
    for argument in arguments {
        match argument {
            Argument::Operand(word) => named.push(address(word)),
            Argument::Valued(option, value) => match option.as_str() {
                "-x" if program != "curl" => {}
                "-x" | "--url" | "--doh-url" => named.push(address(value)),
                option if option.contains("proxy") || option.starts_with("--socks") => {
                    named.push(address(value));
                }
                // They lead elsewhere than the address says.
                "--resolve" | "--connect-to" => {
                    let hosts = head(value).split([':', ',']).filter_map(NamedHost::parse);
                    named.extend(hosts.map(Named::Host));
                }
                "-e" | "--execute" if program == "wget" => {
                    if let Some((name, value)) = head(value).split_once('=') {
                        proxy(name.trim(), value.trim(), named);
                    }
                }
                _ => named.extend(urls(head(value))),
            },
            Argument::Flag => {}
        }
    }
}

/// What an operand that is an address names.
fn address(word: &Word) -> Named {
    match word {
        Word::Known(text) | Word::Pattern(text) => of_address(text),
        // The host is known if something after it is.
        Word::Unknown(unknown) => match unknown.known_prefix.split_once("://") {
            Some((_, rest)) if rest.contains(['/', '?', '#']) => of_url(&unknown.known_prefix),
            None if unknown.known_prefix.contains('/') => of_address(&unknown.known_prefix),
            _ => Named::Unknown(unknown.written.clone()),
        },
    }
}

/// `ssh`, `nc` and the like: the host is the first operand. Of those that take no command after it every operand is
/// looked at, for versions differ in which options take a value.
fn connected(program: &str, arguments: &[Argument], named: &mut Vec<Named>) {
    let has_command = matches!(program, "ssh" | "mosh" | "sftp" | "ssh-copy-id");
    let is_port = |text: &str| text.len() <= 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    let mut operands = 0;
    for argument in arguments {
        match argument {
            Argument::Operand(word) => {
                operands += 1;
                if operands == 1 || !has_command && !is_port(head(word)) {
                    named.push(login(head(word)));
                }
                named.extend(urls(head(word)));
            }
            Argument::Valued(option, value) => {
                let text = head(value);
                match option.as_str() {
                    "-J" => named.extend(text.split(',').map(way)),
                    "-x" | "--proxy" => named.push(way(text)),
                    "-o" => {
                        let (keyword, value) = text.split_once(['=', ' ']).unwrap_or_default();
                        if ["hostname", "proxyjump"].contains(&keyword.trim().to_ascii_lowercase().as_str()) {
                            named.extend(value.split(',').map(|host| way(host.trim())));
                        }
                    }
                    _ => {}
                }
                named.extend(urls(text));
            }
            Argument::Flag => {}
        }
    }
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

/// `user@host:port`, on the way to another host.
fn way(text: &str) -> Named {
    match text.split_once(':') {
        Some((host, port)) if !text.contains("://") && port.bytes().all(|byte| byte.is_ascii_digit()) => {
            login(host)
        }
        _ => login(text),
    }
}

/// `user@host`.
fn login(text: &str) -> Named {
    let bare = text.rsplit_once('@').map_or(text, |(_, host)| host);
    if bare.contains("://") { of_url(text) } else { host(bare) }
}

fn host(text: &str) -> Named {
    NamedHost::parse(text).map_or_else(|| Named::Unknown(text.to_owned()), Named::Host)
}
