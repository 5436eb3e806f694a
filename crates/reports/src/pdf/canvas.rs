//! What a chart is drawn on, so that a page can draw it: rectangles, lines and words.

use super::{
    page::Pages,
    typesetter::{Ink, Look, Typesetter},
};
use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind,
    text_anchor::{HPos, VPos},
};
use std::convert::Infallible;

/// One thing that was drawn, in units of the chart.
pub(super) enum Stroke {
    Block { left: i32, top: i32, right: i32, bottom: i32, ink: Ink },
    Word { text: String, at: BackendCoord, size: f64, ink: Ink, across: HPos, down: VPos },
}

/// Remembers what is drawn.
pub(super) struct Canvas<'a> {
    size: (u32, u32),
    strokes: &'a mut Vec<Stroke>,
}

impl<'a> Canvas<'a> {
    pub(super) fn new(size: (u32, u32), strokes: &'a mut Vec<Stroke>) -> Self {
        Self { size, strokes }
    }
}

type Drawn = Result<(), DrawingErrorKind<Infallible>>;

impl DrawingBackend for Canvas<'_> {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        self.size
    }

    fn ensure_prepared(&mut self) -> Drawn {
        Ok(())
    }

    fn present(&mut self) -> Drawn {
        Ok(())
    }

    fn draw_pixel(&mut self, (x, y): BackendCoord, color: BackendColor) -> Drawn {
        let ink = ink(color);
        self.strokes.push(Stroke::Block { left: x, top: y, right: x + 1, bottom: y + 1, ink });
        Ok(())
    }

    /// The lines of this chart are level or upright.
    fn draw_line<S: BackendStyle>(&mut self, from: BackendCoord, to: BackendCoord, style: &S) -> Drawn {
        let thick = i32::try_from(style.stroke_width()).unwrap_or(1).max(1);
        let (left, right) = (from.0.min(to.0), from.0.max(to.0));
        let (top, bottom) = (from.1.min(to.1), from.1.max(to.1));
        let (right, bottom) = (right.max(left + thick), bottom.max(top + thick));
        self.strokes.push(Stroke::Block { left, top, right, bottom, ink: ink(style.color()) });
        Ok(())
    }

    fn draw_rect<S: BackendStyle>(
        &mut self,
        (left, top): BackendCoord,
        (right, bottom): BackendCoord,
        style: &S,
        fill: bool,
    ) -> Drawn {
        if fill {
            self.strokes.push(Stroke::Block { left, top, right, bottom, ink: ink(style.color()) });
            return Ok(());
        }
        for (from, to) in [
            ((left, top), (right, top)),
            ((left, bottom), (right, bottom)),
            ((left, top), (left, bottom)),
            ((right, top), (right, bottom)),
        ] {
            self.draw_line(from, to, style)?;
        }
        Ok(())
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        path: I,
        style: &S,
    ) -> Drawn {
        let mut before = None;
        for point in path {
            if let Some(before) = before {
                self.draw_line(before, point, style)?;
            }
            before = Some(point);
        }
        Ok(())
    }

    fn draw_text<S: BackendTextStyle>(&mut self, text: &str, style: &S, at: BackendCoord) -> Drawn {
        let anchor = style.anchor();
        self.strokes.push(Stroke::Word {
            text: text.to_owned(),
            at,
            size: style.size(),
            ink: ink(style.color()),
            across: anchor.h_pos,
            down: anchor.v_pos,
        });
        Ok(())
    }

    fn estimate_text_size<S: BackendTextStyle>(
        &self,
        text: &str,
        style: &S,
    ) -> Result<(u32, u32), DrawingErrorKind<Infallible>> {
        let wide = style.size() * 0.6 * text.chars().count() as f64;
        Ok((wide.max(0.0) as u32, style.size().max(0.0) as u32))
    }
}

/// Puts what was drawn onto the page, below what is there.
pub(super) fn put(strokes: &[Stroke], scale: f32, pages: &mut Pages, types: &mut Typesetter) {
    let scaled = |units: i32| units as f32 * scale;
    for stroke in strokes {
        match stroke {
            Stroke::Block { left, top, right, bottom, ink } => {
                pages.block(scaled(*left), scaled(*top), scaled(right - left), scaled(bottom - top), *ink);
            }
            Stroke::Word { text, at, size, ink, across, down } => {
                let look = Look { size: *size as f32 * scale * 0.8, ink: *ink, ..Look::BODY };
                let laid = types.plain(text, look, f32::MAX);
                let left = match across {
                    HPos::Left => 0.0,
                    HPos::Center => laid.width() / 2.0,
                    HPos::Right => laid.width(),
                };
                let up = match down {
                    VPos::Top => 0.0,
                    VPos::Center => laid.height() / 2.0,
                    VPos::Bottom => laid.height(),
                };
                pages.put(laid, scaled(at.0) - left, scaled(at.1) - up);
            }
        }
    }
}

fn ink(color: BackendColor) -> Ink {
    let (red, green, blue) = color.rgb;
    // Onto white paper.
    let mixed = |part: u8| {
        let part = f64::from(part) * color.alpha + 255.0 * (1.0 - color.alpha);
        part.clamp(0.0, 255.0).round() as u8
    };
    [mixed(red), mixed(green), mixed(blue)]
}
