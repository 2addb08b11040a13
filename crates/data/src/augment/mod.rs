//! Random changes of training images, from published recipes.

mod affine;
mod draw;
mod mix;
mod pillow;
mod rand_augment;
mod rectangle;
mod tone;
mod warp;

use serde::{Deserialize, Serialize};

pub(crate) use self::mix::Mix;
pub use self::rand_augment::RandAugment;
use crate::images::StoredSize;

/// Which random changes an image gets; the default is none.
///
/// They are made in this order: crop, mirroring, `RandAugment`, colours, shift with turn and zoom,
/// then, on normalised values, erasing and mixing.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augment {
    /// A part of the picture becomes the image (Szegedy et al. 2015, "Going deeper with
    /// convolutions"; torchvision's `RandomResizedCrop`). It needs images that were kept whole
    /// ([`StoredSize::Whole`]).
    pub crop: Option<Crop>,
    /// Left and right change places in half of the images.
    pub flip: bool,
    /// Operations at random (Cubuk et al. 2019, `RandAugment`, arXiv:1909.13719).
    pub rand_augment: Option<RandAugment>,
    /// Brightness times `1 ± this` at most (torchvision's `ColorJitter`).
    pub brightness: f32,
    /// Contrast times `1 ± this` at most (torchvision's `ColorJitter`).
    pub contrast: f32,
    /// Saturation times `1 ± this` at most (torchvision's `ColorJitter`).
    pub saturation: f32,
    /// Hue moved by up to this share of the colour circle either way, at most 0.5 (torchvision's
    /// `ColorJitter`).
    pub hue: f32,
    /// Moved by up to this many pixels either way in both directions.
    pub shift: usize,
    /// Turned by up to this many degrees either way.
    pub rotate: f32,
    /// Enlarged or reduced by up to this share: `1 ± this`, never below a tenth.
    pub scale: f32,
    /// Share of the images a rectangle of which becomes noise (Zhong et al. 2017, "Random Erasing
    /// Data Augmentation", arXiv:1708.04896; areas and ratios as torchvision's `RandomErasing`).
    pub erasing: f32,
    /// Images are blended with others, shares from `Beta(this, this)` (Zhang et al. 2017, mixup,
    /// arXiv:1710.09412); 0 is off.
    pub mixup: f32,
    /// A rectangle of another image is pasted, areas from `Beta(this, this)` (Yun et al. 2019,
    /// `CutMix`, arXiv:1905.04899); 0 is off. Where both are on, each is for half of the images.
    pub cutmix: f32,
}

/// Which parts of a picture become images.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Crop {
    /// Least and largest share of the picture's area.
    pub scale: [f32; 2],
    /// Least and largest width of a part in units of its height, before it is resized.
    pub ratio: [f32; 2],
}

impl Crop {
    /// Parts of `least` of the area or more, ratios from 3:4 to 4:3 as in the paper.
    #[must_use]
    pub fn from(least: f32) -> Self {
        Self {
            scale: [least, 1.0],
            ratio: [3.0 / 4.0, 4.0 / 3.0],
        }
    }
}

impl Augment {
    /// Small shifts, turns and zooms.
    #[must_use]
    pub fn light() -> Self {
        Self {
            shift: 4,
            rotate: 10.0,
            scale: 0.1,
            ..Self::default()
        }
    }

    /// Crops of 35 % of the area or more, mirroring and colours: fastai's for photographs.
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

    /// Crops of 8 % of the area or more, mirroring, `RandAugment` of two operations of magnitude 9,
    /// erasing in a quarter of the images: what timm and `DeiT` (Touvron et al. 2021) train with.
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

    /// What is out of its range: the setting, its value, and the range.
    ///
    /// # Errors
    ///
    /// The first such setting.
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

    /// Whether an image is changed by itself.
    pub(crate) fn changes(&self) -> bool {
        let by_itself = Self {
            mixup: 0.0,
            cutmix: 0.0,
            ..self.clone()
        };
        by_itself != Self::default()
    }

    /// Whether images are mixed.
    #[must_use]
    pub fn mixes(&self) -> bool {
        self.mixup > 0.0 || self.cutmix > 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_in_range_and_come_back_from_json() {
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
        // What older runs wrote.
        let old =
            r#"{"flip":false,"shift":4,"rotate":10.0,"scale":0.1,"brightness":0.0,"contrast":0.0}"#;
        let old: Augment = serde_json::from_str(old).unwrap();
        assert_eq!(old, Augment::light());
    }

    #[test]
    fn what_is_out_of_range_is_told() {
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
