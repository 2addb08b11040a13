//! Stochastic depth: residual branches that are left out at random while training.
//!
//! Huang et al. 2016 (arXiv:1603.09382), with a choice per image, as timm's `DropPath` and torchvision's
//! `StochasticDepth` in its mode `row`.

use burn::Tensor;
use burn::tensor::TensorData;

/// Which residual branches of a stage are left out, for each image of a batch.
#[derive(Clone, Copy)]
pub struct StochasticDepth<'a>(Option<&'a dyn Fn(usize) -> Vec<f32>>);

impl<'a> StochasticDepth<'a> {
    /// All branches count, as in evaluation.
    pub const OFF: Self = Self(None);

    /// `factors` returns what the values of a branch of the stage (from 0) are multiplied by, one factor
    /// per image: 0 if the branch is left out, otherwise the inverse of the probability that it is not,
    /// so that the mean stays the same.
    #[must_use]
    pub fn new(factors: &'a dyn Fn(usize) -> Vec<f32>) -> Self {
        Self(Some(factors))
    }

    pub(super) fn is_on(self) -> bool {
        self.0.is_some()
    }

    /// The values of a branch, whose first axis is the batch.
    pub(super) fn scaled<const D: usize>(self, branch: usize, values: Tensor<D>) -> Tensor<D> {
        let Some(factors) = self.0 else {
            return values;
        };
        let factors = factors(branch);
        let mut shape = [1; D];
        shape[0] = factors.len();
        let factors = TensorData::new(factors, shape);
        let factors = Tensor::<D>::from_data(factors, &values.device());
        values * factors
    }
}

#[cfg(test)]
mod tests {
    use burn::module::Module;
    use burn::tensor::{Device, TensorData};

    use super::*;
    use crate::networks::{ARCHITECTURES, Architecture, Features, Stage, Staged};

    /// The depths of the stages that have one.
    fn depths(name: &str) -> Vec<f64> {
        let network = Architecture::find(name)
            .unwrap()
            .uninitialized(5, &Device::flex());
        let stages = network.stages();
        stages.iter().filter_map(Stage::depth).collect()
    }

    #[test]
    #[allow(clippy::float_cmp)] // the same divisions
    fn depths_are_those_of_torchvision_and_timm() {
        // ConvNeXt-Tiny has 3, 3, 9 and 3 blocks, and a ViT has 12: block i of n has i / (n - 1).
        let convnext: Vec<f64> = (0..18).map(|block| f64::from(block) / 17.0).collect();
        assert_eq!(depths("convnext_tiny"), convnext);
        assert_eq!(convnext[17], 1.0);
        // Swin-T has 2, 2, 6 and 2.
        let swin: Vec<f64> = (0..12).map(|block| f64::from(block) / 11.0).collect();
        assert_eq!(depths("swin_t"), swin);
        let vit: Vec<f64> = (0..12).map(|block| f64::from(block) / 11.0).collect();
        assert_eq!(depths("vit_tiny_patch16_224"), vit);
        // EfficientNet-B0 has 1, 2, 2, 3, 3, 4 and 1 blocks: block i of 16 has i / 16.
        let efficientnet: Vec<f64> = (0..16).map(|block| f64::from(block) / 16.0).collect();
        assert_eq!(depths("efficientnet_b0"), efficientnet);
        // Architectures say whether they have stochastic depth at all.
        for architecture in ARCHITECTURES {
            let has = !depths(architecture.name).is_empty();
            assert_eq!(
                architecture.drop_path.is_some(),
                has,
                "{}",
                architecture.name
            );
        }
        let published = |name: &str| {
            let found = Architecture::find(name).unwrap();
            (found.drop_path, found.head_dropout)
        };
        assert_eq!(published("convnext_tiny"), (Some(0.1), 0.0));
        assert_eq!(published("swin_t"), (Some(0.2), 0.0));
        assert_eq!(published("swin_s"), (Some(0.3), 0.0));
        assert_eq!(published("swin_v2_b"), (Some(0.5), 0.0));
        assert_eq!(published("vgg16"), (None, 0.5));
        assert_eq!(published("efficientnet_b0"), (Some(0.2), 0.2));
        assert_eq!(published("mobilenet_v2"), (Some(0.0), 0.2));
        assert_eq!(published("vit_b_16"), (Some(0.0), 0.0));
        assert_eq!(published("resnet50"), (None, 0.0));
    }

