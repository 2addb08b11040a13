//! Which layers a module has: paths, kinds and shapes, found by visiting it.

use std::collections::HashMap;

use burn::Tensor;
use burn::module::{DisplaySettings, Flag, Module, ModuleDisplay, ModuleVisitor, Param, ParamId};

use crate::adapters::WeightShape;

/// A layer kind that can carry an adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerKind {
    /// `burn::nn::Linear`, weight `[in, out]`.
    Linear,
    /// `burn::nn::conv::Conv2d`, weight `[out, in / groups, kernel height, kernel width]`.
    Conv2d {
        /// Number of groups the channels are divided into.
        groups: usize,
        /// Kernel height and width.
        kernel: [usize; 2],
        /// Steps between the kernel's rows and columns.
        dilation: [usize; 2],
    },
}

/// The weight of a layer, seen as the matrix that an adapter changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Path of the layer, e.g. `layer1.0.conv1`.
    pub path: String,
    /// Identity of its weight.
    pub weight: ParamId,
    /// Linear or convolution.
    pub kind: LayerKind,
    /// That weight as a matrix.
    pub shape: WeightShape,
}

/// One floating-point tensor of a module, trained or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParamInfo {
    /// Path without the names of enum variants, e.g. `layer1.0.conv1.weight`.
    pub path: String,
    /// Its identity; several paths share one where a tensor is shared.
    pub id: ParamId,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Whether it receives gradients.
    pub trainable: bool,
    /// Whether it is a running statistic rather than a parameter.
    pub buffer: bool,
    /// Whether training changes it: by gradients, or as a statistic that is not frozen.
    pub changes: bool,
    /// The type that holds it, e.g. `Linear`.
    pub owner: String,
}

impl ParamInfo {
    /// Whether it belongs to an adapter rather than to the model.
    #[must_use]
    pub fn in_adapter(&self) -> bool {
        self.path.contains(ADAPTER)
    }

    /// Whether it is a bias: of a layer, or the shift of a normalisation.
    #[must_use]
    pub fn is_bias(&self) -> bool {
        !self.in_adapter() && matches!(self.name(), "bias" | "beta")
    }

    /// Whether it is the scale or the shift of a normalisation.
    #[must_use]
    pub fn is_norm(&self) -> bool {
        !self.in_adapter() && matches!(self.name(), "gamma" | "beta")
    }

    /// The last part of its path.
    #[must_use]
    pub fn name(&self) -> &str {
        self.path.rsplit('.').next().unwrap_or_default()
    }
}

/// What stands between a weight's path and the names of its adapter's tensors.
pub(crate) const ADAPTER: &str = ".adapter.";

/// Lists every floating-point tensor of a module, in the order of its fields.
///
/// Burn chooses weights when they are first looked at; this looks at all of them.
#[must_use]
pub fn parameters<M: Module>(module: &M) -> Vec<ParamInfo> {
    list(module, false)
}

/// Lists the same without looking at weights that are not chosen yet; those count as trainable.
///
/// For a model whose weights are about to be loaded: it takes no memory and no time.
#[must_use]
pub fn parameters_lazily<M: Module>(module: &M) -> Vec<ParamInfo> {
    list(module, true)
}

fn list<M: Module>(module: &M, lazily: bool) -> Vec<ParamInfo> {
    let mut visitor = Lister {
        lazily,
        ..Lister::default()
    };
    module.visit(&mut visitor);
    visitor.found
}

/// Lists every Linear and Conv2d of a module, in the order of its fields.
#[must_use]
pub fn layers<M: Module + ModuleDisplay>(module: &M) -> Vec<Layer> {
    let convolutions = convolutions(module);
    let mut conv_index = 0;
    let mut found = Vec::new();
    for param in parameters(module) {
        let Some(path) = param.path.strip_suffix(".weight") else {
            continue;
        };
        if param.in_adapter() {
            continue;
        }
        let layer = match (param.owner.as_str(), param.shape.as_slice()) {
            ("Linear", &[inputs, outputs]) => Layer {
                path: path.to_owned(),
                weight: param.id,
                kind: LayerKind::Linear,
                shape: WeightShape {
                    outputs,
                    inputs,
                    groups: 1,
                    kernel: None,
                },
            },
            ("Conv2d", &[outputs, inputs, height, width]) => {
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
                }
            }
            _ => continue,
        };
        found.push(layer);
    }
    found
}

/// The `count` paths of `candidates` that are nearest to `name`, best first.
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

/// Groups and dilation of all `Conv2d` layers, in field order.
///
/// Burn's visitor shows tensors only and a weight does not tell these, but every module prints
/// itself, and `Conv2d` prints `groups: N` and `dilation: [H, W]`. A test holds this to Burn's
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

