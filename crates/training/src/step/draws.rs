//! Dropout: seeds for the layers that draw random numbers themselves, and what this crate leaves out at
//! random (stochastic depth, dropout before the head).

use burn::Tensor;
use burn::tensor::{Device, TensorData};
use finetune_model::{Features, Stage, Staged, StochasticDepth};

use crate::classifier::Classifier;
use crate::error::TrainingError;
use crate::recipe::Recipe;

/// What is left out at random in a step.
///
/// The numbers that a stage draws for a batch depend on the run's seed, step, batch and stage alone: they
/// are the same when the stage runs again, when a run is resumed, and with any number of threads.
#[derive(Debug, Clone)]
pub(crate) struct Draws {
    device: Device,
    seed: u64,
    drop_path: f64,
    head_dropout: f64,
}

impl Draws {
    /// The draws of a run on a device.
    pub(crate) fn new(device: &Device, recipe: &Recipe) -> Self {
        Self {
            device: device.clone().inner(),
            seed: recipe.seed,
            drop_path: recipe.drop_path,
            head_dropout: recipe.head_dropout,
        }
    }

    /// Checks that the model has what the recipe leaves out.
    ///
    /// # Errors
    ///
    /// [`TrainingError::Setting`] otherwise.
    pub(crate) fn check<M: Classifier>(model: &M, recipe: &Recipe) -> Result<(), TrainingError> {
        let stages = model.staged().map_or_else(Vec::new, Staged::stages);
        let has_branches = stages.iter().any(|stage| stage.depth().is_some());
        let settings = [
            (
                "the probability of stochastic depth",
                recipe.drop_path,
                "0 for a model without stochastic depth",
                has_branches,
            ),
            (
                "the dropout of the head",
                recipe.head_dropout,
                "0 for a model that is no sequence of stages",
                !stages.is_empty(),
            ),
        ];
        for (name, value, wanted, possible) in settings {
            if value > 0.0 && !possible {
                let value = value.to_string();
                return Err(TrainingError::Setting {
                    name,
                    value,
                    wanted,
                });
            }
        }
        Ok(())
    }

    /// The draws for batch `batch` of a step.
    pub(crate) fn of_batch(&self, step: usize, batch: usize) -> Self {
        Self {
            seed: mixed(mixed(self.seed, step), batch),
            ..self.clone()
        }
    }

    /// Seeds the device for one stage.
    pub(super) fn start(&self, stage: usize) {
        self.device.seed(mixed(self.seed, stage));
    }

