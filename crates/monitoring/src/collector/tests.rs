//! What comes out of a scrape after what went in.

use super::*;
use crate::{
    meters::{Kind, catalogue},
    telemetry::Drops,
};
use domain::{
    Alert, AlertId, AlertTopic, Budget, BudgetPeriod, BudgetStatus, DecidedBy, Opinion, PermissionDecision,
    PermissionDecisionId, RequestUsageId, SessionStatus, Severity, Spender, TokenUsage, UserId, Verdict,
    WhenExhausted, ports::TelemetrySignal,
};
use std::{collections::BTreeSet, sync::Arc};

const TOOK: Duration = Duration::from_millis(40);

fn collector() -> Arc<MetricsCollector> {
    Arc::new(MetricsCollector::local("1.2.3").unwrap())
}

fn text(metrics: &MetricsCollector) -> String {
    metrics.scrape().unwrap().text().unwrap()
}

/// The value of a series.
#[track_caller]
fn value(scraped: &str, series: &str) -> f64 {
    let line = scraped.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{series} is not in\n{scraped}")).parse().unwrap()
}

/// How many series a scrape has, without the buckets of histograms.
fn series(scraped: &str) -> usize {
    scraped.lines().filter(|line| !line.starts_with('#') && !line.contains("_bucket{")).count()
}

fn usage(model: &str) -> RequestUsage {
    RequestUsage {
        id: RequestUsageId::new(),
        session_id: SessionId::new(),
        user_id: UserId::new(),
        turn_id: None,
        model: model.to_owned(),
        tokens: TokenUsage { input: 1, output: 2, cache_write_5m: 3, cache_write_1h: 4, cache_read: 5 },
        thinking_tokens: 1,
        tools: vec![],
        cost: MicroUsd(1_500_000),
        price_version: "v".to_owned(),
        is_priced: true,
        is_complete: true,
        is_estimated: false,
        http_status: 200,
        stop_reason: None,
        started_at: Timestamp::UNIX_EPOCH,
        duration_ms: 40,
    }
}

fn decision(policy: &str, decided_by: DecidedBy) -> PermissionDecision {
    PermissionDecision {
        id: PermissionDecisionId::new(),
        session_id: SessionId::new(),
        turn_id: None,
        tool_use_id: None,
        tool_name: "Bash".to_owned(),
        input_data: serde_json::Value::Null,
        context: serde_json::Value::Null,
        opinion: Opinion::new(Verdict::Deny, policy, "rule", "no"),
        decided_by,
        interrupted: false,
        decided_at: Timestamp::UNIX_EPOCH,
    }
}

/// Everything that can be told, once.
fn tell_everything(metrics: &Arc<MetricsCollector>, name: &str) {
    let _guards =
        [metrics.request_active(), metrics.watching(), metrics.agent_starting(), metrics.agent_on_trial()];
    metrics.record_http_request(name, None, 200, TOOK);
    metrics.record_query_duration(SessionMode::Interactive, TurnStatus::Completed, TOOK);
    metrics.record_tool_execution(name, ToolOutcome::Completed, TOOK);
    metrics.record_model_request(&usage(name), Some(TOOK));
    metrics.record_api_cost(&usage(name));
    metrics.record_agent_start(AgentStart::Started, TOOK);
    metrics.record_permission_decision(&decision(name, DecidedBy::Policy));
    metrics.record_permission_check(TOOK);
    metrics.record_hook_run(name, "completed", TOOK);
    metrics.record_archive(ArchiveOperation::Store, true, TOOK, Some(4096));
    metrics.record_stream_disconnect();
    metrics.record_budget_refusal("user");
    metrics.record_budget_wait();
    metrics.record_ledger_failure();
    metrics.record_alert(&Alert {
        id: AlertId::new(),
        topic: AlertTopic::Health { check: name.to_owned(), since: Timestamp::UNIX_EPOCH },
        severity: Severity::Info,
        message: name.to_owned(),
        user_id: None,
        raised_at: Timestamp::UNIX_EPOCH,
    });
    metrics.record_alert_delivery(domain::AlertChannel::Email, true);
    let drops = Drops::default();
    drops.add(TelemetrySignal::Traces, 1, "for the test");
    metrics.note_drops(&drops);
    metrics.note_drops(&drops);
    metrics.note_agents(AgentLevels { seats: 3, idle: 1 });
    metrics.note_agent_memory(&[1, 2]);
    metrics.note_queue("interactive", 2, TOOK);
    metrics.note_sessions(&[(SessionMode::Interactive, SessionStatus::Active, 7)]);
    metrics.note_approvals(2, TOOK);
    metrics.note_holds(1, MicroUsd(500_000));
    metrics.note_budgets(&[budget(Spender::Team(name.to_owned()), 79)]);
    metrics.note_database(&[PoolLevels { pool: "read", used: 1, idle: 2, max: 3 }]);
    metrics.note_store_errors("failed", 1);
    metrics.note_health("database", true, true);
    metrics.note_executions(1, 2, 3, TOOK);
    metrics.note_task_slots(4, 1);
    metrics.record_execution("completed");
}

