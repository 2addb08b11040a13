//! The blocks of the networks.

use burn::Tensor;
use burn::module::Module;
use burn::tensor::Device;
use finetune_kernels::norm::Activation;

use super::design::{Design, Kind, Plan, Squeeze, scaled};
use crate::networks::blocks::{ConvNorm, Convolution};
use crate::networks::squeeze::{Gate, SqueezeExcitation};
use crate::networks::stochastic_depth::StochasticDepth;

/// Depthwise convolution without an activation, expansion, depthwise convolution, squeeze and excitation,
/// projection: each of them if the block has it. The result is added to the input if both have the same
/// shape.
#[derive(Module, Debug)]
pub(crate) struct InvertedResidual {
    before: Option<ConvNorm>,
    expand: Option<ConvNorm>,
    depthwise: Option<ConvNorm>,
    squeeze: Option<SqueezeExcitation>,
    project: Option<ConvNorm>,
    residual: bool,
    #[module(skip)]
    activation: Activation,
    #[module(skip)]
    projected: Activation,
}

impl InvertedResidual {
    pub(super) fn new(plan: &Plan, design: &Design, device: &Device) -> Self {
        let (wide, stride) = (plan.wide(), plan.stride);
        let layer = |convolution: Convolution| {
            let convolution = convolution.padded(design.padding);
            ConvNorm::with_epsilon(convolution, design.epsilon, device)
        };
        let expand =
            |kernel, stride| Some(layer(Convolution::new(plan.inputs, wide, kernel, stride)));
        let depthwise = |channels, kernel, stride| {
            (kernel > 0).then(|| layer(Convolution::depthwise(channels, kernel, stride)))
        };
        let (before, expand, depthwise) = match plan.row.kind {
            Kind::Separable { kernel } | Kind::Activated { kernel } => {
                (None, None, depthwise(wide, kernel, stride))
            }
            Kind::Inverted { kernel, .. } => (None, expand(1, 1), depthwise(wide, kernel, stride)),
            Kind::Fused { kernel, .. } | Kind::Plain { kernel, .. } => {
                (None, expand(kernel, stride), None)
            }
            Kind::Universal { before, kernel, .. } => {
                // The first of the depthwise convolutions has the stride only if it is the only one.
                let first = if kernel > 0 { 1 } else { stride };
                (
                    depthwise(plan.inputs, before, first),
                    expand(1, 1),
                    depthwise(wide, kernel, stride),
                )
            }
        };
        let activation = plan.row.activation.unwrap_or(design.activation);
        let is_plain = matches!(plan.row.kind, Kind::Plain { .. });
        let is_activated = matches!(plan.row.kind, Kind::Activated { .. });
        Self {
            before,
            expand,
            depthwise,
            squeeze: plan
                .row
                .squeeze
                .then(|| squeezed(plan, design.squeeze, activation, device)),
            project: (!is_plain).then(|| layer(Convolution::new(wide, plan.outputs, 1, 1))),
            residual: plan.is_residual(),
            activation,
            projected: if is_activated {
                activation
            } else {
                Activation::Identity
            },
        }
    }

    pub(super) fn forward(&self, x: Tensor<4>, depth: StochasticDepth<'_>) -> Tensor<4> {
        let mut y = x.clone();
        if let Some(before) = &self.before {
            y = before.forward(y, Activation::Identity);
        }
        if let Some(expand) = &self.expand {
            y = expand.forward(y, self.activation);
        }
        if let Some(depthwise) = &self.depthwise {
            y = depthwise.forward(y, self.activation);
        }
        if let Some(squeeze) = &self.squeeze {
            y = squeeze.forward(y);
        }
        if let Some(project) = &self.project {
            if self.residual && !depth.is_on() {
                return project.forward_and_add(y, x);
            }
            y = project.forward(y, self.projected);
        }
        if self.residual {
            x + depth.scaled(0, y)
        } else {
            y
        }
    }
}

/// The squeeze and excitation of a block.
fn squeezed(
    plan: &Plan,
    kind: Squeeze,
    activation: Activation,
    device: &Device,
) -> SqueezeExcitation {
    let channels = plan.wide();
    let (reduced, activation, gate) = match kind {
        Squeeze::Inputs => ((plan.inputs / 4).max(1), activation, Gate::Sigmoid),
        Squeeze::Expanded => (scaled(channels, 0.25), Activation::Relu, Gate::HardSigmoid),
    };
    SqueezeExcitation::new(channels, reduced, activation, gate, device)
}
