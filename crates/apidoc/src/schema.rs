//! The schemas of one document: schemars describes each type while paperclip records the routes.

mod plain;
mod split;

use paperclip::v2::models::DefaultSchemaRaw;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Where a reference to a component points, up to the component's name.
pub(crate) const COMPONENTS: &str = "#/components/schemas/";

/// How paperclip spells a reference; what follows is a key of [`Collected::used`].
const PLACEHOLDERS: &str = "#/definitions/";

/// Whether the client writes the value or reads it. Defaults make the two shapes of one type differ.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Direction {
    Request,
    Response,
}

/// Everything the routes used: the schema behind each placeholder, and the components those refer to.
#[derive(Debug)]
pub(crate) struct Collected {
    pub(crate) used: BTreeMap<String, Value>,
    pub(crate) components: Map<String, Value>,
}

impl Collected {
    /// The schema a placeholder stands for; `None` when `raw` is no placeholder of ours.
    pub(crate) fn behind(&self, raw: &Value) -> Option<Value> {
        let key = raw.get("$ref")?.as_str()?.strip_prefix(PLACEHOLDERS)?;
        self.used.get(key).cloned()
    }
}

struct Registry {
    requests: SchemaGenerator,
    responses: SchemaGenerator,
    used: BTreeMap<String, (Direction, Value)>,
}

impl Registry {
    fn new() -> Self {
        Self {
            requests: settings().for_deserialize().into_generator(),
            responses: settings().for_serialize().into_generator(),
            used: BTreeMap::new(),
        }
    }

    fn generator(&mut self, direction: Direction) -> &mut SchemaGenerator {
        match direction {
            Direction::Request => &mut self.requests,
            Direction::Response => &mut self.responses,
        }
    }
}

fn settings() -> SchemaSettings {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    settings.meta_schema = None;
    settings
}

thread_local! {
    // paperclip's traits have no argument to pass a registry through. It is there only while a document
    // is built, so the workers of a server that mount the same routes collect nothing.
    static REGISTRY: RefCell<Option<Registry>> = const { RefCell::new(None) };
}

/// Whether a document is being built on this thread. Else what would be written into operations is for nobody.
pub(crate) fn is_recording() -> bool {
    REGISTRY.with_borrow(Option::is_some)
}

/// A reference that the final pass swaps for the schema of `T`, which becomes a component if it has a name.
pub(crate) fn placeholder<T: JsonSchema>(direction: Direction) -> DefaultSchemaRaw {
    let key = format!("{direction:?}:{}", std::any::type_name::<T>());
    register(key, direction, |generator| generator.subschema_for::<T>().to_value())
}

/// Like [`placeholder`], but `T` itself never becomes a component: it will be split into parameters.
pub(crate) fn inline<T: JsonSchema>(direction: Direction) -> DefaultSchemaRaw {
    let key = format!("inline {direction:?}:{}", std::any::type_name::<T>());
    register(key, direction, |generator| T::json_schema(generator).to_value())
}

fn register(
    key: String,
    direction: Direction,
    describe: impl FnOnce(&mut SchemaGenerator) -> Value,
) -> DefaultSchemaRaw {
    let reference = Some(format!("{PLACEHOLDERS}{key}"));
    REGISTRY.with_borrow_mut(|registry| {
        if let Some(registry) = registry {
            let schema = describe(registry.generator(direction));
            registry.used.insert(key, (direction, schema));
        }
    });
    DefaultSchemaRaw { reference, ..Default::default() }
}

/// Runs `record` and returns every schema it registered on this thread.
pub(crate) fn collect(record: impl FnOnce()) -> Collected {
    REGISTRY.set(Some(Registry::new()));
    record();
    let Registry { mut requests, mut responses, used } = REGISTRY.take().unwrap_or_else(Registry::new);
    let mut collected = split::join(requests.take_definitions(true), responses.take_definitions(true), used);
    collected.components.values_mut().for_each(plain::rewrite);
    collected.used.values_mut().for_each(plain::rewrite);
    collected
}
