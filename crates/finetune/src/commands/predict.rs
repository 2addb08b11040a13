//! `predict`: which class images show.

use anyhow::Result;
use burn::tensor::activation::softmax;
use finetune_data::{Cache, ImageSet, Pipeline, Sample, Source, StoredSize};
use serde::Serialize;

use crate::cli::PredictArgs;
use crate::device::device;
use crate::folder::Plan;
use crate::output::say;

#[derive(Serialize)]
struct Prediction {
    path: String,
    class: String,
    probability: f32,
}

/// `finetune predict`.
///
/// # Errors
///
/// A folder that holds no finished run, or images that cannot be decoded.
pub fn predict(args: &PredictArgs) -> Result<()> {
    let plan = Plan::read_for(&args.run, args.epoch)?;
    let run = plan.finished(&args.run, args.method.as_deref(), args.epoch)?;
    let config = run.config;
    let classes = run.classes()?;
    let samples = args.paths.iter().map(|path| Sample {
        source: Source::File(path.clone()),
        label: 0,
    });
    let set = ImageSet {
        classes: classes.clone(),
        samples: samples.collect(),
    };
    // One after the other: however many they are, memory holds one.
    let pipeline = Pipeline {
        cache: Cache::None,
        ..Pipeline::default()
    };
    let preprocess = config.data.preprocess(&config.architecture()?);
    let images = set.prepare(&preprocess, StoredSize::Fitted, &pipeline)?;
    let network = run.network(classes.len(), false)?;
    let device = device(&config.device)?;
    let norm = config.architecture()?.normalization;
    let mut predictions = Vec::new();
    for (index, path) in args.paths.iter().enumerate() {
        let batch = images.batch(&[index], &norm, &device)?;
        let shares: Vec<f32> = softmax(network.forward(batch.images), 1)
            .into_data()
            .iter::<f32>()
            .collect();
        let best =
            (1..shares.len()).fold(0, |best, i| if shares[i] > shares[best] { i } else { best });
        predictions.push(Prediction {
            path: path.display().to_string(),
            class: classes[best].clone(),
            probability: shares[best],
        });
    }
    if args.json {
        say(&serde_json::to_string_pretty(&predictions)?)?;
    } else {
        for Prediction {
            path,
            class,
            probability,
        } in predictions
        {
            say(&format!("{path}: {class} ({:.1} %)", 100.0 * probability))?;
        }
    }
    Ok(())
}
