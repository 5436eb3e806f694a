//! What custom policies say of calls.

use super::{bash, call, compiled, judge, judge_at, surroundings};
use domain::Verdict::{self, Abstain, Allow, Ask, Deny};
use serde_json::json;

const FORBID_RM: &str = r#"forbid(principal, action == Action::"run_command", resource == Command::"rm");"#;
const PERMIT_LS: &str = r#"permit(principal, action == Action::"run_command", resource == Command::"ls");"#;

#[test]
fn each_rule_concerns_what_it_names() {
    let etc = r#"forbid(principal, action == Action::"write_file", resource in Directory::"/etc");"#;
    let shadow = r#"forbid(principal, action == Action::"read_file", resource == File::"/etc/shadow");"#;
    let env = r#"@decision("ask") forbid(principal, action in [Action::"read_file", Action::"write_file"], resource)
        when { resource.name like ".env*" || resource.extension == "pem" };"#;
    let force = r#"forbid(principal, action == Action::"run_command", resource == Command::"git")
        when { resource.line like "git push*" && resource.arguments.containsAny(["-f", "--force"]) };"#;
    let mcp = r#"@decision("ask") forbid(principal, action, resource in McpServer::"github");"#;
    let host = r#"permit(principal, action == Action::"fetch_url", resource in Host::"example.com")
        when { resource.scheme == "https" && resource.port == 443 };"#;
    let private = r#"forbid(principal, action == Action::"fetch_url", resource)
        when { resource has ip && (resource.ip.isLoopback() || resource.ip.isInRange(ip("10.0.0.0/8"))) };"#;
    let input = r#"forbid(principal, action == Action::"use_tool", resource == Tool::"Task")
        when { resource.hasTag("options/depth") && resource.getTag("options/depth") == "3" };"#;
    let sudo = r#"forbid(principal, action == Action::"run_command", resource) when { resource.under.contains("sudo") };"#;
    let url = |url: &str| call("WebFetch", json!({ "url": url }));
    let table = [
        (FORBID_RM, bash("rm -rf x"), Deny),
        (FORBID_RM, bash("/bin/rm x"), Deny),
        (FORBID_RM, bash("ls && rm x"), Deny),
        (FORBID_RM, bash("echo rm"), Abstain),
        (FORBID_RM, call("Read", json!({ "file_path": "rm" })), Abstain),
        (force, bash("git push origin --force main"), Deny),
        (force, bash("git push origin main"), Abstain),
        (sudo, bash("sudo -u www systemctl restart x"), Deny),
        (sudo, bash("systemctl status x"), Abstain),
        (etc, call("Write", json!({ "file_path": "/etc/hosts", "content": "" })), Deny),
        (etc, call("Edit", json!({ "file_path": "../../etc/cron.d/x" })), Deny),
        (etc, call("NotebookEdit", json!({ "notebook_path": "/work/../etc/x.ipynb" })), Deny),
        (etc, bash("echo x >/etc/hosts"), Deny),
        (etc, bash("cp x /etc/hosts"), Deny),
        (etc, bash("cd / && touch etc/x"), Deny),
        (shadow, bash("cat /etc/shadow"), Deny),
        (shadow, bash("some-tool --file=x /etc/../etc/shadow"), Deny),
        (shadow, call("mcp__files__open", json!({ "at": { "path": "/etc/shadow" } })), Deny),
        (etc, bash("cat /etc/hosts"), Abstain),
        (etc, call("Read", json!({ "file_path": "/etc/hosts" })), Abstain),
        (etc, call("Write", json!({ "file_path": "/etcetera/x" })), Abstain),
        (env, call("Read", json!({ "file_path": ".env.local" })), Ask),
        (env, call("Write", json!({ "file_path": "~/keys/a.pem" })), Ask),
        (env, call("Read", json!({ "file_path": "environment" })), Abstain),
        (mcp, call("mcp__github__create_issue", json!({})), Ask),
        (mcp, call("mcp__gitlab__create_issue", json!({})), Abstain),
        (host, url("https://docs.Example.com/a?b"), Allow),
        (host, url("https://example.com."), Allow),
        (host, url("http://example.com/"), Abstain),
        (host, url("https://example.com.evil.org/"), Abstain),
        (host, url("https://badexample.com/"), Abstain),
        (private, url("http://127.0.0.1:8080/"), Deny),
        (private, url("http://0x0a000001/"), Deny),
        (private, url("http://167772161/"), Deny),
        (private, url("http://[::1]/"), Deny),
        (private, url("https://example.com/"), Abstain),
        (input, call("Task", json!({ "options": { "depth": 3 } })), Deny),
        (input, call("Task", json!({ "options": { "depth": 2 } })), Abstain),
        (input, call("Task", json!({ "prompt": "3" })), Abstain),
    ];
    for (text, call, expected) in table {
        let opinion = judge(&compiled(text), &call);
        assert_eq!(opinion.verdict, expected, "{text}\n{call:?}\n{opinion:?}");
        assert_eq!((opinion.policy.as_str(), opinion.version), ("house", Some(3)));
    }
}

