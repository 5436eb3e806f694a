//! Servers that many people use, ready to be registered: what they are started by or where they are, and which secrets
//! they want. Each says where that was read.

use domain::McpTransport;

/// One of them. `${NAME}` stands for a secret, as in what is registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Template {
    pub id: &'static str,
    pub description: &'static str,
    pub transport: McpTransport,
    pub command: Option<&'static str>,
    pub args: &'static [&'static str],
    pub url: Option<&'static str>,
    pub headers: &'static [(&'static str, &'static str)],
    pub secrets: &'static [Secret],
    /// The documentation that this was taken from.
    pub source: &'static str,
}

/// What has to be given for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Secret {
    pub name: &'static str,
    pub description: &'static str,
}

const fn process(
    id: &'static str,
    description: &'static str,
    (command, args): (&'static str, &'static [&'static str]),
    secrets: &'static [Secret],
    source: &'static str,
) -> Template {
    Template {
        id,
        description,
        transport: McpTransport::Stdio,
        command: Some(command),
        args,
        url: None,
        headers: &[],
        secrets,
        source,
    }
}

const fn remote(
    id: &'static str,
    description: &'static str,
    (url, headers): (&'static str, &'static [(&'static str, &'static str)]),
    secrets: &'static [Secret],
    source: &'static str,
) -> Template {
    Template {
        id,
        description,
        transport: McpTransport::Http,
        command: None,
        args: &[],
        url: Some(url),
        headers,
        secrets,
        source,
    }
}

const fn secret(name: &'static str, description: &'static str) -> Secret {
    Secret { name, description }
}

/// All of them, in the order of their ids.
pub const TEMPLATES: &[Template] = &[
    process(
        "brave-search",
        "Searches the web with Brave.",
        ("npx", &["-y", "@brave/brave-search-mcp-server", "--transport", "stdio"]),
        &[secret("BRAVE_API_KEY", "A key of the Brave Search API.")],
        "https://github.com/brave/brave-search-mcp-server",
    ),
    remote(
        "context7",
        "Documentation of libraries, as of their current versions.",
        ("https://mcp.context7.com/mcp", &[("context7_api_key", "${CONTEXT7_API_KEY}")]),
        &[secret("CONTEXT7_API_KEY", "A key of Context7.")],
        "https://github.com/upstash/context7",
    ),
    process(
        "everything",
        "Has one of each thing that the protocol knows; for trying out clients.",
        ("npx", &["-y", "@modelcontextprotocol/server-everything"]),
        &[],
        "https://github.com/modelcontextprotocol/servers/tree/main/src/everything",
    ),
    process(
        "fetch",
        "Reads web pages as Markdown.",
        ("uvx", &["mcp-server-fetch"]),
        &[],
        "https://github.com/modelcontextprotocol/servers/tree/main/src/fetch",
    ),
    process(
        "filesystem",
        "Reads and writes files below the folders that its arguments name.",
        ("npx", &["-y", "@modelcontextprotocol/server-filesystem", "."]),
        &[],
        "https://github.com/modelcontextprotocol/servers/tree/main/src/filesystem",
    ),
    process(
        "git",
        "Reads and changes a Git repository.",
        ("uvx", &["mcp-server-git"]),
        &[],
        "https://github.com/modelcontextprotocol/servers/tree/main/src/git",
    ),
    remote(
        "github",
        "Repositories, issues, pull requests and more on GitHub.",
        ("https://api.githubcopilot.com/mcp/", &[("authorization", "Bearer ${GITHUB_TOKEN}")]),
        &[secret("GITHUB_TOKEN", "A personal access token of GitHub.")],
        "https://github.com/github/github-mcp-server",
    ),
    process(
        "memory",
        "Keeps what it is told in a graph of knowledge.",
        ("npx", &["-y", "@modelcontextprotocol/server-memory"]),
        &[],
        "https://github.com/modelcontextprotocol/servers/tree/main/src/memory",
    ),
    process(
        "playwright",
        "Uses a browser.",
        ("npx", &["-y", "@playwright/mcp@latest", "--headless"]),
        &[],
        "https://github.com/microsoft/playwright-mcp",
    ),
    process(
        "postgres",
        "Reads a PostgreSQL database.",
        ("npx", &["-y", "@modelcontextprotocol/server-postgres", "${DATABASE_URL}"]),
        &[secret("DATABASE_URL", "postgresql://user:password@host:5432/database")],
        "https://github.com/modelcontextprotocol/servers-archived/tree/main/src/postgres",
    ),
    process(
        "sequential-thinking",
        "Thinks a problem through, step by step.",
        ("npx", &["-y", "@modelcontextprotocol/server-sequential-thinking"]),
        &[],
        "https://github.com/modelcontextprotocol/servers/tree/main/src/sequentialthinking",
    ),
    process(
        "slack",
        "Reads and writes messages in Slack.",
        ("npx", &["-y", "@modelcontextprotocol/server-slack"]),
        &[
            secret("SLACK_BOT_TOKEN", "The bot's token, which begins with xoxb-."),
            secret("SLACK_TEAM_ID", "The workspace's id, which begins with T."),
        ],
        "https://github.com/modelcontextprotocol/servers-archived/tree/main/src/slack",
    ),
    process(
        "time",
        "Tells the time, and converts it between time zones.",
        ("uvx", &["mcp-server-time"]),
        &[],
        "https://github.com/modelcontextprotocol/servers/tree/main/src/time",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Recipe;
    use hooks::webhook::Outbound;
    use secrecy::SecretString;

    #[test]
    fn each_can_be_registered_once_its_secrets_are_given() {
        let outbound = Outbound::new(false).unwrap();
        for template in TEMPLATES {
            let own = |text: &&str| (*text).to_owned();
            let headers = template.headers.iter();
            let recipe = Recipe {
                transport: template.transport,
                command: template.command.as_ref().map(own),
                args: template.args.iter().map(own).collect(),
                env: template.secrets.iter().map(|one| (own(&one.name), SecretString::from("s"))).collect(),
                url: template.url.as_ref().map(own),
                headers: headers.map(|(name, value)| (own(name), SecretString::from(*value))).collect(),
            };
            assert_eq!(recipe.faults(&outbound), [], "{}", template.id);
            assert!(template.source.starts_with("https://github.com/"), "{}", template.id);
        }
        assert!(TEMPLATES.is_sorted_by_key(|template| template.id), "in their order, and each once");
    }
}
