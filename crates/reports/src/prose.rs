//! Markdown that somebody wrote, read with caution: raw HTML is text, and links lead to the web or to a mailbox.

use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd};

/// Addresses that a report makes a link of. Others would mean something else wherever the report is opened
/// (`javascript:`, `file:`), or nothing.
const SCHEMES: [&str; 3] = ["https://", "http://", "mailto:"];

/// The text as a stream of what it is made of, without anything that a reader's program could load or run.
pub(crate) fn events(text: &str) -> impl Iterator<Item = Event<'_>> {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    // Links and images that are open: whether each was kept as a link.
    let mut open: Vec<bool> = Vec::new();
    Parser::new_ext(text, options).filter_map(move |event| match event {
        Event::Html(raw) | Event::InlineHtml(raw) => Some(Event::Text(raw)),
        Event::Start(Tag::HtmlBlock) => Some(Event::Start(Tag::Paragraph)),
        Event::End(TagEnd::HtmlBlock) => Some(Event::End(TagEnd::Paragraph)),
        Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
            // There is no link inside of a link.
            let is_kept = is_harmless(&dest_url) && !open.contains(&true);
            open.push(is_kept);
            is_kept.then(|| Event::Start(link(dest_url)))
        }
        Event::End(TagEnd::Link | TagEnd::Image) => {
            open.pop().unwrap_or_default().then_some(Event::End(TagEnd::Link))
        }
        event => Some(event),
    })
}

fn link(dest_url: CowStr<'_>) -> Tag<'_> {
    Tag::Link {
        link_type: pulldown_cmark::LinkType::Inline,
        dest_url,
        title: CowStr::Borrowed(""),
        id: CowStr::Borrowed(""),
    }
}

fn is_harmless(address: &str) -> bool {
    SCHEMES
        .iter()
        .any(|scheme| address.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)))
}

/// The text as HTML.
pub(crate) fn html(text: &str) -> String {
    let mut html = String::with_capacity(text.len() * 3 / 2);
    pulldown_cmark::html::push_html(&mut html, events(text));
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_as_html_is_text() {
        assert_eq!(
            html("<script>alert(1)</script>\n\nand <b onclick=x>bold</b>"),
            "<p>&lt;script&gt;alert(1)&lt;/script&gt;\n</p>\n\
             <p>and &lt;b onclick=x&gt;bold&lt;/b&gt;</p>\n"
        );
    }

    #[test]
    fn links_lead_to_the_web_or_nowhere() {
        for (written, becomes) in [
            ("[a](https://example.org/?q=%22)", "<p><a href=\"https://example.org/?q=%22\">a</a></p>\n"),
            ("[a](HTTP://example.org)", "<p><a href=\"HTTP://example.org\">a</a></p>\n"),
            ("<me@example.org>", "<p>me@example.org</p>\n"),
            ("[a](mailto:me@example.org)", "<p><a href=\"mailto:me@example.org\">a</a></p>\n"),
            ("[a](javascript:alert(1))", "<p>a</p>\n"),
            ("[a](JaVaScRiPt:alert(1))", "<p>a</p>\n"),
            ("[a](&#106;avascript:alert(1))", "<p>a</p>\n"),
            ("[a](data:text/html,x)", "<p>a</p>\n"),
            ("[a](/etc/passwd)", "<p>a</p>\n"),
            ("[a][b]\n\n[b]: vbscript:x \"t\"", "<p>a</p>\n"),
            // Nothing is loaded.
            ("![alt](https://example.org/x.png)", "<p><a href=\"https://example.org/x.png\">alt</a></p>\n"),
            ("![alt](x.png)", "<p>alt</p>\n"),
            (
                "[![alt](https://example.org/x.png)](https://example.org)",
                "<p><a href=\"https://example.org\">alt</a></p>\n",
            ),
            (
                "[![alt](https://example.org/x.png)](x)",
                "<p><a href=\"https://example.org/x.png\">alt</a></p>\n",
            ),
        ] {
            assert_eq!(html(written), becomes, "{written}");
        }
    }
}
