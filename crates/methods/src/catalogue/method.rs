//! What can be asked of any method.

use std::sync::Arc;

use super::spec::{Context, LearningRates, Place};
use super::{AnyMaker, Dynamics, Method};
use crate::error::MethodError;
use crate::fit::Fit;
use crate::inspect::paths::Field;
use crate::inspect::{Layer, ParamInfo};

impl Method {
    /// Whether the base's weights stay as they are, so that what was trained can be stored without
    /// them.
    #[must_use]
    pub fn freezes_base(&self) -> bool {
        self.entry().freezes_base()
    }

    /// Whether it puts adapters on layers that can be chosen, so that targets have a meaning.
    #[must_use]
    pub fn has_adapters(&self) -> bool {
        !matches!(self.place(), Place::Nowhere | Place::Head)
    }

    /// Where its adapters go unless the user names other layers.
    #[must_use]
    pub fn place(&self) -> Place {
        self.entry().place()
    }

    /// Whether it chooses by gradients before training; see [`Importance`](crate::Importance).
    #[must_use]
    pub fn needs_gradients(&self) -> bool {
        self.entry().needs_gradients()
    }

    /// Whether the trained model can become one of plain layers; see [`merge`](crate::merge).
    #[must_use]
    pub fn merges(&self) -> bool {
        self.entry().merges()
    }

    /// Learning rates that it trains well with; `None` if it does not train in steps.
    #[must_use]
    pub fn learning_rates(&self) -> Option<LearningRates> {
        self.entry().learning_rates()
    }

    /// What computes the method at once from the features of all training images; `None` if it trains in
    /// steps.
    #[must_use]
    pub fn fit(&self, seed: u64) -> Option<Arc<dyn Fit>> {
        self.entry().fit(seed)
    }

    /// Whether it is computed at once from the features of all training images, instead of in steps.
    #[must_use]
    pub fn fits(&self) -> bool {
        self.learning_rates().is_none()
    }

    /// The number of parameters that train per layer that it adapts, by the formula in the
    /// documentation of its settings.
    ///
    /// The head, normalisations and what all layers share are not counted.
    #[must_use]
    pub fn parameters_of(&self, layer: &Layer) -> usize {
        self.entry().parameters_of(layer)
    }

    pub(crate) fn check(&self, layers: &[&Layer]) -> Result<(), MethodError> {
        self.entry().check(layers)
    }

    pub(crate) fn maker<'a>(&self, context: &Context<'a>) -> Result<AnyMaker<'a>, MethodError> {
        self.entry().maker(context)
    }

    pub(crate) fn dynamics(&self, seed: u64) -> Option<Dynamics> {
        self.entry().dynamics(seed)
    }

    pub(crate) fn trained_beside(&self, parameter: &ParamInfo, adapted: &[&Layer]) -> bool {
        self.entry().trained_beside(parameter, adapted)
    }

    pub(crate) fn faster(&self) -> Option<(f64, Field<'static>)> {
        self.entry().faster()
    }
}
