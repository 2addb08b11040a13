//! Matrices of plain numbers, as files store them.

use super::trained::{TrainedTensor, Values};
use crate::error::MethodError;

/// A matrix whose values are stored row by row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Matrix {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) values: Vec<f32>,
}

impl Matrix {
    /// A tensor with its first axis as rows and the other axes flattened into columns.
    pub(crate) fn of(shape: &[usize], values: Vec<f32>) -> Self {
        let rows = shape.first().copied().unwrap_or(1);
        // Without rows there are no values that bound the other sizes, which come from a file.
        let others = || {
            shape[1..]
                .iter()
                .fold(1, |all: usize, size| all.saturating_mul(*size))
        };
        let columns = values.len().checked_div(rows).unwrap_or_else(others);
        Self {
            rows,
            columns,
            values,
        }
    }

    /// 1 in row `i` at column `i mod columns`: the identity, repeated vertically.
    pub(crate) fn identity(rows: usize, columns: usize) -> Self {
        let mut values = vec![0.0; rows * columns];
        for row in 0..rows {
            values[row * columns + row % columns] = 1.0;
        }
        Self {
            rows,
            columns,
            values,
        }
    }

    pub(crate) fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.columns..(row + 1) * self.columns]
    }

    pub(crate) fn map(mut self, new: impl Fn(usize, usize, f32) -> f32) -> Self {
        for (index, value) in self.values.iter_mut().enumerate() {
            *value = new(index / self.columns, index % self.columns, *value);
        }
        self
    }

    /// Each row times its factor.
    pub(crate) fn scale_rows(self, factors: &[f32]) -> Self {
        self.map(|row, _, value| value * factors[row])
    }

    /// The first `rows` rows and `columns` columns.
    pub(crate) fn corner(&self, rows: usize, columns: usize) -> Self {
        let values = (0..rows).flat_map(|row| &self.row(row)[..columns]);
        Self {
            rows,
            columns,
            values: values.copied().collect(),
        }
    }

    pub(crate) fn zeros(rows: usize, columns: usize) -> Self {
        Self {
            rows,
            columns,
            values: vec![0.0; rows * columns],
        }
    }

    /// Some of its rows.
    pub(crate) fn rows_in(&self, rows: std::ops::Range<usize>) -> Self {
        Self {
            rows: rows.len(),
            columns: self.columns,
            values: self.values[rows.start * self.columns..rows.end * self.columns].to_vec(),
        }
    }

    /// Puts `factor` times another matrix to where its first entry is at the row and column.
    pub(crate) fn put(&mut self, (row, column): (usize, usize), other: &Self, factor: f32) {
        for from in 0..other.rows {
            let start = (row + from) * self.columns + column;
            let to = &mut self.values[start..start + other.columns];
            for (to, value) in to.iter_mut().zip(other.row(from)) {
                *to = value * factor;
            }
        }
    }

    /// Matrices one below the other; `None` if they are not equally wide.
    pub(crate) fn stacked(all: &[Self]) -> Option<Self> {
        let columns = all.first()?.columns;
        all.iter()
            .all(|matrix| matrix.columns == columns)
            .then(|| Self {
                rows: all.iter().map(|matrix| matrix.rows).sum(),
                columns,
                values: all
                    .iter()
                    .flat_map(|matrix| matrix.values.clone())
                    .collect(),
            })
    }

    /// The matrix `times` times, one below the other.
    pub(crate) fn repeated(&self, times: usize) -> Self {
        Self {
            rows: self.rows * times,
            columns: self.columns,
            values: self.values.repeat(times),
        }
    }

    pub(crate) fn transposed(&self) -> Self {
        let values = (0..self.columns).flat_map(|column| {
            (0..self.rows).map(move |row| self.values[row * self.columns + column])
        });
        Self {
            rows: self.columns,
            columns: self.rows,
            values: values.collect(),
        }
    }

    /// `[rows, groups · columns]` with each of the `groups` blocks of rows in columns of its own, and
    /// 0 elsewhere.
    pub(crate) fn block_diagonal(&self, groups: usize) -> Self {
        let (height, columns) = (self.rows / groups, self.columns * groups);
        let mut values = vec![0.0; self.rows * columns];
        for row in 0..self.rows {
            let start = row * columns + row / height * self.columns;
            values[start..start + self.columns].copy_from_slice(self.row(row));
        }
        Self {
            rows: self.rows,
            columns,
            values,
        }
    }

    /// The inverse of [`block_diagonal`](Self::block_diagonal); `None` if an entry outside the blocks
    /// is not 0.
    pub(crate) fn blocks(&self, groups: usize) -> Option<Self> {
        let (height, columns) = (self.rows / groups, self.columns / groups);
        let values = (0..self.rows).flat_map(|row| {
            let start = row / height * columns;
            self.row(row)[start..start + columns].iter().copied()
        });
        let blocks = Self {
            rows: self.rows,
            columns,
            values: values.collect(),
        };
        (blocks.block_diagonal(groups) == *self).then_some(blocks)
    }

    pub(crate) fn into_tensor(self, path: String, shape: Vec<usize>) -> TrainedTensor {
        TrainedTensor {
            path,
            shape,
            values: Values::Floats(self.values.into()),
        }
    }
}

/// The shape and numbers of a tensor.
pub(crate) fn floats(tensor: TrainedTensor) -> Result<(Vec<usize>, Vec<f32>), MethodError> {
    match tensor.values {
        Values::Floats(values) => Ok((tensor.shape, values.into_vec())),
        Values::Indices(_) => Err(MethodError::OtherBase {
            difference: format!("`{}` has integers", tensor.path),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_written_to_the_diagonal_and_read_from_it() {
        let matrix = Matrix::of(&[4, 2], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
        let blocks = matrix.block_diagonal(2);
        assert_eq!(blocks.row(1), [3.0, 4.0, 0.0, 0.0]);
        assert_eq!(blocks.row(2), [0.0, 0.0, 5.0, 6.0]);
        assert_eq!(blocks.blocks(2), Some(matrix));
        let mixed =
            blocks.map(|row, column, value| if (row, column) == (0, 3) { 1.0 } else { value });
        assert_eq!(mixed.blocks(2), None);
    }

    #[test]
    fn matrices_are_transposed_cropped_and_repeated() {
        let matrix = Matrix::of(&[2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(matrix.transposed().values, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
        assert_eq!(matrix.corner(1, 2).values, [1.0, 2.0]);
        assert_eq!(matrix.repeated(2).rows, 4);
        assert_eq!(
            Matrix::identity(4, 2).values,
            [1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0]
        );
    }
}
