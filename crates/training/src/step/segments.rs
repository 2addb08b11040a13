//! Gradient checkpointing: forward and backward pass in segments.
//!
//! Chen et al. 2016, "Training deep nets with sublinear memory cost" (arXiv:1604.06174). The
//! forward pass stores only the tensors between segments of the network. The backward pass goes
//! through the segments from the last to the first and computes the activations inside each one
//! again. A segment is a block of the network, as in timm and in Hugging Face's Trainer. The
//! operations and their order are those of an ordinary pass, and so are the gradients.

use std::ops::Range;

use burn::Tensor;
use burn::optim::GradientsParams;
use burn::tensor::Gradients;
use finetune_methods::parameters;
use finetune_model::{Feature, Features, Stage, Staged};

use super::draws::Draws;
use crate::classifier::Classifier;
use crate::features::Start;
use crate::recipe::Recipe;

/// The first stage of each segment. All segments except the last run twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segments(Vec<usize>);

impl Segments {
    /// No segments: an ordinary pass, which stores all activations.
    pub(crate) fn none() -> Self {
        Self(Vec::new())
    }

    /// The segments of a model as a recipe trains it now.
    pub(crate) fn for_recipe<M: Classifier>(recipe: &Recipe, model: &M) -> Self {
        if recipe.gradient_checkpointing {
            Self::of(model)
        } else {
            Self::none()
        }
    }

    /// One segment per block, from the lowest block that has a trained parameter. The head and
    /// stages without parameters belong to the block before them.
    pub(crate) fn of<M: Classifier>(model: &M) -> Self {
        let Some(network) = model.staged() else {
            return Self::none();
        };
        let stages = network.stages();
        let trained = parameters(model)
            .into_iter()
            .filter(|param| param.trainable);
        let lowest = trained.map(|param| {
            // A parameter that no stage declares may be used by any of them.
            let holder = stages.iter().position(|stage| stage.holds(&param.path));
            holder.unwrap_or(0)
        });
        let Some(lowest) = lowest.min() else {
            return Self::none();
        };
        let begins = |index: &usize| {
            *index == lowest || (index + 1 < stages.len() && !stages[*index].paths().is_empty())
        };
        Self((lowest..stages.len()).filter(begins).collect())
    }

    /// The segments that run twice, and the first stage of the last one; `None` if no segment does.
    fn split(&self) -> Option<(impl Iterator<Item = Range<usize>>, usize)> {
        let (last, _) = self.0.split_last().filter(|(_, again)| !again.is_empty())?;
        let segments = self.0.windows(2).map(|ends| ends[0]..ends[1]);
        Some((segments, *last))
    }
}

/// What the backward pass needs for the segments below the last one.
#[derive(Debug)]
pub(crate) struct Rest {
    draws: Draws,
    /// The segments and their inputs.
    inputs: Vec<(Range<usize>, Features)>,
    /// The input of the last segment, whose gradient comes from the loss.
    top: Features,
}

/// Runs a model: its logits `[batch, classes]`, and what remains to be done for the gradients of
/// the segments that run twice.
pub(crate) fn forward<M: Classifier>(
    model: &M,
    start: Start,
    segments: &Segments,
    draws: Draws,
) -> (Tensor<2>, Option<Rest>) {
    let Some(network) = model.staged() else {
        draws.start(0);
        return (start.logits(model), None);
    };
    let stages = network.stages();
    let (done, mut x) = start.into_parts();
    let Some((segments, last)) = segments.split() else {
        let logits = run(&stages, done..stages.len(), x, &draws);
        return (Tensor::of(logits), None);
    };
    // This copy records nothing for a backward pass. It has running statistics of its own, so that
    // those of the model are updated only once.
    let quiet = model.valid().train().no_grad();
    let quiet = quiet.staged().map_or_else(Vec::new, Staged::stages);
    let mut inputs: Vec<(Range<usize>, Features)> = Vec::new();
    for segment in segments {
        if inputs.is_empty() {
            // No parameter below has a gradient.
            x = run(&stages, done..segment.start, x, &draws);
        }
        inputs.push((segment.clone(), x.clone()));
        x = run(&quiet, segment, x, &draws);
    }
    let top = leaf(x);
    let logits = run(&stages, last..stages.len(), top.clone(), &draws);
    let rest = Rest { draws, inputs, top };
    (Tensor::of(logits), Some(rest))
}

