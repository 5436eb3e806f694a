//! Who may do what, asked of every operation in the document.

use crate::{
    client::{Client, Received},
    world::World,
};
use reqwest::Method;
use serde_json::{Value, json};

/// One operation of the document.
struct Operation {
    id: String,
    method: Method,
    path: String,
    has_security: bool,
    accepts_token: bool,
}

fn operations() -> Vec<Operation> {
    let mut operations = vec![];
    for (path, item) in api::document()["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let schemes = operation["security"].as_array().cloned().unwrap_or_default();
            operations.push(Operation {
                id: operation["operationId"].as_str().unwrap().to_owned(),
                method: method.to_uppercase().parse().unwrap(),
                path: path.clone(),
                has_security: !schemes.is_empty(),
                accepts_token: schemes.iter().any(|scheme| scheme.get("token").is_some()),
            });
        }
    }
    operations
}

impl Operation {
    /// This operation on these things, with input that is accepted.
    async fn ask(&self, client: &Client, things: &Things) -> Received {
        client.send(self.request(client, things, "")).await
    }

    fn request(&self, client: &Client, things: &Things, query: &str) -> reqwest::RequestBuilder {
        let id = match &self.path {
            path if path.contains("/api-keys/") => &things.key,
            path if path.contains("/v1/hooks/") => &things.hook,
            path if path.contains("/v1/reports/") => &things.report,
            path if path.contains("/v1/mcp-servers/") => &things.mcp_server,
            path if path.contains("/session-templates/") => &things.template,
            path if path.contains("/v1/tasks/{id}") => &things.task,
            path if path.contains("/archive") => &things.archived,
            _ => &things.session,
        };
        let path = self.path.replace("{id}", id).replace("{turn_id}", &things.turn);
        let path = path.replace("{delivery_id}", &things.delivery);
        let path = path.replace("{execution_id}", &things.execution);
        let path = path.replace("{name}", POLICY).replace("{version}", "1");
        let path = path.replace("{user_id}", &things.user).replace("{session_id}", &things.session);
        let separator = match self.id.as_str() {
            "readFile" => "?path=note&",
            "downloadExecutionFile" => "?file_path=note&",
            _ => "?",
        };
        let request = client.request(self.method.clone(), &format!("{path}{separator}{query}"));
        match self.body(things) {
            Some(body) => request.json(&body),
            None => request,
        }
    }

    fn body(&self, things: &Things) -> Option<Value> {
        match self.id.as_str() {
            "querySession" => Some(json!({"message": "hello"})),
            "createApiKey" => Some(json!({"name": "key"})),
            "createSession" | "updateSession" | "updateHook" | "updateMcpServer" | "updateMe"
            | "updateUser" => Some(json!({})),
            "createUser" => Some(json!({"email": "eve@example.com", "password": crate::world::PASSWORD})),
            "setUserBudget" | "setTeamBudget" => Some(json!({"monthly_budget_usd": 1})),
            "setSessionBudget" => Some(json!({"budget_usd": 1})),
            "createMcpServer" => Some(crate::mcp_servers::server("another")),
            "createTask" => Some(crate::tasks::task("another")),
            "updateTask" | "executeTask" => Some(json!({})),
            "createSessionTemplate" | "replaceSessionTemplate" => Some(json!({"name": "template"})),
            "shareSessionTemplate" | "searchSessionTemplates" => Some(json!({})),
            "createHook" => Some(crate::hooks::hook("another")),
            "createReport" => Some(json!({"session_id": things.session})),
            _ => None,
        }
    }
}

/// A policy, which everybody may read; and a team, which nobody is in.
const POLICY: &str = "house";

/// Something of alice's of each kind.
struct Things {
    user: String,
    session: String,
    /// A session that is archived.
    archived: String,
    turn: String,
    key: String,
    hook: String,
    report: String,
    mcp_server: String,
    template: String,
    task: String,
    /// Of alice's task, done in a session that is archived.
    execution: String,
    /// Of alice's hook, to nowhere.
    delivery: String,
}

