//! Names of tensors in HF PEFT's files.

use crate::error::MethodError;

/// What HF PEFT puts before every name.
pub(crate) const PREFIX: &str = "base_model.model.";

/// The names of a model's tensors in `PyTorch`.
#[derive(Clone, Copy)]
pub struct Names<'a> {
    /// Path of the head, in Burn's names.
    pub head: &'a str,
    /// From a tensor's path in Burn's names to its name in `PyTorch`. A normalisation's `gamma` and
    /// `beta` are already called `weight` and `bias` in the path. If the model in `PyTorch` has several
    /// tensors for it, their names stand in braces: see [`parts`](super::parts()).
    pub name: &'a dyn Fn(&str) -> String,
}

impl std::fmt::Debug for Names<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Names")
            .field("head", &self.head)
            .finish_non_exhaustive()
    }
}

impl<'a> Names<'a> {
    /// The same names as in Burn, but for a normalisation's `gamma` and `beta`.
    #[must_use]
    pub fn same(head: &'a str) -> Self {
        Self {
            head,
            name: &|path| path.to_owned(),
        }
    }

    /// The name of the tensor at `path`.
    pub(super) fn of(&self, path: &str) -> String {
        match path.rsplit_once('.') {
            Some((layer, "gamma")) => (self.name)(&format!("{layer}.weight")),
            Some((layer, "beta")) => (self.name)(&format!("{layer}.bias")),
            _ => (self.name)(path),
        }
    }

    /// The name of the layer at `path`.
    pub(super) fn layer(&self, path: &str) -> Result<String, MethodError> {
        let weight = (self.name)(&format!("{path}.weight"));
        match weight.strip_suffix(".weight") {
            Some(layer) => Ok(layer.to_owned()),
            None => Err(MethodError::NotInHfPeft {
                reason: format!("`{weight}` is not the weight of a layer of its own"),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Names;

    #[test]
    fn gamma_and_beta_of_a_normalisation_are_its_weight_and_bias() {
        let renamed = Names {
            head: "fc",
            name: &|path| path.replace("block", "layer"),
        };
        assert_eq!(renamed.of("block.norm.gamma"), "layer.norm.weight");
        assert_eq!(renamed.of("block.norm.beta"), "layer.norm.bias");
        assert_eq!(renamed.of("block.conv.weight"), "layer.conv.weight");
        assert_eq!(renamed.of("gamma"), "gamma");
    }
}
