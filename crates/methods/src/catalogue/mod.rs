//! The methods. Each has one file with everything about it: its settings and their checks, how it
//! makes a layer's adapter, what changes while it trains, its form in HF PEFT's files, its number of
//! parameters and its default learning rates. The table below lists them all.

mod adalora;
mod adaptformer;
mod bitfit;
mod check;
mod during_training;
mod gps;
mod ia3;
mod knn;
mod linear;
mod loha;
mod lokr;
mod lora;
mod method;
mod moving_mask;
mod norm;
mod oft;
mod patterns;
mod probe;
mod rank_budget;
mod rotation;
mod sft;
mod shira;
mod sparse_shared;
mod spec;
mod ssf;
mod table;
mod vera;
mod vpt_deep;

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;

use burn::Tensor;
use burn::module::{Module, ParamId, Reparameterization};
use burn::optim::GradientsParams;
use burn::tensor::Device;
use finetune_files::quoted;
use serde::{Deserialize, Serialize};

pub use adalora::AdaloraConfig;
pub use adaptformer::AdaptformerConfig;
use bitfit::Bitfit;
use during_training::DuringTraining;
pub use during_training::Moved;
pub use gps::GpsConfig;
pub use ia3::Ia3Config;
pub use knn::KnnConfig;
use linear::Linear;
pub use loha::LohaConfig;
pub use lokr::LokrConfig;
pub use lora::{Bias, LoraConfig};
pub use moving_mask::{Budget, MovingMask, Regrow};
use norm::Norm;
pub use oft::{OftConfig, RotationLimit};
pub use probe::ProbeConfig;
pub use rank_budget::RankBudget;
pub use rotation::Rotation;
use sft::Sft;
pub use shira::ShiraConfig;
pub use sparse_shared::SparseSharedConfig;
pub(crate) use spec::Context;
use spec::{Learning, Spec};
pub use spec::{LearningRates, Place};
pub use ssf::SsfConfig;
pub use vera::VeraConfig;
pub use vpt_deep::VptConfig;

use crate::adapters::{
    Blocks, Bottleneck, Change, Hadamard, Kronecker, LowRank, Neighbours, Prompts, Scale, Site,
    Sparse, dense,
};
use crate::attach::{Made, Maker};
use crate::error::MethodError;
use crate::fit::Fit;
use crate::hf_peft::{File, HfPeft, Keys, LayerTensors, ReadAdapters, Settings, Writer, rejected};
use crate::inspect::paths::Field;
use crate::inspect::{Layer, ParamInfo};
use crate::state::TrainedTensor;

table::table! {
    adapters {
        /// `W + s·B·A` and its relatives: LoRA, rsLoRA, DoRA, VeRA, AdaLoRA, the sparse shared method.
        LowRank,
        /// `W + s·(B₁A₁ ⊙ B₂A₂)`: LoHa.
        Hadamard,
        /// `W + s·(C ⊗ D)`: LoKr.
        Kronecker,
        /// Some entries of `W`: SHiRA, GPS.
        Sparse,
        /// The layer's inputs or outputs scaled, and shifted: (IA)³, SSF.
        Scale,
        /// A bottleneck beside a block: AdaptFormer.
        Bottleneck,
        /// Tokens inserted before a block's: VPT.
        Prompts,
        /// The layer's inputs rotated: OFT.
        Rotation,
        /// Votes of the training images in place of the layer: kNN.
        Neighbours,
    }
    dynamics {
        /// The moving mask of the sparse shared method.
        MovingMask,
        /// `AdaLoRA`'s falling rank budget.
        RankBudget,
        /// `COFT`'s limit on rotations.
        RotationLimit,
    }
    without_settings {
        /// Full fine-tuning: everything trains, and `BatchNorm` statistics are updated.
        "sft" => Sft,
        /// The head alone trains; everything else is frozen, including statistics.
        "linear" => Linear,
        /// Biases, the shifts of normalisations, and the head (Ben Zaken et al. 2022, "`BitFit`",
        /// arXiv:2106.10199).
        "bitfit" => Bitfit,
        /// Scales and shifts of normalisations, and the head (Frankle et al. 2021,
        /// arXiv:2003.00152).
        "norm" => Norm,
    }
    with_settings {
        /// Low-rank adapters, and the head.
        "lora" => Lora(LoraConfig),
        /// Sparse adapters on a shared projection, and the head.
        "peft" => SparseShared(SparseSharedConfig),
        /// Two vectors per layer around shared random factors, and the head.
        "vera" => Vera(VeraConfig),
        /// Low-rank adapters whose ranks move to where they matter, and the head.
        "adalora" => Adalora(AdaloraConfig),
        /// Random entries of the weights, and the head.
        "shira" => Shira(ShiraConfig),
        /// The entries with the largest gradients, and the head.
        "gps" => Gps(GpsConfig),
        /// Scaled activations, and the head.
        "ia3" => Ia3(Ia3Config),
        /// Scaled and shifted activations, and the head.
        "ssf" => Ssf(SsfConfig),
        /// Elementwise products of low-rank matrices, and the head.
        "loha" => Loha(LohaConfig),
        /// Kronecker products, and the head.
        "lokr" => Lokr(LokrConfig),
        /// Rotated inputs, and the head.
        "oft" => Oft(OftConfig),
        /// Bottlenecks beside a transformer's feed-forward blocks, and the head.
        "adaptformer" => Adaptformer(AdaptformerConfig),
        /// Prompts before each block of a transformer, and the head.
        "vpt-deep" => VptDeep(VptConfig),
        /// Votes of the nearest training images by frozen features; nothing trains.
        "knn" => Knn(KnnConfig),
        /// The head alone, as the optimum of logistic regression on frozen features.
        "probe" => Probe(ProbeConfig),
    }
}

