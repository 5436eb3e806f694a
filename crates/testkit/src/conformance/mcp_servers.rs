//! MCP servers that people have registered.

use super::{
    AnyStore, Fixture,
    audit::{log, origin, told},
};
use domain::{
    Expected, McpCheck, McpCheckStatus, McpServer, McpServerId, McpTransport, Origin, PageRequest, Scope,
    UserId, account::UserErased, audit::Fact, hook::SealedSecret, mcp::McpServerPatch, ports::StoreError,
};
use jiff::Timestamp;

/// More than any of these tests stores.
const MANY: u32 = 100;

pub async fn an_mcp_server_is_its_owners_or_everybodys<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let stranger = f.another_user("eve").await;
    let mine = mcp_server(f.user.id, "files", f.tick());
    let shared = McpServer { is_global: true, ..mcp_server(stranger.id, "search", f.tick()) };
    let hidden = mcp_server(stranger.id, "files", f.tick());
    for one in [&mine, &shared, &hidden] {
        f.store.create_mcp_server(one, MANY, &Origin::system()).await.unwrap();
    }

    let (own, all) = (Scope::Owner(f.user.id), PageRequest::first(10));
    assert_eq!(f.store.mcp_server(own, mine.id).await.unwrap(), Some(mine.clone()));
    assert_eq!(f.store.mcp_server(own, shared.id).await.unwrap(), Some(shared.clone()), "everybody's");
    assert_eq!(f.store.mcp_server(own, hidden.id).await.unwrap(), None);
    assert_eq!(f.store.mcp_server(Scope::All, hidden.id).await.unwrap(), Some(hidden.clone()));
    assert_eq!(f.store.mcp_servers(own, &all).await.unwrap().items, [shared.clone(), mine.clone()]);
    let first = f.store.mcp_servers(Scope::All, &PageRequest::first(2)).await.unwrap();
    assert_eq!(first.items, [hidden.clone(), shared.clone()], "newest first");
    let rest = PageRequest { limit: 2, cursor: first.next_cursor, skip: 0 };
    assert_eq!(f.store.mcp_servers(Scope::All, &rest).await.unwrap().items, std::slice::from_ref(&mine));
    assert_eq!(f.store.own_mcp_servers(stranger.id, 10).await.unwrap(), [hidden.clone(), shared.clone()]);

    // What is everybody's is not everybody's to change.
    let (patch, at) = (McpServerPatch { is_enabled: Some(false), ..McpServerPatch::default() }, f.tick());
    assert_eq!(
        f.store
            .patch_mcp_server(own, shared.id, &patch, &Expected::ANY, at, &Origin::system())
            .await
            .unwrap(),
        None
    );
    assert!(!f.store.delete_mcp_server(own, shared.id, &Expected::ANY, at, &Origin::system()).await.unwrap());
    let patched =
        f.store.patch_mcp_server(own, mine.id, &patch, &Expected::ANY, at, &Origin::system()).await.unwrap();
    assert_eq!(patched, Some(patch.apply(mine.clone(), at)));
    assert_eq!(f.store.mcp_server(own, mine.id).await.unwrap(), patched);
    assert!(f.store.delete_mcp_server(own, mine.id, &Expected::ANY, at, &Origin::system()).await.unwrap());
    assert!(!f.store.delete_mcp_server(own, mine.id, &Expected::ANY, at, &Origin::system()).await.unwrap());
    assert_eq!(f.store.mcp_server(Scope::All, mine.id).await.unwrap(), None);
}

pub async fn a_name_of_an_mcp_server_is_taken_once<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let stranger = f.another_user("eve").await;
    let make = async |server: &McpServer| f.store.create_mcp_server(server, MANY, &Origin::system()).await;
    let mine = mcp_server(f.user.id, "files", f.tick());
    make(&mine).await.unwrap();
    let again = make(&mcp_server(f.user.id, "files", f.tick())).await;
    assert!(matches!(again, Err(StoreError::Conflict { what: "an MCP server of this name" })), "{again:?}");
    let global = McpServer { is_global: true, ..mcp_server(stranger.id, "files", f.tick()) };
    make(&global).await.unwrap();
    let other =
        McpServer { is_global: true, ..mcp_server(f.another_user("bob").await.id, "files", f.tick()) };
    let second = make(&other).await;
    let what = "an MCP server for everybody of this name";
    assert!(matches!(second, Err(StoreError::Conflict { what: why }) if why == what), "{second:?}");
    let lift = McpServerPatch { is_global: Some(true), ..McpServerPatch::default() };
    let lifted = f
        .store
        .patch_mcp_server(Scope::All, mine.id, &lift, &Expected::ANY, f.tick(), &Origin::system())
        .await;
    assert!(matches!(lifted, Err(StoreError::Conflict { .. })), "{lifted:?}");

    let named = async |user: UserId, names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        f.store.mcp_servers_named(user, &names).await.unwrap()
    };
    assert_eq!(named(f.user.id, &["files", "none"]).await, [mine], "their own wins");
    assert_eq!(named(UserId::new(), &["files"]).await, [global]);
    assert_eq!(named(f.user.id, &[]).await, []);
}

