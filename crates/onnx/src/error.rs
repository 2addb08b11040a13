//! What can go wrong in an export.

/// Errors of this crate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OnnxError {
    /// The forward pass uses an operation that this crate does not translate.
    #[error("the network uses an operation that cannot be written as ONNX: {operation}")]
    Unsupported {
        /// The operation, with what about it is not supported.
        operation: String,
    },
    /// The forward pass does something else for another number of images.
    #[error(
        "the network does not compute each image of a batch in the same way: {what}; it cannot be written \
         for batches of any size"
    )]
    BatchDependent {
        /// What differs.
        what: String,
    },
    /// The model is larger than a protobuf message may be.
    #[error(
        "the model has {bytes} bytes, and an ONNX file can hold at most {most}; export it as safetensors"
    )]
    TooLarge {
        /// Bytes of the file, or of the parameters alone.
        bytes: u64,
        /// The most that a message holds.
        most: u64,
    },
    /// The forward pass could not be recorded.
    #[error("the forward pass cannot be recorded: {reason}")]
    Recording {
        /// Burn's reason.
        reason: String,
    },
}