#[test]
fn an_opinion_names_the_rule_and_its_reason() {
    let policy = compiled(&format!(
        r#"@id("no rm") @reason("use the trash instead") {FORBID_RM}
        @id("stop") forbid(principal, action == Action::"run_command", resource == Command::"dd");"#
    ));
    let opinion = judge(&policy, &bash("rm x"));
    assert_eq!((opinion.rule.as_str(), opinion.reason.as_str()), ("no rm", "use the trash instead"));
    let opinion = judge(&policy, &bash("dd of=x"));
    assert_eq!(opinion.reason, "rule stop of policy house forbids the command dd");
    let opinion = judge(&compiled(FORBID_RM), &bash("rm x"));
    assert_eq!(opinion.rule, "policy0");
}

#[test]
fn a_permit_counts_for_the_tool_or_when_every_part_has_one() {
    let both = format!("{PERMIT_LS} {}", PERMIT_LS.replace("ls", "cat"));
    let tool = r#"permit(principal, action == Action::"use_tool", resource == Tool::"Bash");"#;
    let work = r#"permit(principal, action == Action::"write_file", resource in Directory::"/work");"#;
    let written = format!("{PERMIT_LS} {work}");
    let cp = &PERMIT_LS.replace("ls", "cp");
    let copied = format!("{cp} {work}");
    let table = [
        (PERMIT_LS, "ls", Allow),
        (PERMIT_LS, "ls && cat x", Abstain),
        (&both, "ls && cat x", Allow),
        (&both, "ls && cat x && id", Abstain),
        (PERMIT_LS, "ls >x", Abstain),
        (&written, "ls >x", Allow),
        (&written, "ls >/etc/x", Abstain),
        (tool, "ls && id >x", Allow),
        // What a permitted command reads is permitted with it, what it writes is not.
        (cp, "cp a b", Abstain),
        (&copied, "cp a b", Allow),
        // What is only known when it runs is permitted by nobody.
        (PERMIT_LS, "ls $X", Abstain),
        (tool, "$X", Abstain),
    ];
    for (text, line, expected) in table {
        assert_eq!(judge(&compiled(text), &bash(line)).verdict, expected, "{text}\n{line}");
    }
    let everything = compiled("permit(principal, action, resource);");
    assert_eq!(judge(&everything, &call("Read", json!({ "file_path": "x" }))).verdict, Allow);
    for question in ["AskUserQuestion", "ExitPlanMode"] {
        assert_eq!(judge(&everything, &call(question, json!({}))).verdict, Abstain, "{question}");
    }
}

