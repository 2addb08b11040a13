//! How deep in its network a parameter is, for layer-wise learning rates and thawing.

use std::collections::{HashMap, HashSet};

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
    /// Counts levels as `BEiT` does, for thawing: layers before the blocks have level 0, block `i`
    /// (from 0) has level `i + 1`, and layers after the blocks share the top level with the head. In a
    /// network without numbered blocks, each layer has a level of its own.
    ///
    /// `parameters` must be in the order of the module's fields, which is the order of computation.
    pub(crate) fn of(parameters: &[ParamInfo]) -> Self {
        let names = names(parameters, |_| false);
        if names.is_empty() {
            return Self::by_layer(parameters);
        }
        let top = names.len() + 1;
        let mut reached = 0;
        let level = |param: &ParamInfo| match block(&param.path) {
            Some(name) => {
                reached = position(&names, &name) + 1;
                reached
            }
            None if reached == 0 => 0,
            None => top,
        };
        Self::collect(parameters, level, top)
    }

    /// Counts levels as timm does, for learning rates (`param_groups_layer_decay` with the model's
    /// `group_matcher(coarse=False)`): as [`of`](Self::of), but layers after the blocks belong to the
    /// last block unless they belong to the head, and what a stage computes before its first block
    /// belongs to that block.
    ///
    /// `head` is the path of the head, empty if it is unknown; `beside_head` are the paths of layers
    /// that have its level as well.
    pub(crate) fn as_timm(parameters: &[ParamInfo], head: &str, beside_head: &[&str]) -> Self {
        // Of a stage with numbered blocks, what stands outside of them joins its first block.
        let stages: HashSet<String> = parameters.iter().filter_map(|p| stage(&p.path)).collect();
        let names = names(parameters, |name| stages.contains(name));
        if names.is_empty() {
            return Self::by_layer(parameters);
        }
        let of_head = |path: &str| {
            let mut heads = beside_head.iter().chain([&head]);
            head.is_empty() || heads.any(|head| is_under(path, head))
        };
        let top = names.len() + 1;
        let mut reached = 0;
        let level = |param: &ParamInfo| match block(&param.path) {
            Some(name) if stages.contains(&name) => reached + 1,
            Some(name) => {
                reached = position(&names, &name) + 1;
                reached
            }
            None if reached == 0 => 0,
            None if of_head(&param.path) => top,
            None => reached,
        };
        Self::collect(parameters, level, top)
    }

    /// A level per layer.
    fn by_layer(parameters: &[ParamInfo]) -> Self {
        let mut reached = None;
        let mut top = 0;
        let level = |param: &ParamInfo| {
            let layer = layer(&param.path).to_owned();
            if reached.as_ref().is_some_and(|last| *last != layer) {
                top += 1;
            }
            reached = Some(layer);
            top
        };
        let levels = Self::collect(parameters, level, 0);
        Self { top, ..levels }
    }

    fn collect(
        parameters: &[ParamInfo],
        mut level: impl FnMut(&ParamInfo) -> usize,
        top: usize,
    ) -> Self {
        let mut of = HashMap::new();
        for param in parameters {
            let level = level(param);
            // A shared parameter has the level of its first path.
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

/// The names of the blocks in the order of computation, without those that `skip` names.
fn names(parameters: &[ParamInfo], skip: impl Fn(&str) -> bool) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let blocks = parameters.iter().filter_map(|param| block(&param.path));
    for name in blocks.filter(|name| !skip(name)) {
        if names.last() != Some(&name) {
            names.push(name);
        }
    }
    names
}

fn position(names: &[String], name: &str) -> usize {
    names.iter().position(|known| known == name).unwrap_or(0)
}

/// Whether a parameter is of the layer or module at `path`.
pub(super) fn is_under(parameter: &str, path: &str) -> bool {
    let rest = parameter.strip_prefix(path);
    !path.is_empty() && rest.is_some_and(|rest| rest.starts_with('.'))
}

/// The path of the stage whose numbered blocks a parameter is in, e.g. `stages.0`.
fn stage(path: &str) -> Option<String> {
    let name = block(path)?;
    let (stage, _) = name.rsplit_once(".blocks.")?;
    Some(stage.to_owned())
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
    use std::collections::BTreeMap;

    use burn::tensor::Device;
    use finetune_methods::parameters;
    use finetune_model::{Architecture, Staged};

    use super::*;

    fn listed(paths: &[&str]) -> Vec<ParamInfo> {
        paths
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
            .collect()
    }

    fn levels(paths: &[&str]) -> Vec<usize> {
        let parameters = listed(paths);
        let levels = Levels::of(&parameters);
        assert_eq!(levels.get(ParamId::new()), levels.top());
        parameters.iter().map(|p| levels.get(p.id)).collect()
    }

    /// `tests/fixtures/layer_decay.py` wrote timm's layers of each network.
    #[test]
    fn levels_for_learning_rates_agree_with_timm() {
        type Layers = BTreeMap<String, BTreeMap<String, usize>>;
        let timm: Layers =
            serde_json::from_str(include_str!("../../tests/fixtures/layer_decay.json")).unwrap();
        assert_eq!(timm.len(), 9);
        let device = Device::flex();
        for (name, layers) in timm {
            let architecture = Architecture::find(&name).unwrap();
            let network = architecture.build(10, 0, &device);
            let parameters = parameters(&network);
            let levels = Levels::as_timm(&parameters, architecture.head, network.beside_head());
            assert_eq!(levels.top(), *layers.values().max().unwrap(), "{name}");
            let names = architecture.names(Some("timm")).unwrap();
            let mut seen = 0;
            for param in parameters.iter().filter(|param| !param.buffer) {
                let path = param.path.replace(".gamma", ".weight");
                let theirs = names(&path.replace(".beta", ".bias"));
                let wanted = layers.get(&theirs);
                assert_eq!(Some(&levels.get(param.id)), wanted, "{name}: {theirs}");
                seen += 1;
            }
            assert_eq!(seen, layers.len(), "{name}");
        }
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
