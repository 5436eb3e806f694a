//! The proxies that docs/deployment.md shows: what they say of clients is theirs to say.

use crate::files::repository;
use std::fs;

/// The block of this language.
fn block(language: &str) -> String {
    let document = fs::read_to_string(repository("docs/deployment.md")).unwrap();
    let (_, rest) = document.split_once(&format!("\n```{language}\n")).unwrap();
    rest.split_once("\n```").unwrap().0.to_owned()
}

#[test]
fn nginx_writes_the_headers_that_a_trusted_proxy_is_believed_by() {
    let nginx = block("nginx");
    for header in ["X-Forwarded-For $proxy_add_x_forwarded_for", "X-Forwarded-Proto $scheme"] {
        let line = format!("proxy_set_header {header};");
        assert!(nginx.lines().any(|written| written.trim() == line), "{line}: else a client's own counts");
    }
    assert!(nginx.contains("TRUSTED_PROXIES"), "who trusts it is to read what it is trusted for");
}
