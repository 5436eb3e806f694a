//! MCP servers over HTTP: registered, changed, checked, named by sessions, carried from and to files, and refused.

use crate::{
    client::{Client, Received},
    world::World,
};
use domain::{McpServer, McpServerId, McpTransport, Origin, ports::McpServers};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const PATH: &str = "/api/v1/mcp-servers";
const MASK: &str = "********";

/// A server that is a process, with a secret.
pub fn server(name: &str) -> Value {
    json!({
        "name": name, "server_type": "stdio", "command": "npx", "args": ["-y", "a-server", "--key=${TOKEN}"],
        "env": { "TOKEN": "s3cret-token" },
    })
}

fn remote(name: &str) -> Value {
    json!({
        "name": name, "server_type": "http", "url": "https://mcp.example.org/mcp?key=${KEY}",
        "env": { "KEY": "s3cret-key" }, "headers": { "Authorization": "Bearer s3cret-bearer" },
    })
}

fn with(fields: Value) -> Value {
    let mut server = server("files");
    server.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    server
}

/// What an agent was told of its servers.
fn told(world: &World) -> Value {
    let agent = world.launcher.last_agent();
    let initialize = agent.controls("initialize");
    initialize[0]["mcpServers"].clone()
}

async fn prompt(world: &World, session: &str) -> Received {
    world.alice.post(&format!("/api/v1/sessions/{session}/query"), json!({ "message": "hello" })).await
}

#[actix_web::test]
async fn a_server_is_registered_changed_and_deleted_and_never_shows_a_secret() {
    let world = World::new().await;
    let made = world.alice.post(PATH, remote("search")).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let path = format!("{PATH}/{}", made.json()["id"].as_str().unwrap());
    assert_eq!(made.header("location"), path);
    let shown = made.json();
    assert_eq!(shown["env"], json!({ "KEY": MASK }));
    assert_eq!(shown["headers"], json!({ "authorization": MASK }));
    assert_eq!(shown["url"], "https://mcp.example.org/mcp?key=${KEY}");
    assert_eq!(
        (&shown["is_enabled"], &shown["is_global"], &shown["health"]),
        (&json!(true), &json!(false), &json!(null))
    );
    let again = world.alice.post(PATH, remote("search")).await;
    assert_eq!((again.status, again.error_code().as_str()), (409, "ALREADY_EXISTS"));
    assert_eq!(world.bob.post(PATH, remote("search")).await.status, 201, "names are its owner's");

    // What is shown can be sent back: masks keep what there is.
    let change = json!({ "env": shown["env"], "headers": shown["headers"], "description": "Finds things." });
    let changed = world.alice.patch(&path, change).await;
    assert_eq!((changed.status, &changed.json()["description"]), (200, &json!("Finds things.")));
    let session = world.session_with(json!({ "sdk_options": { "mcp_servers": ["search"] } })).await;
    assert_eq!(prompt(&world, &session).await.status, 200);
    let kept = json!({ "search": {
        "type": "http", "url": "https://mcp.example.org/mcp?key=s3cret-key",
        "headers": { "authorization": "Bearer s3cret-bearer" },
    } });
    assert_eq!(told(&world), kept);
    let change = json!({ "env": { "KEY": MASK, "MORE": MASK } });
    assert_eq!(world.alice.patch(&path, change).await.violations(), ["/env/MORE unknown"]);
    let change = json!({ "server_type": "stdio", "command": "x", "url": null, "headers": {}, "env": {} });
    let changed = world.alice.patch(&path, change).await.json();
    assert_eq!(
        (&changed["server_type"], &changed["url"], &changed["env"]),
        (&json!("stdio"), &json!(null), &json!({}))
    );

    let listed = world.alice.get(PATH).await;
    assert_eq!((listed.json()["total"].clone(), listed.json()["items"][0].clone()), (json!(1), changed));
    for received in [&made, &listed, &world.alice.get(&path).await] {
        assert!(!received.text().contains("s3cret"), "{}", received.text());
    }
    assert_eq!(world.alice.delete(&path).await.status, 204);
    assert_eq!(world.alice.get(&path).await.status, 404);
    assert_eq!(world.alice.delete(&path).await.error_code(), "MCP_SERVER_NOT_FOUND");
}

