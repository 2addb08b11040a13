//! Random changes of training images, as in published recipes.

mod affine;
mod draw;
mod mirror;
mod mix;
mod pillow;
mod rand_augment;
mod rectangle;
mod tone;
mod warp;

use serde::{Deserialize, Serialize};

pub use self::mirror::not_mirrored;
pub(crate) use self::mix::Mix;
pub use self::rand_augment::RandAugment;
use crate::images::StoredSize;

/// The random changes of training images; by default none.
///
/// They are made in this order: crop, flip, `RandAugment`, colours, shift with rotation and zoom, then, on
/// normalised values, erasing and mixing.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augment {
    /// A random part of the picture becomes the image (Szegedy et al. 2015, "Going deeper with
    /// convolutions"; torchvision's `RandomResizedCrop`). The images must be stored as
    /// [`StoredSize::Whole`].
    pub crop: Option<Crop>,
    /// Half of the images are mirrored left to right.
    pub flip: bool,
    /// Random operations (Cubuk et al. 2019, `RandAugment`, arXiv:1909.13719).
    pub rand_augment: Option<RandAugment>,
    /// Brightness is multiplied by a factor in `1 ± this` (torchvision's `ColorJitter`).
    pub brightness: f32,
    /// Contrast is multiplied by a factor in `1 ± this` (torchvision's `ColorJitter`).
    pub contrast: f32,
    /// Saturation is multiplied by a factor in `1 ± this` (torchvision's `ColorJitter`).
    pub saturation: f32,
    /// Hue is shifted by up to this share of the colour circle in either direction, at most 0.5
    /// (torchvision's `ColorJitter`).
    pub hue: f32,
    /// Images are shifted by up to this many pixels in both directions of both axes.
    pub shift: usize,
    /// Images are rotated by up to this many degrees in either direction.
    pub rotate: f32,
    /// Images are scaled by a factor in `1 ± this`, at least 0.1.
    pub scale: f32,
    /// Share of the images in which a rectangle is replaced by noise (Zhong et al. 2017, "Random Erasing
    /// Data Augmentation", arXiv:1708.04896; areas and ratios as in torchvision's `RandomErasing`).
    pub erasing: f32,
    /// Images are blended with others, with shares from `Beta(this, this)` (Zhang et al. 2017, mixup,
    /// arXiv:1710.09412); 0 is off.
    pub mixup: f32,
    /// A rectangle of another image is pasted, with areas from `Beta(this, this)` (Yun et al. 2019,
    /// `CutMix`, arXiv:1905.04899); 0 is off. If mixup is on as well, each is for half of the images.
    pub cutmix: f32,
}

/// The parts of a picture that random crops take.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Crop {
    /// Smallest and largest area, as a share of that of the picture.
    pub scale: [f32; 2],
    /// Smallest and largest ratio of width to height before resizing.
    pub ratio: [f32; 2],
}

impl Crop {
    /// Areas from `least` to 1 and ratios from 3:4 to 4:3, as in the paper.
    #[must_use]
    pub fn from(least: f32) -> Self {
        Self {
            scale: [least, 1.0],
            ratio: [3.0 / 4.0, 4.0 / 3.0],
        }
    }
}

impl Augment {
    /// Small shifts, rotations and zooms.
    #[must_use]
    pub fn light() -> Self {
        Self {
            shift: 4,
            rotate: 10.0,
            scale: 0.1,
            ..Self::default()
        }
    }

    /// Crops of 35 % of the area or more, flips and colours: fastai's default for photographs.
    #[must_use]
    pub fn standard() -> Self {
        Self {
            crop: Some(Crop::from(0.35)),
            flip: true,
            brightness: 0.2,
            contrast: 0.2,
            saturation: 0.2,
            ..Self::default()
        }
    }

    /// Crops of 8 % of the area or more, flips, `RandAugment` with two operations of magnitude 9 of
    /// torchvision's scale of 30, and erasing in a quarter of the images.
    ///
    /// These are the kinds of changes that `DeiT` (Touvron et al. 2021) trains with, at a third of the
    /// strength: its `rand-m9-mstd0.5-inc1` is magnitude 9 of timm's scale of 10, which is 27 here.
    #[must_use]
    pub fn strong() -> Self {
        Self {
            crop: Some(Crop::from(0.08)),
            flip: true,
            rand_augment: Some(RandAugment::default()),
            erasing: 0.25,
            ..Self::default()
        }
    }

