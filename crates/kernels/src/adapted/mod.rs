//! Layers whose weight is `W + B·A`: a frozen `W`, and two small factors that are trained.
//!
//! With few inputs and a large weight, `W·x + B·(A·x)` is computed from its parts; `W` and `A` are
//! applied in one pass over `x`. Otherwise the sum is made once per pass, and the layer and the gradient
//! of its input are computed with it, so that both cost what they cost without the factors. The orders
//! of the remaining products are those of Cherniuk et al. 2023, "Run LoRA Run" (arXiv:2312.03415), here
//! for convolutions as well.

mod backend;
mod conv;
mod linear;
mod matrices;

use burn::Tensor;
use burn::backend::Dispatch;
use burn::tensor::ops::ConvOptions;

use crate::conv::Bias;
use backend::AdaptedBackend;

/// How a layer with factors is computed. All forms give the same numbers up to rounding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `W·x + B·(A·x)`.
    Factored,
    /// `(W + B·A)·x`.
    Merged(Order),
}

impl Form {
    /// All forms and their names.
    pub const ALL: [(&'static str, Self); 3] = [
        ("factored", Self::Factored),
        ("merged", Self::Merged(Order::Factors)),
        ("dense", Self::Merged(Order::Dense)),
    ];
}

/// How the gradients of the factors follow from the gradient `g` of the output of a merged layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// `dB = g·(A·x)ᵀ` and `dA = (Bᵀ·g)·xᵀ`: four products with as many channels as the rank.
    Factors,
    /// The gradient of the weight, `dW = g·xᵀ`; then `dA = Bᵀ·dW` and `dB = dW·Aᵀ`, which do not
    /// depend on the number of images.
    Dense,
}

/// The two factors of the change of a layer's weight.
#[derive(Debug, Clone)]
pub struct Factors {
    /// `A`: `[groups · rank, inputs]`; the inputs of a convolution are those that one output sees,
    /// `channels in / groups · kernel height · kernel width`.
    pub a: Tensor<2>,
    /// `B`: `[outputs, rank]`.
    pub b: Tensor<2>,
    /// How the layer is computed.
    pub form: Form,
}

/// Convolves `x` `[batch, channels in, height, width]` with `weight + B·A`, the weight of shape
/// `[channels out, channels in / groups, kernel height, kernel width]`, and adds `bias`
/// `[channels out]`.
///
/// # Panics
///
/// If the shapes do not match.
#[must_use]
pub fn conv2d(
    x: Tensor<4>,
    weight: Tensor<4>,
    factors: Factors,
    bias: Option<Tensor<1>>,
    options: ConvOptions<2>,
) -> Tensor<4> {
    let [outputs, seen, height, width] = weight.dims();
    assert_eq!(x.dims()[1], seen * options.groups);
    factors.check(options.groups, outputs, seen * height * width);
    Tensor::from_dispatch(Dispatch::adapted_convolution(
        x.into_dispatch(),
        weight.into_dispatch(),
        factors.a.into_dispatch(),
        factors.b.into_dispatch(),
        bias.map_or(Bias::Absent, |bias| Bias::Given(bias.into_dispatch())),
        options,
        factors.form,
    ))
}

/// Computes `x·(W + B·A)ᵀ + b` on the last axis: `x` `[.., in]`, and the layer's `weight` as Burn
/// stores it, `[in, out]`; `bias` `[out]`.
///
/// # Panics
///
/// If the shapes do not match.
#[must_use]
pub fn linear<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<2>,
    factors: Factors,
    bias: Option<Tensor<1>>,
) -> Tensor<D> {
    let mut shape = x.dims();
    let [inputs, outputs] = weight.dims();
    assert_eq!(shape[D - 1], inputs);
    factors.check(1, outputs, inputs);
    let rows = shape[..D - 1].iter().product();
    let y = Tensor::<2>::from_dispatch(Dispatch::adapted_product(
        x.reshape([rows, inputs]).into_dispatch(),
        weight.into_dispatch(),
        factors.a.into_dispatch(),
        factors.b.into_dispatch(),
        factors.form,
    ));
    let y = match bias {
        Some(bias) => y + bias.unsqueeze(),
        None => y,
    };
    shape[D - 1] = outputs;
    y.reshape(shape)
}

impl Factors {
    fn check(&self, groups: usize, outputs: usize, inputs: usize) {
        let ([rows, columns], [heights, rank]) = (self.a.dims(), self.b.dims());
        assert_eq!(
            ([rows, columns], heights),
            ([groups * rank, inputs], outputs),
            "factors of other sizes than the weight"
        );
    }
}