#[actix_web::test]
async fn bad_servers_are_refused_by_field() {
    let world = World::new().await;
    let table: Vec<(Value, &[&str])> = vec![
        (json!({ "name": "" }), &["/name length"]),
        (json!({ "name": "a\nb" }), &["/name control_character"]),
        (json!({ "server_type": "carrier-pigeon" }), &["/server_type enum"]),
        (json!({ "server_type": "sdk" }), &["/server_type unsupported"]),
        (json!({ "command": "" }), &["/command required"]),
        (json!({ "command": "A=b" }), &["/command pattern"]),
        (json!({ "args": ["${NOTHING}"] }), &["/args/0 unknown_secret"]),
        (json!({ "args": ["postgres://u:p@h/d"] }), &["/args/0 secret"]),
        (json!({ "env": { "1": "x", "TOKEN": "x" } }), &["/env/1 pattern"]),
        (json!({ "url": "https://mcp.example.org/" }), &["/url conflict"]),
        (json!({ "headers": { "a": "b" } }), &["/headers conflict"]),
        (json!({ "secret": "mine" }), &["/secret unknown_field"]),
    ];
    let path = world.alice.post(PATH, server("first")).await.header("location").to_owned();
    for (fields, violations) in table {
        let received = world.alice.post(PATH, with(fields.clone())).await;
        assert_eq!(received.status, 422, "{fields}: {}", received.text());
        assert_eq!(received.violations(), violations, "{fields}: {}", received.text());
        let received = world.alice.patch(&path, fields.clone()).await;
        assert_eq!(received.status, 422, "{fields}: {}", received.text());
    }
    for url in
        ["http://mcp.example.org/", "https://127.0.0.1/", "https://[::1]/", "https://u:p@h.example/", "x"]
    {
        let mut server = remote("remote");
        server["url"] = json!(url);
        assert_eq!(world.alice.post(PATH, server).await.violations(), ["/url url"], "{url}");
    }
    assert_eq!(world.alice.get(PATH).await.json()["total"], 1, "nothing was registered");
}

#[actix_web::test]
async fn what_is_for_everybody_is_an_admins() {
    let world = World::new().await;
    let everybodys = with(json!({ "is_global": true }));
    let refused = world.alice.post(PATH, everybodys.clone()).await;
    assert_eq!((refused.status, refused.error_code().as_str()), (403, "FORBIDDEN"));
    let own = world.alice.post(PATH, server("own")).await.header("location").to_owned();
    assert_eq!(world.alice.patch(&own, json!({ "is_global": true })).await.status, 403);

    let path = world.admin.post(PATH, everybodys).await.header("location").to_owned();
    let seen = world.alice.get(&path).await;
    assert_eq!(
        (seen.status, &seen.json()["is_global"]),
        (200, &json!(true)),
        "it can be named, so it is seen"
    );
    assert_eq!(world.alice.get(PATH).await.json()["total"], 2);
    assert_eq!(world.bob.get(PATH).await.json()["total"], 1);
    for refused in [world.alice.patch(&path, json!({})).await, world.alice.delete(&path).await] {
        assert_eq!((refused.status, refused.error_code().as_str()), (403, "FORBIDDEN"));
    }

    let naming = json!({ "sdk_options": { "mcp_servers": { "tools": "files" } } });
    let session = world.session_with(naming.clone()).await;
    assert_eq!(prompt(&world, &session).await.status, 200);
    assert_eq!(told(&world)["tools"]["args"], json!(["-y", "a-server", "--key=s3cret-token"]));
    // Of two of a name one's own is meant, from the next start of an agent on.
    assert_eq!(world.alice.post(PATH, with(json!({ "command": "mine" }))).await.status, 201);
    let session = world.session_with(naming).await;
    assert_eq!(prompt(&world, &session).await.status, 200);
    assert_eq!(told(&world)["tools"]["command"], "mine");
}

