//! A tool: a name, a schema, and the function behind it.

use std::{fmt, future::Future, sync::Arc};

use futures::future::BoxFuture;
use rmcp::schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::{ToolCall, ToolError, ToolOutput};

type Handler = dyn Fn(Value, ToolCall) -> BoxFuture<'static, Result<ToolOutput, ToolError>> + Send + Sync;

/// A tool of an in-process server. Clones share the function.
#[derive(Clone)]
pub struct Tool {
    name: String,
    /// What `tools/list` says of it.
    wire: Map<String, Value>,
    handler: Arc<Handler>,
}

impl Tool {
    /// A tool made of an async function. The schema of its input is derived from `I`; field docs become
    /// descriptions, and input that does not fit is answered with the reason before the function is called.
    ///
    /// `I` must be written as a JSON object, so a struct, a map, or `()`-like for no input at all. Several
    /// calls run at once, each on a task of its own.
    pub fn new<I, O, T>(
        name: impl Into<String>,
        description: impl Into<String>,
        handler: impl Fn(I, ToolCall) -> T + Send + Sync + 'static,
    ) -> Self
    where
        I: DeserializeOwned + JsonSchema + Send + 'static,
        O: Into<ToolOutput>,
        T: Future<Output = Result<O, ToolError>> + Send + 'static,
    {
        let handler = Arc::new(handler);
        let read = move |input: Value, call: ToolCall| {
            let handler = Arc::clone(&handler);
            async move {
                let input =
                    read_input(input).map_err(|error| ToolError::new(format!("invalid input: {error}")))?;
                handler(input, call).await
            }
        };
        Self::with_schema(name, description, input_schema::<I>(), read)
    }

    /// A tool whose schema is known at run time only. The function gets the input as the model wrote it,
    /// `{}` when it wrote none, not checked against the schema.
    pub fn with_schema<O, T>(
        name: impl Into<String>,
        description: impl Into<String>,
        input_schema: Value,
        handler: impl Fn(Value, ToolCall) -> T + Send + Sync + 'static,
    ) -> Self
    where
        O: Into<ToolOutput>,
        T: Future<Output = Result<O, ToolError>> + Send + 'static,
    {
        let name = name.into();
        let mut wire = Map::new();
        wire.insert("name".into(), name.clone().into());
        wire.insert("description".into(), description.into().into());
        wire.insert("inputSchema".into(), of_object(input_schema));
        Self {
            name,
            wire,
            handler: Arc::new(move |input, call| {
                let answer = handler(input, call);
                Box::pin(async move { answer.await.map(Into::into) })
            }),
        }
    }

    /// A name for people.
    #[must_use]
    pub fn with_title(mut self, title: impl Into<String>) -> Self {
        self.wire.insert("title".into(), title.into().into());
        self
    }

    /// Changes nothing anywhere. The agent may run it beside others and in plan mode.
    #[must_use]
    pub fn read_only(self) -> Self {
        self.annotate("readOnlyHint", true)
    }

    /// Whether it may destroy something.
    #[must_use]
    pub fn destructive(self, is_destructive: bool) -> Self {
        self.annotate("destructiveHint", is_destructive)
    }

    /// A second call with the same input changes nothing more.
    #[must_use]
    pub fn idempotent(self) -> Self {
        self.annotate("idempotentHint", true)
    }

    /// Whether it reaches beyond this process and its data.
    #[must_use]
    pub fn open_world(self, is_open: bool) -> Self {
        self.annotate("openWorldHint", is_open)
    }

    /// Describes the structured value of its results.
    #[must_use]
    pub fn with_output_schema<T: JsonSchema>(mut self) -> Self {
        self.wire.insert("outputSchema".into(), of_object(schema::<T>()));
        self
    }

    /// Shows the tool to the model from the first turn on, in place of on demand.
    #[must_use]
    pub fn always_load(self) -> Self {
        self.with_meta("anthropic/alwaysLoad", true.into())
    }

    /// Sets one field of the tool's `_meta`.
    #[must_use]
    pub fn with_meta(mut self, key: impl Into<String>, value: Value) -> Self {
        let meta = self.wire.entry("_meta").or_insert_with(|| json!({}));
        meta[key.into()] = value;
        self
    }

    /// Its name, without `mcp__…__`.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn wire(&self) -> &Map<String, Value> {
        &self.wire
    }

    pub(super) fn run(
        &self,
        input: Value,
        call: ToolCall,
    ) -> BoxFuture<'static, Result<ToolOutput, ToolError>> {
        (self.handler)(input, call)
    }

    fn annotate(mut self, hint: &str, value: bool) -> Self {
        let annotations = self.wire.entry("annotations").or_insert_with(|| json!({}));
        annotations[hint] = value.into();
        self
    }
}

/// Reads the input; a type without content takes an empty object too.
fn read_input<I: DeserializeOwned>(input: Value) -> Result<I, serde_json::Error> {
    let is_empty = input.as_object().is_some_and(Map::is_empty);
    match serde_json::from_value(input) {
        Err(_) if is_empty && std::mem::size_of::<I>() == 0 => serde_json::from_value(Value::Null),
        read => read,
    }
}

fn schema<T: JsonSchema>() -> Value {
    // Without references, because some models read them badly.
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    SchemaGenerator::new(settings).into_root_schema_for::<T>().to_value()
}

fn input_schema<T: JsonSchema>() -> Value {
    let mut schema = schema::<T>();
    if let Some(fields) = schema.as_object_mut() {
        // A Rust name says nothing to the model.
        fields.remove("title");
        fields.remove("$schema");
    }
    schema
}

/// The agent drops a tool whose schema is not that of an object.
fn of_object(schema: Value) -> Value {
    let Value::Object(mut fields) = schema else {
        return json!({ "type": "object", "properties": {} });
    };
    if fields.get("type").is_none_or(|kind| kind != "object") {
        fields.insert("type".into(), "object".into());
    }
    if !fields.contains_key("properties") {
        fields.insert("properties".into(), json!({}));
    }
    Value::Object(fields)
}

impl fmt::Debug for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tool").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
    struct Point {
        /// How far to the right.
        x: f64,
        inner: Option<Inner>,
    }

    #[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
    struct Inner {
        names: Vec<String>,
    }

    #[test]
    fn the_schema_comes_from_the_type() {
        let tool = Tool::new("p", "d", |point: Point, _| async move {
            let _ = (point.x, point.inner.map(|inner| inner.names));
            Ok(())
        });
        let schema = &tool.wire()["inputSchema"];
        assert_eq!(schema["type"], "object");
        assert_eq!(schema["required"], json!(["x"]));
        assert_eq!(schema["properties"]["x"]["description"], "How far to the right.");
        assert!(!schema.to_string().contains("$ref"), "{schema}");
    }

    #[test]
    fn a_tool_without_input_has_the_schema_of_an_empty_object() {
        let tool = Tool::new("p", "d", |(): (), _| async { Ok("x") }).read_only().idempotent();
        assert_eq!(tool.wire()["inputSchema"], json!({ "type": "object", "properties": {} }));
        let wanted = json!({ "readOnlyHint": true, "idempotentHint": true });
        assert_eq!(tool.wire()["annotations"], wanted);
        assert!(read_input::<()>(json!({})).is_ok());
        assert!(read_input::<()>(json!({ "a": 1 })).is_err());
        assert!(read_input::<Point>(json!({})).is_err());
    }
}
