//! What each turn cost, as bars: drawn once, on whatever draws.

use crate::{WriteError, words::money};
use domain::{MicroUsd, report::ReportTurn};
use plotters::{
    backend::SVGBackend,
    chart::ChartBuilder,
    coord::Shift,
    drawing::{DrawingArea, IntoDrawingArea},
    element::Rectangle,
    style::{Color, IntoFont, RGBColor, WHITE},
};
use plotters_backend::DrawingBackend;

/// Its size, in units of its own.
pub(crate) const SIZE: (u32, u32) = (960, 300);
/// Bars that can be told apart; of more turns several share one.
const BARS_MAX: usize = 60;

const BAR: RGBColor = RGBColor(47, 95, 168);
const INK: RGBColor = RGBColor(91, 100, 112);
const LINE: RGBColor = RGBColor(213, 218, 224);
const FONT_SIZE: f64 = 20.0;

/// The chart as an SVG element.
pub(crate) fn svg(turns: &[ReportTurn]) -> Result<String, WriteError> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        draw(&area, turns)?;
        area.present().map_err(failed)?;
    }
    Ok(svg)
}

/// Draws the chart.
pub(crate) fn draw<B: DrawingBackend>(
    area: &DrawingArea<B, Shift>,
    turns: &[ReportTurn],
) -> Result<(), WriteError> {
    area.fill(&WHITE).map_err(failed)?;
    let bars = bars(turns);
    let dearest = bars.iter().map(|(_, cost)| cost.0).max().unwrap_or_default().max(1);
    let last = bars.len() as f64 + 0.5;
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .x_label_area_size(34)
        .y_label_area_size(110)
        .build_cartesian_2d(0.5..last, 0.0..dearest as f64 * 1.08)
        .map_err(failed)?;
    let label = |place: &f64| {
        let index = place.round();
        let is_bar = (place - index).abs() < 0.01 && index >= 1.0;
        let bar = if is_bar { bars.get(index as usize - 1) } else { None };
        bar.map(|(number, _)| number.to_string()).unwrap_or_default()
    };
    chart
        .configure_mesh()
        .disable_x_mesh()
        .bold_line_style(LINE)
        .light_line_style(WHITE)
        .axis_style(INK)
        .x_labels(bars.len().min(12))
        .y_labels(5)
        .label_style(("sans-serif", FONT_SIZE).into_font().color(&INK))
        .x_label_formatter(&label)
        .y_label_formatter(&|cost| money(MicroUsd(cost.round() as i64)))
        .draw()
        .map_err(failed)?;
    let bar = |(place, (_, cost)): (usize, &(u64, MicroUsd))| {
        let middle = place as f64 + 1.0;
        Rectangle::new([(middle - 0.35, 0.0), (middle + 0.35, cost.0 as f64)], BAR.filled())
    };
    chart.draw_series(bars.iter().enumerate().map(bar)).map_err(failed)?;
    Ok(())
}

/// The first turn of each bar, and what its turns cost together.
fn bars(turns: &[ReportTurn]) -> Vec<(u64, MicroUsd)> {
    let each = turns.len().div_ceil(BARS_MAX).max(1);
    let sum = |turns: &[ReportTurn]| {
        let first = turns.first().map_or(1, |turn| turn.number);
        (first, turns.iter().map(|turn| turn.cost_micro_usd).sum())
    };
    turns.chunks(each).map(sum).collect()
}

fn failed(error: impl std::fmt::Display) -> WriteError {
    WriteError::Chart(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sections::tests::document;

    #[test]
    fn each_turn_has_a_bar_and_many_share_them() {
        let turn = document().metrics.unwrap().turns.remove(0);
        let turns: Vec<ReportTurn> = (1..=150).map(|number| ReportTurn { number, ..turn.clone() }).collect();
        assert_eq!(bars(&turns[..2]), [(1, MicroUsd(20_000)), (2, MicroUsd(20_000))]);
        let shared = bars(&turns);
        assert_eq!(
            (shared.len(), shared[0], shared[49]),
            (50, (1, MicroUsd(60_000)), (148, MicroUsd(60_000)))
        );
        let drawn = svg(&turns).unwrap();
        assert_eq!(drawn.matches("#2F5FA8").count(), 50, "{drawn}");
    }

    #[test]
    fn what_cost_nothing_is_drawn_too() {
        let mut turn = document().metrics.unwrap().turns.remove(0);
        turn.cost_micro_usd = MicroUsd::ZERO;
        assert!(svg(&[turn]).unwrap().starts_with("<svg"));
    }
}
