//! The methods by name, and attaching one to a model.

mod ready;

use std::collections::HashMap;

use burn::Tensor;
use burn::module::{Module, ModuleDisplay, Param, ParamGroup, ParamId, Reparameterizer};
pub(crate) use ready::Ready;
use serde::{Deserialize, Serialize};

use crate::adapters::Adapter;
use crate::catalogue::Dynamics;
use crate::catalogue::{
    AdaloraConfig, AdaptformerConfig, Bias, GpsConfig, Ia3Config, LohaConfig, LokrConfig,
    LoraConfig, Maker, PeftConfig, ShiraConfig, SsfConfig, VeraConfig, VptConfig,
};
use crate::error::MethodError;
use crate::inspect::Importance;
use crate::inspect::{Layer, ParamInfo, layers, nearest, parameters};
use crate::inspect::{Targets, ends_with, is_under};

/// What of a model trains.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "lowercase")]
pub enum Method {
    /// Full fine-tuning: everything trains, `BatchNorm` statistics move.
    Sft,
    /// The head alone; everything else, statistics included, is frozen.
    Linear,
    /// Biases, shifts of normalisations included, and the head (Ben Zaken et al. 2022, "`BitFit`",
    /// arXiv:2106.10199).
    Bitfit,
    /// Scales and shifts of normalisations, and the head (Frankle et al. 2021, arXiv:2003.00152).
    Norm,
    /// Low-rank adapters and the head.
    Lora(LoraConfig),
    /// Sparse adapters on a shared projection, and the head.
    Peft(PeftConfig),
    /// Two vectors a layer around shared random factors, and the head.
    Vera(VeraConfig),
    /// Low-rank adapters whose ranks move to where they matter, and the head.
    Adalora(AdaloraConfig),
    /// Random entries of the weights, and the head.
    Shira(ShiraConfig),
    /// The entries with the largest gradients, and the head.
    Gps(GpsConfig),
    /// Scaled activations, and the head.
    Ia3(Ia3Config),
    /// Scaled and shifted activations, and the head.
    Ssf(SsfConfig),
    /// Elementwise products of low-rank matrices, and the head.
    Loha(LohaConfig),
    /// Kronecker products, and the head.
    Lokr(LokrConfig),
    /// Bottlenecks beside a transformer's feed-forward blocks, and the head.
    Adaptformer(AdaptformerConfig),
    /// Prompts before each of a transformer's blocks, and the head.
    #[serde(rename = "vpt-deep")]
    VptDeep(VptConfig),
}

/// A model with a method attached.
#[derive(Debug)]
pub struct Attached<M> {
    /// The model; what is frozen is frozen, what trains requires gradients.
    pub model: M,
    /// What the training loop calls at every step, for methods that change while training.
    pub dynamics: Option<Dynamics>,
    /// Parameters whose learning rate is another one than the rest's.
    pub faster: Option<Faster>,
    /// Path of the head; empty where none is known.
    pub head: String,
}

impl<M> From<M> for Attached<M> {
    /// The model as it is, nothing attached: what trains is what requires gradients.
    fn from(model: M) -> Self {
        Self {
            model,
            dynamics: None,
            faster: None,
            head: String::new(),
        }
    }
}

/// Parameters whose learning rate is a multiple of the rest's.
#[derive(Debug, Clone, PartialEq)]
pub struct Faster {
    /// The multiple.
    pub ratio: f64,
    /// Those parameters.
    pub parameters: Vec<ParamId>,
}

/// Where a method works.
#[derive(Debug, Clone)]
pub struct Scope<'a> {
    /// Path of the head, e.g. `linear`: always trained, never adapted.
    pub head: &'a str,
    /// The layers that get an adapter.
    pub targets: &'a Targets,
    /// Seed of the adapters' random start.
    pub seed: u64,
    /// Gradients before training, for the methods that choose by them.
    pub importance: Option<&'a Importance>,
    /// Whether `BatchNorm` statistics move although the base is frozen.
    pub adapt_statistics: bool,
    /// Layers that train whole beside the head: their paths, or the ends of them (PEFT's
    /// `modules_to_save`).
    pub modules_to_save: &'a [String],
}

impl<'a> Scope<'a> {
    /// With frozen statistics and no gradients.
    #[must_use]
    pub fn new(head: &'a str, targets: &'a Targets, seed: u64) -> Self {
        Self {
            head,
            targets,
            seed,
            importance: None,
            adapt_statistics: false,
            modules_to_save: &[],
        }
    }
}

