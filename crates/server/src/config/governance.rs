//! What agents may do: the settings of the built-in policies.

use permissions::{CommandPattern, HostPattern, RestrictedPath};

use super::{parse::list, reader::Reader};

/// Switches a list off: an empty value would mean its default.
const NONE: &str = "none";

/// Lists that the built-in policies go by.
#[derive(Debug, Clone)]
pub struct GovernanceConfig {
    pub blocked_commands: Vec<CommandPattern>,
    pub restricted_paths: Vec<RestrictedPath>,
    /// If there are any, agents talk to no others.
    pub allowed_hosts: Vec<HostPattern>,
    pub blocked_hosts: Vec<HostPattern>,
}

impl GovernanceConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let commands =
            reader.value("DEFAULT_BLOCKED_COMMANDS", "rm -rf, sudo rm, format, mkfs, dd", |text| {
                if text == NONE {
                    return Ok(Vec::new());
                }
                CommandPattern::list(text).map_err(|error| error.to_string())
            });
        let paths = reader.value(
            "DEFAULT_RESTRICTED_PATHS",
            "/etc/passwd, /etc/shadow, ~/.ssh, ~/.aws/credentials",
            |text| if text == NONE { Ok(Vec::new()) } else { each(text) },
        );
        let allowed = reader.option("ALLOWED_HOSTS", each);
        let blocked = reader.option("BLOCKED_HOSTS", each);
        Some(Self {
            blocked_commands: commands?,
            restricted_paths: paths?,
            allowed_hosts: allowed?.unwrap_or_default(),
            blocked_hosts: blocked?.unwrap_or_default(),
        })
    }
}

/// Every part between commas; the error says what would be one.
fn each<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<Vec<T>, String> {
    list(text).into_iter().map(|part| part.parse().map_err(|error: T::Err| error.to_string())).collect()
}
