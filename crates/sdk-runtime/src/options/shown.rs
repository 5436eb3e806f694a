//! Options as they are shown: secrets stay out of logs, and what is not set takes no room.

use std::fmt;

use super::AgentOptions;
use crate::hidden::{Hidden, Names};

impl fmt::Debug for AgentOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without a rest pattern, so that of a new field it has to be said what it may show.
        let Self {
            cli,
            cwd,
            env,
            inherit_env,
            host_marker,
            session,
            model,
            fallback_models,
            system_prompt,
            append_system_prompt_file,
            append_subagent_system_prompt,
            exclude_dynamic_sections,
            system_prompt_snapshot,
            plan_mode_instructions,
            allowed_tools,
            disallowed_tools,
            tools,
            tool_aliases,
            permission_mode,
            allow_bypass_permissions,
            permission_prompts,
            permission_prompt_tool,
            question_preview,
            max_turns,
            max_budget_usd,
            task_budget_tokens,
            add_dirs,
            project_config_root,
            agents,
            main_agent,
            skills,
            plugins,
            mcp_servers,
            mcp,
            strict_mcp_config,
            setting_sources,
            settings,
            managed_settings,
            sandbox,
            include_partial_messages,
            include_hook_events,
            replay_user_messages,
            forward_subagent_text,
            agent_progress_summaries,
            prompt_suggestions,
            per_task_stop,
            title,
            resume_drops_turn,
            is_ephemeral,
            file_checkpointing,
            effort,
            thinking,
            betas,
            client_app,
            trace_context,
            debug,
            on_stderr,
            extra_args,
            output_schema,
            extra_initialize,
            hooks,
            gate,
            elicitor,
            dialogs,
            session_store,
            limits,
            containment,
        } = self;
        let hide = |value: &Option<serde_json::Value>| value.as_ref().map(|_| Hidden);
        let flags: Vec<&str> = extra_args.iter().map(|(flag, _)| flag.as_str()).collect();
        let mut shown = f.debug_struct("AgentOptions");
        let mut show = |name: &str, value: &dyn fmt::Debug| {
            let text = format!("{value:?}");
            if !matches!(text.as_str(), "None" | "false" | "[]" | "{}") {
                shown.field(name, value);
            }
        };
        show("cli", cli);
        show("cwd", cwd);
        show("env", &Names(env));
        show("inherit_env", inherit_env);
        show("host_marker", host_marker);
        show("session", session);
        show("model", model);
        show("fallback_models", fallback_models);
        show("system_prompt", system_prompt);
        show("append_system_prompt_file", append_system_prompt_file);
        show("append_subagent_system_prompt", append_subagent_system_prompt);
        show("exclude_dynamic_sections", exclude_dynamic_sections);
        show("system_prompt_snapshot", system_prompt_snapshot);
        show("plan_mode_instructions", plan_mode_instructions);
        show("allowed_tools", allowed_tools);
        show("disallowed_tools", disallowed_tools);
        show("tools", tools);
        show("tool_aliases", tool_aliases);
        show("permission_mode", permission_mode);
        show("allow_bypass_permissions", allow_bypass_permissions);
        show("permission_prompts", permission_prompts);
        show("permission_prompt_tool", permission_prompt_tool);
        show("question_preview", question_preview);
        show("max_turns", max_turns);
        show("max_budget_usd", max_budget_usd);
        show("task_budget_tokens", task_budget_tokens);
        show("add_dirs", add_dirs);
        show("project_config_root", project_config_root);
        show("agents", agents);
        show("main_agent", main_agent);
        show("skills", skills);
        show("plugins", plugins);
        show("mcp_servers", &hide(mcp_servers));
        show("mcp", mcp);
        show("strict_mcp_config", strict_mcp_config);
        show("setting_sources", setting_sources);
        show("settings", settings);
        show("managed_settings", &hide(managed_settings));
        show("sandbox", &hide(sandbox));
        show("include_partial_messages", include_partial_messages);
        show("include_hook_events", include_hook_events);
        show("replay_user_messages", replay_user_messages);
        show("forward_subagent_text", forward_subagent_text);
        show("agent_progress_summaries", agent_progress_summaries);
        show("prompt_suggestions", prompt_suggestions);
        show("per_task_stop", per_task_stop);
        show("title", title);
        show("resume_drops_turn", resume_drops_turn);
        show("is_ephemeral", is_ephemeral);
        show("file_checkpointing", file_checkpointing);
        show("effort", effort);
        show("thinking", thinking);
        show("betas", betas);
        show("client_app", client_app);
        show("trace_context", trace_context);
        show("debug", debug);
        show("on_stderr", on_stderr);
        show("extra_args", &flags);
        show("output_schema", output_schema);
        show("extra_initialize", &Names(extra_initialize));
        show("hooks", hooks);
        show("gate", gate);
        show("elicitor", elicitor);
        show("dialogs", dialogs);
        show("session_store", session_store);
        show("limits", limits);
        show("containment", containment);
        shown.finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::{
        invocation::invocation,
        mcp::McpStdioServer,
        options::{AgentDefinition, Settings},
    };

    #[test]
    fn no_secret_is_shown() {
        let env = json!({ "KEY": "hush" });
        let definition = AgentDefinition::new("d", "p")
            .with_field("mcpServers", json!([{ "x": { "command": "run", "env": env } }]));
        let options = AgentOptions::default()
            .with_cwd("/srv/demo")
            .with_env([("ANTHROPIC_API_KEY".to_owned(), "hush".to_owned())])
            .with_mcp_servers(json!({ "x": { "env": env } }))
            .with_mcp_server("typed", McpStdioServer::new("run").with_env("KEY", "hush"))
            .with_mcp_server("raw", json!({ "env": env }))
            .with_settings(Settings::Inline(json!({ "env": env })))
            .with_managed_settings(json!({ "env": env }))
            .with_sandbox(json!({ "env": env }))
            .with_agent("sub", definition)
            .with_extra_args(vec![("settings".to_owned(), Some("hush".to_owned()))])
            .with_extra_initialize(BTreeMap::from([("field".to_owned(), env.clone())]));
        for shown in [format!("{options:?}"), format!("{:#?}", invocation(&options))] {
            assert!(!shown.contains("hush"), "{shown}");
            assert!(shown.contains("ANTHROPIC_API_KEY") && shown.contains("/srv/demo"), "{shown}");
        }
        let shown = format!("{:?}", AgentOptions::default());
        assert!(!shown.contains("model"), "what is not set takes no room: {shown}");
    }
}
