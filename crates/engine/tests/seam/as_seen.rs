//! Hooks and MCP servers that somebody else changes between the look by which a change is judged and the change.

use crate::world::{World, between::Between, caller};
use domain::{
    Caller, Clock as _, EntityTag, Expected, HookEndpoint, HookEndpointKind, McpServer, McpTransport, Origin,
    Role, Scope,
    hook::HookEndpointPatch,
    mcp::McpServerPatch,
    ports::{HookEndpoints as _, McpServers as _, StoreError},
};
use engine::{Error, HookDraft, McpRegistry, McpServerChange, McpServerDraft, SecretChange, SessionManager};
use jiff::{SignedDuration, Timestamp};
use mcp::Recipe;
use sdk_runtime::testing::ScriptedLauncher;
use secrecy::{ExposeSecret as _, SecretString};
use std::{collections::BTreeMap, sync::Arc};

struct Scene {
    world: World,
    between: Between,
    manager: SessionManager,
    registry: McpRegistry,
    member: Caller,
    admin: Caller,
}

fn scene() -> Scene {
    let world = World::new(ScriptedLauncher::new());
    let between = Between::around(world.store.clone());
    let manager = world.manager_on(|stores| {
        stores.hooks = Arc::new(between.clone());
        stores.mcp_servers = Arc::new(between.clone());
    });
    let registry = McpRegistry::new(manager.clone());
    let (member, admin) = (world.caller.clone(), Caller { role: Role::Admin, ..caller() });
    Scene { world, between, manager, registry, member, admin }
}

impl Scene {
    /// Later than anything there is.
    fn later(&self) -> Timestamp {
        self.world.clock.now() + SignedDuration::from_secs(1)
    }

    async fn hook(&self, name: &str) -> HookEndpoint {
        let draft = HookDraft {
            name: name.to_owned(),
            url: "https://hooks.example.com/theirs".to_owned(),
            kind: HookEndpointKind::Notification,
            event_types: vec!["Stop".to_owned()],
            tool_matcher: None,
            timeout_ms: 1000,
            order: 0,
            fail_mode: None,
            is_enabled: true,
            is_global: false,
        };
        self.manager.create_hook(&self.member, draft).await.unwrap().0
    }

    /// After the next look the hook becomes this.
    fn hook_becomes(&self, hook: &HookEndpoint, patch: HookEndpointPatch) {
        let (store, id, at) = (self.world.store.clone(), hook.id, self.later());
        self.between.after_the_next_look(async move {
            let by = Origin::system();
            store.patch_endpoint(Scope::All, id, &patch, &Expected::ANY, at, &by).await.unwrap().unwrap();
        });
    }

    async fn hook_now(&self, hook: &HookEndpoint) -> HookEndpoint {
        self.world.store.endpoint(Scope::All, hook.id).await.unwrap().unwrap()
    }

    async fn server(&self, name: &str) -> McpServer {
        let secret = SecretString::from("revoked-long-ago");
        let recipe = Recipe {
            transport: McpTransport::Stdio,
            command: Some("theirs".to_owned()),
            args: vec![],
            env: [("TOKEN".to_owned(), secret)].into(),
            url: None,
            headers: BTreeMap::new(),
        };
        let draft = McpServerDraft {
            name: name.to_owned(),
            description: None,
            recipe,
            is_enabled: true,
            is_global: false,
        };
        self.registry.create(&self.member, draft).await.unwrap()
    }

    /// After the next look the server becomes this.
    fn server_becomes(&self, server: &McpServer, patch: McpServerPatch) {
        let (store, id, at) = (self.world.store.clone(), server.id, self.later());
        self.between.after_the_next_look(async move {
            let by = Origin::system();
            store.patch_mcp_server(Scope::All, id, &patch, &Expected::ANY, at, &by).await.unwrap().unwrap();
        });
    }

    async fn server_now(&self, server: &McpServer) -> McpServer {
        self.world.store.mcp_server(Scope::All, server.id).await.unwrap().unwrap()
    }
}

fn forbidden<T: std::fmt::Debug>(done: engine::Result<T>) {
    assert!(matches!(done, Err(Error::Forbidden(_))), "{done:?}");
}

