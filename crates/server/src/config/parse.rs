//! From the text of a setting to its type; each error says what is allowed.

use std::{
    collections::BTreeSet,
    fmt::Display,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    str::FromStr,
};

use domain::spec::PERMISSION_MODES;
use url::Url;

use super::{CorsOrigins, Environment};

/// The shortest key that may sign tokens.
pub const MIN_SECRET_KEY_BYTES: usize = 32;

const MIN_PASSWORD_CHARS: usize = 12;
/// A secret of fewer different characters is one somebody typed to get past the length.
const MIN_DIFFERENT_CHARS: usize = 6;
const MAX_EMAIL_CHARS: usize = 254;

type Parsed<T> = Result<T, String>;

pub(super) fn number<T>(allowed: RangeInclusive<T>) -> impl Fn(&str) -> Parsed<T>
where
    T: FromStr + PartialOrd + Display,
{
    move |text| {
        let value = text.parse().ok().filter(|value| allowed.contains(value));
        value.ok_or_else(|| format!("a whole number from {} to {}", allowed.start(), allowed.end()))
    }
}

pub(super) fn decimal(allowed: RangeInclusive<f64>) -> impl Fn(&str) -> Parsed<f64> {
    move |text| {
        let value = text.parse().ok().filter(|value| allowed.contains(value));
        value.ok_or_else(|| format!("a number from {} to {}", allowed.start(), allowed.end()))
    }
}

pub(super) fn boolean(text: &str) -> Parsed<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err("true or false".to_owned()),
    }
}

pub(super) fn non_empty(text: &str) -> Parsed<String> {
    Ok(text.to_owned())
}

pub(super) fn path(text: &str) -> Parsed<PathBuf> {
    Ok(PathBuf::from(text))
}

/// The parts between commas.
pub(super) fn list(text: &str) -> Vec<&str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect()
}

pub(super) fn absolute_directories(parts: &[&str]) -> Parsed<Vec<PathBuf>> {
    let directory = |part: &&str| {
        let path = Path::new(part);
        let plain = path.components().all(|part| !matches!(part, std::path::Component::ParentDir));
        (path.is_absolute() && plain && path.parent().is_some()).then(|| path.to_owned())
    };
    let directories: Option<Vec<_>> = parts.iter().map(directory).collect();
    directories.ok_or_else(|| "absolute directories without .., other than /, with commas between".to_owned())
}

pub(super) fn absolute_paths(parts: &[&str]) -> Parsed<Vec<PathBuf>> {
    let paths: Option<Vec<_>> =
        parts.iter().map(|part| Path::new(part).is_absolute().then(|| PathBuf::from(part))).collect();
    paths.ok_or_else(|| "absolute paths with commas between".to_owned())
}

pub(super) fn secret_key(text: &str) -> Parsed<()> {
    if text.len() >= MIN_SECRET_KEY_BYTES && is_varied(text) {
        return Ok(());
    }
    Err(format!("at least {MIN_SECRET_KEY_BYTES} random bytes, such as `openssl rand -hex 32` gives"))
}

pub(super) fn password(text: &str) -> Parsed<()> {
    if text.chars().count() >= MIN_PASSWORD_CHARS && is_varied(text) {
        return Ok(());
    }
    Err(format!("at least {MIN_PASSWORD_CHARS} characters, {MIN_DIFFERENT_CHARS} of them different"))
}

fn is_varied(text: &str) -> bool {
    text.chars().collect::<BTreeSet<_>>().len() >= MIN_DIFFERENT_CHARS
}

/// Enough to catch a slip of the pen; whether mail arrives there is not ours to know.
pub(super) fn email(text: &str) -> Parsed<String> {
    let plain =
        text.len() <= MAX_EMAIL_CHARS && !text.contains(|c: char| c.is_whitespace() || c.is_control());
    match text.split_once('@') {
        Some((local, host)) if plain && !local.is_empty() && !host.is_empty() && !host.contains('@') => {
            Ok(text.to_owned())
        }
        _ => Err("an e-mail address, such as admin@example.com".to_owned()),
    }
}

/// A key travels in a header, which takes visible ASCII only.
pub(super) fn header_value(text: &str) -> Parsed<()> {
    match text.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(()),
        false => Err("visible ASCII characters without spaces".to_owned()),
    }
}

