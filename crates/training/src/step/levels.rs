//! How deep in its network a parameter is, for layer-wise learning rates and thawing.

use std::collections::HashMap;

use burn::module::ParamId;
use finetune_methods::ParamInfo;

/// The name of the list of blocks in a numbered stage.
const BLOCKS: &str = "blocks";
/// Separates the path of a weight from those of its adapter's tensors.
const ADAPTER: &str = ".adapter.";

/// The level of each parameter, from 0 before the first block up to that of the head.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Levels {
    of: HashMap<ParamId, usize>,
    top: usize,
}

impl Levels {
    /// Counts levels as `BEiT` does: layers before the blocks have level 0, block `i` (from 0) has
    /// level `i + 1`, and layers after the blocks share the top level with the head. In a network
    /// without numbered blocks, each layer has a level of its own.
    ///
    /// `parameters` must be in the order of the module's fields, which is the order of computation.
    pub(crate) fn of(parameters: &[ParamInfo]) -> Self {
        let mut names: Vec<String> = Vec::new();
        let blocks = parameters.iter().filter_map(|param| block(&param.path));
        for name in blocks {
            if names.last() != Some(&name) {
                names.push(name);
            }
        }
        let mut of = HashMap::new();
        if names.is_empty() {
            for param in parameters {
                let layer = layer(&param.path);
                if names.last().map(String::as_str) != Some(layer) {
                    names.push(layer.to_owned());
                }
                of.entry(param.id).or_insert(names.len() - 1);
            }
            let top = names.len().saturating_sub(1);
            return Self { of, top };
        }
        let top = names.len() + 1;
        let mut reached = 0;
        for param in parameters {
            let level = match block(&param.path) {
                Some(name) => {
                    reached = names.iter().position(|known| *known == name).unwrap_or(0) + 1;
                    reached
                }
                None if reached == 0 => 0,
                None => top,
            };
            of.entry(param.id).or_insert(level);
        }
        Self { of, top }
    }

    /// The level of a parameter; the top level if the parameter is unknown.
    pub(crate) fn get(&self, id: ParamId) -> usize {
        self.of.get(&id).copied().unwrap_or(self.top)
    }

    /// The level of the head.
    pub(crate) fn top(&self) -> usize {
        self.top
    }
}

/// The part of a path that names its block. It ends at the first number, as in `layer1.0`, or at
/// the second one if that numbers the blocks of a stage, as in `stages.0.blocks.1`.
fn block(path: &str) -> Option<String> {
    let parts: Vec<&str> = path.split('.').collect();
    let is_number = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let first = parts.iter().position(is_number)?;
    let end = match parts.get(first + 1..first + 3) {
        Some([BLOCKS, number]) if is_number(number) => first + 2,
        _ => first,
    };
    Some(parts[..=end].join("."))
}

/// The path of the layer that a parameter or its adapter belongs to.
fn layer(path: &str) -> &str {
    let path = path.split(ADAPTER).next().unwrap_or(path);
    path.rsplit_once('.').map_or(path, |(layer, _)| layer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels(paths: &[&str]) -> Vec<usize> {
        let parameters: Vec<ParamInfo> = paths
            .iter()
            .map(|path| ParamInfo {
                path: (*path).to_owned(),
                id: ParamId::new(),
                shape: vec![1],
                trainable: true,
                buffer: false,
                changes: true,
                owner: String::new(),
            })
            .collect();
        let levels = Levels::of(&parameters);
        assert_eq!(levels.get(ParamId::new()), levels.top());
        parameters.iter().map(|p| levels.get(p.id)).collect()
    }

    #[test]
    fn levels_agree_with_beit() {
        // For two blocks, get_num_layer_for_vit gives 0 before them, 1 and 2 in them and 3 after
        // them.
        let vit = [
            "patch_embed.weight",
            "cls_token",
            "pos_embed",
            "blocks.0.attn.qkv.weight",
            "blocks.0.attn.qkv.weight.adapter.lora_a",
            "blocks.1.mlp.fc1.bias",
            "norm.gamma",
            "head.weight",
        ];
        assert_eq!(levels(&vit), [0, 0, 0, 1, 1, 2, 3, 3]);
    }

    #[test]
    fn blocks_of_all_stages_are_counted_together() {
        let resnet = [
            "conv1.weight",
            "layer1.0.conv1.weight",
            "layer1.0.bn1.gamma",
            "layer2.0.conv1.weight",
            "linear.weight",
        ];
        assert_eq!(levels(&resnet), [0, 1, 1, 2, 3]);
        let convnext = [
            "stem.weight",
            "stages.0.blocks.0.conv_dw.weight",
            "stages.0.blocks.1.fc1.weight",
            "stages.1.downsample.weight",
            "stages.1.blocks.0.fc1.weight",
            "norm.gamma",
            "head.bias",
        ];
        assert_eq!(levels(&convnext), [0, 1, 2, 3, 4, 5, 5]);
    }

    #[test]
    fn networks_without_blocks_have_one_level_per_layer() {
        let chapter = [
            "conv.weight",
            "conv.bias",
            "hidden.weight",
            "hidden.weight.adapter.lora_a",
            "hidden.bias",
            "head.weight",
        ];
        assert_eq!(levels(&chapter), [0, 0, 1, 1, 1, 2]);
        assert_eq!(levels(&[]), Vec::<usize>::new());
    }
}
