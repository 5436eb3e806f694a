//! Which options of the programs that talk to hosts take a value: what is none of these values is an address.

use crate::shell::{UnknownWord, Word};

/// The options of a program that take a value.
#[derive(Debug)]
pub(super) struct Options {
    letters: &'static str,
    long: &'static [&'static str],
}

/// One part of a program's arguments.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Argument {
    Operand(Word),
    /// An option's name and its value.
    Valued(String, Word),
    Flag,
}

const CURL: Options = Options {
    letters: "AbcCdDeEFHKmoPQrtTuUwxXyYz",
    long: &[
        "--url",
        "--proxy",
        "--preproxy",
        "--proxy1.0",
        "--socks4",
        "--socks4a",
        "--socks5",
        "--socks5-hostname",
        "--doh-url",
        "--resolve",
        "--connect-to",
        "--header",
        "--proxy-header",
        "--data",
        "--data-ascii",
        "--data-raw",
        "--data-binary",
        "--data-urlencode",
        "--url-query",
        "--json",
        "--form",
        "--form-string",
        "--output",
        "--output-dir",
        "--request",
        "--request-target",
        "--user",
        "--proxy-user",
        "--user-agent",
        "--oauth2-bearer",
        "--aws-sigv4",
        "--cookie",
        "--cookie-jar",
        "--dump-header",
        "--referer",
        "--max-time",
        "--connect-timeout",
        "--keepalive-time",
        "--retry",
        "--retry-delay",
        "--retry-max-time",
        "--max-redirs",
        "--max-filesize",
        "--parallel-max",
        "--limit-rate",
        "--rate",
        "--speed-time",
        "--speed-limit",
        "--time-cond",
        "--continue-at",
        "--range",
        "--upload-file",
        "--write-out",
        "--config",
        "--netrc-file",
        "--cert",
        "--cert-type",
        "--key",
        "--key-type",
        "--pass",
        "--cacert",
        "--capath",
        "--pinnedpubkey",
        "--ciphers",
        "--tls13-ciphers",
        "--tls-max",
        "--interface",
        "--local-port",
        "--unix-socket",
        "--proto",
        "--proto-default",
        "--proto-redir",
        "--quote",
        "--stderr",
        "--trace",
        "--trace-ascii",
        "--variable",
    ],
};
const WGET: Options = Options {
    letters: "oaeiBtOTwQPDARIXUln",
    long: &[
        "--output-file",
        "--append-output",
        "--execute",
        "--input-file",
        "--base",
        "--tries",
        "--output-document",
        "--timeout",
        "--dns-timeout",
        "--connect-timeout",
        "--read-timeout",
        "--wait",
        "--waitretry",
        "--quota",
        "--limit-rate",
        "--directory-prefix",
        "--cut-dirs",
        "--domains",
        "--exclude-domains",
        "--accept",
        "--accept-regex",
        "--reject",
        "--reject-regex",
        "--include-directories",
        "--exclude-directories",
        "--user",
        "--password",
        "--user-agent",
        "--referer",
        "--header",
        "--load-cookies",
        "--save-cookies",
        "--post-data",
        "--post-file",
        "--method",
        "--body-data",
        "--body-file",
        "--certificate",
        "--private-key",
        "--ca-certificate",
        "--ca-directory",
        "--level",
        "--progress",
        "--bind-address",
    ],
};
/// HTTPie and xh.
const HTTP: Options = Options {
    letters: "aAops",
    long: &[
        "--auth",
        "--auth-type",
        "--output",
        "--print",
        "--style",
        "--pretty",
        "--proxy",
        "--session",
        "--session-read-only",
        "--timeout",
        "--max-redirects",
        "--verify",
        "--cert",
        "--cert-key",
        "--raw",
    ],
};
const ARIA2: Options = Options {
    letters: "doixsjkltmTUMO",
    long: &[
        "--dir",
        "--out",
        "--input-file",
        "--max-connection-per-server",
        "--split",
        "--log",
        "--all-proxy",
        "--http-proxy",
        "--https-proxy",
        "--ftp-proxy",
    ],
};
const SSH: Options = Options { letters: "BbcDEeFIiJLlmOoPpQRSWw", long: &[] };
const SFTP: Options = Options { letters: "BbcDFiJloPRSsX", long: &[] };
const SSH_COPY_ID: Options = Options { letters: "iopt", long: &[] };
const MOSH: Options = Options { letters: "p", long: &["--port", "--ssh", "--client", "--server"] };
/// The letters that take a value in every netcat: after one of which they differ, the next word is looked at.
const NETCAT: Options = Options {
    letters: "IiMmPpqsTVwXx",
    long: &["--proxy", "--proxy-type", "--wait", "--source", "--source-port"],
};
const PING: Options = Options { letters: "cFIiLlMmNpQSstTWw", long: &["--count", "--interval", "--ttl"] };
const TELNET: Options = Options { letters: "beklnSX", long: &[] };
const FTP: Options = Options { letters: "NoPqrsTu", long: &[] };

impl Options {
    /// Those of a program that talks to the hosts among its operands.
    pub(super) fn of(program: &str) -> Option<&'static Self> {
        Some(match program {
            "curl" => &CURL,
            "wget" => &WGET,
            "http" | "https" | "xh" => &HTTP,
            "aria2c" => &ARIA2,
            "ssh" => &SSH,
            "sftp" => &SFTP,
            "ssh-copy-id" => &SSH_COPY_ID,
            "mosh" => &MOSH,
            "nc" | "ncat" => &NETCAT,
            "ping" => &PING,
            "telnet" => &TELNET,
            "ftp" => &FTP,
            _ => return None,
        })
    }

    /// A program's arguments, each option with its value.
    pub(super) fn read(&self, words: &[Word]) -> Vec<Argument> {
        let mut arguments = vec![];
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let text = super::head(word);
            if text == "--" {
                arguments.extend(words.by_ref().cloned().map(Argument::Operand));
            } else if !text.starts_with('-') || text == "-" {
                arguments.push(Argument::Operand(word.clone()));
            } else {
                arguments.push(match self.option(text) {
                    None => Argument::Flag,
                    Some((name, Some(at))) => Argument::Valued(name, rest(word, at)),
                    Some((name, None)) => {
                        words.next().map_or(Argument::Flag, |value| Argument::Valued(name, value.clone()))
                    }
                });
            }
        }
        arguments
    }

    /// The option in this word that takes a value, and where in the word the value begins if it does there.
    fn option(&self, text: &str) -> Option<(String, Option<usize>)> {
        if text.starts_with("--") {
            if let Some((name, _)) = text.split_once('=') {
                return Some((name.to_owned(), Some(name.len() + 1)));
            }
            return self.long.contains(&text).then(|| (text.to_owned(), None));
        }
        let (at, letter) = text.char_indices().skip(1).find(|(_, letter)| self.letters.contains(*letter))?;
        let end = at + letter.len_utf8();
        Some((format!("-{letter}"), (end < text.len()).then_some(end)))
    }
}

/// A word without the known text before this place.
fn rest(word: &Word, at: usize) -> Word {
    let from = |text: &str| text.get(at..).unwrap_or_default().to_owned();
    match word {
        Word::Known(text) => Word::Known(from(text)),
        Word::Pattern(text) => Word::Pattern(from(text)),
        Word::Unknown(unknown) => {
            Word::Unknown(UnknownWord { known_prefix: from(&unknown.known_prefix), ..unknown.clone() })
        }
    }
}