    /// A block of each kind, and the shape of its input.
    fn cases() -> [(&'static str, &'static str, Vec<usize>); 4] {
        let swin = "swin_tiny_patch4_window7_224";
        [
            ("convnext_tiny", "stages.0.blocks.1", vec![3, 96, 4, 4]),
            (swin, "stages.0.blocks.1", vec![3, 9, 8, 96]),
            ("vit_tiny_patch16_224", "blocks.3", vec![3, 5, 192]),
            ("efficientnet_b0", "blocks.2", vec![3, 24, 4, 4]),
        ]
    }

    fn input(shape: &[usize], device: &Device) -> Features {
        let count: usize = shape.iter().product();
        #[allow(clippy::cast_precision_loss)]
        let values: Vec<f32> = (0..count).map(|i| (i as f32 * 0.7).sin()).collect();
        Features::from_data(TensorData::new(values, shape.to_vec()), device)
    }

    fn values(features: Features) -> Vec<f32> {
        features.into_data().iter::<f32>().collect()
    }

    #[test]
    fn an_image_whose_branches_are_left_out_passes_unchanged_and_has_no_gradient() {
        for (name, path, shape) in cases() {
            let device = Device::flex().autodiff();
            let architecture = Architecture::find(name).unwrap();
            let network = architecture.build(5, 0, &device);
            let stages = network.stages();
            let stage = stages.iter().find(|stage| stage.holds(path)).unwrap();
            let per_image = shape[1..].iter().product::<usize>();
            let x = input(&shape, &device);
            // With factors of 1, and without them, it is the same stage.
            let plain = values(stage.forward(x.clone()));
            let ones = |_| vec![1.0; 3];
            let all = values(stage.forward_with(x.clone(), StochasticDepth::new(&ones)));
            for (all, plain) in all.iter().zip(&plain) {
                assert!((all - plain).abs() <= 1e-6 * plain.abs().max(1.0), "{name}");
            }
            // The second of three images passes unchanged.
            let some = |_| vec![1.0, 0.0, 1.0];
            let some = values(stage.forward_with(x.clone(), StochasticDepth::new(&some)));
            let image = |values: &[f32], index: usize| {
                values[index * per_image..(index + 1) * per_image].to_vec()
            };
            assert_eq!(image(&some, 1), image(&values(x.clone()), 1), "{name}");
            for index in [0, 2] {
                assert_eq!(image(&some, index), image(&all, index), "{name}");
            }
            // Without branches no parameter of the stage has a gradient unlike 0.
            let norm = |factor: f32| {
                let factors = |_| vec![factor; 3];
                let y = stage.forward_with(x.clone(), StochasticDepth::new(&factors));
                let sum = match y {
                    Features::Tokens(y) => y.powi_scalar(2).sum(),
                    Features::Maps(y) => y.powi_scalar(2).sum(),
                    Features::Vectors(_) => unreachable!("blocks have tokens or maps"),
                };
                let gradients = sum.backward();
                let mut largest = Largest(&gradients, 0.0);
                network.visit(&mut largest);
                largest.1
            };
            assert!(norm(0.0).abs() <= 0.0, "{name}");
            assert!(norm(1.0) > 0.0, "{name}");
        }
    }

    /// The largest gradient of the parameters that have one.
    struct Largest<'a>(&'a burn::tensor::Gradients, f32);

    impl burn::module::ModuleVisitor for Largest<'_> {
        fn visit_float<const D: usize>(&mut self, param: &burn::module::Param<Tensor<D>>) {
            if let Some(gradient) = param.val().grad(self.0) {
                let most = gradient.abs().max().into_scalar::<f32>();
                self.1 = self.1.max(most);
            }
        }
    }

    #[test]
    fn branches_of_a_block_are_left_out_independently() {
        let device = Device::flex();
        let architecture = Architecture::find("vit_tiny_patch16_224").unwrap();
        let network = architecture.build(5, 0, &device);
        let stages = network.stages();
        let x = input(&[1, 5, 192], &device);
        let of = |factors: [f32; 2]| {
            let factors = move |branch: usize| vec![factors[branch]];
            values(stages[4].forward_with(x.clone(), StochasticDepth::new(&factors)))
        };
        let (both, attention, perceptron) = (of([1.0, 1.0]), of([1.0, 0.0]), of([0.0, 1.0]));
        assert!(both != attention && both != perceptron && attention != perceptron);
        // The branch that is kept counts for more: x + 2·f(x) is as far from x + f(x) as that from x.
        let (none, once, twice) = (of([0.0, 0.0]), of([0.0, 1.0]), of([0.0, 2.0]));
        for ((none, once), twice) in none.iter().zip(&once).zip(&twice) {
            assert!((twice - 2.0 * once + none).abs() < 1e-5);
        }
    }
}
