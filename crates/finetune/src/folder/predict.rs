//! What a finished run's model says about image files.

use std::path::PathBuf;

use burn::tensor::activation::softmax;
use finetune_data::{Cache, ImageSet, Pipeline, Sample, Source, StoredSize};

use super::finished::FinishedRun;
use crate::error::Error;
use crate::machine::device::device;

/// The most probable class of an image.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// The class's name.
    pub class: String,
    /// Its probability (softmax), from 0 to 1.
    pub probability: f32,
}

/// The most probable class of each image file, in the order of `paths`.
///
/// # Errors
///
/// An image cannot be decoded, or the run's files are missing or do not fit each other.
pub fn predict(run: &FinishedRun, paths: &[PathBuf]) -> Result<Vec<Prediction>, Error> {
    let config = run.config();
    let architecture = config.architecture()?;
    let classes = run.classes()?;
    let samples = paths.iter().map(|path| Sample {
        source: Source::File(path.clone()),
        label: 0,
    });
    let set = ImageSet {
        classes: classes.clone(),
        samples: samples.collect(),
    };
    // One image at a time, so that memory does not grow with their number.
    let pipeline = Pipeline {
        cache: Cache::None,
        ..Pipeline::default()
    };
    let preprocess = config.data.preprocess(&architecture);
    let images = set.prepare(&preprocess, StoredSize::Fitted, &pipeline)?;
    let network = run.network(classes.len(), false)?;
    let device = device(&config.device)?;
    let mut predictions = Vec::new();
    for index in 0..paths.len() {
        let batch = images.batch(&[index], &architecture.normalization, &device)?;
        let shares: Vec<f32> = softmax(network.forward(batch.images), 1)
            .into_data()
            .iter::<f32>()
            .collect();
        let best =
            (1..shares.len()).fold(0, |best, i| if shares[i] > shares[best] { i } else { best });
        predictions.push(Prediction {
            class: classes[best].clone(),
            probability: shares[best],
        });
    }
    Ok(predictions)
}
