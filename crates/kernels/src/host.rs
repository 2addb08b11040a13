//! Products of matrices of `f64` on the CPU, whatever device a model computes on.

use burn::Tensor;
use burn::tensor::{DType, Device, TensorData};

/// A matrix of `f64`.
///
/// ```
/// use finetune_kernels::host::Matrix;
///
/// let a = Matrix::new(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [2, 3]);
/// let product = a.times(&a.transposed());
/// assert_eq!(product.into_values(), [14.0, 32.0, 32.0, 77.0]);
/// ```
#[derive(Debug, Clone)]
pub struct Matrix(Tensor<2>);

impl Matrix {
    /// A matrix of `[rows, columns]` whose values are given row by row.
    ///
    /// # Panics
    ///
    /// There are more or fewer values.
    #[must_use]
    pub fn new(values: Vec<f64>, shape: [usize; 2]) -> Self {
        let data = TensorData::new(values, shape);
        Self(Tensor::from_data(data, (&Device::flex(), DType::F64)))
    }

    /// Numbers of rows and columns.
    #[must_use]
    pub fn shape(&self) -> [usize; 2] {
        self.0.dims()
    }

    /// The product with another matrix.
    ///
    /// # Panics
    ///
    /// The other matrix does not have as many rows as this one has columns.
    #[must_use]
    pub fn times(&self, other: &Self) -> Self {
        Self(self.0.clone().matmul(other.0.clone()))
    }

    /// The transposed matrix, without a copy of the values.
    #[must_use]
    pub fn transposed(&self) -> Self {
        Self(self.0.clone().transpose())
    }

    /// Some of the rows, from `first` on.
    ///
    /// # Panics
    ///
    /// There are no such rows.
    #[must_use]
    pub fn rows(&self, first: usize, count: usize) -> Self {
        Self(self.0.clone().narrow(0, first, count))
    }

    /// The values, row by row.
    #[must_use]
    pub fn into_values(self) -> Vec<f64> {
        self.0.into_data().iter::<f64>().collect()
    }
}
