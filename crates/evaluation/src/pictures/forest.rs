//! Differences with their intervals, as a forest plot.

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use crate::error::EvaluationError;
use crate::format::points;
use crate::pictures::picture::Picture;
use crate::pictures::plots::{Area, GRID, draw, plot, text};
use crate::pictures::scale::Scale;

/// The difference between two methods.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    /// The names of the methods.
    pub name: String,
    pub value: f64,
    /// The ends of the interval.
    pub low: f64,
    pub high: f64,
}

const WIDTH: i32 = 640;
const ROW: i32 = 26;
/// Room above the rows and below them.
const TOP: i32 = 34;
const BOTTOM: i32 = 30;
/// Room for the numbers, to the right of the scale.
const NUMBERS: i32 = 200;
const COLOR: RGBColor = RGBColor(0, 114, 178);

/// Draws differences of accuracies; `None` if there are none.
pub(crate) fn forest(pairs: &[Row]) -> Result<Option<Picture>, EvaluationError> {
    if pairs.is_empty() {
        return Ok(None);
    }
    let title = "Differences in accuracy with 95 % intervals, percentage points";
    let rows = i32::try_from(pairs.len()).unwrap_or(i32::MAX / ROW);
    let pixels = |length: i32| u32::try_from(length).unwrap_or(0);
    let size = (pixels(WIDTH), pixels(TOP + ROW * rows + BOTTOM));
    let drawing = draw(size, |area| {
        text(area, title, (4, 14), HPos::Left)?;
        paint(area, pairs, TOP + ROW * rows)
    })?;
    Ok(Some(Picture::new("differences", title, drawing)))
}

fn paint(area: &Area<'_>, pairs: &[Row], bottom: i32) -> Result<(), EvaluationError> {
    let longest = pairs.iter().map(|row| row.name.chars().count()).max();
    let names = 7 * i32::try_from(longest.unwrap_or(0).clamp(8, 32)).unwrap_or(32);
    let ends = pairs.iter().flat_map(|row| [row.low, row.high]);
    let reach = round(ends.map(f64::abs).fold(0.0, f64::max));
    let scale = Scale::linear((-reach, reach), (names + 30, WIDTH - NUMBERS - 20));
    let line = |from, to, style: ShapeStyle| {
        let line = PathElement::new(vec![from, to], style);
        area.draw(&line).map_err(plot)
    };
    for tick in [-reach, -reach / 2.0, 0.0, reach / 2.0, reach] {
        let x = scale.pixel(tick);
        let style = if tick == 0.0 {
            BLACK.mix(0.55).stroke_width(1)
        } else {
            GRID.stroke_width(1)
        };
        line((x, TOP - 6), (x, bottom), style)?;
        let label = points(tick);
        let label = label.strip_suffix(".0").unwrap_or(&label);
        text(area, label, (x, bottom + 13), HPos::Center)?;
    }
    let mut y = TOP + ROW / 2;
    for row in pairs {
        text(area, &row.name, (names + 14, y), HPos::Right)?;
        line(
            (scale.pixel(row.low), y),
            (scale.pixel(row.high), y),
            BLACK.stroke_width(2),
        )?;
        let at = (scale.pixel(row.value), y);
        let apart = row.low > 0.0 || row.high < 0.0;
        let fill = if apart { COLOR } else { WHITE };
        let edge = if apart { COLOR } else { BLACK };
        area.draw(&Circle::new(at, 5, fill.filled()))
            .map_err(plot)?;
        area.draw(&Circle::new(at, 5, edge.stroke_width(2)))
            .map_err(plot)?;
        let numbers = format!(
            "{} ({} to {})",
            points(row.value),
            points(row.low),
            points(row.high)
        );
        text(area, &numbers, (WIDTH - NUMBERS, y), HPos::Left)?;
        y += ROW;
    }
    Ok(())
}

/// The smallest round number that is not smaller than a difference of shares.
fn round(reach: f64) -> f64 {
    let round = [
        0.001, 0.002, 0.004, 0.006, 0.01, 0.02, 0.03, 0.04, 0.06, 0.08, 0.1, 0.2, 0.3, 0.4, 0.6,
        0.8,
    ];
    let mut round = round.into_iter();
    round.find(|end| *end >= reach).unwrap_or(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, value: f64, low: f64, high: f64) -> Row {
        Row {
            name: name.to_owned(),
            value,
            low,
            high,
        }
    }

    #[test]
    fn intervals_are_where_the_numbers_are() {
        let pairs = [
            row("sft − lora", 0.05, 0.01, 0.09),
            row("sft − peft", -0.02, -0.06, 0.02),
        ];
        let picture = forest(&pairs).unwrap().unwrap();
        let svg = picture.file();
        // The scale is from −10 points at 7 · 10 + 30 = 100 to 10 points at 420; zero is at 260. The rows
        // are at 34 + 13 = 47 and 73.
        assert!(svg.contains("points=\"276,47 404,47 \""), "{svg}");
        assert!(svg.contains("points=\"164,73 292,73 \""), "{svg}");
        assert!(svg.contains("cx=\"340\" cy=\"47\"") && svg.contains("cx=\"228\" cy=\"73\""));
        // Only the first interval does not contain zero.
        assert_eq!(svg.matches("fill=\"#0072B2\"").count(), 1);
        for text in ["5.0 (1.0 to 9.0)", "−2.0 (−6.0 to 2.0)", "\n−10\n"] {
            assert!(svg.contains(text), "{text}: {svg}");
        }
        assert_eq!(forest(&[]).unwrap(), None);
    }

    #[test]
    fn scales_have_round_ends() {
        let ends = [0.0, 0.001, 0.031, 0.09, 0.81].map(|reach| round(reach).to_string());
        assert_eq!(ends, ["0.001", "0.001", "0.04", "0.1", "1"]);
    }
}
