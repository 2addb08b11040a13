//! The report's pictures, as SVG.
//!
//! Text and axes are drawn in black and then turned into `currentColor`, so that a picture inside
//! a page follows the page's light or dark colours.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::error::EvaluationError;

/// A line of a chart.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Series {
    pub name: String,
    pub color: RGBColor,
    pub points: Vec<(f64, f64)>,
}

/// A bar of a chart.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bar {
    pub name: String,
    pub color: RGBColor,
    pub value: f64,
    /// Single values behind it, drawn as dots.
    pub dots: Vec<f64>,
    pub label: String,
}

/// Colours that people with colour-blindness tell apart (Okabe and Ito 2008).
const PALETTE: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(140, 140, 140),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];

/// The colour of a method: the same in every picture.
pub(crate) fn color(method: &str, index: usize) -> RGBColor {
    let known = ["sft", "lora", "peft", "linear", "scratch"];
    let place = known.iter().position(|name| *name == method);
    PALETTE[place.unwrap_or(known.len() + index % 2)]
}

/// The CSS form of a colour.
pub(crate) fn css(color: RGBColor) -> String {
    format!("rgb({},{},{})", color.0, color.1, color.2)
}

const FONT: &str = "sans-serif";
const GRID: RGBColor = RGBColor(221, 221, 221);

/// Lines over epochs (or images), each named at its end.
pub(crate) fn lines(
    series: &[Series],
    x_title: &str,
    y_title: &str,
    y_range: Option<Range<f64>>,
    y_label: &dyn Fn(f64) -> String,
) -> Result<String, EvaluationError> {
    let finite = |(x, y): &&(f64, f64)| x.is_finite() && y.is_finite();
    let points = || series.iter().flat_map(|line| &line.points).filter(finite);
    let x_min = points().map(|point| point.0).fold(f64::INFINITY, f64::min);
    let x_max = points()
        .map(|point| point.0)
        .fold(f64::NEG_INFINITY, f64::max);
    if !x_min.is_finite() {
        return Ok(String::new());
    }
    let x_max = if x_max > x_min { x_max } else { x_min + 1.0 };
    let y_max = points().map(|point| point.1).fold(0.0, f64::max).max(1e-3);
    let range = y_range.unwrap_or(0.0..y_max * 1.05);
    draw((480, 300), |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(8)
            .margin_right(72)
            .x_label_area_size(40)
            .y_label_area_size(56)
            .build_cartesian_2d(x_min..x_max, range.clone())
            .map_err(plot)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(GRID)
            .x_desc(x_title)
            .y_desc(y_title)
            .x_labels(8)
            .y_labels(6)
            .x_label_formatter(&|x| format!("{x:.0}"))
            .y_label_formatter(&|y| y_label(*y))
            .label_style((FONT, 15))
            .axis_desc_style((FONT, 15))
            .draw()
            .map_err(plot)?;
        let mut ends = Vec::new();
        for line in series {
            let points: Vec<_> = line.points.iter().filter(finite).copied().collect();
            let Some(&last) = points.last() else { continue };
            chart
                .draw_series(LineSeries::new(points.clone(), line.color.stroke_width(2)))
                .map_err(plot)?;
            if points.len() == 1 {
                chart
                    .draw_series([Circle::new(last, 3, line.color.filled())])
                    .map_err(plot)?;
            }
            let (x, y) = chart.backend_coord(&(last.0, last.1.clamp(range.start, range.end)));
            ends.push((x, y, line));
        }
        // Names at the ends of the lines, moved apart where they would overlap.
        ends.sort_by_key(|(_, y, _)| *y);
        let heights = apart(ends.iter().map(|(_, y, _)| *y).collect(), 15, 250);
        for ((x, _, line), y) in ends.into_iter().zip(heights) {
            text(area, &line.name, (x + 8, y), 15, line.color, HPos::Left)?;
        }
        Ok(())
    })
}

/// Moves sorted positions so that they lie `distance` apart and the last one not below `bottom`.
fn apart(mut positions: Vec<i32>, distance: i32, bottom: i32) -> Vec<i32> {
    for i in 1..positions.len() {
        positions[i] = positions[i].max(positions[i - 1] + distance);
    }
    let mut limit = bottom;
    for position in positions.iter_mut().rev() {
        *position = (*position).min(limit);
        limit = *position - distance;
    }
    positions
}

