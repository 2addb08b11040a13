//! The head of a network: what makes logits of features.

use burn::Tensor;
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::Device;
use finetune_kernels::tokens::gelu;
use finetune_methods::linear;

/// A head. Paths of parameters do not contain the names of variants: those of a linear head are
/// `head.weight` and `head.bias`.
#[derive(Module, Debug)]
pub enum Classifier {
    /// One layer.
    Linear(Linear),
    /// Two layers with a GELU between them.
    Mlp(Mlp),
}

/// A multilayer perceptron with a hidden layer. In files it is an `nn.Sequential` of the hidden layer, an
/// activation and the output layer, which are called `0`, `1` and `2`.
#[derive(Module, Debug)]
pub struct Mlp {
    hidden: Linear,
    output: Linear,
}

impl Classifier {
    /// A linear head.
    pub(crate) fn new(features: usize, classes: usize, device: &Device) -> Self {
        Self::Linear(LinearConfig::new(features, classes).init(device))
    }

    /// A head with a hidden layer of so many units, for the same features and classes.
    pub(crate) fn with_hidden(&self, units: usize) -> Self {
        let (first, last) = match self {
            Self::Linear(layer) => (layer, layer),
            Self::Mlp(Mlp { hidden, output }) => (hidden, output),
        };
        let [features, _] = first.weight.lazy_shape().dims();
        let [_, classes] = last.weight.lazy_shape().dims();
        let device = &last.weight.lazy_device();
        Self::Mlp(Mlp {
            hidden: LinearConfig::new(features, units).init(device),
            output: LinearConfig::new(units, classes).init(device),
        })
    }

    /// Logits `[batch, classes]` of features `[batch, features]`.
    pub(crate) fn forward(&self, features: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Linear(layer) => linear(layer, features),
            Self::Mlp(Mlp { hidden, output }) => linear(output, gelu(linear(hidden, features))),
        }
    }
}

/// The path of a parameter of the head at `head` in an `nn.Sequential`; other paths as they are.
pub(crate) fn in_sequence(path: &str, head: &str) -> String {
    let rest = path.strip_prefix(head).unwrap_or_default();
    for (layer, number) in [(".hidden.", "0"), (".output.", "2")] {
        if let Some(name) = rest.strip_prefix(layer) {
            return format!("{head}.{number}.{name}");
        }
    }
    path.to_owned()
}
