//! Base weights in 8 or 4 bit (Dettmers et al. 2023, "QLoRA", arXiv:2305.14314).

use burn::Tensor;
use burn::module::Param;
use burn::tensor::quantization::{QuantScheme, QuantValue, QuantizationParameters, ScaleDtype};
use burn::tensor::{DType, Int, TensorData};
use serde::{Deserialize, Serialize};

use super::shape::WeightShape;
use super::start;

/// How a frozen base weight is stored: in blocks of consecutive numbers that share a scale.
///
/// The weight is converted to floating point whenever it is used. Burn's CPU backend stores a 4-bit
/// number in a byte, so that it takes as much memory there as an 8-bit one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Quantize {
    /// Integers from -127 to 127, symmetric about 0, in blocks of 32.
    Int8,
    /// Integers from -7 to 7, symmetric about 0, in blocks of 32.
    Int4,
    /// 16 levels that are equally probable for normally distributed weights, in blocks of 64: the
    /// `NF4` of `QLoRA` as `bitsandbytes` computes it, without its second quantisation of the scales.
    Nf4,
}

/// The levels of `NF4` ("QLoRA", appendix E).
const LEVELS: [f32; 16] = [
    -1.0,
    -0.696_192_8,
    -0.525_073_05,
    -0.394_917_5,
    -0.284_441_38,
    -0.184_773_43,
    -0.091_050_036,
    0.0,
    0.079_580_3,
    0.160_930_2,
    0.246_112_3,
    0.337_915_24,
    0.440_709_83,
    0.562_617,
    0.722_956_84,
    1.0,
];

/// How many integers share a scale.
const BLOCK: u8 = 32;

/// A stored weight.
pub(crate) struct Stored<const D: usize> {
    /// What is stored, in the shape of the weight.
    pub(crate) codes: Tensor<D>,
    /// The scales of its blocks; `None` if the codes have them.
    pub(crate) blocks: Option<Blocks>,
}

/// The scales of a weight that is stored in codes.
///
/// The weight is seen as `[outputs, inputs]` and cut into blocks row by row, whatever its sides are; the
/// last block may be shorter.
#[derive(Debug, Clone)]
pub(crate) struct Blocks {
    /// `[blocks]`, frozen.
    pub(crate) scales: Param<Tensor<1>>,
    pub(crate) quantize: Quantize,
    pub(crate) shape: WeightShape,
}

impl Blocks {
    /// The weight of codes.
    fn decode<const D: usize>(&self, codes: Tensor<D>) -> Tensor<D> {
        let (shape, block) = (self.shape, self.quantize.block());
        let codes = codes.dequantize();
        let (device, dims, size) = (codes.device(), codes.dims(), shape.size());
        let flat = shape.matrix(codes).reshape([size]);
        let steps = if self.quantize == Quantize::Nf4 {
            let places: Tensor<1, Int> = flat.int();
            Tensor::<1>::from_data(LEVELS, &device).select(0, places)
        } else {
            flat
        };
        let scales = self.scales.val();
        let [blocks] = scales.dims();
        let scales = scales
            .unsqueeze_dim::<2>(1)
            .repeat_dim(1, block)
            .reshape([blocks * block])
            .narrow(0, 0, size);
        let matrix = (steps * scales).reshape([shape.outputs, shape.inputs]);
        shape.weight(matrix, dims)
    }
}

impl Quantize {
    /// How many numbers share a scale.
    fn block(self) -> usize {
        match self {
            Self::Int8 | Self::Int4 => BLOCK.into(),
            Self::Nf4 => 64,
        }
    }

    /// Stores a weight.
    pub(crate) fn store<const D: usize>(self, weight: Tensor<D>, shape: WeightShape) -> Stored<D> {
        let value = match self {
            Self::Int8 => QuantValue::Q8S,
            Self::Int4 => QuantValue::Q4S,
            Self::Nf4 => return self.in_blocks(weight, shape),
        };
        // Burn's own blocks are parts of the last axis.
        if !weight.dims()[D - 1].is_multiple_of(BLOCK.into()) {
            return self.in_blocks(weight, shape);
        }
        let scheme = QuantScheme::default()
            .with_value(value)
            .per_block([BLOCK], ScaleDtype::F32);
        Stored {
            codes: weight.detach().quantize_dynamic(&scheme),
            blocks: None,
        }
    }

