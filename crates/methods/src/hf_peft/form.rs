//! A method's form in HF PEFT's files.

use burn::Tensor;
use burn::tensor::Device;

use super::keys::Keys;
use super::read::{File, LayerTensors};
use super::settings::Settings;
use super::write::Writer;
use crate::attach::Made;
use crate::error::MethodError;
use crate::inspect::Layer;

/// The form in HF PEFT's files of a method with settings `S` and adapters `A`.
pub(crate) enum HfPeft<S, A> {
    /// HF PEFT cannot represent it.
    Nothing,
    /// It is written in the form of another method, which also reads it.
    AsAnother(fn(&S, &mut Writer<'_>) -> Result<(), MethodError>),
    /// It has a type of its own.
    Own(Form<S, A>),
}

/// A type of HF PEFT.
pub(crate) struct Form<S, A> {
    /// The value of `peft_type`.
    pub(crate) peft_type: &'static str,
    /// How the keys of its settings are treated.
    pub(crate) keys: Keys,
    /// Writes the settings and the adapters of a model.
    pub(crate) write: fn(&S, &mut Writer<'_>) -> Result<(), MethodError>,
    /// Reads the settings, and prepares reading the adapters.
    pub(crate) read: fn(&Settings<'_>, &mut File, &Device) -> Opened<S, A>,
}

/// What reads a method's adapters, once its settings were read.
pub(crate) type Opened<S, A> = Result<Box<dyn ReadAdapters<S, A>>, MethodError>;

/// Reads a method's adapters from a file, layer by layer in the order of the model's fields.
pub(crate) trait ReadAdapters<S, A> {
    /// The adapter of a layer; `None` if the file has none.
    fn read(&mut self, layer: &mut LayerTensors<'_>) -> Result<Option<A>, MethodError>;

    /// The adapter as it goes onto its layer's base weight, `[outputs, inputs]`.
    fn fit(&self, adapter: A, layer: &Layer, base: Tensor<2>) -> Made<A>;

    /// The method that can go on training the adapters that were read.
    fn method(&self) -> S;
}

/// Reads adapters that depend on the settings and their own layer alone.
pub(crate) struct ByLayer<S, A> {
    pub(crate) settings: S,
    pub(crate) read: fn(&S, &mut LayerTensors<'_>) -> Result<Option<A>, MethodError>,
}

impl<S: Clone, A> ReadAdapters<S, A> for ByLayer<S, A> {
    fn read(&mut self, layer: &mut LayerTensors<'_>) -> Result<Option<A>, MethodError> {
        (self.read)(&self.settings, layer)
    }

    fn fit(&self, adapter: A, _layer: &Layer, _base: Tensor<2>) -> Made<A> {
        Made::from(adapter)
    }

    fn method(&self) -> S {
        self.settings.clone()
    }
}
