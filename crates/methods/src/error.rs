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
}
