//! A recipe in words.

use finetune::evaluation::format::count;
use finetune::evaluation::understood::UnderstoodRecipe;

pub(super) fn recipe_line(recipe: &UnderstoodRecipe) -> String {
    let batch = match recipe.accumulate {
        0 | 1 => format!("batches of {}", number(recipe.batch_size)),
        several => format!(
            "{several} batches of {} per step",
            number(recipe.batch_size)
        ),
    };
    if recipe.epochs == 0 {
        return format!("features of all images computed once · {batch} · no augmentation");
    }
    let mut parts = vec![
        format!(
            "{} of {}",
            counted(recipe.epochs, "epoch"),
            counted(recipe.steps_per_epoch, "step")
        ),
        batch,
        recipe.optimizer.clone(),
        format!("{} schedule", recipe.schedule),
    ];
    if recipe.weight_decay > 0.0 {
        parts.push(format!("weight decay {}", recipe.weight_decay));
    }
    if recipe.drop_path > 0.0 {
        parts.push(format!("stochastic depth {}", recipe.drop_path));
    }
    if recipe.head_dropout > 0.0 {
        parts.push(format!("head dropout {}", recipe.head_dropout));
    }
    parts.push(if recipe.augmentation.is_empty() {
        "no augmentation".to_owned()
    } else {
        format!("augmentation: {}", recipe.augmentation.join(", "))
    });
    parts.join(" · ")
}

/// `1 step`, `2 steps`.
pub(super) fn counted(value: usize, what: &str) -> String {
    let plural = if value == 1 { "" } else { "s" };
    format!("{} {what}{plural}", number(value))
}

pub(super) fn number(value: usize) -> String {
    count(value as u64)
}