    /// Checks the ranges of the settings.
    ///
    /// # Errors
    ///
    /// The first setting that is out of its range: its name, its value, and the range.
    pub fn check(&self) -> Result<(), (&'static str, String, &'static str)> {
        let within = |name, value: f32, most: f32, wanted| {
            if (0.0..=most).contains(&value) {
                Ok(())
            } else {
                Err((name, value.to_string(), wanted))
            }
        };
        within("random erasing", self.erasing, 1.0, "from 0 to 1")?;
        within("mixup", self.mixup, 100.0, "from 0 (off) to 100")?;
        within("CutMix", self.cutmix, 100.0, "from 0 (off) to 100")?;
        within("the change of hue", self.hue, 0.5, "from 0 to 0.5")?;
        let tones = [
            ("the change of brightness", self.brightness),
            ("the change of contrast", self.contrast),
            ("the change of saturation", self.saturation),
        ];
        for (name, value) in tones {
            within(name, value, 100.0, "from 0 to 100")?;
        }
        within("the rotation", self.rotate, 360.0, "from 0 to 360 degrees")?;
        within("the change of scale", self.scale, 100.0, "from 0 to 100")?;
        if self.shift > 10_000 {
            return Err(("the shift", self.shift.to_string(), "at most 10000 pixels"));
        }
        if let Some(Crop { scale, ratio }) = self.crop {
            let ordered = |[low, high]: [f32; 2], most| 0.0 < low && low <= high && high <= most;
            if !ordered(scale, 1.0) {
                return Err((
                    "the area of crops",
                    format!("{scale:?}"),
                    "above 0 and at most 1, the smaller first",
                ));
            }
            if !ordered(ratio, 100.0) {
                return Err((
                    "the ratio of crops",
                    format!("{ratio:?}"),
                    "above 0, the smaller first",
                ));
            }
        }
        if let Some(RandAugment {
            operations,
            magnitude,
        }) = self.rand_augment
            && (operations > 14 || magnitude > RandAugment::LARGEST)
        {
            return Err((
                "RandAugment",
                format!("{operations},{magnitude}"),
                "at most 14 operations of a magnitude of at most 30",
            ));
        }
        Ok(())
    }

    /// The size at which training images must be stored for this augmentation.
    #[must_use]
    pub fn stored_size(&self) -> StoredSize {
        match self.crop {
            Some(_) => StoredSize::Whole,
            None => StoredSize::Fitted,
        }
    }

    /// Whether images are changed apart from mixing.
    pub(crate) fn changes(&self) -> bool {
        let without_mixing = Self {
            mixup: 0.0,
            cutmix: 0.0,
            ..self.clone()
        };
        without_mixing != Self::default()
    }

    /// Whether images are mixed with each other.
    #[must_use]
    pub fn mixes(&self) -> bool {
        self.mixup > 0.0 || self.cutmix > 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_in_range_and_survive_a_round_trip_through_json() {
        for augment in [
            Augment::default(),
            Augment::light(),
            Augment::standard(),
            Augment::strong(),
        ] {
            augment.check().unwrap();
            let text = serde_json::to_string(&augment).unwrap();
            assert_eq!(serde_json::from_str::<Augment>(&text).unwrap(), augment);
        }
        // Older versions wrote settings in this form.
        let old =
            r#"{"flip":false,"shift":4,"rotate":10.0,"scale":0.1,"brightness":0.0,"contrast":0.0}"#;
        let old: Augment = serde_json::from_str(old).unwrap();
        assert_eq!(old, Augment::light());
    }

    #[test]
    fn the_first_setting_out_of_range_is_named() {
        let wrong = |augment: Augment| augment.check().unwrap_err().0;
        let none = Augment::default;
        assert_eq!(
            wrong(Augment {
                erasing: 1.5,
                ..none()
            }),
            "random erasing"
        );
        assert_eq!(
            wrong(Augment {
                mixup: -1.0,
                ..none()
            }),
            "mixup"
        );
        assert_eq!(
            wrong(Augment {
                cutmix: f32::NAN,
                ..none()
            }),
            "CutMix"
        );
        assert_eq!(
            wrong(Augment {
                crop: Some(Crop::from(0.0)),
                ..none()
            }),
            "the area of crops"
        );
        let much = RandAugment {
            operations: 2,
            magnitude: 31,
        };
        assert_eq!(
            wrong(Augment {
                rand_augment: Some(much),
                ..none()
            }),
            "RandAugment"
        );
    }
}
