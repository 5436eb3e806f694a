//! The session itself, what is left out of its report, and its figures.

use super::{Piece, Section, column, facts, figure};
use crate::words::{count, duration, instant, instant_if, money, word};
use domain::report::{LeftOut, ReportDocument, ReportMetrics, ReportModel, ReportTurn};

pub(super) fn session(document: &ReportDocument) -> Section<'_> {
    let session = &document.session;
    let mut pieces = vec![facts([
        ("Session", Some(session.id.to_string())),
        ("Name", session.name.clone()),
        ("Description", session.description.clone()),
        ("Owner", Some(session.user_id.to_string())),
        ("Mode", Some(word(session.mode.as_str()))),
        ("Status", Some(word(session.status.as_str()))),
        ("Model", session.model.clone()),
        ("Permission mode", Some(session.permission_mode.clone())),
        ("Working directory", Some(session.working_directory.clone())),
        ("Forked from", session.parent_session_id.map(|id| id.to_string())),
        ("Created", Some(instant(session.created_at))),
        ("Started", instant_if(session.started_at)),
        ("Completed", instant_if(session.completed_at)),
        ("Error", session.error_message.clone()),
        ("Report made", Some(instant(document.generated_at))),
    ])];
    pieces.extend(left_out(document.left_out).map(|text| Piece::Note { text }));
    Section { title: "Session", pieces }
}

/// What the report does not tell, in a sentence.
fn left_out(left_out: LeftOut) -> Option<String> {
    if !left_out.is_anything() {
        return None;
    }
    let counted =
        |figure: u64, what: &str| (figure > 0).then(|| format!("the first {} {what}", count(figure)));
    let older = |is_so: bool, what: &str| is_so.then(|| format!("older {what}"));
    let parts = [
        counted(left_out.messages, "messages"),
        counted(left_out.tool_calls, "tool calls"),
        older(left_out.older_decisions, "decisions"),
        older(left_out.older_approvals, "approvals"),
        older(left_out.older_turns, "turns"),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    let mut said = String::from("This report is not the whole session.");
    if !parts.is_empty() {
        said.push_str(&format!(" Left out: {}.", parts.join(", ")));
    }
    if left_out.shortened_texts > 0 {
        let texts = count(left_out.shortened_texts);
        said.push_str(&format!(" Shortened texts: {texts}; each says how long it was."));
    }
    Some(said)
}

pub(super) fn figures(metrics: &ReportMetrics) -> Section<'_> {
    let tokens = metrics.tokens;
    let mut pieces = vec![facts([
        ("Cost", Some(money(metrics.cost_micro_usd))),
        ("Duration", metrics.duration_ms.map(duration)),
        ("Input tokens", Some(count(tokens.input))),
        ("Output tokens", Some(count(tokens.output))),
        ("Tokens written to the cache", Some(count(tokens.cache_creation))),
        ("Tokens read from the cache", Some(count(tokens.cache_read))),
        ("Messages", Some(count(metrics.messages))),
        ("Tool calls", Some(count(metrics.tool_calls))),
        ("Permission checks", Some(count(metrics.permission_checks))),
        ("Hook executions", Some(count(metrics.hook_executions))),
        ("Errors", Some(count(metrics.errors))),
        ("Retries", Some(count(metrics.retries))),
    ])];
    if !metrics.by_model.is_empty() {
        let columns = vec![
            column("Model", 30),
            figure("Requests", 15),
            figure("Input", 14),
            figure("Output", 14),
            figure("Cache written", 21),
            figure("Cache read", 18),
            figure("Cost", 16),
        ];
        let rows = metrics.by_model.iter().map(model).collect();
        pieces.push(Piece::Table { title: "Cost by model", columns, rows });
    }
    if !metrics.turns.is_empty() {
        pieces.push(Piece::Chart { title: "Cost of each turn" });
        let columns = vec![
            figure("Turn", 8),
            column("Started", 34),
            column("Outcome", 26),
            figure("Rounds", 13),
            figure("Took", 15),
            figure("Input", 14),
            figure("Output", 14),
            figure("Cost", 16),
        ];
        let rows = metrics.turns.iter().map(turn).collect();
        pieces.push(Piece::Table { title: "Turns", columns, rows });
    }
    Section { title: "Figures", pieces }
}

fn model(model: &ReportModel) -> Vec<String> {
    let tokens = model.tokens;
    let figures = [model.requests, tokens.input, tokens.output, tokens.cache_creation, tokens.cache_read];
    let figures = figures.into_iter().map(count);
    std::iter::once(model.model.clone()).chain(figures).chain([money(model.cost_micro_usd)]).collect()
}

fn turn(turn: &ReportTurn) -> Vec<String> {
    let mut outcome = word(turn.status.as_str());
    if let Some(failure) = turn.failure {
        outcome.push_str(&format!(": {}", failure.as_str()));
    }
    if let Some(message) = &turn.error_message {
        outcome.push_str(&format!(" ({message})"));
    }
    vec![
        turn.number.to_string(),
        instant_if(turn.started_at).unwrap_or_default(),
        outcome,
        turn.rounds.to_string(),
        turn.duration_ms.map(duration).unwrap_or_default(),
        count(turn.tokens.input),
        count(turn.tokens.output),
        money(turn.cost_micro_usd),
    ]
}
