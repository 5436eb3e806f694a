//! Files of several clients, read and written.

use super::*;
use domain::{McpServerId, UserId, hook::SealedSecret};

fn one(file: Value) -> Result<Imported, Fault> {
    let file = json!({ "globalShortcut": "x", "mcpServers": { "one": file } });
    let mut entries = read(file.to_string().as_bytes()).unwrap();
    let entry = entries.pop().unwrap();
    assert_eq!((entry.name.as_str(), entries.len()), ("one", 0));
    entry.read
}

fn exposed(secrets: &BTreeMap<String, SecretString>) -> Vec<(&str, &str)> {
    secrets
        .iter()
        .map(|(name, secret)| (name.as_str(), secrecy::ExposeSecret::expose_secret(secret)))
        .collect()
}

#[test]
fn files_of_several_clients_are_read() {
    let desktop =
        json!({ "command": "npx", "args": ["-y", "x"], "env": { "TOKEN": "hush" }, "autoApprove": [] });
    let imported = one(desktop).unwrap();
    assert_eq!(imported.recipe.transport, McpTransport::Stdio);
    assert_eq!(
        (imported.recipe.command.as_deref(), &imported.recipe.args[..]),
        (Some("npx"), &["-y".into(), "x".into()][..])
    );
    assert_eq!(exposed(&imported.recipe.env), [("TOKEN", "hush")]);
    assert_eq!((imported.missing, imported.ignored), (vec![], vec!["autoApprove".to_owned()]));
    assert!(imported.is_enabled);

    for (member, transport) in [
        (json!({ "url": "https://h.example/" }), McpTransport::Http),
        (json!({ "type": "http", "url": "https://h.example/" }), McpTransport::Http),
        (json!({ "transport": "streamable-http", "url": "https://h.example/" }), McpTransport::Http),
        (json!({ "type": "sse", "url": "https://h.example/", "disabled": true }), McpTransport::Sse),
    ] {
        let imported = one(member).unwrap();
        assert_eq!(imported.recipe.transport, transport);
        assert_eq!(imported.is_enabled, transport != McpTransport::Sse);
    }
}

#[test]
fn what_is_no_server_is_told_by_itself() {
    assert_eq!(one(json!([])).unwrap_err().code, "type");
    assert_eq!(one(json!({ "type": "ws", "url": "wss://h.example" })).unwrap_err().pointer, "/type");
    let fault = one(json!({ "command": "x", "env": { "A": ["hush"] } })).unwrap_err();
    assert!(!fault.message.contains("hush"), "{fault:?}");
}

#[test]
fn what_is_no_file_of_servers_is_refused() {
    let refused = |file: &str| read(file.as_bytes()).unwrap_err().to_string();
    assert!(refused("{").contains("not JSON"));
    assert_eq!(refused("[]"), "has no object `mcpServers`");
    assert_eq!(refused(r#"{"mcpServers": []}"#), "has no object `mcpServers`");
    let many: Map<String, Value> = (0..=SERVERS_MAX).map(|n| (n.to_string(), json!({}))).collect();
    assert!(refused(&json!({ "mcpServers": many }).to_string()).contains("more than"));
}

#[test]
fn what_is_written_is_read_back_without_its_secrets() {
    let at = jiff::Timestamp::UNIX_EPOCH;
    let stdio = McpServer {
        id: McpServerId::new(),
        user_id: UserId::new(),
        name: "files".into(),
        description: None,
        transport: McpTransport::Stdio,
        command: Some("npx".into()),
        args: vec!["--key=${TOKEN}".into()],
        env: [("TOKEN".into(), SealedSecret(b"sealed".to_vec()))].into(),
        url: None,
        headers: BTreeMap::new(),
        is_enabled: true,
        is_global: false,
        check: None,
        created_at: at,
        updated_at: at,
    };
    let http = McpServer {
        name: "search".into(),
        transport: McpTransport::Http,
        command: None,
        args: vec![],
        env: BTreeMap::new(),
        url: Some("https://h.example/".into()),
        headers: [("x-api-key".into(), SealedSecret(b"sealed".to_vec()))].into(),
        is_enabled: false,
        ..stdio.clone()
    };
    let file = write(&[stdio, http]);
    let wanted = json!({ "mcpServers": {
        "files": { "command": "npx", "args": ["--key=${TOKEN}"], "env": { "TOKEN": "${TOKEN}" } },
        "search": {
            "type": "http", "url": "https://h.example/", "headers": { "x-api-key": "${X_API_KEY}" }, "disabled": true,
        },
    } });
    assert_eq!(file, wanted);

    let read = read(file.to_string().as_bytes()).unwrap();
    let [files, search] = &read[..] else { panic!("{read:?}") };
    let (files, search) = (files.read.as_ref().unwrap(), search.read.as_ref().unwrap());
    assert_eq!(files.missing, ["/env/TOKEN"]);
    assert_eq!(search.missing, ["/headers/x-api-key"]);
    assert_eq!(exposed(&search.recipe.headers), [("x-api-key", "")]);
    assert!(files.is_enabled && !search.is_enabled);
}