impl Method {
    /// The method's name on the command line and in file names.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Sft => "sft",
            Self::Linear => "linear",
            Self::Bitfit => "bitfit",
            Self::Norm => "norm",
            Self::Lora(_) => "lora",
            Self::Peft(_) => "peft",
            Self::Vera(_) => "vera",
            Self::Adalora(_) => "adalora",
            Self::Shira(_) => "shira",
            Self::Gps(_) => "gps",
            Self::Ia3(_) => "ia3",
            Self::Ssf(_) => "ssf",
            Self::Loha(_) => "loha",
            Self::Lokr(_) => "lokr",
            Self::Adaptformer(_) => "adaptformer",
            Self::VptDeep(_) => "vpt-deep",
        }
    }

    /// Every method with its default settings.
    #[must_use]
    pub fn all() -> Vec<Self> {
        vec![
            Self::Sft,
            Self::Linear,
            Self::Bitfit,
            Self::Norm,
            Self::Lora(LoraConfig::default()),
            Self::Peft(PeftConfig::default()),
            Self::Vera(VeraConfig::default()),
            Self::Adalora(AdaloraConfig::default()),
            Self::Shira(ShiraConfig::default()),
            Self::Gps(GpsConfig::default()),
            Self::Ia3(Ia3Config::default()),
            Self::Ssf(SsfConfig::default()),
            Self::Loha(LohaConfig::default()),
            Self::Lokr(LokrConfig::default()),
            Self::Adaptformer(AdaptformerConfig::default()),
            Self::VptDeep(VptConfig::default()),
        ]
    }

    /// Whether the base stays as it is, so that what was trained can be kept without it.
    #[must_use]
    pub fn freezes_base(&self) -> bool {
        !matches!(self, Self::Sft)
    }

    /// Whether layers carry adapters, so that targets mean something.
    #[must_use]
    pub fn has_adapters(&self) -> bool {
        !matches!(self, Self::Sft | Self::Linear | Self::Bitfit | Self::Norm)
    }

    /// Whether the method chooses by gradients before training; see [`Importance`].
    #[must_use]
    pub fn needs_gradients(&self) -> bool {
        matches!(self, Self::Gps(_))
    }

    /// Whether the finished model can be one of plain layers.
    #[must_use]
    pub fn merges(&self) -> bool {
        !matches!(self, Self::Adaptformer(_) | Self::VptDeep(_))
    }

    /// Attaches the method to a model whose parameters all train.
    ///
    /// But for [`VptDeep`](Self::VptDeep), the model computes what it did before.
    ///
    /// # Errors
    ///
    /// A setting out of range, a head or target that names no layer, or a model that carries
    /// adapters already.
    pub fn attach<M: Module + ModuleDisplay>(
        &self,
        model: M,
        scope: &Scope<'_>,
    ) -> Result<Attached<M>, MethodError> {
        let parameters = parameters(&model);
        let mut trained = head_ids(&parameters, scope.head)?;
        if matches!(self, Self::Sft) {
            return Ok(Attached {
                head: scope.head.to_owned(),
                ..Attached::from(model)
            });
        }
        let saved = saved(&parameters, scope.modules_to_save)?;
        let mut all = layers(&model);
        all.retain(|layer| !saved.contains(&layer.weight));
        trained.extend(saved);
        let selected = if self.has_adapters() {
            scope.targets.select(&all, scope.head)?
        } else {
            Vec::new()
        };
        trained.extend(self.own(&parameters, &selected));
        let device = model.devices().into_iter().next().unwrap_or_default();
        let maker = self.maker(scope, &selected, &parameters, &device)?;
        let mut model = model.freeze();
        if let Some(mut maker) = maker {
            model = attach_adapters(model, &selected, maker.as_mut());
        }
        let mut model = model.unfreeze_group(ParamGroup::from_ids(trained));
        if scope.adapt_statistics {
            model = crate::inspect::adapt(model);
        }
        let faster = match self {
            Self::Lora(config) if (config.b_lr_ratio - 1.0).abs() > f64::EPSILON => Some(Faster {
                ratio: config.b_lr_ratio,
                parameters: crate::inspect::parameters(&model)
                    .into_iter()
                    .filter(|param| param.trainable && param.path.ends_with(".adapter.lora_b"))
                    .map(|param| param.id)
                    .collect(),
            }),
            _ => None,
        };
        Ok(Attached {
            model,
            dynamics: Dynamics::of(self, scope.seed),
            faster,
            head: scope.head.to_owned(),
        })
    }

    /// The model's own parameters that train beside the head and the adapters.
    fn own(&self, parameters: &[ParamInfo], selected: &[&Layer]) -> Vec<ParamId> {
        let of_selected = |param: &ParamInfo| {
            param
                .path
                .strip_suffix(".bias")
                .is_some_and(|path| selected.iter().any(|layer| layer.path == path))
        };
        let trains = |param: &&ParamInfo| match self {
            Self::Bitfit => param.is_bias(),
            Self::Norm | Self::Ssf(_) => param.is_norm(),
            Self::Lora(config) => match config.bias {
                Bias::None => false,
                Bias::All => param.is_bias(),
                Bias::LoraOnly => of_selected(param),
            },
            _ => false,
        };
        parameters
            .iter()
            .filter(trains)
            .map(|param| param.id)
            .collect()
    }

    fn maker<'a>(
        &self,
        scope: &Scope<'a>,
        selected: &[&Layer],
        parameters: &[ParamInfo],
        device: &burn::tensor::Device,
    ) -> Result<Option<Box<dyn Maker + 'a>>, MethodError> {
        let seed = scope.seed;
        Ok(Some(match self {
            Self::Sft | Self::Linear | Self::Bitfit | Self::Norm => return Ok(None),
            Self::Lora(config) => {
                config.check(selected)?;
                Box::new(config.maker(seed))
            }
            Self::Peft(config) => {
                config.check()?;
                Box::new(config.maker(selected, device, seed))
            }
            Self::Vera(config) => {
                config.check()?;
                Box::new(config.maker(selected, device, seed))
            }
            Self::Adalora(config) => {
                config.check(selected)?;
                Box::new(config.maker(seed))
            }
            Self::Shira(config) => {
                config.check()?;
                Box::new(config.maker(seed))
            }
            Self::Gps(config) => {
                config.check()?;
                let method = self.name();
                let importance = scope.importance;
                Box::new(config.maker(importance.ok_or(MethodError::NeedsGradients { method })?))
            }
            Self::Ia3(config) => Box::new(config.maker()?),
            Self::Ssf(config) => {
                let biased = parameters
                    .iter()
                    .filter_map(|param| param.path.strip_suffix(".bias").map(str::to_owned));
                Box::new(config.maker(biased.collect()))
            }
            Self::Loha(config) => {
                config.check()?;
                Box::new(config.maker(seed))
            }
            Self::Lokr(config) => {
                config.check()?;
                Box::new(config.maker(seed))
            }
            Self::Adaptformer(config) => {
                config.check()?;
                Box::new(config.maker(seed))
            }
            Self::VptDeep(config) => {
                config.check()?;
                Box::new(config.maker(seed))
            }
        }))
    }
}

