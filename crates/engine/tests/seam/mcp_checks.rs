//! Checks of MCP servers, whose processes make what they like in the folder they have.

use crate::world::World;
use domain::{McpCheckStatus, McpTransport};
use engine::{McpRecipe, McpRegistry, McpServerDraft};
use sdk_runtime::{Error, Invocation, Launcher, Transport, testing::ScriptedLauncher};
use std::{collections::BTreeMap, fs, io, path::PathBuf, sync::Arc};

/// Folders inside folders; a function that calls itself for each needs more stack than a thread has.
const FOLDERS: usize = 20_000;

/// Makes them, and answers nothing.
struct Deep;

#[async_trait::async_trait]
impl Launcher for Deep {
    async fn launch(&self, invocation: &Invocation) -> Result<Transport, Error> {
        // From the inside out: a path to the innermost would be too long.
        let (mut tree, spare) = (invocation.cwd.join("tree"), invocation.cwd.join("spare"));
        fs::create_dir(&tree).unwrap();
        for _ in 0..FOLDERS {
            fs::create_dir(&spare).unwrap();
            fs::rename(&tree, spare.join("d")).unwrap();
            fs::rename(&spare, &tree).unwrap();
        }
        tree.push("file");
        fs::write(tree, "x").unwrap();
        Err(Error::Spawn { program: PathBuf::from("deep"), source: Arc::new(io::ErrorKind::NotFound.into()) })
    }
}

#[tokio::test]
async fn a_check_leaves_nothing_however_deep_it_is() {
    let world = World::started_by(ScriptedLauncher::new(), Arc::new(Deep), |_| {});
    let registry = McpRegistry::new(world.manager.clone());
    let recipe = McpRecipe {
        transport: McpTransport::Stdio,
        command: Some("deep".to_owned()),
        args: vec![],
        env: BTreeMap::new(),
        url: None,
        headers: BTreeMap::new(),
    };
    let name = "deep".to_owned();
    let draft = McpServerDraft { name, description: None, recipe, is_enabled: true, is_global: false };
    let server = registry.create(&world.caller, draft).await.unwrap();
    let report = registry.check_health(&world.caller, server.id).await.unwrap();
    assert_eq!(report.check.status, McpCheckStatus::Unhealthy);
    assert_eq!(fs::read_dir(&world.settings.directories.temporary).unwrap().count(), 0);
}