#[actix_web::test]
async fn sessions_name_servers_and_get_them_as_they_are_at_the_start_of_an_agent() {
    let world = World::new().await;
    let path = world.alice.post(PATH, server("files")).await.header("location").to_owned();
    let inline = json!({ "type": "stdio", "command": "inline", "args": [] });
    let options = json!({ "mcp_servers": { "f": "files", "inline": inline } });
    let session = world.session_with(json!({ "sdk_options": options })).await;
    let shown = world.alice.get(&format!("/api/v1/sessions/{session}")).await;
    assert_eq!(shown.json()["sdk_options"]["mcp_servers"], options["mcp_servers"]);
    assert!(!shown.text().contains("s3cret"));
    assert_eq!(prompt(&world, &session).await.status, 200);
    let told_first = told(&world);
    assert_eq!(told_first["inline"], inline);
    assert_eq!(told_first["f"]["env"], json!({ "TOKEN": "s3cret-token" }));
    let invocation = format!("{:?}", world.launcher.last_agent().args());
    assert!(!invocation.contains("s3cret"), "{invocation}");

    // What a name means is looked up when an agent starts, not when the session was made.
    let mut sessions = vec![];
    for _ in 0..3 {
        sessions.push(world.session_with(json!({ "sdk_options": options })).await);
    }
    assert_eq!(world.alice.patch(&path, json!({ "command": "other" })).await.status, 200);
    assert_eq!(prompt(&world, &sessions[0]).await.status, 200);
    assert_eq!(told(&world)["f"]["command"], "other");
    assert_eq!(world.alice.patch(&path, json!({ "is_enabled": false })).await.status, 200);
    let refused = prompt(&world, &sessions[1]).await;
    assert_eq!((refused.status, refused.error_code().as_str()), (503, "AGENT_UNAVAILABLE"));
    assert!(refused.text().contains("`files` is disabled"), "{}", refused.text());
    let naming = |servers: Value| json!({ "sdk_options": { "mcp_servers": servers } });
    let create = async |client: &Client, servers| client.post("/api/v1/sessions", naming(servers)).await;
    let at = |code: &str| [format!("/sdk_options/mcp_servers/files {code}")];
    assert_eq!(create(&world.alice, json!(["files"])).await.violations(), at("disabled"));
    assert_eq!(
        create(&world.bob, json!(["files"])).await.violations(),
        at("unknown"),
        "alice's is not there for bob"
    );
    let wrong = create(&world.alice, json!({ "x": 1 })).await;
    assert_eq!((wrong.status, wrong.violations().len()), (422, 1), "{}", wrong.text());

    assert_eq!(world.alice.delete(&path).await.status, 204);
    let refused = prompt(&world, &sessions[2]).await;
    assert!(refused.text().contains("`files` is not there any more"), "{}", refused.text());
}

#[actix_web::test]
async fn a_server_that_is_not_allowed_any_more_is_given_to_no_agent_and_not_called() {
    let world = World::new().await;
    // As it was registered while the operator let addresses be called that are not public.
    let at = jiff::Timestamp::UNIX_EPOCH;
    let server = McpServer {
        id: McpServerId::new(),
        user_id: world.id(&world.alice).await.parse().unwrap(),
        name: "local".into(),
        description: None,
        transport: McpTransport::Http,
        command: None,
        args: vec![],
        env: BTreeMap::new(),
        url: Some("http://127.0.0.1:1/mcp".into()),
        headers: BTreeMap::new(),
        is_enabled: true,
        is_global: false,
        check: None,
        created_at: at,
        updated_at: at,
    };
    world.store.create_mcp_server(&server, 10, &Origin::system()).await.unwrap();
    let options = json!({ "mcp_servers": ["local"] });
    let session = world.session_with(json!({ "sdk_options": options })).await;
    let refused = prompt(&world, &session).await;
    assert_eq!((refused.status, refused.error_code().as_str()), (503, "AGENT_UNAVAILABLE"));
    assert!(refused.text().contains("`local` is not allowed any more: /url"), "{}", refused.text());
    assert!(world.launcher.agents().is_empty(), "no agent is started without what its session names");
    let check = world.alice.post(&format!("{PATH}/{}/health-check", server.id), json!({})).await.json();
    let why = check["error"].as_str().unwrap();
    assert!(why.contains("has a URL that is not allowed"), "{why}");
}

