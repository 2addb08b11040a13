//! Base weights in 8 or 4 bit (Dettmers et al. 2023, "QLoRA", arXiv:2305.14314).

use burn::Tensor;
use burn::tensor::DType;
use burn::tensor::quantization::{QuantScheme, QuantValue, ScaleDtype};
use serde::{Deserialize, Serialize};

/// How a frozen base weight is stored: as integers, symmetric about 0, with one scale per 32 of them
/// if 32 divides the last axis, and with one scale for the whole weight otherwise.
///
/// The weight is converted to floating point whenever it is used. Burn's CPU backend stores a 4-bit
/// integer in a byte, so that it takes as much memory there as an 8-bit one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Quantize {
    /// From -127 to 127.
    Int8,
    /// From -7 to 7.
    Int4,
}

/// How many numbers share a scale.
const BLOCK: u8 = 32;

impl Quantize {
    pub(crate) fn quantize<const D: usize>(self, weight: Tensor<D>) -> Tensor<D> {
        let value = match self {
            Self::Int8 => QuantValue::Q8S,
            Self::Int4 => QuantValue::Q4S,
        };
        let scheme = QuantScheme::default().with_value(value);
        let blocks = weight.dims()[D - 1].is_multiple_of(BLOCK.into());
        let scheme = if blocks {
            scheme.per_block([BLOCK], ScaleDtype::F32)
        } else {
            scheme.per_tensor(ScaleDtype::F32)
        };
        weight.detach().quantize_dynamic(&scheme)
    }
}

/// A weight as floating-point numbers.
pub(crate) fn dense<const D: usize>(weight: Tensor<D>) -> Tensor<D> {
    if matches!(weight.dtype(), DType::QFloat(_)) {
        weight.dequantize()
    } else {
        weight
    }
}
