//! Accuracy over a cost, with the Pareto front.

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use crate::error::EvaluationError;
use crate::pictures::labels::{Rect, leader, place};
use crate::pictures::looks::Look;
use crate::pictures::picture::Picture;
use crate::pictures::plots::{Area, GRID, draw, marker, outline, plot, text};
use crate::pictures::scale::{Scale, Unit, cost_axis, shares};
use crate::statistics::pareto_front;

/// Accuracy over one cost.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tradeoff {
    /// The cost, in words.
    pub cost: &'static str,
    pub unit: Unit,
    pub points: Vec<Point>,
}

/// The point of a method.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Point {
    pub name: String,
    pub look: Look,
    pub cost: f64,
    pub accuracy: f64,
    /// Whether the method is there for comparison: it is drawn hollow, and is not on the front.
    pub yardstick: bool,
}

const PIXELS: (u32, u32) = (340, 260);
/// Room for the title, the labels of the accuracies and those of the costs.
const TOP: i32 = 32;
const LEFT: i32 = 46;
const BOTTOM: i32 = 30;
const RIGHT: i32 = 14;
const RADIUS: i32 = 5;

impl Tradeoff {
    /// The points on the front, the cheapest first.
    pub(crate) fn front(&self) -> Vec<&Point> {
        let methods: Vec<&Point> = self.points.iter().filter(|one| !one.yardstick).collect();
        let pairs: Vec<_> = methods.iter().map(|one| (one.cost, one.accuracy)).collect();
        let front = pareto_front(&pairs);
        front.into_iter().map(|index| methods[index]).collect()
    }

    fn title(&self) -> String {
        format!("Accuracy and {}", self.cost)
    }

    /// Whether the costs are on a logarithmic axis.
    pub(crate) fn log(&self) -> bool {
        cost_axis(self.unit, self.points.iter().map(|one| one.cost)).is_some_and(|axis| axis.log)
    }
}

/// The name of the file that shows all costs.
const NAME: &str = "accuracy-and-costs";

/// Draws one cost.
pub(crate) fn tradeoff(one: &Tradeoff) -> Result<Picture, EvaluationError> {
    let drawing = draw(PIXELS, |area| paint(area, one))?;
    Ok(Picture::new(NAME, one.title(), drawing))
}

/// Draws all costs beside each other; `None` if there are none.
pub(crate) fn tradeoffs(all: &[Tradeoff]) -> Result<Option<Picture>, EvaluationError> {
    if all.is_empty() {
        return Ok(None);
    }
    let width = PIXELS.0 * u32::try_from(all.len()).unwrap_or(1);
    let drawing = draw((width, PIXELS.1), |area| {
        let areas = area.split_evenly((1, all.len()));
        let mut panels = areas.iter().zip(all);
        panels.try_for_each(|(area, one)| paint(area, one))
    })?;
    Ok(Some(Picture::new(NAME, "Accuracy against cost", drawing)))
}

fn paint(area: &Area<'_>, one: &Tradeoff) -> Result<(), EvaluationError> {
    let axis = cost_axis(one.unit, one.points.iter().map(|point| point.cost));
    let range = shares(one.points.iter().map(|point| point.accuracy));
    let (Some(axis), Some((low, high, step))) = (axis, range) else {
        return Ok(());
    };
    let end = |length: u32| i32::try_from(length).unwrap_or(i32::MAX);
    let (right, bottom) = (end(PIXELS.0) - RIGHT, end(PIXELS.1) - BOTTOM);
    let x = Scale {
        log: axis.log,
        ..Scale::linear((axis.low, axis.high), (LEFT, right))
    };
    // Markers at 100 % are whole.
    let y = Scale::linear((low, high), (bottom - RADIUS - 2, TOP + RADIUS + 2));
    text(area, &one.title(), (4, 12), HPos::Left)?;
    grid(area, (&x, &y), step)?;
    for tick in &axis.ticks {
        let at = x.pixel(*tick);
        line(area, vec![(at, TOP), (at, bottom)], GRID.stroke_width(1))?;
        text(
            area,
            &one.unit.label(*tick),
            (at, bottom + 12),
            HPos::Center,
        )?;
    }
    let at = |point: &Point| (x.pixel(point.cost), y.pixel(point.accuracy));
    let stairs = stairs(&one.front().into_iter().map(at).collect::<Vec<_>>());
    if stairs.len() > 1 {
        line(area, stairs.clone(), BLACK.mix(0.55).stroke_width(2))?;
    }
    for point in &one.points {
        if point.yardstick {
            outline(area, point.look, at(point), RADIUS)?;
        } else {
            marker(area, point.look, at(point), RADIUS)?;
        }
    }
    let points: Vec<_> = one
        .points
        .iter()
        .map(|one| (at(one), one.name.as_str()))
        .collect();
    let inside = Rect {
        left: LEFT,
        right: right + RIGHT - 2,
        top: TOP - 6,
        bottom,
    };
    for ((point, name), (at, anchor)) in points.iter().zip(place(&points, &stairs, inside)) {
        if let Some(leader) = leader(*point, at) {
            line(area, leader.to_vec(), BLACK.mix(0.55).stroke_width(1))?;
        }
        text(area, name, at, anchor)?;
    }
    Ok(())
}