#[actix_web::test]
async fn a_check_is_kept_with_the_server() {
    let world = World::new().await;
    let path = world.alice.post(PATH, server("files")).await.header("location").to_owned();
    // The agents of this world are no servers.
    let check = world.alice.post(&format!("{path}/health-check"), json!({})).await;
    assert_eq!(check.status, 200, "{}", check.text());
    let check = check.json();
    assert_eq!((&check["status"], &check["tools"]), (&json!("unhealthy"), &json!([])), "{check}");
    assert!(check["error"].is_string() && check["last_checked_at"].is_string(), "{check}");
    let health = &world.alice.get(&path).await.json()["health"];
    for field in ["status", "error", "last_checked_at", "tools_count"] {
        assert_eq!(health[field], check[field], "{field}");
    }
    assert_eq!(world.alice.patch(&path, json!({ "command": "other" })).await.json()["health"], Value::Null);
    assert!(std::fs::read_dir(world.directory().join("tmp")).unwrap().next().is_none(), "its folder is gone");
}

#[actix_web::test]
async fn servers_come_from_a_file_and_go_into_one() {
    let world = World::new().await;
    world.alice.post(PATH, server("taken")).await;
    let file = json!({ "mcpServers": {
        "files": { "command": "npx", "args": ["--key=${TOKEN}"], "env": { "TOKEN": "s3cret-token" }, "icon": "x" },
        "search": { "type": "http", "url": "https://mcp.example.org/", "headers": { "X-Key": "${X_KEY}" } },
        "taken": { "command": "npx" },
        "odd": [],
        "private": { "url": "https://10.0.0.1/" },
    } });
    let imported = upload(&world.alice, "file", &file.to_string()).await;
    assert_eq!(imported.status, 200, "{}", imported.text());
    let outcome = imported.json();
    assert_eq!((&outcome["imported"], &outcome["failed"]), (&json!(2), &json!(3)), "{outcome}");
    let result = |name: &str| {
        let results = outcome["results"].as_array().unwrap();
        results.iter().find(|result| result["name"] == name).unwrap().clone()
    };
    assert_eq!(result("files")["ignored"], json!(["icon"]));
    assert_eq!(result("files")["server"]["is_enabled"], true);
    assert_eq!(result("search")["missing_secrets"], json!(["/headers/x-key"]));
    assert_eq!(result("search")["server"]["is_enabled"], false, "it lacks a secret");
    for (name, pointer, code) in
        [("taken", "/name", "exists"), ("odd", "", "type"), ("private", "/url", "url")]
    {
        let errors = &result(name)["errors"];
        assert_eq!((&errors[0]["pointer"], &errors[0]["code"]), (&json!(pointer), &json!(code)), "{errors}");
        assert_eq!(result(name)["server"], Value::Null);
    }
    assert!(!imported.text().contains("s3cret"));
    assert_eq!(world.alice.get(PATH).await.json()["total"], 3);

    let exported = world.alice.get(&format!("{PATH}/export")).await;
    assert!(!exported.text().contains("s3cret"), "{}", exported.text());
    let servers = &exported.json()["mcpServers"];
    let files = json!({ "command": "npx", "args": ["--key=${TOKEN}"], "env": { "TOKEN": "${TOKEN}" } });
    assert_eq!(servers["files"], files);
    assert_eq!(servers.as_object().unwrap().len(), 3);
    assert_eq!(world.bob.get(&format!("{PATH}/export")).await.json(), json!({ "mcpServers": {} }));
    let carried = upload(&world.bob, "file", &exported.text()).await.json();
    assert_eq!((&carried["imported"], &carried["failed"]), (&json!(3), &json!(0)), "{carried}");
}

