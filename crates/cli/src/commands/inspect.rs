//! `inspect`: shows what a method would train.

use std::fmt::Write as _;

use anyhow::Result;
use finetune::config::settings;
use finetune::machine::device::device;
use finetune::run::prepare;
use finetune::weights::{Understood, describe, open, reasons, understand};
use finetune_methods::inspect::{ParameterCount, counts};
use finetune_methods::{Method, ParamInfo, count_parameters};
use finetune_model::ARCHITECTURES;
use finetune_training::{Optimizer, Recipe};
use serde_json::json;

use crate::flags::Typed;
use crate::terminal::output::{say, say_json};

/// `finetune inspect`.
///
/// # Errors
///
/// A wrong call, or the weights cannot be read.
pub fn inspect(typed: &Typed) -> Result<()> {
    let (base, process) = (typed.base(), typed.process());
    let config = typed.runs()?.swap_remove(0);
    let device = device(&config.device)?.autodiff();
    // What trains does not depend on the weights: random ones serve as well.
    let mut plan = config.clone();
    plan.from_scratch |= plan.weights.is_none();
    let understood = understand(&config)?;
    let reasons = match &understood {
        Some(_) => reasons(&config, &open(&config)?),
        None => Vec::new(),
    };
    let prepared = config.architecture()?;
    let attached = prepare(&plan, process.classes, &device)?.attached;
    let count = count_parameters(attached.model());
    let mut trained = counts(attached.model());
    trained.retain(|(_, trainable)| *trainable > 0);
    if process.json {
        let trained: Vec<_> = trained
            .iter()
            .map(|(param, trainable)| {
                json!({ "path": param.path, "shape": param.shape, "parameters": trainable })
            })
            .collect();
        let document = json!({
            "model": config.model,
            "weights": understood.map(|understood| document(&understood)),
            "reasons": reasons,
            "images": {
                "size": config.data.image_size,
                "mean": prepared.normalization.mean,
                "std": prepared.normalization.std,
                "filter": prepared.filter,
                "crop": prepared.crop,
            },
            "method": config.method_name(),
            "trainable_parameters": count.trainable,
            "total_parameters": count.total,
            "predicted_memory_bytes": predicted_memory(&config.recipe, count),
            "trained": trained,
        });
        return say_json(&document);
    }
    if base.model.is_none() && base.weights.is_none() {
        say(&format!("{}\n\n{}\n", models(), methods()?))?;
    }
    if let Some(understood) = understood {
        say(&format!(
            "{}: {}",
            describe(&config),
            understood
                .lines()
                .into_iter()
                .chain(reasons)
                .collect::<Vec<_>>()
                .join("\n  ")
        ))?;
    }
    say(&format!(
        "{} with {}\n{}at least {} of memory for weights, gradients and optimiser moments, plus the \
         activations of a batch",
        config.model,
        config.method_name(),
        table(&trained, count),
        finetune_evaluation::bytes(predicted_memory(&config.recipe, count))
    ))
}

/// How the weights were understood, for other programs.
fn document(understood: &Understood) -> serde_json::Value {
    let others = understood.others.iter();
    let others: Vec<_> = others
        .map(|other| json!({ "prefix": other.prefix, "model": other.architecture }))
        .collect();
    json!({
        "model": understood.architecture.name,
        "also_fits": understood.also_fits,
        "could_also_be": understood.twins,
        "library": understood.library,
        "prefix": understood.prefix,
        "tensors": understood.tensors,
        "classes": understood.classes,
        "left_out": understood.left_out,
        "left_out_examples": understood.left_out_examples,
        "other_networks": others,
    })
}

/// Bytes of the weights, and of the gradients and optimiser moments of the trained parameters, in
/// `f32`.
fn predicted_memory(recipe: &Recipe, count: ParameterCount) -> u64 {
    let moments = match recipe.optimizer {
        Optimizer::Adam | Optimizer::AdamW => 2,
        Optimizer::Sgd => 1,
    };
    4 * (count.total + count.trainable * (1 + moments)) as u64
}

/// The trained tensors: path, shape, number of parameters and their share of all.
fn table(trained: &[(ParamInfo, usize)], count: ParameterCount) -> String {
    let shape = |param: &ParamInfo| {
        let sizes: Vec<_> = param.shape.iter().map(ToString::to_string).collect();
        sizes.join("×")
    };
    #[allow(clippy::cast_precision_loss)]
    let percent = |trainable: usize| 100.0 * trainable as f64 / count.total as f64;
    let mut rows: Vec<_> = trained
        .iter()
        .map(|(param, trainable)| (param.path.clone(), shape(param), *trainable))
        .collect();
    rows.push(("trains".to_owned(), String::new(), count.trainable));
    let widest = |column: fn(&(String, String, usize)) -> usize, title: &str| {
        rows.iter().map(column).max().unwrap_or(0).max(title.len())
    };
    let paths = widest(|row| row.0.len(), "path");
    let shapes = widest(|row| row.1.chars().count(), "shape");
    let mut text = format!(
        "{:<paths$}  {:>shapes$}  {:>10}  {:>8}\n",
        "path", "shape", "parameters", "share"
    );
    for (path, shape, trainable) in rows {
        let percent = percent(trainable);
        let _ = writeln!(
            text,
            "{path:<paths$}  {shape:>shapes$}  {trainable:>10}  {percent:>6.2} %"
        );
    }
    let _ = writeln!(
        text,
        "{:<paths$}  {:>shapes$}  {:>10}",
        "of", "", count.total
    );
    text
}

/// All methods and their settings, one per line.
fn methods() -> Result<String> {
    let mut lines =
        vec!["method        settings (--set METHOD.KEY=VALUE) and their defaults".to_owned()];
    for method in Method::all() {
        let settings = settings::of(&method)?;
        let settings: Vec<_> = settings
            .into_iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        lines.push(format!("{:<12}  {}", method.name(), settings.join(" ")));
    }
    lines.push("scratch       like sft, from random weights".to_owned());
    Ok(lines.join("\n"))
}

/// All models and their properties, one per line.
fn models() -> String {
    let mut lines = vec![format!(
        "{:<28} {:>6}  {:<9} {:>5}  {:<12} {:<32} {}",
        "model", "pixels", "resize", "crop", "head", "adapters on", "names of"
    )];
    lines.extend(ARCHITECTURES.iter().map(|model| {
        format!(
            "{:<28} {:>6}  {:<9} {:>5.3}  {:<12} {:<32} {}",
            model.name,
            model.image_size,
            format!("{:?}", model.filter).to_lowercase(),
            model.crop,
            model.head,
            model.targets,
            model.libraries().join(", ")
        )
    }));
    lines.join("\n")
}
