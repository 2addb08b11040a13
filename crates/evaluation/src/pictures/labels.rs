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
const PLACES: [((i32, i32), HPos); 14] = [
    ((12, 0), HPos::Left),
    ((0, -14), HPos::Center),
    ((-12, 0), HPos::Right),
    ((0, 15), HPos::Center),
    ((6, -13), HPos::Left),
    ((-6, -13), HPos::Right),
    ((6, 14), HPos::Left),
    ((-6, 14), HPos::Right),
    ((0, -FAR), HPos::Center),
    ((0, FAR), HPos::Center),
    ((6, -FAR), HPos::Left),
    ((-6, -FAR), HPos::Right),
    ((6, FAR), HPos::Left),
    ((-6, FAR), HPos::Right),
];

/// Names that are this far above or below their points are joined to them by a line.
const FAR: i32 = 29;

/// The line from a point to a name that is far from it.
pub(crate) fn leader((x, y): (i32, i32), name: (i32, i32)) -> Option<[(i32, i32); 2]> {
    let side = (name.1 - y).signum();
    let far = (name.1 - y).abs() >= FAR;
    far.then(|| [(x, y + side * MARKER), (name.0, name.1 - side * LINE / 2)])
}

/// How often each name is placed.
const TURNS: usize = 3;

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
            left: ends[0].0.min(ends[1].0) - 3,
            right: ends[0].0.max(ends[1].0) + 3,
            top: ends[0].1.min(ends[1].1) - 3,
            bottom: ends[0].1.max(ends[1].1) + 3,
        })
        .collect();
    let around: Vec<Rect> = points
        .iter()
        .map(|(at, _)| Rect::around(*at, MARKER))
        .collect();
    let at = |index: usize, (distance, anchor): ((i32, i32), HPos)| {
        let ((x, y), name) = points[index];
        let at = (x + distance.0, y + distance.1);
        (at, covered(at, name, anchor))
    };
    // A name that was placed early makes room for later ones when its turn comes again.
    let mut chosen: Vec<Option<usize>> = vec![None; points.len()];
    for index in (0..TURNS).flat_map(|_| 0..points.len()) {
        let others = |other: &usize| *other != index;
        let cost = |place: usize| {
            let (_, text) = at(index, PLACES[place]);
            let outside = usize::from(!inside.contains(&text));
            let names = (0..points.len()).filter(others).filter(|other| {
                chosen[*other].is_some_and(|place| text.overlaps(&at(*other, PLACES[place]).1))
            });
            let markers = (0..points.len()).filter(others);
            let markers = markers.filter(|other| text.overlaps(&around[*other]));
            let pieces = pieces.iter().filter(|piece| text.overlaps(piece));
            100 * outside + 10 * (names.count() + markers.count()) + pieces.count()
        };
        // The first of equally good ones.
        chosen[index] = (0..PLACES.len()).min_by_key(|place| cost(*place));
    }
    let places = chosen.into_iter().enumerate();
    let anchored = places.filter_map(|(index, place)| {
        let place = PLACES[place?];
        Some((at(index, place).0, place.1))
    });
    anchored.collect()
}

/// What a text covers.
fn covered((x, y): (i32, i32), text: &str, anchor: HPos) -> Rect {
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
            .map(|((_, name), (at, anchor))| covered(*at, name, *anchor))
            .collect();
        for (index, text) in boxes.iter().enumerate() {
            assert!(
                boxes[..index].iter().all(|other| !text.overlaps(other)),
                "{boxes:?}"
            );
        }
    }

    #[test]
    fn a_name_makes_room_for_a_later_one() {
        // Between 40 and 60, there is room to the left and to the right alone. The first name is to the
        // right, until the second one needs the pixels from 58 to 86.
        let inside = Rect {
            left: 0,
            right: 105,
            top: 40,
            bottom: 60,
        };
        let points = [((50, 50), "aa"), ((98, 50), "bbbb")];
        let placed = |count: usize| -> Vec<_> {
            let placed = place(&points[..count], &[], inside).into_iter();
            placed.map(|(at, _)| at).collect()
        };
        assert_eq!(placed(1), [(62, 50)]);
        assert_eq!(placed(2), [(38, 50), (86, 50)]);
    }

    #[test]
    fn a_name_without_room_is_further_away_and_joined_to_its_point() {
        // Points on all sides: the next place is 29 pixels above, where a line leads to.
        let around = [
            (-20, 0),
            (20, 0),
            (-20, -14),
            (20, -14),
            (-20, 14),
            (20, 14),
            (0, -14),
            (0, 14),
        ];
        let mut points = vec![((100, 50), "sft")];
        points.extend(around.map(|(x, y)| ((100 + x, 50 + y), "")));
        let name = at(&points, &[])[0];
        assert_eq!(name, (100, 21));
        assert_eq!(leader((100, 50), name), Some([(100, 43), (100, 28)]));
        assert_eq!(leader((100, 50), (106, 79)), Some([(100, 57), (106, 72)]));
        assert_eq!(leader((100, 50), (112, 50)), None);
        assert_eq!(leader((100, 50), (100, 65)), None);
    }

    #[test]
    fn names_are_beside_a_line() {
        // The line goes to the right of the first point, and comes to the second one from below.
        let line = [(50, 80), (120, 80), (120, 30)];
        let points = [((50, 80), "lora"), ((120, 30), "sft")];
        assert_eq!(at(&points, &line), [(50, 66), (132, 30)]);
    }
}
