//! `LoRA` (Hu et al. 2021, arXiv:2106.09685): trained low-rank factors on frozen weights; and its
//! published refinements, each a setting.

use std::collections::BTreeMap;

use burn::Tensor;
use burn::module::Param;
use burn::nn::DropoutConfig;
use burn::tensor::Device;
use finetune_files::quoted;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::check;
use super::during_training::NoDynamics;
use super::patterns::{Patterns, exactly, has_patterns};
use super::spec::{AdapterMaker, Context, Learning, LearningRates, Place, Spec};
use crate::adapters::split::split;
use crate::adapters::{Geometry, LoraInit, LowRank, Quantize, WeightShape, start};
use crate::attach::{Made, Maker};
use crate::error::MethodError;
use crate::hf_peft::{
    File, Form, HfPeft, LORA_KEYS, LayerTensors, Ranks, ReadAdapters, Settings, Writer,
    not_in_hf_peft, param, reject_dilation, rejected, shown,
};
use crate::inspect::paths::Field;
use crate::inspect::{Layer, LayerKind, ParamInfo};
use crate::random::rng;

/// Which biases train beside the factors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bias {
    /// None.
    #[default]
    None,
    /// Those of the adapted layers.
    LoraOnly,
    /// All biases of the model, and the shifts of its normalisations.
    All,
}

/// Settings of `LoRA`.
///
/// Parameters per layer: `rank·(groups·inputs + outputs)`, `outputs` more for `DoRA`, and the bias if
/// it trains. If no rank has room in a layer (see [`rank_of`](Self::rank_of)), `outputs·inputs`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LoraConfig {
    /// Rank `r` of the change; a layer with less room gets a lower rank, see
    /// [`rank_of`](Self::rank_of).
    pub rank: usize,
    /// The change is scaled by `alpha / rank` (section 4.1 of the paper).
    pub alpha: f64,
    /// Dropout on the adapter's input while training, in `[0, 1)`.
    pub dropout: f64,
    /// Ranks of single layers, by regular expressions for the ends of their paths.
    pub rank_pattern: BTreeMap<String, usize>,
    /// Alphas of single layers, by regular expressions for the ends of their paths.
    pub alpha_pattern: BTreeMap<String, f64>,
    /// Scale by `alpha / √rank` instead (Kalajdzievski 2023, "rsLoRA", arXiv:2312.03732).
    pub rslora: bool,
    /// Train the length of each output's weights apart from their direction (Liu et al. 2024, "`DoRA`",
    /// arXiv:2402.09353, equation 5).
    pub dora: bool,
    /// What the factors start from.
    pub init: LoraInit,
    /// Freeze `A` as it started (Zhang et al. 2023, "LoRA-FA", arXiv:2308.03303).
    pub freeze_a: bool,
    /// Which biases train as well.
    pub bias: Bias,
    /// Store the adapted layers' weights in 8 or 4 bit; see [`Quantize`]. With `nf4` this is "QLoRA"
    /// (Dettmers et al. 2023, arXiv:2305.14314).
    pub quantize: Option<Quantize>,
    /// Learning rate of `B` divided by that of the rest (Hayou et al. 2024, "LoRA+", arXiv:2402.12354).
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

has_patterns!(LoraConfig);

impl LoraConfig {
    /// The rank that the settings give a layer, and the rank that it gets.
    ///
    /// The factors of the latter have fewer entries than the weight: `rank·(groups·inputs + outputs)`
    /// is less than its size. `None` if no rank is that low; the change itself then trains.
    #[must_use]
    pub fn rank_of(&self, layer: &Layer) -> (usize, Option<usize>) {
        let asked = self.patterns().rank_of(&layer.path);
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
    pub(crate) fn scale(&self, layer: &Layer, rank: usize) -> f64 {
        self.scale_by(self.patterns().alpha_of(&layer.path), rank)
    }

    /// Factor `s` of an alpha and a rank.
    #[allow(clippy::cast_precision_loss)]
    fn scale_by(&self, alpha: f64, rank: usize) -> f64 {
        let rank = rank as f64;
        alpha / if self.rslora { rank.sqrt() } else { rank }
    }

    /// The same with the ranks and scales that layers have, by their paths.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn with_ranks(self, layers: &[(String, Geometry)]) -> Self {
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
            rank_pattern: ranks
                .map(|(layer, own)| (exactly(layer), own.rank))
                .collect(),
            alpha_pattern: alphas
                .map(|(layer, alpha)| (exactly(layer), alpha))
                .collect(),
            ..self
        }
    }
}