    /// Stores the codes of a weight as integers, and the scales beside them.
    fn in_blocks<const D: usize>(self, weight: Tensor<D>, shape: WeightShape) -> Stored<D> {
        let (device, dims) = (weight.device(), weight.dims());
        let matrix = shape.matrix(weight.detach());
        let values: Vec<f32> = matrix.into_data().iter().collect();
        let (mut codes, mut scales) = (Vec::with_capacity(values.len()), Vec::new());
        for block in values.chunks(self.block()) {
            let largest = block
                .iter()
                .fold(0.0_f32, |most, value| most.max(value.abs()));
            let scale = match self {
                Self::Int8 => largest / 127.0,
                Self::Int4 => largest / 7.0,
                Self::Nf4 => largest,
            };
            scales.push(scale);
            codes.extend(block.iter().map(|value| {
                if scale == 0.0 {
                    self.code(0.0)
                } else {
                    self.code(value / scale)
                }
            }));
        }
        let codes = TensorData::new(codes, [shape.outputs, shape.inputs]);
        let codes = shape.weight(Tensor::<2>::from_data(codes, &device), dims);
        let count = scales.len();
        let scheme = QuantScheme::default()
            .with_value(QuantValue::Q8S)
            .per_tensor(ScaleDtype::F32);
        let unit = QuantizationParameters {
            scales: Tensor::ones([1], &device),
            global: None,
        };
        Stored {
            codes: codes.quantize(&scheme, unit),
            blocks: Some(Blocks {
                scales: start::param(scales, [count], &device).set_require_grad(false),
                quantize: self,
                shape,
            }),
        }
    }

    /// The code of a number divided by its block's scale.
    fn code(self, value: f32) -> f32 {
        match self {
            Self::Int8 => value.round_ties_even().clamp(-127.0, 127.0),
            Self::Int4 => value.round_ties_even().clamp(-7.0, 7.0),
            Self::Nf4 => {
                // The nearest level, the lower one of two.
                let pairs = LEVELS.windows(2);
                let below = pairs.filter(|pair| value > f32::midpoint(pair[0], pair[1]));
                below.fold(0.0, |count, _| count + 1.0)
            }
        }
    }
}

/// A weight as floating-point numbers; `blocks` are the scales of codes.
pub(crate) fn dense<const D: usize>(weight: Tensor<D>, blocks: Option<&Blocks>) -> Tensor<D> {
    match (weight.dtype(), blocks) {
        (DType::QFloat(_), Some(blocks)) => blocks.decode(weight),
        (DType::QFloat(_), None) => weight.dequantize(),
        _ => weight,
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use serde::Deserialize;

    use super::*;

    /// What `tests/fixtures/quantize.py` computed by the algorithm of bitsandbytes.
    #[derive(Deserialize)]
    struct Fixture {
        levels: Vec<f32>,
        cases: Vec<Case>,
    }

    #[derive(Deserialize)]
    struct Case {
        name: String,
        /// `[outputs, inputs]`.
        shape: [usize; 2],
        kernel: Option<[usize; 2]>,
        weight: Vec<f32>,
        nf4: Vec<f32>,
        int8: Vec<f32>,
        int4: Vec<f32>,
        /// The relative errors.
        errors: [f32; 3],
    }

    fn restored<const D: usize>(
        quantize: Quantize,
        weight: Tensor<D>,
        shape: WeightShape,
    ) -> Vec<f32> {
        let Stored { codes, blocks } = quantize.in_blocks(weight, shape);
        assert!(matches!(codes.dtype(), DType::QFloat(_)));
        let weight = dense(codes, blocks.as_ref());
        shape.matrix(weight).into_data().iter().collect()
    }

    fn error(found: &[f32], weight: &[f32]) -> f32 {
        let length = |values: &mut dyn Iterator<Item = f32>| values.map(|v| v * v).sum::<f32>();
        let pairs = found.iter().zip(weight);
        let apart = length(&mut pairs.map(|(a, b)| a - b));
        (apart / length(&mut weight.iter().copied())).sqrt()
    }

    #[test]
    fn weights_are_stored_as_bitsandbytes_stores_them() {
        let text = include_str!("../../tests/fixtures/quantize.json");
        let fixture: Fixture = serde_json::from_str(text).unwrap();
        assert_eq!(fixture.levels, LEVELS);
        assert_eq!(fixture.cases.len(), 5);
        let device = Device::flex();
        for case in fixture.cases {
            let shape = WeightShape {
                outputs: case.shape[0],
                inputs: case.shape[1],
                groups: 1,
                kernel: case.kernel,
            };
            let data = TensorData::new(case.weight.clone(), case.shape);
            let matrix = Tensor::<2>::from_data(data, &device);
            let wanted = [case.nf4, case.int8, case.int4];
            let all = [Quantize::Nf4, Quantize::Int8, Quantize::Int4];
            for ((quantize, wanted), least) in all.into_iter().zip(wanted).zip(case.errors) {
                let found = match case.kernel {
                    Some([height, width]) => {
                        let area = height * width;
                        let dims = [shape.outputs, shape.inputs / area, height, width];
                        restored(quantize, matrix.clone().reshape(dims), shape)
                    }
                    None => restored(quantize, matrix.clone().transpose(), shape),
                };
                for (found, wanted) in found.iter().zip(&wanted) {
                    let apart = (found - wanted).abs();
                    assert!(
                        apart <= 1e-6,
                        "{} {quantize:?}: {found} {wanted}",
                        case.name
                    );
                }
                let found = error(&found, &case.weight);
                assert!(
                    (found - least).abs() < 1e-4,
                    "{} {quantize:?}: {found}",
                    case.name
                );
            }
        }
    }
}
