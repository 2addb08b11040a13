//! Random changes of the training images.

use clap::{Args, ValueEnum};
use finetune_data::Augment;
use finetune_data::augment::RandAugment;

/// A strength, and settings that change it.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Augmentation")]
pub struct AugmentArgs {
    /// Random changes of the training images
    #[arg(long, value_enum)]
    pub augment: Option<AugmentArg>,
    /// Show each image in so many ways and no more, which take turns over the epochs; what frozen
    /// layers make of them can be kept where there are fewer ways than epochs
    #[arg(long, value_name = "K")]
    pub augment_views: Option<usize>,
    /// Blend images with others, shares from Beta(A, A); 0.2 is usual
    #[arg(long, value_name = "A")]
    pub mixup: Option<f32>,
    /// Paste rectangles of other images, areas from Beta(A, A); 1 is usual
    #[arg(long, value_name = "A")]
    pub cutmix: Option<f32>,
    /// Make noise of a rectangle in this share of the images; 0.25 is usual
    #[arg(long, value_name = "SHARE")]
    pub random_erasing: Option<f32>,
    /// N operations of RandAugment of magnitude M, 0 to 30; 2,9 is usual
    #[arg(long, value_name = "N,M", value_parser = rand_augment)]
    pub rand_augment: Option<RandAugment>,
}

/// Strength of augmentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AugmentArg {
    /// None
    None,
    /// Small shifts, turns and zooms
    Light,
    /// The same with mirroring, brightness and contrast
    Full,
    /// Crops of 35 % of the picture or more, mirroring, colours
    Standard,
    /// Crops of 8 % of the picture or more, mirroring, RandAugment, random erasing
    Strong,
}

impl From<AugmentArg> for Augment {
    fn from(arg: AugmentArg) -> Self {
        match arg {
            AugmentArg::None => Self::default(),
            AugmentArg::Light => Self::light(),
            AugmentArg::Full => Self {
                flip: true,
                brightness: 0.2,
                contrast: 0.2,
                ..Self::light()
            },
            AugmentArg::Standard => Self::standard(),
            AugmentArg::Strong => Self::strong(),
        }
    }
}

impl AugmentArgs {
    /// What was typed in the place of what stands there.
    pub(crate) fn apply(&self, augment: &mut Augment) {
        if let Some(strength) = self.augment {
            *augment = strength.into();
        }
        augment.mixup = self.mixup.unwrap_or(augment.mixup);
        augment.cutmix = self.cutmix.unwrap_or(augment.cutmix);
        augment.erasing = self.random_erasing.unwrap_or(augment.erasing);
        augment.rand_augment = self.rand_augment.or(augment.rand_augment);
    }
}

fn rand_augment(text: &str) -> Result<RandAugment, String> {
    let numbers = text.split_once(',').and_then(|(operations, magnitude)| {
        Some(RandAugment {
            operations: operations.trim().parse().ok()?,
            magnitude: magnitude.trim().parse().ok()?,
        })
    });
    numbers.ok_or_else(|| "write two numbers with a comma between them, e.g. 2,9".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_change_a_strength() {
        let args = AugmentArgs {
            augment: Some(AugmentArg::Strong),
            mixup: Some(0.2),
            random_erasing: Some(0.0),
            rand_augment: Some(rand_augment("3, 5").unwrap()),
            ..AugmentArgs::default()
        };
        let mut augment = Augment::light();
        args.apply(&mut augment);
        let wanted = Augment {
            mixup: 0.2,
            erasing: 0.0,
            rand_augment: Some(RandAugment {
                operations: 3,
                magnitude: 5,
            }),
            ..Augment::strong()
        };
        assert_eq!(augment, wanted);
        // Without a strength, what stands there stays.
        let mut augment = Augment::light();
        AugmentArgs::default().apply(&mut augment);
        assert_eq!(augment, Augment::light());
        assert!(rand_augment("2").is_err() && rand_augment("2,x").is_err());
    }
}
