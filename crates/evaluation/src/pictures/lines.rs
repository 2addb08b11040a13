//! Line charts over epochs or numbers of training images.

use std::ops::Range;

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use crate::error::EvaluationError;
use crate::pictures::looks::Look;
use crate::pictures::picture::Picture;
use crate::pictures::plots::{FONT, GRID, SIZE, draw, marker, plot, text};

/// One line of a chart.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Series {
    pub name: String,
    pub look: Look,
    /// The mean.
    pub points: Vec<(f64, f64)>,
    /// The lowest and the highest seed at each place, as `(x, low, high)`; empty for one seed.
    pub band: Vec<(f64, f64, f64)>,
}

/// The axes of a chart.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Axes<'a> {
    /// The name of the picture's file.
    pub name: &'a str,
    /// What the vertical axis shows, written above the chart.
    pub title: &'a str,
    /// What the horizontal axis shows, written below the chart.
    pub x: &'a str,
    /// Whether the vertical axis shows a share, from 0 to 100 %.
    pub share: bool,
}

const PIXELS: (u32, u32) = (340, 260);
/// Height of the title, and of the numbers and name of the horizontal axis.
const TOP: i32 = 30;
const BOTTOM: i32 = 46;

/// Draws lines, each with its name at its end; `None` if there is no finite point.
pub(crate) fn lines(series: &[Series], axes: Axes<'_>) -> Result<Option<Picture>, EvaluationError> {
    let Some((x, vertical)) = ranges(series, axes.share) else {
        return Ok(None);
    };
    let longest = series
        .iter()
        .map(|line| line.name.chars().count())
        .max()
        .unwrap_or(0);
    let names = 30 + 7 * u32::try_from(longest.min(16)).unwrap_or(0);
    let drawing = draw(PIXELS, |area| {
        text(area, axes.title, (4, 12), HPos::Left)?;
        let mut chart = ChartBuilder::on(area)
            .margin_top(TOP)
            .margin_right(names)
            .x_label_area_size(BOTTOM)
            .y_label_area_size(48)
            .build_cartesian_2d(x, vertical.clone())
            .map_err(plot)?;
        let digits = digits(vertical.end);
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(GRID)
            .x_desc(axes.x)
            .x_labels(6)
            .y_labels(6)
            .x_label_formatter(&|x| whole(*x))
            .y_label_formatter(&|y| {
                if axes.share {
                    format!("{:.0} %", 100.0 * y)
                } else {
                    format!("{y:.digits$}")
                }
            })
            .label_style((FONT, SIZE))
            .axis_desc_style((FONT, SIZE))
            .draw()
            .map_err(plot)?;
        for line in series {
            let place = |(x, y): (f64, f64)| {
                chart.backend_coord(&(x, y.clamp(vertical.start, vertical.end)))
            };
            let faint = line.look.color.mix(0.18).filled();
            let edge: Vec<_> = edge(&line.band).into_iter().map(place).collect();
            if !edge.is_empty() {
                area.draw(&Polygon::new(edge, faint)).map_err(plot)?;
            }
        }
        let mut ends = Vec::new();
        for line in series {
            let points: Vec<_> = line.points.iter().copied().filter(finite).collect();
            let style = line.look.color.stroke_width(2);
            chart
                .draw_series(LineSeries::new(points.clone(), style))
                .map_err(plot)?;
            let pixels: Vec<_> = points
                .iter()
                .map(|(x, value)| {
                    chart.backend_coord(&(*x, value.clamp(vertical.start, vertical.end)))
                })
                .collect();
            // At most 12 markers per line, always including the last point.
            for at in pixels
                .iter()
                .rev()
                .step_by(pixels.len().div_ceil(12).max(1))
            {
                marker(area, line.look, *at, 4)?;
            }
            ends.extend(pixels.last().map(|(x, y)| (*x, *y, line)));
        }
        // Names at the ends of the lines, moved apart if they would overlap.
        ends.sort_by_key(|(_, y, _)| *y);
        let bottom = i32::try_from(PIXELS.1).unwrap_or(i32::MAX) - BOTTOM;
        let heights = apart(ends.iter().map(|(_, y, _)| *y).collect(), 17, bottom);
        for ((x, _, line), y) in ends.into_iter().zip(heights) {
            marker(area, line.look, (x + 14, y), 4)?;
            text(area, &line.name, (x + 23, y), HPos::Left)?;
        }
        Ok(())
    })?;
    Ok(Some(Picture::new(axes.name, axes.title, drawing)))
}

