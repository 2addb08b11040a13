//! Selecting layers by name.

use regex::Regex;

use super::layers::{Layer, LayerKind, nearest};
use crate::error::MethodError;

/// A selection of layers by name.
///
/// A pattern is one of:
///
/// - `all`, `all-linear` (`QLoRA`: Dettmers et al. 2023, arXiv:2305.14314, section 4) or `all-conv`;
/// - `attention`: the Linear layers of attention (`LoRA`: Hu et al. 2021, arXiv:2106.09685, sections 4.2
///   and 7.1), which are those whose path goes through `attn`, `attention`, `self_attn` or
///   `self_attention`;
/// - `mlp`: the Linear layers of the perceptrons between (He et al. 2022, arXiv:2110.04366, section 4.4,
///   find that a change of these makes better use of its parameters), whose path goes through `mlp`,
///   `ffn` or `feed_forward`;
/// - names separated by commas, e.g. `qkv,mlp.fc1`: a layer is selected if its path ends with one of
///   them, as in HF PEFT's `target_modules`;
/// - a regular expression that is searched for in the path of each layer's weight, e.g.
///   `layer1.0.conv1.weight`; anchor it with `^` and `$` if it must match the whole path.
#[derive(Debug, Clone)]
pub struct Targets {
    pattern: String,
    include: Selector,
    exclude: Option<Regex>,
    blocks: Option<Blocks>,
}

/// HF PEFT's `layers_to_transform` and `layers_pattern`.
#[derive(Debug, Clone)]
struct Blocks {
    indices: Vec<usize>,
    index: Regex,
}

/// What a module of attention is called in a path.
const ATTENTION: &[&str] = &["attn", "attention", "self_attn", "self_attention"];

/// What a perceptron between attentions is called in a path.
const MLP: &[&str] = &["mlp", "ffn", "feed_forward"];

#[derive(Debug, Clone)]
enum Selector {
    All,
    Linear,
    Conv,
    /// Linear layers in a module of one of these names.
    In(&'static [&'static str]),
    Matching(Regex),
    Ending(Vec<String>),
}

impl Targets {
    /// Selects every Linear and Conv2d layer.
    #[must_use]
    pub fn all() -> Self {
        Self {
            pattern: "all".to_owned(),
            include: Selector::All,
            exclude: None,
            blocks: None,
        }
    }

    /// Parses a pattern.
    ///
    /// # Errors
    ///
    /// [`MethodError::Pattern`] if it is not a valid regular expression.
    pub fn parse(pattern: &str) -> Result<Self, MethodError> {
        let include = match pattern {
            "all" => Selector::All,
            "all-linear" => Selector::Linear,
            "all-conv" => Selector::Conv,
            "attention" => Selector::In(ATTENTION),
            "mlp" => Selector::In(MLP),
            _ if is_list(pattern) => {
                let names = pattern.split(',').map(str::trim);
                let names = names.filter(|name| !name.is_empty());
                Selector::Ending(names.map(str::to_owned).collect())
            }
            _ => Selector::Matching(regex(pattern)?),
        };
        Ok(Self {
            pattern: pattern.to_owned(),
            include,
            exclude: None,
            blocks: None,
        })
    }

    /// Excludes layers whose weight's path matches `pattern`.
    ///
    /// # Errors
    ///
    /// [`MethodError::Pattern`] if it is not a valid regular expression.
    pub fn exclude(mut self, pattern: &str) -> Result<Self, MethodError> {
        self.exclude = Some(regex(pattern)?);
        Ok(self)
    }

    /// Restricts the selection to blocks with the given numbers.
    ///
    /// A block's number is the first number in a layer's path, e.g. the 3 of `blocks.3.mlp.fc1`, or
    /// the one after `name` if a name is given.
    ///
    /// # Errors
    ///
    /// [`MethodError::Pattern`] if `name` is not a valid regular expression.
    pub fn in_blocks(mut self, indices: &[usize], name: Option<&str>) -> Result<Self, MethodError> {
        let index = match name {
            Some(name) => regex(&format!(r"(?:^|\.)(?:{name})\.([0-9]+)(?:\.|$)"))?,
            None => regex(r"(?:^|\.)([0-9]+)(?:\.|$)")?,
        };
        self.blocks = Some(Blocks {
            indices: indices.to_vec(),
            index,
        });
        Ok(self)
    }

    /// The selected layers among `layers`. Layers of the head are never selected.
    ///
    /// # Errors
    ///
    /// [`MethodError::NothingMatched`], with the nearest names, if no layer is selected.
    pub fn select<'a>(
        &self,
        layers: &'a [Layer],
        head: &str,
    ) -> Result<Vec<&'a Layer>, MethodError> {
        let selected: Vec<_> = layers
            .iter()
            .filter(|layer| !is_under(&layer.path, head))
            .filter(|layer| {
                let weight = format!("{}.weight", layer.path);
                let included = match &self.include {
                    Selector::All => true,
                    Selector::Linear => layer.kind == LayerKind::Linear,
                    Selector::Conv => matches!(layer.kind, LayerKind::Conv2d { .. }),
                    Selector::In(modules) => {
                        let mut names = layer.path.split('.');
                        layer.kind == LayerKind::Linear && names.any(|name| modules.contains(&name))
                    }
                    Selector::Matching(regex) => regex.is_match(&weight),
                    Selector::Ending(names) => {
                        names.iter().any(|name| ends_with(&layer.path, name))
                    }
                };
                let in_blocks = self.blocks.as_ref().is_none_or(|blocks| {
                    let found = blocks.index.captures(&layer.path);
                    let number = found.and_then(|found| found[1].parse().ok());
                    number.is_some_and(|number: usize| blocks.indices.contains(&number))
                });
                included
                    && in_blocks
                    && !self
                        .exclude
                        .as_ref()
                        .is_some_and(|regex| regex.is_match(&weight))
            })
            .collect();
        if selected.is_empty() {
            let names = layers.iter().map(|layer| layer.path.as_str());
            return Err(MethodError::NothingMatched {
                pattern: self.pattern.clone(),
                nearest: nearest(&self.pattern, names.filter(|path| !is_under(path, head)), 3),
            });
        }
        Ok(selected)
    }
}

/// Whether a pattern is a list of names separated by commas.
fn is_list(pattern: &str) -> bool {
    pattern.contains(',') && !pattern.contains(['^', '$', '*', '+', '?', '(', '[', '{', '|', '\\'])
}

/// Whether a path is `name` or ends with `.name`.
pub(crate) fn ends_with(path: &str, name: &str) -> bool {
    path.strip_suffix(name)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Whether `path` is `parent` or begins with `parent.`.
pub(crate) fn is_under(path: &str, parent: &str) -> bool {
    path.strip_prefix(parent)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Compiles a regular expression.
pub(crate) fn regex(pattern: &str) -> Result<Regex, MethodError> {
    Regex::new(pattern).map_err(|error| MethodError::Pattern {
        pattern: pattern.to_owned(),
        reason: error
            .to_string()
            .lines()
            .last()
            .unwrap_or_default()
            .trim()
            .to_owned(),
    })
}
