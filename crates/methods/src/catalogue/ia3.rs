//! Methods that scale activations.

use burn::Tensor;
use regex::Regex;
use serde::{Deserialize, Serialize};

use super::{Made, Maker, start};
use crate::adapters::{Adapter, Scale};
use crate::error::MethodError;
use crate::inspect::regex;
use crate::inspect::{Layer, LayerKind};

/// Settings of (IA)³ (Liu et al. 2022, arXiv:2205.05638).
///
/// Parameters of a layer: its outputs, or its inputs where those are scaled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ia3Config {
    /// Layers whose inputs are scaled instead of their outputs: a regular expression over the
    /// weights' paths.
    pub feedforward: Option<String>,
}

impl Default for Ia3Config {
    fn default() -> Self {
        Self {
            feedforward: Some(r"\.fc2\.weight$".to_owned()),
        }
    }
}

impl Ia3Config {
    pub(crate) fn maker(&self) -> Result<impl Maker + use<>, MethodError> {
        let feedforward = self.feedforward.as_deref().map(regex).transpose()?;
        Ok(ScaleMaker {
            feedforward,
            shift: None,
        })
    }
}

/// Settings of `SSF` (Lian et al. 2022, arXiv:2210.08823): every output is scaled and shifted.
///
/// A layer without a bias is scaled only, so that all of it merges; the shift is then that of the
/// normalisation behind it, since normalisations train their own scale and shift. Parameters of a
/// layer: twice its outputs, or once where it has no bias.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SsfConfig {}

impl SsfConfig {
    /// `biased` are the paths of the layers that have a bias.
    #[allow(clippy::unused_self)] // as the others
    pub(crate) fn maker(&self, biased: Vec<String>) -> impl Maker + use<> {
        ScaleMaker {
            feedforward: None,
            shift: Some(biased),
        }
    }
}

struct ScaleMaker {
    feedforward: Option<Regex>,
    /// The layers that are shifted as well.
    shift: Option<Vec<String>>,
}

impl Maker for ScaleMaker {
    fn make(&mut self, layer: &Layer, base: Tensor<2>) -> Made {
        let device = base.device();
        let shape = layer.shape;
        let on_inputs = self
            .feedforward
            .as_ref()
            .is_some_and(|regex| regex.is_match(&format!("{}.weight", layer.path)));
        let count = match layer.kind {
            _ if !on_inputs => shape.outputs,
            LayerKind::Linear => shape.inputs,
            LayerKind::Conv2d { groups, kernel, .. } => {
                groups * shape.inputs / (kernel[0] * kernel[1])
            }
        };
        let shifted = self
            .shift
            .as_ref()
            .is_some_and(|biased| biased.contains(&layer.path));
        let factor = Some(start::full(1.0, [count], &device));
        let (on_inputs, on_outputs) = if on_inputs {
            (factor, None)
        } else {
            (None, factor)
        };
        Made::from(Adapter::Scale(Scale {
            on_inputs,
            on_outputs,
            shift: shifted.then(|| start::full(0.0, [shape.outputs], &device)),
            shape,
        }))
    }
}
