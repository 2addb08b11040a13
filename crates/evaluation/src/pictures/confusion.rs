//! A confusion matrix: a row per actual class, a column per predicted one.

use finetune_files::shortened;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::error::EvaluationError;
use crate::metrics::Confusion;
use crate::pictures::picture::Picture;
use crate::pictures::plots::{Area, FONT, GRID, SIZE, draw, plot, text};

/// With more classes than this, cells have no numbers.
const NUMBERED: usize = 12;

/// With more classes than this, rows and columns have no names.
const NAMED: usize = 40;

/// With more classes than this, nobody can tell the cells apart.
const MOST: usize = 100;

/// The most characters of the name of a class.
const NAME: usize = 18;

/// Pixels per character of a name.
const CHARACTER: i32 = 7;

/// Height of the title, and of the line that says what the columns are.
const TITLE: i32 = 28;

/// Room to the right of the cells and below them.
const MARGIN: i32 = 16;

const CORRECT: RGBColor = RGBColor(0, 114, 178);
const WRONG: RGBColor = RGBColor(213, 94, 0);

/// The strength of the colour of a cell with such a share of the images of its class. The root lets a few
/// wrong images be seen.
pub(crate) fn strength(share: f64) -> f64 {
    0.6 * share.sqrt()
}

/// A matrix and what it is called.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Matrix<'a> {
    /// The name of its file.
    pub name: String,
    pub title: String,
    pub classes: &'a [String],
    pub confusion: Confusion,
}

/// Draws a matrix; `None` if it has no images or too many classes.
pub(crate) fn confusion(matrix: &Matrix<'_>) -> Result<Option<Picture>, EvaluationError> {
    let classes = matrix.classes.len();
    if matrix.confusion.total() == 0 || classes > MOST {
        return Ok(None);
    }
    let place = Place::of(matrix.classes);
    let (right, bottom) = place.corner(classes, classes);
    // The title may be wider than a small matrix.
    let title = 8 * pixels(matrix.title.chars().count());
    let width = (right + MARGIN).max(title);
    let size = (as_size(width), as_size(bottom + MARGIN));
    let drawing = draw(size, |area| paint(area, matrix, &place))?;
    Ok(Some(Picture::new(&matrix.name, &matrix.title, drawing)))
}

/// Where the cells are.
#[derive(Debug)]
struct Place {
    left: i32,
    top: i32,
    /// Side of a cell.
    cell: i32,
}

impl Place {
    fn of(classes: &[String]) -> Self {
        let longest = classes.iter().map(|class| class.chars().count()).max();
        let names = if classes.len() <= NAMED {
            CHARACTER * pixels(longest.unwrap_or(0).clamp(1, NAME)) + 12
        } else {
            6
        };
        let cell = match classes.len() {
            0..=NUMBERED => 46,
            13..=NAMED => 17,
            _ => 6,
        };
        Self {
            left: names + TITLE,
            top: names + 2 * TITLE,
            cell,
        }
    }

    /// The top left corner of a cell.
    fn corner(&self, row: usize, column: usize) -> (i32, i32) {
        (
            self.left + self.cell * pixels(column),
            self.top + self.cell * pixels(row),
        )
    }
}

fn paint(area: &Area<'_>, matrix: &Matrix<'_>, place: &Place) -> Result<(), EvaluationError> {
    let classes = matrix.classes.len();
    let end = place.corner(classes, classes);
    text(area, &matrix.title, (4, 14), HPos::Left)?;
    let middle = |from: i32, to: i32| i32::midpoint(from, to);
    let predicted = (middle(place.left, end.0), TITLE + 14);
    text(area, "predicted", predicted, HPos::Center)?;
    upright(area, "actual", (14, middle(place.top, end.1)), HPos::Center)?;
    if classes <= NAMED {
        for (index, class) in matrix.classes.iter().enumerate() {
            let name = shortened(class, NAME);
            let (x, y) = place.corner(index, index);
            let half = place.cell / 2;
            text(area, &name, (place.left - 6, y + half), HPos::Right)?;
            upright(area, &name, (x + half, place.top - 6), HPos::Left)?;
        }
    }
    let images = matrix.confusion.per_class();
    let cells = matrix.confusion.counts().iter();
    for &(actual, predicted, count) in cells {
        if count == 0 || actual.max(predicted) >= classes {
            continue;
        }
        let color = if actual == predicted { CORRECT } else { WRONG };
        let strength = strength(share(count, images[actual]));
        let corner = place.corner(actual, predicted);
        let opposite = place.corner(actual + 1, predicted + 1);
        let cell = Rectangle::new([corner, opposite], color.mix(strength).filled());
        area.draw(&cell).map_err(plot)?;
        if classes <= NUMBERED {
            let half = place.cell / 2;
            let at = (corner.0 + half, corner.1 + half);
            text(area, &count.to_string(), at, HPos::Center)?;
        }
    }
    let frame = Rectangle::new([(place.left, place.top), end], GRID.stroke_width(1));
    area.draw(&frame).map_err(plot)
}

/// Writes text from bottom to top.
fn upright(
    area: &Area<'_>,
    text: &str,
    at: (i32, i32),
    anchor: HPos,
) -> Result<(), EvaluationError> {
    let font = (FONT, SIZE).into_font().transform(FontTransform::Rotate270);
    let style = font.color(&BLACK).pos(Pos::new(anchor, VPos::Center));
    area.draw_text(text, &style, at).map_err(plot)
}

#[allow(clippy::cast_precision_loss)]
fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

fn pixels(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX / 100)
}

fn as_size(length: i32) -> u32 {
    u32::try_from(length).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(classes: &[String], actual: &[usize], predicted: &[usize]) -> Option<String> {
        let confusion = Confusion::from_predictions(classes.len(), actual, predicted);
        let matrix = Matrix {
            name: "confusion-lora".to_owned(),
            title: "Confusion matrix of lora".to_owned(),
            classes,
            confusion: confusion.unwrap(),
        };
        let picture = super::confusion(&matrix).unwrap()?;
        Some(picture.file())
    }

    fn classes(count: usize) -> Vec<String> {
        (0..count).map(|class| format!("c{class}")).collect()
    }

    #[test]
    fn cells_have_numbers_and_colours() {
        let svg = matrix(&classes(2), &[0, 0, 0, 0, 1], &[0, 0, 0, 1, 1]).unwrap();
        for part in [
            "<title>Confusion matrix of lora</title>",
            "\nactual\n",
            "\npredicted\n",
            "\nc0\n",
            "\n3\n",
            // A quarter of the images of the class: half of the strongest colour.
            "opacity=\"0.3\" fill=\"#D55E00\"",
            "opacity=\"0.6\" fill=\"#0072B2\"",
        ] {
            assert!(svg.contains(part), "{part}: {svg}");
        }
        // Two classes correct, one of them sometimes wrong, and the frame, which is not filled.
        assert_eq!(svg.matches("<rect").count(), 5, "{svg}");
    }

    #[test]
    fn many_classes_have_no_numbers_and_no_names() {
        let named = matrix(&classes(20), &[3, 3], &[3, 4]).unwrap();
        assert!(named.contains("\nc19\n") && !named.contains("\n1\n"));
        let map = matrix(&classes(100), &[3, 3], &[3, 4]).unwrap();
        assert!(map.contains("#D55E00") && !map.contains("\nc19\n"));
        assert_eq!(matrix(&classes(101), &[3], &[3]), None);
        assert_eq!(matrix(&classes(2), &[], &[]), None);
    }
}
