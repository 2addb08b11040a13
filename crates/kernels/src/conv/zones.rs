//! Groups of output pixels for which the same kernel elements are inside the image.
//!
//! In a small image, many kernel elements of many windows read only padding: with a 3×3 kernel on
//! 2×2 pixels, five of nine. Pixels are grouped by the kernel elements that remain.

use super::sampled::Phase;

/// Approximate number of pixels of a tile.
const TILE: usize = 8;

/// Some rows and columns of the grid of a phase, and the taps that are inside the image for them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Zone {
    pub(super) rows: Vec<usize>,
    pub(super) columns: Vec<usize>,
    /// Indices of the taps of the phase.
    pub(super) taps: Vec<usize>,
}

impl Zone {
    /// The zones of a phase that reads images of size `source`, of which `images` are
    /// computed together; a single zone with the whole grid and all taps if dividing would save almost
    /// nothing.
    pub(super) fn of(phase: &Phase, source: [usize; 2], images: usize) -> Vec<Self> {
        let all = Self {
            rows: (0..phase.grid[0]).collect(),
            columns: (0..phase.grid[1]).collect(),
            taps: (0..phase.taps.len()).collect(),
        };
        let (rows, columns) = (classes(phase, source, 0), classes(phase, source, 1));
        let mut zones = Vec::with_capacity(rows.len() * columns.len());
        for (rows, sees_row) in &rows {
            for (columns, sees_column) in &columns {
                let taps = (0..phase.taps.len()).filter(|&tap| sees_row[tap] && sees_column[tap]);
                zones.push(Self {
                    rows: rows.clone(),
                    columns: columns.clone(),
                    taps: taps.collect(),
                });
            }
        }
        let work: usize = zones.iter().map(|zone| zone.work(images)).sum();
        if work * 20 < all.work(images) * 19 {
            zones
        } else {
            vec![all]
        }
    }

    /// Pixels of an image.
    pub(super) fn pixels(&self) -> usize {
        self.rows.len() * self.columns.len()
    }

    /// Number of steps of whole tiles per source channel.
    fn work(&self, images: usize) -> usize {
        (images * self.pixels()).div_ceil(TILE) * self.taps.len()
    }
}

/// Groups the rows (axis 0) or columns (axis 1) of the grid by the taps that are inside the image
/// on that axis.
fn classes(phase: &Phase, source: [usize; 2], axis: usize) -> Vec<(Vec<usize>, Vec<bool>)> {
    let mut classes: Vec<(Vec<usize>, Vec<bool>)> = Vec::new();
    for place in 0..phase.grid[axis] {
        let inside = |offset: isize| {
            usize::try_from((place * phase.step[axis]).cast_signed() + offset)
                .is_ok_and(|at| at < source[axis])
        };
        let sees: Vec<bool> = phase
            .taps
            .iter()
            .map(|tap| inside(tap.offset[axis]))
            .collect();
        match classes.iter_mut().find(|(_, class)| *class == sees) {
            Some((places, _)) => places.push(place),
            None => classes.push((vec![place], sees)),
        }
    }
    classes
}

#[cfg(test)]
mod tests {
    use super::Zone;
    use crate::conv::sampled::{Phase, Tap};

    fn phase(grid: usize) -> Phase {
        let tap = |kernel: usize| Tap {
            offset: [kernel / 3, kernel % 3].map(|at| at.cast_signed() - 1),
            kernel,
        };
        Phase {
            grid: [grid, grid],
            step: [1, 1],
            start: [0, 0],
            taps: (0..9).map(tap).collect(),
        }
    }

    #[test]
    fn each_of_four_pixels_reads_four_taps() {
        let zones = Zone::of(&phase(2), [2, 2], 16);
        let zone = |row, column, taps: [usize; 4]| Zone {
            rows: vec![row],
            columns: vec![column],
            taps: taps.to_vec(),
        };
        let expected = [
            zone(0, 0, [4, 5, 7, 8]),
            zone(0, 1, [3, 4, 6, 7]),
            zone(1, 0, [1, 2, 4, 5]),
            zone(1, 1, [0, 1, 3, 4]),
        ];
        assert_eq!(zones, expected);
    }

    #[test]
    fn inner_pixels_are_one_zone_and_a_large_image_is_not_divided() {
        let zones = Zone::of(&phase(4), [4, 4], 8);
        assert_eq!(zones.len(), 9);
        assert_eq!(zones[4].rows, [1, 2]);
        assert_eq!(zones[4].taps.len(), 9);
        let pixels: usize = zones.iter().map(Zone::pixels).sum();
        assert_eq!(pixels, 16);
        assert_eq!(Zone::of(&phase(56), [56, 56], 1).len(), 1);
    }
}
