//! Who may call: security schemes, and how an extractor says that it demands one.

use crate::failure::{Unauthorized, document};
use paperclip::v2::models::DefaultOperationRaw;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A way to present credentials.
#[derive(Debug, Clone, Copy)]
pub enum SecurityScheme {
    /// `Authorization: Bearer …`.
    Bearer {
        /// What the document says about it.
        about: &'static str,
    },
    /// A query parameter, for browsers that cannot set headers on a WebSocket or an event stream.
    Query {
        /// Name of the parameter.
        parameter: &'static str,
        /// What the document says about it.
        about: &'static str,
    },
}

impl SecurityScheme {
    pub(crate) fn document(self) -> Value {
        match self {
            Self::Bearer { about } => json!({ "type": "http", "scheme": "bearer", "description": about }),
            Self::Query { parameter, about } => {
                json!({ "type": "apiKey", "in": "query", "name": parameter, "description": about })
            }
        }
    }
}

/// Documents that the operation demands any one of these schemes (names from [`crate::Head::security`])
/// and answers 401 without. For `OperationModifier::update_security` of an extractor.
pub fn require(op: &mut DefaultOperationRaw, schemes: &[&str]) {
    for scheme in schemes {
        op.security.push(BTreeMap::from([((*scheme).to_owned(), Vec::new())]));
    }
    document::<Unauthorized>(op);
}
