//! What can be registered, and what is told of it.

use super::*;
use hooks::webhook::Outbound;

fn stdio(command: &str, args: &[&str], env: &[(&str, &str)]) -> Recipe {
    Recipe {
        transport: McpTransport::Stdio,
        command: Some(command.to_owned()),
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        env: secrets(env),
        url: None,
        headers: BTreeMap::new(),
    }
}

fn remote(url: &str, env: &[(&str, &str)], headers: &[(&str, &str)]) -> Recipe {
    Recipe {
        transport: McpTransport::Http,
        command: None,
        url: Some(url.to_owned()),
        headers: secrets(headers),
        ..stdio("", &[], env)
    }
}

fn secrets(of: &[(&str, &str)]) -> BTreeMap<String, SecretString> {
    of.iter().map(|(name, value)| ((*name).to_owned(), SecretString::from(*value))).collect()
}

fn codes(recipe: &Recipe) -> Vec<(String, &'static str)> {
    let outbound = Outbound::new(false).unwrap();
    recipe.faults(&outbound).into_iter().map(|fault| (fault.pointer, fault.code)).collect()
}

#[track_caller]
fn wrong(recipe: &Recipe, pointer: &str, code: &'static str) {
    assert_eq!(codes(recipe), [(pointer.to_owned(), code)]);
}

#[test]
fn secrets_are_filled_in_where_they_are_named() {
    let recipe = stdio(
        "npx",
        &["-y", "--dsn=postgres://u:${PW}@h/${DB}", "${PW", "$PW"],
        &[("PW", "x}y"), ("DB", "d")],
    );
    assert_eq!(codes(&recipe), []);
    let told = recipe.to_cli();
    assert_eq!(told["args"], json!(["-y", "--dsn=postgres://u:x}y@h/d", "${PW", "$PW"]));
    assert_eq!(told["env"], json!({ "PW": "x}y", "DB": "d" }));

    let recipe =
        remote("https://h.example/mcp?key=${KEY}", &[("KEY", "k")], &[("authorization", "Bearer ${KEY}")]);
    assert_eq!(codes(&recipe), []);
    let told = recipe.to_cli();
    assert_eq!(told["url"], "https://h.example/mcp?key=k");
    assert_eq!((&told["type"], &told["headers"]), (&json!("http"), &json!({ "authorization": "Bearer k" })));
}

#[test]
fn what_is_wrong_is_found() {
    wrong(&Recipe { command: None, ..stdio("", &[], &[]) }, "/command", "required");
    wrong(&stdio("A=b", &[], &[]), "/command", "pattern");
    wrong(&stdio("-S", &[], &[]), "/command", "pattern");
    wrong(&stdio("x", &["a\0b"], &[]), "/args/0", "nul");
    wrong(&stdio("x", &["${NO}"], &[]), "/args/0", "unknown_secret");
    wrong(&stdio("x", &["postgresql://u:pw@h/d"], &[]), "/args/0", "secret");
    wrong(&stdio("x", &["--db=postgresql://u:pw@h/d"], &[]), "/args/0", "secret");
    wrong(&stdio("x", &[], &[("1A", "")]), "/env/1A", "pattern");
    wrong(&stdio("x", &[], &[("A/B", "")]), "/env/A~1B", "pattern");
    wrong(&Recipe { url: Some("https://h.example".into()), ..stdio("x", &[], &[]) }, "/url", "conflict");
    wrong(&Recipe { headers: secrets(&[("a", "b")]), ..stdio("x", &[], &[]) }, "/headers", "conflict");
    wrong(&Recipe { transport: McpTransport::Sdk, ..stdio("x", &[], &[]) }, "/server_type", "unsupported");

    let url = "https://h.example/";
    wrong(&Recipe { url: None, ..remote(url, &[], &[]) }, "/url", "required");
    wrong(&Recipe { args: vec!["a".into()], ..remote(url, &[], &[]) }, "/args", "conflict");
    wrong(&Recipe { command: Some("a".into()), ..remote(url, &[], &[]) }, "/command", "conflict");
    wrong(&remote("http://h.example/", &[], &[]), "/url", "url");
    wrong(&remote("https://10.0.0.1/", &[], &[]), "/url", "url");
    // The address that counts is the one that would be called.
    wrong(&remote("https://${HOST}/", &[("HOST", "127.0.0.1")], &[]), "/url", "url");
    wrong(&remote(url, &[], &[("mcp-session-id", "x")]), "/headers/mcp-session-id", "reserved");
    wrong(&remote(url, &[], &[("a b", "x")]), "/headers/a b", "pattern");
    wrong(&remote(url, &[], &[("x", "a\nb")]), "/headers/x", "pattern");
    wrong(&remote(url, &[("N", "a\nb")], &[("x", "${N}")]), "/headers/x", "pattern");
}

#[test]
fn secrets_are_cut_out_of_texts() {
    let recipe = remote(
        "https://h.example/",
        &[("A", "hush"), ("B", "hush-hush"), ("C", "x")],
        &[("h", "Bearer t0ken")],
    );
    assert_eq!(recipe.redacted("hush-hush, hush, x and t0ken"), "***, ***, x and ***");
}

#[test]
fn secrets_are_sealed_for_one_server() {
    let (keys, recipe, at) =
        (Keyring::new(b"key", []).unwrap(), stdio("x", &[], &[("A", "hush")]), jiff_now());
    let id = McpServerId::new();
    let (env, headers) = recipe.seal(id, &keys).unwrap();
    let server = McpServer {
        id,
        user_id: domain::UserId::new(),
        name: "n".into(),
        description: None,
        transport: recipe.transport,
        command: recipe.command.clone(),
        args: vec![],
        env,
        url: None,
        headers,
        is_enabled: true,
        is_global: false,
        check: None,
        created_at: at,
        updated_at: at,
    };
    assert_eq!(Recipe::open(&server, &keys).unwrap().variables()["A"], "hush");
    let moved = McpServer { id: McpServerId::new(), ..server };
    assert_eq!(Recipe::open(&moved, &keys).unwrap_err(), SecretsLost::Tampered);
}

fn jiff_now() -> jiff::Timestamp {
    jiff::Timestamp::UNIX_EPOCH
}