fn budget(spender: Spender, spent: i64) -> BudgetStatus {
    BudgetStatus {
        spender,
        period: BudgetPeriod::default(),
        budget: Some(Budget { limit: MicroUsd(100), when_exhausted: WhenExhausted::Block }),
        is_own: true,
        spent: MicroUsd(spent),
        held: MicroUsd(0),
    }
}

#[test]
fn every_metric_of_the_catalogue_comes_out_under_its_name_and_with_its_labels() {
    let metrics = collector();
    // Nothing has happened, and every name is there.
    let first = text(&metrics);
    tell_everything(&metrics, "Bash");
    let scraped = text(&metrics);
    let mut names = BTreeSet::new();
    for metric in catalogue() {
        let (name, kind) = (metric.name(), metric.kind.as_str());
        let declared = format!("# TYPE {name} {kind}\n");
        assert!(first.contains(&declared), "{declared} is not in the first scrape");
        assert_eq!(scraped.matches(&declared).count(), 1, "{declared}");
        assert_eq!(scraped.matches(&format!("# HELP {name} {}\n", metric.help)).count(), 1, "{name}");
        let of_histogram = if metric.kind == Kind::Histogram { "_count" } else { "" };
        let series = format!("{name}{of_histogram}");
        let is_of = |line: &&str| {
            line.strip_prefix(&series).is_some_and(|rest| rest.starts_with('{') || rest.starts_with(' '))
        };
        let line = scraped.lines().find(is_of);
        let line = line.unwrap_or_else(|| panic!("there is no series of {name} in\n{scraped}"));
        let labels = line.split_once('{').map_or("", |(_, rest)| rest.rsplit_once('}').unwrap().0);
        let mut labels: Vec<&str> =
            labels.split(',').filter_map(|label| Some(label.split_once('=')?.0)).collect();
        let mut expected = metric.labels.to_vec();
        labels.sort_unstable();
        expected.sort_unstable();
        assert_eq!(labels, expected, "{name}");
        assert!(names.insert(name), "named twice");
    }
    let told: BTreeSet<&str> =
        scraped.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let unknown: Vec<_> = told.into_iter().filter(|name| !names.contains(*name)).collect();
    assert_eq!(unknown, Vec::<&str>::new(), "these are not in the catalogue");
    assert!(!scraped.contains("otel_scope") && !scraped.contains("target_info"), "{scraped}");
}

