//! What a verdict on a tool call costs: the judging alone, and with its record on SQLite.
//!
//! In this process and not through a server, because one verdict is far below what a turn varies by.

use std::{path::Path, sync::Arc, time::Instant};

use anyhow::{Context, Result};
use domain::{
    Clock, Counters, CurrentTurn, NewUser, Origin, Role, SdkOptions, Session, SessionId, SessionMode,
    SessionSpec, SessionStatus, SystemClock, User, UserId,
    ports::{Accounts, Sessions},
};
use permissions::{
    CommandPattern, NetworkSettings, PathSettings, PermissionManager, PolicyEngine, PolicySettings,
    Surroundings, ToolCall,
};
use persistence::{Database, DatabaseOptions};
use serde_json::{Value, json};

use crate::{figures::Sample, report::Row, scale::Scale, tools::Tools};

const JUDGED_TARGET_MS: f64 = 0.2;
const RECORDED_TARGET_MS: f64 = 1.0;

pub(crate) async fn measure(tools: &Tools, scale: &Scale) -> Result<Vec<Row>> {
    let folder = tools.new_folder("verdicts")?;
    let work = folder.join("work/src");
    std::fs::create_dir_all(&work).context("failed to make the working directory")?;
    std::fs::write(work.join("main.rs"), "fn main() {}\n")?;
    let surroundings = surroundings(&folder);
    let calls = calls(&surroundings);
    let governed = PolicyEngine::built_in(&settings(&folder)?, &[]);
    let ungoverned = PolicyEngine::default();

    let url = format!("sqlite://{}/verdicts.db", folder.display());
    let database = Database::open(&DatabaseOptions::new(url), migration::up).await?;
    let store = Arc::new(database.store());
    let session = session(&surroundings);
    store.create_user(&owner(&surroundings), &Origin::system()).await?;
    Sessions::create(store.as_ref(), &session, &Origin::system()).await?;
    let manager = |engine: &PolicyEngine| {
        let turn = CurrentTurn::default();
        PermissionManager::new(
            engine.clone(),
            surroundings.clone(),
            turn,
            store.clone(),
            Arc::new(SystemClock),
        )
    };
    let (ours, theirs) = (manager(&governed), manager(&ungoverned));

    let mut judged = [Sample::default(), Sample::default()];
    let mut recorded = [Sample::default(), Sample::default()];
    for round in 0..scale.verdicts {
        let call = &calls[round % calls.len()];
        for (manager, which) in [(&ours, 0), (&theirs, 1)] {
            let asked = Instant::now();
            std::hint::black_box(manager.judge(call).await);
            judged[which].push_time(asked.elapsed());
            let asked = Instant::now();
            std::hint::black_box(manager.decide(call).await);
            recorded[which].push_time(asked.elapsed());
        }
    }
    database.close().await?;
    let how =
        format!("{} verdicts by turns over {} kinds of calls, in one process", scale.verdicts, calls.len());
    let row = |what: &str, samples: &[Sample; 2], percent, target: Option<f64>| {
        let row = Row::new(what, "ms", samples[0].percentile(percent), &how)
            .beside("the same without policies", samples[1].percentile(percent));
        match target {
            Some(target) => row.at_most(target),
            None => row,
        }
    };
    Ok(vec![
        row("verdict without its record, p50", &judged, 50.0, Some(JUDGED_TARGET_MS)),
        row("verdict without its record, p99", &judged, 99.0, None),
        row("verdict on record on SQLite, p50", &recorded, 50.0, Some(RECORDED_TARGET_MS)),
        row("verdict on record on SQLite, p99", &recorded, 99.0, None),
    ])
}