    /// Runs a stage of a network, of which the last one is the head.
    pub(super) fn forward(
        &self,
        stages: &[Stage<'_>],
        index: usize,
        features: Features,
    ) -> Features {
        self.start(index);
        let (stage, seed) = (&stages[index], mixed(self.seed, index));
        if index + 1 == stages.len() && self.head_dropout > 0.0 {
            return stage.forward(dropped(features, self.head_dropout, seed));
        }
        let probability = stage.depth().unwrap_or(0.0) * self.drop_path;
        if probability <= 0.0 {
            return stage.forward(features);
        }
        let images = features.dims()[0];
        let of_branch = |branch| factors(images, probability, mixed(seed, branch));
        stage.forward_with(features, StochasticDepth::new(&of_branch))
    }
}

/// Independent factors whose mean is 1: 0 with a probability, and otherwise the inverse of the
/// probability that it is not.
fn factors(count: usize, probability: f64, seed: u64) -> Vec<f32> {
    #[allow(clippy::cast_possible_truncation)]
    let kept = (1.0 / (1.0 - probability)) as f32;
    let one = |index| {
        // The upper 53 bits as a number from 0 to 1.
        #[allow(clippy::cast_precision_loss)]
        let uniform = (mixed(seed, index) >> 11) as f64 * 2.0_f64.powi(-53);
        if uniform < probability { 0.0 } else { kept }
    };
    (0..count).map(one).collect()
}

/// Dropout: each value times a factor of its own.
fn dropped(features: Features, probability: f64, seed: u64) -> Features {
    fn scaled<const D: usize>(x: Tensor<D>, probability: f64, seed: u64) -> Tensor<D> {
        let shape = x.dims();
        let factors = factors(shape.iter().product(), probability, seed);
        let factors = Tensor::from_data(TensorData::new(factors, shape), &x.device());
        x * factors
    }
    match features {
        Features::Vectors(x) => scaled(x, probability, seed).into(),
        Features::Tokens(x) => scaled(x, probability, seed).into(),
        Features::Maps(x) => scaled(x, probability, seed).into(),
    }
}

/// The output of SplitMix64 (Steele et al. 2014) for `seed`, `number` steps on.
fn mixed(seed: u64, number: usize) -> u64 {
    let mut z = seed.wrapping_add((number as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use burn::module::{Module, ModuleVisitor, Param};
    use finetune_model::{Architecture, Feature};

    use super::*;
    use crate::recipe::Optimizer;

    fn recipe(drop_path: f64, head_dropout: f64) -> Recipe {
        Recipe {
            drop_path,
            head_dropout,
            seed: 5,
            ..Recipe::new(Optimizer::Adam, 0.001)
        }
    }

    #[test]
    fn factors_are_0_as_often_as_asked_for_and_keep_the_mean() {
        const COUNT: u16 = 40_000;
        for (probability, kept) in [(0.1, 1.0 / 0.9), (0.5, 2.0), (0.75, 4.0)] {
            let found = factors(usize::from(COUNT), probability, 3);
            assert!(
                found
                    .iter()
                    .all(|one| *one == 0.0 || (one - kept).abs() < 1e-6)
            );
            let zeros = found.iter().filter(|one| **one == 0.0).count();
            let share = f64::from(u32::try_from(zeros).unwrap()) / f64::from(COUNT);
            // Five standard deviations of a binomial share.
            let deviation = (probability * (1.0 - probability) / f64::from(COUNT)).sqrt();
            assert!((share - probability).abs() < 5.0 * deviation, "{share}");
            let mean = found.iter().copied().map(f64::from).sum::<f64>() / f64::from(COUNT);
            assert!(
                (mean - 1.0).abs() < 5.0 * deviation * f64::from(kept),
                "{mean}"
            );
            // Another seed leaves out others; a longer batch begins with the same.
            assert_ne!(found, factors(usize::from(COUNT), probability, 4));
            assert_eq!(factors(9, probability, 3), found[..9]);
        }
    }

    #[test]
    fn blocks_are_left_out_with_their_probability() {
        let draws = Draws::new(&Device::flex(), &recipe(0.4, 0.0));
        let device = Device::flex();
        let network = Architecture::find("convnext_tiny")
            .unwrap()
            .build(5, 0, &device);
        let stages = network.staged().unwrap().stages();
        // The last block: after the stem, 18 blocks and 3 downsamplings, the mean, the normalisation and
        // the head. It has the probability itself; the ninth block of the third stage, 14 / 17 of it.
        let blocks: Vec<usize> = (0..stages.len())
            .filter(|index| stages[*index].depth().is_some())
            .collect();
        assert_eq!(blocks.len(), 18);
        for (block, probability) in [(0, 0.0), (17, 0.4), (14, 0.4 * 14.0 / 17.0)] {
            let stage = &stages[blocks[block]];
            let found = stage.depth().unwrap() * draws.drop_path;
            assert!((found - probability).abs() < 1e-12, "{block}");
        }
        // An image of which the last block is left out passes it unchanged.
        let index = blocks[17];
        let unchanged = (1..=60).map(|step| {
            let x = Tensor::<4>::ones([8, 768, 1, 1], &device);
            let draws = draws.of_batch(step, 0);
            // The scale of a new block is tiny: exact equality shows that it was left out.
            let y = Tensor::<4>::of(draws.forward(&stages, index, x.clone().into()));
            let changed = (y - x).abs().max_dim(1).into_data();
            changed.iter::<f32>().filter(|most| *most == 0.0).count()
        });
        let unchanged: usize = unchanged.sum();
        // 480 draws with 0.4: 192, give or take five standard deviations of 10.7.
        assert!((139..=245).contains(&unchanged), "{unchanged}");
    }

    /// The gradient of the sum of the logits with respect to the head's weights.
    struct OfHead<'a>(&'a burn::tensor::Gradients, Vec<f32>);

    impl ModuleVisitor for OfHead<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let (2, Some(gradient)) = (D, param.val().grad(self.0)) {
                self.1 = gradient.into_data().iter::<f32>().collect();
            }
        }
    }

