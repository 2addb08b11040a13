//! What the models of finished runs say about images.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use burn::Tensor;
use burn::tensor::Device;
use burn::tensor::activation::softmax;
use finetune_data::{FittedImage, Normalization, Picture, Preprocess, Source};
use finetune_model::{Feature, Network, Staged};

use crate::error::Error;
use crate::folder::finished::FinishedRun;
use crate::machine::device::device;
use crate::machine::threads;

/// The models of one or several finished runs, ready for images.
///
/// Several runs are an ensemble: the probability of a class is the mean of those that they give it. They
/// have the same classes, perhaps in another order, but may have different models and image sizes.
///
/// It is loaded once and may be used by many threads at the same time:
///
/// ```no_run
/// use std::path::Path;
/// use finetune::folder::{Answering, FinishedRun, Predictor};
///
/// let run = FinishedRun::open(Path::new("my-run"), None, None)?;
/// let predictor = Predictor::new(&run)?;
/// let photographs = [
///     predictor.read(Path::new("photo.jpg"))?,
///     predictor.decode("upload", &std::fs::read("other.png")?)?,
/// ];
/// for answer in predictor.predict(&photographs, Answering::default()) {
///     for (class, probability) in answer.top(3) {
///         println!("{}: {probability}", predictor.classes()[class]);
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Predictor {
    members: Vec<Member>,
    classes: Vec<String>,
    /// The ways in which the members want images, each once.
    preprocess: Vec<Preprocess>,
    max_pixels: u64,
}

/// The model of one run.
#[derive(Debug)]
struct Member {
    name: String,
    network: Network,
    normalization: Normalization,
    device: Device,
    /// Index of its preprocessing.
    preprocess: usize,
    /// For each class of the predictor, the index of its logit.
    logits: Vec<usize>,
}

/// An image that a predictor has decoded and resized for its models.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// One for each way in which the models want images.
    images: Vec<FittedImage>,
}

/// What is computed for an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Answering {
    /// In which views it is shown to the models.
    pub views: Views,
    /// Whether features are wanted.
    pub features: bool,
}

/// The views of an image that are shown to a model; the mean of the probabilities counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Views {
    /// The image as it is.
    #[default]
    One,
    /// The image, and with left and right exchanged.
    Flip,
}

/// What is known about an image.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The probability of each class, in the order of [`Predictor::classes`].
    pub probabilities: Vec<f32>,
    /// For each model, what its head was given for the image as it is; empty if it was not wanted.
    pub features: Vec<Vec<f32>>,
}

impl Answer {
    /// The `count` most probable classes and their probabilities, the most probable first; of equally
    /// probable ones, the first comes first.
    #[must_use]
    pub fn top(&self, count: usize) -> Vec<(usize, f32)> {
        let mut all: Vec<(usize, f32)> = self.probabilities.iter().copied().enumerate().collect();
        let order = |a: &(usize, f32), b: &(usize, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
        let count = count.min(all.len());
        if count < all.len() {
            all.select_nth_unstable_by(count, order);
            all.truncate(count);
        }
        all.sort_unstable_by(order);
        all
    }
}

impl Predictor {
    /// Loads a run's model.
    ///
    /// # Errors
    ///
    /// The run's files are missing or do not fit each other.
    pub fn new(run: &FinishedRun) -> Result<Self, Error> {
        Self::ensemble(std::slice::from_ref(run))
    }

    /// Loads the models of several runs. The order of the classes is that of the first one.
    ///
    /// # Errors
    ///
    /// There is no run, their files are missing or do not fit each other, or they were not trained on
    /// the same classes.
    pub fn ensemble(runs: &[FinishedRun]) -> Result<Self, Error> {
        let Some(first) = runs.first() else {
            return Err(Error::NoRuns);
        };
        let classes = first.classes()?;
        let mut predictor = Self {
            members: Vec::new(),
            classes,
            preprocess: Vec::new(),
            max_pixels: u64::MAX,
        };
        // Before a model is loaded, which may take long.
        let mut orders = Vec::new();
        for run in runs {
            let own = run.classes()?;
            orders.push(
                order(&predictor.classes, &own).map_err(|[missing, unknown]| {
                    let run = [first.label(), run.label()];
                    Error::OtherClasses {
                        run,
                        missing,
                        unknown,
                    }
                })?,
            );
        }
        for (run, logits) in runs.iter().zip(orders) {
            predictor.add(run, logits)?;
        }
        Ok(predictor)
    }

