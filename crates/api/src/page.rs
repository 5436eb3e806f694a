//! Lists on the wire: the envelope of collections, and where the next page is.

use actix_web::{FromRequest, HttpMessage, HttpRequest, dev::Payload, http::header::HeaderValue};
use domain::{Page, PageRequest, Total};
use paperclip::{
    actix::OperationModifier,
    v2::{
        models::{DefaultOperationRaw, DefaultSchemaRaw},
        schema::Apiv2Schema,
    },
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{
    cell::RefCell,
    collections::BTreeMap,
    convert::Infallible,
    future::{Ready, ready},
    rc::Rc,
};
use url::form_urlencoded;
use validator::Validate;

/// Items on a page of a collection when the client does not say.
pub const COLLECTION_LIMIT_DEFAULT: u32 = 50;
/// Items on a page of a session's history when the client does not say.
pub const HISTORY_LIMIT_DEFAULT: u32 = 100;

/// One page of a collection.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "CollectionOf{T}")]
pub struct Collection<T> {
    pub items: Vec<T>,
    /// How many there are in all, whatever the page.
    pub total: u64,
    /// Present and true when there are more than `total`: filtered lists are counted up to 1000.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schemars(default)]
    pub total_is_lower_bound: bool,
    pub limit: u32,
    pub skip: u32,
    /// Where to go on; null on the last page.
    pub next_cursor: Option<String>,
    pub links: PageLinks,
}

/// Which part of a collection is wanted.
#[derive(Debug, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct CollectionQuery {
    #[serde(default = "collection_limit_default")]
    #[validate(range(min = 1, max = 100))]
    limit: u32,
    /// `next_cursor` of the page before.
    #[validate(length(max = 512))]
    cursor: Option<String>,
    #[serde(default)]
    skip: u32,
}

fn collection_limit_default() -> u32 {
    COLLECTION_LIMIT_DEFAULT
}

impl From<CollectionQuery> for PageRequest {
    fn from(query: CollectionQuery) -> Self {
        let CollectionQuery { limit, cursor, skip } = query;
        Self { limit, cursor, skip }
    }
}

/// This page and its neighbours.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PageLinks {
    #[serde(rename = "self")]
    pub this: String,
    pub next: Option<String>,
    /// Only pages reached by `skip` know the one before.
    pub prev: Option<String>,
}

/// The address a request came to, for links to other parts of the same list.
#[derive(Debug, Clone)]
pub struct Here {
    path: String,
    query: String,
    next: NextPage,
}

/// Where the page after an answer is, for its `Link` header: a list tells it, and the middleware that is around every
/// request sends it.
#[derive(Debug, Clone, Default)]
pub struct NextPage(Rc<RefCell<Option<String>>>);

impl NextPage {
    /// The header (RFC 8288).
    pub fn link(&self) -> Option<HeaderValue> {
        let next = self.0.borrow();
        HeaderValue::try_from(format!("<{}>; rel=\"next\"", next.as_deref()?)).ok()
    }
}

impl Here {
    /// The envelope of `page`, which was asked for by `request`.
    pub fn collection<T>(&self, page: Page<T>, request: &PageRequest) -> Collection<T> {
        let Page { items, total, next_cursor } = page;
        let next = next_cursor.as_deref().map(|cursor| self.at(&[("cursor", cursor)], &["cursor", "skip"]));
        self.next.0.replace(next.clone());
        let by_skip = request.cursor.is_none() && request.skip > 0;
        let prev = by_skip.then(|| {
            let skip = request.skip.saturating_sub(request.limit).to_string();
            self.at(&[("skip", &skip)], &["skip"])
        });
        let links = PageLinks { this: self.at(&[], &[]), next, prev };
        // Every list with an envelope is counted.
        let Total { count: total, is_exact } = total.unwrap_or(Total::exactly(items.len() as u64));
        let total_is_lower_bound = !is_exact;
        Collection {
            items,
            total,
            total_is_lower_bound,
            limit: request.limit,
            skip: request.skip,
            next_cursor,
            links,
        }
    }

    /// The same list from `cursor` on.
    pub fn next(&self, cursor: Option<&str>) -> Option<String> {
        cursor.map(|cursor| self.at(&[("cursor", cursor)], &["cursor", "skip"]))
    }

    /// This address with some parameters taken away and others added.
    fn at(&self, added: &[(&str, &str)], removed: &[&str]) -> String {
        let kept = form_urlencoded::parse(self.query.as_bytes())
            .filter(|(name, _)| !removed.contains(&name.as_ref()));
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(kept).extend_pairs(added);
        match query.finish() {
            query if query.is_empty() => self.path.clone(),
            query => format!("{}?{query}", self.path),
        }
    }
}

impl FromRequest for Here {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let next = NextPage::default();
        request.extensions_mut().insert(next.clone());
        ready(Ok(Self { path: request.path().to_owned(), query: request.query_string().to_owned(), next }))
    }
}

impl Apiv2Schema for Here {}

impl OperationModifier for Here {
    fn update_parameter(_: &mut DefaultOperationRaw) {}
    fn update_definitions(_: &mut BTreeMap<String, DefaultSchemaRaw>) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_keep_the_filters_and_move_the_page() {
        let here = Here {
            path: "/sessions".into(),
            query: "q=a%20b&skip=20&limit=10".into(),
            next: NextPage::default(),
        };
        let request = PageRequest { limit: 10, cursor: None, skip: 20 };
        let page = Page { items: vec![1], total: Some(Total::exactly(99)), next_cursor: Some("x=".into()) };
        let links = here.collection(page, &request).links;
        let link = here.next.link().unwrap();
        assert_eq!(link, "</sessions?q=a+b&limit=10&cursor=x%3D>; rel=\"next\"");
        assert_eq!(links.this, "/sessions?q=a+b&skip=20&limit=10");
        assert_eq!(links.next.as_deref(), Some("/sessions?q=a+b&limit=10&cursor=x%3D"));
        assert_eq!(links.prev.as_deref(), Some("/sessions?q=a+b&limit=10&skip=10"));
    }

    #[test]
    fn the_only_page_has_no_neighbours() {
        let here = Here { path: "/sessions".into(), query: String::new(), next: NextPage::default() };
        let page = Page { items: vec![1], total: Some(Total::exactly(1)), next_cursor: None };
        let links = here.collection(page, &PageRequest::first(50)).links;
        assert_eq!((links.this.as_str(), links.next, links.prev), ("/sessions", None, None));
    }
}