impl Spec for LoraConfig {
    type Adapter = LowRank;
    type Dynamics = NoDynamics;

    const PLACE: Place = Place::AnyLayer;
    const FREEZES_BASE: bool = true;
    const MERGES: bool = true;
    const NEEDS_GRADIENTS: bool = false;
    const LEARNING: Learning<Self> = Learning::InSteps(LearningRates {
        small: 0.01,
        large: 0.001,
    });
    const HF_PEFT: HfPeft<Self, LowRank> = HfPeft::Own(Form {
        peft_type: "LORA",
        keys: LORA_KEYS,
        write,
        read,
    });

    fn check(&self, layers: &[&Layer]) -> Result<(), MethodError> {
        self.patterns().check(layers)?;
        check::dropout(self.dropout)?;
        check::positive("LoRA+'s ratio", self.b_lr_ratio)?;
        let splits = self.init != LoraInit::Kaiming;
        let mut alphas = self.alpha_pattern.values().chain([&self.alpha]);
        if splits && alphas.any(|alpha| *alpha == 0.0) {
            let wanted = "other than 0 if the factors start from the weight";
            return Err(check::setting("alpha", 0, wanted));
        }
        if self.rank_pattern.is_empty() {
            check::rank_fits(self.rank, layers)?;
        }
        Ok(())
    }

    fn maker<'a>(&self, context: &Context<'a>) -> Result<AdapterMaker<'a, Self>, MethodError> {
        Ok(Some(Box::new(LoraMaker {
            config: self.clone(),
            rng: rng(context.seed, 1),
        })))
    }

    fn dynamics(&self, _seed: u64) -> Option<NoDynamics> {
        None
    }

    fn trained_beside(&self, parameter: &ParamInfo, adapted: &[&Layer]) -> bool {
        match self.bias {
            Bias::None => false,
            Bias::All => parameter.is_bias(),
            Bias::LoraOnly => parameter
                .path
                .strip_suffix(".bias")
                .is_some_and(|path| adapted.iter().any(|layer| layer.path == path)),
        }
    }

    fn faster(&self) -> Option<(f64, Field<'static>)> {
        let faster = (self.b_lr_ratio - 1.0).abs() > f64::EPSILON;
        faster.then_some((self.b_lr_ratio, LowRank::B))
    }

    fn parameters_of(&self, layer: &Layer) -> usize {
        let WeightShape {
            outputs,
            inputs,
            groups,
            ..
        } = layer.shape;
        let factors = match self.rank_of(layer).1 {
            Some(rank) if self.freeze_a => rank * outputs,
            Some(rank) => rank * (groups * inputs + outputs),
            None => outputs * inputs,
        };
        let magnitude = if self.dora { outputs } else { 0 };
        let bias = match self.bias {
            Bias::None => 0,
            Bias::All | Bias::LoraOnly => layer.bias_size(),
        };
        factors + magnitude + bias
    }
}

struct LoraMaker {
    config: LoraConfig,
    rng: ChaCha8Rng,
}

