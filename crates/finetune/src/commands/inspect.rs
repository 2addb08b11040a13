//! `inspect`: what a method would train.

use anyhow::Result;
use finetune_methods::{count_parameters, parameters};
use finetune_model::ARCHITECTURES;
use serde_json::json;

use crate::cli::InspectArgs;
use crate::device::device;
use crate::run::prepare;

/// `finetune inspect`.
///
/// # Errors
///
/// A wrong call, or weights that cannot be read.
pub fn inspect(args: &InspectArgs) -> Result<()> {
    let config = args.common.resolve(&args.method, args.common.seed)?;
    let device = device(&config.device)?.autodiff();
    let attached = prepare(&config, args.classes, &device)?.attached;
    let count = count_parameters(&attached.model);
    let parameters = parameters(&attached.model);
    let trained: Vec<_> = parameters.iter().filter(|param| param.trainable).collect();
    if args.common.json {
        let trained: Vec<_> = trained
            .iter()
            .map(|param| json!({ "path": param.path, "shape": param.shape }))
            .collect();
        let document = json!({
            "model": config.model,
            "method": config.method_name(),
            "trainable_parameters": count.trainable,
            "total_parameters": count.total,
            "trained": trained,
        });
        println!("{}", serde_json::to_string_pretty(&document)?);
        return Ok(());
    }
    if args.common.model.is_none() && args.common.weights.is_none() {
        println!("{}\n", models());
    }
    println!(
        "{} with {}: these train",
        config.model,
        config.method_name()
    );
    for param in trained {
        println!("  {:<44} {:?}", param.path, param.shape);
    }
    #[allow(clippy::cast_precision_loss)]
    let share = 100.0 * count.trainable as f64 / count.total as f64;
    println!(
        "{} of {} parameters ({share:.2} %)",
        count.trainable, count.total
    );
    Ok(())
}

/// All models and what goes with them, a line each.
fn models() -> String {
    let mut lines = vec![format!(
        "{:<24} {:>6}  {:<9} {:>5}  {:<12} {:<32} {}",
        "model", "pixels", "resize", "crop", "head", "adapters on", "names of"
    )];
    lines.extend(ARCHITECTURES.iter().map(|model| {
        format!(
            "{:<24} {:>6}  {:<9} {:>5.3}  {:<12} {:<32} {}",
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