    fn add(&mut self, run: &FinishedRun, logits: Vec<usize>) -> Result<(), Error> {
        let config = run.config();
        let architecture = config.architecture()?;
        let preprocess = config.data.preprocess(&architecture);
        preprocess.check()?;
        let known = self.preprocess.iter().position(|one| *one == preprocess);
        let index = known.unwrap_or_else(|| {
            self.preprocess.push(preprocess);
            self.preprocess.len() - 1
        });
        self.max_pixels = self.max_pixels.min(preprocess.max_pixels);
        self.members.push(Member {
            name: run.label(),
            network: run.network(self.classes.len(), false)?,
            normalization: architecture.normalization,
            device: device(&config.device)?,
            preprocess: index,
            logits,
        });
        Ok(())
    }

    /// The names of the classes.
    #[must_use]
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The folders and names of the runs.
    #[must_use]
    pub fn runs(&self) -> Vec<&str> {
        let members = self.members.iter();
        members.map(|member| member.name.as_str()).collect()
    }

    /// Reads an image file and prepares it for the models.
    ///
    /// # Errors
    ///
    /// It cannot be read or decoded, or has too many pixels.
    pub fn read(&self, path: &Path) -> Result<Prepared, Error> {
        let source = Source::File(path.to_owned());
        self.prepare(&Picture::read(&source, self.max_pixels)?)
    }

    /// Decodes the bytes of an image file and prepares the image for the models; `name` is for messages.
    ///
    /// # Errors
    ///
    /// They cannot be decoded, or the image has too many pixels.
    pub fn decode(&self, name: &str, bytes: &[u8]) -> Result<Prepared, Error> {
        self.prepare(&Picture::decode(name, bytes, self.max_pixels)?)
    }

    /// Prepares an image that is decoded already for the models.
    ///
    /// # Errors
    ///
    /// It is so long and narrow that it would be too large after resizing.
    pub fn prepare(&self, picture: &Picture) -> Result<Prepared, Error> {
        let fitted = self.preprocess.iter().map(|one| picture.fitted(one));
        Ok(Prepared {
            images: fitted.collect::<Result<_, _>>()?,
        })
    }

    /// What the models say about images, which are computed as one batch: an answer for each, in order.
    ///
    /// Several threads may call this at the same time. The answer for an image is the same to rounding
    /// whatever the other images of the batch are.
    ///
    /// # Panics
    ///
    /// An image was prepared by another predictor.
    #[must_use]
    pub fn predict(&self, images: &[Prepared], answering: Answering) -> Vec<Answer> {
        if images.is_empty() {
            return Vec::new();
        }
        let computed: Vec<Computed> = self
            .members
            .iter()
            .map(|member| threads::within(|| member.compute(images, answering)))
            .collect();
        (0..images.len())
            .map(|image| self.answer(image, &computed))
            .collect()
    }

    /// The answer for one image of a batch.
    fn answer(&self, image: usize, computed: &[Computed]) -> Answer {
        let classes = self.classes.len();
        let probability = |class: usize| {
            let members = self.members.iter().zip(computed);
            let each = members.flat_map(|(member, computed)| {
                let at = image * classes + member.logits[class];
                computed.probabilities.iter().map(move |view| view[at])
            });
            mean(each)
        };
        let features = computed.iter().filter_map(|computed| {
            let features = computed.features.as_ref()?;
            Some(
                features
                    .chunks_exact(features.len() / computed.images)
                    .nth(image)?
                    .to_vec(),
            )
        });
        Answer {
            probabilities: (0..classes).map(probability).collect(),
            features: features.collect(),
        }
    }
}

/// What a model says about the images of a batch.
struct Computed {
    images: usize,
    /// For each view `[images, classes]`.
    probabilities: Vec<Vec<f32>>,
    /// `[images, width]`, of the first view.
    features: Option<Vec<f32>>,
}

impl Member {
    fn compute(&self, images: &[Prepared], answering: Answering) -> Computed {
        let fitted = images.iter().map(|image| &image.images[self.preprocess]);
        let fitted: Vec<&FittedImage> = fitted.collect();
        let (logits, features) = self.logits(&fitted, answering.features);
        let mut probabilities = vec![shares(logits)];
        match answering.views {
            Views::One => {}
            Views::Flip => {
                let mirrored: Vec<FittedImage> = fitted.iter().map(|one| one.mirrored()).collect();
                let mirrored: Vec<&FittedImage> = mirrored.iter().collect();
                probabilities.push(shares(self.logits(&mirrored, false).0));
            }
        }
        Computed {
            images: images.len(),
            probabilities,
            features,
        }
    }