pub(crate) fn head_ids(parameters: &[ParamInfo], head: &str) -> Result<Vec<ParamId>, MethodError> {
    if let Some(adapted) = parameters.iter().find(|param| param.in_adapter()) {
        let path = adapted.path.split(crate::inspect::ADAPTER).next();
        return Err(MethodError::AlreadyAdapted {
            path: path.unwrap_or_default().to_owned(),
        });
    }
    let ids: Vec<ParamId> = parameters
        .iter()
        .filter(|param| is_under(&param.path, head))
        .map(|param| param.id)
        .collect();
    if ids.is_empty() {
        let paths = parameters
            .iter()
            .filter_map(|param| param.path.rsplit_once('.'));
        let mut paths: Vec<_> = paths.map(|(layer, _)| layer).collect();
        paths.dedup();
        return Err(MethodError::HeadNotFound {
            head: head.to_owned(),
            nearest: nearest(head, paths.into_iter(), 3),
        });
    }
    Ok(ids)
}

/// The parameters of the layers with those names.
fn saved(parameters: &[ParamInfo], names: &[String]) -> Result<Vec<ParamId>, MethodError> {
    let mut found = Vec::new();
    for name in names {
        let is_of = |param: &&ParamInfo| {
            // The layer itself, or any that it is in.
            let parts = param.path.match_indices('.');
            let mut parents = parts.map(|(dot, _)| &param.path[..dot]);
            !param.buffer && parents.any(|parent| ends_with(parent, name))
        };
        let before = found.len();
        found.extend(parameters.iter().filter(is_of).map(|param| param.id));
        if found.len() == before {
            let paths = parameters
                .iter()
                .filter_map(|param| param.path.rsplit_once('.'));
            let mut paths: Vec<_> = paths.map(|(layer, _)| layer).collect();
            paths.dedup();
            return Err(MethodError::NothingMatched {
                pattern: name.clone(),
                nearest: nearest(name, paths.into_iter(), 3),
            });
        }
    }
    Ok(found)
}

/// Puts the adapters that `maker` makes on those layers of a model.
pub(crate) fn attach_adapters<M: Module>(model: M, layers: &[&Layer], maker: &mut dyn Maker) -> M {
    model.apply_reparameterization(Attach {
        layers: layers.iter().map(|layer| (layer.weight, *layer)).collect(),
        maker,
    })
}

struct Attach<'a, 'b> {
    layers: HashMap<ParamId, &'a Layer>,
    maker: &'a mut (dyn Maker + 'b),
}

impl Reparameterizer for Attach<'_, '_> {
    type Reparam = Adapter;

    fn reparameterize<const D: usize>(
        &mut self,
        _path: &str,
        param: Param<Tensor<D>>,
    ) -> (Param<Tensor<D>>, Option<Adapter>) {
        let Some(layer) = self.layers.remove(&param.id) else {
            return (param, None);
        };
        let base = param.base();
        let shape = base.dims();
        let made = self.maker.make(layer, layer.shape.matrix(base));
        let param = match made.base {
            None => param,
            Some(base) => param.map(|_| layer.shape.weight(base, shape).detach()),
        };
        let param = match made.quantize {
            None => param,
            Some(quantize) => param.map(|weight| quantize.quantize(weight)),
        };
        (param, Some(made.adapter))
    }
}
