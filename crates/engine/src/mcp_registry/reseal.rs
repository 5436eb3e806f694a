//! Another key for secrets at rest: what was sealed with one before it is sealed anew.

use domain::{
    McpServer, Origin,
    hook::SealedSecret,
    ports::{McpServers, StoreResult},
};
use jiff::Timestamp;
use mcp::{Keyring, Recipe};

/// Servers that are read at a time.
const BATCH: u32 = 100;

/// What a look at all secrets came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resealed {
    /// Servers whose secrets are sealed with the newest key.
    pub current: u64,
    /// Those that were sealed anew, or would be.
    pub resealed: u64,
    /// Those that cannot be opened, by name and with the reason. They stay as they are.
    pub unreadable: Vec<String>,
}

/// Looks at the secrets of all servers, and seals anew what was sealed with another key than the newest, if `at` is
/// given. Servers that change meanwhile are sealed anew by whoever changes them.
pub async fn reseal(store: &dyn McpServers, keys: &Keyring, at: Option<Timestamp>) -> StoreResult<Resealed> {
    let mut outcome = Resealed::default();
    let mut after = None;
    loop {
        let batch = store.mcp_servers_after(after, BATCH).await?;
        let Some(last) = batch.last() else { return Ok(outcome) };
        after = Some(last.id);
        for server in batch {
            if !secrets(&server).any(|sealed| keys.is_outdated(sealed)) {
                outcome.current += 1;
                continue;
            }
            let opened = Recipe::open(&server, keys);
            let sealed = opened
                .map_err(|lost| lost.to_string())
                .and_then(|recipe| recipe.seal(server.id, keys).map_err(|error| error.to_string()));
            match sealed {
                Err(why) => {
                    outcome.unreadable.push(format!("{} ({}): could not {why}", server.name, server.id))
                }
                Ok((env, headers)) => {
                    let sealed = McpServer { env, headers, ..server };
                    if let Some(at) = at {
                        store.reseal_mcp_server(&sealed, at, &Origin::system()).await?;
                    }
                    outcome.resealed += 1;
                }
            }
        }
    }
}

fn secrets(server: &McpServer) -> impl Iterator<Item = &SealedSecret> {
    server.env.values().chain(server.headers.values())
}