async fn things(world: &World) -> Things {
    let session = world.session().await;
    let asked =
        world.alice.post(&format!("/api/v1/sessions/{session}/query"), json!({"message": "hello"})).await;
    let turn = asked.json()["turn_id"].as_str().unwrap().to_owned();
    let key = world.alice.post("/api/v1/auth/api-keys", json!({"name": "key"})).await.json();
    std::fs::write(workdir(world, &session).await.join("note"), "hello").unwrap();
    let hook = world.alice.post("/api/v1/hooks", crate::hooks::hook("guard")).await.json();
    let hook = hook["id"].as_str().unwrap().to_owned();
    let delivery = world.alice.post(&format!("/api/v1/hooks/{hook}/test"), json!({})).await.json();
    let delivery = delivery["id"].as_str().unwrap().to_owned();
    let report = world.alice.post("/api/v1/reports", json!({"session_id": session})).await.json();
    let report = report["id"].as_str().unwrap().to_owned();
    let mcp_server = world.alice.post("/api/v1/mcp-servers", crate::mcp_servers::server("files")).await;
    let mcp_server = mcp_server.json()["id"].as_str().unwrap().to_owned();
    let template = world.alice.post("/api/v1/session-templates", json!({"name": "template"})).await.json();
    let template = template["id"].as_str().unwrap().to_owned();
    let policy = json!({"name": POLICY, "text": "permit(principal, action, resource);"});
    assert_eq!(world.admin.post("/api/v1/policies", policy).await.status, 201);
    let archived = world.session().await;
    let asked = world.alice.post(&format!("/api/v1/sessions/{archived}/archive"), json!({})).await;
    assert_eq!(asked.status, 200, "{}", asked.text());
    let user = world.id(&world.alice).await;
    let key = key["id"].as_str().unwrap().to_owned();
    let (task, execution) = crate::tasks::done(world).await;
    Things {
        user,
        session,
        archived,
        turn,
        key,
        hook,
        mcp_server,
        report,
        template,
        task,
        execution,
        delivery,
    }
}

async fn workdir(world: &World, session: &str) -> std::path::PathBuf {
    let session = world.alice.get(&format!("/api/v1/sessions/{session}")).await.json();
    session["working_directory"].as_str().unwrap().into()
}

#[actix_web::test]
async fn strangers_get_401_everywhere() {
    let world = World::new().await;
    let things = things(&world).await;
    let mut asked = 0;
    for operation in operations().iter().filter(|operation| operation.has_security) {
        for client in [
            world.anonymous.clone(),
            world.anonymous.with_token("stw_wrong"),
            world.anonymous.with_token("e.y.J"),
        ] {
            let received = operation.ask(&client, &things).await;
            assert_eq!(received.status, 401, "{}: {}", received.request, received.text());
            assert_eq!(received.header("content-type"), "application/problem+json", "{}", received.request);
            assert!(received.header("www-authenticate").starts_with("Bearer"), "{}", received.request);
            asked += 1;
        }
    }
    assert!(asked > 50, "{asked} requests");
}

#[actix_web::test]
async fn a_strangers_body_is_not_even_looked_at() {
    let world = World::new().await;
    let things = things(&world).await;
    for operation in
        operations().iter().filter(|operation| operation.has_security && operation.body(&things).is_some())
    {
        let request =
            operation.request(&world.anonymous, &things, "").body("{").header("content-type", "text/plain");
        let received = world.anonymous.send(request).await;
        assert_eq!(received.status, 401, "{}", received.request);
    }
}

#[actix_web::test]
async fn what_is_anothers_is_not_there() {
    let world = World::new().await;
    let things = things(&world).await;
    let mut asked = 0;
    for operation in operations()
        .iter()
        .filter(|operation| operation.path.contains("{id}") || operation.path.contains("{execution_id}"))
    {
        let received = operation.ask(&world.bob, &things).await;
        assert_eq!(received.status, 404, "{}: {}", received.request, received.text());
        asked += 1;
    }
    assert!(asked > 15, "{asked} requests");
    assert_eq!(world.bob.get("/api/v1/sessions").await.json()["total"], 0);
    assert_eq!(
        world.alice.get(&format!("/api/v1/sessions/{}", things.session)).await.json()["status"],
        "active"
    );
}

