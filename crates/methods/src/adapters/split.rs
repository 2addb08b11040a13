//! Splitting a weight into low-rank factors and the rest.

use burn::Tensor;
use burn::module::Param;
use burn::tensor::TensorData;
use nalgebra::{DMatrix, SymmetricEigen};
use serde::{Deserialize, Serialize};

use super::shape::WeightShape;
use super::start::param;

/// What the factors of a low-rank adapter start from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LoraInit {
    /// `A ~ U(-1/√inputs, 1/√inputs)` (`PyTorch`'s Kaiming uniform with `a = √5`, as in HF PEFT) and
    /// `B = 0`.
    #[default]
    Kaiming,
    /// The weight's largest singular values and vectors, which are subtracted from the base (Meng et
    /// al. 2024, "`PiSSA`", arXiv:2404.02948, equations 2–4).
    Pissa,
    /// The first columns and rows of the weight's QR factors, which are subtracted from the base
    /// (Büyükakyüz 2024, "`OLoRA`", arXiv:2406.01775, algorithm 1).
    Olora,
}

/// Two factors `B` `[outputs, rank]` and `A` `[groups · rank, inputs]` of a weight, and their product
/// `B·A` `[outputs, inputs]`; all row by row.
pub(crate) struct Factors {
    pub(crate) b: Vec<f32>,
    pub(crate) a: Vec<f32>,
    pub(crate) product: Vec<f32>,
}

/// Applies `factor` to each group's rows of a weight `[outputs, inputs]`, given row by row.
#[allow(clippy::cast_possible_truncation)] // back to the precision of the weight
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
        // nalgebra stores columns, and those of the transpose are the rows.
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

/// Factors of a weight, and the weight without their product.
pub(crate) struct Split {
    pub(crate) a: Param<Tensor<2>>,
    pub(crate) b: Param<Tensor<2>>,
    pub(crate) base: Tensor<2>,
}

/// Splits a weight `[outputs, inputs]` into factors of a rank and the rest, so that the rest plus
/// `s·B·A` is the weight. `None` if `init` does not change the weight.
pub(crate) fn split(
    base: &Tensor<2>,
    shape: WeightShape,
    init: LoraInit,
    rank: usize,
    scale: f64,
) -> Option<Split> {
    // `s·B·A` must be the weight's own part, so each factor is divided by `√|s|`.
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
/// Computed in f64 from the eigenvectors of the smaller of `W·Wᵀ` and `Wᵀ·W`, so that the largest
/// singular values are exact to f32.
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
