//! `LoKr`, from `LyCORIS` (Yeh et al. 2024, arXiv:2309.14859), as in HF PEFT.

use std::collections::{BTreeMap, HashMap};

use burn::Tensor;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::check;
use super::during_training::NoDynamics;
use super::patterns::{self, Found, Patterns, has_patterns};
use super::spec::{AdapterMaker, Context, Learning, LearningRates, Place, Spec};
use crate::adapters::{Kronecker, WeightShape, start};
use crate::attach::{Made, Maker};
use crate::error::MethodError;
use crate::hf_peft::{
    Form, HfPeft, Keys, LayerTensors, ONLY_AT_THE_START, Ranks, ReadAdapters, Settings, Writer,
    param,
};
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
    /// Ranks of single layers, by regular expressions for the ends of their paths.
    pub rank_pattern: BTreeMap<String, usize>,
    /// Alphas of single layers, by regular expressions for the ends of their paths.
    pub alpha_pattern: BTreeMap<String, f64>,
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
            rank_pattern: BTreeMap::new(),
            alpha_pattern: BTreeMap::new(),
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

has_patterns!(LokrConfig);

impl LokrConfig {
    /// The sizes of the factors of a weight that get the rank `rank`.
    fn sizes(&self, shape: &WeightShape, rank: usize) -> Sizes {
        let area = shape.area();
        let (a, b) = factorization(shape.outputs, self.decompose_factor);
        let (c, d) = factorization(shape.inputs / area, self.decompose_factor);
        Sizes {
            first: [a, c],
            second: [b, d * area],
            decompose_first: self.decompose_both && 2 * rank < a.max(c),
            decompose_second: 2 * rank < b.max(d),
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
    const LEARNING: Learning<Self> = Learning::InSteps(LearningRates {
        small: 0.03,
        large: 0.003,
    });
    const HF_PEFT: HfPeft<Self, Kronecker> = HfPeft::Own(Form {
        peft_type: "LOKR",
        keys: Keys {
            read: &[
                "r",
                "alpha",
                "rank_pattern",
                "alpha_pattern",
                "decompose_both",
                "decompose_factor",
            ],
            unused: &[("init_weights", ONLY_AT_THE_START)],
            rejected: &[
                "rank_dropout",
                "rank_dropout_scale",
                "module_dropout",
                "use_effective_conv2d",
            ],
        },
        write: |config, to| {
            write(config, to);
            Ok(())
        },
        read: |settings, _, _| Ok(Box::new(open(settings)?)),
    });

    fn check(&self, layers: &[&Layer]) -> Result<(), MethodError> {
        self.patterns().check(layers)?;
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
        let rank = self.patterns().rank_of(&layer.path);
        let sizes = self.sizes(&layer.shape, rank);
        let factor = |[rows, columns]: [usize; 2], decompose| {
            if decompose {
                rank * (rows + columns)
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
        let patterns = self.config.patterns();
        let rank = patterns.rank_of(&layer.path);
        let sizes = self.config.sizes(&shape, rank);
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
            scale: patterns.scale_of(&layer.path),
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
    config.patterns().write(to);
    to.insert(json!({
        "peft_type": "LOKR",
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

fn open(settings: &Settings<'_>) -> Result<ReadLokr, MethodError> {
    let factor = match settings.get("decompose_factor") {
        None | Some(Value::Null) => None,
        // -1 stands for none.
        Some(value) if value.as_i64() == Some(-1) => None,
        Some(_) => Some(settings.count("decompose_factor")?),
    };
    Ok(ReadLokr {
        ranks: Ranks::read(settings, "alpha")?,
        decompose_both: settings.flag("decompose_both")?,
        decompose_factor: factor,
        found: Vec::new(),
    })
}

struct ReadLokr {
    ranks: Ranks,
    decompose_both: bool,
    decompose_factor: Option<usize>,
    found: Found,
}

impl ReadAdapters<LokrConfig, Kronecker> for ReadLokr {
    #[allow(clippy::cast_precision_loss)]
    fn read(&mut self, from: &mut LayerTensors<'_>) -> Result<Option<Kronecker>, MethodError> {
        let shape = from.layer.shape;
        let (rank, alpha) = self.ranks.of(from.name);
        let mut sizes = HashMap::new();
        let mut next = |field: Field<'static>| {
            let found = from.matrix(field.name, None, None)?;
            if found
                .as_ref()
                .is_some_and(|matrix| matrix.values.is_empty())
            {
                return Err(from.lacks(field.name));
            }
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
            scale: alpha / rank as f64,
            shape,
        };
        if sizes.is_empty() {
            return Ok(None);
        }
        self.found.push((from.layer.path.clone(), rank, alpha));
        // A factor is one tensor, or the product of two whose inner size is the rank.
        let factor = |whole: Field<'_>, left: Field<'_>, right: Field<'_>| match (
            sizes.get(whole.name),
            sizes.get(left.name),
            sizes.get(right.name),
        ) {
            (Some(whole), None, None) => Some(*whole),
            (None, Some((rows, inner)), Some((other, columns))) => {
                (inner == other && *inner == rank).then_some((*rows, *columns))
            }
            _ => None,
        };
        let first = factor(Kronecker::W1, Kronecker::W1_A, Kronecker::W1_B);
        let second = factor(Kronecker::W2, Kronecker::W2_A, Kronecker::W2_B);
        let made = first.zip(second).and_then(|((a, c), (b, d))| {
            let (outputs, inputs) = (a.checked_mul(b)?, c.checked_mul(d)?);
            Some((outputs, inputs))
        });
        if made == Some((shape.outputs, shape.inputs)) {
            return Ok(Some(adapter));
        }
        Err(MethodError::OtherBase {
            difference: format!(
                "its LoKr factors of rank {rank} of `{}` do not make its {} × {} weight",
                from.name, shape.outputs, shape.inputs
            ),
        })
    }

    fn fit(&self, adapter: Kronecker, _layer: &Layer, _base: Tensor<2>) -> Made<Kronecker> {
        Made::from(adapter)
    }

    fn method(&self) -> LokrConfig {
        let (rank, alpha) = self.ranks.usual();
        let (rank_pattern, alpha_pattern) = patterns::of_found(&self.found, (rank, alpha));
        LokrConfig {
            rank,
            alpha,
            rank_pattern,
            alpha_pattern,
            decompose_both: self.decompose_both,
            decompose_factor: self.decompose_factor,
        }
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
