//! What every kind of adapter defines.

use burn::Tensor;

use super::shape::WeightShape;
use super::site::Site;

/// What an adapter does to the layer whose weight carries it.
pub(crate) trait Change {
    /// Whether the weight (and, for a scale, the bias) can take up the whole change.
    const MERGES: bool;

    /// The weight that a dense base weight becomes, in the layer's own shape.
    fn apply<const D: usize>(&self, base: Tensor<D>) -> Tensor<D>;

    /// The layer with this adapter on `x`; [`Site::changed`] if it has no factors.
    fn forward<const D: usize>(&self, site: &impl Site<D>, x: Tensor<D>) -> Tensor<D>;
}

/// An adapter that adds a dense `ΔW` to the weight and has no factored forward pass.
pub(crate) trait Delta {
    /// `ΔW`, `[outputs, inputs]`.
    fn delta(&self) -> Tensor<2>;

    /// The weight.
    fn shape(&self) -> WeightShape;
}

impl<A: Delta> Change for A {
    const MERGES: bool = true;

    fn apply<const D: usize>(&self, base: Tensor<D>) -> Tensor<D> {
        let shape = base.dims();
        base + self.shape().weight(self.delta(), shape)
    }

    fn forward<const D: usize>(&self, site: &impl Site<D>, x: Tensor<D>) -> Tensor<D> {
        site.changed(x)
    }
}
