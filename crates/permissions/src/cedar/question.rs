//! A tool call as questions to Cedar: one about the tool, and one about each command, file and address in it.

use super::{
    language::{Actions, Language, Types, entity, language},
    target::Files,
};
use crate::{
    CannotJudge, Surroundings, ToolCall,
    paths::{Use, command_line},
    shell::{self, Analysis, Place, SimpleCommand, Word},
};
use cedar_policy::{Context, Entities, Entity, EntityUid, Request, RestrictedExpression as Value};
use jiff::{Timestamp, civil::Weekday, tz::TimeZone};
use serde_json::Value as Json;
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fmt::Display,
    path::Path,
};
use url::Url;

/// Most values in a tool's input that rules may ask for; a call with more is denied.
pub const INPUT_VALUES_MAX: usize = 10_000;

/// All questions about one call, the one about its tool first.
pub(super) struct Questions {
    pub(super) about_tool: Question,
    pub(super) about_parts: Vec<Question>,
    /// Something is only known when it runs, or asks a person: then no permit counts.
    pub(super) permits_count: bool,
}

/// One request, with what is known about those in it.
pub(super) struct Question {
    pub(super) request: Request,
    pub(super) entities: Entities,
    /// What is asked about, for people.
    pub(super) subject: String,
    /// Whether the call is permitted only if this is. To permit a command is to permit what it reads.
    pub(super) needs_permit: bool,
}

/// Tools that are a question to a person: answering them by a rule would leave the person out.
const ASKS_A_PERSON: [&str; 2] = ["AskUserQuestion", "ExitPlanMode"];

impl Questions {
    pub(super) fn about(
        call: &ToolCall,
        surroundings: &Surroundings,
        at: Timestamp,
    ) -> Result<Self, CannotJudge> {
        let language = language().map_err(cannot("read the schema of policies"))?;
        let files = Files::of(call, surroundings)?;
        let shell = match command_line(call) {
            Some(line) => shell::analyse(line).map_err(cannot("read the command"))?,
            None => Analysis::default(),
        };
        let has_unknown =
            files.has_unknown || !shell.unknowns.is_empty() || shell.commands.iter().any(is_unknown);
        let asker = Asker {
            language,
            principal: principal(&language.types, call, surroundings)?,
            context: context(call, &shell, has_unknown, at)?,
        };
        let Actions { use_tool, read_file, write_file, .. } = &language.actions;
        let about_tool =
            asker.ask(use_tool, tool(&language.types, call)?, format!("the tool {}", call.tool_name))?;
        let mut about_parts = vec![];
        for command in &shell.commands {
            about_parts.extend(asker.about_command(command)?);
        }
        for (what, path) in &files.used {
            let (action, needs_permit) = match what {
                Use::Write => (write_file, true),
                Use::Read => (read_file, command_line(call).is_none()),
                // Programs are told far more files to read than to write, and those that write are known.
                Use::Mention => (read_file, false),
            };
            about_parts.push(Question { needs_permit, ..asker.about_file(action, path)? });
        }
        if call.tool_name == "WebFetch" {
            let url = call.input["url"].as_str().and_then(|url| Url::parse(url).ok());
            let url = url.ok_or_else(|| CannotJudge("there is no address to judge".to_owned()))?;
            about_parts.push(asker.about_url(&url)?);
        }
        let permits_count = !has_unknown && !ASKS_A_PERSON.contains(&call.tool_name.as_str());
        Ok(Self { about_tool, about_parts, permits_count })
    }
}

/// What all questions about a call share.
struct Asker<'a> {
    language: &'a Language,
    principal: Entity,
    context: Context,
}

impl Asker<'_> {
    fn ask(&self, action: &EntityUid, resource: Entity, subject: String) -> Result<Question, CannotJudge> {
        let failed = "put the call into the words of policies";
        let schema = Some(self.language.schema());
        let request =
            Request::new(self.principal.uid(), action.clone(), resource.uid(), self.context.clone(), schema)
                .map_err(cannot(failed))?;
        let entities =
            Entities::from_entities([self.principal.clone(), resource], schema).map_err(cannot(failed))?;
        Ok(Question { request, entities, subject, needs_permit: true })
    }

    /// `None` for a command of which not even the program is known, or that is nothing but redirections.
    fn about_command(&self, command: &SimpleCommand) -> Result<Option<Question>, CannotJudge> {
        let Some((program, arguments)) = command.words.split_first() else { return Ok(None) };
        let (Some(program), Some(name)) = (program.known(), command.program()) else { return Ok(None) };
        let known: Vec<&str> = arguments.iter().filter_map(Word::known).collect();
        let line = known.iter().fold(name.to_owned(), |line, argument| format!("{line} {argument}"));
        let attributes = HashMap::from([
            ("program".to_owned(), text(program)),
            ("arguments".to_owned(), Value::new_set(known.iter().map(text))),
            ("line".to_owned(), text(line)),
            ("under".to_owned(), Value::new_set(command.under.iter().map(text))),
        ]);
        let uid = entity(&self.language.types.command, name);
        let resource =
            Entity::new(uid, attributes, HashSet::new()).map_err(cannot("describe the command"))?;
        self.ask(&self.language.actions.run_command, resource, format!("the command {name}")).map(Some)
    }

    fn about_file(&self, action: &EntityUid, path: &Path) -> Result<Question, CannotJudge> {
        let types = &self.language.types;
        let shown = path.display().to_string();
        let part = |part: Option<&std::ffi::OsStr>| text(part.unwrap_or_default().to_string_lossy());
        let attributes = HashMap::from([
            ("path".to_owned(), text(&shown)),
            ("name".to_owned(), part(path.file_name())),
            ("extension".to_owned(), part(path.extension())),
        ]);
        let above =
            path.ancestors().map(|directory| entity(&types.directory, directory.to_string_lossy())).collect();
        let file = Entity::new(entity(&types.file, &shown), attributes, above)
            .map_err(cannot("describe the file"))?;
        self.ask(action, file, shown)
    }

    fn about_url(&self, url: &Url) -> Result<Question, CannotJudge> {
        let types = &self.language.types;
        let name = url.host_str().unwrap_or_default();
        let host = name.trim_matches(['[', ']']).trim_end_matches('.');
        let mut attributes = HashMap::from([
            ("url".to_owned(), text(url)),
            ("scheme".to_owned(), text(url.scheme())),
            ("host".to_owned(), text(host)),
            ("port".to_owned(), Value::new_long(url.port_or_known_default().unwrap_or_default().into())),
            ("path".to_owned(), text(url.path())),
        ]);
        let mut above = HashSet::from([entity(&types.host, host)]);
        if matches!(url.host(), Some(url::Host::Domain(_))) {
            let domains = host.match_indices('.').map(|(dot, _)| &host[dot + 1..]);
            above.extend(domains.map(|domain| entity(&types.host, domain)));
        } else {
            attributes.insert("ip".to_owned(), Value::new_ip(host));
        }
        let resource = Entity::new(entity(&types.url, url), attributes, above)
            .map_err(cannot("describe the address"))?;
        self.ask(&self.language.actions.fetch_url, resource, format!("the host {host}"))
    }
}