#[test]
fn deny_is_greater_than_ask_and_ask_greater_than_allow() {
    let allow = "permit(principal, action, resource);";
    let ask = r#"@decision("ask") forbid(principal, action == Action::"run_command", resource);"#;
    let table = [
        (allow.to_owned(), Allow),
        (format!("{allow}{ask}"), Ask),
        (format!("{FORBID_RM}{ask}{allow}"), Deny),
        (format!("{ask}{allow}{FORBID_RM}"), Deny),
    ];
    for (text, expected) in table {
        assert_eq!(judge(&compiled(&text), &bash("ls && rm x")).verdict, expected, "{text}");
    }
}

#[test]
fn what_cannot_be_evaluated_denies_even_beside_a_permit() {
    let overflow = r#"@id("sum") permit(principal, action == Action::"fetch_url", resource)
        when { 9223372036854775807 + resource.port > 0 };"#;
    for text in [overflow.to_owned(), format!("permit(principal, action, resource); {overflow}")] {
        let opinion = judge(&compiled(&text), &call("WebFetch", json!({ "url": "https://example.com" })));
        assert_eq!((opinion.verdict, opinion.rule.as_str()), (Deny, "sum"));
        assert!(opinion.reason.contains("overflow"), "{}", opinion.reason);
    }
    // A tool whose own field is not there.
    let nowhere = call("Write", json!({ "content": "" }));
    assert_eq!(judge(&compiled("permit(principal, action, resource);"), &nowhere).verdict, Deny);
    let many = call("X", json!(vec![0; permissions::cedar::INPUT_VALUES_MAX + 1]));
    let opinion = judge(&compiled("permit(principal, action, resource);"), &many);
    assert_eq!((opinion.verdict, opinion.rule.as_str()), (Deny, "cannot_judge"));
}

#[test]
fn rules_see_who_calls_when_and_where() {
    let here = surroundings();
    let (user, session) = (here.user_id, here.session_id);
    let table: [(String, Verdict); 9] = [
        (format!(r#"forbid(principal in User::"{user}", action, resource);"#), Deny),
        (format!(r#"forbid(principal in Session::"{session}", action, resource);"#), Deny),
        (format!(r#"forbid(principal == Session::"{session}", action, resource);"#), Abstain),
        (r#"forbid(principal in User::"somebody", action, resource);"#.to_owned(), Abstain),
        ("forbid(principal is Subagent, action, resource);".to_owned(), Deny),
        (
            r#"forbid(principal, action, resource) when { context.permission_mode == "plan" };"#.to_owned(),
            Deny,
        ),
        (r#"forbid(principal, action, resource) when { context.weekday == "wednesday" };"#.to_owned(), Deny),
        (
            r#"forbid(principal, action, resource) unless { context.now.toTime() >= duration("16h") };"#
                .to_owned(),
            Deny,
        ),
        (
            r#"forbid(principal, action, resource) when { principal.working_directory != context.cwd };"#
                .to_owned(),
            Abstain,
        ),
    ];
    let mut call = bash("ls");
    call.agent_id = Some("a1".into());
    call.permission_mode = Some("plan".into());
    for (text, expected) in table {
        assert_eq!(judge_at(&compiled(&text), &call, &here, super::NOW).verdict, expected, "{text}");
    }
}

/// Rules are about the file that would be touched, not about the name that leads there.
#[test]
#[cfg(unix)]
fn a_link_is_followed_to_what_it_names() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().canonicalize().unwrap();
    std::fs::create_dir(root.join("secret")).unwrap();
    std::os::unix::fs::symlink(root.join("secret"), root.join("open")).unwrap();
    let secret = root.join("secret");
    let text = format!(r#"forbid(principal, action, resource in Directory::"{}");"#, secret.display());
    for path in ["open/new/file", "open/../secret/x", "open", "none/../secret"] {
        let call = call("Write", json!({ "file_path": root.join(path) }));
        assert_eq!(judge(&compiled(&text), &call).verdict, Deny, "{path}");
    }
    let call = call("Write", json!({ "file_path": root.join("other") }));
    assert_eq!(judge(&compiled(&text), &call).verdict, Abstain);
}
