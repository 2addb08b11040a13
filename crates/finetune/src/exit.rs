//! How errors become one line and an exit code.

use finetune_data::DataError;
use finetune_methods::MethodError;
use finetune_model::ModelError;
use finetune_training::TrainingError;

/// A wrong call: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// An error that somebody else tells: exit code 1.
#[derive(Debug, thiserror::Error)]
#[error("told elsewhere")]
pub struct Told;

/// The exit code of an error: 2 where the call was wrong, 1 of anything else.
#[must_use]
pub fn code(error: &anyhow::Error) -> u8 {
    let wrong_call = error.chain().any(|cause| {
        cause.is::<Usage>()
            || cause.is::<MethodError>()
            || matches!(
                cause.downcast_ref(),
                Some(
                    ModelError::UnknownModel { .. }
                        | ModelError::UnknownLibrary { .. }
                        | ModelError::ImageSize { .. }
                        | ModelError::NoBlocks { .. }
                )
            )
            || matches!(
                cause.downcast_ref(),
                Some(TrainingError::Setting { .. } | TrainingError::NoValidation)
            )
            || matches!(cause.downcast_ref(), Some(DataError::NotADataSet { .. }))
    });
    if wrong_call { 2 } else { 1 }
}

/// The error on one line, causes after colons.
#[must_use]
pub fn line(error: &anyhow::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in error.chain() {
        let text = cause
            .to_string()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        // Many errors already end with their cause.
        if !parts.last().is_some_and(|last| last.ends_with(&text)) {
            parts.push(text);
        }
    }
    parts.join(": ")
}