#[test]
fn figures_are_those_that_were_told() {
    let metrics = collector();
    metrics.know_models(["claude-opus".to_owned()]);
    tell_everything(&metrics, "claude-opus");
    metrics.record_api_cost(&RequestUsage { is_priced: false, is_estimated: true, ..usage("unheard-of") });
    let scraped = text(&metrics);
    for (series, expected) in [
        (r#"steward_turns_total{mode="interactive",outcome="completed"}"#, 1.0),
        (r#"steward_turn_duration_seconds_sum{mode="interactive",outcome="completed"}"#, 0.04),
        (r#"steward_turn_duration_seconds_bucket{mode="interactive",outcome="completed",le="0.1"}"#, 1.0),
        (r#"steward_model_requests_total{model="claude-opus",outcome="completed"}"#, 1.0),
        (r#"steward_tokens_total{kind="cache_write_1h",model="claude-opus"}"#, 4.0),
        (r#"steward_tokens_total{kind="thinking",model="other"}"#, 1.0),
        (r#"steward_cost_usd_total{model="claude-opus"}"#, 1.5),
        ("steward_cost_unpriced_usd_total", 1.5),
        ("steward_cost_estimated_usd_total", 1.5),
        (r#"steward_agents{state="running"}"#, 1.0),
        (r#"steward_agents{state="starting"}"#, 1.0),
        (r#"steward_agents{state="trial"}"#, 1.0),
        ("steward_agents_memory_bytes", 3.0),
        ("steward_agent_memory_max_bytes", 2.0),
        (r#"steward_sessions{mode="interactive",status="active"}"#, 7.0),
        (r#"steward_sessions{mode="forked",status="failed"}"#, 0.0),
        (r#"steward_budget_spenders{kind="team",used="below_80"}"#, 1.0),
        (r#"steward_budget_spenders{kind="user",used="exhausted"}"#, 0.0),
        (r#"steward_permission_decisions_total{rule="custom",verdict="deny"}"#, 1.0),
        (r#"steward_store_errors_total{kind="failed"}"#, 1.0),
        // The guards are gone.
        ("http_server_active_requests", 0.0),
        ("steward_stream_watchers", 0.0),
        (r#"steward_build_info{version="1.2.3"}"#, 1.0),
    ] {
        let found = value(&scraped, series);
        assert!((found - expected).abs() < 1e-9, "{series} is {found}");
    }
    metrics.note_store_errors("failed", 5);
    assert_eq!(value(&text(&metrics), r#"steward_store_errors_total{kind="failed"}"#), 5.0);
    if cfg!(target_os = "linux") {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
        let started = value(&scraped, "process_start_time_seconds");
        assert!((now - 3600.0..=now + 2.0).contains(&started), "{started} is not shortly before {now}");
        assert!(value(&scraped, "process_resident_memory_bytes") > 1e6);
        assert!(value(&scraped, "process_open_fds") >= 1.0);
    }
}

#[test]
fn budgets_are_told_apart_by_what_is_spent() {
    let metrics = collector();
    let spent = [0, 49, 50, 79, 80, 99, 100, 250];
    let mut budgets: Vec<_> = spent.map(|spent| budget(Spender::User(UserId::new()), spent)).to_vec();
    // Nothing may be spent on it, and nothing bounds the last one.
    let none = Budget { limit: MicroUsd(0), when_exhausted: WhenExhausted::Warn };
    budgets.push(BudgetStatus { budget: Some(none), ..budgets[0].clone() });
    budgets.push(BudgetStatus { budget: None, ..budgets[0].clone() });
    metrics.note_budgets(&budgets);
    let scraped = text(&metrics);
    for (used, count) in [("below_50", 2.0), ("below_80", 2.0), ("below_100", 2.0), ("exhausted", 3.0)] {
        let series = format!(r#"steward_budget_spenders{{kind="user",used="{used}"}}"#);
        assert_eq!(value(&scraped, &series), count, "{used}");
    }
    let left = value(&scraped, r#"steward_budget_remaining_usd{kind="user"}"#);
    assert!((left - 243e-6).abs() < 1e-12, "{left}");
}

#[test]
fn ten_thousand_names_make_no_more_series_than_one() {
    let metrics = collector();
    metrics.know_models(["claude-opus".to_owned()]);
    tell_everything(&metrics, "first");
    let before = series(&text(&metrics));
    for n in 0..10_000 {
        tell_everything(&metrics, &format!("name-{n}"));
    }
    let scraped = text(&metrics);
    assert_eq!(series(&scraped), before);
    assert!(!scraped.contains("name-"), "{scraped}");
    assert!(!scraped.contains("otel_metric_overflow"), "{scraped}");
    assert_eq!(
        value(&scraped, r#"steward_tool_executions_total{outcome="completed",tool="other"}"#),
        10_001.0
    );
    metrics.record_tool_execution("mcp__github__search", ToolOutcome::Failed, TOOK);
    metrics.record_tool_execution("mcp__jira__search", ToolOutcome::Failed, TOOK);
    let mcp = r#"steward_tool_executions_total{outcome="failed",tool="mcp"}"#;
    assert_eq!(value(&text(&metrics), mcp), 2.0);
}

#[test]
fn every_word_that_may_be_a_label_has_room_for_a_series_of_its_own() {
    let metrics = collector();
    for tool in labels::TOOLS.iter().chain(&["mcp__a__b", "unheard-of"]) {
        metrics.record_tool_execution(tool, ToolOutcome::Completed, TOOK);
        metrics.record_tool_execution(tool, ToolOutcome::Failed, TOOK);
    }
    for event in labels::EVENTS.iter().chain(&["unheard-of"]) {
        for outcome in ["completed", "blocked", "failed", "timed_out"] {
            metrics.record_hook_run(event, outcome, TOOK);
        }
    }
    // A table, and those that replace it.
    for table in ["a", "b", "c"] {
        let names = || (0..labels::MODELS_MAX).map(|n| format!("{table}{n}"));
        metrics.know_models(names());
        for name in names() {
            metrics.record_api_cost(&usage(&name));
            for http_status in [0, 200, 400, 429, 500] {
                metrics.record_model_request(&RequestUsage { http_status, ..usage(&name) }, Some(TOOK));
            }
        }
    }
    for n in 0..300 {
        for status in [200, 401, 404, 500] {
            metrics.record_http_request("GET", Some(format!("/{n}")), status, TOOK);
        }
    }
    let scraped = text(&metrics);
    assert!(!scraped.contains("otel_metric_overflow"), "{scraped}");
}

#[test]
fn a_collector_that_is_off_has_nothing_to_say() {
    let metrics = Arc::new(MetricsCollector::off());
    tell_everything(&metrics, "Bash");
    metrics.know_models(["m".to_owned()]);
    assert!(metrics.scrape().is_none() && metrics.performance().is_none());
    metrics.shut_down();
}

/// A minute of a thousand tool executions a second, from many threads.
#[test]
fn a_thousand_tools_a_second_are_all_counted_in_memory_that_does_not_grow() {
    const THREADS: u64 = 8;
    const EACH: u64 = 7_500;
    let metrics = collector();
    let run = |count: u64| {
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let metrics = &metrics;
                scope.spawn(move || {
                    for n in 0..count {
                        let tool = ["Bash", "Read", "Edit", "mcp__a__b"][((n + thread) % 4) as usize];
                        metrics.record_tool_execution(tool, ToolOutcome::Completed, Duration::from_micros(n));
                        metrics.record_hook_run("PostToolUse", "completed", Duration::from_micros(n));
                    }
                });
            }
        });
    };
    // Everything that is ever allocated is allocated by the first few.
    run(100);
    let resident = || value(&text(&metrics), "process_resident_memory_bytes");
    let before = resident();
    run(EACH);
    let after = resident();
    let scraped = text(&metrics);
    let expected = (THREADS * (EACH + 100)) as f64;
    let counted: f64 = ["Bash", "Read", "Edit", "mcp"]
        .map(|tool| {
            let count = value(
                &scraped,
                &format!(r#"steward_tool_executions_total{{outcome="completed",tool="{tool}"}}"#),
            );
            assert_eq!(
                value(&scraped, &format!(r#"steward_tool_duration_seconds_count{{tool="{tool}"}}"#)),
                count
            );
            count
        })
        .iter()
        .sum();
    assert_eq!(counted, expected);
    let report = metrics.performance().unwrap();
    for activity in [Activity::Tool, Activity::Hook] {
        let [_, _, hour] = report.of(activity);
        assert_eq!(hour.count as f64, expected);
    }
    let grown = after - before;
    assert!(grown < 4e6, "it grew by {grown} bytes");
}