/// The lines of the accuracies, and what they are.
fn grid(area: &Area<'_>, (x, y): (&Scale, &Scale), step: f64) -> Result<(), EvaluationError> {
    let mut value = y.low;
    while value <= y.high + step / 2.0 {
        let at = y.pixel(value);
        line(area, vec![(x.from, at), (x.to, at)], GRID.stroke_width(1))?;
        let label = format!("{:.0} %", 100.0 * value);
        text(area, &label, (x.from - 6, at), HPos::Right)?;
        value += step;
    }
    Ok(())
}

fn line(
    area: &Area<'_>,
    points: Vec<(i32, i32)>,
    style: ShapeStyle,
) -> Result<(), EvaluationError> {
    area.draw(&PathElement::new(points, style)).map_err(plot)
}

/// The line through the points of a front, the cheapest first: for each cost, the best accuracy that
/// can be had for it.
fn stairs(front: &[(i32, i32)]) -> Vec<(i32, i32)> {
    let mut line: Vec<(i32, i32)> = Vec::new();
    for at in front {
        if let Some((_, before)) = line.last().copied() {
            line.push((at.0, before));
        }
        line.push(*at);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pictures::looks::Marker;

    fn point(name: &str, cost: f64, accuracy: f64, yardstick: bool) -> Point {
        let look = Look {
            color: RGBColor(1, 2, 3),
            marker: Marker::Square,
        };
        Point {
            name: name.to_owned(),
            look,
            cost,
            accuracy,
            yardstick,
        }
    }

    fn example() -> Tradeoff {
        Tradeoff {
            cost: "peak memory",
            unit: Unit::Number,
            points: vec![
                point("sft", 8.0, 0.9, false),
                point("lora", 4.0, 0.8, false),
                point("peft", 6.0, 0.75, false),
                point("scratch", 8.0, 1.0, true),
            ],
        }
    }

    #[test]
    fn yardsticks_are_not_on_the_front_and_are_hollow() {
        let one = example();
        let names: Vec<&str> = one.front().iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["lora", "sft"]);
        let svg = tradeoff(&one).unwrap().file();
        // Three squares that are filled, and one whose outline is closed by its first two corners.
        assert_eq!(svg.matches("<polygon").count(), 3);
        let hollow = svg
            .lines()
            .filter(|line| line.contains("stroke=\"#010203\""));
        assert_eq!(hollow.count(), 1);
    }

    #[test]
    fn points_and_front_are_where_the_numbers_are() {
        // Costs are from 0 at 46 to 1.15 · 8 = 9.2 at 326: 4 is at 46 + 280 · 4 / 9.2 = 168, 8 at 289.
        // Accuracies are from 70 % at 223 to 100 % at 39: 0.8 is at 223 − 184 / 3 = 162, 0.9 at 100.
        let svg = tradeoff(&example()).unwrap().file();
        assert!(svg.contains("points=\"168,162 289,162 289,100 \""), "{svg}");
        assert!(
            svg.contains("points=\"163,157 173,157 173,167 163,167 \""),
            "{svg}"
        );
        for label in [
            "70 %",
            "80 %",
            "90 %",
            "100 %",
            "lora",
            "scratch",
            "Accuracy and peak memory",
        ] {
            assert!(svg.contains(label), "{label}: {svg}");
        }
    }

    #[test]
    fn all_costs_are_beside_each_other() {
        let picture = tradeoffs(&[example(), example()]).unwrap().unwrap();
        let svg = picture.file();
        assert!(svg.contains("width=\"680\" height=\"260\""), "{svg}");
        // The front of the second panel is 340 pixels further to the right.
        for points in ["168,162 289,162 289,100 ", "508,162 629,162 629,100 "] {
            assert!(svg.contains(points), "{svg}");
        }
        assert_eq!(tradeoffs(&[]).unwrap(), None);
    }

    #[test]
    fn stairs_go_along_before_they_go_up() {
        assert_eq!(
            stairs(&[(10, 90), (30, 60), (50, 20)]),
            [(10, 90), (30, 90), (30, 60), (50, 60), (50, 20)]
        );
        assert_eq!(stairs(&[(10, 90)]), [(10, 90)]);
        assert_eq!(stairs(&[]), []);
    }
}
