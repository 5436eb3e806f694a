//! Options that decide how tool calls are permitted.

use crate::open::open_enum;

open_enum! {
    /// How tool calls are permitted that no rule decides.
    PermissionMode {
        /// What may do harm is asked about.
        Default = "default",
        /// Edits of files are allowed.
        AcceptEdits = "acceptEdits",
        /// Nothing is changed until a plan is approved.
        Plan = "plan",
        /// What would be asked about is denied.
        DontAsk = "dontAsk",
        /// A classifier decides, and asks when it cannot.
        Auto = "auto",
        /// Everything is allowed. As root this needs `IS_SANDBOX=1` in the agent's environment.
        BypassPermissions = "bypassPermissions",
    }
}

/// Who answers when the agent wants to ask for permission.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum PermissionPrompts {
    /// The gate; without one every question is answered with a no that says so.
    #[default]
    Host,
    /// Nobody: rules, mode and hooks decide, and the agent denies the rest by itself.
    Nobody,
}

open_enum! {
    /// A settings file the agent reads.
    SettingSource {
        /// The user's own.
        User = "user",
        /// The project's, with CLAUDE.md files.
        Project = "project",
        /// The project's, for this user only.
        Local = "local",
    }
}

/// How the agent writes previews of `AskUserQuestion` options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum QuestionPreview {
    /// For a terminal.
    Markdown,
    /// Self-contained fragments.
    Html,
}

impl QuestionPreview {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Markdown => "markdown",
            Self::Html => "html",
        }
    }
}

/// Which settings files count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SettingSources {
    /// None: what lies in the working directory or at home changes nothing.
    #[default]
    None,
    /// Those the CLI reads when it is not told: all. Settings of a project can run commands.
    CliDefault,
    /// These.
    Only(Vec<SettingSource>),
}

impl From<Vec<SettingSource>> for SettingSources {
    fn from(sources: Vec<SettingSource>) -> Self {
        if sources.is_empty() { Self::None } else { Self::Only(sources) }
    }
}
