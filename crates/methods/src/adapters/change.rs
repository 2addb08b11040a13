//! What every kind of adapter defines.

use burn::Tensor;

use super::site::Site;

/// What an adapter does to the layer whose weight carries it.
pub(crate) trait Change {
    /// Whether the weight (and, for a scale, the bias) can take up the whole change.
    const MERGES: bool;

    /// The weight that a dense base weight becomes, in the layer's own shape.
    fn apply<const D: usize>(&self, base: Tensor<D>) -> Tensor<D>;

    /// The layer with this adapter on `x`: factored if that is possible, otherwise
    /// [`Site::changed`].
    fn forward<const D: usize>(&self, site: &impl Site<D>, x: Tensor<D>) -> Tensor<D>;
}
