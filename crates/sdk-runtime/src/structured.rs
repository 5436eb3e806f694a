//! Structured output: the answer of a turn as a Rust value.
//!
//! With `AgentOptions::output_schema` the model is given a tool that takes the answer, and the agent checks
//! what the model passes to it. A model may still never call it; the agent then reports success without an
//! answer, which is an error here.
//!
//! ```no_run
//! # #[cfg(feature = "structured")]
//! # async fn ask() -> Result<(), Box<dyn std::error::Error>> {
//! use schemars::JsonSchema;
//! use sdk_runtime::{AgentOptions, query};
//! use serde::Deserialize;
//!
//! #[derive(Deserialize, JsonSchema)]
//! struct Review {
//!     /// From 1 to 5.
//!     stars: u8,
//!     summary: String,
//! }
//!
//! let options = AgentOptions::default().with_cli("claude").with_cwd("/srv/demo").with_output::<Review>();
//! let review: Review = query("review src/lib.rs", options).result().await?.structured()?;
//! # drop((review.stars, review.summary)); Ok(())
//! # }
//! # fn main() {}
//! ```

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::turn_result::TurnResult;

/// Why a result holds no value of the wanted type.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StructuredError {
    /// The turn failed; its outcome says how.
    #[error("get an answer, the turn failed: {}", words.as_deref().unwrap_or("it gave no reason"))]
    TurnFailed {
        /// What the agent says about it.
        words: Option<String>,
    },
    /// The turn succeeded and the model gave no answer that fits the schema, or no schema was asked for.
    #[error("get a structured answer, the model said instead: {text:?}")]
    NotProduced {
        /// Its last text.
        text: String,
    },
    /// There is an answer and it is no value of this type: the schema allows more than the type.
    #[error("read the structured answer")]
    Unreadable {
        /// The answer.
        value: Value,
        /// What does not fit.
        #[source]
        source: Arc<serde_json::Error>,
    },
}

impl TurnResult {
    /// The structured answer as it came.
    pub fn structured_output(&self) -> Option<&Value> {
        self.raw.get("structured_output").filter(|output| !output.is_null())
    }

    /// The structured answer as a value of `T`.
    pub fn structured<T: DeserializeOwned>(&self) -> Result<T, StructuredError> {
        match self.structured_output() {
            Some(value) => T::deserialize(value).map_err(|source| StructuredError::Unreadable {
                value: value.clone(),
                source: Arc::new(source),
            }),
            None if self.is_error => Err(StructuredError::TurnFailed { words: self.words() }),
            None => Err(StructuredError::NotProduced { text: self.text.clone().unwrap_or_default() }),
        }
    }
}

#[cfg(feature = "structured")]
impl crate::options::AgentOptions {
    /// Asks for answers of this type: sets `output_schema` to its schema.
    #[must_use]
    pub fn with_output<T: schemars::JsonSchema>(self) -> Self {
        self.with_output_schema(schema_of::<T>())
    }
}

/// The JSON schema of a type, in a form the API takes.
#[cfg(feature = "structured")]
pub fn schema_of<T: schemars::JsonSchema>() -> Value {
    let settings = schemars::generate::SchemaSettings::draft07();
    settings.into_generator().into_root_schema_for::<T>().to_value()
}