impl Maker<LowRank> for LoraMaker {
    fn make(&mut self, layer: &Layer, base: Tensor<2>) -> Made<LowRank> {
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
        let split = rank.and_then(|rank| split(&base, shape, config.init, rank, scale));
        let (lora_a, lora_b, new_base) = match (rank, split) {
            (_, Some(split)) => (split.a, Some(split.b), Some(split.base)),
            (None, None) => (start::full(0.0, [rows, shape.inputs], &device), None, None),
            (Some(rank), None) => (
                start::kaiming([rows, shape.inputs], &device, &mut self.rng),
                Some(start::full(0.0, [shape.outputs, rank], &device)),
                None,
            ),
        };
        let (magnitude, base_square) = if config.dora {
            let length = LowRank::square_lengths(base.clone()).val().sqrt();
            let magnitude = Param::from_tensor(length).set_require_grad(true);
            let square = LowRank::square_lengths(new_base.clone().unwrap_or(base));
            // The lengths of a quantised weight differ, so they are computed from it when needed.
            (Some(magnitude), config.quantize.is_none().then_some(square))
        } else {
            (None, None)
        };
        // If `B` is the identity, `A` is the whole change.
        let train_a = !config.freeze_a || lora_b.is_none();
        let adapter = LowRank {
            lora_a: lora_a.set_require_grad(train_a),
            lora_b,
            lora_b_mask: None,
            inner: None,
            outer: None,
            magnitude,
            base_square,
            dropout: DropoutConfig::new(config.dropout).init(),
            base_scales: None,
            geometry,
            quantize: None,
        };
        Made {
            adapter,
            base: new_base,
            quantize: config.quantize,
        }
    }
}

fn write(config: &LoraConfig, to: &mut Writer<'_>) -> Result<(), MethodError> {
    for (_, layer) in &to.layers {
        let LayerKind::Conv2d { groups, .. } = layer.kind else {
            continue;
        };
        if config.dora && groups > 1 {
            return Err(not_in_hf_peft(
                layer,
                "HF PEFT's DoRA does not support groups",
            ));
        }
        if config.init != LoraInit::Kaiming {
            return Err(not_in_hf_peft(
                layer,
                "HF PEFT starts every convolution from its default, so the base would differ",
            ));
        }
    }
    to.as_lora(config.rank, config.rslora, |layer, _| {
        config.scale(layer, config.rank_of(layer).0)
    })?;
    let initial = match config.init {
        LoraInit::Kaiming => json!(true),
        LoraInit::Pissa => json!("pissa"),
        LoraInit::Olora => json!("olora"),
    };
    let bias = match config.bias {
        Bias::None => "none",
        Bias::All => "all",
        Bias::LoraOnly => "lora_only",
    };
    to.insert(json!({
        "lora_dropout": config.dropout,
        "use_dora": config.dora,
        "init_lora_weights": initial,
        "bias": bias,
    }));
    to.copy_as(LowRank::MAGNITUDE, "lora_magnitude_vector", |layer| {
        let outputs = layer.shape.outputs;
        match layer.kind {
            LayerKind::Linear => vec![outputs],
            LayerKind::Conv2d { .. } => vec![1, outputs, 1, 1],
        }
    });
    Ok(())
}

fn read(
    settings: &Settings<'_>,
    _file: &mut File,
    _device: &Device,
) -> Result<Box<dyn ReadAdapters<LoraConfig, LowRank>>, MethodError> {
    let init = match settings.get("init_lora_weights") {
        None | Some(Value::Null | Value::Bool(_)) => LoraInit::Kaiming,
        Some(Value::String(name)) => match name.to_lowercase().as_str() {
            "gaussian" | "orthogonal" | "eva" => LoraInit::Kaiming,
            "pissa" => LoraInit::Pissa,
            "olora" => LoraInit::Olora,
            other => {
                return Err(rejected(format!(
                    "`init_lora_weights` is {}, whose changed base cannot be computed again",
                    quoted(other)
                )));
            }
        },
        Some(other) => {
            let other = shown(other);
            return Err(rejected(format!("`init_lora_weights` is {other}")));
        }
    };
    let bias = match settings.or("bias", Settings::text)?.as_deref() {
        None | Some("none") => Bias::None,
        Some("all") => Bias::All,
        Some("lora_only") => Bias::LoraOnly,
        Some(other) => {
            let (other, known) = (quoted(other), "none, all or lora_only");
            return Err(rejected(format!("`bias` is {other}, but must be {known}")));
        }
    };
    let dropout = settings.or("lora_dropout", Settings::number)?;
    let ranks = Ranks::read(settings, "lora_alpha")?;
    let (rank, alpha) = ranks.usual();
    let config = LoraConfig {
        rank,
        alpha,
        dropout: dropout.unwrap_or(0.0),
        rslora: settings.flag("use_rslora")?,
        dora: settings.flag("use_dora")?,
        init,
        bias,
        ..LoraConfig::default()
    };
    Ok(Box::new(ReadLora {
        config,
        ranks,
        found: Vec::new(),
    }))
}

