//! A report in Markdown. What others wrote stands in fences that it cannot close, and whatever stands outside of them is
//! escaped.

use crate::sections::{Body, Column, Piece, sections, title};
use domain::report::ReportDocument;

/// The whole report.
pub(crate) fn write(document: &ReportDocument) -> String {
    let mut out = format!("# {}\n", line(&title(document)));
    for section in sections(document) {
        out.push_str(&format!("\n## {}\n", section.title));
        for piece in &section.pieces {
            out.push('\n');
            write_piece(&mut out, piece);
        }
    }
    out
}

fn write_piece(out: &mut String, piece: &Piece<'_>) {
    match piece {
        Piece::Facts { facts } => {
            for fact in facts {
                out.push_str(&format!("- **{}**: {}\n", fact.name, line(&fact.value)));
            }
        }
        Piece::Table { title, columns, rows } => {
            if !title.is_empty() {
                out.push_str(&format!("### {title}\n\n"));
            }
            write_table(out, columns, rows);
        }
        // The table beside it has the same figures.
        Piece::Chart { .. } => {
            out.pop();
        }
        Piece::Note { text } => out.push_str(&format!("> {}\n", line(text))),
        Piece::Entry { title, about, body } => {
            out.push_str(&format!("### {}\n\n", line(title)));
            let about: Vec<String> = about.iter().map(|remark| line(remark)).collect();
            out.push_str(&format!("{}\n", about.join(" · ")));
            for body in body {
                match body {
                    Body::Prose { text } => write_fenced(out, "markdown", text),
                    Body::Verbatim { label, text } => {
                        out.push_str(&format!("\n{label}:\n"));
                        write_fenced(out, "text", text);
                    }
                }
            }
        }
    }
}

fn write_table(out: &mut String, columns: &[Column], rows: &[Vec<String>]) {
    let row = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    out.push_str(&row(columns.iter().map(|column| column.title.to_owned()).collect()));
    let rule = |column: &Column| if column.is_figure { "---:" } else { "---" }.to_owned();
    out.push_str(&row(columns.iter().map(rule).collect()));
    for cells in rows {
        out.push_str(&row(cells.iter().map(|cell| line(cell)).collect()));
    }
}

/// A fence that is longer than any in the text.
fn write_fenced(out: &mut String, language: &str, text: &str) {
    let longest = text.split(|character| character != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat((longest + 1).max(3));
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    out.push_str(&format!("\n{fence}{language}\n{text}{end}{fence}\n"));
}

/// Text that stays one line and means nothing.
fn line(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '#' | '&' | '~' | '!' => {
                escaped.push('\\');
                escaped.push(character);
            }
            character if character.is_control() => escaped.push(' '),
            character => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        prose,
        sections::tests::{document, empty, message},
    };
    use domain::MessageType;

    #[test]
    fn everything_is_said() {
        let written = write(&document());
        for said in [
            "# Tidy \\<the\\> house\n",
            "- **Cost**: $0.054321\n",
            "| claude-sonnet-4-5 | 3 | 1\u{a0}200 | 340 | 50\u{a0}000 | 1\u{a0}250\u{a0}000 | $0.054321 |\n",
            "failed: AGENT\\_FAILED (it died)",
            "### 2 · Assistant\n",
            "rm -r dust\n",
            "Output:\n\n```text\ndust\nmore dust\n```\n",
            "commands: read-only",
            "Write a note? — not now",
        ] {
            assert!(written.contains(said), "{said} is not in\n{written}");
        }
    }

    #[test]
    fn nothing_happened() {
        let written = write(&empty());
        for said in ["Nothing was said.", "No tool was called.", "Nobody was asked.", "# Session 0000"] {
            assert!(written.contains(said), "{said} is not in\n{written}");
        }
    }

    #[test]
    fn no_text_gets_out_of_its_fence() {
        let mut document = document();
        document.session.name = Some("`a`\n# b | <img src=x onerror=y> [c](javascript:d)".into());
        // Whatever is as long as a fence, and longer ones and others of its kind.
        let texts = (1..9)
            .map(|length| format!("{}\n# not a heading\n<script>alert(1)</script>", "`".repeat(length)));
        let texts = texts
            .chain(["~~~\n```\nopen\n``````\n# not a heading\n<script>alert(1)</script>\n````".to_owned()]);
        document.messages =
            Some((1..).zip(texts).map(|(number, text)| message(number, MessageType::User, &text)).collect());
        let html = prose::html(&write(&document));
        assert_eq!(html.matches("# not a heading\n&lt;script&gt;").count(), 9, "{html}");
        let headings: Vec<&str> = html.lines().filter(|line| line.starts_with("<h1>")).collect();
        assert_eq!(headings, ["<h1>`a` # b | &lt;img src=x onerror=y&gt; [c](javascript:d)</h1>"]);
        assert!(!html.contains("<img") && !html.contains("href"), "{html}");
    }
}