#[actix_web::test]
async fn a_user_has_a_thousand_servers_and_no_more() {
    let world = World::new().await;
    for batch in 0..10 {
        let servers: serde_json::Map<String, Value> =
            (0..100).map(|n| (format!("server-{batch}-{n}"), json!({ "command": "npx" }))).collect();
        let imported = upload(&world.alice, "file", &json!({ "mcpServers": servers }).to_string()).await;
        assert_eq!(imported.json()["imported"], 100, "{}", imported.text());
    }
    let refused = world.alice.post(PATH, server("one-more")).await;
    assert_eq!((refused.status, refused.error_code().as_str()), (409, "LIMIT_REACHED"), "{}", refused.text());
    assert_eq!(refused.json()["limit"], 1000);
    let file = json!({ "mcpServers": { "one-more": { "command": "npx" } } });
    let imported = upload(&world.alice, "file", &file.to_string()).await.json();
    assert_eq!(imported["results"][0]["errors"][0]["code"], "limit", "{imported}");
    assert_eq!(world.bob.post(PATH, server("first")).await.status, 201, "others have their own thousand");

    let listed = world.alice.get(PATH).await.json();
    let path = format!("{PATH}/{}", listed["items"][0]["id"].as_str().unwrap());
    assert_eq!(world.alice.delete(&path).await.status, 204);
    assert_eq!(world.alice.post(PATH, server("one-more")).await.status, 201, "there is room again");
}

#[actix_web::test]
async fn what_is_no_file_is_refused() {
    let world = World::new().await;
    let refused = upload(&world.alice, "file", "{").await;
    assert_eq!((refused.status, refused.violations()), (422, vec!["/file format".to_owned()]));
    let refused = upload(&world.alice, "other", "{}").await;
    assert_eq!((refused.status, refused.violations()), (422, vec!["/other unknown".to_owned()]));
    let huge = " ".repeat((1 << 20) + 1);
    assert_eq!(upload(&world.alice, "file", &huge).await.error_code(), "PAYLOAD_TOO_LARGE");
    let refused = world.alice.post(&format!("{PATH}/import"), json!({})).await;
    assert_eq!((refused.status, refused.error_code().as_str()), (415, "UNSUPPORTED_MEDIA_TYPE"));
    for (form, status) in [("multipart/form-data", 400), ("multipart/form-data; boundary=x", 400)] {
        let request = world.alice.request(Method::POST, &format!("{PATH}/import"));
        let received = world.alice.send(request.header("content-type", form).body("no form")).await;
        assert_eq!(received.status, status, "{form}: {}", received.text());
    }
    let request = world.alice.request(Method::POST, &format!("{PATH}/import"));
    let request = request.header("content-type", "multipart/form-data; boundary=x").body("--x--\r\n");
    assert_eq!(world.alice.send(request).await.violations(), ["/file required"]);
}

#[actix_web::test]
async fn templates_can_be_registered_with_secrets_in_place() {
    let world = World::new().await;
    let templates = world.alice.get(&format!("{PATH}/templates")).await.json();
    let ids: Vec<&str> =
        templates.as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
    for id in ["fetch", "filesystem", "github", "postgres", "slack"] {
        assert!(ids.contains(&id), "{ids:?}");
    }
    for template in templates.as_array().unwrap() {
        let mut server = template.clone();
        for extra in ["id", "source"] {
            server.as_object_mut().unwrap().remove(extra);
        }
        let made = world.alice.post(PATH, server).await;
        assert_eq!(made.status, 201, "{template}: {}", made.text());
    }
}

/// A form with one part.
async fn upload(client: &Client, name: &str, file: &str) -> Received {
    let form = format!(
        "--x\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"f.json\"\r\n\
         Content-Type: application/json\r\n\r\n{file}\r\n--x--\r\n"
    );
    let request = client.request(Method::POST, &format!("{PATH}/import"));
    client.send(request.header("content-type", "multipart/form-data; boundary=x").body(form)).await
}