/// The numbers that a text begins with.
fn numbers(text: &str) -> impl Iterator<Item = usize> {
    text.split(|c: char| !c.is_ascii_digit())
        .filter(|digits| !digits.is_empty())
        .map_while(|digits| digits.parse().ok())
}

/// The methods of a visitor or mapper that keep its [`PathStack`], `stack`, up to date.
macro_rules! follow_paths {
    () => {
        fn enter_module(&mut self, name: &str, container: &str) {
            self.stack.enter(name, container);
        }

        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.stack.exit();
        }
    };
}
pub(crate) use follow_paths;

/// Joins the names of a traversal into paths, leaving out the names of enum variants.
#[derive(Debug, Default)]
pub(crate) struct PathStack {
    names: Vec<(String, String)>,
}

impl PathStack {
    pub(crate) fn enter(&mut self, name: &str, container: &str) {
        self.names.push((name.to_owned(), container.to_owned()));
    }

    pub(crate) fn exit(&mut self) {
        self.names.pop();
    }

    pub(crate) fn path(&self) -> String {
        let names: Vec<_> = self
            .names
            .iter()
            .filter(|(_, container)| !container.starts_with("Enum:"))
            .map(|(name, _)| name.as_str())
            .collect();
        names.join(".")
    }

    /// The last name, and the type it is a field of.
    pub(crate) fn field(&self) -> (&str, &str) {
        self.names.last().map_or(("", ""), |(name, container)| {
            (name, container.strip_prefix("Struct:").unwrap_or(container))
        })
    }
}

#[derive(Default)]
struct Lister {
    lazily: bool,
    stack: PathStack,
    /// Whether the statistics of the normalisation that is visited move.
    moving: bool,
    found: Vec<ParamInfo>,
}

impl ModuleVisitor for Lister {
    follow_paths!();

    fn visit_flag(&mut self, flag: &Param<Flag>) {
        // The flag comes before the statistics in the order of fields.
        if let ("training", "BatchNorm") = self.stack.field() {
            self.moving = flag.val().is_enabled();
        }
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let (field, owner) = self.stack.field();
        let buffer = owner == "BatchNorm" && field.starts_with("running_");
        let trainable =
            !buffer && ((self.lazily && !param.is_initialized()) || param.is_require_grad());
        self.found.push(ParamInfo {
            path: self.stack.path(),
            id: param.id,
            shape: param.lazy_shape().to_vec(),
            trainable,
            buffer,
            changes: trainable || (buffer && self.moving),
            owner: owner.to_owned(),
        });
    }
}

/// Counts of parameters, as the comparison reports them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParameterCount {
    /// Entries that the optimiser changes; of a masked tensor only the entries under the mask.
    pub trainable: usize,
    /// All entries, shared tensors once, running statistics and masks not counted.
    pub total: usize,
}

/// Counts a module's parameters, each tensor once however often it is shared.
///
/// A tensor `x` beside a tensor `x_mask` (values 0 and 1) counts as trainable only where the mask
/// is 1.
#[must_use]
pub fn count_parameters<M: Module>(module: &M) -> ParameterCount {
    let mut count = ParameterCount {
        trainable: 0,
        total: 0,
    };
    for (param, trainable) in counts(module) {
        count.total += param.shape.iter().product::<usize>();
        count.trainable += trainable;
    }
    count
}

/// Every tensor of a module, once however often it is shared, without running statistics and masks;
/// and how many of its entries train.
#[must_use]
pub fn counts<M: Module>(module: &M) -> Vec<(ParamInfo, usize)> {
    let mut masks = MaskSums::default();
    module.visit(&mut masks);
    let mut seen = std::collections::HashSet::new();
    let mut found = Vec::new();
    for param in parameters(module) {
        if param.buffer || param.path.ends_with("_mask") || !seen.insert(param.id) {
            continue;
        }
        let trainable = if param.trainable {
            let mask = format!("{}_mask", param.path);
            let size = param.shape.iter().product();
            masks.active.get(&mask).copied().unwrap_or(size)
        } else {
            0
        };
        found.push((param, trainable));
    }
    found
}

#[derive(Default)]
struct MaskSums {
    stack: PathStack,
    active: HashMap<String, usize>,
}

impl ModuleVisitor for MaskSums {
    follow_paths!();

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if self.stack.field().0.ends_with("_mask") {
            let data = param.base().into_data();
            let active = data.iter::<f32>().filter(|value| *value != 0.0).count();
            self.active.insert(self.stack.path(), active);
        }
    }
}
