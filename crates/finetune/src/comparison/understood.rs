//! What was understood of runs, in a form that can be shown.

use finetune_data::{Augment, Images};
use finetune_evaluation::understood::{
    Understood, UnderstoodData, UnderstoodMethod, UnderstoodModel, UnderstoodPart, UnderstoodRecipe,
};
use finetune_methods::inspect::ParameterCount;
use finetune_training::Recipe;
use serde::Serialize;

use crate::config::{Decoded, Mirror, RunConfig};
use crate::error::Error;
use crate::machine::device::canonical;
use crate::machine::precision::described;
use crate::weights::describe;

/// What the check found out about the runs.
#[derive(Debug, Default)]
pub(super) struct Found<'a> {
    /// What a user should know about the weights, a sentence each.
    pub(super) notes: Vec<String>,
    /// Runs and their parameters, once per method.
    pub(super) counts: Vec<(&'a RunConfig, ParameterCount)>,
}

/// What was understood. The folder, whether there are runs on fewer images, and how many runs are done at the
/// same time, are filled in by the caller.
///
/// # Errors
///
/// None for runs that were checked.
pub(super) fn understood(
    runs: &[RunConfig],
    data: &Decoded,
    found: &Found<'_>,
) -> Result<Understood, Error> {
    let Some(first) = runs.first() else {
        return Ok(Understood::default());
    };
    let architecture = first.architecture()?;
    let mut seeds: Vec<u64> = runs.iter().map(|run| run.seed).collect();
    seeds.sort_unstable();
    seeds.dedup();
    let pretrained = runs.iter().find(|run| !run.from_scratch);
    let parameters = found.counts.iter().map(|(_, count)| count.total).min();
    let methods = found.counts.iter();
    let methods = methods.map(|(run, count)| method(run, *count, data));
    Ok(Understood {
        data: images(first, data),
        model: UnderstoodModel {
            name: first.model.clone(),
            weights: pretrained.map(describe),
            notes: found.notes.clone(),
            parameters: parameters.unwrap_or(0) as u64,
            image_size: first.data.image_size,
            mean: architecture.normalization.mean,
            std: architecture.normalization.std,
            filter: format!("{:?}", architecture.filter).to_lowercase(),
            fit: name(first.data.fit),
            crop: architecture.crop,
        },
        methods: methods.collect(),
        seeds,
        device: canonical(&first.device).to_owned(),
        threads: first.threads.unwrap_or_else(rayon::current_num_threads),
        few: None,
        side_by_side: None,
        precision: described(first.precision),
        out: String::new(),
    })
}

fn images(run: &RunConfig, data: &Decoded) -> UnderstoodData {
    let part = |name: &str, images: &Images| {
        let mut per_class = vec![0; images.classes.len()];
        for label in &images.labels {
            if let Some(count) = per_class.get_mut(*label) {
                *count += 1;
            }
        }
        UnderstoodPart {
            name: name.to_owned(),
            per_class,
        }
    };
    let mut parts = vec![part("train", &data.train)];
    parts.extend(data.valid.as_ref().map(|images| part("valid", images)));
    parts.push(part("test", &data.test));
    let mut notes = data.understood.sentences();
    notes.extend(mirrored(run, &data.train.classes));
    let skipped = data.skipped().len();
    if skipped > 0 {
        notes.push(format!("{skipped} left out, unreadable"));
    }
    UnderstoodData {
        path: data.name.clone(),
        layout: data.understood.layout.clone(),
        classes: data.train.classes.clone(),
        parts,
        notes,
        train_per_class: run.data.train_per_class,
    }
}

/// What the names of the images and their classes are taken to say about mirroring.
fn mirrored(run: &RunConfig, classes: &[String]) -> Option<String> {
    if run.mirror == Mirror::Set || run.recipe.augment == Augment::default() {
        return None;
    }
    Some(match run.not_mirrored(classes) {
        Some(reason) => {
            format!("not mirrored for training, because {reason}; --mirror on changes that")
        }
        None => {
            "mirrored for training, as no name speaks of digits, letters or signs; --mirror off \
                 changes that"
                .to_owned()
        }
    })
}

fn method(run: &RunConfig, count: ParameterCount, data: &Decoded) -> UnderstoodMethod {
    let mut run = run.clone();
    run.settle(&data.train.classes);
    let recipe = &run.recipe;
    let fit = run.method.fit(run.seed);
    let own = || {
        let architecture = run.architecture().ok()?;
        let own = architecture.targets_of(&run.method).ok();
        own.map(str::to_owned)
    };
    UnderstoodMethod {
        name: run.method_name().to_owned(),
        trainable_parameters: count.trainable as u64,
        total_parameters: count.total as u64,
        targets: (run.method.has_adapters())
            .then(|| run.targets.clone().or_else(own))
            .flatten(),
        learning_rate: (!run.auto_rate && fit.is_none()).then_some(recipe.learning_rate),
        fit: fit.map(|fit| fit.plan()),
        recipe: if run.method.fits() {
            UnderstoodRecipe {
                batch_size: recipe.batch_size,
                ..UnderstoodRecipe::default()
            }
        } else {
            in_steps(recipe, data)
        },
    }
}

/// How a model is trained in steps.
fn in_steps(recipe: &Recipe, data: &Decoded) -> UnderstoodRecipe {
    UnderstoodRecipe {
        epochs: recipe.epochs,
        steps_per_epoch: recipe.steps_per_epoch(data.train.len()),
        batch_size: recipe.batch_size,
        accumulate: recipe.accumulate,
        optimizer: name(recipe.optimizer),
        schedule: name(recipe.schedule),
        weight_decay: recipe.weight_decay,
        drop_path: recipe.drop_path,
        head_dropout: recipe.head_dropout,
        augmentation: augmentation(&recipe.augment),
    }
}

/// The name of a choice, as it is typed.
fn name(choice: impl Serialize) -> String {
    let value = serde_json::to_value(choice).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}

/// The settings of augmentation that are not off, by their names.
fn augmentation(augment: &Augment) -> Vec<String> {
    let value = |augment: &Augment| serde_json::to_value(augment).unwrap_or_default();
    let (chosen, off) = (value(augment), value(&Augment::default()));
    let Some(chosen) = chosen.as_object() else {
        return Vec::new();
    };
    let changed = chosen
        .iter()
        .filter(|(key, value)| off.get(key) != Some(value));
    changed.map(|(key, _)| key.replace('_', " ")).collect()
}
