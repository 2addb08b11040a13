//! How large the images of a set are, from some of them.

use rayon::prelude::*;

use crate::images::{Preprocess, read};
use crate::sources::ImageSet;

/// Shorter sides of the images in pixels: smallest, median, largest. At most `most` images are decoded, evenly
/// spread over the set; those that cannot be read do not count. `None` if none can.
#[must_use]
pub fn shorter_sides(set: &ImageSet, most: usize) -> Option<[usize; 3]> {
    let step = set.len().div_ceil(most.max(1)).max(1);
    let limit = Preprocess::square(1).max_pixels;
    let chosen: Vec<_> = set.samples.iter().step_by(step).collect();
    let mut sides: Vec<usize> = chosen
        .par_iter()
        .filter_map(|sample| {
            let image = read(&sample.source, limit).ok()?;
            Some(image.height.min(image.width))
        })
        .collect();
    sides.sort_unstable();
    Some([*sides.first()?, sides[sides.len() / 2], *sides.last()?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::{Sample, Source};

    #[test]
    fn some_images_stand_for_all() {
        let folder = tempfile::tempdir().unwrap();
        let mut set = ImageSet {
            classes: vec!["a".to_owned()],
            samples: Vec::new(),
        };
        assert_eq!(shorter_sides(&set, 10), None);
        for side in 1..=9 {
            let path = folder.path().join(format!("{side}.png"));
            image::RgbImage::new(2 * side, side).save(&path).unwrap();
            set.samples.push(Sample::new(Source::File(path), 0));
        }
        assert_eq!(shorter_sides(&set, 9), Some([1, 5, 9]));
        // Every third one: 1, 4 and 7 pixels.
        assert_eq!(shorter_sides(&set, 3), Some([1, 4, 7]));
        std::fs::write(folder.path().join("1.png"), "no image").unwrap();
        assert_eq!(shorter_sides(&set, 3), Some([4, 7, 7]));
    }
}
