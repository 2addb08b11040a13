//! Windows that divide a map, moved by half of their side in every second block: Liu et al. 2021
//! (arXiv:2103.14030, section 3.2 and figure 4).

use burn::Tensor;
use burn::tensor::ops::PadMode;
use burn::tensor::{Device, TensorData};

/// Added to the score of two tokens that are not neighbours in the map, as in the authors' code.
const APART: f32 = -100.0;

/// How a map is divided into windows, as torchvision does it for any size: the map is filled up with zeros
/// to a multiple of the window, and it is not moved along an axis that has a single window.
#[derive(Debug, Clone, Copy)]
pub(super) struct Windows {
    side: usize,
    map: [usize; 2],
    filled: [usize; 2],
    shift: [usize; 2],
}

impl Windows {
    /// Of a map with this height and width, windows with this side, moved by `shift` pixels.
    pub(super) fn new(side: usize, shift: usize, map: [usize; 2]) -> Self {
        let filled = map.map(|length| length.next_multiple_of(side));
        Self {
            side,
            map,
            filled,
            shift: filled.map(|length| if length > side { shift } else { 0 }),
        }
    }

    fn rows_and_columns(self) -> [usize; 2] {
        self.filled.map(|length| length / self.side)
    }

    /// From a map `[batch, height, width, channels]` to its windows, `[batch · windows, side², channels]`.
    pub(super) fn divided(self, x: Tensor<4>) -> Tensor<3> {
        let [batch, height, width, channels] = x.dims();
        let mut x = x;
        if self.filled != self.map {
            let [rows, columns] = self.filled;
            let missing = [(0, rows - height), (0, columns - width), (0, 0)];
            x = x.pad(missing, PadMode::Constant(0.0));
        }
        let x = rotated(x, self.shift);
        let ([rows, columns], side) = (self.rows_and_columns(), self.side);
        x.reshape([batch, rows, side, columns, side, channels])
            .permute([0, 1, 3, 2, 4, 5])
            .reshape([batch * rows * columns, side * side, channels])
    }

    /// The inverse of [`divided`](Self::divided).
    pub(super) fn joined(self, x: Tensor<3>) -> Tensor<4> {
        let ([rows, columns], side) = (self.rows_and_columns(), self.side);
        let [windows, _, channels] = x.dims();
        let batch = windows / (rows * columns);
        let x = x
            .reshape([batch, rows, columns, side, side, channels])
            .permute([0, 1, 3, 2, 4, 5])
            .reshape([batch, rows * side, columns * side, channels]);
        let back = [0, 1].map(|axis| (self.filled[axis] - self.shift[axis]) % self.filled[axis]);
        let x = rotated(x, back);
        let [height, width] = self.map;
        x.narrow(1, 0, height).narrow(2, 0, width)
    }

    /// What is added to the scores of a window so that only neighbours see each other: a window that was
    /// moved over the edge has tokens of up to four places. `[windows, 1, side², side²]`, or `None` if
    /// nothing was moved.
    pub(super) fn mask(self, device: &Device) -> Option<Tensor<4>> {
        if self.shift == [0, 0] {
            return None;
        }
        let [rows, columns] = self.rows_and_columns();
        let tokens = self.side * self.side;
        let mut mask = Vec::with_capacity(rows * columns * tokens * tokens);
        for window in 0..rows * columns {
            let place = |token: usize| {
                let row = window / columns * self.side + token / self.side;
                let column = window % columns * self.side + token % self.side;
                [self.place(0, row), self.place(1, column)]
            };
            let places: Vec<_> = (0..tokens).map(place).collect();
            for one in &places {
                mask.extend(
                    places
                        .iter()
                        .map(|other| if one == other { 0.0 } else { APART }),
                );
            }
        }
        let data = TensorData::new(mask, [rows * columns, 1, tokens, tokens]);
        Some(Tensor::from_data(data, device))
    }

    /// Whether a row or column comes from the other edge of the map.
    fn place(self, axis: usize, index: usize) -> bool {
        index >= self.filled[axis] - self.shift[axis]
    }
}

/// The map without its first `by` rows and columns, which come last.
fn rotated(x: Tensor<4>, by: [usize; 2]) -> Tensor<4> {
    let mut x = x;
    for (dim, by) in [1, 2].into_iter().zip(by) {
        if by > 0 {
            let length = x.dims()[dim];
            let first = x.clone().narrow(dim, 0, by);
            x = Tensor::cat(vec![x.narrow(dim, by, length - by), first], dim);
        }
    }
    x
}