fn principal(types: &Types, call: &ToolCall, surroundings: &Surroundings) -> Result<Entity, CannotJudge> {
    let user = entity(&types.user, surroundings.user_id.to_string());
    let session = entity(&types.session, surroundings.session_id.to_string());
    let directory = text(surroundings.working_directory.display());
    let attributes = HashMap::from([("working_directory".to_owned(), directory)]);
    let made = match &call.agent_id {
        Some(agent) => {
            Entity::new(entity(&types.subagent, agent), attributes, HashSet::from([session, user]))
        }
        None => Entity::new(session, attributes, HashSet::from([user])),
    };
    made.map_err(cannot("describe the caller"))
}

fn context(
    call: &ToolCall,
    shell: &Analysis,
    has_unknown: bool,
    at: Timestamp,
) -> Result<Context, CannotJudge> {
    let programs: BTreeSet<&str> = shell.commands.iter().filter_map(SimpleCommand::program).collect();
    let weekday = match at.to_zoned(TimeZone::UTC).weekday() {
        Weekday::Monday => "monday",
        Weekday::Tuesday => "tuesday",
        Weekday::Wednesday => "wednesday",
        Weekday::Thursday => "thursday",
        Weekday::Friday => "friday",
        Weekday::Saturday => "saturday",
        Weekday::Sunday => "sunday",
    };
    let pairs = [
        ("tool_name", text(&call.tool_name)),
        ("permission_mode", text(call.permission_mode.as_deref().unwrap_or("default"))),
        ("cwd", text(call.cwd.display())),
        ("now", Value::new_datetime(at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string())),
        ("weekday", text(weekday)),
        ("programs", Value::new_set(programs.into_iter().map(text))),
        ("has_unknown_command", Value::new_bool(!shell.unknowns.is_empty())),
        ("has_unknown", Value::new_bool(has_unknown)),
    ];
    Context::from_pairs(pairs.map(|(name, value)| (name.to_owned(), value)))
        .map_err(cannot("describe the call"))
}

fn tool(types: &Types, call: &ToolCall) -> Result<Entity, CannotJudge> {
    let mut tags = vec![];
    leaves(&call.input, &mut String::new(), &mut tags)?;
    let attributes = [("name".to_owned(), text(&call.tool_name))];
    let server = call.tool_name.strip_prefix("mcp__").and_then(|rest| rest.split_once("__"));
    let server = server.map(|(server, _)| entity(&types.mcp_server, server));
    Entity::new_with_tags(entity(&types.tool, &call.tool_name), attributes, server, tags)
        .map_err(cannot("describe the tool"))
}

/// Every value of the input by its path.
fn leaves(input: &Json, path: &mut String, found: &mut Vec<(String, Value)>) -> Result<(), CannotJudge> {
    if found.len() >= INPUT_VALUES_MAX {
        return Err(CannotJudge(format!("the input has more than {INPUT_VALUES_MAX} values")));
    }
    let length = path.len();
    let mut below = |name: &str, value: &Json, found: &mut Vec<_>| {
        if length > 0 {
            path.push('/');
        }
        path.push_str(name);
        let went = leaves(value, path, found);
        path.truncate(length);
        went
    };
    match input {
        Json::Object(members) => members.iter().try_for_each(|(name, value)| below(name, value, found)),
        Json::Array(items) => {
            items.iter().enumerate().try_for_each(|(index, value)| below(&index.to_string(), value, found))
        }
        Json::String(value) => {
            found.push((path.clone(), text(value)));
            Ok(())
        }
        other => {
            found.push((path.clone(), text(other)));
            Ok(())
        }
    }
}

/// Whether anything of the command is only known when it runs.
fn is_unknown(command: &SimpleCommand) -> bool {
    let mut words = command.words.iter().chain(command.redirects.iter().map(|(_, target)| target));
    matches!(command.place, Place::Unknown) || words.any(|word| word.known().is_none())
}

fn text(value: impl Display) -> Value {
    Value::new_string(value.to_string())
}

fn cannot<E: Display>(what: &'static str) -> impl FnOnce(E) -> CannotJudge {
    move |error| CannotJudge(format!("could not {what}: {error}"))
}
