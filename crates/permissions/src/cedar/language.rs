//! The words of custom policies: the published schema, and its types ready for use.

use cedar_policy::{EntityId, EntityTypeName, EntityUid, Schema, Validator};
use std::sync::LazyLock;

/// The schema as it is published; `docs/policies.md` explains it.
pub const SCHEMA: &str = include_str!("steward.cedarschema");

/// The schema, parsed once.
pub(super) struct Language {
    pub(super) validator: Validator,
    pub(super) types: Types,
    pub(super) actions: Actions,
}

macro_rules! names {
    ($(#[$doc:meta])* $names:ident: $value:ty = $make:expr; $($field:ident = $word:literal,)*) => {
        $(#[$doc])*
        pub(super) struct $names {
            $(pub(super) $field: $value,)*
        }

        impl $names {
            fn read() -> Result<Self, String> {
                let make = $make;
                Ok(Self { $($field: make($word)?,)* })
            }
        }
    };
}

names! {
    /// Parsed beforehand, because each parse costs more than a whole question.
    Types: EntityTypeName = entity_type;
    user = "User",
    session = "Session",
    subagent = "Subagent",
    mcp_server = "McpServer",
    tool = "Tool",
    command = "Command",
    directory = "Directory",
    file = "File",
    host = "Host",
    url = "Url",
}

names! {
    /// What is asked about a call.
    Actions: EntityUid = action;
    use_tool = "use_tool",
    run_command = "run_command",
    read_file = "read_file",
    write_file = "write_file",
    fetch_url = "fetch_url",
}

/// The language; an error says that this build's own schema is broken, and then nothing can be judged.
pub(super) fn language() -> Result<&'static Language, &'static str> {
    static LANGUAGE: LazyLock<Result<Language, String>> = LazyLock::new(Language::read);
    LANGUAGE.as_ref().map_err(String::as_str)
}

impl Language {
    fn read() -> Result<Self, String> {
        let (schema, _warnings) = Schema::from_cedarschema_str(SCHEMA).map_err(|error| error.to_string())?;
        Ok(Self { validator: Validator::new(schema), types: Types::read()?, actions: Actions::read()? })
    }

    pub(super) fn schema(&self) -> &Schema {
        self.validator.schema()
    }
}

/// The entity of this type and id.
pub(super) fn entity(of: &EntityTypeName, id: impl AsRef<str>) -> EntityUid {
    EntityUid::from_type_name_and_id(of.clone(), EntityId::new(id))
}

fn entity_type(name: &str) -> Result<EntityTypeName, String> {
    name.parse().map_err(|error: cedar_policy::ParseErrors| error.to_string())
}

fn action(name: &str) -> Result<EntityUid, String> {
    Ok(entity(&entity_type("Action")?, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_schema_is_whole_and_without_warnings() {
        let (_, warnings) = Schema::from_cedarschema_str(SCHEMA).unwrap();
        assert_eq!(warnings.map(|warning| warning.to_string()).collect::<Vec<_>>(), Vec::<String>::new());
        let language = language().unwrap();
        let actions: Vec<_> = language.schema().actions().map(ToString::to_string).collect();
        assert_eq!(actions.len(), 5, "{actions:?}");
    }
}