#[tokio::test]
async fn a_hook_that_becomes_everybodys_meanwhile_is_not_its_owners_to_change() {
    let scene = scene();
    let lifted = HookEndpointPatch { is_global: Some(true), ..HookEndpointPatch::default() };
    let elsewhere = HookEndpointPatch {
        url: Some("https://hooks.example.com/elsewhere".to_owned()),
        ..HookEndpointPatch::default()
    };
    let (member, any) = (&scene.member, Expected::ANY);

    let hook = scene.hook("patched").await;
    scene.hook_becomes(&hook, lifted.clone());
    forbidden(scene.manager.patch_hook(member, hook.id, elsewhere.clone(), &any).await);
    let global = HookEndpoint { is_global: true, updated_at: scene.later(), ..hook.clone() };
    assert_eq!(scene.hook_now(&hook).await, global);
    // Whoever may, changes it as it is by then.
    let changed = scene.manager.patch_hook(&scene.admin, hook.id, elsewhere, &any).await.unwrap();
    assert!(changed.is_global && changed.url.ends_with("elsewhere"), "{changed:?}");

    for is_rotated in [true, false] {
        let hook = scene.hook(if is_rotated { "rotated" } else { "deleted" }).await;
        scene.hook_becomes(&hook, lifted.clone());
        match is_rotated {
            true => forbidden(scene.manager.rotate_hook_secret(member, hook.id).await.map(drop)),
            false => forbidden(scene.manager.delete_hook(member, hook.id, &any).await),
        }
        let global = HookEndpoint { is_global: true, updated_at: scene.later(), ..hook.clone() };
        assert_eq!(scene.hook_now(&hook).await, global);
    }
}

#[tokio::test]
async fn a_hook_that_changes_meanwhile_is_changed_as_it_is_then_unless_a_state_was_named() {
    let scene = scene();
    let hook = scene.hook("guard").await;
    let off = HookEndpointPatch { is_enabled: Some(false), ..HookEndpointPatch::default() };
    let second = HookEndpointPatch { order: Some(2), ..HookEndpointPatch::default() };
    scene.hook_becomes(&hook, off);
    let changed = scene.manager.patch_hook(&scene.member, hook.id, second.clone(), &Expected::ANY).await;
    let changed = changed.unwrap();
    assert_eq!((changed.is_enabled, changed.order), (false, 2));

    let seen = Expected::one_of(vec![EntityTag::of(&changed)]);
    let third = HookEndpointPatch { order: Some(3), ..HookEndpointPatch::default() };
    scene.hook_becomes(&hook, third);
    let refused = scene.manager.patch_hook(&scene.member, hook.id, second, &seen).await;
    assert!(matches!(refused, Err(Error::Store(StoreError::Changed))), "{refused:?}");
    assert_eq!(scene.hook_now(&hook).await.order, 3);
}

#[tokio::test]
async fn an_mcp_server_that_becomes_everybodys_meanwhile_is_not_its_owners_to_change() {
    let scene = scene();
    let lifted = McpServerPatch { is_global: Some(true), ..McpServerPatch::default() };
    let change = McpServerChange { command: Some(Some("mine".to_owned())), ..McpServerChange::default() };
    for is_patched in [true, false] {
        let server = scene.server(if is_patched { "patched" } else { "deleted" }).await;
        scene.server_becomes(&server, lifted.clone());
        match is_patched {
            true => forbidden(scene.registry.patch(&scene.member, server.id, change.clone()).await),
            false => forbidden(scene.registry.delete(&scene.member, server.id).await),
        }
        let global = McpServer { is_global: true, updated_at: scene.later(), ..server.clone() };
        assert_eq!(scene.server_now(&server).await, global);
    }
}

#[tokio::test]
async fn a_secret_that_is_kept_is_the_one_there_is_and_none_that_was_replaced_meanwhile() {
    let scene = scene();
    let server = scene.server("files").await;
    let keys = &scene.world.settings.mcp.keyring;
    let fresh = Recipe {
        env: [("TOKEN".to_owned(), SecretString::from("fresh"))].into(),
        ..Recipe::open(&server, keys).unwrap()
    };
    let (env, _) = fresh.seal(server.id, keys).unwrap();
    scene.server_becomes(&server, McpServerPatch { env: Some(env), ..McpServerPatch::default() });
    let wanted = [
        ("TOKEN".to_owned(), SecretChange::Keep),
        ("OTHER".to_owned(), SecretChange::Set(SecretString::from("new"))),
    ];
    let change = McpServerChange { env: Some(wanted.into()), ..McpServerChange::default() };
    let patched = scene.registry.patch(&scene.member, server.id, change).await.unwrap();
    let opened = Recipe::open(&patched, keys).unwrap();
    assert_eq!(opened.env["TOKEN"].expose_secret(), "fresh");
    assert_eq!(opened.env["OTHER"].expose_secret(), "new");
}