    #[test]
    fn dropout_before_the_head_leaves_out_inputs_of_the_head_alone() {
        let device = Device::flex().autodiff();
        let network = Architecture::find("resnet8").unwrap().build(3, 0, &device);
        let stages = network.staged().unwrap().stages();
        let head = stages.len() - 1;
        let x = Tensor::<2>::ones([1, 64], &device);
        let draws = Draws::new(&device, &recipe(0.0, 0.25)).of_batch(1, 0);
        let logits = Tensor::<2>::of(draws.forward(&stages, head, x.clone().into()));
        let gradients = logits.sum().backward();
        let mut visitor = OfHead(&gradients, Vec::new());
        network.visit(&mut visitor);
        // The gradient of a weight is its input: 0 or 4/3, the same for the three classes.
        let weights = visitor.1;
        assert_eq!(weights.len(), 64 * 3);
        let zeros = weights.iter().filter(|value| **value == 0.0).count();
        assert!(zeros % 3 == 0 && (3..90).contains(&zeros), "{zeros}");
        let others = weights.iter().filter(|value| **value != 0.0);
        assert!(
            others
                .copied()
                .all(|value| (value - 4.0 / 3.0).abs() < 1e-6)
        );
        // Other stages get their input as it is; so does the head without a recipe that says so.
        let maps = Tensor::<4>::ones([1, 64, 2, 2], &device);
        let mean = Tensor::<2>::of(draws.forward(&stages, head - 1, maps.into()));
        assert!(
            mean.into_data()
                .iter::<f32>()
                .all(|value| (value - 1.0).abs() < 1e-6)
        );
        let off = Draws::new(&device, &recipe(0.0, 0.0)).of_batch(1, 0);
        let plain = off.forward(&stages, head, x.clone().into()).into_data();
        assert_eq!(plain, stages[head].forward(x.into()).into_data());
    }

    #[test]
    fn a_model_without_stochastic_depth_is_named() {
        let device = Device::flex();
        let of = |name: &str| {
            let network = Architecture::find(name).unwrap().build(5, 0, &device);
            Draws::check(&network, &recipe(0.1, 0.2)).map_err(|error| error.to_string())
        };
        let error = "the probability of stochastic depth is 0.1, but must be 0 for a model without \
                     stochastic depth";
        assert_eq!(of("resnet8").unwrap_err(), error);
        assert_eq!(of("mobilenet_v2"), Ok(()));
    }

    #[test]
    fn seeds_are_the_outputs_of_splitmix64() {
        // The first outputs of the reference implementation (Vigna's splitmix64.c) for the seeds 0 and
        // 1234567.
        assert_eq!(mixed(0, 0), 0xE220_A839_7B1D_CDAF);
        assert_eq!(mixed(0, 1), 0x6E78_9E6A_A1B9_65F4);
        assert_eq!(mixed(0, 2), 0x06C4_5D18_8009_454F);
        assert_eq!(mixed(1_234_567, 0), 6_457_827_717_110_365_317);
        assert_eq!(mixed(1_234_567, 1), 3_203_168_211_198_807_973);
    }
}
