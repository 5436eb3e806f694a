//! What one user may have only so many of.

use super::{
    AnyStore, Fixture, accounts::key, hooks::endpoint, mcp_servers::mcp_server, templates::template,
};
use domain::{
    ApiKeyId, Expected, HookEndpointId, McpServerId, Origin, Scope, Task, TaskId, TemplateId, UserId,
};
use futures::future::join_all;

const MAX: u32 = 3;

/// One thing of theirs.
#[derive(Debug, Clone, Copy)]
enum Owned {
    Key(ApiKeyId),
    Hook(HookEndpointId),
    Template(TemplateId),
    Task(TaskId),
    McpServer(McpServerId),
}

impl<S: AnyStore> Fixture<S> {
    /// Adds another one of the same kind, unless there are as many as there may be.
    async fn add_like(&self, kind: Owned, user: UserId) -> Option<Owned> {
        let (store, name, at, by) = (&self.store, TaskId::new().to_string(), self.tick(), Origin::system());
        let (stored, added) = match kind {
            Owned::Key(_) => {
                let mut one = key(user, 0, None, at);
                one.secret_sha256[..16].copy_from_slice(one.id.0.as_bytes());
                (store.create_api_key(&one, MAX, &by).await, Owned::Key(one.id))
            }
            Owned::Hook(_) => {
                let one = endpoint(user, &name, at);
                (store.create_endpoint(&one, MAX, &by).await, Owned::Hook(one.id))
            }
            Owned::Template(_) => {
                let one = template(user, &name, at);
                (store.create_template(&one, MAX, &by).await, Owned::Template(one.id))
            }
            Owned::Task(_) => {
                let one = Task { user_id: user, ..self.new_task(&name) };
                (store.create_task(&one, MAX, &by).await, Owned::Task(one.id))
            }
            Owned::McpServer(_) => {
                let one = mcp_server(user, &name, at);
                (store.create_mcp_server(&one, MAX, &by).await, Owned::McpServer(one.id))
            }
        };
        stored.unwrap().then_some(added)
    }

    async fn delete_owned(&self, one: Owned) {
        let (store, all, at, by) = (&self.store, Scope::All, self.tick(), Origin::system());
        let deleted = match one {
            Owned::Key(id) => store.delete_api_key(self.user.id, id, at, &by).await,
            Owned::Hook(id) => store.delete_endpoint(all, id, &Expected::ANY, at, &by).await,
            Owned::Template(id) => store.delete_template(all, id, at, &by).await,
            Owned::Task(id) => store.delete_task(all, id, at, &by).await,
            Owned::McpServer(id) => store.delete_mcp_server(all, id, &Expected::ANY, at, &by).await,
        };
        assert!(deleted.unwrap(), "{one:?}");
    }
}

pub async fn nobody_has_more_than_they_may<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let other = f.another_user("other").await.id;
    let kinds = [
        Owned::Key(ApiKeyId::new()),
        Owned::Hook(HookEndpointId::new()),
        Owned::Template(TemplateId::new()),
        Owned::Task(TaskId::new()),
        Owned::McpServer(McpServerId::new()),
    ];
    for kind in kinds {
        let before = f.store.head().await.unwrap().seq;
        let added = join_all((0..MAX + 3).map(|_| f.add_like(kind, f.user.id))).await;
        let added: Vec<Owned> = added.into_iter().flatten().collect();
        assert_eq!(added.len(), MAX as usize, "{kind:?}");
        // What was not stored is not in the audit log either.
        assert_eq!(f.store.head().await.unwrap().seq, before + u64::from(MAX), "{kind:?}");
        assert!(f.add_like(kind, other).await.is_some(), "others have their own: {kind:?}");
        f.delete_owned(added[0]).await;
        assert!(f.add_like(kind, f.user.id).await.is_some(), "there is room again: {kind:?}");
        assert!(f.add_like(kind, f.user.id).await.is_none(), "{kind:?}");
    }
}
