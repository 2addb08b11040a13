//! A model with a method attached.

use std::sync::Arc;

use burn::module::ParamId;

use crate::catalogue::Dynamics;
use crate::error::MethodError;
use crate::fit::Fit;

/// A model with a method attached: what is frozen is frozen, and what trains requires gradients.
///
/// Training a method may take more than the model: some methods also change the model between
/// optimiser steps, or train some parameters at another learning rate. A training loop takes
/// everything with [`into_parts`](Self::into_parts). [`into_model`](Self::into_model) gives the model
/// alone and fails if the method would then train only in part.
#[must_use = "it holds the model"]
#[derive(Debug, Clone)]
pub struct Adapted<M> {
    model: M,
    dynamics: Option<Dynamics>,
    fit: Option<Arc<dyn Fit>>,
    faster: Option<Faster>,
    head: String,
    method: &'static str,
}

/// Everything that a training loop needs of an [`Adapted`] model.
#[derive(Debug, Clone)]
pub struct Parts<M> {
    /// The model.
    pub model: M,
    /// The changes that the loop applies at every step, for methods that change while training.
    pub dynamics: Option<Dynamics>,
    /// What computes the method at once, for methods that are not trained in steps.
    pub fit: Option<Arc<dyn Fit>>,
    /// Parameters that train at another learning rate than the rest.
    pub faster: Option<Faster>,
    /// Path of the head; empty if none is known.
    pub head: String,
}

/// Parameters whose learning rate is a multiple of the rest's.
#[derive(Debug, Clone, PartialEq)]
pub struct Faster {
    /// The multiple.
    pub ratio: f64,
    /// The parameters.
    pub parameters: Vec<ParamId>,
}

impl<M> Adapted<M> {
    pub(crate) fn new(method: &'static str, parts: Parts<M>) -> Self {
        let Parts {
            model,
            dynamics,
            fit,
            faster,
            head,
        } = parts;
        Self {
            model,
            dynamics,
            fit,
            faster,
            head,
            method,
        }
    }

    /// The model.
    pub fn model(&self) -> &M {
        &self.model
    }

    /// What changes the model while it trains; `None` for most methods.
    pub fn dynamics(&self) -> Option<&Dynamics> {
        self.dynamics.as_ref()
    }

    /// What computes the method at once from the features of all training images; `None` if it is trained
    /// in steps.
    pub fn fit(&self) -> Option<&Arc<dyn Fit>> {
        self.fit.as_ref()
    }

    /// Path of the head; empty if none is known.
    #[must_use]
    pub fn head(&self) -> &str {
        &self.head
    }

    /// Sets the path of the head.
    pub fn with_head(self, head: &str) -> Self {
        Self {
            head: head.to_owned(),
            ..self
        }
    }

    /// Replaces the model by what `change` makes of it, e.g. the same model with loaded values.
    ///
    /// # Errors
    ///
    /// Those of `change`.
    pub fn try_map<E>(self, change: impl FnOnce(M) -> Result<M, E>) -> Result<Self, E> {
        Ok(Self {
            model: change(self.model)?,
            ..self
        })
    }

    /// The model alone.
    ///
    /// # Errors
    ///
    /// [`MethodError::ChangesWhileTraining`] if the method changes the model while it trains: a loop
    /// that has only the model would train half the method. [`MethodError::NotInSteps`] if it is not
    /// trained in steps.
    pub fn into_model(self) -> Result<M, MethodError> {
        let method = self.method;
        match (self.dynamics, self.fit) {
            (None, None) => Ok(self.model),
            (Some(_), _) => Err(MethodError::ChangesWhileTraining { method }),
            (None, Some(_)) => Err(MethodError::NotInSteps { method }),
        }
    }

    /// The model and everything that a training loop applies to it.
    ///
    /// Take the model out of the parts to evaluate, merge or store it without training it.
    pub fn into_parts(self) -> Parts<M> {
        Parts {
            model: self.model,
            dynamics: self.dynamics,
            fit: self.fit,
            faster: self.faster,
            head: self.head,
        }
    }
}

impl<M> From<M> for Adapted<M> {
    /// A model with no method attached: what requires gradients trains.
    fn from(model: M) -> Self {
        Self {
            model,
            dynamics: None,
            fit: None,
            faster: None,
            head: String::new(),
            method: "",
        }
    }
}