impl Reparameterization for Adapter {
    const NAME: &'static str = "adapter";

    fn apply<const D: usize>(&self, base: Tensor<D>) -> Tensor<D> {
        self.change(dense(base, self.blocks().as_ref()))
    }
}

impl Adapter {
    /// The scales of the base weight below it, if that is stored in codes.
    pub(crate) fn blocks(&self) -> Option<Blocks> {
        match self {
            Self::LowRank(adapter) => adapter.blocks(),
            _ => None,
        }
    }
}

impl From<Infallible> for Adapter {
    fn from(none: Infallible) -> Self {
        match none {}
    }
}

impl From<Infallible> for Dynamics {
    fn from(none: Infallible) -> Self {
        match none {}
    }
}

/// Writes a method's settings and adapters in its form in HF PEFT's files.
pub(crate) fn write(method: &Method, to: &mut Writer<'_>) -> Result<(), MethodError> {
    method.entry().write(to).unwrap_or_else(|| {
        Err(MethodError::NotInHfPeft {
            reason: format!("{} has no type in HF PEFT", method.name()),
        })
    })
}

/// What reads the adapters of HF PEFT's files with these settings.
pub(crate) fn reader(
    settings: &Settings<'_>,
    file: &mut File,
    device: &Device,
) -> Result<Box<dyn Reader>, MethodError> {
    let wanted = settings.text("peft_type")?;
    let all = Method::all();
    for method in &all {
        if let Some((name, _)) = method.entry().peft_type()
            && name == wanted
            && let Some(reader) = method.entry().reader(settings, file, device)
        {
            return reader;
        }
    }
    let supported: Vec<&str> = all
        .iter()
        .filter_map(|method| method.entry().peft_type())
        .map(|(name, _)| name)
        .collect();
    Err(rejected(format!(
        "`peft_type` is {}; supported: {}",
        quoted(&wanted),
        supported.join(", ")
    )))
}

/// What makes the adapters of any method.
pub(crate) type AnyMaker<'a> = Option<Box<dyn Maker<Adapter> + 'a>>;

