//! A report as PDF. Text is laid out and drawn; there is no markup on the way that somebody's words could be part of.

mod canvas;
mod entries;
mod fonts;
mod page;
mod rich;
mod typesetter;

use crate::{
    WriteError, chart,
    sections::{Column, Fact, Piece, sections, title},
    words::instant,
};
use canvas::Canvas;
use domain::report::{ReportDocument, ReportTurn};
use page::{Pages, WIDTH};
use plotters::drawing::IntoDrawingArea;
use std::{path::Path, time::Instant};
use typesetter::{Look, Rich, Shape, Typesetter};

/// The text of a cell, beyond which it is shortened; the JSON has it whole.
const CELL_BYTES_MAX: usize = 600;

/// The whole report.
pub(crate) fn write(
    document: &ReportDocument,
    fonts: Option<&Path>,
    deadline: Instant,
) -> Result<Vec<u8>, WriteError> {
    let name = title(document);
    let footer = format!("{} · {}", shortened(&name, 80), instant(document.generated_at));
    let mut writer = Writer {
        pages: Pages::new(footer, deadline),
        types: Typesetter::new(fonts),
        turns: document.metrics.as_ref().map_or(&[], |metrics| metrics.turns.as_slice()),
    };
    writer.text(&shortened(&name, 300), Look::TITLE)?;
    writer.pages.space(10.0);
    for section in sections(document) {
        writer.heading(section.title)?;
        for piece in &section.pieces {
            writer.piece(piece)?;
        }
    }
    writer.pages.finish(&mut writer.types, &name, document.generated_at)
}

/// Puts pieces on pages.
struct Writer<'a> {
    pages: Pages,
    types: Typesetter,
    turns: &'a [ReportTurn],
}

impl Writer<'_> {
    fn heading(&mut self, title: &str) -> Result<(), WriteError> {
        self.pages.space(18.0);
        // Not alone at the foot of a page.
        self.pages.room(&mut self.types, 90.0)?;
        self.pages.mark_section(title);
        self.text(title, Look::HEADING)?;
        self.pages.space(3.0);
        self.pages.rule();
        self.pages.space(8.0);
        Ok(())
    }

    fn piece(&mut self, piece: &Piece<'_>) -> Result<(), WriteError> {
        match piece {
            Piece::Facts { facts } => self.facts(facts),
            Piece::Table { title, columns, rows } => self.table(title, columns, rows),
            Piece::Chart { title } => self.chart(title),
            Piece::Note { text } => {
                self.text(text, Look::NOTE)?;
                self.pages.space(6.0);
                Ok(())
            }
            Piece::Entry { title, about, body } => self.entry(title, about, body),
        }
    }

    fn facts(&mut self, facts: &[Fact]) -> Result<(), WriteError> {
        const NAMES: f32 = 150.0;
        for fact in facts {
            let name = self.types.plain(fact.name, Look::SOFT, NAMES - 10.0);
            let value = self.types.plain(&shortened(&fact.value, 4000), Look::BODY, WIDTH - NAMES);
            self.pages.side_by_side(&mut self.types, vec![(0.0, name), (NAMES, value)])?;
            self.pages.space(2.0);
        }
        self.pages.space(6.0);
        Ok(())
    }

    fn table(&mut self, title: &str, columns: &[Column], rows: &[Vec<String>]) -> Result<(), WriteError> {
        const GAP: f32 = 8.0;
        if !title.is_empty() {
            self.pages.space(4.0);
            self.pages.room(&mut self.types, 60.0)?;
            self.text(title, Look::STRONG)?;
            self.pages.space(3.0);
        }
        let shares: f32 = columns.iter().map(|column| f32::from(column.share)).sum();
        let mut places = Vec::new();
        let mut left = 0.0;
        for column in columns {
            let width = WIDTH * f32::from(column.share) / shares;
            places.push((left, width - GAP));
            left += width;
        }
        let row = |writer: &mut Self, cells: &mut dyn Iterator<Item = &str>, look: Look| {
            let mut laid = Vec::new();
            for ((cell, column), (left, width)) in cells.zip(columns).zip(&places) {
                let look = Look { is_at_end: column.is_figure, ..look };
                laid.push((*left, writer.types.plain(&shortened(cell, CELL_BYTES_MAX), look, *width)));
            }
            writer.pages.side_by_side(&mut writer.types, laid)?;
            writer.pages.space(1.5);
            writer.pages.rule();
            writer.pages.space(2.5);
            Ok::<_, WriteError>(())
        };
        row(self, &mut columns.iter().map(|column| column.title), Look::CELL_HEAD)?;
        for cells in rows {
            row(self, &mut cells.iter().map(String::as_str), Look::CELL)?;
        }
        self.pages.space(6.0);
        Ok(())
    }

    fn chart(&mut self, title: &str) -> Result<(), WriteError> {
        let (units_wide, units_high) = chart::SIZE;
        let scale = WIDTH / units_wide as f32;
        self.pages.space(4.0);
        self.pages.room(&mut self.types, units_high as f32 * scale + 30.0)?;
        self.text(title, Look::STRONG)?;
        self.pages.space(3.0);
        let mut strokes = Vec::new();
        chart::draw(&Canvas::new(chart::SIZE, &mut strokes).into_drawing_area(), self.turns)?;
        canvas::put(&strokes, scale, &mut self.pages, &mut self.types);
        self.pages.space(units_high as f32 * scale + 6.0);
        Ok(())
    }

    fn text(&mut self, text: &str, look: Look) -> Result<(), WriteError> {
        let laid = self.types.plain(text, look, WIDTH);
        self.pages.flow(&mut self.types, laid, 0.0, None)
    }

    fn rich(&mut self, rich: &Rich, look: Look, left: f32, shape: Shape) -> Result<(), WriteError> {
        let laid = self.types.lay(rich, look, shape.width);
        self.pages.flow(&mut self.types, laid, left, shape.shade)
    }
}

/// The text, or its beginning.
fn shortened(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(bytes_max)])
}

#[cfg(test)]
mod tests;