pub async fn nobody_has_more_mcp_servers_than_they_may<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let stranger = f.another_user("eve").await;
    let make = async |server: McpServer| f.store.create_mcp_server(&server, 2, &Origin::system()).await;
    assert!(make(mcp_server(stranger.id, "theirs", f.tick())).await.unwrap(), "of others they count nothing");
    let before = log(&f.store).await.len();
    let at_once = futures::future::join_all(
        ["one", "two", "three", "four"].map(|name| make(mcp_server(f.user.id, name, f.tick()))),
    );
    let made = at_once.await.into_iter().filter(|made| *made.as_ref().unwrap()).count();
    let kept = f.store.own_mcp_servers(f.user.id, MANY).await.unwrap();
    assert_eq!((made, kept.len(), log(&f.store).await.len() - before), (2, 2, 2));
    let (at, by) = (f.tick(), Origin::system());
    assert!(f.store.delete_mcp_server(Scope::All, kept[0].id, &Expected::ANY, at, &by).await.unwrap());
    assert!(make(mcp_server(f.user.id, "five", f.tick())).await.unwrap(), "there is room again");
}

pub async fn a_check_of_an_mcp_server_is_kept_until_it_is_connected_otherwise<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let server = mcp_server(f.user.id, "files", f.tick());
    f.store.create_mcp_server(&server, MANY, &Origin::system()).await.unwrap();
    let reload = async || f.store.mcp_server(Scope::All, server.id).await.unwrap().unwrap();
    let healthy =
        McpCheck { at: f.tick(), status: McpCheckStatus::Healthy, tools_count: Some(3), error: None };
    f.store.note_mcp_check(server.id, server.updated_at, &healthy).await.unwrap();
    assert_eq!(reload().await, McpServer { check: Some(healthy.clone()), ..server.clone() });

    let renamed = McpServerPatch { name: Some("more".into()), ..McpServerPatch::default() };
    f.store
        .patch_mcp_server(Scope::All, server.id, &renamed, &Expected::ANY, f.tick(), &Origin::system())
        .await
        .unwrap();
    assert_eq!(reload().await.check, Some(healthy.clone()));
    let moved = McpServerPatch { args: Some(vec![]), ..McpServerPatch::default() };
    f.store
        .patch_mcp_server(Scope::All, server.id, &moved, &Expected::ANY, f.tick(), &Origin::system())
        .await
        .unwrap();
    assert_eq!(reload().await.check, None, "that was another server");
    f.store.note_mcp_check(server.id, server.updated_at, &healthy).await.unwrap();
    assert_eq!(reload().await.check, None, "so was that");
    let failed = McpCheck {
        at: f.tick(),
        status: McpCheckStatus::Unhealthy,
        tools_count: None,
        error: Some("it ended".into()),
    };
    let now = reload().await.updated_at;
    f.store.note_mcp_check(server.id, now, &failed).await.unwrap();
    assert_eq!(reload().await.check, Some(failed));
    f.store.note_mcp_check(McpServerId::new(), now, &healthy).await.unwrap();
}

