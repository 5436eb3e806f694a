//! From text to lines of glyphs.

use super::fonts::Fonts;
use krilla::{
    Data,
    color::rgb,
    geom::Point,
    num::NormalizedF32,
    paint::{Fill, FillRule},
    surface::Surface,
    text::{Font, GlyphId, KrillaGlyph},
};
use parley::{
    Alignment, AlignmentOptions, FontFamily, FontStyle, FontWeight, Layout, LayoutContext, LineHeight,
    OverflowWrap, StyleProperty,
};
use std::{borrow::Cow, collections::HashMap, ops::Range, path::Path};

/// A colour: red, green, blue.
pub(super) type Ink = [u8; 3];

pub(super) const BLACK: Ink = [27, 31, 36];
pub(super) const GREY: Ink = [91, 100, 112];
pub(super) const MARK: Ink = [47, 95, 168];
pub(super) const LINE: Ink = [213, 218, 224];
pub(super) const SHADE: Ink = [244, 246, 248];

/// How a whole text looks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Look {
    pub size: f32,
    pub ink: Ink,
    pub is_bold: bool,
    pub is_mono: bool,
    /// Whether lines end at the right, as figures do.
    pub is_at_end: bool,
}

impl Look {
    pub(super) const BODY: Self =
        Self { size: 9.0, ink: BLACK, is_bold: false, is_mono: false, is_at_end: false };
    pub(super) const SOFT: Self = Self { ink: GREY, ..Self::BODY };
    pub(super) const STRONG: Self = Self { is_bold: true, ..Self::BODY };
    pub(super) const NOTE: Self = Self { ink: MARK, ..Self::BODY };
    pub(super) const TITLE: Self = Self { size: 20.0, ..Self::STRONG };
    pub(super) const HEADING: Self = Self { size: 13.0, ..Self::STRONG };
    pub(super) const SMALL: Self = Self { size: 7.5, ..Self::SOFT };
    pub(super) const CELL: Self = Self { size: 7.5, ..Self::BODY };
    pub(super) const CELL_HEAD: Self = Self { size: 7.5, ink: GREY, ..Self::STRONG };
    pub(super) const CODE: Self = Self { size: 8.0, is_mono: true, ..Self::BODY };
}

/// Where a text stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub width: f32,
    /// What is behind it.
    pub shade: Option<Ink>,
}

/// What part of a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Bold,
    Italic,
    Code,
    Link,
}

/// A text, and what its parts are.
#[derive(Debug, Default, Clone)]
pub(super) struct Rich {
    pub text: String,
    pub parts: Vec<(Range<usize>, Part)>,
}

/// A text in lines.
pub(super) struct Laid {
    text: String,
    layout: Layout<Ink>,
}

impl Laid {
    /// How high each line is.
    pub(super) fn lines(&self) -> impl Iterator<Item = f32> + '_ {
        self.layout.lines().map(|line| line.metrics().line_height)
    }

    pub(super) fn height(&self) -> f32 {
        self.layout.height()
    }

    pub(super) fn width(&self) -> f32 {
        self.layout.width()
    }
}

/// Lays texts out, and draws their lines.
pub(super) struct Typesetter {
    fonts: Fonts,
    layouts: LayoutContext<Ink>,
    /// The fonts that lines were drawn in; None for one that cannot be embedded.
    embedded: HashMap<(u64, u32), Option<Font>>,
}

impl Typesetter {
    pub(super) fn new(folder: Option<&Path>) -> Self {
        Self { fonts: Fonts::read(folder), layouts: LayoutContext::new(), embedded: HashMap::new() }
    }

    /// A text that is all alike.
    pub(super) fn plain(&mut self, text: &str, look: Look, width: f32) -> Laid {
        self.lay(&Rich { text: text.to_owned(), parts: vec![] }, look, width)
    }

    /// A text in lines of this width. A word that is wider is broken where it must be.
    pub(super) fn lay(&mut self, rich: &Rich, look: Look, width: f32) -> Laid {
        let Rich { text, parts } = printable(rich);
        let Fonts { context, sans, mono } = &mut self.fonts;
        let mut builder = self.layouts.ranged_builder(context, &text, 1.0, false);
        let usual = if look.is_mono { &*mono } else { &*sans };
        builder.push_default(StyleProperty::FontFamily(FontFamily::List(Cow::Borrowed(usual))));
        builder.push_default(StyleProperty::FontSize(look.size));
        builder.push_default(StyleProperty::LineHeight(LineHeight::FontSizeRelative(1.4)));
        builder.push_default(StyleProperty::OverflowWrap(OverflowWrap::Anywhere));
        builder.push_default(StyleProperty::Brush(look.ink));
        if look.is_bold {
            builder.push_default(StyleProperty::FontWeight(FontWeight::BOLD));
        }
        for (range, part) in parts {
            match part {
                Part::Bold => builder.push(StyleProperty::FontWeight(FontWeight::BOLD), range),
                Part::Italic => builder.push(StyleProperty::FontStyle(FontStyle::Italic), range),
                Part::Link => builder.push(StyleProperty::Brush(MARK), range),
                Part::Code => {
                    let family = FontFamily::List(Cow::Borrowed(&*mono));
                    builder.push(StyleProperty::FontFamily(family), range);
                }
            }
        }
        let mut layout = builder.build(&text);
        layout.break_all_lines(Some(width));
        let alignment = if look.is_at_end { Alignment::End } else { Alignment::Start };
        layout.align(alignment, AlignmentOptions::default());
        Laid { text, layout }
    }

