//! Which requests are passed on.

use super::*;

#[test]
fn only_four_endpoints_are_passed_on() {
    let (post, get) = (Method::POST, Method::GET);
    assert_eq!(Endpoint::of(&post, "/v1/messages"), Some(Endpoint::Messages));
    assert_eq!(Endpoint::of(&post, "/v1/messages/count_tokens"), Some(Endpoint::CountTokens));
    assert_eq!(Endpoint::of(&get, "/v1/models"), Some(Endpoint::Models));
    assert_eq!(Endpoint::of(&get, "/v1/models/claude-opus-5-5"), Some(Endpoint::Models));
    for (method, path) in [
        (&get, "/v1/messages"),
        (&post, "/v1/messages/"),
        (&post, "/v1/messages/batches"),
        (&post, "/v1/models"),
        (&get, "/v1/models/"),
        (&get, "/v1/models/.."),
        (&get, "/v1/models/a/b"),
        (&get, "/v1/models/%2e%2e"),
        (&get, "/v1/files"),
        (&get, "/"),
    ] {
        assert_eq!(Endpoint::of(method, path), None, "{method} {path}");
    }
}
