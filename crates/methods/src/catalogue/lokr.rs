//! `LoKr`, from `LyCORIS` (Yeh et al. 2024, arXiv:2309.14859), as in HF PEFT.

use std::collections::HashMap;

use burn::Tensor;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::check;
use super::during_training::NoDynamics;
use super::spec::{AdapterMaker, Context, LearningRates, Place, Spec};
use crate::adapters::{Kronecker, WeightShape, start};
use crate::attach::{Made, Maker};
use crate::error::MethodError;
use crate::hf_peft::{ByLayer, Form, HfPeft, LayerTensors, Settings, Writer, param};
use crate::inspect::paths::Field;
use crate::inspect::{Layer, ParamInfo};
use crate::random::rng;

/// Settings of `LoKr`.
///
/// Parameters per layer with `outputs = a·b`, `in = c·d` and a kernel of `k` entries: `a·c` for the
/// first factor, or `rank·(a + c)` if it is decomposed, and `b·d·k` for the second, or `rank·(b + d·k)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LokrConfig {
    /// Rank of a decomposed factor. A factor is decomposed if its larger side is above twice this.
    pub rank: usize,
    /// The change is scaled by `alpha / rank`.
    pub alpha: f64,
    /// Whether the first factor may be decomposed as well.
    pub decompose_both: bool,
    /// The value of `a` and `c` if it divides the sizes. `None` takes the divisors nearest to their
    /// square roots.
    pub decompose_factor: Option<usize>,
}

impl Default for LokrConfig {
    fn default() -> Self {
        Self {
            rank: 8,
            alpha: 16.0,
            decompose_both: false,
            decompose_factor: None,
        }
    }
}

/// The sizes of a layer's factors.
struct Sizes {
    /// Rows and columns of the first factor.
    first: [usize; 2],
    /// Rows and columns of the second factor.
    second: [usize; 2],
    decompose_first: bool,
    decompose_second: bool,
}

impl LokrConfig {
    /// Factor `s`.
    #[allow(clippy::cast_precision_loss)]
    fn scale(&self) -> f64 {
        self.alpha / self.rank as f64
    }

    fn sizes(&self, shape: &WeightShape) -> Sizes {
        let area = shape.area();
        let (a, b) = factorization(shape.outputs, self.decompose_factor);
        let (c, d) = factorization(shape.inputs / area, self.decompose_factor);
        Sizes {
            first: [a, c],
            second: [b, d * area],
            decompose_first: self.decompose_both && 2 * self.rank < a.max(c),
            decompose_second: 2 * self.rank < b.max(d),
        }
    }
}

impl Spec for LokrConfig {
    type Adapter = Kronecker;
    type Dynamics = NoDynamics;

    const PLACE: Place = Place::AnyLayer;
    const FREEZES_BASE: bool = true;
    const MERGES: bool = true;
    const NEEDS_GRADIENTS: bool = false;
    const LEARNING_RATES: LearningRates = LearningRates {
        small: 0.03,
        large: 0.003,
    };
    const HF_PEFT: HfPeft<Self, Kronecker> = HfPeft::Own(Form {
        peft_type: "LOKR",
        supports: &[],
        write: |config, to| {
            write(config, to);
            Ok(())
        },
        read: |settings, _, _| {
            let factor = settings.get("decompose_factor").and_then(Value::as_i64);
            let config = Self {
                rank: settings.or("r", Settings::count)?.unwrap_or(8),
                alpha: settings.or("alpha", Settings::number)?.unwrap_or(8.0),
                decompose_both: settings.flag("decompose_both")?,
                // -1 stands for none.
                decompose_factor: factor.and_then(|factor| usize::try_from(factor).ok()),
            };
            Ok(Box::new(ByLayer {
                settings: config,
                read,
            }))
        },
    });

    fn check(&self, _layers: &[&Layer]) -> Result<(), MethodError> {
        check::rank(self.rank)?;
        check::finite("alpha", self.alpha)?;
        check::at_least_one("decomposition factor", self.decompose_factor.unwrap_or(1))
    }

    fn maker<'a>(&self, context: &Context<'a>) -> Result<AdapterMaker<'a, Self>, MethodError> {
        Ok(Some(Box::new(LokrMaker {
            config: self.clone(),
            rng: rng(context.seed, 7),
        })))
    }

    fn dynamics(&self, _seed: u64) -> Option<NoDynamics> {
        None
    }

    fn trained_beside(&self, _parameter: &ParamInfo, _adapted: &[&Layer]) -> bool {
        false
    }

    fn faster(&self) -> Option<(f64, Field<'static>)> {
        None
    }

    fn parameters_of(&self, layer: &Layer) -> usize {
        let sizes = self.sizes(&layer.shape);
        let factor = |[rows, columns]: [usize; 2], decompose| {
            if decompose {
                self.rank * (rows + columns)
            } else {
                rows * columns
            }
        };
        factor(sizes.first, sizes.decompose_first) + factor(sizes.second, sizes.decompose_second)
    }
}

struct LokrMaker {
    config: LokrConfig,
    rng: ChaCha8Rng,
}

