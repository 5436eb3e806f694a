//! What one user may have only so many of.

use crate::{hooks::hook, world::World};
use domain::{
    ApiKey, ApiKeyId, HookEndpoint, HookEndpointId, Origin, PageRequest, Scope, SessionTemplate, Task,
    TaskId, TemplateId, UserId,
    ports::{Accounts, HookEndpoints, Tasks, Templates},
    task::TaskFilter,
    template::TemplateFilter,
};
use serde_json::{Value, json};

const MAX: u32 = 1000;
const TASKS_MAX: u32 = 10_000;

/// Makes the first of its kind.
async fn made(world: &World, path: &str, body: Value) {
    let made = world.alice.post(path, body).await;
    assert_eq!(made.status, 201, "{}", made.text());
}

async fn is_full(world: &World, path: &str, body: Value, max: u32) {
    let refused = world.alice.post(path, body.clone()).await;
    assert_eq!((refused.status, refused.error_code().as_str()), (409, "LIMIT_REACHED"), "{}", refused.text());
    assert_eq!(refused.json()["limit"], max, "{path}");
    assert_eq!(world.bob.post(path, body).await.status, 201, "others have their own: {path}");
}

#[actix_web::test]
async fn a_user_has_a_thousand_of_a_kind_and_no_more() {
    let world = World::new().await;
    let (store, one, by) = (&world.store, PageRequest::first(1), Origin::system());

    let keys = "/api/v1/auth/api-keys";
    made(&world, keys, json!({"name": "first"})).await;
    let me = world.alice.get("/api/v1/auth/me").await.json();
    let user = UserId(me["id"].as_str().unwrap().parse().unwrap());
    let first: ApiKey = store.api_keys(user, &one).await.unwrap().items.remove(0);
    for _ in 1..MAX {
        let id = ApiKeyId::new();
        let mut secret_sha256 = [0; 32];
        secret_sha256[..16].copy_from_slice(id.0.as_bytes());
        assert!(
            store.create_api_key(&ApiKey { id, secret_sha256, ..first.clone() }, MAX, &by).await.unwrap()
        );
    }
    is_full(&world, keys, json!({"name": "one-more"}), MAX).await;

    let hooks = "/api/v1/hooks";
    made(&world, hooks, hook("first")).await;
    let first: HookEndpoint = store.endpoints(Scope::All, &one).await.unwrap().items.remove(0);
    for n in 1..MAX {
        let another = HookEndpoint { id: HookEndpointId::new(), name: format!("hook-{n}"), ..first.clone() };
        assert!(store.create_endpoint(&another, MAX, &by).await.unwrap());
    }
    is_full(&world, hooks, hook("one-more"), MAX).await;

    let templates = "/api/v1/session-templates";
    made(&world, templates, json!({"name": "first"})).await;
    let all = TemplateFilter::default();
    let first: SessionTemplate = store.templates(Scope::All, &all, &one).await.unwrap().items.remove(0);
    for _ in 1..MAX {
        let another = SessionTemplate { id: TemplateId::new(), ..first.clone() };
        assert!(store.create_template(&another, MAX, &by).await.unwrap());
    }
    is_full(&world, templates, json!({"name": "one-more"}), MAX).await;

    let tasks = "/api/v1/tasks";
    let task = |name: &str| json!({"name": name, "prompt_template": "say it"});
    made(&world, tasks, task("first")).await;
    let all = TaskFilter::default();
    let first: Task = store.tasks(Scope::All, &all, &one).await.unwrap().items.remove(0);
    for _ in 1..TASKS_MAX {
        let another = Task { id: TaskId::new(), ..first.clone() };
        assert!(store.create_task(&another, TASKS_MAX, &by).await.unwrap());
    }
    is_full(&world, tasks, task("one-more"), TASKS_MAX).await;
}