impl Rest {
    /// Runs the segments again, from the last to the first, and passes the gradients of each one's
    /// parameters to `add`. `gradients` are the gradients of the loss.
    pub(crate) fn backward<M: Classifier>(
        mut self,
        model: &M,
        mut gradients: Gradients,
        mut add: impl FnMut(GradientsParams),
    ) {
        let Some(network) = model.staged() else {
            return;
        };
        let stages = network.stages();
        let mut output = self.top;
        while let Some((segment, input)) = self.inputs.pop() {
            let Some(gradient) = gradient(&output, &mut gradients) else {
                return;
            };
            let is_lowest = self.inputs.is_empty();
            let input = if is_lowest { input } else { leaf(input) };
            let again = run(&stages, segment, input.clone(), &self.draws);
            // The gradient of `Σ output · gradient` with respect to the output is `gradient`.
            let Some(product) = product(again, gradient).filter(Tensor::is_tracked) else {
                return;
            };
            gradients = product.backward();
            add(GradientsParams::from_module(&mut gradients, model));
            output = input;
        }
    }
}

fn run(stages: &[Stage<'_>], range: Range<usize>, input: Features, draws: &Draws) -> Features {
    range.fold(input, |x, stage| draws.forward(stages, stage, x))
}

/// The same values as a new leaf of the autodiff graph that receives a gradient.
fn leaf(features: Features) -> Features {
    match features {
        Features::Vectors(x) => x.detach().require_grad().into(),
        Features::Tokens(x) => x.detach().require_grad().into(),
        Features::Maps(x) => x.detach().require_grad().into(),
    }
}

fn gradient(of: &Features, gradients: &mut Gradients) -> Option<Features> {
    Some(match of {
        Features::Vectors(x) => x.grad_remove(gradients)?.into(),
        Features::Tokens(x) => x.grad_remove(gradients)?.into(),
        Features::Maps(x) => x.grad_remove(gradients)?.into(),
    })
}

/// `Σ y·g`; `None` if the two are of different kinds.
fn product(y: Features, g: Features) -> Option<Tensor<1>> {
    match (y, g) {
        (Features::Vectors(y), Features::Vectors(g)) => Some((y * g).sum()),
        (Features::Tokens(y), Features::Tokens(g)) => Some((y * g).sum()),
        (Features::Maps(y), Features::Maps(g)) => Some((y * g).sum()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::{Mutex, PoisonError};

    use burn::module::{Module, ModuleVisitor, Param, ParamId};
    use burn::tensor::{Device, Int, TensorData};
    use finetune_methods::attach::Parts;
    use finetune_methods::catalogue::AdaloraConfig;
    use finetune_methods::{
        Dynamics, LoraConfig, Method, Scope, SparseSharedConfig, Targets, TrainedTensor, Values,
        load, trained,
    };
    use finetune_model::{Architecture, Network};

    use super::*;
    use crate::features::Input;
    use crate::recipe::Optimizer;
    use crate::step::loss::CrossEntropy;
    use crate::step::pass::{Passes, pass};

    /// Cases run one at a time because dropout uses a random number generator that the whole
    /// process shares.
    static ALONE: Mutex<()> = Mutex::new(());

    struct Case {
        model: &'static str,
        method: Method,
        targets: &'static str,
        adapt_statistics: bool,
        recipe: Recipe,
    }

    impl Case {
        fn new(model: &'static str, method: Method, targets: &'static str) -> Self {
            Self {
                model,
                method,
                targets,
                adapt_statistics: false,
                recipe: Recipe {
                    seed: 7,
                    ..Recipe::new(Optimizer::Adam, 0.001)
                },
            }
        }

        /// The same with stochastic depth and dropout before the head.
        fn dropping(mut self) -> Self {
            self.recipe.drop_path = 0.5;
            self.recipe.head_dropout = 0.3;
            self
        }

        /// Attaches the method to the model and changes its tensors so that none of them is 0, as
        /// after training.
        fn attached(&self, device: &Device) -> Parts<Network> {
            let architecture = Architecture::find(self.model).unwrap().at(32).unwrap();
            let targets = Targets::parse(self.targets).unwrap();
            let scope = Scope {
                adapt_statistics: self.adapt_statistics,
                ..Scope::new(architecture.head, &targets, 1)
            };
            let network = architecture.build(5, 3, device);
            let mut attached = self.method.attach(network, &scope).unwrap().into_parts();
            let mut learnt = trained(&attached.model);
            for tensor in &mut learnt {
                if let Values::Floats(values) = &mut tensor.values {
                    let moved = values.iter().zip(wave(1.7));
                    *values = moved.map(|(value, by)| value + 0.05 * by.abs()).collect();
                }
            }
            attached.model = load(attached.model, learnt).unwrap();
            if let Some(dynamics) = &mut attached.dynamics {
                dynamics.start(10);
                if let Dynamics::MovingMask(_) = dynamics {
                    // Loading separated the tensors that adapters share; this ties them again.
                    attached.model = dynamics.after_step(10, attached.model).0;
                }
            }
            attached
        }

        /// Returns the gradients of a step of two batches, by path, and the trained tensors and
        /// statistics after its forward pass.
        fn step(&self, again: bool) -> (BTreeMap<String, Vec<f32>>, Vec<TrainedTensor>) {
            let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
            let device = Device::flex().autodiff();
            let Parts {
                model, dynamics, ..
            } = self.attached(&device);
            let criterion = CrossEntropy::plain();
            let passes = Passes {
                accumulate: 2,
                criterion: &criterion,
                outer: false,
                segments: if again {
                    Segments::of(&model)
                } else {
                    Segments::none()
                },
                draws: Draws::new(&device, &self.recipe),
            };
            let mut batches = [3.0, 5.0]
                .map(|speed| Ok(input(speed, &device)))
                .into_iter();
            let found = pass(&model, &mut batches, 1, &passes, dynamics.as_ref());
            let found = found.unwrap().unwrap();
            assert_eq!(found.images, 6);
            let mut by_path = ByPath {
                gradients: &found.gradients.whole,
                paths: parameters(&model)
                    .into_iter()
                    .map(|param| (param.id, param.path))
                    .collect(),
                found: BTreeMap::new(),
            };
            model.visit(&mut by_path);
            (by_path.found, trained(&model))
        }
    }

    fn wave(speed: f32) -> impl Iterator<Item = f32> {
        (0..=u16::MAX)
            .cycle()
            .map(move |i| (f32::from(i) * speed).sin())
    }

    fn input(speed: f32, device: &Device) -> Input {
        let values: Vec<f32> = wave(speed).take(3 * 3 * 32 * 32).collect();
        let images = TensorData::new(values, [3, 3, 32, 32]);
        let labels = TensorData::new(vec![4_i64, 0, 2], [3]);
        Input {
            start: Start::Images(Tensor::from_data(images, device)),
            labels: Tensor::<1, Int>::from_data(labels, device),
            shares: None,
        }
    }

    struct ByPath<'a> {
        gradients: &'a GradientsParams,
        paths: BTreeMap<ParamId, String>,
        found: BTreeMap<String, Vec<f32>>,
    }

    impl ModuleVisitor for ByPath<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(gradient) = self.gradients.get::<D>(param.id) {
                let values = gradient.into_data().iter::<f32>().collect();
                self.found.insert(self.paths[&param.id].clone(), values);
            }
        }
    }

    fn lora(dropout: f64) -> Method {
        Method::Lora(LoraConfig {
            dropout,
            ..LoraConfig::default()
        })
    }

    /// Returns the largest difference between two lists, divided by the largest value.
    fn difference(a: &[f32], b: &[f32]) -> f32 {
        assert_eq!(a.len(), b.len());
        let most = a.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
        let pairs = a.iter().zip(b);
        let apart = pairs.fold(0.0_f32, |apart, (a, b)| apart.max((a - b).abs()));
        if apart == 0.0 { 0.0 } else { apart / most }
    }

    #[test]
    fn a_segment_begins_at_each_block() {
        let device = Device::flex().autodiff();
        let of = |case: Case| Segments::of(&case.attached(&device).model).0;
        // Stages of the model: the stem, eight blocks, the mean and the head.
        let sft = of(Case::new("resnet18", Method::Sft, "all"));
        assert_eq!(sft, [0, 1, 2, 3, 4, 5, 6, 7, 8]);
        let top = of(Case::new("resnet18", lora(0.0), "layer4"));
        assert_eq!(top, [7, 8]);
        let head = of(Case::new("resnet18", Method::Linear, "all"));
        assert_eq!(head, [10]);
        assert!(Segments(head).split().is_none());
        // Stages of the model: the embedding, twelve blocks, the normalised class token and the head.
        let vit = of(Case::new("vit_tiny_patch16_224", Method::Sft, "all"));
        assert_eq!(vit, (0..14).collect::<Vec<_>>());
    }

    #[test]
    fn gradients_and_statistics_are_the_same_with_and_without_segments() {
        let vit = "vit_tiny_patch16_224";
        let cases = [
            Case::new("resnet8", Method::Sft, "all"),
            Case::new("resnet8", lora(0.5), "all"),
            Case::new("resnet18", Method::Sft, "all"),
            Case::new("resnet18", lora(0.5), "layer[34]"),
            Case {
                adapt_statistics: true,
                ..Case::new("resnet18", lora(0.0), "layer4")
            },
            Case::new("mobilenet_v2", Method::Sft, "all"),
            Case::new("mobilenet_v2", lora(0.1), "all"),
            Case::new(vit, Method::Sft, "all"),
            Case::new(vit, Method::Sft, "all").dropping(),
            Case::new("convnext_tiny", Method::Sft, "all").dropping(),
            Case::new(vit, lora(0.1), "all"),
        ];
        for case in cases {
            let name = format!("{} {} {}", case.model, case.method.name(), case.targets);
            let (once, moved_once) = case.step(false);
            let (again, moved_again) = case.step(true);
            assert!(once.len() > 4, "{name}");
            assert_eq!(
                once.keys().collect::<Vec<_>>(),
                again.keys().collect::<Vec<_>>(),
                "{name}"
            );
            for (path, gradient) in &once {
                let apart = difference(gradient, &again[path]);
                assert!(gradient == &again[path], "{name}: {path} by {apart}");
            }
            assert!(moved_once == moved_again, "{name}");
        }
    }

    #[test]
    fn gradients_of_a_tensor_in_several_segments_are_summed() {
        let shared = SparseSharedConfig {
            train_shared: true,
            density: 1.0,
            ..SparseSharedConfig::default()
        };
        let cases = [
            // All layers share one projection.
            Case::new("resnet8", Method::SparseShared(shared), "all"),
            // The loss includes a penalty on the factors of all layers.
            Case::new(
                "vit_tiny_patch16_224",
                Method::Adalora(AdaloraConfig::default()),
                "all",
            ),
        ];
        for case in cases {
            let (once, _) = case.step(false);
            let (again, _) = case.step(true);
            assert_eq!(once.len(), again.len());
            for (path, gradient) in &once {
                let apart = difference(gradient, &again[path]);
                assert!(apart < 1e-6, "{path} by {apart}");
                assert!(gradient.iter().any(|value| *value != 0.0), "{path}");
            }
        }
    }
}