pub(super) fn permission_mode(text: &str) -> Parsed<String> {
    match PERMISSION_MODES.contains(&text) {
        true => Ok(text.to_owned()),
        false => Err(format!("one of {}", PERMISSION_MODES.join(", "))),
    }
}

/// `sqlite:FILE` or `sqlite://FILE`, the path percent-encoded and without options, which are ours to choose; or where
/// a PostgreSQL is, in its own words.
pub(super) fn database_url(text: &str) -> Parsed<String> {
    if text.starts_with("postgres://") || text.starts_with("postgresql://") {
        return match Url::parse(text) {
            Ok(url) if url.path().len() > 1 => Ok(text.to_owned()),
            _ => Err("postgres://user:password@host:port/database".to_owned()),
        };
    }
    let file = text.strip_prefix("sqlite:").map(|rest| rest.strip_prefix("//").unwrap_or(rest));
    match file {
        // A colon begins a memory database, of which every connection would see one of its own.
        Some(file) if !file.is_empty() && !file.contains([':', '?', '#']) => Ok(format!("sqlite://{file}")),
        _ => Err("sqlite:// and the path of a file, without options, or postgres:// and so on".to_owned()),
    }
}

/// The URL of a file, whatever characters its path has.
pub(super) fn sqlite_url_of(file: &Path) -> String {
    let path = file.to_string_lossy();
    let escaped = path.replace('%', "%25").replace('?', "%3F").replace('#', "%23");
    format!("sqlite://{escaped}")
}

/// As S3 has them: 3 to 63 of lower-case letters, digits, dots and hyphens.
pub(super) fn bucket(text: &str) -> Parsed<String> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-');
    match (3..=63).contains(&text.len()) && text.chars().all(is_plain) {
        true => Ok(text.to_owned()),
        false => Err("the name of a bucket: 3 to 63 lower-case letters, digits, dots and hyphens".to_owned()),
    }
}

/// What the names of objects begin with, such as `archives/`; a single slash is none at all.
pub(super) fn object_prefix(text: &str) -> Parsed<String> {
    let parts: Vec<&str> = text.trim_matches('/').split('/').filter(|part| !part.is_empty()).collect();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    match parts.iter().all(|part| part.chars().all(is_plain) && !matches!(*part, "." | "..")) {
        true => Ok(parts.iter().map(|part| format!("{part}/")).collect()),
        false => {
            Err("folders such as archives/, of letters, digits, dots, hyphens and underscores".to_owned())
        }
    }
}

/// A base URL to append paths to, without the slash at its end.
pub(super) fn http_url(text: &str) -> Parsed<String> {
    let url = Url::parse(text)
        .ok()
        .filter(|url| is_http(url) && is_anonymous(url) && url.query().is_none() && url.fragment().is_none());
    match url {
        Some(url) => Ok(url.as_str().trim_end_matches('/').to_owned()),
        None => Err("an http:// or https:// URL without user, query and fragment".to_owned()),
    }
}

/// A URL that messages are sent to as it stands.
pub(super) fn endpoint_url(text: &str) -> Parsed<String> {
    match Url::parse(text) {
        Ok(url) if is_http(&url) && is_anonymous(&url) && url.fragment().is_none() => Ok(url.into()),
        _ => Err("an http:// or https:// URL without user and fragment".to_owned()),
    }
}

pub(super) fn cors_origins(text: &str, environment: Option<Environment>) -> Parsed<CorsOrigins> {
    let parts = list(text);
    if parts.contains(&"*") {
        return match (parts.len(), environment) {
            (1, Some(Environment::Development) | None) => Ok(CorsOrigins::Any),
            (1, Some(Environment::Production)) => {
                Err("name the origins: * is not allowed in production".to_owned())
            }
            _ => Err("either * alone or a list of origins".to_owned()),
        };
    }
    let origins: Option<Vec<String>> = parts.into_iter().map(origin).collect();
    origins.map(CorsOrigins::These).ok_or_else(|| {
        "origins such as https://app.example.com, without a path, with commas between".to_owned()
    })
}

/// The origin as a browser writes it: lower case, no standard port, no slash at the end.
fn origin(text: &str) -> Option<String> {
    let url = Url::parse(text).ok().filter(|url| is_http(url) && is_anonymous(url))?;
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    bare.then(|| url.origin().ascii_serialization())
}

fn is_http(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https") && url.has_host()
}

fn is_anonymous(url: &Url) -> bool {
    url.username().is_empty() && url.password().is_none()
}