/// The outline of a band: along its lower edge, and back along its upper one.
fn edge(band: &[(f64, f64, f64)]) -> Vec<(f64, f64)> {
    let lower = band.iter().map(|(x, low, _)| (*x, *low));
    let upper = band.iter().rev().map(|(x, _, high)| (*x, *high));
    lower.chain(upper).collect()
}

fn finite((x, y): &(f64, f64)) -> bool {
    x.is_finite() && y.is_finite()
}

/// The ranges of both axes; `None` if there is no finite point.
fn ranges(series: &[Series], share: bool) -> Option<(Range<f64>, Range<f64>)> {
    let all = series
        .iter()
        .flat_map(|line| {
            edge(&line.band)
                .into_iter()
                .chain(line.points.iter().copied())
        })
        .filter(finite);
    let (mut left, mut right, mut top) = (f64::INFINITY, f64::NEG_INFINITY, 1e-3_f64);
    for (x, y) in all {
        (left, right, top) = (left.min(x), right.max(x), top.max(y));
    }
    if left > right {
        return None;
    }
    if left >= right {
        (left, right) = (left - 0.5, right + 0.5);
    }
    let y = if share { 0.0..1.0 } else { 0.0..top * 1.05 };
    Some((left..right, y))
}

/// The number of decimals that distinguishes six labels up to `end`.
fn digits(end: f64) -> usize {
    match end {
        _ if end > 8.0 => 0,
        _ if end > 0.8 => 1,
        _ if end > 0.08 => 2,
        _ => 3,
    }
}

/// Labels whole numbers only, because there is no half epoch.
fn whole(x: f64) -> String {
    if (x - x.round()).abs() < 1e-6 {
        format!("{x:.0}")
    } else {
        String::new()
    }
}

/// Moves sorted positions apart so that they differ by at least `distance` and none exceeds `bottom`.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pictures::looks::Marker;

    fn line(points: &[(f64, f64)]) -> Series {
        let look = Look {
            color: RED,
            marker: Marker::Circle,
        };
        Series {
            name: "a<b".to_owned(),
            look,
            points: points.to_vec(),
            band: Vec::new(),
        }
    }

    const AXES: Axes<'_> = Axes {
        name: "loss",
        title: "loss",
        x: "epoch",
        share: false,
    };

    #[test]
    fn names_do_not_overlap_and_stay_inside_the_picture() {
        assert_eq!(apart(vec![10, 12, 60], 15, 100), [10, 25, 60]);
        assert_eq!(apart(vec![90, 95, 98], 15, 100), [70, 85, 100]);
        assert_eq!(apart(vec![], 15, 100), [0; 0]);
    }

    #[test]
    fn axes_contain_all_finite_points() {
        let series = [line(&[
            (1.0, 2.0),
            (2.0, f64::NAN),
            (3.0, 4.0),
            (4.0, f64::INFINITY),
        ])];
        let (x, y) = ranges(&series, false).unwrap();
        assert_eq!((x, y.start), (1.0..3.0, 0.0));
        assert!((y.end - 4.2).abs() < 1e-12);
        // A single epoch is in the middle; without epochs there is no picture.
        assert_eq!(
            ranges(&[line(&[(1.0, 2.0)])], true).unwrap(),
            (0.5..1.5, 0.0..1.0)
        );
        assert_eq!(ranges(&[line(&[(1.0, f64::NAN)])], false), None);
        assert_eq!(lines(&[line(&[])], AXES).unwrap(), None);
    }

    #[test]
    fn a_band_is_between_the_lowest_and_the_highest_seed() {
        let mut one = line(&[(1.0, 2.0), (3.0, 3.0)]);
        one.band = vec![(1.0, 1.0, 4.0), (3.0, 2.0, 5.0)];
        assert_eq!(
            edge(&one.band),
            [(1.0, 1.0), (3.0, 2.0), (3.0, 5.0), (1.0, 4.0)]
        );
        // The axis is as high as the band.
        assert!((ranges(&[one.clone()], false).unwrap().1.end - 5.25).abs() < 1e-12);
        let svg = lines(&[one], AXES).unwrap().unwrap().file();
        assert_eq!(svg.matches("<polygon opacity=\"0.18\"").count(), 1, "{svg}");
    }

    #[test]
    fn names_are_escaped() {
        let svg = lines(&[line(&[(1.0, 2.0)])], AXES).unwrap().unwrap().file();
        assert!(svg.contains("a&lt;b") && !svg.contains("a<b"));
    }

    #[test]
    fn labels_of_axes_are_short() {
        assert_eq!([whole(2.0), whole(2.5)], ["2", ""]);
        assert_eq!(
            [digits(20.0), digits(2.0), digits(0.2), digits(0.02)],
            [0, 1, 2, 3]
        );
    }
}
