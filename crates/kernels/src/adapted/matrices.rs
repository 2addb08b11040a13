//! Small matrix products that merge factors into a weight and divide its gradient among them.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Flex, TensorMetadata};
use burn::tensor::Shape;
use burn_flex::FlexTensor;
use rayon::prelude::*;

use crate::linear::product::Matrix;
use crate::memory::{contiguous, tensor, values, written};

/// Number of values of a part of a sum that stays in the cache.
const PART: usize = 1 << 15;

/// `base + left·right` by ordinary operations: `base` `[groups · m, n]`, `left` `[groups · m, k]`,
/// `right` `[groups · k, n]`, group by group.
pub(super) fn sum<B: Backend>(
    base: FloatTensor<B>,
    left: FloatTensor<B>,
    right: FloatTensor<B>,
    groups: usize,
) -> FloatTensor<B> {
    let shape = base.shape();
    let product = product::<B>((left, false), (right, false), groups);
    B::float_add(base, B::float_reshape(product, shape))
}

/// The product of two matrices or their transposes by ordinary operations, group by group: each
/// matrix has the rows of all groups.
pub(super) fn product<B: Backend>(
    left: (FloatTensor<B>, bool),
    right: (FloatTensor<B>, bool),
    groups: usize,
) -> FloatTensor<B> {
    let [left, right] = [left, right].map(|(matrix, transposed)| {
        let [rows, columns] = matrix.shape().dims();
        let matrix = B::float_reshape(matrix, Shape::new([groups, rows / groups, columns]));
        if transposed {
            B::float_swap_dims(matrix, 1, 2)
        } else {
            matrix
        }
    });
    let product = B::float_matmul(left, right);
    let [groups, rows, columns] = product.shape().dims();
    B::float_reshape(product, Shape::new([groups * rows, columns]))
}

/// [`sum`] of contiguous `f32` matrices, in one pass over the base.
pub(super) fn flex_sum(
    base: FlexTensor,
    left: FlexTensor,
    right: FlexTensor,
    groups: usize,
) -> FlexTensor {
    let shape = base.shape();
    let [base, left, right] = [base, left, right].map(contiguous);
    let [rows, columns] = base.layout().shape().dims();
    let (height, inner) = (rows / groups, left.layout().shape()[1]);
    let at_once = (PART / columns).clamp(1, height);
    let (base, left, right) = (values(&base), values(&left), values(&right));
    // SAFETY: the parts cover all rows, and `add_to` writes all of a part.
    #[allow(unsafe_code, reason = "the sum is written once, not zeroed first")]
    let out = unsafe {
        written(rows * columns, |out| {
            let groups = out
                .par_chunks_mut(height * columns)
                .zip(base.par_chunks(height * columns))
                .zip(left.par_chunks(height * inner))
                .zip(right.par_chunks(inner * columns));
            groups.for_each(|(((out, base), left), right)| {
                let right = Matrix::new(right, [inner, columns]);
                out.par_chunks_mut(at_once * columns)
                    .zip(base.par_chunks(at_once * columns))
                    .zip(left.par_chunks(at_once * inner))
                    .for_each(|((out, base), left)| {
                        let left = Matrix::new(left, [left.len() / inner, inner]);
                        left.times_plus(right, base, out);
                    });
            });
        })
    };
    tensor(out, shape)
}

/// [`product`] of `f32` matrices.
pub(super) fn flex_product(
    left: (FlexTensor, bool),
    right: (FlexTensor, bool),
    groups: usize,
) -> FlexTensor {
    if groups > 1 {
        return product::<Flex>(left, right, groups);
    }
    let [left, right] = [left, right].map(|(matrix, turned)| (contiguous(matrix), turned));
    let [a, b] = [&left, &right].map(|(matrix, turned)| {
        let matrix = Matrix::of(matrix);
        if *turned { matrix.transposed() } else { matrix }
    });
    tensor(a.times(b), [a.rows(), b.columns()])
}

/// The products of a matrix with `weight` and with the transpose of `beside` by ordinary operations.
pub(super) fn products<B: Backend>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    beside: FloatTensor<B>,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let out = product::<B>((x.clone(), false), (weight, false), 1);
    (out, product::<B>((x, false), (beside, true), 1))
}

/// [`products`] of `f32` matrices, in one pass over `x` if it is long enough.
pub(super) fn flex_products(
    x: FlexTensor,
    weight: FlexTensor,
    beside: FlexTensor,
) -> (FlexTensor, FlexTensor) {
    let [x, weight, beside] = [x, weight, beside].map(contiguous);
    let [x, weight, beside] = [&x, &weight, &beside].map(Matrix::of);
    let beside = beside.transposed();
    let (out, middle) = x.times_both([weight, beside]);
    (
        tensor(out, [x.rows(), weight.columns()]),
        tensor(middle, [x.rows(), beside.columns()]),
    )
}
