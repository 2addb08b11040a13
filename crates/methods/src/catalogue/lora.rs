//! `LoRA` (Hu et al. 2021, arXiv:2106.09685): trained low-rank factors on frozen weights; and its
//! published refinements, each a setting.

use std::collections::BTreeMap;

use burn::Tensor;
use burn::nn::DropoutConfig;
use rand_chacha::ChaCha8Rng;
use regex::Regex;
use serde::{Deserialize, Serialize};

use super::{Made, Maker, check, start};
use crate::adapters::Quantize;
use crate::adapters::{Adapter, Geometry, LowRank, WeightShape};
use crate::error::MethodError;
use crate::inspect::Layer;
use crate::inspect::regex;
use crate::random::rng;

/// What the factors start from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LoraInit {
    /// `A ~ U(-1/√inputs, 1/√inputs)` (`PyTorch`'s Kaiming uniform with `a = √5`, as PEFT), `B = 0`.
    #[default]
    Kaiming,
    /// The weight's largest singular values and vectors, which the base then lacks (Meng et al.
    /// 2024, "`PiSSA`", arXiv:2404.02948, equations 2–4).
    Pissa,
    /// The first columns and rows of the weight's QR factors, which the base then lacks (Büyükakyüz
    /// 2024, "`OLoRA`", arXiv:2406.01775, algorithm 1).
    Olora,
}

/// Which biases train beside the factors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bias {
    /// None.
    #[default]
    None,
    /// Those of the adapted layers.
    LoraOnly,
    /// All of the model's.
    All,
}

/// Settings of `LoRA`.
///
/// Parameters of a layer: `rank·(groups·inputs + outputs)`, and `outputs` for `DoRA`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LoraConfig {
    /// Rank `r` of the change; less where a layer has less room, see [`LoraConfig::rank_of`].
    pub rank: usize,
    /// The change is scaled by `alpha / rank` (section 4.1 of the paper).
    pub alpha: f64,
    /// Dropout on the adapter's input while training, in `[0, 1)`.
    pub dropout: f64,
    /// Ranks of some layers: a regular expression for the end of a layer's path, and its rank.
    pub rank_pattern: BTreeMap<String, usize>,
    /// Alphas of some layers.
    pub alpha_pattern: BTreeMap<String, f64>,
    /// Scales by `alpha / √rank` instead (Kalajdzievski 2023, "rsLoRA", arXiv:2312.03732).
    pub rslora: bool,
    /// Trains each output's length apart from its direction (Liu et al. 2024, "`DoRA`",
    /// arXiv:2402.09353, equation 5).
    pub dora: bool,
    /// What the factors start from.
    pub init: LoraInit,
    /// Keeps `A` as it started (Zhang et al. 2023, "LoRA-FA", arXiv:2308.03303).
    pub freeze_a: bool,
    /// Biases that train as well.
    pub bias: Bias,
    /// Keeps the adapted layers' weights in 8 or 4 bit ("QLoRA"); see [`Quantize`].
    pub quantize: Option<Quantize>,
    /// Learning rate of `B` over that of the rest (Hayou et al. 2024, "LoRA+", arXiv:2402.12354).
    pub b_lr_ratio: f64,
}

impl Default for LoraConfig {
    fn default() -> Self {
        Self {
            rank: 8,
            alpha: 16.0,
            dropout: 0.0,
            rank_pattern: BTreeMap::new(),
            alpha_pattern: BTreeMap::new(),
            rslora: false,
            dora: false,
            init: LoraInit::Kaiming,
            freeze_a: false,
            bias: Bias::None,
            quantize: None,
            b_lr_ratio: 1.0,
        }
    }
}

impl LoraConfig {
    pub(crate) fn check(&self, layers: &[&Layer]) -> Result<(), MethodError> {
        check::rank(self.rank)?;
        check::finite("alpha", self.alpha)?;
        check::dropout(self.dropout)?;
        if !(self.b_lr_ratio.is_finite() && self.b_lr_ratio > 0.0) {
            let wanted = "above 0";
            return Err(check::setting("LoRA+'s ratio", self.b_lr_ratio, wanted));
        }
        for rank in self.rank_pattern.values() {
            check::rank(*rank)?;
        }
        for alpha in self.alpha_pattern.values() {
            check::finite("alpha", *alpha)?;
        }
        for pattern in self.rank_pattern.keys().chain(self.alpha_pattern.keys()) {
            let regex = suffix(pattern)?;
            if !layers.iter().any(|layer| regex.is_match(&layer.path)) {
                let paths = layers.iter().map(|layer| layer.path.as_str());
                return Err(MethodError::NothingMatched {
                    pattern: pattern.clone(),
                    nearest: crate::inspect::nearest(pattern, paths, 3),
                });
            }
        }
        if self.rank_pattern.is_empty() {
            check::rank_fits(self.rank, layers)?;
        }
        Ok(())
    }