pub async fn secrets_of_an_mcp_server_are_sealed_anew_unless_it_changed<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let (one, other) =
        (mcp_server(f.user.id, "one", f.tick()), mcp_server(f.another_user("eve").await.id, "two", f.tick()));
    for server in [&one, &other] {
        f.store.create_mcp_server(server, MANY, &Origin::system()).await.unwrap();
    }
    assert_eq!(f.store.mcp_servers_after(None, 1).await.unwrap(), std::slice::from_ref(&one));
    assert_eq!(f.store.mcp_servers_after(Some(one.id), 9).await.unwrap(), std::slice::from_ref(&other));
    assert_eq!(f.store.mcp_servers_after(Some(other.id), 9).await.unwrap(), []);

    let secret = || SealedSecret(vec![9; 50]);
    let resealed = McpServer {
        env: [("TOKEN".into(), secret())].into(),
        headers: [("authorization".into(), secret())].into(),
        ..one.clone()
    };
    assert!(f.store.reseal_mcp_server(&resealed, f.tick(), &Origin::system()).await.unwrap());
    assert_eq!(f.store.mcp_server(Scope::All, one.id).await.unwrap(), Some(resealed.clone()));
    let patch = McpServerPatch { env: Some([].into()), ..McpServerPatch::default() };
    f.store
        .patch_mcp_server(Scope::All, one.id, &patch, &Expected::ANY, f.tick(), &Origin::system())
        .await
        .unwrap();
    assert!(!f.store.reseal_mcp_server(&resealed, f.tick(), &Origin::system()).await.unwrap());
    assert!(f.store.mcp_server(Scope::All, one.id).await.unwrap().unwrap().env.is_empty());
    let gone = McpServer { id: McpServerId::new(), ..one };
    assert!(!f.store.reseal_mcp_server(&gone, f.tick(), &Origin::system()).await.unwrap());
}

pub async fn the_life_of_an_mcp_server_is_in_the_audit_log<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let by = origin(f.user.id);
    let before = log(&f.store).await.len();
    let server =
        McpServer { args: vec!["--token=s3cret".into()], ..mcp_server(f.user.id, "files", f.tick()) };
    f.store.create_mcp_server(&server, MANY, &by).await.unwrap();
    let patch = McpServerPatch { env: Some([].into()), is_enabled: Some(false), ..McpServerPatch::default() };
    let patched =
        f.store.patch_mcp_server(Scope::All, server.id, &patch, &Expected::ANY, f.tick(), &by).await;
    assert!(f.store.reseal_mcp_server(&patched.unwrap().unwrap(), f.tick(), &by).await.unwrap());
    let stranger = Scope::Owner(UserId::new());
    assert!(
        f.store
            .patch_mcp_server(stranger, server.id, &patch, &Expected::ANY, f.tick(), &by)
            .await
            .unwrap()
            .is_none()
    );
    assert!(!f.store.delete_mcp_server(stranger, server.id, &Expected::ANY, f.tick(), &by).await.unwrap());
    f.store
        .create_mcp_server(&McpServer { id: McpServerId::new(), ..server.clone() }, MANY, &by)
        .await
        .unwrap_err();
    assert!(f.store.delete_mcp_server(Scope::All, server.id, &Expected::ANY, f.tick(), &by).await.unwrap());

    let entries = log(&f.store).await.split_off(before);
    let actions =
        ["mcp_server.created", "mcp_server.changed", "mcp_server.secrets_resealed", "mcp_server.deleted"];
    let told: Vec<_> = entries.iter().map(|entry| told(&entry.event)).collect();
    assert_eq!(told, actions.map(|action| (action, "mcp_server", server.id.to_string())));
    assert!(entries.iter().all(|entry| !entry.line().unwrap().contains("s3cret")));
    assert_eq!(entries[1].event.data["fields"], Fact::List(vec!["env".into(), "is_enabled".into()]));
}

pub async fn mcp_servers_go_with_their_user<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let gone = f.another_user("bob").await;
    let (theirs, mine) = (mcp_server(gone.id, "files", f.tick()), mcp_server(f.user.id, "files", f.tick()));
    for server in [&theirs, &mine] {
        f.store.create_mcp_server(server, MANY, &Origin::system()).await.unwrap();
    }
    assert_eq!(f.erase(gone.id).await, UserErased::Erased);
    assert_eq!(f.store.mcp_servers_after(None, 10).await.unwrap(), [mine]);
}

/// A server with a secret of each kind.
pub fn mcp_server(user: UserId, name: &str, at: Timestamp) -> McpServer {
    McpServer {
        id: McpServerId::new(),
        user_id: user,
        name: name.to_owned(),
        description: Some("What it is for.".to_owned()),
        transport: McpTransport::Stdio,
        command: Some("npx".to_owned()),
        args: vec!["-y".to_owned(), "a-server".to_owned()],
        env: [("TOKEN".to_owned(), SealedSecret(vec![1, 2, 3, 0, 255]))].into(),
        url: None,
        headers: [("authorization".to_owned(), SealedSecret(vec![4; 40]))].into(),
        is_enabled: true,
        is_global: false,
        check: None,
        created_at: at,
        updated_at: at,
    }
}
