//! Settings that are asked for without a conversation.

use std::fs;

use sdk_runtime::{
    Error, ProcessLauncher, SettingSource, SettingSources, Settings, control::resolve_settings,
};
use serde_json::{Value, json};

use crate::bench::Bench;

#[tokio::test]
async fn settings_are_those_the_cli_would_obey_and_nothing_they_name_is_run() {
    let bench = Bench::new().await;
    let ran = bench.path("ran");
    let touch = format!("touch {}", ran.display());
    let hooks = json!([{ "hooks": [{ "type": "command", "command": touch }] }]);
    let write = |file: &str, settings: Value| {
        let path = bench.path(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, settings.to_string()).unwrap();
    };
    write(
        "config/settings.json",
        json!({ "model": "by-user", "effortLevel": "low", "permissions": { "allow": ["A"] } }),
    );
    let project = json!({
        "model": "by-project",
        "permissions": { "allow": ["B"], "defaultMode": "acceptEdits" },
        "hooks": { "SessionStart": hooks, "SessionEnd": hooks, "Setup": hooks },
        "enableAllProjectMcpServers": true,
    });
    write("work/.claude/settings.json", project);
    write("work/.mcp.json", json!({ "mcpServers": { "m": { "command": "touch", "args": [ran] } } }));
    write("work/.claude/settings.local.json", json!({ "permissions": { "deny": ["C"] } }));
    let files = vec![SettingSource::User, SettingSource::Project, SettingSource::Local];
    let options = bench
        .options()
        .with_setting_sources(SettingSources::Only(files))
        .with_settings(Some(Settings::Inline(json!({ "effortLevel": "high" }))));

    let found = resolve_settings(&ProcessLauncher, options.clone()).await.unwrap();
    let effective = &found.effective;
    assert_eq!((&effective["model"], &effective["effortLevel"]), (&json!("by-project"), &json!("high")));
    assert_eq!(effective["permissions"]["allow"], json!(["A", "B"]), "{effective}");
    assert_eq!(effective["permissions"]["deny"], json!(["C"]));
    let sources = ["model", "effortLevel", "hooks", "nothing"].map(|key| found.source_of(key));
    assert_eq!(sources, [Some("projectSettings"), Some("flagSettings"), Some("projectSettings"), None]);
    assert_eq!(found.of_source("userSettings").unwrap()["model"], "by-user");
    assert_eq!(effective["permissions"]["defaultMode"], "acceptEdits");
    assert_eq!(found.without_escalating_mode()["permissions"].get("defaultMode"), None);

    let user = options.clone().with_setting_sources(SettingSources::Only(vec![SettingSource::User]));
    let found = resolve_settings(&ProcessLauncher, user).await.unwrap();
    assert_eq!(found.effective["model"], "by-user");
    assert!(!ran.exists(), "hooks or servers of the settings were run");
    assert!(!bench.path("config/projects").exists(), "a transcript was written");
    bench.assert_nothing_left().await;

    let error =
        resolve_settings(&ProcessLauncher, options.with_cwd(bench.path("nowhere"))).await.unwrap_err();
    assert!(matches!(error, Error::CwdNotFound { .. }), "{error}");
}