    fn logits(&self, images: &[&FittedImage], features: bool) -> (Tensor<2>, Option<Vec<f32>>) {
        let images = FittedImage::batch(images, &self.normalization, &self.device);
        if !features {
            return (self.network.forward(images), None);
        }
        // The head is a stage of its own, the last one.
        let stages = self.network.stages().len();
        let before = self.network.forward_range(0..stages - 1, images.into());
        let values = before.clone().into_data().iter::<f32>().collect();
        let logits = self.network.forward_range(stages - 1..stages, before);
        (<Tensor<2> as Feature>::of(logits), Some(values))
    }
}

fn shares(logits: Tensor<2>) -> Vec<f32> {
    softmax(logits, 1).into_data().iter::<f32>().collect()
}

/// The mean of some numbers; a single one as it is.
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
fn mean(numbers: impl Iterator<Item = f32>) -> f32 {
    let (mut sum, mut count) = (0.0, 0_u32);
    for number in numbers {
        sum += f64::from(number);
        count += 1;
    }
    (sum / f64::from(count)) as f32
}

/// For each class, its index among `own`; if they are not the same classes, those that are missing there and
/// those that are unknown here.
fn order(classes: &[String], own: &[String]) -> Result<Vec<usize>, [Vec<String>; 2]> {
    let index: HashMap<&str, usize> = own.iter().map(String::as_str).zip(0..).collect();
    let found: Vec<Option<usize>> = classes
        .iter()
        .map(|class| index.get(class.as_str()).copied())
        .collect();
    let known: HashSet<&str> = classes.iter().map(String::as_str).collect();
    let missing = classes.iter().zip(&found);
    let missing = missing.filter(|(_, index)| index.is_none());
    let missing: Vec<String> = missing.map(|(class, _)| class.clone()).collect();
    let unknown = own.iter().filter(|class| !known.contains(class.as_str()));
    let unknown: Vec<String> = unknown.cloned().collect();
    if missing.is_empty() && unknown.is_empty() {
        return Ok(found.into_iter().flatten().collect());
    }
    Err([missing, unknown])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_probable_classes_come_first_and_equal_ones_in_their_order() {
        let answer = Answer {
            probabilities: vec![0.1, 0.3, 0.1, 0.5, 0.0],
            features: Vec::new(),
        };
        assert_eq!(answer.top(3), [(3, 0.5), (1, 0.3), (0, 0.1)]);
        assert_eq!(answer.top(0), []);
        let all: Vec<usize> = answer.top(9).into_iter().map(|(class, _)| class).collect();
        assert_eq!(all, [3, 1, 0, 2, 4]);
    }

    #[test]
    fn classes_are_matched_by_name() {
        let names =
            |names: &[&str]| -> Vec<String> { names.iter().map(|&one| one.into()).collect() };
        let known = names(&["a", "b", "c"]);
        assert_eq!(order(&known, &names(&["c", "a", "b"])), Ok(vec![1, 2, 0]));
        assert_eq!(
            order(&known, &names(&["c", "d", "a"])),
            Err([names(&["b"]), names(&["d"])])
        );
        assert_eq!(
            order(&known, &names(&["a", "b", "c", "d"])),
            Err([names(&[]), names(&["d"])])
        );
    }

    #[test]
    fn threads_can_share_it() {
        fn shared<T: Send + Sync>() {}
        shared::<Predictor>();
        shared::<Prepared>();
    }
}
