//! A report as one HTML file: no script, nothing that is loaded, and everything escaped that somebody wrote.

use crate::{
    WriteError, chart, prose,
    sections::{sections, title},
};
use domain::report::ReportDocument;
use minijinja::{AutoEscape, Environment, Value, context, value::Serde};

const NAME: &str = "report.html";
const TEMPLATE: &str = include_str!("../templates/report.html");

/// The whole report.
pub(crate) fn write(document: &ReportDocument) -> Result<String, WriteError> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
    environment.add_filter("prose", |text: &str| Value::from_safe_string(prose::html(text)));
    environment.add_template(NAME, TEMPLATE)?;
    let chart = match &document.metrics {
        Some(metrics) if !metrics.turns.is_empty() => chart::svg(&metrics.turns)?,
        _ => String::new(),
    };
    Ok(environment.get_template(NAME)?.render(context! {
        title => title(document),
        sections => Value::from(Serde(sections(document))),
        chart => Value::from_safe_string(chart),
    })?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sections::tests::{document, empty, message};
    use domain::MessageType;

    /// What the template, Markdown and the chart are made of.
    const TAGS: &[&str] = &[
        "!doctype", "html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "section", "dl",
        "dt", "dd", "div", "table", "thead", "tbody", "tr", "th", "td", "p", "article", "span", "pre", "a",
        "svg", "rect", "text", "polyline", "line",
    ];

    #[test]
    fn everything_is_said() {
        let written = write(&document()).unwrap();
        for said in [
            "<title>Tidy &lt;the&gt; house</title>",
            "<dt>Cost</dt><dd dir=\"auto\">$0.054321</dd>",
            "<p>I <em>did</em>.</p>",
            "<li>kitchen</li>",
            "rm -r dust\n</code></pre>",
            "dust\nmore dust</pre>",
            "<svg ",
            "Write a note? — not now",
        ] {
            assert!(written.contains(said), "{said} is not in\n{written}");
        }
    }

    #[test]
    fn nothing_happened() {
        let written = write(&empty()).unwrap();
        for said in ["Nothing was said.", "No tool was called.", "Nobody was asked."] {
            assert!(written.contains(said), "{said} is not in\n{written}");
        }
        assert!(!written.contains("<svg"), "there is nothing to draw");
    }

    #[test]
    fn nothing_that_somebody_wrote_runs_or_is_loaded() {
        let hostile = "</pre></div><script>alert(1)</script><img src=x onerror=alert(2)> {{ title }} {% raw %} \
                       [x](javascript:alert(3)) ![y](https://example.org/z.png) \"' onload=1";
        let mut document = document();
        let text = || hostile.to_owned();
        document.session.name = Some(text());
        document.session.description = Some(text());
        document.session.error_message = Some(text());
        document.session.working_directory = text();
        document.session.permission_mode = text();
        document.messages = Some(vec![message(1, MessageType::User, hostile)]);
        for call in document.tool_calls.iter_mut().flatten() {
            (call.tool_name, call.tool_use_id, call.input) = (text(), text(), text());
            (call.output, call.permission_reason) = (Some(text()), Some(text()));
        }
        for decision in document.decisions.iter_mut().flatten() {
            (decision.tool_name, decision.policy, decision.rule) = (text(), text(), text());
            decision.reason = text();
        }
        for approval in document.approvals.iter_mut().flatten() {
            (approval.title, approval.reason, approval.decision_reason) =
                (Some(text()), Some(text()), Some(text()));
        }
        if let Some(metrics) = &mut document.metrics {
            metrics.by_model[0].model = text();
            metrics.turns[1].error_message = Some(text());
        }
        let written = write(&document).unwrap();
        for tag in written.split('<').skip(1).filter_map(|rest| rest.split('>').next()) {
            let name = tag.trim_start_matches('/').split([' ', '\n']).next().unwrap();
            assert!(TAGS.contains(&name), "<{tag}>");
            for danger in [" on", "src=", "javascript"] {
                assert!(!tag.contains(danger), "<{tag}>");
            }
        }
        assert!(written.contains("{{ title }} {% raw %}"), "it is no template either");
        assert_eq!(written.matches("</html>").count(), 1);
        assert_eq!(written.matches("<article>").count(), written.matches("</article>").count());
    }
}
