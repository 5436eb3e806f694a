//! Messages and tool calls on pages.

use super::{
    Writer,
    page::WIDTH,
    rich::blocks,
    shortened,
    typesetter::{Look, Part, Rich, SHADE, Shape},
};
use crate::{WriteError, sections::Body};

/// Text that is put on paper as it is, beyond which it is shortened: what is longer nobody reads there.
const VERBATIM_BYTES_MAX: usize = 6 * 1024;
/// Lines that are laid out at once; the glyphs of a long text take much more room than its letters.
const LINES_AT_ONCE: usize = 60;

impl Writer<'_> {
    pub(super) fn entry(
        &mut self,
        title: &str,
        about: &[String],
        body: &[Body<'_>],
    ) -> Result<(), WriteError> {
        self.pages.space(4.0);
        self.pages.room(&mut self.types, 48.0)?;
        let title = shortened(title, 200);
        let said = format!("{title}   {}", shortened(&about.join(" · "), 300));
        let parts = vec![(0..title.len(), Part::Bold)];
        let shape = Shape { width: WIDTH, shade: None };
        self.rich(&Rich { text: said, parts }, Look::SOFT, 0.0, shape)?;
        self.pages.space(3.0);
        for body in body {
            match body {
                Body::Prose { text } => self.prose(text)?,
                Body::Verbatim { label, text } => {
                    self.text(label, Look::SMALL)?;
                    self.verbatim(text, 0.0)?;
                }
            }
        }
        self.pages.space(4.0);
        Ok(())
    }

    fn prose(&mut self, text: &str) -> Result<(), WriteError> {
        for block in blocks(text) {
            let left = block.indent;
            if block.is_rule {
                self.pages.space(3.0);
                self.pages.rule();
                self.pages.space(3.0);
            } else if block.is_verbatim {
                self.verbatim(&block.rich.text, left)?;
            } else {
                if let Some(marker) = &block.marker {
                    let marker = self.types.plain(marker, Look::SOFT, 40.0);
                    // On the page on which its text begins.
                    self.pages.room(&mut self.types, marker.height())?;
                    self.pages.put(marker, left - 12.0, 0.0);
                }
                let look = Look { size: block.size, is_bold: block.is_bold, ..Look::BODY };
                self.rich(&block.rich, look, left, Shape { width: WIDTH - left, shade: None })?;
                self.pages.space(3.5);
            }
        }
        Ok(())
    }

    fn verbatim(&mut self, text: &str, left: f32) -> Result<(), WriteError> {
        let bytes = text.len();
        let shown = text.trim_end_matches(['\n', '\r']);
        let shown = shortened(shown, VERBATIM_BYTES_MAX);
        // Spaces at the end of a line would only make it break.
        let lines: Vec<&str> = shown.split('\n').map(str::trim_end).collect();
        self.pages.space(2.0);
        let shape = Shape { width: WIDTH - left - 12.0, shade: Some(SHADE) };
        for lines in lines.chunks(LINES_AT_ONCE) {
            let rich = Rich { text: lines.join("\n"), parts: vec![] };
            self.rich(&rich, Look::CODE, left + 6.0, shape)?;
        }
        self.pages.space(2.0);
        if bytes > VERBATIM_BYTES_MAX {
            let note = format!("shortened on paper: {bytes} bytes in all, which the report has as JSON");
            self.text(&note, Look::SMALL)?;
        }
        self.pages.space(4.0);
        Ok(())
    }
}
