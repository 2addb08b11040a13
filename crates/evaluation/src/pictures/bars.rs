//! Panels that compare methods: bars for costs, dots with intervals for accuracies.

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use crate::error::EvaluationError;
use crate::pictures::looks::Look;
use crate::pictures::picture::Picture;
use crate::pictures::plots::{Area, GRID, draw, marker, plot, text};
use crate::pictures::scale::{Scale, shares};

/// A panel with one row per method.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Panel {
    /// The name of its file.
    pub name: &'static str,
    pub title: String,
    pub kind: Kind,
    pub rows: Vec<Row>,
}

/// How a panel draws its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Bars that start at zero, so that their lengths can be compared.
    Bars,
    /// Markers on a scale that need not start at zero, for shares that lie close together.
    Dots,
}

/// The row of a method.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub name: String,
    pub look: Look,
    /// The value; not finite if it was not measured.
    pub value: f64,
    pub label: String,
    /// Values of the individual seeds.
    pub seeds: Vec<f64>,
    /// The confidence interval.
    pub interval: Option<(f64, f64)>,
}

const WIDTH: u32 = 430;
const ROW: i32 = 30;
/// Height of the title above the rows.
const TOP: i32 = 30;
/// Width of the values as text, to the right of the rows.
const LABELS: i32 = 122;

/// Draws one panel.
pub(crate) fn panel(panel: &Panel) -> Result<Picture, EvaluationError> {
    let drawing = draw((WIDTH, height(panel)), |area| paint(area, panel))?;
    Ok(Picture::new(panel.name, &panel.title, drawing))
}

/// Draws panels in two columns on white, for a README.
pub(crate) fn panels(panels: &[Panel]) -> Result<String, EvaluationError> {
    let rows = panels.len().div_ceil(2).max(1);
    let tallest = panels.iter().map(height).max().unwrap_or(0);
    let size = (
        2 * (WIDTH + 20),
        u32::try_from(rows).unwrap_or(1) * (tallest + 16),
    );
    draw(size, |area| {
        area.fill(&WHITE).map_err(plot)?;
        for (area, panel) in area.split_evenly((rows, 2)).iter().zip(panels) {
            paint(&area.margin(8, 8, 10, 10), panel)?;
        }
        Ok(())
    })
}

fn height(panel: &Panel) -> u32 {
    let rows = i32::try_from(panel.rows.len()).unwrap_or(0);
    // Below the rows: the labels of a scale, or a margin.
    let bottom = match panel.kind {
        Kind::Bars => 6,
        Kind::Dots => 24,
    };
    u32::try_from(TOP + ROW * rows + bottom).unwrap_or(0)
}

fn paint(area: &Area<'_>, panel: &Panel) -> Result<(), EvaluationError> {
    let width = i32::try_from(area.dim_in_pixel().0).unwrap_or(i32::MAX);
    let longest = panel
        .rows
        .iter()
        .map(|row| row.name.chars().count())
        .max()
        .unwrap_or(0);
    let left = 14 + 7 * i32::try_from(longest.clamp(6, 18)).unwrap_or(18);
    let right = width - LABELS;
    text(area, &panel.title, (0, 12), HPos::Left)?;
    let values = panel
        .rows
        .iter()
        .flat_map(values)
        .filter(|value| value.is_finite());
    match panel.kind {
        Kind::Bars => {
            let high = values.fold(0.0, f64::max);
            let scale = Scale::linear((0.0, high), (left, right));
            rows(area, panel, left, |row, y| bar(area, &scale, row, y))
        }
        Kind::Dots => {
            let Some((low, high, step)) = shares(values) else {
                return rows(area, panel, left, |_, _| Ok(()));
            };
            let scale = Scale::linear((low, high), (left + 6, right - 6));
            grid(area, &scale, step, panel.rows.len())?;
            rows(area, panel, left, |row, y| {
                dot(area, &scale, row, y, right + 6)
            })
        }
    }
}

fn values(row: &Row) -> impl Iterator<Item = f64> {
    let ends = row.interval.map(|(low, high)| [low, high]);
    row.seeds
        .iter()
        .copied()
        .chain([row.value])
        .chain(ends.into_iter().flatten())
}

/// Writes the name of each row and draws its value.
fn rows(
    area: &Area<'_>,
    panel: &Panel,
    left: i32,
    draw: impl Fn(&Row, i32) -> Result<(), EvaluationError>,
) -> Result<(), EvaluationError> {
    let mut y = TOP + ROW / 2;
    for row in &panel.rows {
        text(area, &row.name, (left - 8, y), HPos::Right)?;
        if row.value.is_finite() {
            draw(row, y)?;
        } else {
            text(area, "not measured", (left, y), HPos::Left)?;
        }
        y += ROW;
    }
    Ok(())
}

fn bar(area: &Area<'_>, scale: &Scale, row: &Row, y: i32) -> Result<(), EvaluationError> {
    let end = scale.pixel(row.value).max(scale.from + 2);
    let corners = [(scale.from, y - 9), (end, y + 9)];
    area.draw(&Rectangle::new(corners, row.look.color.filled()))
        .map_err(plot)?;
    text(area, &row.label, (end + 6, y), HPos::Left)
}

fn dot(
    area: &Area<'_>,
    scale: &Scale,
    row: &Row,
    y: i32,
    label: i32,
) -> Result<(), EvaluationError> {
    let color = row.look.color;
    if let Some((low, high)) = row.interval {
        let ends = vec![(scale.pixel(low), y), (scale.pixel(high), y)];
        area.draw(&PathElement::new(ends, color.mix(0.6).stroke_width(2)))
            .map_err(plot)?;
    }
    for seed in row.seeds.iter().filter(|_| row.seeds.len() > 1) {
        let at = (scale.pixel(*seed), y + 10);
        area.draw(&Circle::new(at, 2, color.filled()))
            .map_err(plot)?;
    }
    marker(area, row.look, (scale.pixel(row.value), y), 5)?;
    text(area, &row.label, (label, y), HPos::Left)
}

#[allow(clippy::cast_possible_truncation)]
fn grid(area: &Area<'_>, scale: &Scale, step: f64, rows: usize) -> Result<(), EvaluationError> {
    let bottom = TOP + ROW * i32::try_from(rows).unwrap_or(0);
    let count = ((scale.high - scale.low) / step).round() as i32;
    for i in 0..=count {
        let value = scale.low + f64::from(i) * step;
        let x = scale.pixel(value);
        let line = vec![(x, TOP - 4), (x, bottom)];
        area.draw(&PathElement::new(line, GRID.stroke_width(1)))
            .map_err(plot)?;
        text(
            area,
            &format!("{:.0} %", 100.0 * value),
            (x, bottom + 12),
            HPos::Center,
        )?;
    }
    Ok(())
}
