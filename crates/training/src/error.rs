//! The errors of training.

/// An error of this crate. Each message names what is wrong and, if there is one, a way out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainingError {
    /// The observer stopped the run before its first step.
    #[error("stopped before the first step")]
    Stopped,
    /// A setting of the recipe is out of range.
    #[error("{name} is {value}, but must be {wanted}")]
    Setting {
        /// The setting, in words.
        name: &'static str,
        /// The value that was given.
        value: String,
        /// The accepted range.
        wanted: &'static str,
    },
    /// An image or a cache file cannot be read or written.
    #[error(transparent)]
    Data(#[from] finetune_data::DataError),
    /// There is too little room to cache features as f16.
    #[error(
        "there is no room to cache the features of the frozen layers, which take {bytes} bytes as f16; free memory or \
         disk space in the cache folder, or use f32, which needs no cache"
    )]
    NoRoom {
        /// The size of the features.
        bytes: u64,
    },
    /// A feature is too large for f16.
    #[error(
        "a feature of the frozen layers is {0}, but the largest f16 value is 65504; cache the features as f32"
    )]
    TooLarge(f32),
    /// The recipe selects an epoch or stops by validation accuracy, and there are no validation
    /// images.
    #[error("selecting the best epoch needs validation images, and there are none")]
    NoValidation,
    /// A batch has one image, of which a `BatchNorm` would see one value per channel.
    #[error(
        "{images} images in batches of {batch_size} leave a batch of 1 image, of which the BatchNorm `{norm}` would see \
         1 value per channel: it needs at least 2; {remedy}"
    )]
    SingleValue {
        /// Path of the normalisation.
        norm: String,
        /// The number of training images.
        images: usize,
        /// The batch size.
        batch_size: usize,
        /// What to change.
        remedy: String,
    },
    /// The features that a method is computed from cannot be computed.
    #[error(
        "the features before the head `{head}` are needed, but the model does not end in a Linear layer of that \
         name on one vector per image"
    )]
    NoFeatures {
        /// Path of the head.
        head: String,
    },
    /// A feature is NaN or infinite.
    #[error("a feature before the head is {0}; check the weights and the images")]
    NotFinite(f32),
    /// A method cannot be computed from features.
    #[error(transparent)]
    Fit(finetune_methods::MethodError),
    /// The loss did not fall at any learning rate of a range test.
    #[error("the range test found no learning rate that lowers the loss; set one")]
    NoRate,
    /// There is nothing to train on.
    #[error("there are no training images")]
    NoImages,
    /// The loss is NaN or infinite.
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
    /// A checkpoint is damaged or belongs to another run.
    #[error("the checkpoint cannot be used: {0}")]
    Checkpoint(String),
    /// The observer could not write a checkpoint.
    #[error("the checkpoint cannot be written: {0}")]
    WriteCheckpoint(String),
}
