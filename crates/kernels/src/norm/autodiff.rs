//! The backward passes of the normalisations.

// The type that has these methods has no public path.
#![allow(clippy::redundant_closure_for_method_calls)]

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, NodeGuard, Ops, OpsKind};
use burn::backend::ops::ModuleOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Flex};
use burn_flex::FlexTensor;

use super::activation::Activation;
use super::backend::{NormBackend, Residual, plain_after, plain_normalized};
use super::flex::{self, Keep, Layer, Saved};

/// Gradients of input, γ and β.
#[derive(Debug)]
struct NormBackward;

impl Backward<Flex, 3> for NormBackward {
    type State = Saved;

    fn backward(self, ops: Ops<Saved, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<Flex>(&ops.node);
        let [x, gamma, beta] = ops.parents;
        let found = flex::backward(&ops.state, gradient, false);
        for (node, found) in [(x, found.input), (gamma, found.gamma), (beta, found.beta)] {
            if let Some(node) = node {
                grads.register::<Flex>(node.id, found);
            }
        }
    }
}

/// Gradients of input, γ, β and residual.
#[derive(Debug)]
struct ResidualNormBackward;

impl Backward<Flex, 4> for ResidualNormBackward {
    type State = Saved;

    fn backward(self, ops: Ops<Saved, 4>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<Flex>(&ops.node);
        let [x, gamma, beta, residual] = ops.parents;
        let found = flex::backward(&ops.state, gradient, residual.is_some());
        for (node, found) in [(x, found.input), (gamma, found.gamma), (beta, found.beta)] {
            if let Some(node) = node {
                grads.register::<Flex>(node.id, found);
            }
        }
        if let (Some(node), Some(found)) = (residual, found.residual) {
            grads.register::<Flex>(node.id, found);
        }
    }
}

impl<C: CheckpointStrategy> NormBackend for Autodiff<Flex, C> {
    fn normalized(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        residual: Residual<Self>,
        epsilon: f64,
        activation: Activation,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let residual = residual.into_option();
        let added = residual.as_ref().map(|residual| residual.primitive());
        if !flex::computes(x.primitive(), [gamma.primitive(), beta.primitive()], added) {
            return plain_normalized::<Self>(x, gamma, beta, residual, epsilon, activation);
        }
        let tracked = [&x, &gamma, &beta]
            .into_iter()
            .chain(&residual)
            .any(|tensor| tensor.is_tracked());
        let inputs = Inputs::of::<C>(x, gamma, beta, residual);
        let layer = inputs.layer(epsilon, activation);
        let done = flex::normalized(inputs.x, &layer, inputs.residual, tracked);
        let output = finish::<C>(inputs.guards, done.saved, done.output);
        let [mean, variance] = [done.mean, done.variance].map(FloatTensor::<Self>::new);
        (output, mean, variance)
    }

    fn scaled(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        residual: Residual<Self>,
        epsilon: f64,
        activation: Activation,
    ) -> FloatTensor<Self> {
        let channels = [&gamma, &beta, &mean, &variance].map(|tensor| tensor.primitive());
        let residual = residual.into_option();
        let added = residual.as_ref().map(|residual| residual.primitive());
        if !flex::computes(x.primitive(), channels, added)
            || mean.is_tracked()
            || variance.is_tracked()
        {
            let y = <Self as ModuleOps<Self>>::batch_norm(x, gamma, beta, mean, variance, epsilon);
            return plain_after::<Self>(y, residual, activation);
        }
        let others = residual
            .as_ref()
            .is_some_and(|residual| residual.is_tracked());
        let keep = match (gamma.is_tracked(), beta.is_tracked()) {
            (true, _) => Keep::Input,
            (false, true) => Keep::Shift,
            (false, false) if x.is_tracked() || others => Keep::Slope,
            (false, false) => Keep::Nothing,
        };
        let statistics = [mean.into_primitive(), variance.into_primitive()];
        let inputs = Inputs::of::<C>(x, gamma, beta, residual);
        let layer = inputs.layer(epsilon, activation);
        let [mean, variance] = &statistics;
        let done = flex::scaled(inputs.x, &layer, [mean, variance], inputs.residual, keep);
        finish::<C>(inputs.guards, done.saved, done.output)
    }
}

/// The tensors of an operation, moved out of their nodes so that a buffer can have a single owner.
struct Inputs {
    x: FlexTensor,
    gamma: FlexTensor,
    beta: FlexTensor,
    residual: Option<FlexTensor>,
    guards: Guards,
}

enum Guards {
    Three([NodeGuard; 3]),
    Four([NodeGuard; 4]),
}

impl Inputs {
    fn of<C: CheckpointStrategy>(
        x: FloatTensor<Autodiff<Flex, C>>,
        gamma: FloatTensor<Autodiff<Flex, C>>,
        beta: FloatTensor<Autodiff<Flex, C>>,
        residual: Option<FloatTensor<Autodiff<Flex, C>>>,
    ) -> Self {
        let (x, x_node) = x.into_parts();
        let (gamma, gamma_node) = gamma.into_parts();
        let (beta, beta_node) = beta.into_parts();
        let (residual, guards) = match residual.map(|residual| residual.into_parts()) {
            None => (None, Guards::Three([x_node, gamma_node, beta_node])),
            Some((residual, node)) => {
                let guards = Guards::Four([x_node, gamma_node, beta_node, node]);
                (Some(residual), guards)
            }
        };
        Self {
            x,
            gamma,
            beta,
            residual,
            guards,
        }
    }

    fn layer(&self, epsilon: f64, activation: Activation) -> Layer {
        Layer {
            gamma: self.gamma.clone(),
            beta: self.beta.clone(),
            epsilon,
            activation,
        }
    }
}

fn finish<C: CheckpointStrategy>(
    guards: Guards,
    saved: Saved,
    output: FlexTensor,
) -> FloatTensor<Autodiff<Flex, C>> {
    match guards {
        Guards::Three(guards) => {
            let prep = NormBackward.prepare::<C>(guards).compute_bound().stateful();
            match prep {
                OpsKind::Tracked(prep) => prep.finish(saved, output),
                OpsKind::UnTracked(prep) => prep.finish(output),
            }
        }
        Guards::Four(guards) => {
            let prep = ResidualNormBackward.prepare::<C>(guards);
            match prep.compute_bound().stateful() {
                OpsKind::Tracked(prep) => prep.finish(saved, output),
                OpsKind::UnTracked(prep) => prep.finish(output),
            }
        }
    }
}
