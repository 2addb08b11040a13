//! Errors.

/// An error of this crate. Each message names what is wrong and what to do about it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MethodError {
    /// A target pattern is not a valid regular expression.
    #[error("the target pattern `{pattern}` is not a valid regular expression: {reason}")]
    Pattern {
        /// The pattern as given.
        pattern: String,
        /// The parser's message, on one line.
        reason: String,
    },
    /// A target pattern selects no layer of the model that can carry an adapter.
    #[error("the target pattern `{pattern}` matches no layer of the model; nearest names: {}", nearest.join(", "))]
    NothingMatched {
        /// The pattern as given.
        pattern: String,
        /// The layers whose names are most similar, best first.
        nearest: Vec<String>,
    },
    /// The head's path names no parameter of the model.
    #[error("the head `{head}` is not a layer of the model; nearest names: {}", nearest.join(", "))]
    HeadNotFound {
        /// The path as given.
        head: String,
        /// The layers whose names are most similar, best first.
        nearest: Vec<String>,
    },
    /// A number in a method's configuration is out of its range.
    #[error("{name} is {value}, but must be {wanted}")]
    Setting {
        /// The setting's name.
        name: &'static str,
        /// The value as given.
        value: String,
        /// The range that is accepted.
        wanted: &'static str,
    },
    /// The model already carries adapters.
    #[error("`{path}` already carries an adapter; merge or remove it before attaching another")]
    AlreadyAdapted {
        /// The parameter's path.
        path: String,
    },
    /// A rank is above what any target layer has room for.
    #[error(
        "rank {rank} is above the dimensions of every target layer; `{path}` has room for {limit}"
    )]
    RankTooLarge {
        /// The rank as given.
        rank: usize,
        /// The largest rank that a target has.
        limit: usize,
        /// That target.
        path: String,
    },
    /// A method that chooses by gradients has none.
    #[error(
        "{method} selects parameters by their gradients before training; pass them in the `Scope`"
    )]
    NeedsGradients {
        /// The method's name.
        method: &'static str,
    },
    /// The model alone was asked for, but its method changes it while it trains.
    #[error(
        "{method} changes the model while it trains, so the model alone would train only half of it; \
         call `into_parts` and apply the dynamics at every step"
    )]
    ChangesWhileTraining {
        /// The method's name.
        method: &'static str,
    },
    /// The model alone was asked for, but its method is not trained in steps.
    #[error(
        "{method} is computed at once from the features of all training images, so that training steps \
         would train another method; call `fit`"
    )]
    NotInSteps {
        /// The method's name.
        method: &'static str,
    },
    /// A method answers in place of a Linear head, and the head is none.
    #[error("{method} answers in place of a Linear head, and `{head}` is no single Linear layer")]
    NotLinear {
        /// The method's name.
        method: &'static str,
        /// Path of the head.
        head: String,
    },
    /// A setting needs more images than there are.
    #[error("{setting} is {value}, but must be at most the number of training images, {images}")]
    TooFewImages {
        /// The setting's name.
        setting: &'static str,
        /// Its value.
        value: usize,
        /// The number of images.
        images: usize,
    },
    /// A fit was asked to stop.
    #[error("stopped while the method was computed")]
    Stopped,
    /// An adapter cannot be merged into a weight.
    #[error(
        "`{path}` carries an adapter that cannot be merged into a weight; keep the adapter beside the model"
    )]
    Unmergeable {
        /// The layer.
        path: String,
    },
    /// Merging would produce a weight that is not finite.
    #[error("merging `{path}` gives values that are not finite; the adapter is broken")]
    NotFinite {
        /// The weight.
        path: String,
    },
    /// An adapter's name does not exist, or exists already.
    #[error("there is {found} adapter `{name}`; existing adapters: {}", names.join(", "))]
    AdapterName {
        /// `no` or `already an`.
        found: &'static str,
        /// The name as given.
        name: String,
        /// The names that exist.
        names: Vec<String>,
    },
    /// Adapters cannot be combined in this way.
    #[error("`{first}` and `{second}` cannot be combined: {reason}")]
    Combine {
        /// The first adapter.
        first: String,
        /// The adapter that cannot be combined with it.
        second: String,
        /// Why.
        reason: String,
    },
    /// An adapter was made for another model.
    #[error("the adapter was made for another model: {difference}")]
    OtherBase {
        /// The first difference.
        difference: String,
    },
    /// Bytes are not a file of trained tensors, or one cannot be written.
    #[error("it is not a safetensors file of trained tensors: {reason}")]
    Bytes {
        /// What is wrong.
        reason: String,
    },
    /// HF PEFT cannot represent an adapter.
    #[error("HF PEFT cannot represent this: {reason}; export the merged model instead")]
    NotInHfPeft {
        /// The first thing that it cannot represent.
        reason: String,
    },
    /// A configuration of HF PEFT asks for something that is not supported.
    #[error("adapter_config.json: {reason}")]
    HfPeftConfig {
        /// What is wrong, and what is supported.
        reason: String,
    },
}