#[actix_web::test]
async fn what_others_spend_is_forbidden_and_admins_alone_decide_what_they_may() {
    let world = World::new().await;
    let things = things(&world).await;
    let mut asked = 0;
    for operation in operations().iter().filter(|one| one.path.starts_with("/api/v1/monitoring/costs/")) {
        let received = operation.ask(&world.bob, &things).await;
        let told = (received.status, received.error_code());
        assert_eq!(told, (403, "FORBIDDEN".to_owned()), "{}: {}", received.request, received.text());
        let is_own = !operation.path.contains("team") && !operation.id.ends_with("UserBudget");
        if operation.method != Method::GET && !is_own {
            let received = operation.ask(&world.alice, &things).await;
            assert_eq!(received.status, 403, "{}: {}", received.request, received.text());
        }
        let received = operation.ask(&world.admin, &things).await;
        assert_eq!(received.status, 200, "{}: {}", received.request, received.text());
        asked += 1;
    }
    assert!(asked > 12, "{asked} requests");
    // Whether there is such a session is not told either.
    let nobodys = format!("/api/v1/monitoring/costs/session/{}", things.user);
    assert_eq!(world.bob.get(&nobodys).await.status, 403);
    assert_eq!(world.admin.get(&nobodys).await.status, 404);
}

#[actix_web::test]
async fn people_are_managed_by_admins() {
    let world = World::new().await;
    let things = things(&world).await;
    for operation in operations().iter().filter(|one| one.path.starts_with("/api/v1/admin/users")) {
        let received = operation.ask(&world.alice, &things).await;
        assert_eq!(received.status, 403, "{}: {}", received.request, received.text());
    }
}

#[actix_web::test]
async fn an_admin_sees_everybodys_sessions() {
    let world = World::new().await;
    let session = world.session().await;
    assert_eq!(world.admin.get(&format!("/api/v1/sessions/{session}")).await.status, 200);
    assert_eq!(world.admin.get("/api/v1/sessions").await.json()["total"], 1);
}

#[actix_web::test]
async fn a_key_that_reads_changes_nothing() {
    let world = World::new().await;
    let things = things(&world).await;
    let made = world.alice.post("/api/v1/auth/api-keys", json!({"name": "reader", "scopes": ["read"]})).await;
    let reader = world.anonymous.with_token(made.json()["key"].as_str().unwrap());
    for operation in operations().iter().filter(|operation| operation.has_security) {
        if operation.method == Method::GET {
            // Its head is enough: an event stream has no end.
            let response = reader.open(operation.request(&reader, &things, "")).await;
            let expected = match operation.id.as_str() {
                "streamSession" => 400,
                // Its owner is no admin.
                _ if operation.path.starts_with("/api/v1/admin/") => 403,
                "getTeamCosts" | "getTotalCosts" | "getTeamBudget" | "listBudgets" | "getPerformance" => 403,
                _ => 200,
            };
            assert_eq!(response.status(), expected, "{}", operation.id);
        } else if operation.id == "searchSessionTemplates" {
            let received = operation.ask(&reader, &things).await;
            assert_eq!(received.status, 200, "a search reads, whatever its method");
        } else if operation.id == "evaluatePolicies" {
            let received = operation.ask(&reader, &things).await;
            assert_eq!(received.status, 415, "and so does a question, which is asked for a body");
        } else {
            let received = operation.ask(&reader, &things).await;
            assert_eq!(
                (received.status, received.error_code().as_str()),
                (403, "READ_ONLY"),
                "{}",
                received.request
            );
        }
    }
}

#[actix_web::test]
async fn a_token_in_the_address_opens_streams_and_nothing_else() {
    let world = World::new().await;
    let things = things(&world).await;
    let token = format!("token={}", world.alice.token.clone().unwrap());
    let mut opened = 0;
    for operation in operations().iter().filter(|operation| operation.has_security) {
        let response = world.anonymous.open(operation.request(&world.anonymous, &things, &token)).await;
        let expected = match operation.id.as_str() {
            "watchSession" => 200,
            // Let in, and then told to speak WebSocket.
            "streamSession" => 400,
            _ => 401,
        };
        assert_eq!(response.status(), expected, "{}", operation.id);
        assert_eq!(operation.accepts_token, expected != 401, "the document says so too: {}", operation.id);
        opened += u32::from(expected != 401);
    }
    assert_eq!(opened, 2);
}
