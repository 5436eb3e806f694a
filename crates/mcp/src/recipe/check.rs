//! What can be wrong with a server.

use super::{Fault, Recipe, placeholders};
use domain::McpTransport;
use hooks::webhook::Outbound;
use http::{HeaderName, HeaderValue};
use secrecy::ExposeSecret;
use url::Url;

/// Longest command, in bytes.
const COMMAND_BYTES_MAX: usize = 1024;
/// Arguments there may be, and the longest of them in bytes.
const ARGS_MAX: usize = 100;
const ARG_BYTES_MAX: usize = 8 * 1024;
/// Variables and headers there may be of each, and the longest value of one in bytes.
const SECRETS_MAX: usize = 64;
const SECRET_BYTES_MAX: usize = 32 * 1024;
/// Headers that belong to the protocols.
const RESERVED_HEADERS: [&str; 10] = [
    "accept",
    "connection",
    "content-length",
    "content-type",
    "host",
    "last-event-id",
    "mcp-protocol-version",
    "mcp-session-id",
    "transfer-encoding",
    "upgrade",
];

impl Recipe {
    /// Everything that is wrong, at once; nothing if a server can be connected by it.
    #[must_use]
    pub fn faults(&self, outbound: &Outbound) -> Vec<Fault> {
        let mut faults = Faults(vec![]);
        match self.transport {
            McpTransport::Sdk => faults.add(
                "/server_type",
                "unsupported",
                "there are no servers inside this one; register it as stdio, sse or http",
            ),
            McpTransport::Stdio => {
                self.check_process(&mut faults);
                if self.url.is_some() {
                    faults.add("/url", "conflict", "is only for sse and http servers");
                }
                if !self.headers.is_empty() {
                    faults.add("/headers", "conflict", "are only for sse and http servers");
                }
            }
            McpTransport::Sse | McpTransport::Http => {
                self.check_remote(outbound, &mut faults);
                if self.command.is_some() {
                    faults.add("/command", "conflict", "is only for stdio servers");
                }
                if !self.args.is_empty() {
                    faults.add("/args", "conflict", "are only for stdio servers");
                }
            }
        }
        self.check_variables(&mut faults);
        faults.0
    }

    fn check_process(&self, faults: &mut Faults) {
        match self.command.as_deref() {
            None | Some("") => faults.add("/command", "required", "a stdio server needs a command"),
            Some(command) if command.len() > COMMAND_BYTES_MAX => {
                faults.add("/command", "too_long", format!("must be at most {COMMAND_BYTES_MAX} bytes"));
            }
            // It would be taken for a variable, or for an option, of what starts it.
            Some(command) if command.contains('=') || command.starts_with('-') => {
                faults.add("/command", "pattern", "must be a program, without `=` and not begin with `-`");
            }
            Some(command) if command.contains(char::is_control) => {
                faults.add("/command", "control_character", "must not have control characters");
            }
            Some(_) => {}
        }
        if self.args.len() > ARGS_MAX {
            faults.add("/args", "too_many", format!("must be at most {ARGS_MAX}"));
        }
        for (index, arg) in self.args.iter().enumerate() {
            let pointer = format!("/args/{index}");
            if arg.len() > ARG_BYTES_MAX {
                faults.add(&pointer, "too_long", format!("must be at most {ARG_BYTES_MAX} bytes"));
            } else if arg.contains('\0') {
                faults.add(&pointer, "nul", "must not contain NUL");
            } else if has_password(arg) {
                let message = "has a password in it; put that into `env` and write ${NAME} in its place";
                faults.add(&pointer, "secret", message);
            }
            self.check_names(&pointer, arg, faults);
        }
    }

    fn check_remote(&self, outbound: &Outbound, faults: &mut Faults) {
        match &self.url {
            None => faults.add("/url", "required", "an sse or http server needs a URL"),
            Some(url) => {
                self.check_names("/url", url, faults);
                if let Err(refused) = outbound.check_url(&self.filled(url)) {
                    faults.add("/url", "url", refused.0);
                }
            }
        }
        if self.headers.len() > SECRETS_MAX {
            faults.add("/headers", "too_many", format!("must be at most {SECRETS_MAX}"));
        }
        for (name, value) in &self.headers {
            let pointer = format!("/headers/{}", escaped(name));
            match HeaderName::from_bytes(name.as_bytes()) {
                Err(_) => faults.add(&pointer, "pattern", "is no name of a header"),
                Ok(name) if RESERVED_HEADERS.contains(&name.as_str()) => {
                    faults.add(&pointer, "reserved", "is set by the protocol");
                }
                Ok(_) => {}
            }
            let value = value.expose_secret();
            self.check_names(&pointer, value, faults);
            if value.len() > SECRET_BYTES_MAX {
                faults.add(&pointer, "too_long", format!("must be at most {SECRET_BYTES_MAX} bytes"));
            } else if HeaderValue::from_str(&self.filled(value)).is_err() {
                faults.add(&pointer, "pattern", "cannot be the value of a header");
            }
        }
    }

    fn check_variables(&self, faults: &mut Faults) {
        if self.env.len() > SECRETS_MAX {
            faults.add("/env", "too_many", format!("must be at most {SECRETS_MAX}"));
        }
        for (name, value) in &self.env {
            let pointer = format!("/env/{}", escaped(name));
            let value = value.expose_secret();
            if !placeholders::is_name(name) {
                faults.add(
                    &pointer,
                    "pattern",
                    "must have letters, digits and _ only, and begin with no digit",
                );
            } else if value.len() > SECRET_BYTES_MAX {
                faults.add(&pointer, "too_long", format!("must be at most {SECRET_BYTES_MAX} bytes"));
            } else if value.contains('\0') {
                faults.add(&pointer, "nul", "must not contain NUL");
            }
        }
    }

    fn check_names(&self, pointer: &str, text: &str, faults: &mut Faults) {
        for name in placeholders::names(text) {
            if !self.env.contains_key(name) {
                let message = format!("names ${{{name}}}, of which there is nothing in `env`");
                faults.add(pointer, "unknown_secret", message);
            }
        }
    }
}

struct Faults(Vec<Fault>);

impl Faults {
    fn add(&mut self, pointer: &str, code: &'static str, message: impl Into<String>) {
        self.0.push(Fault { pointer: pointer.to_owned(), code, message: message.into() });
    }
}

/// Whether an argument is a URL with a password of its own, as connections to databases are.
fn has_password(arg: &str) -> bool {
    let value = arg.split_once('=').filter(|(flag, _)| flag.starts_with('-')).map_or(arg, |(_, value)| value);
    let url = Url::parse(value).ok();
    // A placeholder is spelled out in bytes by now.
    url.is_some_and(|url| url.password().is_some_and(|password| !password.contains("$%7B")))
}

/// A name as a part of a JSON pointer.
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
