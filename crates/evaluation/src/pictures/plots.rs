//! What all pictures share: canvas, text and markers.

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

/// Draws a picture in black and colours, on nothing.
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
    at: (i32, i32),
    radius: i32,
) -> Result<(), EvaluationError> {
    let style = look.color.filled();
    match corners(look.marker, at, radius) {
        None => area.draw(&Circle::new(at, radius, style)),
        Some(corners) => area.draw(&Polygon::new(corners, style)),
    }
    .map_err(plot)
}

/// Draws the outline of a method's marker around a point.
pub(crate) fn outline(
    area: &Area<'_>,
    look: Look,
    at: (i32, i32),
    radius: i32,
) -> Result<(), EvaluationError> {
    let style = look.color.stroke_width(2);
    match corners(look.marker, at, radius) {
        None => area.draw(&Circle::new(at, radius, style)),
        Some(mut corners) => {
            corners.extend([corners[0], corners[1]]);
            area.draw(&PathElement::new(corners, style))
        }
    }
    .map_err(plot)
}

/// The corners of a marker; `None` for a circle.
fn corners(marker: Marker, (x, y): (i32, i32), r: i32) -> Option<Vec<(i32, i32)>> {
    Some(match marker {
        Marker::Circle => return None,
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
    })
}

#[allow(clippy::needless_pass_by_value)] // `map_err` passes the error by value
pub(crate) fn plot<E: std::fmt::Display>(error: E) -> EvaluationError {
    EvaluationError::Plot(error.to_string())
}
