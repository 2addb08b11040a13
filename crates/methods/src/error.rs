//! What can go wrong when a method is attached to a model.

/// Errors of this crate. Each names the thing that is wrong and what to do about it.
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
        /// The layers whose names come nearest, best first.
        nearest: Vec<String>,
    },
    /// The head's path names no parameter of the model.
    #[error("the head `{head}` is not a layer of the model; nearest names: {}", nearest.join(", "))]
    HeadNotFound {
        /// The path as given.
        head: String,
        /// The layers whose names come nearest, best first.
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
    /// A rank that no layer has room for.
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
    /// A method chooses by gradients and was given none.
    #[error("{method} chooses by the gradients before training; give them in the scope")]
    NeedsGradients {
        /// The method's name.
        method: &'static str,
    },
    /// An adapter that no weight can take up.
    #[error(
        "`{path}` carries an adapter that cannot be merged into a weight; keep the adapter beside the model"
    )]
    Unmergeable {
        /// The layer.
        path: String,
    },
    /// Merging would make a weight that is no number.
    #[error("merging `{path}` gives values that are no finite numbers; the adapter is broken")]
    NotFinite {
        /// The weight.
        path: String,
    },
    /// Names of adapters that do not exist, or exist already.
    #[error("there is {found} adapter `{name}`; there are: {}", names.join(", "))]
    AdapterName {
        /// `no` or `already an`.
        found: &'static str,
        /// The name as given.
        name: String,
        /// The names that exist.
        names: Vec<String>,
    },
    /// Adapters that cannot be combined in the way asked for.
    #[error("`{first}` and `{second}` cannot be combined: {reason}")]
    Combine {
        /// The first adapter.
        first: String,
        /// The one that does not go with it.
        second: String,
        /// Why.
        reason: String,
    },
    /// An adapter that was made for another model.
    #[error("the adapter was made for another model: {difference}")]
    OtherBase {
        /// The first difference.
        difference: String,
    },
    /// Bytes that are no file of trained tensors.
    #[error("it is no safetensors file of trained tensors: {reason}")]
    Bytes {
        /// What is wrong.
        reason: String,
    },
    /// What PEFT's files have no form for.
    #[error("PEFT has no form for this: {reason}; export the merged model instead")]
    NotInPeft {
        /// The first thing that has none.
        reason: String,
    },
    /// A PEFT configuration that asks for what is not supported.
    #[error("adapter_config.json: {reason}")]
    PeftConfig {
        /// What is wrong, and what is supported.
        reason: String,
    },
}
