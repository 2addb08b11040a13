//! What a training loop calls at every step, for methods that change while they train.

use burn::Tensor;
use burn::module::{Module, ParamId};
use burn::optim::GradientsParams;

use crate::attach::Method;
use crate::catalogue::{PeftConfig, RankBudget, SparseDynamics};
use crate::error::MethodError;
use crate::state::TrainedTensor;

/// A change of one parameter from outside the optimiser: which entries' state it keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// Identity of the parameter.
    pub id: ParamId,
    /// For each of its entries, in row order, whether its optimiser state stays.
    pub keep: Vec<bool>,
}

/// A method's own part of a training step.
///
/// A training loop calls [`start`](Self::start) once; then at each step adds
/// [`penalty`](Self::penalty) to the loss, calls [`after_backward`](Self::after_backward) on the
/// gradients, then its optimiser, then [`after_step`](Self::after_step).
#[derive(Debug, Clone)]
pub enum Dynamics {
    /// The moving mask of the sparse shared method.
    Sparse(SparseDynamics),
    /// `AdaLoRA`'s falling rank budget.
    Ranks(RankBudget),
}

impl Dynamics {
    pub(crate) fn of(method: &Method, seed: u64) -> Option<Self> {
        let moves = |config: &PeftConfig| config.moves() || config.train_shared;
        match method {
            Method::Peft(config) if moves(config) => {
                Some(Self::Sparse(SparseDynamics::new(config.clone(), seed)))
            }
            Method::Adalora(config) => Some(Self::Ranks(RankBudget::new(config.clone()))),
            _ => None,
        }
    }

    /// Tells how many optimiser steps the run takes; what happens when depends on it.
    pub fn start(&mut self, total_steps: usize) {
        match self {
            Self::Sparse(dynamics) => dynamics.start(total_steps),
            Self::Ranks(dynamics) => dynamics.start(total_steps),
        }
    }

    /// What it remembers between steps, by its own names.
    #[must_use]
    pub fn state<M: Module>(&self, model: &M) -> Vec<TrainedTensor> {
        match self {
            // Its moves depend on the seed, the step and the model alone.
            Self::Sparse(_) => Vec::new(),
            Self::Ranks(dynamics) => dynamics.state(model),
        }
    }

    /// Puts that back.
    ///
    /// # Errors
    ///
    /// [`MethodError::OtherBase`] where it was of another model.
    pub fn restore<M: Module>(
        &mut self,
        model: &M,
        state: Vec<TrainedTensor>,
    ) -> Result<(), MethodError> {
        match self {
            Self::Sparse(_) => Ok(()),
            Self::Ranks(dynamics) => dynamics.restore(model, state),
        }
    }

    /// What the method adds to the loss.
    #[must_use]
    pub fn penalty<M: Module>(&self, model: &M) -> Option<Tensor<1>> {
        match self {
            Self::Sparse(_) => None,
            Self::Ranks(dynamics) => dynamics.penalty(model),
        }
    }

    /// Sees the gradients of a step, and may change them.
    #[must_use]
    pub fn after_backward<M: Module>(
        &mut self,
        model: &M,
        gradients: GradientsParams,
    ) -> GradientsParams {
        match self {
            Self::Sparse(dynamics) => dynamics.after_backward(model, gradients),
            Self::Ranks(dynamics) => {
                dynamics.after_backward(model, &gradients);
                gradients
            }
        }
    }

    /// Changes the model after the optimiser's step `step` (1 is the first).
    ///
    /// Returns it and what moved; the caller clears the optimiser's state there.
    #[must_use]
    pub fn after_step<M: Module>(&mut self, step: usize, model: M) -> (M, Vec<Moved>) {
        match self {
            Self::Sparse(dynamics) => dynamics.after_step(step, model),
            Self::Ranks(dynamics) => (dynamics.after_step(step, model), Vec::new()),
        }
    }
}
