//! Which images, how many, and of what size.

use std::path::PathBuf;

use anyhow::{Result, bail};
use finetune_data::sources::{description, typed};
use finetune_data::{Fit, Fold, OnBadImage, Preprocess, Sampling};

use super::range::at_least_1;
use crate::flags::define::choice::of;
use crate::flags::define::{About, Flag, Resume, choice, value, value_by};
use crate::flags::process::Few;
use crate::flags::task::Task;
use crate::terminal::exit::Usage;

pub(super) fn flags() -> Vec<Flag> {
    let mut flags = data_set();
    flags.extend(parts());
    flags.extend(images());
    flags
}

fn data_set() -> Vec<Flag> {
    vec![
        value("data", "PATH")
            .help("Image folder, manifest, Parquet or IDX files, or a built-in data set")
            .details(format!(
                "{}. Parts are `train` and `test`, and `valid` if there is one, in any common form of \
                 these names; without them, a quarter of the images is held out for testing. A manifest \
                 has a path and a label per image. `embedded` are photographs of hands that show the \
                 numbers 0 to 4, part of the program; `fashion-mnist` is five classes of Debian's \
                 package dataset-fashion-mnist. If there is a folder of that name, the folder is used, \
                 and the data set is `built-in:embedded`. See docs/data.md.",
                description()
            ))
            .default("embedded")
            .sets(|run, path: PathBuf| -> Result<()> {
                if path.to_str().is_none() {
                    let path = finetune_files::quoted_path(&path);
                    bail!(Usage(format!("the path {path} is not UTF-8; rename the folder")));
                }
                // `embedded` in a configuration is the built-in data set, a folder is `./embedded`.
                run.data.path = typed(&path);
                Ok(())
            }),
        value("image-size", "PIXELS")
            .help("Side of the square images, in pixels")
            .default_is("the model's")
            .details(format!("From 1 to {}.", Preprocess::MOST_SIDE))
            .sets_base(
                |base, side| base.image_size = Some(side),
                Resume::Rule(|base, plan| {
                    let mut runs = plan.runs.iter();
                    Ok(runs.all(|run| base.image_size == Some(run.data.image_size)))
                }),
            ),
        value("train-per-class", "N")
            .help("Use only N training images per class, chosen by the seed")
            .default_is("all")
            .sets(|run, images| -> Result<()> {
                run.data.train_per_class = Some(at_least_1("train-per-class", images)?);
                Ok(())
            }),
        value_by("few", "N", Few::parse)
            .help("Then do the same with only N training images per class, or `off`")
            .details(
                "With few images pretraining shows, and methods can differ that are equal with many. The \
                 runs are those of --train-per-class N, in the folder few-N within --out; the report has \
                 both results.",
            )
            .default_is("25 with the embedded images, otherwise off")
            .only(&[Task::Compare])
            .sets_process(|process, few| process.few = Some(few))
            .resume(Resume::Conflict),
    ]
}

/// Which images train, validate and test.
fn parts() -> Vec<Flag> {
    vec![
        value("valid-fraction", "FRACTION")
            .help("Fraction of the training images to hold out for validation")
            .details(
                "At least 0 and below 1, of each class. Without effect if the data set has validation \
                 images of its own. Training images for --train-per-class are chosen from the others.",
            )
            .default_is("0.1 if there are 500 training images and 40 of each class, otherwise 0")
            .sets(|run, fraction| -> Result<()> {
                if !(0.0..1.0).contains(&fraction) {
                    bail!(Usage(format!(
                        "--valid-fraction is {fraction}, but must be at least 0 and below 1"
                    )));
                }
                run.data.valid_fraction = Some(fraction);
                Ok(())
            }),
        value("group-by", "PATTERN")
            .help("Keep images together whose file names have the same match of PATTERN")
            .details(
                "A regular expression; the part in parentheses counts, if there is one: \
                 '^(cow[0-9]+)_' for cow7_1.jpg and cow7_2.jpg. So images of one animal, patient or \
                 burst are all for training, all for validation or all for testing. A column `group` \
                 of a manifest or a Parquet file does the same.",
            )
            .default_is("each image for itself")
            .sets(|run, pattern: String| run.data.group_by = Some(pattern)),
        value("folds", "K")
            .help("Cross-validation: split the images into K folds; needs --fold")
            .details(
                "At least 2. Each class is distributed evenly over the folds. The fold that is held \
                 out serves for testing, or for validation if the data set has test images.",
            )
            .requires("fold")
            .conflicts_with("valid-fraction")
            .sets(|run, of| run.data.fold = Some(Fold { index: 0, of }))
            .resume(Resume::Together("folds")),
        value("fold", "I")
            .help("Fold to hold out, from 1 to K")
            .requires("folds")
            .sets(|run, index| -> Result<()> {
                // `--folds` comes before.
                let of = run.data.fold.map_or(0, |fold| fold.of);
                if of < 2 || !(1..=of).contains(&index) {
                    bail!(Usage(format!(
                        "--fold {index} of --folds {of}: there must be at least 2 folds, and they \
                         count from 1"
                    )));
                }
                run.data.fold = Some(Fold { index, of });
                Ok(())
            })
            .resume(Resume::Together("folds")),
    ]
}

/// How images are read and chosen.
fn images() -> Vec<Flag> {
    vec![
        choice(
            "sampling",
            [
                of(Sampling::Shuffled, "Every image once, in random order"),
                of(
                    Sampling::Balanced,
                    "Equally many images of each class, in an epoch of the same length",
                ),
            ],
        )
        .help("How an epoch chooses its images")
        .default("shuffled")
        .sets(|run, sampling| run.data.sampling = sampling)
        .about(About::Steps),
        choice(
            "fit",
            [
                of(
                    Fit::Crop,
                    "Resize the shorter side and crop the centre, as ImageNet's recipes do",
                ),
                of(
                    Fit::Squash,
                    "Resize the whole picture to the square, whatever its proportions",
                ),
                of(
                    Fit::Pad,
                    "Resize the whole picture into the square, on black",
                ),
            ],
        )
        .help("How pictures that are not square become square")
        .details(
            "For training images without random crops, and for all images that are validated, \
             tested or predicted.",
        )
        .default("squash")
        .sets(|run, fit| run.data.fit = fit),
        choice(
            "on-bad-image",
            [
                of(
                    OnBadImage::Fail,
                    "Stop before training, with an error that names it",
                ),
                of(OnBadImage::Skip, "Leave it out and list it in the report"),
            ],
        )
        .help("What to do about an image that cannot be read")
        .default("fail")
        .sets(|run, then| run.data.pipeline.on_bad_image = then),
        value("max-pixels", "N")
            .help("Reject images with more than N pixels")
            .default_is("100 million")
            .sets(|run, pixels| -> Result<()> {
                run.data.max_pixels = Some(at_least_1("max-pixels", pixels)?);
                Ok(())
            }),
    ]
}