/// A method, whichever it is: [`Spec`] without its types.
trait Entry {
    fn place(&self) -> Place;
    fn freezes_base(&self) -> bool;
    fn merges(&self) -> bool;
    fn needs_gradients(&self) -> bool;
    fn learning_rates(&self) -> Option<LearningRates>;
    fn fit(&self, seed: u64) -> Option<Arc<dyn Fit>>;
    fn parameters_of(&self, layer: &Layer) -> usize;
    fn check(&self, layers: &[&Layer]) -> Result<(), MethodError>;
    fn maker<'a>(&self, context: &Context<'a>) -> Result<AnyMaker<'a>, MethodError>;
    fn dynamics(&self, seed: u64) -> Option<Dynamics>;
    fn trained_beside(&self, parameter: &ParamInfo, adapted: &[&Layer]) -> bool;
    fn faster(&self) -> Option<(f64, Field<'static>)>;
    /// The type in HF PEFT and how its settings are treated; `None` if there is none.
    fn peft_type(&self) -> Option<(&'static str, Keys)>;
    /// `None` if HF PEFT cannot represent the method.
    fn write(&self, to: &mut Writer<'_>) -> Option<Result<(), MethodError>>;
    /// `None` if HF PEFT has no type for the method.
    fn reader(
        &self,
        settings: &Settings<'_>,
        file: &mut File,
        device: &Device,
    ) -> Option<Result<Box<dyn Reader>, MethodError>>;
}

impl<S> Entry for S
where
    S: Spec,
    Method: From<S>,
    Adapter: From<S::Adapter>,
    Dynamics: From<S::Dynamics>,
{
    fn place(&self) -> Place {
        S::PLACE
    }

    fn freezes_base(&self) -> bool {
        S::FREEZES_BASE
    }

    fn merges(&self) -> bool {
        S::MERGES
    }

    fn needs_gradients(&self) -> bool {
        S::NEEDS_GRADIENTS
    }

    fn learning_rates(&self) -> Option<LearningRates> {
        match S::LEARNING {
            Learning::InSteps(rates) => Some(rates),
            Learning::FromFeatures(_) => None,
        }
    }

    fn fit(&self, seed: u64) -> Option<Arc<dyn Fit>> {
        match S::LEARNING {
            Learning::InSteps(_) => None,
            Learning::FromFeatures(fit) => Some(fit(self, seed)),
        }
    }

    fn parameters_of(&self, layer: &Layer) -> usize {
        Spec::parameters_of(self, layer)
    }

    fn check(&self, layers: &[&Layer]) -> Result<(), MethodError> {
        Spec::check(self, layers)
    }

    fn maker<'a>(&self, context: &Context<'a>) -> Result<AnyMaker<'a>, MethodError> {
        let maker = Spec::maker(self, context)?;
        Ok(maker.map(|maker| Box::new(Converted(maker)) as Box<dyn Maker<Adapter> + 'a>))
    }

    fn dynamics(&self, seed: u64) -> Option<Dynamics> {
        Spec::dynamics(self, seed).map(Dynamics::from)
    }

    fn trained_beside(&self, parameter: &ParamInfo, adapted: &[&Layer]) -> bool {
        Spec::trained_beside(self, parameter, adapted)
    }

    fn faster(&self) -> Option<(f64, Field<'static>)> {
        Spec::faster(self)
    }

    fn peft_type(&self) -> Option<(&'static str, Keys)> {
        match S::HF_PEFT {
            HfPeft::Own(form) => Some((form.peft_type, form.keys)),
            HfPeft::Nothing | HfPeft::AsAnother(_) => None,
        }
    }

    fn write(&self, to: &mut Writer<'_>) -> Option<Result<(), MethodError>> {
        match S::HF_PEFT {
            HfPeft::Nothing => None,
            HfPeft::AsAnother(write) => Some(write(self, to)),
            HfPeft::Own(form) => Some((form.write)(self, to)),
        }
    }

    fn reader(
        &self,
        settings: &Settings<'_>,
        file: &mut File,
        device: &Device,
    ) -> Option<Result<Box<dyn Reader>, MethodError>> {
        let HfPeft::Own(form) = S::HF_PEFT else {
            return None;
        };
        let reader = settings
            .reject_all_but(&form.keys)
            .and_then(|()| (form.read)(settings, file, device));
        Some(reader.map(|own| {
            Box::new(TypedReader::<S> {
                own,
                found: HashMap::new(),
            }) as Box<dyn Reader>
        }))
    }
}

/// A method's own maker as one of any adapters.
struct Converted<'a, A>(Box<dyn Maker<A> + 'a>);

impl<A> Maker<Adapter> for Converted<'_, A>
where
    Adapter: From<A>,
{
    fn make(&mut self, layer: &Layer, base: Tensor<2>) -> Made<Adapter> {
        self.0.make(layer, base).into()
    }
}

/// Reads the adapters of HF PEFT's files and then hands them out.
pub(crate) trait Reader: Maker<Adapter> {
    /// Reads the adapter of a layer; whether there is one.
    fn read(&mut self, layer: &mut LayerTensors<'_>) -> Result<bool, MethodError>;

    /// The adapters that were read.
    fn maker(&mut self) -> &mut dyn Maker<Adapter>;

    /// The method that can go on training them.
    fn method(&self) -> Method;
}

struct TypedReader<S: Spec> {
    own: Box<dyn ReadAdapters<S, S::Adapter>>,
    /// By the identities of the layers' weights.
    found: HashMap<ParamId, S::Adapter>,
}

impl<S> Reader for TypedReader<S>
where
    S: Spec,
    Method: From<S>,
    Adapter: From<S::Adapter>,
{
    fn read(&mut self, layer: &mut LayerTensors<'_>) -> Result<bool, MethodError> {
        let Some(adapter) = self.own.read(layer)? else {
            return Ok(false);
        };
        self.found.insert(layer.layer.weight, adapter);
        Ok(true)
    }

    fn maker(&mut self) -> &mut dyn Maker<Adapter> {
        self
    }

    fn method(&self) -> Method {
        self.own.method().into()
    }
}

impl<S> Maker<Adapter> for TypedReader<S>
where
    S: Spec,
    Adapter: From<S::Adapter>,
{
    fn make(&mut self, layer: &Layer, base: Tensor<2>) -> Made<Adapter> {
        let Some(adapter) = self.found.remove(&layer.weight) else {
            unreachable!("only layers whose adapters were read are selected");
        };
        self.own.fit(adapter, layer, base).into()
    }
}

#[cfg(test)]
mod tests;