struct ReadLora {
    config: LoraConfig,
    ranks: Ranks,
    /// The geometries of the adapters that were read, by the paths of their layers.
    found: Vec<(String, Geometry)>,
}

impl ReadAdapters<LoraConfig, LowRank> for ReadLora {
    fn read(&mut self, from: &mut LayerTensors<'_>) -> Result<Option<LowRank>, MethodError> {
        let (layer, device) = (from.layer, from.device);
        let shape = layer.shape;
        let groups = shape.groups;
        let Some(a) = from.matrix("lora_A.weight", None, Some(groups * shape.inputs))? else {
            return Ok(None);
        };
        reject_dilation(layer)?;
        let rows = a.rows;
        if !rows.is_multiple_of(groups) {
            return Err(MethodError::OtherBase {
                difference: format!(
                    "its rank {rows} on `{}` is not a multiple of the layer's {groups} groups",
                    from.name
                ),
            });
        }
        let (rank, alpha) = self.ranks.checked(from.name, rows)?;
        let b = from.second("lora_B.weight", Some(shape.outputs), Some(rows / groups))?;
        let a = if groups == 1 {
            a
        } else {
            a.blocks(groups).ok_or_else(|| {
                rejected(format!(
                    "`{}`: HF PEFT's LoRA of this grouped convolution mixes its groups, which no \
                     change of its weight can do",
                    from.name
                ))
            })?
        };
        let mut magnitude = None;
        if self.config.dora {
            for name in ["lora_magnitude_vector", "lora_magnitude_vector.weight"] {
                magnitude = magnitude.or(from.numbers(name, shape.outputs)?);
            }
            if magnitude.is_none() {
                return Err(from.lacks("lora_magnitude_vector"));
            }
        }
        let geometry = Geometry {
            weight: shape,
            rank: rows / groups,
            scale: self.config.scale_by(alpha, rank),
            shared: false,
            divisor: 1.0,
            dense_gradient: false,
        };
        self.found.push((layer.path.clone(), geometry));
        Ok(Some(LowRank {
            magnitude,
            dropout: DropoutConfig::new(self.config.dropout).init(),
            ..LowRank::plain(param(a, device), param(b, device), geometry)
        }))
    }

    /// Subtracts from the base what `PiSSA` and `OLoRA` start from, and adds `DoRA`'s lengths.
    fn fit(&self, mut adapter: LowRank, layer: &Layer, base: Tensor<2>) -> Made<LowRank> {
        let Geometry { rank, scale, .. } = adapter.geometry;
        let split = split(&base, layer.shape, self.config.init, rank, scale);
        let new_base = split.map(|split| split.base);
        if adapter.magnitude.is_some() {
            let base = new_base.clone().unwrap_or(base);
            adapter.base_square = Some(LowRank::square_lengths(base));
        }
        Made {
            adapter,
            base: new_base,
            quantize: None,
        }
    }

    fn method(&self) -> LoraConfig {
        self.config.clone().with_ranks(&self.found)
    }
}
