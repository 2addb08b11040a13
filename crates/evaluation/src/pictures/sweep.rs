//! The curve of a learning rate range test.

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use crate::error::EvaluationError;
use crate::pictures::picture::Picture;
use crate::pictures::plots::{Area, FONT, GRID, SIZE, draw, plot, text};
use crate::report::run::{RangeTest, Run};

const PIXELS: (u32, u32) = (460, 300);
const CURVE: RGBColor = RGBColor(31, 119, 180);
const CHOSEN: RGBColor = RGBColor(214, 39, 40);

/// Draws the loss over the learning rate and the rate that was chosen; `None` if the test has no
/// finite loss.
///
/// # Errors
///
/// [`EvaluationError::Plot`] if it cannot be drawn.
pub fn sweep(run: &Run) -> Result<Option<Picture>, EvaluationError> {
    let Some(test) = run
        .range_test
        .as_ref()
        .filter(|test| !points(test).is_empty())
    else {
        return Ok(None);
    };
    let title = title(&run.method, test);
    let drawing = draw(PIXELS, |area| paint(area, &title, test))?;
    let name = format!("learning_rate_{}_seed{}", run.method, run.seed);
    Ok(Some(Picture::new(name, title, drawing)))
}

fn title(method: &str, test: &RangeTest) -> String {
    format!(
        "{method}: loss over learning rate, {:.1e} chosen",
        test.suggestion
    )
}

fn points(test: &RangeTest) -> Vec<(f64, f64)> {
    let points = test.rates.iter().copied().zip(test.losses.iter().copied());
    points
        .filter(|(rate, loss)| *rate > 0.0 && loss.is_finite())
        .collect()
}

fn paint(area: &Area<'_>, title: &str, test: &RangeTest) -> Result<(), EvaluationError> {
    let points = points(test);
    let losses = points.iter().map(|(_, loss)| *loss);
    let (low, first) = (losses.clone().fold(f64::INFINITY, f64::min), points[0].1);
    // Losses of diverged steps are cut at twice the first loss.
    let high = losses.fold(first, f64::max).min(2.0 * first);
    let margin = 0.05 * (high - low).max(1e-6);
    let (left, right) = (points[0].0, points[points.len() - 1].0);
    let range = (low - margin)..(high + margin);
    area.fill(&TRANSPARENT).map_err(plot)?;
    text(area, title, (4, 12), HPos::Left)?;
    let mut chart = ChartBuilder::on(area)
        .margin_top(30)
        .margin_right(16)
        .x_label_area_size(46)
        .y_label_area_size(48)
        .build_cartesian_2d((left..right.max(left * 10.0)).log_scale(), range.clone())
        .map_err(plot)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(GRID)
        .x_desc("learning rate")
        .x_labels(9)
        .y_labels(6)
        .x_label_formatter(&|x| format!("{x:.0e}"))
        .y_label_formatter(&|y| format!("{y:.2}"))
        .label_style((FONT, SIZE))
        .axis_desc_style((FONT, SIZE))
        .draw()
        .map_err(plot)?;
    let inside = points
        .iter()
        .map(|(rate, loss)| (*rate, loss.min(range.end)));
    chart
        .draw_series(LineSeries::new(inside, CURVE.stroke_width(2)))
        .map_err(plot)?;
    let chosen = [(test.suggestion, range.start), (test.suggestion, range.end)];
    chart
        .draw_series(LineSeries::new(chosen, CHOSEN.stroke_width(1)))
        .map_err(plot)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curve_and_the_chosen_rate_are_drawn() {
        let rates: Vec<f64> = (0..50)
            .map(|i| 1e-7 * 10_f64.powf(f64::from(i) / 7.0))
            .collect();
        let losses = (0..50).map(|i| {
            if i < 45 {
                2.0 - f64::from(i) * 0.03
            } else {
                1e6
            }
        });
        let test = RangeTest {
            losses: losses.collect(),
            suggestion: 1e-3,
            rates,
        };
        let of = |test| Run {
            method: "a<b".to_owned(),
            range_test: Some(test),
            ..Run::default()
        };
        let picture = sweep(&of(test)).unwrap().unwrap();
        assert_eq!(picture.name, "learning_rate_a<b_seed0");
        let svg = picture.file();
        assert!(svg.starts_with("<svg") && svg.contains("a&lt;b"), "{svg}");
        // The curve, and a vertical line at the chosen rate.
        for color in ["#1F77B4", "#D62728"] {
            assert!(svg.contains(color), "{svg}");
        }
        let empty = RangeTest {
            rates: Vec::new(),
            losses: Vec::new(),
            suggestion: 0.1,
        };
        assert_eq!(sweep(&of(empty)).unwrap(), None);
        assert_eq!(sweep(&Run::default()).unwrap(), None);
    }
}
