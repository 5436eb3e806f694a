//! The settings that there are: what the files in `deploy/` set must be among them.

use server::config::Config;

/// Whether the server knows a setting of this name.
pub fn is_setting(name: &str) -> bool {
    Config::settings().iter().any(|setting| setting.name == name)
}

/// Whether it is one whose value must not be in a file that others read.
pub fn is_secret(name: &str) -> bool {
    Config::settings().iter().any(|setting| setting.name == name && setting.secret)
}

/// What it is when nobody sets it.
pub fn default(name: &str) -> &'static str {
    let all = Config::settings();
    let setting = all.iter().find(|setting| setting.name == name);
    setting.and_then(|setting| setting.default).unwrap_or_else(|| panic!("{name} has no default"))
}