    /// Draws one line, whose upper left corner is there.
    pub(super) fn draw(&mut self, surface: &mut Surface<'_>, laid: &Laid, line: usize, left: f32, top: f32) {
        let Some(line) = laid.layout.get(line) else { return };
        let metrics = line.metrics();
        let baseline = top + metrics.baseline - metrics.block_min_coord;
        let mut x = left + metrics.inline_min_coord + metrics.offset;
        for run in line.runs() {
            let (data, id) = run.font().data.clone().into_raw_parts();
            let index = run.font().index;
            let font = self.embedded.entry((id, index)).or_insert_with(|| Font::new(Data::from(data), index));
            let size = run.font_size();
            let mut batch = Batch { start: x, style: 0, glyphs: Vec::new() };
            // What belongs to a glyph that comes after it, as where text runs from right to left.
            let mut ahead: Option<Range<usize>> = None;
            for cluster in run.visual_clusters() {
                let range = cluster.text_range();
                if cluster.is_ligature_continuation() {
                    match batch.glyphs.last_mut().filter(|_| !cluster.is_rtl()) {
                        Some(glyph) => glyph.text_range = joined(&glyph.text_range, &range),
                        None => ahead = Some(ahead.map_or(range.clone(), |ahead| joined(&ahead, &range))),
                    }
                    continue;
                }
                let range = ahead.take().map_or(range.clone(), |ahead| joined(&ahead, &range));
                for glyph in cluster.glyphs() {
                    if glyph.style_index() != batch.style && !batch.glyphs.is_empty() {
                        batch.draw(surface, laid, font.as_ref(), size, baseline);
                        batch.start = x;
                    }
                    batch.style = glyph.style_index();
                    batch.glyphs.push(KrillaGlyph::new(
                        GlyphId::new(glyph.id),
                        glyph.advance / size,
                        glyph.x / size,
                        glyph.y / size,
                        0.0,
                        range.clone(),
                        None,
                    ));
                    x += glyph.advance;
                }
            }
            batch.draw(surface, laid, font.as_ref(), size, baseline);
        }
    }
}

/// Glyphs of one style.
struct Batch {
    start: f32,
    style: usize,
    glyphs: Vec<KrillaGlyph>,
}

impl Batch {
    fn draw(
        &mut self,
        surface: &mut Surface<'_>,
        laid: &Laid,
        font: Option<&Font>,
        size: f32,
        baseline: f32,
    ) {
        let glyphs = std::mem::take(&mut self.glyphs);
        let Some(font) = font.filter(|_| !glyphs.is_empty()) else { return };
        let ink = laid.layout.styles().get(self.style).map_or(BLACK, |style| style.brush);
        surface.set_fill(Some(fill(ink)));
        surface.draw_glyphs(
            Point::from_xy(self.start, baseline),
            &glyphs,
            font.clone(),
            &laid.text,
            size,
            false,
        );
    }
}

/// Opaque ink.
pub(super) fn fill([red, green, blue]: Ink) -> Fill {
    Fill {
        paint: rgb::Color::new(red, green, blue).into(),
        opacity: NormalizedF32::ONE,
        rule: FillRule::default(),
    }
}

fn joined(one: &Range<usize>, other: &Range<usize>) -> Range<usize> {
    one.start.min(other.start)..one.end.max(other.end)
}

/// The same with a character for each that cannot be drawn: tabs are spaces, and other control characters are marked.
fn printable(rich: &Rich) -> Rich {
    let is_plain = |character: char| !character.is_control() || character == '\n';
    if rich.text.chars().all(is_plain) {
        return rich.clone();
    }
    let mut text = String::with_capacity(rich.text.len());
    // Where each byte went.
    let mut places = vec![0; rich.text.len() + 1];
    for (at, character) in rich.text.char_indices() {
        places[at] = text.len();
        match character {
            '\r' if rich.text[at..].starts_with("\r\n") => {}
            '\r' => text.push('\n'),
            '\t' => text.push_str("    "),
            character if is_plain(character) => text.push(character),
            _ => text.push('\u{fffd}'),
        }
    }
    places[rich.text.len()] = text.len();
    let moved = |(range, part): &(Range<usize>, Part)| (places[range.start]..places[range.end], *part);
    Rich { parts: rich.parts.iter().map(moved).collect(), text }
}
