//! The network policy: which hosts a tool call may name.
//!
//! It knows names, not where they lead: a name that resolves to a private address is the sandbox's network to stop.

mod hosts;
mod names;

pub use hosts::{HostPattern, NotAHost};

use crate::{CannotJudge, Policy, Surroundings, ToolCall, paths::command_line, shell};
use async_trait::async_trait;
use domain::{Opinion, Verdict};
use hosts::{Kind, NamedHost};
use names::Named;

const NAME: &str = "network";

/// What the network policy goes by.
#[derive(Debug, Clone, Default)]
pub struct NetworkSettings {
    /// If there are any, only these are talked to. They are also what lifts the rules about private addresses.
    pub allowed: Vec<HostPattern>,
    /// Never talked to.
    pub blocked: Vec<HostPattern>,
}

/// Judges the hosts that a tool call names.
#[derive(Debug, Clone)]
pub struct NetworkPolicy(NetworkSettings);

impl NetworkPolicy {
    /// By these settings.
    #[must_use]
    pub fn new(settings: NetworkSettings) -> Self {
        Self(settings)
    }

    fn of(&self, named: &Named) -> Opinion {
        let opinion = |verdict, rule: String, reason| Opinion::new(verdict, NAME, rule, reason);
        let host = match named {
            Named::Host(host) => host,
            Named::Unknown(written) if !self.0.allowed.is_empty() => {
                let reason = format!("which host {written} leads to cannot be known before it runs");
                return opinion(Verdict::Ask, "unknown host".to_owned(), reason);
            }
            Named::Unknown(_) => return Opinion::abstain(NAME),
        };
        let among = |list: &[HostPattern]| {
            list.iter().find(|pattern| pattern.matches(host)).map(HostPattern::to_string)
        };
        if let Some(rule) = among(&self.0.blocked) {
            return opinion(Verdict::Deny, rule, format!("{host} is a blocked host"));
        }
        if among(&self.0.allowed).is_some() {
            return Opinion::abstain(NAME);
        }
        self.by_kind(host)
    }

    /// What holds of a host that no list names.
    fn by_kind(&self, host: &NamedHost) -> Opinion {
        let opinion = |verdict, rule: &str, reason| Opinion::new(verdict, NAME, rule, reason);
        match host.kind() {
            Kind::LinkLocal => {
                let reason = format!("{host} is where this machine's own credentials are told");
                opinion(Verdict::Deny, "link-local", reason)
            }
            Kind::Multicast => opinion(Verdict::Deny, "multicast", format!("{host} is no single machine")),
            _ if !self.0.allowed.is_empty() => {
                opinion(Verdict::Deny, "not allowed", format!("{host} is not among the allowed hosts"))
            }
            Kind::Private => {
                opinion(Verdict::Ask, "private", format!("{host} is inside the network of this server"))
            }
            // What an agent starts it also tries out.
            Kind::Loopback | Kind::Public => Opinion::abstain(NAME),
        }
    }
}

#[async_trait]
impl Policy for NetworkPolicy {
    fn name(&self) -> &str {
        NAME
    }

    async fn judge(&self, call: &ToolCall, _: &Surroundings) -> Result<Opinion, CannotJudge> {
        let named = match (command_line(call), call.tool_name.as_str()) {
            (Some(line), _) => {
                let analysis = shell::analyse(line)
                    .map_err(|error| CannotJudge(format!("the command line cannot be judged: {error}")))?;
                names::of_line(&analysis)
            }
            (None, "WebFetch") => match call.input["url"].as_str() {
                Some(url) => vec![names::of_address(url)],
                None => return Err(CannotJudge("WebFetch names no url".to_owned())),
            },
            // They say what is to be written or done, and open nothing by themselves.
            (
                None,
                "Write" | "Edit" | "MultiEdit" | "NotebookEdit" | "Read" | "Glob" | "Grep" | "Agent" | "Task",
            ) => {
                vec![]
            }
            (None, _) => names::of_input(&call.input),
        };
        Ok(named.iter().fold(Opinion::abstain(NAME), |opinion, named| opinion.or(self.of(named))))
    }
}
