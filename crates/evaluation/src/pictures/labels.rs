//! Where the names of points go, so that they can be read.

use plotters::style::text_anchor::HPos;

/// A rectangle of pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rect {
    pub left: i32,
    pub right: i32,
    pub top: i32,
    pub bottom: i32,
}

impl Rect {
    fn around((x, y): (i32, i32), radius: i32) -> Self {
        Self {
            left: x - radius,
            right: x + radius,
            top: y - radius,
            bottom: y + radius,
        }
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.left < other.right
            && other.left < self.right
            && self.top < other.bottom
            && other.top < self.bottom
    }

    fn contains(&self, other: &Self) -> bool {
        self.left <= other.left
            && other.right <= self.right
            && self.top <= other.top
            && other.bottom <= self.bottom
    }
}

/// Width of a character and height of a line, pixels.
const CHARACTER: i32 = 7;
const LINE: i32 = 14;
/// What is around a marker.
const MARKER: i32 = 7;

/// Places around a point: the distance of the text from it, and the side of the text that is there. The
/// best first.
const PLACES: [((i32, i32), HPos); 8] = [
    ((12, 0), HPos::Left),
    ((0, -14), HPos::Center),
    ((-12, 0), HPos::Right),
    ((0, 15), HPos::Center),
    ((6, -13), HPos::Left),
    ((-6, -13), HPos::Right),
    ((6, 14), HPos::Left),
    ((-6, 14), HPos::Right),
];

/// Where the name of each point is anchored, and at which of its sides: beside the point, inside of
/// `inside`, off the other points and names and, if there is room elsewhere, off a line of horizontal
/// and vertical pieces.
pub(crate) fn place(
    points: &[((i32, i32), &str)],
    line: &[(i32, i32)],
    inside: Rect,
) -> Vec<((i32, i32), HPos)> {
    let pieces: Vec<Rect> = line
        .windows(2)
        .map(|ends| Rect {
            left: ends[0].0.min(ends[1].0) - 1,
            right: ends[0].0.max(ends[1].0) + 1,
            top: ends[0].1.min(ends[1].1) - 1,
            bottom: ends[0].1.max(ends[1].1) + 1,
        })
        .collect();
    let markers: Vec<Rect> = points
        .iter()
        .map(|(at, _)| Rect::around(*at, MARKER))
        .collect();
    let mut names: Vec<Rect> = Vec::new();
    let mut placed = Vec::new();
    for (index, ((x, y), name)) in points.iter().enumerate() {
        let cost = |(distance, anchor): &((i32, i32), HPos)| {
            let text = covered((x + distance.0, y + distance.1), name, anchor);
            let markers = markers
                .iter()
                .enumerate()
                .filter(|(other, _)| *other != index);
            let outside = usize::from(!inside.contains(&text));
            let names = names.iter().filter(|other| text.overlaps(other)).count();
            let markers = markers.filter(|(_, other)| text.overlaps(other)).count();
            let pieces = pieces.iter().filter(|piece| text.overlaps(piece)).count();
            100 * outside + 10 * (names + markers) + pieces
        };
        // The first of equally good ones.
        let best = PLACES.iter().min_by_key(|place| cost(place));
        let Some((distance, anchor)) = best else {
            continue;
        };
        let at = (x + distance.0, y + distance.1);
        names.push(covered(at, name, anchor));
        placed.push((at, *anchor));
    }
    placed
}

/// What a text covers.
fn covered((x, y): (i32, i32), text: &str, anchor: &HPos) -> Rect {
    let width = CHARACTER * i32::try_from(text.chars().count()).unwrap_or(i32::MAX / CHARACTER);
    let left = match anchor {
        HPos::Left => x,
        HPos::Center => x - width / 2,
        HPos::Right => x - width,
    };
    Rect {
        left,
        right: left + width,
        top: y - LINE / 2,
        bottom: y + LINE / 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INSIDE: Rect = Rect {
        left: 0,
        right: 200,
        top: 0,
        bottom: 100,
    };

    fn at(points: &[((i32, i32), &str)], line: &[(i32, i32)]) -> Vec<(i32, i32)> {
        let placed = place(points, line, INSIDE);
        placed.into_iter().map(|(at, _)| at).collect()
    }

    #[test]
    fn a_name_is_to_the_right_of_its_point_if_there_is_room() {
        assert_eq!(at(&[((50, 50), "sft")], &[]), [(62, 50)]);
        // 12 + 3 · 7 = 33 pixels are left at 167, and not at 168; above it, the name is centred.
        assert_eq!(at(&[((167, 50), "sft")], &[]), [(179, 50)]);
        assert_eq!(at(&[((168, 50), "sft")], &[]), [(168, 36)]);
        // In the upper right corner, it is to the left.
        assert_eq!(at(&[((195, 10), "sft")], &[]), [(183, 10)]);
    }

    #[test]
    fn names_do_not_cover_points_and_other_names() {
        // The second point is where the first one's name would be; the third one's name would cover that of
        // the second.
        let points = [((50, 50), "sft"), ((70, 50), "lora"), ((85, 40), "peft")];
        assert_eq!(at(&points, &[])[0], (50, 36));
        let placed = place(&points, &[], INSIDE);
        let boxes: Vec<Rect> = points
            .iter()
            .zip(&placed)
            .map(|((_, name), (at, anchor))| covered(*at, name, anchor))
            .collect();
        for (index, text) in boxes.iter().enumerate() {
            assert!(
                boxes[..index].iter().all(|other| !text.overlaps(other)),
                "{boxes:?}"
            );
        }
    }

    #[test]
    fn names_are_beside_a_line() {
        // The line goes to the right of the first point, and comes to the second one from below.
        let line = [(50, 80), (120, 80), (120, 30)];
        let points = [((50, 80), "lora"), ((120, 30), "sft")];
        assert_eq!(at(&points, &line), [(50, 66), (132, 30)]);
    }
}
