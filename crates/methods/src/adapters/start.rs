//! What adapters start from.

use burn::Tensor;
use burn::module::Param;
use burn::tensor::{Device, TensorData};
use nalgebra::{DMatrix, SymmetricEigen};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::adapters::WeightShape;
use crate::catalogue::LoraInit;
use crate::random::normal;

pub(crate) fn param<const D: usize>(
    values: Vec<f32>,
    shape: [usize; D],
    device: &Device,
) -> Param<Tensor<D>> {
    Param::from_tensor(Tensor::from_data(TensorData::new(values, shape), device))
}

pub(crate) fn full<const D: usize>(
    value: f32,
    shape: [usize; D],
    device: &Device,
) -> Param<Tensor<D>> {
    Param::from_tensor(Tensor::full(shape, value, device))
}

/// `N(0, std²)`.
pub(crate) fn gaussian<const D: usize>(
    std: f32,
    shape: [usize; D],
    device: &Device,
    rng: &mut ChaCha8Rng,
) -> Param<Tensor<D>> {
    let count = shape.iter().product();
    param(
        (0..count).map(|_| normal(rng) * std).collect(),
        shape,
        device,
    )
}

/// `U(-bound, bound)`.
pub(crate) fn uniform<const D: usize>(
    bound: f32,
    shape: [usize; D],
    device: &Device,
    rng: &mut ChaCha8Rng,
) -> Param<Tensor<D>> {
    let count = shape.iter().product();
    let values = (0..count).map(|_| rng.random_range(-bound..bound));
    param(values.collect(), shape, device)
}

/// `PyTorch`'s Kaiming uniform with `a = √5`: `U(-1/√n, 1/√n)` for `n` inputs, the last axis.
pub(crate) fn kaiming(
    [rows, inputs]: [usize; 2],
    device: &Device,
    rng: &mut ChaCha8Rng,
) -> Param<Tensor<2>> {
    uniform(1.0 / root(inputs), [rows, inputs], device, rng)
}

#[allow(clippy::cast_precision_loss)]
pub(crate) fn root(count: usize) -> f32 {
    (count as f32).sqrt()
}

/// Two factors `B` `[outputs, rank]` and `A` `[groups · rank, inputs]`, and the part `B·A` of the
/// weight that they are, `[outputs, inputs]`; row by row.
pub(crate) struct Factors {
    pub(crate) b: Vec<f32>,
    pub(crate) a: Vec<f32>,
    pub(crate) product: Vec<f32>,
}

/// Factors each group's part of a weight, `[outputs, inputs]` row by row, by `factor`.
#[allow(clippy::cast_possible_truncation)] // back to what the weight was
pub(crate) fn factors(
    weight: &[f32],
    shape: WeightShape,
    factor: impl Fn(DMatrix<f64>) -> (DMatrix<f64>, DMatrix<f64>),
) -> Factors {
    let rows = shape.outputs / shape.groups;
    let mut found = Factors {
        b: Vec::new(),
        a: Vec::new(),
        product: Vec::with_capacity(weight.len()),
    };
    let append = |to: &mut Vec<f32>, matrix: &DMatrix<f64>| {
        // nalgebra stores columns; the transpose's are the rows.
        to.extend(matrix.transpose().iter().map(|value| *value as f32));
    };
    for group in weight.chunks_exact(rows * shape.inputs) {
        let values = group.iter().map(|value| f64::from(*value));
        let (b, a) = factor(DMatrix::from_row_iterator(rows, shape.inputs, values));
        append(&mut found.product, &(&b * &a));
        append(&mut found.b, &b);
        append(&mut found.a, &a);
    }
    found
}

/// Factors taken out of a weight, and what is left of it.
pub(crate) struct Split {
    pub(crate) a: Param<Tensor<2>>,
    pub(crate) b: Param<Tensor<2>>,
    pub(crate) base: Tensor<2>,
}

/// Takes factors of a rank out of a weight `[outputs, inputs]`, so that with `s·B·A` added it is what
/// it was; `None` for a start that leaves the weight alone.
pub(crate) fn split(
    base: &Tensor<2>,
    shape: WeightShape,
    init: LoraInit,
    rank: usize,
    scale: f64,
) -> Option<Split> {
    // B·A is to be the part of the weight itself, so s is taken out of both.
    let portion = 1.0 / scale.abs().sqrt();
    let factor = |w: DMatrix<f64>| match init {
        LoraInit::Pissa => {
            let (b, a) = principal(w, rank);
            (b * portion, a * (portion * scale.signum()))
        }
        _ => orthonormal(w, rank),
    };
    if init == LoraInit::Kaiming {
        return None;
    }
    let device = base.device();
    let weight: Vec<f32> = base.clone().into_data().iter::<f32>().collect();
    let found = factors(&weight, shape, factor);
    let product = TensorData::new(found.product, [shape.outputs, shape.inputs]);
    let product = Tensor::<2>::from_data(product, &device);
    Some(Split {
        a: param(found.a, [shape.groups * rank, shape.inputs], &device),
        b: param(found.b, [shape.outputs, rank], &device),
        base: base.clone() - product.mul_scalar(scale),
    })
}

/// `U·√Σ` and `√Σ·Vᵀ` of the `rank` largest singular values.
///
/// By the eigenvectors of the smaller of `W·Wᵀ` and `Wᵀ·W`, in f64: the largest singular values
/// keep all digits an f32 weight has.
pub(crate) fn principal(w: DMatrix<f64>, rank: usize) -> (DMatrix<f64>, DMatrix<f64>) {
    let wide = w.ncols() > w.nrows();
    let w = if wide { w } else { w.transpose() };
    let eigen = SymmetricEigen::new(&w * w.transpose());
    let mut order: Vec<usize> = (0..eigen.eigenvalues.len()).collect();
    order.sort_by(|a, b| eigen.eigenvalues[*b].total_cmp(&eigen.eigenvalues[*a]));
    let mut left = DMatrix::zeros(w.nrows(), rank);
    let mut right = DMatrix::zeros(rank, w.ncols());
    for (i, index) in order.into_iter().take(rank).enumerate() {
        let singular = eigen.eigenvalues[index].max(0.0).sqrt();
        if singular == 0.0 {
            break;
        }
        let u = eigen.eigenvectors.column(index);
        left.set_column(i, &(u * singular.sqrt()));
        right.set_row(i, &(u.transpose() * &w / singular.sqrt()));
    }
    if wide {
        (left, right)
    } else {
        (right.transpose(), left.transpose())
    }
}

/// The first `rank` columns of `Q` and rows of `R` of `W = Q·R`.
pub(crate) fn orthonormal(w: DMatrix<f64>, rank: usize) -> (DMatrix<f64>, DMatrix<f64>) {
    let qr = w.qr();
    let (q, r) = (qr.q(), qr.r());
    (
        q.columns(0, rank).into_owned(),
        r.rows(0, rank).into_owned(),
    )
}
