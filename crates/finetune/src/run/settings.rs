//! The settings that a report shows.

use std::collections::BTreeMap;

use finetune_data::Fit;
use finetune_training::{CachedFeatures, ClassWeights, FeatureDtype, Recipe, Select, Trained};
use serde_json::Value;

use crate::config::RunConfig;
use crate::config::settings::of;

fn ratio(ratio: f64) -> Option<String> {
    ((ratio - 1.0).abs() > f64::EPSILON).then(|| ratio.to_string())
}

/// The settings that a report shows.
pub(super) fn settings<M>(
    config: &RunConfig,
    recipe: &Recipe,
    trained: &Trained<M>,
) -> BTreeMap<String, String> {
    let on = |on: bool| if on { "on" } else { "off" }.to_owned();
    let rate = if config.auto_rate {
        format!("{:.2e} (found)", recipe.learning_rate)
    } else {
        recipe.learning_rate.to_string()
    };
    let mut settings = vec![
        ("image size", config.data.image_size.to_string()),
        (
            "augmentation",
            on(recipe.augment != finetune_data::Augment::default()),
        ),
    ];
    if !config.method.fits() {
        settings.extend([
            ("epochs", recipe.epochs.to_string()),
            ("batch size", recipe.batch_size.to_string()),
            (
                "optimizer",
                format!("{:?}", recipe.optimizer).to_lowercase(),
            ),
            ("learning rate", rate),
            ("schedule", format!("{:?}", recipe.schedule).to_lowercase()),
            ("weight decay", recipe.weight_decay.to_string()),
        ]);
        settings.extend(happened(recipe, trained));
    }
    settings.extend(trained.found.clone());
    settings.extend(changed(config, recipe));
    if config.method.has_adapters() {
        let targets = config.targets.clone();
        let targets = targets.or_else(|| {
            let own = config.architecture().ok()?.targets_of(&config.method);
            own.ok().map(str::to_owned)
        });
        settings.push(("targets", targets.unwrap_or_default()));
    }
    let mut settings: BTreeMap<String, String> = settings
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    for (name, value) in of(&config.method).unwrap_or_default() {
        // Settings without a value are not shown.
        let shown = match value {
            Value::Null => continue,
            Value::Bool(switch) => on(switch),
            Value::String(text) => text,
            Value::Object(map) if map.is_empty() => continue,
            other => other.to_string(),
        };
        settings.insert(name.replace('_', " "), shown);
    }
    settings
}

/// The settings that have another value than their default. The others are not shown.
fn changed(
    config: &RunConfig,
    recipe: &Recipe,
) -> impl Iterator<Item = (&'static str, String)> + use<> {
    let changed = [
        (
            "fit of pictures",
            (config.data.fit != Fit::Crop).then(|| format!("{:?}", config.data.fit).to_lowercase()),
        ),
        ("warm-up", recipe.warmup.map(|share| share.to_string())),
        (
            "batches a step",
            (recipe.accumulate > 1).then(|| recipe.accumulate.to_string()),
        ),
        ("head's rate", ratio(recipe.head_lr_ratio)),
        ("layer decay", ratio(recipe.layer_decay)),
        (
            "gradient norm",
            recipe.clip_norm.map(|norm| norm.to_string()),
        ),
        (
            "label smoothing",
            (recipe.label_smoothing > 0.0).then(|| recipe.label_smoothing.to_string()),
        ),
        (
            "stochastic depth",
            (recipe.drop_path > 0.0).then(|| recipe.drop_path.to_string()),
        ),
        (
            "head dropout",
            (recipe.head_dropout > 0.0).then(|| recipe.head_dropout.to_string()),
        ),
        (
            "class weights",
            (recipe.class_weights == ClassWeights::Balanced).then(|| "balanced".to_owned()),
        ),
        (
            "average of weights",
            recipe.ema.map(|decay| decay.to_string()),
        ),
        (
            "thawing epochs",
            (recipe.unfreeze_epochs > 0).then(|| recipe.unfreeze_epochs.to_string()),
        ),
        ("patience", recipe.patience.map(|epochs| epochs.to_string())),
        (
            "kept",
            (recipe.select == Select::Best).then(|| "best epoch".to_owned()),
        ),
        (
            "augmentation views",
            recipe.augment_views.map(|views| views.to_string()),
        ),
        (
            "gradient checkpointing",
            recipe.gradient_checkpointing.then(|| "on".to_owned()),
        ),
    ];
    let changed = changed.into_iter();
    changed.filter_map(|(name, value)| Some((name, value?)))
}

/// What happened during training.
fn happened<M>(recipe: &Recipe, trained: &Trained<M>) -> Vec<(&'static str, String)> {
    let mut happened = Vec::new();
    let last = trained.epochs.len();
    if let Some(best) = trained.best {
        happened.push(("weights of epoch", best.to_string()));
    }
    if trained.stopped {
        happened.push(("stopped early", "yes".to_owned()));
    } else if last < recipe.epochs {
        happened.push(("ended after epoch", last.to_string()));
    }
    if let Some(features) = &trained.features {
        happened.push(("feature cache", cached(features)));
    }
    happened
}

/// What was computed once, its size and where it is cached.
fn cached(features: &CachedFeatures) -> String {
    let CachedFeatures {
        below,
        bytes,
        file_bytes,
        dtype,
    } = features;
    let size = finetune_evaluation::bytes;
    let place = match (bytes - file_bytes, *file_bytes) {
        (memory, 0) => format!("{} in memory", size(memory)),
        (0, file) => format!("{} in a file", size(file)),
        (memory, file) => format!("{} in memory, {} in a file", size(memory), size(file)),
    };
    let rounded = match dtype {
        FeatureDtype::F32 => "",
        FeatureDtype::F16 => " as f16",
    };
    format!("all below `{below}` computed once, {place}{rounded}")
}
