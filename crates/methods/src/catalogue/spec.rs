//! What a method must define. Nothing has a default, so that a new method inherits nothing silently.

use std::sync::Arc;

use burn::tensor::Device;

use crate::attach::Maker;
use crate::error::MethodError;
use crate::fit::Fit;
use crate::hf_peft::HfPeft;
use crate::inspect::paths::Field;
use crate::inspect::{Importance, Layer, ParamInfo};

/// A method, defined by its settings.
pub(crate) trait Spec: Sized + Clone + 'static {
    /// The mathematics of its adapters; [`NoAdapter`] if it has none.
    type Adapter;

    /// What changes while it trains; [`NoDynamics`](super::during_training::NoDynamics) if nothing does.
    type Dynamics;

    /// Where its adapters go unless the user names other layers.
    const PLACE: Place;

    /// Whether the base's weights stay as they are.
    const FREEZES_BASE: bool;

    /// Whether the trained model can become one of plain layers.
    const MERGES: bool;

    /// Whether it chooses by [gradients before training](Importance).
    const NEEDS_GRADIENTS: bool;

    /// How it learns.
    const LEARNING: Learning<Self>;

    /// Its form in HF PEFT's files.
    const HF_PEFT: HfPeft<Self, Self::Adapter>;

    /// Checks the settings for the layers that get an adapter, or the settings alone if there are no
    /// layers: every number is in its range before anything is made of it.
    ///
    /// # Errors
    ///
    /// A setting out of range.
    fn check(&self, layers: &[&Layer]) -> Result<(), MethodError>;

    /// What makes its adapters; `None` if it has none.
    ///
    /// # Errors
    ///
    /// [`MethodError::NeedsGradients`] if it needs gradients and the context has none.
    fn maker<'a>(&self, context: &Context<'a>) -> Result<AdapterMaker<'a, Self>, MethodError>;

    /// What changes while it trains with these settings.
    fn dynamics(&self, seed: u64) -> Option<Self::Dynamics>;

    /// Whether a parameter of the model itself trains beside the head and the adapters; `adapted`
    /// are the layers that get an adapter.
    fn trained_beside(&self, parameter: &ParamInfo, adapted: &[&Layer]) -> bool;

    /// The field of its adapters that trains at a multiple of the learning rate, with the multiple.
    fn faster(&self) -> Option<(f64, Field<'static>)>;

    /// The documented number of parameters that train per adapted layer: those of its adapter and,
    /// of the layer itself, those that [`trained_beside`](Self::trained_beside) names.
    fn parameters_of(&self, layer: &Layer) -> usize;
}

/// What makes the adapters of a method.
pub(crate) type AdapterMaker<'a, S> = Option<Box<dyn Maker<<S as Spec>::Adapter> + 'a>>;

/// The adapter of a method that has none.
pub(crate) type NoAdapter = std::convert::Infallible;

/// Where a method's adapters go unless the user names other layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Nowhere: the method has no adapters.
    Nowhere,
    /// On the layers that the architecture recommends.
    AnyLayer,
    /// On the first layer of each attention block of a transformer.
    Attention,
    /// On the first layer of each feed-forward block of a transformer.
    FeedForward,
    /// On the head, in place of which it answers.
    Head,
}

/// How a method learns.
pub(crate) enum Learning<S> {
    /// In the steps of an optimiser, at learning rates that it trains well with.
    InSteps(LearningRates),
    /// At once, from the features of all training images before the head: what computes it with these
    /// settings and this seed.
    FromFeatures(fn(&S, u64) -> Arc<dyn Fit>),
}

/// Learning rates that a method trains well with, for Adam and batches of 32.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LearningRates {
    /// For networks for images of up to 64 pixels.
    pub small: f64,
    /// For networks that were pretrained on ImageNet.
    pub large: f64,
}

/// What a method may use to make its adapters.
pub(crate) struct Context<'a> {
    /// The method's name.
    pub(crate) method: &'static str,
    /// The layers that get an adapter, in the order of the model's fields.
    pub(crate) layers: &'a [&'a Layer],
    /// The model's device.
    pub(crate) device: &'a Device,
    /// Seed of the adapters' random start.
    pub(crate) seed: u64,
    /// Gradients before training.
    pub(crate) importance: Option<&'a Importance>,
}
