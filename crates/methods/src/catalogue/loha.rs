//! `LoHa` and `LoKr`, from `LyCORIS` (Yeh et al. 2024, arXiv:2309.14859), as PEFT has them.

use burn::Tensor;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::{Made, Maker, check, start};
use crate::adapters::{Adapter, Hadamard, Kronecker};
use crate::error::MethodError;
use crate::inspect::Layer;
use crate::random::rng;

/// Settings of `LoHa`. Parameters of a layer: `2·rank·(inputs + outputs)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LohaConfig {
    /// Rank of both factors.
    pub rank: usize,
    /// The change is scaled by `alpha / rank`.
    pub alpha: f64,
}

impl Default for LohaConfig {
    fn default() -> Self {
        Self {
            rank: 4,
            alpha: 8.0,
        }
    }
}

impl LohaConfig {
    pub(crate) fn check(&self) -> Result<(), MethodError> {
        check::rank(self.rank)?;
        check::finite("alpha", self.alpha)
    }

    pub(crate) fn maker(&self, seed: u64) -> impl Maker + use<> {
        LohaMaker {
            config: self.clone(),
            rng: rng(seed, 6),
        }
    }
}

struct LohaMaker {
    config: LohaConfig,
    rng: ChaCha8Rng,
}

impl Maker for LohaMaker {
    #[allow(clippy::cast_precision_loss)]
    fn make(&mut self, layer: &Layer, base: Tensor<2>) -> Made {
        let (device, shape, rank) = (base.device(), layer.shape, self.config.rank);
        let rng = &mut self.rng;
        let (left, right) = ([shape.outputs, rank], [rank, shape.inputs]);
        Made::from(Adapter::Hadamard(Hadamard {
            hada_w1_a: start::gaussian(0.1, left, &device, rng),
            hada_w1_b: start::gaussian(1.0, right, &device, rng),
            hada_w2_a: start::full(0.0, left, &device),
            hada_w2_b: start::gaussian(1.0, right, &device, rng),
            scale: self.config.alpha / rank as f64,
            shape,
        }))
    }
}

/// Settings of `LoKr`.
///
/// With `outputs = a·b`, `in = c·d` and a kernel of `k` entries: `a·c` parameters, or `rank·(a + c)`
/// where that factor is decomposed, and `b·d·k`, or `rank·(b + d·k)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LokrConfig {
    /// Rank of a decomposed factor; a factor of at most twice this is kept whole.
    pub rank: usize,
    /// The change is scaled by `alpha / rank`.
    pub alpha: f64,
    /// Whether the first factor may be decomposed as well.
    pub decompose_both: bool,
    /// Divisor that `a` and `c` are to be; the nearest to the square root without.
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

impl LokrConfig {
    pub(crate) fn check(&self) -> Result<(), MethodError> {
        check::rank(self.rank)?;
        check::finite("alpha", self.alpha)?;
        check::at_least_one("decomposition factor", self.decompose_factor.unwrap_or(1))
    }

    pub(crate) fn maker(&self, seed: u64) -> impl Maker + use<> {
        LokrMaker {
            config: self.clone(),
            rng: rng(seed, 7),
        }
    }
}

struct LokrMaker {
    config: LokrConfig,
    rng: ChaCha8Rng,
}

impl Maker for LokrMaker {
    #[allow(clippy::cast_precision_loss)]
    fn make(&mut self, layer: &Layer, base: Tensor<2>) -> Made {
        let LokrConfig {
            rank,
            alpha,
            decompose_both,
            decompose_factor,
        } = self.config;
        let (device, shape, rng) = (base.device(), layer.shape, &mut self.rng);
        let area = shape.kernel.map_or(1, |[height, width]| height * width);
        let (a, b) = factorization(shape.outputs, decompose_factor);
        let (c, d) = factorization(shape.inputs / area, decompose_factor);
        let decompose_first = decompose_both && 2 * rank < a.max(c);
        let decompose_second = 2 * rank < b.max(d);
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
            scale: alpha / rank as f64,
            shape,
        };
        // The first factor is 0, so that nothing changes yet.
        if decompose_first {
            adapter.lokr_w1_a = zeros([a, rank]);
            adapter.lokr_w1_b = start([rank, c], rng);
        } else {
            adapter.lokr_w1 = zeros([a, c]);
        }
        if decompose_second {
            adapter.lokr_w2_a = start([b, rank], rng);
            adapter.lokr_w2_b = start([rank, d * area], rng);
        } else {
            adapter.lokr_w2 = start([b, d * area], rng);
        }
        Made::from(Adapter::Kronecker(adapter))
    }
}

/// Two factors of `size`, the smaller first: as near to each other as they can be, the first at
/// most `factor`; `factor` itself where it divides (`LyCORIS`' `factorization`).
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_factored_as_lycoris_does() {
        // From peft.tuners.lokr.layer.factorization.
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
