//! Making the adapters of a model.

use burn::Tensor;

use crate::adapters::Quantize;
use crate::inspect::Layer;

/// Makes the adapters of a method, layer by layer in the order of the model's fields.
pub(crate) trait Maker<A> {
    /// The adapter of a layer whose base weight is `base`, `[outputs, inputs]`.
    fn make(&mut self, layer: &Layer, base: Tensor<2>) -> Made<A>;
}

/// An adapter, and what becomes of the base weight under it.
pub(crate) struct Made<A> {
    pub(crate) adapter: A,
    /// The new base weight, `[outputs, inputs]`; `None` if it stays.
    pub(crate) base: Option<Tensor<2>>,
    /// How the base weight is stored; `None` if as it is.
    pub(crate) quantize: Option<Quantize>,
}

impl<A> Made<A> {
    /// The same with the adapter converted.
    pub(crate) fn into<B: From<A>>(self) -> Made<B> {
        Made {
            adapter: self.adapter.into(),
            base: self.base,
            quantize: self.quantize,
        }
    }
}

impl<A> From<A> for Made<A> {
    /// An adapter under which the base weight stays as it is.
    fn from(adapter: A) -> Self {
        Self {
            adapter,
            base: None,
            quantize: None,
        }
    }
}
