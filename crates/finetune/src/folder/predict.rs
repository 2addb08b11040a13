//! What a finished run's model says about image files.

use std::path::Path;

use burn::tensor::Device;
use burn::tensor::activation::softmax;
use finetune_data::{
    Cache, DataError, ImageSet, Normalization, Pipeline, Preprocess, Sample, Source, StoredSize,
};
use finetune_model::Network;

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

/// A finished run's model, ready for images.
#[derive(Debug)]
pub struct Predictor {
    network: Network,
    classes: Vec<String>,
    preprocess: Preprocess,
    normalization: Normalization,
    device: Device,
}

impl Predictor {
    /// Loads a run's model.
    ///
    /// # Errors
    ///
    /// The run's files are missing or do not fit each other.
    pub fn new(run: &FinishedRun) -> Result<Self, Error> {
        let config = run.config();
        let architecture = config.architecture()?;
        let classes = run.classes()?;
        Ok(Self {
            network: run.network(classes.len(), false)?,
            classes,
            preprocess: config.data.preprocess(&architecture),
            normalization: architecture.normalization,
            device: device(&config.device)?,
        })
    }

    /// The most probable class of an image file. One image at a time, so that memory does not grow with
    /// their number, and one that cannot be read does not concern the others.
    ///
    /// # Errors
    ///
    /// The image cannot be decoded.
    pub fn predict(&self, path: &Path) -> Result<Prediction, Error> {
        let set = ImageSet {
            classes: vec![String::new()],
            samples: vec![Sample::new(Source::File(path.to_owned()), 0)],
        };
        let pipeline = Pipeline {
            cache: Cache::None,
            workers: Some(1),
            ..Pipeline::default()
        };
        let images = set.prepare(&self.preprocess, StoredSize::Fitted, &pipeline)?;
        let batch = images.batch(&[0], &self.normalization, &self.device)?;
        let shares: Vec<f32> = softmax(self.network.forward(batch.images), 1)
            .into_data()
            .iter::<f32>()
            .collect();
        let classes = self.classes.iter().zip(shares);
        // The first of equally probable ones.
        let best = classes.reduce(|best, next| if next.1 > best.1 { next } else { best });
        let (class, probability) = best.ok_or(DataError::NoClasses(path.to_owned()))?;
        Ok(Prediction {
            class: class.clone(),
            probability,
        })
    }
}
