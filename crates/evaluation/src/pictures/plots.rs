//! What all pictures share: canvas, text and markers.
//!
//! In a picture for a page, black becomes `currentColor`, so that text and axes follow the page's
//! light or dark colours.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::error::EvaluationError;
use crate::pictures::looks::{Look, Marker};

pub(crate) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

pub(crate) const FONT: &str = "sans-serif";
/// The size of all text. Plotters divides it by 1.24 for the SVG.
pub(crate) const SIZE: i32 = 16;
pub(crate) const GRID: RGBColor = RGBColor(221, 221, 221);

/// Draws a picture for a page; it takes the page's text colour.
pub(crate) fn inline(
    size: (u32, u32),
    paint: impl FnOnce(&Area<'_>) -> Result<(), EvaluationError>,
) -> Result<String, EvaluationError> {
    let svg = draw(size, paint)?;
    Ok(svg
        .replace("#000000", "currentColor")
        .replace("#DDDDDD", "var(--line)"))
}

/// Draws a picture for a file of its own.
pub(crate) fn draw(
    size: (u32, u32),
    paint: impl FnOnce(&Area<'_>) -> Result<(), EvaluationError>,
) -> Result<String, EvaluationError> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        paint(&root)?;
        root.present().map_err(plot)?;
    }
    Ok(svg)
}

/// Writes text in black, vertically centred on a point.
pub(crate) fn text(
    area: &Area<'_>,
    text: &str,
    at: (i32, i32),
    anchor: HPos,
) -> Result<(), EvaluationError> {
    let style = (FONT, SIZE)
        .into_font()
        .color(&BLACK)
        .pos(Pos::new(anchor, VPos::Center));
    area.draw_text(text, &style, at).map_err(plot)
}

/// Draws a method's marker around a point; `radius` is in pixels.
pub(crate) fn marker(
    area: &Area<'_>,
    look: Look,
    (x, y): (i32, i32),
    radius: i32,
) -> Result<(), EvaluationError> {
    let (r, style) = (radius, look.color.filled());
    let corners = match look.marker {
        Marker::Circle => return area.draw(&Circle::new((x, y), r, style)).map_err(plot),
        Marker::Square => vec![
            (x - r, y - r),
            (x + r, y - r),
            (x + r, y + r),
            (x - r, y + r),
        ],
        Marker::Triangle => vec![(x, y - r - 1), (x + r + 1, y + r), (x - r - 1, y + r)],
        Marker::Diamond => vec![
            (x, y - r - 2),
            (x + r + 2, y),
            (x, y + r + 2),
            (x - r - 2, y),
        ],
        Marker::Wedge => vec![(x - r - 1, y - r), (x + r + 1, y - r), (x, y + r + 1)],
    };
    area.draw(&Polygon::new(corners, style)).map_err(plot)
}

#[allow(clippy::needless_pass_by_value)] // `map_err` passes the error by value
pub(crate) fn plot<E: std::fmt::Display>(error: E) -> EvaluationError {
    EvaluationError::Plot(error.to_string())
}