    /// The rank asked for and the one given to a layer, of whose weight `rank·(groups·inputs +
    /// outputs)` must be less; `None` where no rank is, and the change itself trains.
    #[must_use]
    pub fn rank_of(&self, layer: &Layer) -> (usize, Option<usize>) {
        let asked = matching(&self.rank_pattern, &layer.path).unwrap_or(self.rank);
        let WeightShape {
            outputs,
            inputs,
            groups,
            ..
        } = layer.shape;
        let room = (layer.shape.size().saturating_sub(1)) / (groups * inputs + outputs);
        let rank = asked.min(inputs).min(outputs / groups).min(room);
        (asked, (rank > 0).then_some(rank))
    }

    /// Factor `s` of a layer that was asked for `rank`.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn scale(&self, layer: &Layer, rank: usize) -> f64 {
        let alpha = matching(&self.alpha_pattern, &layer.path).unwrap_or(self.alpha);
        let rank = rank as f64;
        alpha / if self.rslora { rank.sqrt() } else { rank }
    }

    /// The same with the ranks and scales that layers have, by their paths.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn with_ranks(self, layers: &[(String, Geometry)]) -> Self {
        let path = |path: &String| format!("^{}", regex::escape(path));
        let divisor = |rank: usize| {
            if self.rslora {
                (rank as f64).sqrt()
            } else {
                rank as f64
            }
        };
        let ranks = layers.iter().filter(|(_, own)| own.rank != self.rank);
        let alphas = layers
            .iter()
            .map(|(layer, own)| (layer, own.scale * divisor(own.rank)))
            .filter(|(_, alpha)| (alpha - self.alpha).abs() > 1e-9 * self.alpha.abs());
        Self {
            rank_pattern: ranks.map(|(layer, own)| (path(layer), own.rank)).collect(),
            alpha_pattern: alphas.map(|(layer, alpha)| (path(layer), alpha)).collect(),
            ..self
        }
    }

    pub(crate) fn maker(&self, seed: u64) -> impl Maker + use<> {
        LoraMaker {
            config: self.clone(),
            rng: rng(seed, 1),
        }
    }
}

/// The value of the first pattern that a layer's path ends with.
fn matching<T: Copy>(patterns: &BTreeMap<String, T>, path: &str) -> Option<T> {
    patterns
        .iter()
        .find(|(pattern, _)| suffix(pattern).is_ok_and(|regex| regex.is_match(path)))
        .map(|(_, value)| *value)
}

/// PEFT's reading of a pattern: the end of a path, from a dot on.
fn suffix(pattern: &str) -> Result<Regex, MethodError> {
    regex(&format!(r"^(.*\.)?({pattern})$"))
}

struct LoraMaker {
    config: LoraConfig,
    rng: ChaCha8Rng,
}

impl Maker for LoraMaker {
    fn make(&mut self, layer: &Layer, base: Tensor<2>) -> Made {
        let config = &self.config;
        let shape = layer.shape;
        let device = base.device();
        let (asked, rank) = config.rank_of(layer);
        let scale = config.scale(layer, asked);
        let geometry = Geometry {
            weight: shape,
            rank: rank.unwrap_or(shape.outputs / shape.groups),
            scale,
            shared: false,
            divisor: 1.0,
            dense_gradient: false,
        };
        let rows = geometry.groups_rank();
        let split = rank.and_then(|rank| start::split(&base, shape, config.init, rank, scale));
        let (lora_a, lora_b, new_base) = match (rank, split) {
            (_, Some(split)) => (split.a, Some(split.b), Some(split.base)),
            (None, None) => (start::full(0.0, [rows, shape.inputs], &device), None, None),
            (Some(rank), None) => (
                start::kaiming([rows, shape.inputs], &device, &mut self.rng),
                Some(start::full(0.0, [shape.outputs, rank], &device)),
                None,
            ),
        };
        let square = |base: Tensor<2>| base.square().sum_dim(1).squeeze_dim::<1>(1).detach();
        let frozen = |tensor| burn::module::Param::from_tensor(tensor).set_require_grad(false);
        let (magnitude, base_square) = if config.dora {
            let length = square(base.clone()).sqrt();
            let square = square(new_base.clone().unwrap_or(base));
            let magnitude = burn::module::Param::from_tensor(length).set_require_grad(true);
            // Of a quantised weight only the one that is left counts.
            let square = config.quantize.is_none().then(|| frozen(square));
            (Some(magnitude), square)
        } else {
            (None, None)
        };
        // Where B is the identity, A is all there is.
        let train_a = !config.freeze_a || lora_b.is_none();
        let adapter = Adapter::LowRank(LowRank {
            lora_a: lora_a.set_require_grad(train_a),
            lora_b,
            lora_b_mask: None,
            inner: None,
            outer: None,
            magnitude,
            base_square,
            dropout: DropoutConfig::new(config.dropout).init(),
            geometry,
        });
        Made {
            adapter,
            base: new_base,
            quantize: config.quantize,
        }
    }
}
