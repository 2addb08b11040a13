//! Which layers a module has: paths, kinds and shapes, found by visiting it.

use std::collections::HashSet;

use burn::module::{DisplaySettings, Module, ModuleDisplay, ParamId};

use super::parameters::parameters;
use super::paths::burn_names::{CONV2D, LINEAR};
use crate::adapters::WeightShape;

/// A kind of layer that can carry an adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerKind {
    /// `burn::nn::Linear`, weight `[in, out]`.
    Linear,
    /// `burn::nn::conv::Conv2d`, weight `[out, in / groups, kernel height, kernel width]`.
    Conv2d {
        /// Number of groups that the channels are divided into.
        groups: usize,
        /// Kernel height and width.
        kernel: [usize; 2],
        /// Distance between the kernel's rows and columns, pixels.
        dilation: [usize; 2],
    },
}

/// A layer whose weight an adapter can change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Path of the layer, e.g. `layer1.0.conv1`.
    pub path: String,
    /// Identity of its weight.
    pub weight: ParamId,
    /// Linear, or a convolution and its options.
    pub kind: LayerKind,
    /// The weight's size as a matrix.
    pub shape: WeightShape,
    /// Whether the layer has a bias.
    pub bias: bool,
}

impl Layer {
    /// Number of entries of its bias; 0 if it has none.
    #[must_use]
    pub fn bias_size(&self) -> usize {
        if self.bias { self.shape.outputs } else { 0 }
    }
}

/// Lists every Linear and Conv2d of a module, in the order of its fields.
#[must_use]
pub fn layers<M: Module + ModuleDisplay>(module: &M) -> Vec<Layer> {
    let convolutions = convolutions(module);
    let mut conv_index = 0;
    let mut found = Vec::new();
    let parameters = parameters(module);
    let biased: HashSet<&str> = parameters
        .iter()
        .filter_map(|param| param.path.strip_suffix(".bias"))
        .collect();
    for param in &parameters {
        let Some(path) = param.path.strip_suffix(".weight") else {
            continue;
        };
        if param.in_adapter() {
            continue;
        }
        let layer = match (param.owner.as_str(), param.shape.as_slice()) {
            (LINEAR, &[inputs, outputs]) => Layer {
                path: path.to_owned(),
                weight: param.id,
                kind: LayerKind::Linear,
                shape: WeightShape {
                    outputs,
                    inputs,
                    groups: 1,
                    kernel: None,
                },
                bias: biased.contains(path),
            },
            (CONV2D, &[outputs, inputs, height, width]) => {
                let (groups, dilation) =
                    convolutions.get(conv_index).copied().unwrap_or((1, [1, 1]));
                conv_index += 1;
                Layer {
                    path: path.to_owned(),
                    weight: param.id,
                    kind: LayerKind::Conv2d {
                        groups,
                        kernel: [height, width],
                        dilation,
                    },
                    shape: WeightShape {
                        outputs,
                        inputs: inputs * height * width,
                        groups,
                        kernel: Some([height, width]),
                    },
                    bias: biased.contains(path),
                }
            }
            _ => continue,
        };
        found.push(layer);
    }
    found
}

/// The `count` candidates that resemble `name` most, best first: for error messages.
pub(crate) fn nearest<'a>(
    name: &str,
    candidates: impl Iterator<Item = &'a str>,
    count: usize,
) -> Vec<String> {
    let mut scored: Vec<_> = candidates
        .map(|path| (strsim::jaro_winkler(name, path), path))
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    scored
        .into_iter()
        .take(count)
        .map(|(_, path)| path.to_owned())
        .collect()
}

/// Groups and dilation of every `Conv2d`, in the order of the module's fields.
///
/// Burn's visitors show tensors only, and a weight's shape implies neither. But every module can
/// print itself, and `Conv2d` prints `groups: N` and `dilation: [H, W]`. A test holds this to Burn's
/// format.
fn convolutions<M: ModuleDisplay>(module: &M) -> Vec<(usize, [usize; 2])> {
    let text = module.format(DisplaySettings::default());
    text.split("Conv2d {")
        .skip(1)
        .filter_map(|rest| {
            let body = rest.split('}').next()?;
            let groups = numbers(body.split("groups: ").nth(1)?).next()?;
            let mut dilation = numbers(body.split("dilation: [").nth(1)?);
            Some((groups, [dilation.next()?, dilation.next()?]))
        })
        .collect()
}

/// The numbers at the beginning of a text.
fn numbers(text: &str) -> impl Iterator<Item = usize> {
    text.split(|c: char| !c.is_ascii_digit())
        .filter(|digits| !digits.is_empty())
        .map_while(|digits| digits.parse().ok())
}
