//! The ratios as a picture: one row per comparison, time on the left, memory on the right.

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::job::Side;
use crate::results::{Ratio, Results, Row};

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

const ROW: i32 = 20;
const TOP: i32 = 46;
const NAMES: i32 = 250;
const PANEL: i32 = 330;
const GAP: i32 = 70;
const SIZE: i32 = 15;
const GRID: RGBColor = RGBColor(221, 221, 221);
/// Colours of time and memory (from Okabe and Ito 2008).
const COLORS: [RGBColor; 2] = [RGBColor(0, 114, 178), RGBColor(213, 94, 0)];
/// The range of the logarithmic scale.
const LEAST: f64 = 0.02;
const MOST: f64 = 8.0;
const TICKS: [(f64, &str); 7] = [
    (0.03, "0.03"),
    (0.1, "0.1"),
    (0.25, "0.25"),
    (0.5, "0.5"),
    (1.0, "1"),
    (2.0, "2"),
    (5.0, "5"),
];

/// Draws the picture; `None` if nothing was compared.
pub(crate) fn svg(results: &Results) -> Result<Option<String>> {
    let mut rows: Vec<(String, &Row)> = Vec::new();
    for row in &results.steps {
        if row.theirs.side == Side::Pytorch {
            let name = format!("{} {} px, {}", row.model, row.size, row.ours.method);
            rows.push((name, row));
        }
    }
    for row in &results.runs {
        let name = format!("whole run, {} px, {}", row.size, row.ours.method);
        rows.push((name, row));
    }
    if rows.is_empty() {
        return Ok(None);
    }
    let count = i32::try_from(rows.len())?;
    let size = (
        u32::try_from(NAMES + 2 * PANEL + GAP + 80)?,
        u32::try_from(TOP + ROW * count + 34)?,
    );
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        paint(&area, &rows).map_err(|error| anyhow!("cannot draw: {error}"))?;
    }
    Ok(Some(svg))
}

fn paint(area: &Area<'_>, rows: &[(String, &Row)]) -> Result<(), String> {
    let failed = |error: &dyn std::fmt::Display| error.to_string();
    area.fill(&WHITE).map_err(|error| failed(&error))?;
    let bottom = TOP + ROW * i32::try_from(rows.len()).unwrap_or(0);
    let titles = [
        "Time: finetune / PyTorch",
        "Peak memory: finetune / PyTorch",
    ];
    for (panel, title) in titles.into_iter().enumerate() {
        let left = NAMES + i32::try_from(panel).unwrap_or(0) * (PANEL + GAP);
        text(area, title, (left, 14), HPos::Left)?;
        for (value, label) in TICKS {
            let x = left + place(value);
            let color = if label == "1" { BLACK } else { GRID };
            let line = PathElement::new(vec![(x, TOP - 8), (x, bottom)], color);
            area.draw(&line).map_err(|error| failed(&error))?;
            text(area, label, (x, bottom + 14), HPos::Center)?;
        }
        for (index, (_, row)) in rows.iter().enumerate() {
            let y = TOP + ROW * i32::try_from(index).unwrap_or(0) + ROW / 2;
            let ratio = [row.time, row.memory][panel];
            mark(area, ratio, (left, y), COLORS[panel])?;
        }
    }
    for (index, (name, _)) in rows.iter().enumerate() {
        let y = TOP + ROW * i32::try_from(index).unwrap_or(0) + ROW / 2;
        text(area, name, (NAMES - 12, y), HPos::Right)?;
    }
    area.present().map_err(|error| failed(&error))
}

/// Draws a line from the smallest to the largest ratio, a dot at the median, and its number.
fn mark(
    area: &Area<'_>,
    ratio: Ratio,
    (left, y): (i32, i32),
    color: RGBColor,
) -> Result<(), String> {
    let failed = |error: &dyn std::fmt::Display| error.to_string();
    let ends = vec![
        (left + place(ratio.least), y),
        (left + place(ratio.most), y),
    ];
    area.draw(&PathElement::new(ends, color.stroke_width(2)))
        .map_err(|error| failed(&error))?;
    let at = (left + place(ratio.median), y);
    area.draw(&Circle::new(at, 4, color.filled()))
        .map_err(|error| failed(&error))?;
    let number = format!("{:.2}", ratio.median);
    text(area, &number, (left + PANEL + 6, y), HPos::Left)
}

/// The horizontal position of a ratio, in pixels from the left of the panel.
#[allow(clippy::cast_possible_truncation)]
fn place(value: f64) -> i32 {
    let share = (value / LEAST).ln() / (MOST / LEAST).ln();
    (share.clamp(0.0, 1.0) * f64::from(PANEL)).round() as i32
}

fn text(area: &Area<'_>, text: &str, at: (i32, i32), anchor: HPos) -> Result<(), String> {
    let style = ("sans-serif", SIZE)
        .into_font()
        .color(&BLACK)
        .pos(Pos::new(anchor, VPos::Center));
    area.draw_text(text, &style, at)
        .map_err(|error| error.to_string())
}
