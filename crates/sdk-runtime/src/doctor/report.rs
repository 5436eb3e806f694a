//! The report: findings in the order they were made, and how they read.

use std::fmt;

/// What was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Check {
    /// Is there a CLI?
    Cli,
    /// Can it be run?
    Runs,
    /// Is it new enough?
    Version,
    /// Is there a working directory?
    Cwd,
    /// Is there a configuration directory, and can it be written?
    ConfigDir,
    /// Is there room for transcripts?
    DiskSpace,
    /// Are permissions bypassed as root?
    Root,
    /// May enough files be open?
    OpenFiles,
    /// Are there programs the agent likes to use?
    Programs,
    /// Can it be put in a jail?
    Jail,
    /// May users have namespaces of their own?
    UserNamespaces,
    /// Does an agent start?
    Handshake,
    /// Does a hook that fails stop its tool?
    Hooks,
    /// Are there credentials for the model?
    Credentials,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Severity {
    /// As it should be.
    Ok,
    /// Worth knowing.
    Note,
    /// It works, and may not for long or not as wanted.
    Warning,
    /// It does not work.
    Error,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    check: Check,
    severity: Severity,
    what: String,
    advice: Option<String>,
}

/// Everything that was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    findings: Vec<Finding>,
}

impl Finding {
    pub(super) fn new(check: Check, severity: Severity, what: String, advice: &str) -> Self {
        Self { check, severity, what, advice: Some(advice.to_owned()) }
    }

    pub(super) fn ok(check: Check, what: String) -> Self {
        Self { check, severity: Severity::Ok, what, advice: None }
    }

    /// What was looked at.
    pub fn check(&self) -> Check {
        self.check
    }

    /// How bad it is.
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// What there is and what it means.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// What to do about it; `None` where there is nothing to do.
    pub fn advice(&self) -> Option<&str> {
        self.advice.as_deref()
    }

    /// Whether there is no point in starting an agent to learn more.
    pub(super) fn keeps_agents_from_starting(&self) -> bool {
        let is_needed = matches!(
            self.check,
            Check::Cli
                | Check::Runs
                | Check::Version
                | Check::Cwd
                | Check::ConfigDir
                | Check::Root
                | Check::Jail
        );
        is_needed && self.severity == Severity::Error
    }
}

impl Report {
    /// All findings, in the order they were made.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// What a check found.
    pub fn of(&self, check: Check) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(move |finding| finding.check == check)
    }

    /// The worst there is.
    pub fn worst(&self) -> Severity {
        self.findings.iter().map(|finding| finding.severity).max().unwrap_or(Severity::Ok)
    }

    /// Whether agents will work.
    pub fn is_healthy(&self) -> bool {
        self.worst() < Severity::Error
    }

    pub(super) fn extend(&mut self, findings: Vec<Finding>) {
        self.findings.extend(findings);
    }

    pub(super) fn ok(&mut self, check: Check, what: String) {
        self.findings.push(Finding::ok(check, what));
    }

    pub(super) fn note(&mut self, check: Check, what: String, advice: &str) {
        self.findings.push(Finding::new(check, Severity::Note, what, advice));
    }

    pub(super) fn error(&mut self, check: Check, what: String, advice: &str) {
        self.findings.push(Finding::new(check, Severity::Error, what, advice));
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

impl fmt::Display for Report {
    /// A line per finding, and below it what to do.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Finding { severity, what, advice, .. }) in self.findings.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{severity:<8} {what}")?;
            if let Some(advice) = advice {
                write!(f, "\n         → {advice}")?;
            }
        }
        Ok(())
    }
}