/// Horizontal bars, one a method.
pub(crate) fn bars(title: &str, bars: &[Bar]) -> Result<String, EvaluationError> {
    let height = 34 + 30 * u32::try_from(bars.len()).unwrap_or(0);
    draw((420, height), |area| bars_on(area, title, bars))
}

/// Several bar charts, two in a row, for a README: colours of its own, white behind it.
pub(crate) fn panels(panels: &[(String, Vec<Bar>)]) -> Result<String, EvaluationError> {
    let bars = panels.iter().map(|(_, bars)| bars.len()).max().unwrap_or(0);
    let rows = panels.len().div_ceil(2);
    let height = 50 + 30 * u32::try_from(bars).unwrap_or(0);
    let size = (840, height * u32::try_from(rows).unwrap_or(1));
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        root.fill(&WHITE).map_err(plot)?;
        for (area, (title, bars)) in root.split_evenly((rows, 2)).iter().zip(panels) {
            bars_on(&area.margin(8, 4, 10, 6), title, bars)?;
        }
        root.present().map_err(plot)?;
    }
    Ok(svg)
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

#[allow(clippy::cast_possible_truncation)]
fn bars_on(area: &Area<'_>, title: &str, bars: &[Bar]) -> Result<(), EvaluationError> {
    let (width, _) = area.dim_in_pixel();
    let width = i32::try_from(width).unwrap_or(i32::MAX);
    let (left, right) = (66, 124);
    let max = bars
        .iter()
        .flat_map(|bar| bar.dots.iter().chain([&bar.value]))
        .copied()
        .filter(|value| value.is_finite())
        .fold(0.0, f64::max);
    let scale = f64::from(width - left - right) / max.max(f64::MIN_POSITIVE);
    let x = |value: f64| left + (value.max(0.0) * scale) as i32;
    text(area, title, (0, 12), 17, BLACK, HPos::Left)?;
    let mut y = 30;
    for bar in bars {
        let middle = y + 11;
        text(area, &bar.name, (left - 8, middle), 16, BLACK, HPos::Right)?;
        if bar.value.is_finite() {
            let corners = [(left, y), (x(bar.value).max(left + 1), y + 22)];
            area.draw(&Rectangle::new(corners, bar.color.filled()))
                .map_err(plot)?;
            let mut end = x(bar.value);
            if bar.dots.len() > 1 {
                for dot in &bar.dots {
                    let at = (x(*dot), middle);
                    area.draw(&Circle::new(at, 3, WHITE.filled()))
                        .map_err(plot)?;
                    area.draw(&Circle::new(at, 3, bar.color.stroke_width(1)))
                        .map_err(plot)?;
                    end = end.max(at.0 + 3);
                }
            }
            text(area, &bar.label, (end + 6, middle), 16, BLACK, HPos::Left)?;
        } else {
            text(area, "not measured", (left, middle), 16, BLACK, HPos::Left)?;
        }
        y += 30;
    }
    Ok(())
}

fn text(
    area: &Area<'_>,
    text: &str,
    at: (i32, i32),
    size: i32,
    color: RGBColor,
    anchor: HPos,
) -> Result<(), EvaluationError> {
    let style = (FONT, size)
        .into_font()
        .color(&color)
        .pos(Pos::new(anchor, VPos::Center));
    area.draw_text(text, &style, at).map_err(plot)
}

fn draw(
    size: (u32, u32),
    paint: impl FnOnce(&Area<'_>) -> Result<(), EvaluationError>,
) -> Result<String, EvaluationError> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        paint(&root)?;
        root.present().map_err(plot)?;
    }
    Ok(svg
        .replace("#000000", "currentColor")
        .replace("#DDDDDD", "var(--line)"))
}

#[allow(clippy::needless_pass_by_value)] // as `map_err` hands it over
fn plot<E: std::fmt::Display>(error: E) -> EvaluationError {
    EvaluationError::Plot(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_distance_and_stay_inside() {
        assert_eq!(apart(vec![10, 12, 60], 15, 100), [10, 25, 60]);
        assert_eq!(apart(vec![90, 95, 98], 15, 100), [70, 85, 100]);
        assert_eq!(apart(vec![], 15, 100), [0; 0]);
    }
}
