//! Weights that are no known network.

use finetune_files::quoted;
use finetune_model::WeightsFile;

/// Says that the tensors of a file are no known network, and which network is the nearest.
#[must_use]
pub fn unrecognised(file: &WeightsFile) -> String {
    let first = file.shapes().into_keys().next().unwrap_or_default();
    let nearest = match file.nearest() {
        Some((architecture, problems)) => {
            format!("; the nearest is {}: {problems}", architecture.name)
        }
        None => "; name one with --model to see how they differ".to_owned(),
    };
    format!(
        "{} does not fit any known model (its first tensor is {}){nearest}",
        file.origin(),
        quoted(&first)
    )
}
