//! What can go wrong while training.

/// Errors of this crate. Each names the thing that is wrong and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainingError {
    /// A number of the recipe is out of its range.
    #[error("{name} is {value}, but must be {wanted}")]
    Setting {
        /// The setting's name.
        name: &'static str,
        /// The value as given.
        value: String,
        /// The range that is accepted.
        wanted: &'static str,
    },
    /// An image could not be read.
    #[error(transparent)]
    Data(#[from] finetune_data::DataError),
    /// Features that are to be kept as f16 have no room.
    #[error(
        "the features of frozen layers have no room, {bytes} bytes as f16; make some in memory or on the disk of the cache \
         folder, or keep them as f32, which is computed anew where there is none"
    )]
    NoRoom {
        /// What they take.
        bytes: u64,
    },
    /// A feature that is too large for f16.
    #[error("a feature of the frozen layers is {0}, beyond the 65504 of f16; keep features as f32")]
    TooLarge(f32),
    /// Something is to be chosen by validation images, and there are none.
    #[error("there are no validation images to choose the best epoch by")]
    NoValidation,
    /// A range test whose loss never fell.
    #[error("no learning rate makes the training loss fall; choose one")]
    NoRate,
    /// There is nothing to train on.
    #[error("there are no training images")]
    NoImages,
    /// The loss is not a number any more.
    #[error(
        "the loss became {loss} in epoch {epoch}, step {step}; try a smaller learning rate than {learning_rate}, warm-up, or \
         gradients clipped to a norm of 1"
    )]
    NonFiniteLoss {
        /// The loss.
        loss: f64,
        /// Epoch, from 1.
        epoch: usize,
        /// Step of the run, from 1.
        step: usize,
        /// The recipe's learning rate.
        learning_rate: f64,
    },
    /// A checkpoint that is not this run's.
    #[error("the checkpoint cannot be used: {0}")]
    Checkpoint(String),
    /// A checkpoint could not be kept.
    #[error("the checkpoint cannot be written: {0}")]
    Keep(String),
}