fn settings(folder: &Path) -> Result<PolicySettings> {
    let restricted = ["/etc/passwd", "/etc/shadow", "~/.ssh", "~/.aws/credentials"];
    Ok(PolicySettings {
        blocked_commands: CommandPattern::list("rm -rf, sudo rm, format, mkfs, dd")?,
        paths: PathSettings {
            restricted: restricted.iter().map(|path| path.parse()).collect::<Result<_, _>>()?,
            user_home: std::env::home_dir(),
            writable: Vec::new(),
            hidden: vec![folder.join("data")],
        },
        network: NetworkSettings::default(),
    })
}

pub(crate) fn surroundings(folder: &Path) -> Surroundings {
    Surroundings {
        session_id: SessionId::new(),
        user_id: UserId::new(),
        generation: domain::Generation::FIRST,
        working_directory: folder.join("work"),
        add_dirs: Vec::new(),
        home: folder.join("home"),
        temporary: folder.join("tmp"),
    }
}

/// What agents do all day.
fn calls(surroundings: &Surroundings) -> Vec<ToolCall> {
    let main = surroundings.working_directory.join("src/main.rs");
    let call = |tool: &str, input: Value| ToolCall {
        tool_name: tool.to_owned(),
        input,
        tool_use_id: Some("toolu_bench".to_owned()),
        agent_id: None,
        cwd: surroundings.working_directory.clone(),
        permission_mode: Some("default".to_owned()),
    };
    vec![
        call(
            "Bash",
            json!({ "command": "cargo test --workspace 2>&1 | tail -40", "description": "Run the tests" }),
        ),
        call("Read", json!({ "file_path": main })),
        call(
            "Bash",
            json!({ "command": "git add -A && git commit -m \"Fix the parser\" && git push origin HEAD" }),
        ),
        call(
            "Edit",
            json!({ "file_path": main, "old_string": "fn main() {}", "new_string": "fn main() { run() }" }),
        ),
        call("Grep", json!({ "pattern": "fn main", "path": "src", "output_mode": "content" })),
        call(
            "Bash",
            json!({ "command": "for f in $(git ls-files '*.rs'); do wc -l \"$f\"; done | sort -rn | head" }),
        ),
        call("Write", json!({ "file_path": main, "content": "fn main() {\n    println!(\"hello\");\n}\n" })),
        call("WebFetch", json!({ "url": "https://docs.rs/serde", "prompt": "What does flatten do?" })),
    ]
}

pub(crate) fn owner(surroundings: &Surroundings) -> NewUser {
    let user = User {
        id: surroundings.user_id,
        email: "bench@example.org".to_owned(),
        username: "bench".to_owned(),
        full_name: None,
        role: Role::Member,
        is_active: true,
        team: None,
        time_zone: "UTC".to_owned(),
        created_at: SystemClock.now(),
        last_login_at: None,
    };
    NewUser { user, password_hash: String::new() }
}

pub(crate) fn session(surroundings: &Surroundings) -> Session {
    let at = SystemClock.now();
    Session {
        id: surroundings.session_id,
        user_id: surroundings.user_id,
        name: None,
        description: None,
        mode: SessionMode::Interactive,
        status: SessionStatus::Created,
        spec: SessionSpec {
            working_directory: surroundings.working_directory.display().to_string(),
            owns_directory: true,
            whereabouts: Default::default(),
            directory_source: None,
            allowed_tools: Vec::new(),
            system_prompt: None,
            sdk_options: SdkOptions::default(),
            include_partial_messages: false,
            max_retries: 0,
            retry_delay_ms: 0,
            timeout_seconds: 60,
            hooks_enabled: Vec::new(),
            permission_mode: "default".to_owned(),
            custom_policies: Vec::new(),
        },
        metadata: json!({}),
        parent_session_id: None,
        fork_at_message: None,
        template_id: None,
        current_turn_id: None,
        operation: None,
        archive_id: None,
        server_id: None,
        generation: domain::Generation::FIRST,
        agent: None,
        counters: Counters::default(),
        error_message: None,
        budget_paused_at: None,
        created_at: at,
        updated_at: at,
        started_at: None,
        completed_at: None,
    }
}
