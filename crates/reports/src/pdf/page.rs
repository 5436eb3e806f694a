//! Pages: what stands on the one that is being filled, and those that are done.

use super::typesetter::{Ink, LINE, Laid, Look, Typesetter, fill};
use crate::WriteError;
use jiff::{Timestamp, tz::TimeZone};
use krilla::{
    Document,
    destination::XyzDestination,
    geom::{PathBuilder, Point, Rect},
    metadata::{DateTime, Metadata},
    outline::{Outline, OutlineNode},
    page::PageSettings,
    surface::Surface,
};
use std::{rc::Rc, time::Instant};

/// A4, in points.
const PAGE: (f32, f32) = (595.28, 841.89);
const MARGIN: f32 = 56.0;
const BOTTOM: f32 = PAGE.1 - 64.0;
/// Of the text.
pub(super) const WIDTH: f32 = PAGE.0 - 2.0 * MARGIN;

/// Something on a page.
enum Mark {
    Line { laid: Rc<Laid>, line: usize, left: f32, top: f32 },
    Block { rect: Rect, ink: Ink },
}

/// A document that is filled from the top to the bottom. Only the page that is being filled is kept as it came.
pub(super) struct Pages {
    document: Document,
    marks: Vec<Mark>,
    done: usize,
    /// Where the next thing stands.
    y: f32,
    footer: String,
    sections: Vec<(String, usize, f32)>,
    deadline: Instant,
}

impl Pages {
    pub(super) fn new(footer: String, deadline: Instant) -> Self {
        Self {
            document: Document::new(),
            marks: Vec::new(),
            done: 0,
            y: MARGIN,
            footer,
            sections: Vec::new(),
            deadline,
        }
    }

    /// Leaves a gap, unless nothing is above it.
    pub(super) fn space(&mut self, height: f32) {
        if !self.marks.is_empty() {
            self.y += height;
        }
    }

    /// Turns to the next page unless there is so much room on this one.
    pub(super) fn room(&mut self, types: &mut Typesetter, height: f32) -> Result<(), WriteError> {
        if Instant::now() >= self.deadline {
            return Err(WriteError::Late);
        }
        if self.y + height > BOTTOM && !self.marks.is_empty() {
            self.turn(types)?;
        }
        Ok(())
    }

    /// A thin line across.
    pub(super) fn rule(&mut self) {
        self.block(0.0, 0.0, WIDTH, 0.5, LINE);
    }

    /// A block of ink, as far from where the next thing stands.
    pub(super) fn block(&mut self, left: f32, down: f32, width: f32, height: f32, ink: Ink) {
        if let Some(rect) = Rect::from_xywh(MARGIN + left, self.y + down, width, height) {
            self.marks.push(Mark::Block { rect, ink });
        }
    }

    /// A text that takes no room, as far from where the next thing stands.
    pub(super) fn put(&mut self, laid: Laid, left: f32, down: f32) {
        let laid = Rc::new(laid);
        let mut top = self.y + down;
        for (line, height) in laid.lines().enumerate() {
            self.marks.push(Mark::Line { laid: laid.clone(), line, left: MARGIN + left, top });
            top += height;
        }
    }

    /// A text that goes on over as many pages as it takes.
    pub(super) fn flow(
        &mut self,
        types: &mut Typesetter,
        laid: Laid,
        left: f32,
        shade: Option<Ink>,
    ) -> Result<(), WriteError> {
        let laid = Rc::new(laid);
        for (line, height) in laid.lines().enumerate() {
            self.room(types, height)?;
            if let Some(ink) = shade {
                // A little more than the line, so that no gap shows between two.
                self.block(left - 6.0, -0.2, WIDTH - left + 6.0, height + 0.4, ink);
            }
            self.marks.push(Mark::Line { laid: laid.clone(), line, left: MARGIN + left, top: self.y });
            self.y += height;
        }
        Ok(())
    }

    /// Texts beside each other, which stay on one page if it can hold them.
    pub(super) fn side_by_side(
        &mut self,
        types: &mut Typesetter,
        texts: Vec<(f32, Laid)>,
    ) -> Result<(), WriteError> {
        let highest = texts.iter().map(|(_, laid)| laid.height()).fold(0.0, f32::max);
        if highest > BOTTOM - MARGIN {
            for (left, laid) in texts {
                self.flow(types, laid, left, None)?;
            }
            return Ok(());
        }
        self.room(types, highest)?;
        for (left, laid) in texts {
            self.put(laid, left, 0.0);
        }
        self.y += highest;
        Ok(())
    }

    /// The section begins here.
    pub(super) fn mark_section(&mut self, title: &str) {
        self.sections.push((title.to_owned(), self.done, self.y));
    }

    /// The PDF.
    pub(super) fn finish(
        mut self,
        types: &mut Typesetter,
        title: &str,
        made: Timestamp,
    ) -> Result<Vec<u8>, WriteError> {
        self.turn(types)?;
        let mut outline = Outline::new();
        for (title, page, top) in self.sections {
            outline.push_child(OutlineNode::new(title, XyzDestination::new(page, Point::from_xy(0.0, top))));
        }
        self.document.set_outline(outline);
        let metadata = Metadata::new()
            .title(title.to_owned())
            .language("en".to_owned())
            .creator("Steward".to_owned())
            .creation_date(date(made));
        self.document.set_metadata(metadata);
        self.document.finish().map_err(|error| WriteError::Pdf(format!("{error:?}")))
    }

    fn turn(&mut self, types: &mut Typesetter) -> Result<(), WriteError> {
        self.done += 1;
        let number = types.plain(&format!("{} · page {}", self.footer, self.done), Look::SMALL, WIDTH);
        let settings = PageSettings::from_wh(PAGE.0, PAGE.1);
        let settings = settings.ok_or_else(|| WriteError::Pdf("no such page".to_owned()))?;
        let mut page = self.document.start_page_with(settings);
        let mut surface = page.surface();
        for mark in self.marks.drain(..) {
            match mark {
                Mark::Line { laid, line, left, top } => types.draw(&mut surface, &laid, line, left, top),
                Mark::Block { rect, ink } => draw_block(&mut surface, rect, ink),
            }
        }
        types.draw(&mut surface, &number, 0, MARGIN, BOTTOM + 20.0);
        surface.finish();
        page.finish();
        self.y = MARGIN;
        Ok(())
    }
}

fn draw_block(surface: &mut Surface<'_>, rect: Rect, ink: Ink) {
    let mut path = PathBuilder::new();
    path.push_rect(rect);
    if let Some(path) = path.finish() {
        surface.set_fill(Some(fill(ink)));
        surface.draw_path(&path);
    }
}

fn date(at: Timestamp) -> DateTime {
    let at = at.to_zoned(TimeZone::UTC);
    let small = |figure: i8| u8::try_from(figure).unwrap_or_default();
    DateTime::new(u16::try_from(at.year()).unwrap_or_default())
        .month(small(at.month()))
        .day(small(at.day()))
        .hour(small(at.hour()))
        .minute(small(at.minute()))
        .second(small(at.second()))
        .utc_offset_hour(0)
        .utc_offset_minute(0)
}
