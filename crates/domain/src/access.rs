//! How far a credential reaches, whatever its owner may do: which areas of the API, for reading or for writing.

use std::{fmt, str::FromStr};

/// A part of the API that a credential may be limited to. Its word is how the part's addresses begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Area {
    /// The caller's own account, logins and API keys.
    Auth,
    Sessions,
    /// What people are asked and answer, wherever its address is.
    Approvals,
    Tasks,
    SessionTemplates,
    Reports,
    McpServers,
    Policies,
    Hooks,
    Monitoring,
    Admin,
}

impl Area {
    /// Every area.
    pub const ALL: [Self; 11] = [
        Self::Auth,
        Self::Sessions,
        Self::Approvals,
        Self::Tasks,
        Self::SessionTemplates,
        Self::Reports,
        Self::McpServers,
        Self::Policies,
        Self::Hooks,
        Self::Monitoring,
        Self::Admin,
    ];

    /// The word for it in scopes.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Sessions => "sessions",
            Self::Approvals => "approvals",
            Self::Tasks => "tasks",
            Self::SessionTemplates => "session-templates",
            Self::Reports => "reports",
            Self::McpServers => "mcp-servers",
            Self::Policies => "policies",
            Self::Hooks => "hooks",
            Self::Monitoring => "monitoring",
            Self::Admin => "admin",
        }
    }

    /// The area of that word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|area| area.as_str() == word)
    }

    fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// What is done in an area.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    Read,
    /// Includes reading.
    Write,
}

/// What a credential reaches: a set of scopes such as `sessions:write`. Writing includes reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    read: u16,
    write: u16,
}

/// The text is no scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "is no scope: use `read`, `write`, or an area with `:read`, `:write` or `:*`, such as `sessions:read`"
)]
pub struct UnknownScope;

const EVERY: u16 = (1 << Area::ALL.len()) - 1;

impl Access {
    /// Nothing.
    pub const NONE: Self = Self { read: 0, write: 0 };
    /// Everything, to be read.
    pub const READ: Self = Self { read: EVERY, write: 0 };
    /// Everything.
    pub const WRITE: Self = Self { read: EVERY, write: EVERY };

    /// Reading, or reading and writing, in one area.
    #[must_use]
    pub fn to(area: Area, reach: Reach) -> Self {
        let write = if reach == Reach::Write { area.bit() } else { 0 };
        Self { read: area.bit(), write }
    }

    /// What either reaches.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { read: self.read | other.read, write: self.write | other.write }
    }

    /// Without any writing.
    #[must_use]
    pub fn reading(self) -> Self {
        Self { write: 0, ..self }
    }

    /// Whether it reaches this.
    #[must_use]
    pub fn allows(self, area: Area, reach: Reach) -> bool {
        self.covers(Self::to(area, reach))
    }

    /// Whether it reaches all that the other one does.
    #[must_use]
    pub fn covers(self, other: Self) -> bool {
        other.read & !self.read == 0 && other.write & !self.write == 0
    }

    /// Whether it writes nothing anywhere.
    #[must_use]
    pub fn only_reads(self) -> bool {
        self.write == 0
    }

    /// The fewest scopes that say the same.
    #[must_use]
    pub fn scopes(self) -> Vec<String> {
        if self == Self::WRITE {
            return vec!["write".to_owned()];
        }
        let reads_all = self.read == EVERY;
        let of = |area: Area| {
            let word = area.as_str();
            if self.write & area.bit() != 0 {
                Some(format!("{word}:write"))
            } else if self.read & area.bit() != 0 && !reads_all {
                Some(format!("{word}:read"))
            } else {
                None
            }
        };
        let all = reads_all.then(|| "read".to_owned());
        all.into_iter().chain(Area::ALL.into_iter().filter_map(of)).collect()
    }

    /// What these scopes, between spaces, reach together.
    #[must_use]
    pub fn parse(scopes: &str) -> Option<Self> {
        let scopes = scopes.split(' ').map(Self::from_str).collect::<Result<Vec<_>, _>>().ok()?;
        Some(scopes.into_iter().fold(Self::NONE, Self::and))
    }
}

impl FromStr for Access {
    type Err = UnknownScope;

    /// Of one scope.
    fn from_str(scope: &str) -> Result<Self, UnknownScope> {
        match scope {
            "read" => return Ok(Self::READ),
            "write" | "*" => return Ok(Self::WRITE),
            _ => {}
        }
        let (area, reach) = scope.split_once(':').ok_or(UnknownScope)?;
        let area = Area::parse(area).ok_or(UnknownScope)?;
        match reach {
            "read" => Ok(Self::to(area, Reach::Read)),
            "write" | "*" => Ok(Self::to(area, Reach::Write)),
            _ => Err(UnknownScope),
        }
    }
}

impl fmt::Display for Access {
    /// Its scopes between spaces, as [`Access::parse`] reads them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.scopes().join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_come_back_in_the_fewest_words() {
        let table = [
            ("write", vec!["write"]),
            ("read write", vec!["write"]),
            ("read", vec!["read"]),
            ("sessions:* sessions:read", vec!["sessions:write"]),
            ("admin:read mcp-servers:write", vec!["mcp-servers:write", "admin:read"]),
            ("read tasks:write", vec!["read", "tasks:write"]),
        ];
        for (text, words) in table {
            let access = Access::parse(text).unwrap();
            assert_eq!(access.scopes(), words, "{text}");
            assert_eq!(Access::parse(&access.to_string()), Some(access), "{text}");
        }
        for text in ["", "sessions", "sessions:", "sessions:delete", "nothing:read", "read  write", "Read"] {
            assert_eq!(Access::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_scope_reaches_its_area_and_no_other() {
        let access = Access::parse("sessions:read tasks:write").unwrap();
        assert!(access.allows(Area::Sessions, Reach::Read) && access.allows(Area::Tasks, Reach::Read));
        assert!(access.allows(Area::Tasks, Reach::Write));
        assert!(!access.allows(Area::Sessions, Reach::Write) && !access.allows(Area::Admin, Reach::Read));
        assert!(Access::WRITE.covers(access) && !access.covers(Access::READ) && !access.only_reads());
        assert!(access.reading().only_reads() && access.covers(access.reading()));
        for area in Area::ALL {
            assert!(Access::WRITE.allows(area, Reach::Write) && !Access::READ.allows(area, Reach::Write));
        }
    }
}
