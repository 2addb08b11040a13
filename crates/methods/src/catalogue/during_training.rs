//! What a training loop calls at every step, for methods that change the model while they train.

use burn::Tensor;
use burn::module::{Module, ParamId};
use burn::optim::GradientsParams;

use crate::error::MethodError;
use crate::state::TrainedTensor;

/// A method's part of each training step; [`Dynamics`](crate::Dynamics) documents the calls.
pub(crate) trait DuringTraining {
    fn start(&mut self, total_steps: usize);

    fn state<M: Module>(&self, model: &M) -> Vec<TrainedTensor>;

    fn restore<M: Module>(
        &mut self,
        model: &M,
        state: Vec<TrainedTensor>,
    ) -> Result<(), MethodError>;

    fn penalty<M: Module>(&self, model: &M) -> Option<Tensor<1>>;

    fn after_backward<M: Module>(
        &mut self,
        model: &M,
        gradients: GradientsParams,
    ) -> GradientsParams;

    fn restrict<M: Module>(&self, model: M) -> M;

    fn after_step<M: Module>(&mut self, step: usize, model: M) -> (M, Vec<Moved>);
}

/// The dynamics of a method that has none.
pub(crate) type NoDynamics = std::convert::Infallible;

/// A parameter that a method changed after an optimiser step: the optimiser must forget the state of
/// some of its entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// Identity of the parameter.
    pub id: ParamId,
    /// For each of its entries, row by row, whether its optimiser state stays.
    pub keep: Vec<bool>,
}
