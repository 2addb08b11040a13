//! The gradients of one step, whole or as factors.

use burn::Tensor;
use burn::module::Param;
use burn::optim::GradientsParams;
use finetune_kernels::linear::OuterProducts;
use finetune_kernels::optim::Gradient;

/// The gradients of a step.
#[derive(Default)]
pub(crate) struct StepGradients {
    pub(crate) whole: GradientsParams,
    /// Gradients of large weights that are stored as outer products.
    pub(crate) outer: OuterProducts,
}

impl From<GradientsParams> for StepGradients {
    fn from(whole: GradientsParams) -> Self {
        Self {
            whole,
            outer: OuterProducts::default(),
        }
    }
}

impl StepGradients {
    /// Takes the gradient of a parameter, flattened.
    pub(crate) fn remove<const D: usize>(
        &mut self,
        param: &Param<Tensor<D>>,
    ) -> Option<Gradient<1>> {
        let size = param.lazy_shape().num_elements();
        let whole = self.whole.remove::<D>(param.id);
        let whole = whole.map(|gradient| gradient.reshape([size]));
        match (whole, self.outer.remove(&param.base())) {
            (None, outer) => outer.map(Gradient::Outer),
            (Some(whole), None) => Some(Gradient::Whole(whole)),
            // The weight is also used where its gradient is whole.
            (Some(whole), Some(outer)) => Some((whole + outer.product().reshape([size])).into()),
        }
    }
}