impl Maker<Kronecker> for LokrMaker {
    fn make(&mut self, layer: &Layer, base: Tensor<2>) -> Made<Kronecker> {
        let (device, shape, rng) = (base.device(), layer.shape, &mut self.rng);
        let rank = self.config.rank;
        let sizes = self.config.sizes(&shape);
        let ([a, c], [b, d]) = (sizes.first, sizes.second);
        let (zeros, start) = (
            |shape| Some(start::full(0.0, shape, &device)),
            |shape, rng: &mut ChaCha8Rng| Some(start::kaiming(shape, &device, rng)),
        );
        let mut adapter = Kronecker {
            lokr_w1: None,
            lokr_w1_a: None,
            lokr_w1_b: None,
            lokr_w2: None,
            lokr_w2_a: None,
            lokr_w2_b: None,
            scale: self.config.scale(),
            shape,
        };
        // The first factor is 0, so that the change is 0 at the start.
        if sizes.decompose_first {
            adapter.lokr_w1_a = zeros([a, rank]);
            adapter.lokr_w1_b = start([rank, c], rng);
        } else {
            adapter.lokr_w1 = zeros([a, c]);
        }
        if sizes.decompose_second {
            adapter.lokr_w2_a = start([b, rank], rng);
            adapter.lokr_w2_b = start([rank, d], rng);
        } else {
            adapter.lokr_w2 = start([b, d], rng);
        }
        Made::from(adapter)
    }
}

/// Splits `size` into two factors: `factor` and the rest if it divides, otherwise the two that are
/// nearest to each other with the first, smaller one at most `factor` (`LyCORIS`' `factorization`).
fn factorization(size: usize, factor: Option<usize>) -> (usize, usize) {
    if let Some(factor) = factor
        && size.is_multiple_of(factor)
    {
        return (factor, size / factor);
    }
    let limit = factor.unwrap_or(size);
    let first = (1..=size.isqrt())
        .rev()
        .find(|first| *first <= limit && size.is_multiple_of(*first));
    let first = first.unwrap_or(1);
    (first, size / first)
}

fn write(config: &LokrConfig, to: &mut Writer<'_>) {
    let factor = config
        .decompose_factor
        .map_or(-1, |factor| i64::try_from(factor).unwrap_or(i64::MAX));
    to.insert(json!({
        "peft_type": "LOKR",
        "r": config.rank,
        "alpha": config.alpha,
        "decompose_both": config.decompose_both,
        "decompose_factor": factor,
    }));
    let factors = [
        Kronecker::W1,
        Kronecker::W1_A,
        Kronecker::W1_B,
        Kronecker::W2,
        Kronecker::W2_A,
        Kronecker::W2_B,
    ];
    to.copy(&factors, |layer, field, matrix| {
        let (rows, columns) = (matrix.rows, matrix.columns);
        match layer.shape.kernel {
            // HF PEFT stores this one as a convolution's weight.
            Some([height, width]) if field == Kronecker::W2 => {
                vec![rows, columns / (height * width), height, width]
            }
            _ => vec![rows, columns],
        }
    });
}

fn read(
    config: &LokrConfig,
    from: &mut LayerTensors<'_>,
) -> Result<Option<Kronecker>, MethodError> {
    let shape = from.layer.shape;
    let mut sizes = HashMap::new();
    let mut next = |field: Field<'static>| {
        let found = from.matrix(field.name, None, None)?;
        Ok(found.map(|matrix| {
            sizes.insert(field.name, (matrix.rows, matrix.columns));
            param(matrix, from.device)
        }))
    };
    let adapter = Kronecker {
        lokr_w1: next(Kronecker::W1)?,
        lokr_w1_a: next(Kronecker::W1_A)?,
        lokr_w1_b: next(Kronecker::W1_B)?,
        lokr_w2: next(Kronecker::W2)?,
        lokr_w2_a: next(Kronecker::W2_A)?,
        lokr_w2_b: next(Kronecker::W2_B)?,
        scale: config.scale(),
        shape,
    };
    if sizes.is_empty() {
        return Ok(None);
    }
    // A factor is one tensor, or the product of two whose inner sizes agree.
    let factor = |whole: Field<'_>, left: Field<'_>, right: Field<'_>| {
        sizes.get(whole.name).copied().or_else(|| {
            let ((rows, inner), (other, columns)) = (sizes.get(left.name)?, sizes.get(right.name)?);
            (inner == other).then_some((*rows, *columns))
        })
    };
    match (
        factor(Kronecker::W1, Kronecker::W1_A, Kronecker::W1_B),
        factor(Kronecker::W2, Kronecker::W2_A, Kronecker::W2_B),
    ) {
        (Some((a, c)), Some((b, d))) if a * b == shape.outputs && c * d == shape.inputs => {
            Ok(Some(adapter))
        }
        _ => Err(MethodError::OtherBase {
            difference: format!(
                "its LoKr factors of `{}` do not make its {} × {} weight",
                from.name, shape.outputs, shape.inputs
            ),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_factored_as_in_lycoris() {
        // peft.tuners.lokr.layer.factorization gives these factors.
        let found = [
            factorization(127, None),
            factorization(128, None),
            factorization(250, None),
            factorization(360, None),
            factorization(512, None),
            factorization(1024, None),
            factorization(128, Some(4)),
            factorization(250, Some(4)),
            factorization(360, Some(7)),
        ];
        let wanted = [
            (1, 127),
            (8, 16),
            (10, 25),
            (18, 20),
            (16, 32),
            (32, 32),
            (4, 32),
            (2, 125),
            (6, 60),
        ];
        assert_eq!(found, wanted);
    }
}
