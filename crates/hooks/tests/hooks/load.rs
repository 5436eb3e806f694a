//! Many tools at once, each told to the hooks of its session, as agents do it.

use crate::world::{World, call};
use hooks::Switches;
use monitoring::Activity;
use std::sync::Arc;

const TASKS: u64 = 16;
const EACH: u64 = 1_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn thousands_of_tools_are_all_counted() {
    let world = World::new(&[]).await;
    let hooks = world.hooks(Switches { audit: false, ..Switches::default() }, vec![]);
    let registrations = Arc::new(world.registrations(&hooks).await);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..TASKS {
        let registrations = registrations.clone();
        tasks.spawn(async move {
            for _ in 0..EACH {
                call(&registrations, "PostToolUse", "Bash").await.unwrap();
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    hooks.shut_down().await;
    let scraped = world.metrics.scrape().unwrap().text().unwrap();
    let counted =
        format!("steward_tool_executions_total{{outcome=\"completed\",tool=\"Bash\"}} {}\n", TASKS * EACH);
    assert!(scraped.contains(&counted), "{scraped}");
    let [.., hour] = world.metrics.performance().unwrap().of(Activity::Tool);
    assert_eq!(hour.count, TASKS * EACH);
    let reloaded = domain::ports::Sessions::get(&world.store, domain::Scope::All, world.session.id).await;
    assert_eq!(reloaded.unwrap().unwrap().counters.hook_executions, TASKS * EACH, "and all are on record");
}
